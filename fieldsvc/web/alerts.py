"""Alarms on screens: which there are, where, and who has them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener
from fieldsvc.store import alarm as alarms
from fieldsvc.store.alarm import Alarm
from fieldsvc.store.database import Database
from fieldsvc.web.auth import require_person
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from handlers.fields import format_time, parse_time
from handlers.story import Actor

FIELD_PART = -1  # of the event as the phone said it, which holds the place
_ROLES = ("supervisor", "operator")
_NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the views work with."""

    database: Database
    opener: Opener
    commands: Commands


ALERTS = web.AppKey("ALERTS", Alerts)


async def list_alerts(request: web.Request) -> web.Response:
    """List alarms, newest first, with their places."""
    person = await require_person(request, _ROLES)
    site, limit = _site_of(person, request.query.get("site")), page_limit(request)
    only_open, before = _only_open(request), _decode(request.query.get("cursor"))
    found = await alarms.page(request.app[ALERTS].database, site, only_open=only_open, before=before, limit=limit + 1)
    page = found[:limit]
    shown = await _shown(request.app[ALERTS].opener, page)
    return json_response({"alerts": shown, **({"cursor": _encode(page[-1])} if len(found) > limit else {})})


async def acknowledge(request: web.Request) -> web.Response:
    """Take an alarm: who does so first has it."""
    person = await require_person(request, _ROLES)
    alerts = request.app[ALERTS]
    found = await _own(alerts.database, person, request.match_info["id"])
    if found.acknowledged_at is None:
        actor = Actor(person.role, entered_by=person.account_id)
        data = {"alarm_id": found.id, "acknowledged_by": person.account_id}
        await alerts.commands.send("alarm.acknowledged", data, actor=actor, site=found.site, run=found.run)
        found = await _own(alerts.database, person, found.id)
    (shown,) = await _shown(alerts.opener, [found])
    return json_response(shown)


def _site_of(person: Person, asked: str | None) -> str | None:
    """Return whose alarms a person sees: a supervisor those of the own site, an operator those of any. NotFound."""
    if asked is not None and not asked.isprintable():
        raise NotFound
    if person.role == "operator":
        return asked
    if person.site is None or asked not in (None, person.site):
        raise NotFound
    return person.site


async def _own(database: Database, person: Person, alarm_id: str) -> Alarm:
    found = await alarms.read(database, alarm_id)
    if found is None or (person.role != "operator" and (person.site is None or found.site != person.site)):
        raise NotFound
    return found


async def _shown(opener: Opener, page: Sequence[Alarm]) -> list[dict[str, Any]]:
    opened = await opener.open_parts([(each.event, FIELD_PART) for each in page])
    return [_alert(each, (opened[(each.event, FIELD_PART)].get("personal") or {})) for each in page]


def _alert(alarm: Alarm, personal: Mapping[str, Any]) -> dict[str, Any]:
    """Write an alarm for a screen; `place` and `note` are null where the phone gave none, or where they were erased."""
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "state": "open" if alarm.acknowledged_at is None else "acknowledged",
        "run_id": alarm.run,
        "site": alarm.site,
        "carrier": alarm.carrier,
        "raised_at": format_time(alarm.raised_at),
        "acknowledged_at": format_time(alarm.acknowledged_at) if alarm.acknowledged_at is not None else None,
        "acknowledged_by": alarm.acknowledged_by,
        "stop_id": alarm.stop_id,
        "address": alarm.address,
        "note": personal.get("note"),
        "place": _place(personal.get("fix")),
    }


def _place(fix: Any) -> dict[str, Any] | None:
    if not isinstance(fix, Mapping):
        return None
    return {name: fix.get(name) for name in ("lat", "lon", "accuracy_m", "fixed_at")}


def _only_open(request: web.Request) -> bool:
    state = request.query.get("state", "all")
    if state not in ("all", "open"):
        raise BadRequest("The state is open or all.")
    return state == "open"


def _encode(alarm: Alarm) -> str:
    text = f"{alarm.raised_at.isoformat()} {alarm.id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _decode(cursor: str | None) -> tuple[datetime, str]:
    """Read a cursor; none = from the newest on. BadRequest for anything else."""
    if not cursor:
        return _NEWEST
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, name = text.partition(" ")
        return parse_time(at), name.replace("\x00", "")
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None


routes: list[web.RouteDef] = [
    web.get("/v1/alerts", list_alerts),
    web.post("/v1/alerts/{id}/ack", acknowledge),
]
