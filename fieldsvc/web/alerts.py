"""Alarms and alerts on screens: which there are, where, and who has them."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiohttp import web
from pydantic import BaseModel, ConfigDict, ValidationError

from fieldsvc.access.callers import Device, Person
from fieldsvc.access.rights import Thing, sites_of
from fieldsvc.access.viewers import viewer_of
from fieldsvc.errors import BadRequest, Conflict, Invalid, NotFound
from fieldsvc.faults import faults_of
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener
from fieldsvc.store import alarm as alarms
from fieldsvc.store import alert as store
from fieldsvc.store.alarm import OwnAlarm
from fieldsvc.store.alert import Alert, Wanted
from fieldsvc.store.database import Database
from fieldsvc.web.auth import ACCESS, caller, seen, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.looks import SHOWS_PAST
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work import colleagues
from handlers import alerting
from handlers.fields import Id, Note, format_time, parse_time
from handlers.story import Actor

FIELD_PART = -1  # of the event as the phone said it, which holds the place
_OWN = 10
_STATES = ("open", "acknowledged", "settled")
_NEWEST = (datetime(9999, 1, 1, tzinfo=UTC), "")


@dataclass(frozen=True, slots=True)
class Alerts:
    """What the views work with."""

    database: Database
    opener: Opener
    commands: Commands


class Taking(BaseModel):
    """What somebody may say on taking an alert."""

    model_config = ConfigDict(extra="forbid")
    comment: Note | None = None


class Assigning(BaseModel):
    """Who is to take an alert: the account of a colleague, or the `to` of a desk, as GET /v1/colleagues lists them."""

    model_config = ConfigDict(extra="forbid")
    to: Id
    comment: Note | None = None


class AlertSettled(Conflict):
    """This alert is over: nobody has to take it any more."""

    code = "settled"


ALERTS = web.AppKey("ALERTS", Alerts)


async def list_alerts(request: web.Request) -> web.Response:
    """List alarms and alerts, newest first; alarms with their places. Those raised before today make the look one that is noted."""
    wanted, limit = _wanted(request, await site_of(request, Thing.ALERT)), page_limit(request)
    before = _decode(request.query.get("cursor"))
    found = await store.page(seen(request), wanted, before=before, limit=limit + 1)
    page = found[:limit]
    shown = await _shown(request.app[ALERTS].opener, page)
    zone = request.app[ACCESS].settings.zone
    today = datetime.now(zone).date()
    request[SHOWS_PAST] = any(each.raised_at.astimezone(zone).date() < today for each in page)
    return json_response({"alerts": shown, **({"cursor": _encode(page[-1])} if len(found) > limit else {})})


async def acknowledge(request: web.Request) -> web.Response:
    """Take an alarm or an alert: who does so first has it."""
    person = caller(request, Person)
    alerts, comment = request.app[ALERTS], await _comment(request)
    found = await _own(alerts.database, person, request.match_info["id"])
    if found.state == "open":
        await _take(alerts.commands, found, person, comment)
        found = await _own(alerts.database, person, found.id)
    (shown,) = await _shown(alerts.opener, [found])
    return json_response(shown)


async def assign(request: web.Request) -> web.Response:
    """Give an alarm or an alert to a colleague or a desk to take: it stays open, and they are told."""
    person, alerts = caller(request, Person), request.app[ALERTS]
    asked = _assigning(await read_object(request))
    found = await _own(alerts.database, person, request.match_info["id"])
    if found.state == "settled":
        raise AlertSettled
    if asked.to != found.assigned_to or asked.comment:
        await _give(alerts, found, asked, person)
        found = await _own(alerts.database, person, found.id)
    (shown,) = await _shown(alerts.opener, [found])
    return json_response(shown)


async def own_alarms(request: web.Request) -> web.Response:
    """List the carrier's own newest alarms, with who has each of them."""
    device = caller(request, Device)
    found = await alarms.of_carrier(seen(request), device.site, device.carrier, limit=_OWN)
    return json_response({"alarms": [_own_alarm(each) for each in found]})


def _own_alarm(alarm: OwnAlarm) -> dict[str, Any]:
    at = alarm.acknowledged_at
    taken = {"by": alarm.name or alarm.role, "role": alarm.role, "at": format_time(at)} if at is not None else None
    return {
        "id": alarm.id,
        "kind": alarm.kind,
        "raised_at": format_time(alarm.raised_at),
        "told": alarm.told,
        "taken": taken,
    }


async def _take(commands: Commands, found: Alert, person: Person, comment: str | None) -> None:
    """Say as a fact of the alert's subject that somebody has it; its service decides."""
    actor = Actor(person.role, entered_by=person.account_id)
    said = {"comment": comment} if comment else {}
    if found.service == "alarm":
        data = {"alarm_id": found.id, "acknowledged_by": person.account_id} | said
        await commands.send("alarm.acknowledged", data, actor=actor, site=found.site, run=found.run)
    else:
        data = {"alert_id": found.id, "by": person.account_id} | said
        await commands.send(
            alerting.NAME,
            data,
            actor=actor,
            site=found.site,
            run=found.run,
            handler=found.service,
            subject=found.subject,
        )


