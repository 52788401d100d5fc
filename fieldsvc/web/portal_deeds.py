"""What a subscriber's person does to an endpoint by a form: each deed is noted, acts at once, and leads back to the page."""

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import BadRequest, Conflict, FieldsvcError
from fieldsvc.publishing.endpoints import OVERLAP_S
from fieldsvc.publishing.keys import open_keys
from fieldsvc.publishing.replaying import Replaying, Wanted
from fieldsvc.store.endpoints import Endpoint
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.endpoint_bodies import WEEK_S
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.portal import PORTAL, known_types, led_to, member, note, own_endpoint, show
from fieldsvc.web.portal_endpoint import ENDPOINT, FILTERS, endpoint_page
from fieldsvc.web.portal_form import (
    CONDITIONS,
    OPERATORS,
    asked_of,
    blame,
    blank,
    groups_of,
    titles_of,
    values_of,
)
from fieldsvc.web.portal_once import SHOWN_FOR, acted_once, token_of
from fieldsvc.web.portal_snippets import SNIPPETS
from fieldsvc.work.errors import KeyInUse

NEW = "/integrations/endpoints/new"
MOST_TICKED = 500  # of a form that has a box for each type
OVERLAPS: Mapping[str, float] = {"hour": 3600.0, "day": OVERLAP_S, "week": WEEK_S, "none": 0.0}
routes = web.RouteTableDef()


@routes.get(NEW, name="page.endpoint_new")
async def show_new(request: web.Request) -> web.Response:
    """Show the form of a new endpoint."""
    person, _account = member(request)
    return _form_page(request, person, blank())


@routes.post(NEW, name="page.endpoint_new")
async def make_endpoint(request: web.Request) -> web.Response:
    """Make an endpoint, and show its signing key, here only."""
    person, account = member(request)
    form = await read_form(request, most=MOST_TICKED)
    asked = asked_of(form, known_types(request))
    if not form.faults:
        try:
            made = await acted_once(request, account, form, lambda: _make(request, person, account, asked))
        except KeyInUse:
            raise
        except Conflict:
            form.faults["url"] = "portal_fault.too_many"
        except BadRequest as error:
            blame(form, error)
        else:
            endpoint = await request.app[PORTAL].endpoints.read(account, made["id"])
            return await _key_page(request, person, endpoint, is_new=True)
    return _form_page(request, person, form, status=422)


@routes.get(ENDPOINT + "/edit", name="page.endpoint_edit")
async def show_edit(request: web.Request) -> web.Response:
    """Show the form of an endpoint with what it has."""
    person, endpoint = await own_endpoint(request)
    form, fixed = values_of(endpoint, known_types(request))
    return _form_page(request, person, form, endpoint=endpoint, fixed=fixed)


@routes.post(ENDPOINT + "/edit", name="page.endpoint_edit")
async def change_endpoint(request: web.Request) -> web.Response:
    """Change an endpoint; it goes on where it stands."""
    person, endpoint = await own_endpoint(request)
    form = await read_form(request, most=MOST_TICKED)
    _, fixed = values_of(endpoint, known_types(request))
    asked = asked_of(form, known_types(request), fixed=fixed, change=True)
    if not form.faults:
        try:
            await request.app[PORTAL].endpoints.change(endpoint.account, endpoint.id, asked)
        except BadRequest as error:
            blame(form, error)
        else:
            await note(request, person, "changed", endpoint.id)
            return _back(endpoint, "changed")
    return _form_page(request, person, form, endpoint=endpoint, fixed=fixed, status=422)


@routes.post(ENDPOINT, name="page.endpoint_act")
async def act(request: web.Request) -> web.Response:
    """Do what the form names: pause, go on, send again, end a replay, or delete."""
    person, endpoint = await own_endpoint(request)
    form = await read_form(request)
    deed = _DEEDS.get(form.get("do"))
    if deed is None:
        raise BadRequest("This page has no such button.")
    try:
        done = await deed(request, endpoint, form)
    except (BadRequest, Conflict) as error:
        form.faults.setdefault("send_again" if form.get("do") == "again" else "acts", _why(error))
        done = ""
    if not done or form.faults:
        return await endpoint_page(request, form, status=422)
    if (deed_name := done.removesuffix("_gap")) in ("paused", "resumed", "removed"):
        await note(request, person, deed_name, endpoint.id)
    return led_to("/integrations?done=removed") if done == "removed" else _back(endpoint, done)


