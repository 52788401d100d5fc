"""`POST /v1/events`: field events from devices, and from people and subscribers for the types that their role allows."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.intake.formats.cloudevents import decode_header_time
from fieldsvc.web.auth import caller
from fieldsvc.web.bodies import check_encoding
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.problems import json_response
from handlers.story import Actor

INTAKE = web.AppKey("INTAKE", Intake)


async def post_events(request: web.Request) -> web.Response:
    """Take one CloudEvent or a batch; answer a receipt and a result for each, in the order sent."""
    received_at = datetime.now(UTC)
    sender = _sender(request)
    check_encoding(request)
    body = await request.read()
    said_sent_at = request.headers.get("Fieldsvc-Sent-At")
    sent_at = decode_header_time(said_sent_at)
    unreadable = said_sent_at is not None and sent_at is None
    upload = Upload(body, request.content_type, request.charset, sender, received_at, sent_at, unreadable)
    answer = await accept(request.app[INTAKE], upload)
    count_results(request, answer)
    return json_response(answer)


def count_results(request: web.Request, answer: Mapping[str, Any]) -> None:
    """Count in the metrics what became of the events of an upload."""
    metrics = request.app[METRICS]
    for result in answer["results"]:
        metrics.events.labels(result["status"]).inc()
        if result["status"] == "quarantined":
            metrics.off_reasons.labels(result["reason"]).inc()


def _sender(request: web.Request) -> Caller:
    who = caller(request, Device, Account, Person)
    if isinstance(who, Device):
        return Caller(Actor("device"), device=who, site=who.site)
    if isinstance(who, Account):
        return Caller(Actor("subscriber", who.account_id, who.account_id), site=who.site)
    return Caller(Actor(who.role, who.account, who.account_id), site=who.site)


routes: list[web.RouteDef] = [web.post("/v1/events", post_events)]
