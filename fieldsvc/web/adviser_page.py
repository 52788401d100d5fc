"""`/adviser`: what became of an item, in words; a case, and a change, for somebody who calls. Each look has its reason."""

import re
import secrets
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, urlencode

from aiohttp import web

from fieldsvc.access import audit
from fieldsvc.access.audit import Entry
from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.errors import Conflict, NotFound
from fieldsvc.journal.commands import Refusal
from fieldsvc.requests.advising import DATES, DETAILS, IDENTITIES, Adviser, Advising, NothingToDispute, change_of
from fieldsvc.requests.advising import choices as choices_of
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import BadChange, ConfirmBody, EndBody, read_body
from fieldsvc.requests.errors import NotPossible, TooLate, WrongCode
from fieldsvc.requests.staff import POSTCODE, Found
from fieldsvc.web.adviser_cases import case_words
from fieldsvc.web.auth import ACCESS, caller, client_source, sites_for
from fieldsvc.web.delivery_changes import DESK
from fieldsvc.web.following import see_other
from fieldsvc.web.forms import Form, phone_number, read_form
from fieldsvc.web.looks import NAMES_LOOKED_UP
from fieldsvc.web.messages import message_of
from fieldsvc.web.messages import told as messages_told
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, moment_words
from fieldsvc.web.pages.page import language_of
from handlers import products
from handlers.delivery_change import STATE_WORDS
from handlers.proof import words as proof_words

ADVISING = web.AppKey("ADVISING", Advising)
EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
CALL_REASONS = ("item_search", "complaint", "incident", "legal")
_LONG = frozenset({"place", "new_address", "names"})


async def adviser(request: web.Request) -> web.Response:
    """Ask for a number, or for a name and a postcode, and why."""
    return _find_page(request, Form())


async def find(request: web.Request) -> web.Response:
    """Lead to an item by its number, or list those of a name and a postcode; both for a reason."""
    form, advising, now = await read_form(request), request.app[ADVISING], datetime.now(UTC)
    reason = form.choice("reason", CALL_REASONS, missing="desk.adviser.reason_missing")
    number, sites = form.text("number", most=80), sites_for(request, Thing.TASK)
    if number and not form.faults:
        found = await advising.staff.item(number, sites, now)
        if found is not None:
            return see_other(_path(found.item_id, reason))
        form.faults["number"] = "desk.adviser.unknown"
    if number:
        return _find_page(request, form, status=422)
    name = form.text("name", most=100, missing="desk.adviser.name_missing")
    postcode = form.text("postcode", most=12, missing="desk.adviser.postcode_missing")
    if postcode and not POSTCODE.fullmatch(postcode):
        form.faults["postcode"] = "desk.adviser.postcode_missing"
    if form.faults:
        return _find_page(request, form, status=422)
    await _note_search(request, postcode, reason)
    items = await advising.staff.named(name, postcode, sites, now.astimezone(_zone(request)).date())
    rows = [(each, day_words(each.day, language_of(request)), _path(each.item_id, reason)) for each in items]
    return _find_page(request, form, rows=rows)


async def explain(request: web.Request) -> web.Response:
    """Explain in words what happened to an item and why, what is asked and what is disputed."""
    reason = request.query.get("reason", "")
    if reason not in CALL_REASONS:
        return see_other("/adviser")
    return await _item_page(request, await _found(request), reason, Form())


async def open_case(request: web.Request) -> web.Response:
    """Open a case about what was said of an item."""
    form, found, advising = await read_form(request), await _found(request), request.app[ADVISING]
    reason = form.choice("reason", CALL_REASONS)
    lines = {line.event: line for line in found.lines}
    text = form.text("text", most=2000, missing="desk.adviser.text_missing")
    event, email = form.choice("event", lines), form.text("email", most=254)
    if email and not EMAIL.fullmatch(email):
        form.faults["email"] = "desk.adviser.bad_value"
    if not form.faults:
        try:
            contact = {"email": email, "lang": language_of(request)} if email else None
            by = Adviser(caller(request, Person).account_id)
            await advising.open_case(found, lines[event], text, by, contact=contact)
        except (Refusal, NothingToDispute):
            form.faults["event"] = "desk.adviser.not_disputable"
    if form.faults:
        return await _item_page(request, found, reason or CALL_REASONS[0], form, status=422)
    return see_other(_path(found.item_id, reason))


async def change(request: web.Request) -> web.Response:
    """Ask what a change of one kind needs."""
    found, reason, kind = await _found(request), request.query.get("reason", ""), request.query.get("kind", "")
    if reason not in CALL_REASONS or kind not in products.KINDS:
        return see_other("/adviser")
    return _change_page(request, found, kind, reason, Form({"key": secrets.token_urlsafe(12)}))


