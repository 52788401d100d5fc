"""Pictures over HTTP: phones put them, in parts if need be; who is entitled gets the form that is kept."""

import re
from collections.abc import AsyncIterator

from aiohttp import ClientPayloadError, web

from fieldsvc.access.callers import Device
from fieldsvc.access.rights import sees_picture
from fieldsvc.errors import BadRequest, NotFound, UnsupportedMedia
from fieldsvc.media.errors import BadName, BadRange
from fieldsvc.media.keeping import HowFar, Media, Sent
from fieldsvc.web.auth import CALLER, caller
from fieldsvc.web.problems import json_response
from handlers import media as rules

MEDIA = web.AppKey("MEDIA", Media)
_RANGE = re.compile(r"bytes (?:([0-9]{1,12})-([0-9]{1,12})|\*)/([0-9]{1,12})")
_SAFE = {"Content-Security-Policy": "default-src 'none'; sandbox", "X-Content-Type-Options": "nosniff"}


async def put(request: web.Request) -> web.Response:
    """Take a picture, whole or the next part of it, and say how far it is."""
    device = caller(request, Device)
    sha256 = _name(request)
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("A picture is sent as it is.")
    found = await request.app[MEDIA].take(device.device_id, sha256, _sent(request), _parts(request))
    return _how_far(found)


async def head(request: web.Request) -> web.Response:
    """Tell a phone how much of its picture is here."""
    device = caller(request, Device)
    found = await request.app[MEDIA].how_far(device.device_id, _name(request))
    if found.kept is None and not found.received:
        raise NotFound
    return _how_far(found)


async def get(request: web.Request) -> web.Response:
    """Give a picture to whoever may see it: decoded and encoded anew, without anything but its pixels."""
    sha256, media = _name(request), request.app[MEDIA]
    picture = await media.find(sha256)
    if picture is None or not sees_picture(request.get(CALLER), picture, await media.wants(sha256)):
        raise NotFound
    data = await media.read(picture)
    if data is None:
        raise NotFound
    name = f"picture-{sha256.hex()[:12]}.{picture.media_type.rpartition('/')[2]}"
    headers = {**_SAFE, "Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "private, no-store"}
    return web.Response(body=data, content_type=picture.media_type, headers=headers)


def _name(request: web.Request) -> bytes:
    name = request.match_info["sha256"]
    if not rules.is_sha256(name):
        raise BadName
    return bytes.fromhex(name)


def _sent(request: web.Request) -> Sent:
    """Read which bytes a request says that it sends. BadRange for a range that is none, or not as long as the body."""
    said, length = request.headers.get("Content-Range"), request.content_length
    if said is None:
        return Sent(0, length)
    match = _RANGE.fullmatch(said.strip())
    if match is None:
        raise BadRange
    total = int(match[3])
    if match[1] is None:
        return Sent(None, total)
    first, last = int(match[1]), int(match[2])
    if not first <= last < total or (length is not None and length != last - first + 1):
        raise BadRange
    return Sent(first, total)


async def _parts(request: web.Request) -> AsyncIterator[bytes]:
    """Yield the body as it comes; what came before a connection broke has been taken by then."""
    while True:
        try:
            part = await request.content.readany()
        except (ClientPayloadError, ConnectionError):
            raise BadRequest("The body broke off.") from None
        if not part:
            return
        yield part


def _how_far(found: HowFar) -> web.Response:
    """Answer 201 or 200 for a picture that is kept, else 308 with the range that is here."""
    if found.kept is None:
        here = {"Range": f"bytes=0-{found.received - 1}"} if found.received else {}
        return web.Response(status=308, headers=here)
    kept = {"sha256": found.kept.sha256.hex(), "kept_sha256": found.kept.kept_sha256.hex()}
    size = {"bytes": found.kept.size, "width": found.kept.width, "height": found.kept.height}
    body = {**kept, "media_type": found.kept.media_type, **size}
    return json_response(body, status=201 if found.fresh else 200)


routes: list[web.RouteDef] = [
    web.put("/v1/media/{sha256}", put),
    web.head("/v1/media/{sha256}", head),
    web.get("/v1/media/{sha256}", get, allow_head=False),
]
