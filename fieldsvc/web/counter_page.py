"""`/counter`: a number or a ticket, then identity and signature, then it is handed over; and what goes back, and the waits.

Everything works with a scanner, which types and presses Enter, and without a script; drawing a signature alone needs one.
"""

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.provisioning import qr_svg
from fieldsvc.errors import NotFound
from fieldsvc.journal.commands import Refusal
from fieldsvc.media.drawing import LONGEST, read_strokes
from fieldsvc.reports.waits import Wait, Waits
from fieldsvc.requests.counter import CAPACITIES, DOCUMENTS, SIGNINGS, Arrival, Clerk, CounterDesk, Handing
from fieldsvc.requests.staff import NUMBER, Found
from fieldsvc.sites import EVERYWHERE
from fieldsvc.web.auth import caller
from fieldsvc.web.following import link_of, see_other
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, hour_words, moment_words
from fieldsvc.web.pages.page import language_of

COUNTER = web.AppKey("COUNTER", CounterDesk)
WAITS = web.AppKey("WAITS", Waits)
ACTS = ("hand_over", "shelve", "send_back")


async def counter(request: web.Request) -> web.Response:
    """Ask what somebody came for."""
    return render(request, "counter.html", person=caller(request, Person), form=Form())


async def find(request: web.Request) -> web.Response:
    """Lead to what a scanned or typed number, or a ticket, is for."""
    form, desk, clerk = await read_form(request), request.app[COUNTER], _clerk(request)
    code = form.text("code", most=400, missing="desk.counter.code_missing", too_long="desk.counter.code_unknown")
    found = await desk.find(code, clerk, datetime.now(UTC)) if code else None
    if found is None:
        form.faults.setdefault("code", "desk.counter.code_unknown")
        return render(request, "counter.html", status=422, person=caller(request, Person), form=form)
    return see_other(_path(*found))


async def show(request: web.Request) -> web.Response:
    """Show where an item lies, for whom it is, and what can be done with it."""
    found, arrival = await _found(request), _arrival(request, request.query.get("arrived", ""))
    return _page(request, found, arrival, Form())


async def act(request: web.Request) -> web.Response:
    """Hand an item over, put it on a shelf, or send it back."""
    form, desk = await read_form(request), request.app[COUNTER]
    async with desk.one_at_a_time(request.match_info["item_id"].upper()):
        return await _act(request, form, desk)


async def _act(request: web.Request, form: Form, desk: CounterDesk) -> web.Response:
    found, clerk = await _found(request), _clerk(request)
    arrival = _arrival(request, form.get("arrived"))
    deed = form.choice("act", ACTS)
    if found.is_over:
        return see_other(_path(found, arrival))
    try:
        if deed == "hand_over":
            await _hand_over(request, form, found, arrival)
        elif deed == "shelve" and (shelf := _shelf(form)):
            await desk.shelve(found, shelf, clerk)
        elif deed == "send_back" and not form.faults:
            await desk.send_back(found, clerk)
    except Refusal:
        form.faults["act"] = "desk.counter.refused"
    if form.faults:
        return _page(request, found, arrival, form, status=422)
    return see_other(_path(found, arrival))


async def going_back(request: web.Request) -> web.Response:
    """List what lies here longer than it is kept."""
    now, lang, desk = datetime.now(UTC), language_of(request), request.app[COUNTER]
    rows = [
        {
            "item_id": each.found.item_id,
            "shelf": each.found.shelf,
            "addressee": each.found.personal.get("addressee"),
            "kept_until": day_words((each.found.keeps_until or each.due_at).astimezone(desk.zone).date(), lang)
            if not each.is_over
            else None,
        }
        for each in await desk.going_back(_clerk(request), now)
    ]
    return render(request, "counter_back.html", person=caller(request, Person), rows=rows)


async def waits(request: web.Request) -> web.Response:
    """Show the mean wait by hour of this month, where enough people waited and enough clerks served."""
    now = datetime.now(UTC).astimezone(request.app[COUNTER].zone)
    hours = await request.app[WAITS].by_hour(_clerk(request).site, now.date().replace(day=1))
    return render(request, "counter_waits.html", person=caller(request, Person), hours=hours)


async def here(request: web.Request) -> web.Response:
    """Offer a customer to say that they are here; show the ticket of who did."""
    found = await _followed(request)
    ticket = request.app[COUNTER].arrival(request.query.get("ticket", ""))
    if ticket is not None and ticket.item_id != found.item_id:
        ticket = None
    return render(
        request,
        "counter_here.html",
        found=found,
        token=request.match_info["token"],
        ticket=ticket,
        qr=qr_svg(ticket.token) if ticket else None,
        since=_hour(request, ticket.at) if ticket else None,
        code=_spaced(request.app[COUNTER].code_of(ticket)) if ticket and not found.is_registered else None,
        kept={"ticket": ticket.token} if ticket else None,
    )


async def arrive(request: web.Request) -> web.Response:
    """Note on a ticket that a customer is here, from now on."""
    await read_form(request)
    found = await _followed(request)
    if not found.waits:
        return see_other(f"/suivi/{request.match_info['token']}/ici")
    ticket = request.app[COUNTER].arrive(found.item_id, announced=True)
    return see_other(f"/suivi/{request.match_info['token']}/ici?ticket={ticket.token}")


