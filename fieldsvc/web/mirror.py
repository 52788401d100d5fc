"""Who looked: at their own work for carriers, at everything for auditors; and all that is kept about a carrier, for them.

A supervisor can make a code for a carrier's phone and use it herself. So a phone that came by a code reads nothing of the days before
that of its enrolment, whichever phone it replaces; only one that the operator enrolled at the command line reads everything.
"""

import re
from datetime import UTC, date, datetime, time, timedelta

from aiohttp import web

from fieldsvc.access import audit
from fieldsvc.access.audit import ENROLLED
from fieldsvc.access.callers import Device, Person
from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest
from fieldsvc.store import audit as store
from fieldsvc.store.audit import EVER, NEWEST, Place, Row, Wanted
from fieldsvc.tracking import mirror
from fieldsvc.web.auth import ACCESS, caller, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.day_pages import day_of, opened, sealed
from fieldsvc.web.looks import CARRIER_KEY
from fieldsvc.web.problems import json_response
from handlers.fields import format_time

_NUMBER, _TEXT = re.compile("[0-9]{1,18}"), re.compile(r"[ -~]{1,200}")


async def access(request: web.Request) -> web.Response:
    """Tell a carrier who looked at their work, when and why, newest first."""
    device, limit = caller(request, Device), page_limit(request)
    found = await store.of_carrier(
        request.app[ACCESS].database,
        _ref(request, device),
        site=device.site,
        before=_before(request),
        limit=limit + 1,
        since=await _since(request, device),
    )
    return json_response({"looks": [mirror.described(each) for each in found[:limit]], **_more(found, limit)})


async def export(request: web.Request) -> web.Response:
    """Give a carrier all that is kept about them in one download, as far back as their phone may read."""
    device = caller(request, Device)
    database = request.app[ACCESS].database
    since = await _since(request, device)
    found = await mirror.export(database, device.carrier, device.site, carrier_ref=_ref(request, device), since=since)
    headers = {"Content-Disposition": 'attachment; filename="mine.json"'}
    return json_response({"made_at": format_time(datetime.now(UTC)), **found}, headers=headers)


async def log(request: web.Request) -> web.Response:
    """Page through the audit log, newest first."""
    caller(request, Person)
    limit = page_limit(request)
    wanted = Wanted(
        actor=_text(request, "actor"),
        role=_text(request, "role"),
        action=_text(request, "action"),
        subject=_text(request, "subject"),
        site=await site_of(request, Thing.AUDIT),
        first=day_of(request, "from", date.min),
        last=day_of(request, "until", date.max),
    )
    found = await store.page(request.app[ACCESS].database, wanted, before=_before(request), limit=limit + 1)
    return json_response({"entries": [_described(each) for each in found[:limit]], **_more(found, limit)})


async def _since(request: web.Request, device: Device) -> datetime:
    """Return from when on a phone may read: the midnight before its enrolment, unless the operator enrolled it."""
    access, day = request.app[ACCESS], device.enrolled_at.astimezone(UTC).date()
    subject, days = f"device/{device.id}", (day, day + timedelta(days=1))
    wanted = Wanted(role="operator", action=ENROLLED, subject=subject, first=days[0], last=days[1])
    if await store.page(access.database, wanted, before=NEWEST, limit=1):
        return EVER
    return datetime.combine(device.enrolled_at.astimezone(access.settings.zone).date(), time.min, access.settings.zone)


def _described(row: Row) -> dict[str, object]:
    return {
        "day": row.day,
        "no": row.pos,
        "at": format_time(row.at),
        "actor": row.actor,
        "role": row.role,
        "action": row.action,
        "subject": row.subject,
        "reason": row.reason,
        "site": row.site,
    }


def _ref(request: web.Request, device: Device) -> str:
    return audit.carrier_ref(request.app[CARRIER_KEY], device.carrier, device.site)


def _before(request: web.Request) -> Place:
    day, number = opened(request.query.get("cursor"), start=NEWEST[0])
    if number and _NUMBER.fullmatch(number) is None:
        raise BadRequest("This cursor is not valid.")
    return day, int(number or 0)


def _more(found: list[Row], limit: int) -> dict[str, str]:
    return {"cursor": sealed(found[limit - 1].day, str(found[limit - 1].pos))} if len(found) > limit else {}


def _text(request: web.Request, name: str) -> str | None:
    text = request.query.get(name)
    if text is not None and _TEXT.fullmatch(text) is None:
        raise BadRequest(f"{name} is a short plain text.")
    return text


routes: list[web.RouteDef] = [
    web.get("/v1/me/access", access),
    web.get("/v1/me/export", export),
    web.get("/v1/audit", log),
]
