"""`POST /v1/positions`: how far along its round a device is, from its fixes, which are not kept."""

from datetime import UTC, datetime

from aiohttp import web

from fieldsvc.access.callers import Device
from fieldsvc.intake.formats.cloudevents import decode_header_time
from fieldsvc.intake.positions import PositionsUpload, take_positions
from fieldsvc.tracking.tracker import Tracker
from fieldsvc.web.auth import caller
from fieldsvc.web.bodies import check_encoding
from fieldsvc.web.events import INTAKE
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.problems import json_response

TRACKER = web.AppKey("TRACKER", Tracker)


async def post_positions(request: web.Request) -> web.Response:
    """Take up to 1,000 fixes; answer how many ended in which way, once the progress they give is committed."""
    received_at = datetime.now(UTC)
    device = caller(request, Device)
    check_encoding(request)
    body = await request.read()
    sent_at = decode_header_time(request.headers.get("Fieldsvc-Sent-At"))
    upload = PositionsUpload(body, request.content_type, request.charset, device, received_at, sent_at)
    counted = await take_positions(request.app[TRACKER], request.app[INTAKE], upload)
    for outcome, count in counted.items():
        request.app[METRICS].fixes.labels(outcome).inc(count)
    return json_response(counted)


routes: list[web.RouteDef] = [web.post("/v1/positions", post_positions)]
