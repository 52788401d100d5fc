"""Changing an order on `/partner`: its times and the word for the carrier, as long as it could be cancelled."""

from datetime import tzinfo

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import Conflict, Invalid, NotFound
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.partner import ORDERS, described, order_page, own_order, see, text_of
from fieldsvc.web.partner_new import REFUSED, window_of
from fieldsvc.web.tasks import TASKS
from fieldsvc.work.orders import Order

_TOO_LATE = "change_too_late"


async def show_change(request: web.Request) -> web.Response:
    """Ask for the times and the word, filled in. NotFound for an order that can no longer be changed."""
    person, _, order = await own_order(request)
    if not order.may_be_cancelled or not order.personal:
        raise NotFound
    return _page(request, person, order, Form(_now(order, request.app[ACCESS].settings.zone)))


async def change(request: web.Request) -> web.Response:
    """Change the order; the carrier's sheet has it at once. What was not asked here stays as it was."""
    person, orderer, order = await own_order(request)
    form = await read_form(request)
    if not order.may_be_cancelled or not order.personal:
        return order_page(request, person, order, fault=_TOO_LATE, status=409)
    window = window_of(request, form, order.row.day)
    notes = form.text("notes", most=280)
    if form.faults:
        return _page(request, person, order, form, status=422)
    try:
        await request.app[TASKS].change(order.row.id, {"window": window, "notes": notes or None}, orderer)
    except Conflict as refusal:
        if refusal.code in REFUSED:
            field, words = REFUSED[refusal.code]
            form.faults[field] = words
            return _page(request, person, order, form, status=422)
        fresh = await request.app[ORDERS].one(order.row.id, orderer)
        return order_page(request, person, fresh, fault=_TOO_LATE, status=409)
    except Invalid:
        form.faults["form"] = "partner.fault.refused"
        return _page(request, person, order, form, status=422)
    return see(f"/partner/orders/{order.row.id}")


def _now(order: Order, zone: tzinfo) -> dict[str, str]:
    """Return what stands in the order now."""
    row, notes = order.row, text_of(order.personal.get("notes"))
    if row.window_from is None or row.window_until is None:
        return {"notes": notes}
    begins, ends = (each.astimezone(zone).strftime("%H:%M") for each in (row.window_from, row.window_until))
    return {"from": begins, "until": ends, "notes": notes}


def _page(request: web.Request, person: Person, order: Order, form: Form, *, status: int = 200) -> web.Response:
    shown = described(order, language_of(request), request.app[ACCESS].settings.zone)
    return render(request, "partner_change.html", person=person, status=status, form=form, order=shown)


routes: list[web.RouteDef] = [
    web.get("/partner/orders/{id}/change", show_change, name="page.partner_change"),
    web.post("/partner/orders/{id}/change", change, name="page.partner_change"),
]