async def ask(request: web.Request) -> web.Response:
    """Ask for a change in the caller's name; sent twice, it is one request."""
    form, found, desk = await read_form(request), await _found(request), request.app[DESK]
    kind, reason = form.choice("kind", products.KINDS), form.choice("reason", CALL_REASONS)
    said = _said(form, kind) if kind else {}
    identity = form.choice("identity", IDENTITIES, missing="desk.adviser.identity_missing")
    asker, refused = _asker(request), None
    if not form.faults:
        try:
            body = change_of(found, kind, said | {"lang": language_of(request)}, identity=identity)
            answer = await desk.ask(body, asker, key=f"adviser {asker.account} {form.text('key', most=40)}")
        except (NotPossible, TooLate) as error:
            refused = _rule_of(error, language_of(request))
            form.faults["kind"] = "desk.adviser.not_possible"
        except BadChange as error:
            wrong = [each for each in said if any(name.endswith(each) for name in _members(error))]
            form.faults |= dict.fromkeys(wrong, "desk.adviser.bad_value")
            form.faults = form.faults or {"kind": "desk.adviser.not_possible"}
        else:
            return see_other(f"/adviser/changes/{quote(answer['request_id'])}")
    return _change_page(request, found, kind, reason or CALL_REASONS[0], form, refused=refused, status=422)


async def show_change(request: web.Request) -> web.Response:
    """Show how a change stands that somebody asked for."""
    return await _one_change(request, Form())


async def act_on_change(request: web.Request) -> web.Response:
    """Cancel a change, say that the identity of who asks was checked, type the code of their letter, or answer them."""
    form, name = await read_form(request), request.match_info["id"]
    try:
        await _act(request, form, name)
    except (WrongCode, BadChange):
        form.faults["code"] = "desk.adviser.code.wrong"
    except (Conflict, Refusal):
        form.faults["act"] = "desk.adviser.not_now"
    if form.faults:
        return await _one_change(request, form, status=422)
    return see_other(f"/adviser/changes/{quote(name)}")


async def _act(request: web.Request, form: Form, name: str) -> None:
    desk, asker = request.app[DESK], _asker(request)
    match form.choice("act", ("cancel", "verify", "code", "message")):
        case "cancel":
            await desk.cancel(name, EndBody(reason="asked"), asker)
        case "verify":
            await desk.confirm(name, ConfirmBody(identity="substantial"), asker)
        case "code":
            code = form.text("code", most=40, missing="desk.adviser.code.missing")
            if not form.faults:
                await desk.confirm(name, read_body(ConfirmBody, {"code": code}), asker)
        case "message":
            text = message_of(form)
            if not form.faults:
                await desk.messages.write(name, text, asker)


async def _note_search(request: web.Request, postcode: str, reason: str) -> None:
    """Note that names were looked up: where and why, and never which name."""
    person = caller(request, Person)
    entry = Entry(person.account_id, person.role, NAMES_LOOKED_UP, f"postcode/{postcode}", reason, person.site)
    await audit.note(request.app[ACCESS].database, entry, soon=True)


async def _found(request: web.Request) -> Found:
    number, sites = request.match_info["item_id"], sites_for(request, Thing.TASK)
    found = await request.app[ADVISING].staff.item(number, sites, datetime.now(UTC))
    if found is None:
        raise NotFound
    return found


def _find_page(request: web.Request, form: Form, *, rows: Any = None, status: int = 200) -> web.Response:
    person = caller(request, Person)
    return render(request, "adviser.html", status=status, person=person, form=form, rows=rows, reasons=CALL_REASONS)


async def _item_page(request: web.Request, found: Found, reason: str, form: Form, *, status: int = 200) -> web.Response:
    advising, lang, zone = request.app[ADVISING], language_of(request), _zone(request)
    lines = [
        {
            "event": each.event,
            "at": moment_words(each.at, zone, lang),
            "words": each.words[lang],
            "why": each.why[lang] if each.why else None,
            "proof": proof_words(list(each.proof["factors"]), lang)
            if each.proof and each.proof.get("factors")
            else None,
        }
        for each in found.lines
    ]
    asked = [
        {
            "id": each.id,
            "kind": products.KINDS[each.kind].title[lang],
            "state": STATE_WORDS[each.state][lang],
            "at": moment_words(each.state_at, zone, lang),
        }
        for each in await advising.changes(found)
    ]
    return render(
        request,
        "adviser_item.html",
        status=status,
        person=caller(request, Person),
        kept={"reason": reason},
        found=found,
        form=form,
        reason=reason,
        lines=lines,
        shelf=found.shelf,
        kept_until=day_words(found.keeps_until.astimezone(zone).date(), lang) if found.keeps_until else None,
        day=day_words(found.known.day, lang) if found.known else None,
        asked=asked,
        cases=[case_words(request, each) for each in await advising.cases(found)],
        kinds=[(each.kind, each.title[lang], each.why[lang] if each.why else None) for each in choices_of(found)],
        item=quote(found.item_id, safe=""),
    )


