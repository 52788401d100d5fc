"""Looks at what is somebody's are noted before they are answered, and what is older than today is shown only for a reason.

One line a route; the views know nothing of it, but for alerts, which say whether older ones were shown. Today's live list is not
noted: it shows rounds, and every screen reads it. Alerts of earlier days that are open still are noted once a person and day, for a
live page reads them each minute; with a reason, each time. The feed of an account that reads everybody's events is noted once a
day, before it begins: it may run for hours.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime

from aiohttp import web

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Account, Device, Person
from fieldsvc.errors import BadRequest
from fieldsvc.store import live
from fieldsvc.web.auth import ACCESS, CALLER

View = Callable[[web.Request], Awaitable[web.StreamResponse]]
CARRIER_KEY = web.AppKey("CARRIER_KEY", bytes)
REASONS = ("complaint", "item_search", "incident", "carrier_request", "planning", "legal")
SHOWS_PAST = web.RequestKey("SHOWS_PAST", bool)  # a view says so where the answer has something older than today
REPLAYED, RUNS_LISTED, STOPS_SEEN = "run.replayed", "runs.listed", "run.stops_seen"
TIMELINE_SEEN, REQUESTS_SEEN = "run.timeline_seen", "run.requests_seen"
ALERTS_LISTED, FEED_READ, AUDIT_READ = "alerts.listed", "feed.read", "audit.read"
ITEM_EXPLAINED, NAMES_LOOKED_UP = "item.explained", "names.looked_up"
_RUN_DAY = re.compile(r"run-(\d{4}-\d\d-\d\d)-", re.ASCII)


class ReasonRequired(BadRequest):
    """What is older than today is shown for a reason, which is noted: `reason` is one of `reasons`."""

    code = "reason_required"


@dataclass(frozen=True, slots=True)
class Look:
    """What is noted of a route: `subject` takes names of the path and of the query. `by`: whose looks; `only` when so."""

    action: str
    subject: str
    by: frozenset[type] = frozenset({Person, Account})
    only: Callable[[web.Request, web.StreamResponse], bool] = field(default=lambda _request, _answer: True)


_PEOPLE: frozenset[type] = frozenset({Person})


def _is_csv(_request: web.Request, answer: web.StreamResponse) -> bool:
    return answer.content_type == "text/csv"


def _reads_closely(request: web.Request, _answer: web.StreamResponse) -> bool:
    caller = request.get(CALLER)
    return isinstance(caller, Account) and not caller.scopes.isdisjoint(("health", "operator"))


def _shows_past(request: web.Request, _answer: web.StreamResponse) -> bool:
    return bool(request.get(SHOWS_PAST)) or _asks_past(request)


def _asks_past(request: web.Request) -> bool:
    """Tell whether a list of alerts can only be of the past: those of a run of an earlier day, but for the open ones."""
    run = _RUN_DAY.match(request.query.get("run", ""))
    return run is not None and run[1] < _today(request).isoformat() and request.query.get("state") != "open"


class Today:
    """Which looks of the day were noted by this process, of those that are noted once a day."""

    def __init__(self) -> None:
        self._day, self._noted = date.min, set[tuple[str, str]]()

    def noted(self, day: date) -> set[tuple[str, str]]:
        """Give those of a day, by account and action; those of another day are forgotten."""
        if day != self._day:
            self._day, self._noted = day, set()
        return self._noted


TODAY = web.AppKey("TODAY", Today)
LOOKS: Mapping[str, Look] = {
    "/v1/runs/{id}/replay": Look(REPLAYED, "run/{id}"),
    "/v1/runs/{id}/stops": Look(STOPS_SEEN, "run/{id}"),
    "/v1/runs/{id}/timeline": Look(TIMELINE_SEEN, "run/{id}"),
    "/v1/runs/{id}/requests": Look(REQUESTS_SEEN, "run/{id}"),
    "/v1/runs": Look(RUNS_LISTED, "day/{day}"),
    "/v1/roster": Look(RUNS_LISTED, "roster/{day}"),
    "/v1/alerts": Look(ALERTS_LISTED, "alerts/{site}", only=_shows_past),
    "/v1/items/{item_id}/proof": Look("proof.seen", "item/{item_id}"),
    "/v1/media/{sha256}": Look("picture.seen", "picture/{sha256}"),
    "/v1/cases/{id}": Look("case.seen", "case/{id}"),
    "/counter/items/{item_id}": Look("item.seen_at_counter", "item/{item_id}"),
    "/counter/returns": Look("items.listed_at_counter", "site/{site}"),
    "/adviser/items/{item_id}": Look(ITEM_EXPLAINED, "item/{item_id}"),
    "/adviser/items/{item_id}/change": Look(ITEM_EXPLAINED, "item/{item_id}"),
    "/adviser/changes/{id}": Look("delivery_change.seen", "delivery_change/{id}"),
    "/adviser/cases/{id}": Look("case.seen", "case/{id}"),
    "/v1/access-cases": Look("access_cases.listed", "site/{site}"),
    "/v1/address-changes": Look("address_changes.listed", "site/{site}"),
    "/v1/tasks": Look("tasks.listed", "tasks", _PEOPLE),
    "/v1/tasks/{id}": Look("task.seen", "task/{id}", _PEOPLE),
    "/partner": Look("tasks.listed", "tasks"),
    "/partner/orders/{id}": Look("task.seen", "task/{id}"),
    "/partner/orders/{id}/change": Look("task.seen", "task/{id}"),
    "/partner/orders/{id}/label": Look("task.seen", "task/{id}"),
    "/partner/orders/{id}/proof": Look("proof.seen", "task/{id}"),
    "/suivi/dossier/{ref}": Look("delivery_change.file_seen", "delivery_change/{ref}", _PEOPLE),
    "/v1/delivery-changes/{id}": Look("delivery_change.seen", "delivery_change/{id}", _PEOPLE),
    "/v1/events/{id}": Look("event.seen", "event/{id}", only=_reads_closely),
    "/integrations/endpoints/{id}/events/{event_id}": Look("event.seen", "event/{event_id}", _PEOPLE),
    "/v1/feed": Look(FEED_READ, "feed", frozenset({Account})),
    "/v1/kpis": Look("figures.exported", "figures/{from}", only=_is_csv),
    "/v1/audit": Look(AUDIT_READ, "audit/{from}"),
    "/v1/me/export": Look("carrier.exported", "device/{device}", frozenset({Device})),
}
OF_A_RUN = frozenset({REPLAYED, STOPS_SEEN, TIMELINE_SEEN, REQUESTS_SEEN})
HISTORY = OF_A_RUN | {RUNS_LISTED}
_ONLY_HISTORY = HISTORY - {REPLAYED}  # of today they are not noted


@web.middleware
async def noted(request: web.Request, handler: View) -> web.StreamResponse:
    """Answer a look once it is noted, and refuse history without a reason. What the view refuses is not noted."""
    resource = request.match_info.route.resource
    look = LOOKS.get(resource.canonical) if resource is not None and request.method in ("GET", "HEAD") else None
    if look is not None and look.action == FEED_READ:
        await _note_feed(request)
        return await handler(request)
    answer = await handler(request)
    if (
        look is None
        or answer.status >= 300
        or type(request.get(CALLER)) not in look.by
        or not look.only(request, answer)
    ):
        return answer
    entry = await _entry(request, look)
    if entry is not None:
        await _note(request, entry)
    return answer


async def _note(request: web.Request, entry: Entry) -> None:
    """Note a look; one at alerts of earlier days that gives no reason once a person and day."""
    key, noted = (entry.actor, f"{entry.action} {entry.subject}"), request.app[TODAY].noted(_today(request))
    is_once = entry.action == ALERTS_LISTED and entry.reason is None
    if not (is_once and key in noted):
        await audit.note(request.app[ACCESS].database, entry, soon=True)
    if is_once:
        noted.add(key)


async def _note_feed(request: web.Request) -> None:
    """Note once a day that an account with the scope `operator` reads the feed, by one key or another."""
    caller, today = request.get(CALLER), _today(request)
    if not isinstance(caller, Account) or "operator" not in caller.scopes:
        return
    noted = request.app[TODAY].noted(today)
    if (caller.account_id, FEED_READ) not in noted:
        entry = Entry(caller.account_id, caller.kind, FEED_READ, "feed", site=caller.site)
        await audit.note(request.app[ACCESS].database, entry, soon=True)
        noted.add((caller.account_id, FEED_READ))


async def _entry(request: web.Request, look: Look) -> Entry | None:
    """Write what is noted; nothing of today's list and panel. ReasonRequired for history without one."""
    caller, today = request.get(CALLER), _today(request)
    actor, role = named(caller)
    site, day, carrier, reason = getattr(caller, "site", None) or request.query.get("site"), today, None, None
    if look.action in OF_A_RUN:
        run = await live.run(request.app[ACCESS].database, request.match_info["id"], site=None)
        if run is not None:
            site, day, carrier = run.site, run.day, run.carrier
    elif look.action == RUNS_LISTED:
        asked = "from" if look.subject.startswith("roster/") else "day"
        day = date.fromisoformat(request.query.get(asked, today.isoformat()))
    elif isinstance(caller, Device):
        carrier = caller.carrier
    if look.action in HISTORY and day < today:
        reason = _reason(request)
    elif look.action in _ONLY_HISTORY:
        return None
    elif look.action == ITEM_EXPLAINED or (
        look.action in (ALERTS_LISTED, AUDIT_READ) and ("reason" in request.query or _asks_past(request))
    ):
        reason = _reason(request)
    names = {"site": site or "*", "from": "*", **request.query, **request.match_info}
    names |= {"day": day.isoformat(), "device": getattr(caller, "id", "")}
    ref = audit.carrier_ref(request.app[CARRIER_KEY], carrier, site) if carrier else None
    return Entry(actor, role, look.action, look.subject.format_map(names), reason, site, ref)


def named(caller: object) -> tuple[str, str]:
    """Name who calls and their role, as they are noted."""
    match caller:
        case Person():
            return caller.account_id, caller.role
        case Account():
            return caller.account_id, caller.kind
        case Device():
            return f"device/{caller.id}", "carrier"
    return audit.SERVICE, audit.SERVICE


def _today(request: web.Request) -> date:
    return datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()


def _reason(request: web.Request) -> str:
    reason = request.query.get("reason", "")
    if reason not in REASONS:
        raise ReasonRequired(reasons=list(REASONS))
    return reason
