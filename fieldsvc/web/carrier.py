"""What phones ask for: enrolment, the run of the day, its sheet, the services, their own receipts."""

import base64
import re
from dataclasses import asdict
from functools import cache
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldsvc.access import provisioning
from fieldsvc.access.callers import Device, Person
from fieldsvc.access.enrolment import issue_code, redeem_code
from fieldsvc.access.errors import BadCode, TooManyTries
from fieldsvc.access.tries import Tries
from fieldsvc.errors import BadRequest, Invalid, NotFound, UserMistake
from fieldsvc.journal.receipts import Receipt
from fieldsvc.store import device as devices
from fieldsvc.web.auth import ACCESS, base_url, caller, client_source
from fieldsvc.web.looks import CARRIER_KEY
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.pilots import Pilots
from fieldsvc.work.runs import Runs
from fieldsvc.work.sheets import Sheets
from handlers import corrections
from handlers.base import Handler, wire_type
from handlers.fields import Payload, format_time
from handlers.registry import Registry
from handlers.story import EventType

RUNS = web.AppKey("RUNS", Runs)
SHEETS = web.AppKey("SHEETS", Sheets)
SERVICES = web.AppKey("SERVICES", bytes)
PILOTS = web.AppKey("PILOTS", Pilots)
CODE_TRIES = web.AppKey("CODE_TRIES", Tries)
_PAGE, _MOST = 100, 1_000