async def _hand_over(request: web.Request, form: Form, found: Found, arrival: Arrival | None) -> None:
    """Hand an item over if the form says everything; count the wait of who had announced that they came."""
    handing = _handing(form)
    if handing is not None and handing.signing == "code":
        await _check_code(request, form, found, arrival)
    if found.goes_back or not found.waits:
        form.faults["act"] = "desk.counter.not_here"
    if handing is None or form.faults:
        return
    clerk = _clerk(request)
    at = await request.app[COUNTER].hand_over(found, handing, clerk, arrival)
    if arrival is not None and arrival.announced and arrival.item_id == found.item_id:
        waited = Wait(found.subject, clerk.site, arrival.at, int((at - arrival.at).total_seconds()), clerk.account)
        await request.app[WAITS].count(waited)


async def _check_code(request: web.Request, form: Form, found: Found, arrival: Arrival | None) -> None:
    code = form.text("code", most=20, missing="desk.counter.sign_code_missing", too_long="desk.counter.sign_code_wrong")
    if found.is_registered:
        form.faults["signing"] = "desk.counter.sign_code_registered"
    elif code and not await request.app[COUNTER].agrees(found, code, arrival):
        form.faults["code"] = "desk.counter.sign_code_wrong"


def _handing(form: Form) -> Handing | None:
    first_name = form.text("first_name", most=100, missing="desk.counter.first_name_missing")
    surname = form.text("surname", most=100, missing="desk.counter.surname_missing")
    capacity = form.choice("capacity", CAPACITIES)
    document = form.choice("document", DOCUMENTS, missing="desk.counter.document_missing")
    signing = form.choice("signing", SIGNINGS, missing="desk.counter.signing_missing")
    drawn = form.text("drawing", most=LONGEST)
    strokes = read_strokes(drawn) if drawn and signing == "screen" else None
    if signing == "screen" and strokes is None:
        form.faults.setdefault("signing", "desk.counter.drawing_missing")
    if form.faults:
        return None
    return Handing(surname, first_name, capacity, document, signing, strokes)


def _shelf(form: Form) -> str:
    shelf = form.text("shelf", most=64, missing="desk.counter.shelf_missing").upper().replace(" ", "-")
    if shelf and not NUMBER.fullmatch(shelf):
        form.faults["shelf"] = "desk.counter.shelf_bad"
    return "" if form.faults else shelf


def _clerk(request: web.Request) -> Clerk:
    person = caller(request, Person)
    if person.site is None:
        raise NotFound
    return Clerk(person.account_id, person.site)


async def _found(request: web.Request) -> Found:
    number, desk = request.match_info["item_id"], request.app[COUNTER]
    found = await desk.staff.item(number, _clerk(request).sites, datetime.now(UTC))
    if found is None:
        raise NotFound
    return found


async def _followed(request: web.Request) -> Found:
    number = link_of(request).item_id
    found = await request.app[COUNTER].staff.item(number, EVERYWHERE, datetime.now(UTC)) if number else None
    if found is None:
        raise NotFound
    return found


def _arrival(request: web.Request, token: str) -> Arrival | None:
    return request.app[COUNTER].arrival(token) if token else None


def _page(
    request: web.Request, found: Found, arrival: Arrival | None, form: Form, *, status: int = 200
) -> web.Response:
    lang, zone = language_of(request), request.app[COUNTER].zone
    times: dict[str, Any] = {
        "since": _hour(request, arrival.at) if arrival and arrival.announced else None,
        "kept_until": day_words(found.keeps_until.astimezone(zone).date(), lang) if found.keeps_until else None,
        "ended_at": moment_words(found.last.occurred_at, zone, lang) if found.last else None,
    }
    return render(
        request,
        "counter_item.html",
        status=status,
        person=caller(request, Person),
        kept={"arrived": arrival.token} if arrival else None,
        found=found,
        arrived=arrival.token if arrival else "",
        form=form,
        documents=DOCUMENTS,
        capacities=CAPACITIES,
        words_now=found.lines[-1].words[lang] if found.lines else None,
        **times,
    )


def _spaced(code: str) -> str:
    return f"{code[:3]} {code[3:]}"


def _hour(request: web.Request, at: datetime) -> str:
    return hour_words(at, request.app[COUNTER].zone, language_of(request))


def _path(found: Found, arrival: Arrival | None) -> str:
    query = f"?arrived={arrival.token}" if arrival else ""
    return f"/counter/items/{quote(found.item_id, safe='')}{query}"


routes: list[web.RouteDef] = [
    web.get("/counter", counter, name="page.counter"),
    web.post("/counter", find, name="page.counter"),
    web.get("/counter/items/{item_id}", show, name="page.counter_item"),
    web.post("/counter/items/{item_id}", act, name="page.counter_item"),
    web.get("/counter/returns", going_back, name="page.counter_returns"),
    web.get("/counter/waits", waits, name="page.counter_waits"),
    web.get("/suivi/{token}/ici", here, name="page.suivi_here"),
    web.post("/suivi/{token}/ici", arrive, name="page.suivi_here"),
]