def _change_page(
    request: web.Request,
    found: Found,
    kind: str,
    reason: str,
    form: Form,
    *,
    refused: str | None = None,
    status: int = 200,
) -> web.Response:
    lang, known = language_of(request), products.KINDS[kind or "hold"]
    needed = [name for name in known.fields if name != "to"] + [name for name in ("to",) if _takes_end(kind)]
    return render(
        request,
        "adviser_change.html",
        status=status,
        person=caller(request, Person),
        kept={"reason": reason, "kind": kind},
        found=found,
        form=form,
        kind=kind,
        reason=reason,
        title=known.title[lang],
        fields=[(name, "date" if name in DATES else "area" if name in _LONG else "text") for name in needed],
        identities=IDENTITIES,
        cutoff=known.cutoff,
        refused=refused,
        back=_path(found.item_id, reason),
    )


async def _one_change(request: web.Request, form: Form, *, status: int = 200) -> web.Response:
    lang, zone = language_of(request), _zone(request)
    told = await request.app[DESK].read(request.match_info["id"], _asker(request))
    thread = await request.app[DESK].messages.of(request.match_info["id"], _asker(request))
    history = [
        (STATE_WORDS[each["state"]][lang], moment_words(datetime.fromisoformat(each["at"]), zone, lang))
        for each in told["history"]
        if each["state"] in STATE_WORDS
    ]
    return render(
        request,
        "adviser_request.html",
        status=status,
        person=caller(request, Person),
        form=form,
        told=told,
        kind=products.KINDS[told["kind"]].title[lang],
        stands=told["words"][lang],
        history=history,
        is_open=told["state"] not in ("cancelled", "too_late", "refused", "expired", "reversed", "applied"),
        thread=thread,
        messages=messages_told(request, thread),
    )


def _said(form: Form, kind: str) -> dict[str, str]:
    """Take what a kind of change needs, and how to tell who asks what becomes of it."""
    said, needed = dict[str, str](), products.KINDS[kind].fields
    for name in (*DETAILS, "names"):
        if name in needed:
            said[name] = form.text(name, most=300, missing="desk.adviser.value_missing")
    for name in DATES:
        if name in needed or (name == "to" and _takes_end(kind)):
            day = form.day(name, missing="desk.adviser.value_missing" if name in needed else None)
            said |= {name: day.isoformat()} if day else {}
    said["email"] = form.text("email", most=254).replace(" ", "")
    said |= {way: phone_number(form.text(way, most=30)) for way in ("mobile", "voice")}
    return said


def _rule_of(error: NotPossible | TooLate, lang: str) -> str | None:
    words = error.extra.get("words")
    return str(words[lang]) if isinstance(words, dict) else None


def _members(error: BadChange) -> list[str]:
    found = error.extra.get("members")
    return [str(each) for each in found] if isinstance(found, list) else []


def _takes_end(kind: str) -> bool:
    return "to" in products.KINDS[kind or "hold"].fields


def _asker(request: web.Request) -> Asker:
    person, sites = caller(request, Person), sites_for(request, Thing.REQUEST)
    return Asker(person.role, client_source(request), site=sites.narrowed(None), account=person.account_id)


def _path(item_id: str, reason: str) -> str:
    return f"/adviser/items/{quote(item_id, safe='')}?{urlencode({'reason': reason})}"


def _zone(request: web.Request) -> Any:
    return request.app[ACCESS].settings.zone


routes: list[web.RouteDef] = [
    web.get("/adviser", adviser, name="page.adviser"),
    web.post("/adviser", find, name="page.adviser"),
    web.get("/adviser/items/{item_id}", explain, name="page.adviser_item"),
    web.post("/adviser/items/{item_id}/cases", open_case, name="page.adviser_open_case"),
    web.get("/adviser/items/{item_id}/change", change, name="page.adviser_ask"),
    web.post("/adviser/items/{item_id}/change", ask, name="page.adviser_ask"),
    web.get("/adviser/changes/{id}", show_change, name="page.adviser_change"),
    web.post("/adviser/changes/{id}", act_on_change, name="page.adviser_change"),
]
