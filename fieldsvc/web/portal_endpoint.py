"""The pages of one endpoint: how it is doing, what was sent to it, and one event with its request and every answer to it."""

import re
import shlex
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.errors import NotFound
from fieldsvc.journal.reader import parse_evt_id
from fieldsvc.publishing.feed import viewer_of_view
from fieldsvc.publishing.filters import TypeFilter, view_of
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.formats.cloudevents import sealed_classes
from fieldsvc.publishing.keys import open_keys
from fieldsvc.publishing.signing import sign
from fieldsvc.store import endpoints as store
from fieldsvc.store.attempts import DAYS_KEPT, Logged, Search
from fieldsvc.store.endpoints import Config, Endpoint
from fieldsvc.web.asking import NEWEST, place_of, sealed
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form
from fieldsvc.web.portal import PORTAL, doing_of, done_of, known_types, own_endpoint, show
from fieldsvc.web.portal_once import token_of
from handlers.fields import FieldClass

ENDPOINT = "/integrations/endpoints/{id:ep_[0-9a-f]{32}}"
SHOWN, CHUNK, WAITING, LOOKED_FOR_S = 25, 200, 20, 2.0
STATUSES: Mapping[str, tuple[int, int]] = {"ok": (200, 299), "3xx": (300, 399), "4xx": (400, 499), "5xx": (500, 599)}
FAILED, FILTERS = "failed", ("status", "type", "about", "since", "until")
_CODE = re.compile(r"[1-5][0-9]{2}")
_NAME = re.compile(r"(evt_|rpl_)[0-9a-z_-]{1,80}")
routes = web.RouteTableDef()


@dataclass(frozen=True, slots=True)
class Line:
    """An attempt as it is listed: `types` are those of its events, none for one that is not in the journal (a test)."""

    attempt: Logged
    types: Sequence[str]

    @property
    def ok(self) -> bool:
        return self.attempt.status is not None and 200 <= self.attempt.status < 300


@dataclass(frozen=True, slots=True)
class Lines:
    """A page of attempts, the place of the next page, and how far was looked where the time was over before the page was full."""

    shown: Sequence[Line]
    following: str | None = None
    looked_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Sent:
    """One event as it is sent to an endpoint, signed at this moment. `is_cut`: what it says of health is not shown, nor signed."""

    type: str
    body: str
    raw: bytes
    headers: Sequence[tuple[str, str]]
    is_cut: bool


@routes.get(ENDPOINT, name="page.endpoint")
async def show_endpoint(request: web.Request) -> web.Response:
    """Show an endpoint: its state, what waits, its settings, and what was sent to it."""
    return await endpoint_page(request, Form())


async def endpoint_page(request: web.Request, form: Form, *, status: int = 200) -> web.Response:
    """Render the page of an endpoint; with the faults of a form that was sent from it."""
    person, endpoint = await own_endpoint(request)
    portal = request.app[PORTAL]
    sought = filters_of(request)
    return show(
        request, "endpoint", person, status=status, form=form, sought=sought, lines=await _lines(request, endpoint, sought),
        doing=await doing_of(request, endpoint), shown=portal.endpoints.shown(endpoint), done=done_of(request),
        parked=await portal.endpoints.parked(endpoint.account, endpoint.id, after="", limit=WAITING),
        letters=await portal.endpoints.given_up(endpoint.account, endpoint.id, before=(NEWEST, ""), limit=WAITING),
        replays=await portal.replaying.page(endpoint.account, endpoint.id, before="", limit=5),
        schedule=endpoint.schedule or portal.settings.retry_schedule, is_filtered=any(sought.values.values()),
        kept={name: value for name, value in sought.values.items() if value},
        once=token_of(form), known=known_types(request),
    )  # fmt: skip


@routes.get(ENDPOINT + "/events/{event_id}", name="page.endpoint_event")
async def show_event(request: web.Request) -> web.Response:
    """Show one event: the request as it is sent, the signature explained, and each answer."""
    person, endpoint = await own_endpoint(request)
    event_id = request.match_info["event_id"]
    if not _NAME.fullmatch(event_id) or not event_id.startswith("evt_"):
        raise NotFound
    search = Search(since=_oldest(), before=(NEWEST, "", 0), event_id=event_id)
    found = await request.app[PORTAL].endpoints.attempts(endpoint.account, endpoint.id, search, limit=SHOWN)
    sent = await _sent(request, endpoint, event_id)
    if not found and sent is None:
        raise NotFound
    inside = next((each.event_ids for each in found if each.event_id == event_id), ())
    return show(
        request, "event", person, endpoint=endpoint, event_id=event_id, attempts=found, sent=sent, inside=inside,
        types=await types_of(request, inside),
        curl=_curl(endpoint.url, sent) if sent is not None and not sent.is_cut else None, done=done_of(request),
    )  # fmt: skip


def filters_of(request: web.Request) -> Form:
    """Read what of the attempts is asked for; what cannot be read is a fault beside its field, and is not used."""
    form = Form({name: request.query.get(name, "").replace("\x00", "").strip()[:200] for name in FILTERS})
    status = form.get("status")
    if status and status not in (*STATUSES, FAILED) and not _CODE.fullmatch(status):
        form.faults["status"] = "portal_fault.status"
    for name in ("since", "until"):
        if form.get(name) and _moment(form.get(name), request.app[ACCESS].settings.zone) is None:
            form.faults[name] = "portal_fault.moment"
    return form