@routes.post(ENDPOINT + "/test", name="page.endpoint_test")
async def send_test(request: web.Request) -> web.Response:
    """Send a test event now, and lead to what came of it."""
    person, endpoint = await own_endpoint(request)
    await read_form(request)
    attempt = await request.app[PORTAL].endpoints.test(endpoint.account, endpoint.id)
    await note(request, person, "tested", endpoint.id)
    return _back(endpoint, "tested" if _took(attempt.status) else "test_failed")


@routes.post(ENDPOINT + "/resend", name="page.endpoint_resend")
async def resend_event(request: web.Request) -> web.Response:
    """Send one event once now, and lead to its page, or back to the list that it was chosen from."""
    _person, endpoint = await own_endpoint(request)
    form = await read_form(request)
    attempt = await _replaying(request).resend(endpoint.account, endpoint.id, form.text("event_id", most=60))
    done = "resent" if _took(attempt.status) else "resend_failed"
    if form.get("to") == "list":
        return _back(endpoint, done, **{name: form.get(name) for name in FILTERS if form.get(name)})
    return led_to(f"/integrations/endpoints/{endpoint.id}/events/{attempt.event_id}?{urlencode({'done': done})}")


@routes.get(ENDPOINT + "/secret", name="page.endpoint_keys")
async def show_keys(request: web.Request) -> web.Response:
    """Show which keys sign, and how a receiver checks the signature."""
    person, endpoint = await own_endpoint(request)
    return await _keys_page(request, person, endpoint, Form({"overlap": "day"}))


@routes.post(ENDPOINT + "/secret", name="page.endpoint_keys")
async def rotate_key(request: web.Request) -> web.Response:
    """Make a new signing key, and show it, here only; the old ones sign beside it for a while."""
    person, endpoint = await own_endpoint(request)
    form = await read_form(request)
    overlap = form.choice("overlap", OVERLAPS)
    if form.faults:
        return await _keys_page(request, person, endpoint, form, status=422)

    async def rotate() -> dict[str, Any]:
        await request.app[PORTAL].endpoints.rotate(endpoint.account, endpoint.id, overlap_s=OVERLAPS[overlap])
        await note(request, person, "rotated", endpoint.id)
        return {}

    await acted_once(request, endpoint.account, form, rotate)
    return await _key_page(request, person, endpoint, is_new=False)


