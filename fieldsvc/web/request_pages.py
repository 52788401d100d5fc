"""Requests as their customers see them, the link that stops one without signing in, and the file of a redirection for staff."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import FieldsvcError, Invalid, NotFound
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import ConfirmBody, EndBody, read_body
from fieldsvc.requests.desk import Desk
from fieldsvc.requests.errors import MessagesWait, NotWaiting, RequestClosed, RequestSeen, WrongCode
from fieldsvc.web.auth import ACCESS, caller, client_source
from fieldsvc.web.change_flow import can_be_edited
from fieldsvc.web.customers import customer_of
from fieldsvc.web.delivery_changes import DESK, asker_of
from fieldsvc.web.following import see_other
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.home import somebody
from fieldsvc.web.messages import message_of, told
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, hour_words, moment_words
from fieldsvc.web.pages.page import language_of
from handlers import products
from handlers.change_notices import REASONS
from handlers.change_states import OPEN
from handlers.delivery_change import STATE_WORDS
from handlers.fields import parse_time

_MAY_CANCEL = tuple(state for state in OPEN if state != "seen_by_carrier")
_FAULTS: Mapping[type[FieldsvcError], str] = {
    RequestSeen: "change.request.seen_already",
    RequestClosed: "change.request.closed",
    NotWaiting: "change.request.closed",
    MessagesWait: "change.message.waits",
    WrongCode: "change.request.wrong_code",
    Invalid: "change.request.wrong_code",
}


async def list_own(request: web.Request) -> web.Response:
    """List what a customer who is signed in asked for; tell everybody else how they come back to a request."""
    person = await customer_of(request)
    found = await request.app[DESK].all_of(person.account_id) if person else []
    words = _Words(request)
    rows = [words.brief(each) | {"url": _url(each)} for each in found]
    return render(
        request, "change_requests.html", person=await somebody(request), rows=rows, customer=person is not None
    )


async def show_own(request: web.Request) -> web.Response:
    """Show a request to whoever holds its link."""
    return await _own_page(request, Form())


async def act_on_own(request: web.Request) -> web.Response:
    """Cancel a request, give the code of its letter, or write to the office."""
    form = await read_form(request)
    try:
        await _do(request, form)
    except tuple(_FAULTS) as error:
        key = next(key for kind, key in _FAULTS.items() if isinstance(error, kind))
        form.faults[form.get("do")] = key
        return await _own_page(request, form, status=error.status)
    return await _own_page(request, form, status=422) if form.faults else see_other(request.path)


async def _do(request: web.Request, form: Form) -> None:
    desk, asker, reference = request.app[DESK], _holder(request), request.match_info["ref"]
    match form.get("do"):
        case "code":
            code = form.text("code", most=40, missing="change.request.code_missing")
            if not form.faults:
                await desk.confirm(reference, read_body(ConfirmBody, {"code": code}), asker)
        case "cancel":
            await desk.cancel(reference, EndBody(reason="asked"), asker)
        case "message":
            text = message_of(form)
            if not form.faults:
                await desk.messages.write(reference, text, asker)
        case _:
            raise NotFound


async def show_stop(request: web.Request) -> web.Response:
    """Show what the link of a notice stops; nothing is stopped by looking, as mail scanners look."""
    found = await request.app[DESK].shown_to_stop(request.match_info["ref"], _holder(request))
    words = _Words(request).brief(found)
    return render(request, "change_stop.html", person=await somebody(request), found=words, over=found["over"])


async def stop(request: web.Request) -> web.Response:
    """Stop a request: whoever holds a notice may, without signing in; a second time changes nothing."""
    await read_form(request)
    body = EndBody(reason="not_me", token=request.match_info["token"])
    await request.app[DESK].stop(request.match_info["ref"], body, _holder(request))
    return see_other(request.path)


async def show_file(request: web.Request) -> web.Response:
    """Show staff the file of a request: each step, and what was diverted while it held; for the victim and the police."""
    person = caller(request, Person)
    found = await request.app[DESK].read(request.match_info["ref"], asker_of(request))
    words = _Words(request)
    return render(
        request,
        "change_file.html",
        person=person,
        found=words.brief(found),
        history=words.history(found),
        diverted=[_diverted(each, words) for each in found.get("diverted", ())],
        printed_at=words.moment(datetime.now(UTC)),
    )


async def _own_page(request: web.Request, form: Form, *, status: int = 200) -> web.Response:
    desk, words = request.app[DESK], _Words(request)
    found = await desk.read(request.match_info["ref"], _holder(request))
    thread = await desk.messages.of(request.match_info["ref"], _holder(request))
    return render(
        request,
        "change_request.html",
        status=status,
        person=await somebody(request),
        form=form,
        found=words.brief(found),
        details=words.details(found.get("details") or {}),
        history=words.history(found),
        needs=found["needs"],
        may_cancel=found["state"] in _MAY_CANCEL or (found["state"] == "applied" and _lasts(found)),
        near=await _near(desk, found),
        stops=found["cutoff"].get("stops"),
        is_new="new" in request.query and not form.faults,
        is_edited="edited" in request.query and not form.faults,
        edit_url=f"{request.path}/modifier"
        if can_be_edited(found) and await desk.edits.situation(found) is not None
        else None,
        lasts=_lasts(found),
        thread=thread,
        messages=told(request, thread),
    )


async def _near(desk: Desk, found: Mapping[str, Any]) -> str | None:
    """Tell whether the carrier is far enough away: `far` or `near`; None where that is not the question."""
    if found["state"] not in _MAY_CANCEL or _lasts(found) or found["cutoff"]["until"] != products.NEAR:
        return None
    situation = await desk.choices.of_item(found["subject"].partition("/")[2])
    return None if situation is None else "near" if situation.is_near else "far"


def _holder(request: web.Request) -> Asker:
    return Asker("customer", client_source(request), request.match_info["token"])


def _lasts(found: Mapping[str, Any]) -> bool:
    return str(found["subject"]).startswith("delivery_point/")


def _url(found: Mapping[str, Any]) -> str:
    return f"/suivi/demandes/{found['request_id']}/{found['token']}"


def _diverted(item: Mapping[str, Any], words: "_Words") -> dict[str, Any]:
    at = item["state_at"]
    return {**item, "at": words.moment(at) if isinstance(at, datetime) else None}


class _Words:
    """A request in words, in the language of one answer."""

    def __init__(self, request: web.Request) -> None:
        self._lang, self._zone = language_of(request), request.app[ACCESS].settings.zone

    def moment(self, at: datetime) -> str:
        """Write a local day and time."""
        return moment_words(at, self._zone, self._lang)

    def brief(self, found: Mapping[str, Any]) -> dict[str, Any]:
        """Say what it is, how it stands, and when the carrier saw it."""
        seen = next((each["at"] for each in reversed(found["history"]) if each["state"] == "seen_by_carrier"), None)
        earliest = found.get("earliest_at")
        return {
            "reference": found["request_id"],
            "kind": products.KINDS[found["kind"]].title[self._lang],
            "about": str(found["subject"]).partition("/")[2] if not _lasts(found) else None,
            "state": found["state"],
            "said": found["words"][self._lang],
            "asked": self.moment(parse_time(found["asked_at"])),
            "from": self._day(found["from"]),
            "to": self._day(found["to"]),
            "earliest": day_words(parse_time(earliest).astimezone(self._zone).date(), self._lang) if earliest else None,
            "seen": hour_words(parse_time(seen), self._zone, self._lang) if seen else None,
        }

    def history(self, found: Mapping[str, Any]) -> list[dict[str, str | None]]:
        """Say each step with when it came to it and why."""
        return [
            {
                "said": STATE_WORDS[each["state"]][self._lang],
                "at": self.moment(parse_time(each["at"])),
                "why": REASONS[each["reason"]][self._lang] if each.get("reason") in REASONS else None,
            }
            for each in found["history"]
        ]

    def details(self, details: Mapping[str, Any]) -> list[tuple[str, str]]:
        """List what was asked, by the names of its words."""
        contact = details.get("contact") or {}
        shown = {**details, "names": ", ".join(details.get("names") or ()), **contact}
        names = ("neighbour", "place", "proxy", "names", "new_address", "email", "mobile", "voice")
        return [(name, str(shown[name])) for name in names if shown.get(name)]

    def _day(self, text: str | None) -> str | None:
        return day_words(parse_time(f"{text}T12:00:00Z").date(), self._lang) if text else None


routes: list[web.RouteDef] = [
    web.get("/suivi/demandes", list_own, name="page.requests"),
    web.get("/suivi/demandes/{ref}/{token}", show_own, name="page.request"),
    web.post("/suivi/demandes/{ref}/{token}", act_on_own, name="page.request"),
    web.get("/suivi/stop/{ref}/{token}", show_stop, name="page.stop"),
    web.post("/suivi/stop/{ref}/{token}", stop, name="page.stop"),
    web.get("/suivi/dossier/{ref}", show_file, name="page.request_file"),
]
