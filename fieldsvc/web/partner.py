"""`/partner`: what a village pharmacy or a family ordered, how it stands, who had it when, and what they say of it themselves.

Everything here belongs to the account of the person who is signed in; the order of things is in `fieldsvc/work/orders.py`.
"""

import asyncio
import re
from datetime import UTC, date, datetime, tzinfo
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import Conflict, NotFound
from fieldsvc.store import account as accounts
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.day_pages import opened, sealed
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, hour_words, moment_words
from fieldsvc.web.pages.page import HEADERS, language_of
from fieldsvc.web.proofs import PDF, PROOFS
from fieldsvc.work import label
from fieldsvc.work.orders import Order, Orders
from fieldsvc.work.proofs import HANDED_OVER, Reader
from fieldsvc.work.tasks import Orderer
from handlers import proof, sandbox
from handlers.story import Actor

ORDERS = web.AppKey("ORDERS", Orders)
PAGE = 30
_ID = re.compile(r"tsk_[A-Za-z0-9]{1,60}")
_OWN_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}")


async def show_orders(request: web.Request) -> web.Response:
    """List the orders of the account, open ones or all, with what needs a look first; and what can be ordered."""
    return await list_page(request)


async def list_page(request: web.Request, *, form: Form | None = None, status: int = 200) -> web.Response:
    """Render the list, also with what is wrong with a number that was looked for."""
    person, orderer = await partner_of(request)
    orders, lang, zone = request.app[ORDERS], language_of(request), request.app[ACCESS].settings.zone
    is_open = request.query.get("show") != "all"
    found, following = await orders.page(
        orderer, is_open=is_open, after=opened(request.query.get("cursor"), start=date.max), limit=PAGE
    )
    shown = sorted((described(each, lang, zone) for each in found), key=lambda each: not each["look"])
    values: dict[str, Any] = {
        "orders": shown,
        "looks": sum(each["look"] for each in shown),
        "services": [(each.name, each.title[lang]) for each in orders.services(orderer)],
        "is_open": is_open,
        "more": sealed(*following) if following else None,
        "form": form or Form(),
    }
    return render(request, "partner_orders.html", person=person, status=status, **values)


async def find(request: web.Request) -> web.Response:
    """Lead to the order whose number was scanned or typed; the number is never in an address."""
    _, orderer = await partner_of(request)
    form = await read_form(request)
    wanted = form.text("number", most=64, missing="partner.fault.number")
    known = await request.app[ORDERS].find(wanted, orderer) if _OWN_ID.fullmatch(wanted) else None
    if known is not None:
        return see(f"/partner/orders/{known}")
    form.faults.setdefault("number", "partner.fault.unknown")
    return await list_page(request, form=form, status=422)


async def show_order(request: web.Request) -> web.Response:
    """Show one order: how it stands, its chain of custody, and what can be done now."""
    person, _, order = await own_order(request)
    return order_page(request, person, order)


async def print_label(request: web.Request) -> web.Response:
    """Give the label of a thing that is carried, A6, to print. NotFound where there is none, or it is over."""
    _, _, order = await own_order(request)
    if not has_label(order):
        raise NotFound
    lang, zone = language_of(request), request.app[ACCESS].settings.zone
    row = order.row
    made = label.Label(
        order.own_id,
        text_of(order.personal.get("addressee")),
        lines_of(order.personal.get("address")),
        day_words(row.day, lang),
        window_text(order, lang, zone),
        row.requirements,
        datetime.now(UTC),
    )
    body = await asyncio.to_thread(label.render, made, lang=lang)
    headers = {**HEADERS, "Content-Disposition": f'inline; filename="label-{order.own_id.replace(":", "-")}.pdf"'}
    return web.Response(body=body, content_type=PDF, headers=headers)


async def print_proof(request: web.Request) -> web.Response:
    """Give the signed proof that an item was handed over, as PDF. NotFound where there is none."""
    _, orderer, order = await own_order(request)
    if not has_proof(order):
        raise NotFound
    reader = Reader(account=orderer.actor.account)
    body = await request.app[PROOFS].as_pdf(order.own_id, reader, lang=language_of(request))
    headers = {**HEADERS, "Content-Disposition": f'attachment; filename="proof-{order.own_id.replace(":", "-")}.pdf"'}
    return web.Response(body=body, content_type=PDF, headers=headers)


async def cancel(request: web.Request) -> web.Response:
    """Take an order back before the carrier has it."""
    person, orderer, order = await own_order(request)
    await read_form(request)
    try:
        await request.app[ORDERS].cancel(order, orderer)
    except Conflict:
        fresh = await request.app[ORDERS].one(order.row.id, orderer)
        return order_page(request, person, fresh, fault="too_late", status=409)
    return see(f"/partner/orders/{order.row.id}")


async def say(request: web.Request) -> web.Response:
    """Say an event of the thing that its service offers now: handed to the carrier, taken back."""
    person, orderer, order = await own_order(request)
    form = await read_form(request)
    try:
        await request.app[ORDERS].say(order, form.get("event"), orderer)
    except Conflict:
        fresh = await request.app[ORDERS].one(order.row.id, orderer)
        return order_page(request, person, fresh, fault="not_now", status=409)
    return see(f"/partner/orders/{order.row.id}")