async def types_of(request: web.Request, names: Collection[str]) -> dict[str, str]:
    """Find the types of events, by the ids with which they are sent."""
    parsed = {name: found for name in names if (found := parse_evt_id(name)) is not None}
    ids = {event_id for event_id, _part in parsed.values()}
    rows = await request.app[PORTAL].histories.of_events(ids) if ids else []
    known = {(row.event_id, row.part): row.type for row in rows}
    return {name: known[found] for name, found in parsed.items() if found in known}


async def lines_of(request: web.Request, attempts: Sequence[Logged], *, of_each: bool) -> list[Line]:
    """Name the types of attempts: of a batch that of its first event, or with `of_each` those of all of them."""
    inside = [(each.event_ids or (each.event_id,))[: None if of_each else 1] for each in attempts]
    types = await types_of(request, {name for names in inside for name in names})
    return [
        Line(each, tuple(dict.fromkeys(types[name] for name in names if name in types)))
        for each, names in zip(attempts, inside, strict=True)
    ]


async def _lines(request: web.Request, endpoint: Endpoint, form: Form) -> Lines:
    """List a page of attempts, newest first. Those of a type are looked for until the page is full, or the time is over."""
    search, wanted = _search(request, form), _wanted(form)
    lines, deadline = list[Line](), time.monotonic() + LOOKED_FOR_S
    while True:
        limit = CHUNK if wanted else SHOWN + 1
        found = await request.app[PORTAL].endpoints.attempts(endpoint.account, endpoint.id, search, limit=limit)
        named = await lines_of(request, found, of_each=wanted is not None)
        lines += [line for line in named if wanted is None or any(map(wanted.matches, line.types))]
        if len(lines) > SHOWN:
            return Lines(lines[:SHOWN], _place(lines[SHOWN - 1].attempt))
        if len(found) < limit:
            return Lines(lines)
        if time.monotonic() > deadline:
            return Lines(lines, _place(found[-1]), looked_until=found[-1].at)
        search = replace(search, before=(found[-1].at, found[-1].event_id, found[-1].n))


def _wanted(form: Form) -> TypeFilter | None:
    """Read which types are asked for: names or patterns, short or whole."""
    asked = form.get("type").replace(",", " ").split()
    return TypeFilter(each.removeprefix("fieldsvc.").removesuffix(".v1") for each in asked) if asked else None


def _place(attempt: Logged) -> str:
    return sealed([attempt.at.isoformat(), attempt.event_id, attempt.n])


def _search(request: web.Request, form: Form) -> Search:
    zone, status, about = request.app[ACCESS].settings.zone, form.get("status"), form.get("about")
    since, until = (_moment(form.get(name), zone) for name in ("since", "until"))
    code = (int(status), int(status)) if _CODE.fullmatch(status) else STATUSES.get(status)
    is_replay, is_event = about.startswith("rpl_"), about.startswith("evt_")
    return Search(
        since=since or _oldest(),
        before=place_of(request.query.get("cursor", ""), newest=until or NEWEST),
        status=code,
        failed=status == FAILED,
        event_id=about if is_event else None,
        subject=about or None if not (is_event or is_replay) else None,
        replay=about if is_replay else None,
    )


def _moment(text: str, zone: tzinfo) -> datetime | None:
    """Read a moment as a browser's field sends it, in the zone of the service."""
    try:
        found = datetime.fromisoformat(text)
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _oldest() -> datetime:
    return datetime.now(UTC) - timedelta(days=DAYS_KEPT + 1)


async def _sent(request: web.Request, endpoint: Endpoint, event_id: str) -> Sent | None:
    """Write an event as it is sent to this endpoint; None for one that is no longer kept, or that the account may not see.

    What it says of health is left out: for people it needs more than this page.
    """
    portal = request.app[PORTAL]
    config = (await store.configs(request.app[ACCESS].database, [endpoint.id])).get(endpoint.id)
    if config is None:
        raise NotFound
    full = view_of(config)
    view = replace(full, health=False)
    row = await portal.reader.event(event_id, viewer_of_view(view))
    if row is None or not view.sees(row) or not FORMATS[config.format].wants(row):
        return None
    raw = (await portal.renderer.readable([row], view, config.format))[0]
    if not raw:
        return None
    is_cut = full.health and FieldClass.HEALTH in sealed_classes(row)
    return Sent(row.type, _indented(raw), raw, await _headers(request, config, event_id, raw), is_cut)


async def _headers(request: web.Request, config: Config, event_id: str, body: bytes) -> list[tuple[str, str]]:
    """Write the headers of a request that were made now; of those that the subscriber gave, the names alone."""
    portal, now = request.app[PORTAL], int(datetime.now(UTC).timestamp())
    keys = await open_keys(request.app[ACCESS].database, portal.vault, config.id)
    endpoint = await portal.endpoints.read(config.account, config.id)
    given = portal.endpoints.shown(endpoint)
    names = [*given.headers, *(["Authorization"] if given.bearer else [])]
    return [
        ("Content-Type", f"{FORMATS[config.format].media_type}; charset=utf-8"),
        ("webhook-id", event_id),
        ("webhook-timestamp", str(now)),
        ("webhook-signature", sign([key for key, _until in keys], event_id, timestamp=now, body=body)),
        *((name, "…") for name in names),
    ]


def _indented(raw: bytes) -> str:
    try:
        found: Any = orjson.loads(raw)
    except ValueError:
        return raw.decode(errors="replace")
    return orjson.dumps(found, option=orjson.OPT_INDENT_2).decode()


def _curl(url: str, sent: Sent) -> str:
    lines = [
        f"curl -i {shlex.quote(url)}",
        *(f"  -H {shlex.quote(f'{name}: {value}')}" for name, value in sent.headers),
    ]
    return " \\\n".join([*lines, f"  --data-binary {shlex.quote(sent.raw.decode())}"])
