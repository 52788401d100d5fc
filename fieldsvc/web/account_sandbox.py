"""`/integrations/sandbox`: an account of one's own to play in, and orders there that play out by themselves."""

from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from fieldsvc.access import sandboxes
from fieldsvc.errors import FieldsvcError, NotFound
from fieldsvc.journal.reader import Row
from fieldsvc.store.account import AccountRow
from fieldsvc.web.account_catalogue import REGISTRY
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.portal import PORTAL, led_to, member
from fieldsvc.web.portal_once import acted_once, token_of
from fieldsvc.web.tasks import TASKS
from fieldsvc.work.task_body import read_body
from fieldsvc.work.tasks import Orderer
from handlers import sandbox
from handlers.base import Handler
from handlers.story import Actor

PATH = "/integrations/sandbox"
ADDRESS = "12 rue du Moulin, 93500 Pantin"
SHOWN, READ, LOOKED_BACK = 20, 200, timedelta(days=30)
_ORDERS = frozenset({"item", "home_visit", "medication", "letter_code", "meter", "check_address"})


async def show_sandbox(request: web.Request) -> web.Response:
    """Show the sandbox: how it is made and entered, or inside it what was ordered and what became of it."""
    return await _page(request, Form())


async def make_sandbox(request: web.Request) -> web.Response:
    """Make the sandbox of the account, or enter the one that there is, as a member of it."""
    person, _ = member(request)
    await read_form(request)
    database = request.app[ACCESS].database
    made = await sandboxes.make_sandbox(database, person, [each.name for each in _services(request)])
    return led_to(f"/sign-in/{await sandboxes.entrance(database, person, made.id)}")


async def order(request: web.Request) -> web.Response:
    """Order something in the sandbox; within a minute it has played out."""
    person, account = member(request)
    form = await read_form(request)
    own = await sandboxes.sandbox_for(request.app[ACCESS].database, account)
    if own is None or own.id != account:
        raise NotFound
    offers = {f"{service} {end}": (service, end) for service, _, ends in offered(request) for end, _ in ends}
    chosen = form.choice("order", offers)
    address = form.text("address", most=120, missing="sandbox.fault.address")
    if form.faults:
        return await _page(request, form, status=422)
    service, end = offers[chosen]
    body = read_body({"service": service, "address": address, "details": {"sandbox": end}})
    orderer = Orderer(Actor("subscriber", account, person.account_id), own.scopes, sandbox=True)

    async def create() -> dict[str, Any]:
        return {"subject": (await request.app[TASKS].create(body, orderer))["subject"]}

    try:
        made = await acted_once(request, account, form, create)
    except FieldsvcError as error:
        if error.status >= 500:
            raise
        form.faults["order"] = "sandbox.fault.order"
        return await _page(request, form, status=422)
    return led_to(f"{PATH}?made={made['subject'].partition('/')[2]}")


async def _page(request: web.Request, form: Form, *, status: int = 200) -> web.Response:
    person, account = member(request)
    own = await sandboxes.sandbox_for(request.app[ACCESS].database, account)
    inside = own is not None and own.id == account
    stories = await _stories(request, own) if own is not None and inside else []
    made = request.query.get("made", "")
    return render(
        request,
        "account_sandbox.html",
        status=status,
        person=person,
        form=form,
        own=own,
        inside=inside,
        menu=offered(request) if inside else [],
        stories=stories,
        made=made if any(made == subject.partition("/")[2] for subject, _ in stories) else "",
        address=ADDRESS,
        once=token_of(form),
        zone=request.app[ACCESS].settings.zone,
    )


def offered(request: web.Request) -> list[tuple[str, str, list[tuple[str, str]]]]:
    """List what can be ordered: (service, its title, its ends as (name, title))."""
    lang = language_of(request)
    found = []
    for each in _services(request):
        ends = [said for said in each.events if said.closes_task and "device" in said.by]
        named = [(end.name.partition(".")[2], end.title[lang]) for end in ends]
        if named and each.name in _ORDERS:
            found.append((each.name, each.title[lang], named))
    return found


def _services(request: web.Request) -> list[Handler]:
    return [each for each in request.app[REGISTRY].handlers.values() if each.takes_tasks]


async def _stories(request: web.Request, own: AccountRow) -> list[tuple[str, list[Row]]]:
    """Tell the newest stories of a sandbox: each subject with its newest events, the newest subject first."""
    since = datetime.now(UTC).date() - LOOKED_BACK
    told: dict[str, list[Row]] = {}
    for row in await request.app[PORTAL].histories.newest_of(own.id, since=since, limit=READ):
        if sandbox.is_own(row.subject):
            told.setdefault(row.subject, []).append(row)
    return list(told.items())[-SHOWN:][::-1]


routes: list[web.RouteDef] = [
    web.get(PATH, show_sandbox, name="page.account_sandbox_show_sandbox"),
    web.post(PATH, make_sandbox, name="page.account_sandbox_show_sandbox"),
    web.post(f"{PATH}/orders", order, name="page.account_sandbox_order"),
]