async def partner_of(request: web.Request) -> tuple[Person, Orderer]:
    """Tell who is signed in, and for which account they order. NotFound for somebody without one."""
    person = caller(request, Person)
    account = await accounts.by_id(request.app[ACCESS].database, person.account or "")
    if person.role != "partner" or account is None or account.revoked_at is not None:
        raise NotFound
    actor = Actor("partner", account.id, person.account_id)
    return person, Orderer(actor, account.scopes, sandbox=account.site == sandbox.SITE)


def see(path: str) -> web.Response:
    """Lead on after something was done, so that loading again does not do it twice."""
    return web.Response(status=303, headers={**HEADERS, "Location": path})


def described(order: Order, lang: str, zone: tzinfo) -> dict[str, Any]:
    """Write an order as the pages show it."""
    row, last = order.row, order.last
    stands = row.state if row.state in ("cancelled", "expired") or last is None else ""
    if stands == "planned" and row.seen_at is not None:
        stands = "seen"
    return {
        "id": row.id,
        "own_id": order.own_id,
        "service": order.handler.title[lang],
        "who": text_of(order.personal.get("addressee")),
        "day": day_words(row.day, lang),
        "on": row.day.isoformat(),
        "window": window_text(order, lang, zone),
        "stands": stands,
        "said": last.title[lang] if last and not stands else "",
        "look": order.needs_a_look,
        "at_risk": row.at_risk is not None,
        "comes_back": order.comes_back,
        "alert": order.steps[-1].title[lang] if order.steps and order.steps[-1].alert else "",
    }


def has_label(order: Order) -> bool:
    """Tell whether a label is of use: something is carried, the order is open, and its person is not erased."""
    return order.place is not None and order.row.state == "planned" and bool(order.personal)


def has_proof(order: Order) -> bool:
    """Tell whether a signed proof can be asked for: what happened last is a hand-over of an item."""
    return order.last is not None and order.last.name in HANDED_OVER


def text_of(value: Any) -> str:
    """Write a name or an address, given as text or in parts, on one line."""
    if isinstance(value, dict):
        return " ".join(str(each) for each in value.values() if isinstance(each, str | int))
    return str(value or "")


def lines_of(value: Any) -> list[str]:
    """Write an address line by line, as it was given; one given on a line is cut before its postcode."""
    lines = [each.strip() for each in text_of(value).splitlines() if each.strip()]
    if len(lines) == 1 and (found := re.search(r"[,\s]+(\d{5} .*)$", lines[0])):
        return [lines[0][: found.start()], found[1]]
    return lines


def window_text(order: Order, lang: str, zone: tzinfo) -> str:
    """Write between which times it is to be done; nothing where no time was agreed."""
    row = order.row
    if row.window_from is None or row.window_until is None:
        return ""
    begins, ends = (hour_words(each, zone, lang) for each in (row.window_from, row.window_until))
    return f"de {begins} à {ends}" if lang == "fr" else f"{begins} to {ends}"


def order_page(
    request: web.Request, person: Person, order: Order, *, fault: str | None = None, status: int = 200
) -> web.Response:
    """Show an order, with what could not be done to it."""
    lang, zone = language_of(request), request.app[ACCESS].settings.zone
    steps = [
        {
            "at": step.at.isoformat(),
            "when": moment_words(step.at, zone, lang),
            "title": step.title[lang],
            "by": step.by,
            "data": step.data,
            "alert": step.alert,
            "moved_to": step.moved_to,
            "proof": _proof_text(step.data.get("proof"), lang),
        }
        for step in order.steps
    ]
    values: dict[str, Any] = {
        "order": described(order, lang, zone) | {"address": lines_of(order.personal.get("address"))},
        "steps": steps,
        "place": order.place,
        "placed": order.row.round_id is not None,
        "sayable": [(each.name, each.title[lang]) for each in order.offers],
        "has_label": has_label(order),
        "has_proof": has_proof(order),
        "may_be_cancelled": order.may_be_cancelled,
        "fault": fault,
    }
    return render(request, "partner_order.html", person=person, status=status, **values)


def _proof_text(said: Any, lang: str) -> str:
    if not isinstance(said, dict):
        return ""
    return f"{said.get('score')} / 100. {proof.words(list(said.get('factors') or ()), lang)}"


async def own_order(request: web.Request) -> tuple[Person, Orderer, Order]:
    """Read the order that an address names, for who is signed in. NotFound for one that is not theirs."""
    person, orderer = await partner_of(request)
    task_id = request.match_info["id"]
    if not _ID.fullmatch(task_id):
        raise NotFound
    return person, orderer, await request.app[ORDERS].one(task_id, orderer)


routes: list[web.RouteDef] = [
    web.get("/partner", show_orders, name="page.partner"),
    web.post("/partner/find", find, name="page.partner_find"),
    web.get("/partner/orders/{id}", show_order, name="page.partner_order"),
    web.get("/partner/orders/{id}/label", print_label, name="page.partner_label"),
    web.get("/partner/orders/{id}/proof", print_proof, name="page.partner_proof"),
    web.post("/partner/orders/{id}/cancel", cancel, name="page.partner_cancel"),
    web.post("/partner/orders/{id}/say", say, name="page.partner_say"),
]
