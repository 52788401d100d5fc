"""Ordering on `/partner`: one form a service, its address found and chosen, the answers checked, and one order however often sent.

Every step is a POST of the same page that carries what was answered, so that no name and no address stands in an address line.
"""

import re
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import Conflict, Forbidden, Invalid, NotFound
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.order_fields import Drawn, answered, defaults, drawn, taken
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.partner import ORDERS, partner_of, see
from fieldsvc.web.tasks import TASKS
from fieldsvc.work.errors import KeyReused
from fieldsvc.work.idempotency import once
from fieldsvc.work.placement import Placer
from fieldsvc.work.task_body import read_body
from fieldsvc.work.tasks import Orderer
from geo.addresses import ACCEPT_SCORE, one_line
from handlers.base import Handler

PLACER = web.AppKey("PLACER", Placer)
AS_TYPED, MOST_PLACES, AHEAD = "typed", 5, timedelta(days=180)
_COMMON = ("addressee", "address", "on", "from", "until", "contact_name", "contact_phone", "notes", "order_ref")
_CLOCK = re.compile(r"([01]?\d|2[0-3])\s*[:hH.]\s*([0-5]\d)?")
_PHONE = re.compile(r"\+?[0-9 .()-]{6,20}")
_KEY = re.compile(r"[A-Za-z0-9_-]{16,64}")
REFUSED: Mapping[
    str, tuple[str, str]
] = {  # what the service may answer: the field that it is about, and the words' key
    "no_desk_open": ("from", "partner.fault.no_desk_open"),
    "service_not_enabled": ("address", "partner.fault.service_not_enabled"),
    "consent_not_dated": ("about_consent_on", "partner.fault.field"),
    "idempotency_key_reused": ("form", "partner.fault.sent"),
    "idempotency_key_in_use": ("form", "partner.fault.being_sent"),
}


@dataclass(frozen=True, slots=True)
class About:
    """Who orders what; `key` makes of a form that is sent twice one order."""

    person: Person
    handler: Handler
    form: Form
    key: str


async def show_form(request: web.Request) -> web.Response:
    """Show the form of a service, with the day of today or tomorrow. NotFound for one that cannot be ordered."""
    person, _, handler = await _about(request)
    fields = drawn(handler, language_of(request))
    several = defaults(fields)
    form = Form(
        {name: values[-1] for name, values in several.items() if values} | {"on": _today(request).isoformat()}, several
    )
    return _page(request, "form", About(person, handler, form, secrets.token_urlsafe(16)))


async def take_form(request: web.Request) -> web.Response:
    """Take a step of an order: what was filled in, which address is meant, that all is right."""
    person, orderer, handler = await _about(request)
    form = await read_form(request)
    key = form.get("key") if _KEY.fullmatch(form.get("key")) else secrets.token_urlsafe(16)
    fields = drawn(handler, language_of(request))
    body = _body(request, handler, fields, form)
    about = About(person, handler, form, key)
    if form.faults:
        return _page(request, "form", about, status=422)
    if form.get("step") == "back":
        return _page(request, "form", about)
    place = form.text("place")
    if not place:
        place, found = await _places(request, form.get("address"))
        if not place or form.get("step") == "place":
            form.faults |= {"place": "form.choose"} if form.get("step") == "place" else {}
            return _page(request, "places", about, places=found, status=422 if form.faults else 200)
    if form.get("step") != "send":
        return _page(request, "check", about, place=place)
    return await _sent(request, body | ({} if place == AS_TYPED else {"address": place}), orderer, about=about)


async def _sent(request: web.Request, body: Mapping[str, Any], orderer: Orderer, *, about: About) -> web.Response:
    """Order it once; what the service refuses is said at the field that it is about."""
    tasks, account, key = request.app[TASKS], orderer.actor.account or "", f"partner {about.key}"

    async def act() -> tuple[int, Mapping[str, Any]]:
        return 201, await tasks.create(read_body(body), orderer, key=f"{account} {key}")

    try:
        content = orjson.dumps(body, option=orjson.OPT_SORT_KEYS)
        _, answer = await once(tasks.database, account, key, body=content, act=act)
    except Forbidden:
        raise NotFound from None
    except (Invalid, Conflict, KeyReused) as refusal:
        field, words = REFUSED.get(refusal.code, ("form", "partner.fault.refused"))
        about.form.faults[field] = words
        return _page(request, "form", about, status=422)
    return see(f"/partner/orders/{orjson.loads(answer)['task_id']}")


