"""What existing phone apps speak to: OwnTracks, and OsmAnd with Traccar Client.

With good credentials the answer is always 200, whatever was sent; only when nothing can be committed is it 429 or 503, and
the phone sends again.
"""

from dataclasses import fields
from datetime import UTC, datetime

from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import BadHttpMessage

from fieldsvc.intake.apps import Apps, take, too_large, unreadable
from fieldsvc.intake.formats import osmand as osmand_format
from fieldsvc.intake.formats import owntracks as owntracks_format
from fieldsvc.intake.formats.phone import Decoded
from fieldsvc.store.device import Device
from fieldsvc.tracking.tracker import Taken
from fieldsvc.web.auth import caller
from fieldsvc.web.middlewares import METRICS

APPS = web.AppKey("APPS", Apps)
_OUTCOMES = tuple(each.name for each in fields(Taken))


async def owntracks(request: web.Request) -> web.Response:
    """Take what OwnTracks sends, encrypted or not; answer an empty list."""
    received_at = datetime.now(UTC)
    device = caller(request, Device)
    body = await _body(request, owntracks_format.APP)
    if isinstance(body, bytes):
        body = owntracks_format.decode(body, passphrase=device.passphrase)
    await _settle(request, device, body, received_at=received_at)
    return web.Response(body=b"[]", content_type="application/json")


async def osmand(request: web.Request) -> web.Response:
    """Take what OsmAnd, Traccar Client or a tracker of their kind sends; answer nothing."""
    received_at = datetime.now(UTC)
    device = caller(request, Device)
    body = await _body(request, osmand_format.APP)
    if isinstance(body, bytes):
        zone = request.app[APPS].zone
        query = list(request.query.items())
        body = osmand_format.decode(query, body, request.content_type, now=received_at, zone=zone)
    await _settle(request, device, body, received_at=received_at)
    return web.Response(text="")


async def _body(request: web.Request, app: str) -> bytes | Decoded:
    """Read the body; one that is too large or cannot be unpacked is a fault like any other."""
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return too_large(app)
    except (ClientPayloadError, BadHttpMessage, web.RequestPayloadError):
        return unreadable(app)


async def _settle(request: web.Request, device: Device, decoded: Decoded, *, received_at: datetime) -> None:
    """Take what was sent, and count what became of it."""
    settled = await take(request.app[APPS], device, decoded, received_at=received_at)
    metrics = request.app[METRICS]
    for name in _OUTCOMES:
        metrics.fixes.labels(name).inc(getattr(settled.fixes, name))
    metrics.fixes.labels("quarantined").inc(len(settled.reasons))
    for status in settled.alarms:
        metrics.events.labels(status).inc()
    for reason in settled.reasons:
        metrics.off_reasons.labels(reason).inc()


routes: list[web.RouteDef] = [
    web.post("/owntracks", owntracks),
    web.get("/osmand/{token}", osmand),
    web.post("/osmand/{token}", osmand),
]