async def _make(request: web.Request, person: Person, account: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Make an endpoint as the form asks, and return its id."""
    options = {name: value for name, value in asked.items() if value is not None and name not in ("url", "start")}
    made, _secret = await request.app[PORTAL].endpoints.create(
        account, asked["url"], start=asked.get("start"), options=options
    )
    await note(request, person, "created", made.id)
    return {"id": made.id}


async def _key_page(request: web.Request, person: Person, endpoint: Endpoint, *, is_new: bool) -> web.Response:
    """Show the newest key of an endpoint, if it was just made; else lead to the endpoint."""
    portal, fresh = request.app[PORTAL], datetime.now(UTC) - SHOWN_FOR
    (made, _until), *_ = (await portal.endpoints.status(endpoint)).keys
    keys = await open_keys(request.app[ACCESS].database, portal.vault, endpoint.id)
    if made < fresh:
        return led_to(f"/integrations/endpoints/{endpoint.id}")
    return show(
        request, "secret", person, endpoint=endpoint, secret=keys[0][0], is_new=is_new, snippets=SNIPPETS,
        status=201 if is_new else 200,
    )  # fmt: skip


def _form_page(
    request: web.Request,
    person: Person,
    form: Form,
    *,
    endpoint: Endpoint | None = None,
    fixed: frozenset[str] = frozenset(),
    status: int = 200,
) -> web.Response:
    known, portal = known_types(request), request.app[PORTAL]
    groups = groups_of(sorted(known.items()), titles_of(portal.registry, language_of(request)))
    shown = portal.endpoints.shown(endpoint) if endpoint is not None else None
    return show(
        request, "form", person, form=form, endpoint=endpoint, fixed=fixed, status=status, groups=groups, shown=shown,
        ticked=form.several.get("types", ()), rows=range(CONDITIONS), operators=OPERATORS,
        schedule=portal.settings.retry_schedule, once=token_of(form),
    )  # fmt: skip


async def _keys_page(
    request: web.Request, person: Person, endpoint: Endpoint, form: Form, *, status: int = 200
) -> web.Response:
    keys = (await request.app[PORTAL].endpoints.status(endpoint)).keys
    return show(
        request, "keys", person, endpoint=endpoint, keys=keys, form=form, overlaps=tuple(OVERLAPS), snippets=SNIPPETS,
        once=token_of(form), status=status,
    )  # fmt: skip


async def _pause(request: web.Request, endpoint: Endpoint, _form: Form) -> str:
    await request.app[PORTAL].endpoints.pause(endpoint.account, endpoint.id)
    return "paused"


async def _resume(request: web.Request, endpoint: Endpoint, form: Form) -> str:
    skip, (person, _account) = form.get("from") == "now", member(request)
    by = (person.account_id, person.role)
    _endpoint, resumed = await request.app[PORTAL].endpoints.resume(endpoint.account, endpoint.id, skip=skip, by=by)
    if skip:
        return "skipped"
    return "resumed_gap" if resumed.oldest else "resumed"


async def _again(request: web.Request, endpoint: Endpoint, form: Form) -> str:
    """Send again since a moment: what failed, everything beside the live events, or everything in order instead of them."""
    what = form.choice("what", ("failed", "side", "rewind"))
    since = _since(form, request.app[ACCESS].settings.zone)
    if since is None or form.faults:
        return ""
    replaying = _replaying(request)

    async def begin() -> dict[str, Any]:
        start = since.isoformat().replace("+00:00", "Z")
        match what:
            case "failed":
                await replaying.recover(endpoint.account, endpoint.id, since)
            case "side":
                await replaying.side(endpoint.account, endpoint.id, Wanted(start))
            case _:
                await replaying.rewind(endpoint.account, endpoint.id, start)
        return {}

    await acted_once(request, endpoint.account, form, begin)
    return _BEGUN[what]


def _replaying(request: web.Request) -> Replaying:
    """Return what sends again, as this person."""
    person, _account = member(request)
    return request.app[PORTAL].replaying.noted_as(person.account_id, person.role)


async def _cancel(request: web.Request, endpoint: Endpoint, form: Form) -> str:
    await _replaying(request).cancel(endpoint.account, endpoint.id, form.get("replay"))
    return "cancelled"


async def _remove(request: web.Request, endpoint: Endpoint, form: Form) -> str:
    if form.get("sure") != "yes":
        form.faults["sure"] = "portal_fault.sure"
        return ""
    await request.app[PORTAL].endpoints.remove(endpoint.account, endpoint.id)
    return "removed"


def _since(form: Form, zone: tzinfo) -> datetime | None:
    try:
        found = datetime.fromisoformat(form.get("from"))
        return (found if found.tzinfo else found.replace(tzinfo=zone)).astimezone(UTC)
    except (ValueError, OverflowError):
        form.faults["from"] = "portal_fault.moment"
        return None


def _why(error: FieldsvcError) -> str:
    return "portal_fault.busy" if isinstance(error, Conflict) else "portal_fault.again"


def _took(status: int | None) -> bool:
    return status is not None and 200 <= status < 300


def _back(endpoint: Endpoint, done: str, **kept: str) -> web.Response:
    return led_to(f"/integrations/endpoints/{endpoint.id}?{urlencode({**kept, 'done': done})}")


_BEGUN: Mapping[str, str] = {"failed": "recovered", "side": "side", "rewind": "rewound"}
_DEEDS: Mapping[str, Callable[[web.Request, Endpoint, Form], Awaitable[str]]] = {
    "pause": _pause,
    "resume": _resume,
    "again": _again,
    "cancel": _cancel,
    "remove": _remove,
}
