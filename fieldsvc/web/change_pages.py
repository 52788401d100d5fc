"""A delivery change by its own link, or a redirection of all mail of a door: one question a page, then all answers, then a reference.

Answers travel sealed in the address of the next page and are kept nowhere before they are sent; sent twice, they are one request.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from typing import Any
from urllib.parse import urlencode

import orjson
from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import NotFound
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import BadChange, ChangeBody, read_body
from fieldsvc.requests.choices import REDIRECT, Choice, Situation
from fieldsvc.requests.drafts import new_draft, open_draft, seal_draft
from fieldsvc.requests.errors import NotPossible, RequestClosed, TooLate
from fieldsvc.requests.links import Link
from fieldsvc.store import delivery_point as points
from fieldsvc.web.auth import ACCESS, check_csrf, client_source
from fieldsvc.web.change_flow import (
    ADDRESS,
    ASKS,
    CHECK,
    KIND,
    Answers,
    answers_of,
    body_of,
    can_be_edited,
    read_answer,
    step_of,
    steps_of,
)
from fieldsvc.web.customers import customer_of, is_substantial, needs_acr, sign_in_first
from fieldsvc.web.delivery_changes import DESK
from fieldsvc.web.following import link_of, see_other
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.home import somebody
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words
from fieldsvc.web.pages.page import language_of
from fieldsvc.work.placement import Placer
from geo.addresses import ACCEPT_SCORE
from handlers.change_notices import REASONS

DRAFT_KEY = web.AppKey("DRAFT_KEY", bytes)
PLACER = web.AppKey("PLACER", Placer)
_DAYS = ("day", "until", "from", "to")
ITEM_PATH, DOOR_PATH = "/suivi/{token}/modifier", "/suivi/reexpedition"


@dataclass(frozen=True, slots=True)
class Interview:
    """Where the questions are asked: under the link of an item or of a request, or by a customer for the door where they live."""

    path: str
    first: str
    asker: Asker
    answers: Answers
    person: Person | None
    link: Link | None = None
    situation: Situation | None = None
    found: Mapping[str, Any] | None = None  # the request that is edited

    @property
    def bound_to(self) -> str:
        """Under what its answers are sealed."""
        if self.found is not None:
            return f"request/{self.found['request_id']}"
        return self.link.subject if self.link else self.asker.account or ""

    @property
    def item(self) -> str | None:
        """The number of its item."""
        about = str(self.found["subject"]) if self.found else self.link.subject if self.link else ""
        return about.partition("/")[2] or None


async def show_item(request: web.Request) -> web.Response:
    """Ask the next question about an item."""
    return await _show(request, await _of_item(request))


async def answer_item(request: web.Request) -> web.Response:
    """Take the answer to a question about an item, or ask for what was answered."""
    return await _answer(request, await _of_item(request))


async def show_door(request: web.Request) -> web.Response:
    """Say how all mail of a door is redirected, and ask a customer who is signed in the next question."""
    person = await customer_of(request)
    if person is None or not request.query.get("step"):
        return render(request, "change_door.html", person=await somebody(request), customer=person)
    return await _show(request, await _of_door(request, person))


async def answer_door(request: web.Request) -> web.Response:
    """Take the answer to a question about a door; whoever asks for a redirection has proved who they are just now."""
    person = await customer_of(request)
    if person is None:
        return sign_in_first(request)
    desk = await _of_door(request, person)
    if step_of(desk.answers, desk.first, request.query.get("step", "")) == CHECK:
        proving = await needs_acr(request)
        if proving is not None:
            return proving
    return await _answer(request, desk)


async def show_edit(request: web.Request) -> web.Response:
    """Ask the questions of a request again, filled in; back to the request where it can no longer be edited."""
    desk = await _of_request(request)
    return see_other(_own(request)) if desk is None else await _show(request, desk)


async def answer_edit(request: web.Request) -> web.Response:
    """Take the answer to a question of a request that is edited, or edit it."""
    desk = await _of_request(request)
    return see_other(_own(request)) if desk is None else await _answer(request, desk)


async def _of_request(request: web.Request) -> Interview | None:
    person, whole, reference = await customer_of(request), request.app[DESK], request.match_info["ref"]
    asker = replace(_asker(request, person), token=request.match_info["token"])
    found = await whole.read(reference, asker)
    situation = await whole.edits.situation(found) if can_be_edited(found) else None
    if situation is None:
        return None
    answers = _answers(request, f"request/{reference}") or answers_of(found)
    answers = {**answers, "kind": found["kind"], "edits": reference}
    first = ASKS[found["kind"]][0]
    return Interview(
        f"{_own(request)}/modifier", first, asker, answers, await somebody(request), situation=situation, found=found
    )


def _own(request: web.Request) -> str:
    return f"/suivi/demandes/{request.match_info['ref']}/{request.match_info['token']}"


async def _of_item(request: web.Request) -> Interview:
    link, person = link_of(request), await customer_of(request)
    if not link.may("change"):
        raise NotFound
    situation = await request.app[DESK].choices.of_item(link.subject.partition("/")[2])
    if situation is None:
        raise NotFound
    path = ITEM_PATH.format(token=request.match_info["token"])
    answers = _answers(request, link.subject) or new_draft()
    return Interview(path, KIND, _asker(request, person), answers, await somebody(request), link, situation)


async def _of_door(request: web.Request, person: Person) -> Interview:
    answers = _answers(request, person.account_id) or new_draft()
    return Interview(DOOR_PATH, ADDRESS, _asker(request, person), {**answers, "kind": REDIRECT}, person)


def _asker(request: web.Request, person: Person | None) -> Asker:
    source = client_source(request)
    if person is None:
        return Asker("customer", source)
    identity = "substantial" if is_substantial(request, person) else "account"
    return Asker("customer", source, account=person.account_id, identity=identity)


def _answers(request: web.Request, bound_to: str) -> Answers | None:
    return open_draft(request.app[DRAFT_KEY], request.query.get("a", ""), bound_to=bound_to)


async def _show(request: web.Request, desk: Interview) -> web.Response:
    step = step_of(desk.answers, desk.first, request.query.get("step") or desk.first)
    values = {**desk.answers}
    if desk.person is not None and desk.person.email and "email" not in values:
        values["email"] = desk.person.email
    return _page(request, desk, step, Form(values))


async def _answer(request: web.Request, desk: Interview) -> web.Response:
    form = await read_form(request)
    if desk.person is not None:
        check_csrf(desk.person, form.get("csrf"))
    step = step_of(desk.answers, desk.first, request.query.get("step", ""))
    if step == CHECK:
        return await (_edit if desk.found else _ask)(request, desk, form)
    found = await _read(request, desk, step, form)
    if form.faults:
        return _page(request, desk, step, form, status=422)
    answers = {**desk.answers, **found}
    order = steps_of(answers, desk.first)
    back = "back" in request.query
    onwards = step_of(answers, desk.first, CHECK if back else order[order.index(step) + 1])
    return see_other(_url(request, desk, onwards, answers, back=back and onwards != CHECK))


async def _read(request: web.Request, desk: Interview, step: str, form: Form) -> Answers:
    if step == KIND and desk.situation is not None:
        open_now = {each.kind for each in desk.situation.choices if each.why is None}
        kind = form.choice(KIND, open_now)
        where = {"pickup_point": desk.situation.site or "office"} if kind == "pickup_point" else {"pickup_point": ""}
        return {KIND: kind, **where}
    found = read_answer(step, form, _today(request))
    if step == ADDRESS and not form.faults:
        point = await _point_of(request, found[ADDRESS])
        if point is None:
            form.faults[ADDRESS] = "change.old_address.unknown"
        else:
            found["point"] = point
    return found


async def _point_of(request: web.Request, address: str) -> str | None:
    """Find the door of an address that is typed; only one that is served already."""
    best = (await request.app[PLACER].find(address)).candidate
    if best is None or best.ban_id is None or best.score < ACCEPT_SCORE:
        return None
    return best.ban_id if await points.exists(request.app[ACCESS].database, best.ban_id) else None


async def _ask(request: web.Request, desk: Interview, form: Form) -> web.Response:
    answers, lang, whole = desk.answers, language_of(request), request.app[DESK]
    if desk.link is None and desk.asker.identity == "account":
        form.faults["check"] = "change.check.identity"
        return _page(request, desk, CHECK, form, status=403)
    postcode, subject = None, {"delivery_point_id": answers.get("point", "")}
    if desk.link is not None:
        item_id = desk.link.subject.partition("/")[2]
        postcode, subject = desk.link.postcode or await whole.choices.postcode(item_id), {"item_id": item_id}
    sent = body_of(answers, subject, postcode, lang)
    key = hashlib.sha256(orjson.dumps([answers["key"], sent], option=orjson.OPT_SORT_KEYS)).hexdigest()
    try:
        made: Mapping[str, Any] = await whole.ask(read_body(ChangeBody, sent), desk.asker, key=f"page {key}")
    except BadChange:
        form.faults["check"] = "change.check.bad"
        return _page(request, desk, CHECK, form, status=422)
    except (NotPossible, TooLate) as error:
        made = error.extra
        if "request_id" not in made:
            words: Any = made.get("words") or {}
            return _page(request, desk, CHECK, form, status=409, refused=words.get(lang, ""))
    reference = made["request_id"]
    return see_other(f"/suivi/demandes/{reference}/{whole.token(str(reference))}?new=1")


async def _edit(request: web.Request, desk: Interview, form: Form) -> web.Response:
    """Edit the request, if something is asked that was not asked before."""
    lang, reference = language_of(request), request.match_info["ref"]
    if not _changed(desk):
        form.faults["check"] = "change.edit.nothing"
        return _page(request, desk, CHECK, form, status=422)
    sent = body_of(desk.answers, {"item_id": desk.item or ""}, None, lang)
    del sent["details"]["contact"]
    try:
        await request.app[DESK].edits.edit(reference, read_body(ChangeBody, sent), desk.asker)
    except BadChange:
        form.faults["check"] = "change.check.bad"
        return _page(request, desk, CHECK, form, status=422)
    except (NotPossible, TooLate) as error:
        words: Any = error.extra.get("words") or {}
        return _page(request, desk, CHECK, form, status=409, refused=words.get(lang, ""))
    except RequestClosed:
        return see_other(_own(request))
    return see_other(f"{_own(request)}?edited=1")


def _changed(desk: Interview) -> Answers:
    """Return what was answered before to the questions whose answers are others now."""
    was = answers_of(desk.found) if desk.found else {}
    return {name: was.get(name, "") for name in ASKS[desk.answers["kind"]] if desk.answers.get(name) != was.get(name)}


def _page(
    request: web.Request, desk: Interview, step: str, form: Form, *, status: int = 200, **more: Any
) -> web.Response:
    order, lang = steps_of(desk.answers, desk.first), language_of(request)
    place, sealed = order.index(step), _sealed(request, desk, desk.answers)
    kept = {"step": step, "a": sealed, **({"back": "1"} if "back" in request.query else {})}
    shown = {
        "step": step,
        "form": form,
        "number": place + 1,
        "total": len(order) if "kind" in desk.answers else None,
        "action": _url(request, desk, step, desk.answers, back="back" in request.query),
        "before": _url(request, desk, order[place - 1], desk.answers) if place else None,
        "change": {each: _url(request, desk, each, desk.answers, back=True) for each in order},
        "answers": desk.answers,
        "order": order[:-1],
        "days": {name: _day_words(desk.answers.get(name), lang) for name in _DAYS},
        "edited": desk.found,
        "was": {name: _day_words(text, lang) if name in _DAYS else text for name, text in _changed(desk).items()}
        if desk.found
        else {},
        "situation": desk.situation,
        "choices": [(each, _why(each, lang)) for each in desk.situation.choices] if desk.situation else [],
        "item_number": desk.item,
        "today": _today(request),
        "refused": None,
        "customer": desk.asker.account is not None,
    }
    return render(request, "change_question.html", status=status, person=desk.person, kept=kept, **{**shown, **more})


def _why(choice: Choice, lang: str) -> str | None:
    return REASONS[choice.why][lang] if choice.why else None


def _sealed(request: web.Request, desk: Interview, answers: Answers) -> str:
    return seal_draft(request.app[DRAFT_KEY], answers, bound_to=desk.bound_to)


def _url(request: web.Request, desk: Interview, step: str, answers: Answers, *, back: bool = False) -> str:
    query = {"step": step, "a": _sealed(request, desk, answers), **({"back": "1"} if back else {})}
    return f"{desk.path}?{urlencode(query)}"


def _day_words(text: str | None, lang: str) -> str | None:
    return day_words(date.fromisoformat(text), lang) if text else None


def _today(request: web.Request) -> date:
    return datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()


routes: list[web.RouteDef] = [
    web.get("/suivi/{token}/modifier", show_item, name="page.change"),
    web.post("/suivi/{token}/modifier", answer_item, name="page.change"),
    web.get("/suivi/demandes/{ref}/{token}/modifier", show_edit, name="page.request_edit"),
    web.post("/suivi/demandes/{ref}/{token}/modifier", answer_edit, name="page.request_edit"),
    web.get("/suivi/reexpedition", show_door, name="page.redirect"),
    web.post("/suivi/reexpedition", answer_door, name="page.redirect"),
]
