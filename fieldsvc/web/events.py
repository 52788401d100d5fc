"""`POST /v1/events`: field events from devices, and from people and subscribers for the types that their role allows."""

import asyncio
from datetime import UTC, datetime

from aiohttp import web

from fieldsvc.access.tokens import API_KEY_PREFIX
from fieldsvc.errors import UnsupportedMedia
from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.intake.formats.cloudevents import decode_header_time
from fieldsvc.web.auth import CSRF_HEADER, check_csrf, require_account, require_device, signed_in
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.problems import json_response
from handlers.story import Actor

INTAKE = web.AppKey("INTAKE", Intake)
BODY_TIMEOUT_S = 30.0
ENCODINGS = frozenset({"identity", "gzip", "deflate"})


async def post_events(request: web.Request) -> web.Response:
    """Take one CloudEvent or a batch; answer a receipt and a result for each, in the order sent."""
    received_at = datetime.now(UTC)
    caller = await _caller(request)
    if request.headers.get("Content-Encoding", "identity").strip().lower() not in ENCODINGS:
        raise UnsupportedMedia("A body is packed with gzip, deflate or not at all.")
    async with asyncio.timeout(BODY_TIMEOUT_S):
        body = await request.read()
    said_sent_at = request.headers.get("Fieldsvc-Sent-At")
    sent_at = decode_header_time(said_sent_at)
    unreadable = said_sent_at is not None and sent_at is None
    upload = Upload(body, request.content_type, request.charset, caller, received_at, sent_at, unreadable)
    answer = await accept(request.app[INTAKE], upload)
    metrics = request.app[METRICS]
    for result in answer["results"]:
        metrics.events.labels(result["status"]).inc()
        if result["status"] == "quarantined":
            metrics.off_reasons.labels(result["reason"]).inc()
    return json_response(answer)


async def _caller(request: web.Request) -> Caller:
    authorization = request.headers.get("Authorization")
    if authorization is None:
        person = await signed_in(request)
        check_csrf(person, request.headers.get(CSRF_HEADER))
        return Caller(Actor(person.role, person.account, person.account_id), site=person.site)
    if authorization.partition(" ")[2].strip().startswith(API_KEY_PREFIX):
        account = await require_account(request)
        return Caller(Actor("subscriber", account.account_id, account.account_id), site=account.site)
    device = await require_device(request, lost_too=True)
    return Caller(Actor("device"), device=device, site=device.site)


routes: list[web.RouteDef] = [web.post("/v1/events", post_events)]