def _body(request: web.Request, handler: Handler, fields: Sequence[Drawn], form: Form) -> dict[str, Any]:
    """Write what was filled in as the body of a task; faults are noted in the form."""
    addressee = form.text("addressee", most=100, missing="partner.fault.addressee")
    address = form.text("address", most=300, missing="partner.fault.address")
    on = form.day("on", missing="partner.fault.day")
    today = _today(request)
    if on is not None and not today <= on <= today + AHEAD:
        form.faults["on"] = "partner.fault.day_range"
    order = taken(handler, fields, form)
    body: dict[str, Any] = {"service": handler.name, "addressee": addressee, "address": " ".join(address.split())}
    body |= {"on": on.isoformat()} if on else {}
    body |= {"window": window} if (window := window_of(request, form, on)) else {}
    phone = form.text("contact_phone", most=20)
    if phone and not _PHONE.fullmatch(phone):
        form.faults["contact_phone"] = "partner.fault.phone"
    name = form.text("contact_name", most=100)
    if name and not phone:
        form.faults.setdefault("contact_phone", "partner.fault.phone")
    body |= {"contacts": [{"name": name, "phone": phone}]} if phone else {}
    for member, most in (("notes", 280), ("order_ref", 60)):
        body |= {member: text} if (text := form.text(member, most=most)) else {}
    return body | (order.members() if order else {})


def window_of(request: web.Request, form: Form, on: date | None) -> dict[str, str] | None:
    """Read the two times; both or neither, in their order, and not over already."""
    clocks = {name: _clock(form, name) for name in ("from", "until") if form.text(name, most=10)}
    if not clocks or form.faults.keys() & {"from", "until"}:
        return None
    if len(clocks) == 1:
        form.faults["until" if "from" in clocks else "from"] = "partner.fault.both_times"
        return None
    if on is None:
        return None
    zone = request.app[ACCESS].settings.zone
    begins, ends = (datetime.combine(on, clocks[name] or time(), zone) for name in ("from", "until"))
    if begins >= ends:
        form.faults["until"] = "partner.fault.time_order"
    elif ends <= datetime.now(UTC):
        form.faults["until"] = "partner.fault.time_past"
    return {"from": _utc(begins), "until": _utc(ends)}


def _clock(form: Form, name: str) -> time | None:
    found = _CLOCK.fullmatch(form.get(name))
    if found is None:
        form.faults[name] = "partner.fault.time"
        return None
    return time(int(found[1]), int(found[2] or 0))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


async def _places(request: web.Request, address: str) -> tuple[str, list[str]]:
    """Find an address: the place if it is sure, else what it may be, the likeliest first."""
    _, found = await request.app[PLACER].find_all(" ".join(address.split()), limit=MOST_PLACES)
    exact = [each for each in found if each.kind != "municipality"]
    names = list(dict.fromkeys(one_line(each.address()) for each in exact))
    sure = bool(exact) and exact[0].score >= ACCEPT_SCORE and exact[0].ban_id is not None
    return (names[0] if sure else ""), names


async def _about(request: web.Request) -> tuple[Person, Orderer, Handler]:
    person, orderer = await partner_of(request)
    services = request.app[ORDERS].services(orderer)
    handler = next((each for each in services if each.name == request.match_info["service"]), None)
    if handler is None:
        raise NotFound
    return person, orderer, handler


def _page(
    request: web.Request, step: str, about: About, *, status: int = 200, place: str = "", places: Sequence[str] = ()
) -> web.Response:
    """Render a step; what was answered goes along in hidden fields where it is not asked."""
    handler, form = about.handler, about.form
    lang = language_of(request)
    fields = drawn(handler, lang)
    names = [*_COMMON, *(each.name for each in fields)]
    kept = [(name, value) for name in names for value in form.several.get(name, ())]
    values: dict[str, Any] = {
        "service": handler.name,
        "title": handler.title[lang],
        "fields": fields,
        "form": form,
        "key": about.key,
        "carried": kept,
        "place": place,
        "typed": AS_TYPED,
        "places": [(each, each, None, None) for each in places],
    }
    if step == "check":
        day = form.day("on")
        values["day"] = day_words(day, lang) if day else ""
        values["answers"] = [(each.label, each.kind, answered(each, form)) for each in fields]
    return render(request, f"partner_{step}.html", person=about.person, status=status, **values)


def _today(request: web.Request) -> date:
    return datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()


routes: list[web.RouteDef] = [
    web.get("/partner/new/{service}", show_form, name="page.partner_new"),
    web.post("/partner/new/{service}", take_form, name="page.partner_take"),
]