async def _give(alerts: Alerts, found: Alert, asked: Assigning, person: Person) -> None:
    """Say as a fact of the alert's subject who is to take it. Invalid for somebody who may not."""
    contact = await colleagues.contact_of(alerts.database, found.site, asked.to)
    if contact is None:
        raise Invalid("Not valid: to names nobody who may take it.", reason="unknown_colleague")
    data: dict[str, Any] = {"alert_id": found.id, **asked.model_dump(exclude_none=True)}
    if contact and asked.to not in (person.account_id, found.assigned_to):
        at = format_time(found.raised_at)
        words = alerting.words_of(found.id, found.kind, level=found.level, run=found.run, raised_at=at)
        data["told"] = {"contact": dict(contact), "words": words}
    await alerts.commands.send(
        alerting.ASSIGNED,
        data,
        actor=Actor(person.role, entered_by=person.account_id),
        site=found.site,
        run=found.run,
        handler=found.service,
        subject=found.subject,
    )


def _assigning(sent: Mapping[str, Any]) -> Assigning:
    try:
        return Assigning.model_validate(sent)
    except ValidationError as error:
        members = sorted({fault.member for fault in faults_of(Assigning, error)})
        raise Invalid(f"Not valid: {', '.join(members)}.", reason="bad_payload") from None


async def _comment(request: web.Request) -> str | None:
    """Read the comment that a body may hold. UnsupportedMedia, TooLarge, BadRequest, Invalid."""
    if not request.can_read_body:
        return None
    try:
        return Taking.model_validate(await read_object(request)).comment
    except ValidationError:
        raise Invalid("Not valid: comment.", reason="bad_payload") from None


def _wanted(request: web.Request, site: str | None) -> Wanted:
    asked = {name: request.query.get(name) for name in ("kind", "level", "run")}
    if any(value is not None and not value.isprintable() for value in asked.values()):
        raise BadRequest("A filter is printable text.")
    state = request.query.get("state", "all")
    if state not in ("all", *_STATES):
        raise BadRequest("The state is open, acknowledged, settled or all.")
    return Wanted(site, None if state == "all" else state, **asked)


async def _own(database: Database, person: Person, alert_id: str) -> Alert:
    found = await store.read(database.seen_by(viewer_of(person)), alert_id.replace("\x00", ""))
    if found is None or found.site not in sites_of(person, Thing.ALERT):
        raise NotFound
    return found


async def _shown(opener: Opener, page: Sequence[Alert]) -> list[dict[str, Any]]:
    """Describe alerts; of alarms with what the phone said of place and note, which is sealed."""
    places = [each.event for each in page if each.service == "alarm"]
    comments = [each.comment_event for each in page if each.comment_event is not None]
    opened = await opener.open_parts([(each, FIELD_PART) for each in dict.fromkeys((*places, *comments))])
    found = {event: parts.get("personal") or {} for (event, _), parts in opened.items()}
    return [_alert(each, found) for each in page]


def _alert(alert: Alert, opened: Mapping[UUID, Mapping[str, Any]]) -> dict[str, Any]:
    """Write an alert for a screen; what nobody said, or what was erased, is null."""
    personal = opened.get(alert.event, {}) if alert.service == "alarm" else {}
    said = opened.get(alert.comment_event, {}) if alert.comment_event else {}
    return {
        "id": alert.id,
        "kind": alert.kind,
        "level": alert.level,
        "state": alert.state,
        "subject": alert.shown_subject,
        "run_id": alert.run,
        "site": alert.site,
        "carrier": alert.carrier,
        "raised_at": format_time(alert.raised_at),
        "rung": alert.rung,
        "told": alert.told,
        "acknowledged_at": format_time(alert.acknowledged_at) if alert.acknowledged_at is not None else None,
        "acknowledged_by": alert.acknowledged_by,
        "assigned_to": alert.assigned_to,
        "assigned_at": format_time(alert.assigned_at) if alert.assigned_at is not None else None,
        "comment": said.get("comment"),
        "settled_at": format_time(alert.settled_at) if alert.settled_at is not None else None,
        "stop_id": alert.stop_id,
        "address": alert.address,
        "note": personal.get("note"),
        "place": _place(personal.get("fix")),
    }


def _place(fix: Any) -> dict[str, Any] | None:
    if not isinstance(fix, Mapping):
        return None
    return {name: fix.get(name) for name in ("lat", "lon", "accuracy_m", "fixed_at")}


def _encode(alarm: Alert) -> str:
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
    web.post("/v1/alerts/{id}/assign", assign),
    web.get("/v1/me/alarms", own_alarms),
]