class NewCode(BaseModel):
    """For whom a code is, on which round they walk, and which phone of theirs it replaces."""

    model_config = ConfigDict(extra="forbid", strict=True)
    carrier: str = Field(max_length=200, pattern=r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$")
    round: str | None = Field(None, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9._:-]*$")
    replaces: str | None = Field(None, max_length=64, pattern=r"^d-[0-9]+$")


async def enrol(request: web.Request) -> web.Response:
    """Turn a one-time code into a device's credentials, which are shown this once."""
    tries, source = request.app[CODE_TRIES], client_source(request)
    if tries.too_many(source):
        raise TooManyTries(retry_after_s=60)
    body = await read_object(request)
    code = body.get("code")
    try:
        if not isinstance(code, str) or body.keys() != {"code"}:
            raise BadRequest('The body is {"code": "…"}.')
        with tries.under_way(source):
            database, key = request.app[ACCESS].database, request.app[CARRIER_KEY]
            found = await redeem_code(database, base_url(request), code, ref_key=key)
    except BadCode:
        tries.failed(source)
        raise
    request.app[ACCESS].forget()  # a phone that this one replaces is lost at once
    return json_response(found, status=201, headers={"Cache-Control": "no-store"})


async def new_code(request: web.Request) -> web.Response:
    """Make a one-time code for a carrier's phone, as text, as a link and as a picture to scan."""
    person = caller(request, Person)
    if person.site is None:
        raise NotFound
    asked = _asked(await read_object(request))
    try:
        made = await issue_code(
            request.app[ACCESS].database,
            carrier=asked.carrier,
            site=person.site,
            round_id=asked.round,
            created_by=person.account_id,
            replaces=asked.replaces,
            ref_key=request.app[CARRIER_KEY],
        )
    except UserMistake:
        raise NotFound("There is no such round or phone on this site.") from None  # nor a word about other sites
    url = provisioning.enrolment_url(base_url(request), made.shown)
    shown = {"code": made.shown, "url": url, "qr_svg": provisioning.qr_svg(url), "expires_at": made.expires_at}
    return json_response(shown, status=201)


def _asked(body: dict[str, Any]) -> NewCode:
    try:
        return NewCode.model_validate(body)
    except ValidationError:
        raise Invalid('The body is {"carrier": "…"}, and perhaps "round" and "replaces".') from None


async def current_run(request: web.Request) -> web.Response:
    """Name the run of the day.

    Tells also when a position of it was heard last, and what became of what it took, once that was reconciled.
    """
    device = caller(request, Device)
    run = await request.app[RUNS].current_run(device)
    heard_at, counted = await request.app[RUNS].told(run)
    more: dict[str, Any] = {"position_heard_at": format_time(heard_at)} if heard_at is not None else {}
    if counted is not None:
        more["reconciled"] = {**asdict(counted), "at": format_time(counted.at)}
    named = {"run_id": run.run_id, "round_id": run.round_id, "state": run.state, "sheet_version": run.sheet_version}
    return json_response({**named, **more})


async def sheet(request: web.Request) -> web.Response:
    """Give the sheet of the device's own run: what differs from the version that the phone has, 304 if nothing, else the whole."""
    device = caller(request, Device)
    run = await request.app[RUNS].own_run(device, request.match_info["id"])
    headers = {"ETag": f'"{run.sheet_version}"', "Cache-Control": "private, no-cache"}
    if has_version(request, run.sheet_version):
        return web.Response(status=304, headers=headers)
    found = await request.app[SHEETS].since(run, _since(request), carrier=device.carrier)
    return json_response(found, headers={**headers, "ETag": f'"{found["version"]}"'})


async def services(request: web.Request) -> web.Response:
    """List the services of the device's site with the schemas that the phone draws its forms from."""
    device = caller(request, Device)
    pilots, body = request.app.get(PILOTS), request.app[SERVICES]
    body = await pilots.cut(body, device.site) if pilots is not None else body
    return web.Response(body=body, content_type="application/json")


async def receipts(request: web.Request) -> web.Response:
    """Page through the device's signed receipts, oldest first."""
    device = caller(request, Device)
    after, limit = decode_cursor(request.query.get("cursor")), page_limit(request)
    found = await devices.receipts(request.app[ACCESS].database, device.device_id, after=after, limit=limit + 1)
    page = found[:limit]
    items = [
        {
            "no": each.no,
            "at": each.at,
            "receipt": Receipt(device.device_id, each.no, each.at, each.previous, each.body, each.signature).compact,
        }
        for each in page
    ]
    more = {"cursor": encode_cursor(page[-1].no)} if len(found) > limit else {}
    return json_response({"receipts": items, **more})


def has_version(request: web.Request, version: int) -> bool:
    """Tell whether the phone has this version: by If-None-Match, or `?since=`."""
    if request.query.get("since") == str(version):
        return True
    return any(tag.value in {str(version), "*"} for tag in request.if_none_match or ())


def _since(request: web.Request) -> int | None:
    """Read the version that the phone has; what is no version is none."""
    text = request.query.get("since", "")
    return int(text) if re.fullmatch("[0-9]{1,15}", text) else None


def services_document(registry: Registry) -> bytes:
    """Describe every service as JSON: made once, when the service starts."""
    found = [_service(handler) for handler in registry.handlers.values()]
    return orjson.dumps({"services": found, "corrections": _event(corrections.EVENT)})


def _service(handler: Handler) -> dict[str, Any]:
    return {
        "service": handler.name,
        "title": dict(handler.title),
        "subject": handler.subject,
        "takes_tasks": handler.takes_tasks,
        "events": [_event(each) for each in handler.events],
    }


def _event(each: EventType) -> dict[str, Any]:
    return {
        "type": wire_type(each.name),
        "title": dict(each.title),
        "by": sorted(each.by),
        "keeps_position": each.keeps_fix,
        "closes_task": each.closes_task,
        "schema": _schema(each.payload),
        "examples": [dict(example) for example in each.examples],
    }


@cache
def _schema(payload: type[Payload]) -> dict[str, Any]:
    return payload.model_json_schema(by_alias=True)


def encode_cursor(no: int) -> str:
    """Make an opaque cursor."""
    return base64.urlsafe_b64encode(f"r{no}".encode()).decode().rstrip("=")


def decode_cursor(cursor: str | None) -> int:
    """Read a cursor; none = from the start. BadRequest for anything else."""
    if not cursor:
        return 0
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None
    if not text.startswith("r") or not text[1:].isascii() or not text[1:].isdigit() or len(text) > 19:
        raise BadRequest("This cursor is not valid.")
    return int(text[1:])


def page_limit(request: web.Request) -> int:
    """Read `?limit=`, 1 to 1,000."""
    text = request.query.get("limit", str(_PAGE))
    if re.fullmatch("[0-9]{1,4}", text) is None or not 1 <= int(text) <= _MOST:
        raise BadRequest(f"The limit is a number from 1 to {_MOST}.")
    return int(text)


routes: list[web.RouteDef] = [
    web.post("/v1/devices/enrol", enrol),
    web.post("/v1/devices/codes", new_code),
    web.get("/v1/runs/current", current_run),
    web.get("/v1/runs/{id}/sheet", sheet),
    web.get("/v1/services", services),
    web.get("/v1/me/receipts", receipts),
]
