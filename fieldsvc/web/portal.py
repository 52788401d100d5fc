"""The pages of subscribers, `/integrations`: what they all need, and the list of endpoints with how each is doing."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Person
from fieldsvc.errors import NotFound
from fieldsvc.journal.histories import Histories
from fieldsvc.journal.reader import Reader
from fieldsvc.journal.sealed import Vault
from fieldsvc.publishing.endpoints import Endpoints, Status
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replaying import Replaying
from fieldsvc.settings import Settings
from fieldsvc.store.attempts import DAYS_KEPT, Logged, Search, Share
from fieldsvc.store.endpoints import Endpoint
from fieldsvc.web.asking import NEWEST, opened, sealed
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.catalogue import CATALOGUE
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from handlers.registry import Registry

A_PAGE, A_DAY = 25, timedelta(hours=24)
OPEN, FAILING = "open", "failing"
REMEDIES = frozenset("dns connect tls timeout reset protocol address 401 403 404 410 413 429 3xx 4xx 5xx".split())


@dataclass(frozen=True, slots=True, kw_only=True)
class Portal:
    """What the pages are made from: the same functions as the interface for programs."""

    endpoints: Endpoints
    replaying: Replaying
    reader: Reader
    histories: Histories
    renderer: Renderer
    vault: Vault
    registry: Registry
    settings: Settings


@dataclass(frozen=True, slots=True)
class Doing:
    """An endpoint and how it is doing: `state` is active, paused, disabled, open (nothing is sent for a moment) or failing."""

    endpoint: Endpoint
    status: Status
    share: Share
    oldest: datetime | None  # since when the oldest waiting event is known
    now: datetime
    failed: Logged | None = None  # the newest failure, of one that suffers

    @property
    def state(self) -> str:
        if self.endpoint.state != "active":
            return self.endpoint.state
        if self.status.health.opened_at is not None:
            return OPEN
        return FAILING if self.status.health.failing_since is not None else "active"

    @property
    def since(self) -> datetime:
        health = self.status.health
        known = {OPEN: health.opened_at, FAILING: health.failing_since}.get(self.state)
        return known or self.endpoint.since or self.endpoint.created_at

    @property
    def suffers(self) -> bool:
        """Whether somebody should look at it; a pause was somebody's will."""
        return self.state not in ("active", "paused")

    @property
    def waiting(self) -> int:
        """How many events wait: behind the cursor, and apart with their subjects."""
        return self.status.standing.backlog + self.status.health.parked + self.status.behind

    @property
    def remedy(self) -> str:
        """Name what the newest failure asks of who runs the receiver."""
        if self.failed is None:
            return ""
        if self.failed.status is None:
            return self.failed.error if self.failed.error in REMEDIES else ""
        status = str(self.failed.status)
        return next(each for each in (status, f"{status[0]}xx", "") if each in REMEDIES or not each)

    @property
    def percent(self) -> int | None:
        """How much of a day's requests was taken, rounded down: 100 means all of them."""
        return self.share.taken * 100 // self.share.sent if self.share.sent else None


PORTAL = web.AppKey("PORTAL", Portal)
routes = web.RouteTableDef()


@routes.get("/integrations", name="page.integrations")
async def show_endpoints(request: web.Request) -> web.Response:
    """Show an account's people its endpoints: the state of each, since when, why, and what waits."""
    person, account = member(request)
    place = opened(request.query.get("cursor", ""))
    found = await request.app[PORTAL].endpoints.page(account, after=place[0] if place else "", limit=A_PAGE)
    doings = [await doing_of(request, each) for each in found]
    following = sealed([found[-1].id]) if len(found) == A_PAGE else None
    kept = {"cursor": request.query["cursor"]} if place else {}
    return show(request, "list", person, doings=doings, following=following, kept=kept, done=done_of(request))


def member(request: web.Request) -> tuple[Person, str]:
    """Return who is signed in and the account that they belong to. NotFound for somebody without one."""
    person = caller(request, Person)
    if not person.account:
        raise NotFound
    return person, person.account


async def own_endpoint(request: web.Request) -> tuple[Person, Endpoint]:
    """Return who is signed in and the endpoint of the path, which is their account's. NotFound."""
    person, account = member(request)
    return person, await request.app[PORTAL].endpoints.read(account, request.match_info["id"])


async def doing_of(request: web.Request, endpoint: Endpoint) -> Doing:
    """Tell how an endpoint is doing."""
    now, endpoints = datetime.now(UTC), request.app[PORTAL].endpoints
    status = await endpoints.status(endpoint)
    lag_s = status.standing.lag_s
    doing = Doing(
        endpoint,
        status,
        await endpoints.share(endpoint, now - A_DAY),
        now - timedelta(seconds=lag_s) if lag_s else None,
        now,
    )
    if not doing.suffers:
        return doing
    search = Search(since=now - timedelta(days=DAYS_KEPT), before=(NEWEST, "", 0), failed=True)
    newest = await endpoints.attempts(endpoint.account, endpoint.id, search, limit=1)
    return replace(doing, failed=newest[0] if newest else None)


async def note(request: web.Request, person: Person, action: str, endpoint_id: str) -> None:
    """Note in the audit log who of the account did what to an endpoint."""
    entry = Entry(
        person.account_id, person.role, f"endpoint.{action}", f"endpoint/{endpoint_id}", reason=person.account
    )
    await audit.note(request.app[ACCESS].database, entry)


def known_types(request: web.Request) -> dict[str, str]:
    """Name the types that a subscriber can receive, in the reader's language, without the prefix and version."""
    received = request.app[CATALOGUE].listing(language_of(request))["received"]
    return {name.removeprefix("fieldsvc.").rpartition(".v")[0]: title for name, title in received}


def done_of(request: web.Request) -> str:
    """Name what was just done, as far as it is one of ours: the page that is led to says it."""
    said = request.query.get("done", "")
    return said if said in DONE else ""


def led_to(path: str) -> web.Response:
    """Lead to another page of ours after a form."""
    return web.Response(status=303, headers={"Location": path, "Cache-Control": "no-store"})


def show(
    request: web.Request,
    name: str,
    person: Person,
    *,
    status: int = 200,
    kept: dict[str, str] | None = None,
    **more: Any,
) -> web.Response:
    """Render a page of the portal; times are said in the zone of the service."""
    settings = request.app[ACCESS].settings
    return render(
        request,
        f"portal_{name}.html",
        status=status,
        person=person,
        kept=kept,
        zone=settings.zone,
        settings=settings,
        **more,
    )


DONE = frozenset(
    "changed paused resumed resumed_gap skipped recovered side rewound cancelled removed tested test_failed resent resend_failed".split()
)
