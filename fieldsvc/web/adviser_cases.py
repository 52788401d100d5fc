"""`/adviser/cases`: the answers that are due, and giving them."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.journal.commands import Refusal
from fieldsvc.requests.advising import Adviser, is_overdue
from fieldsvc.store import case_file
from fieldsvc.store import request as requests
from fieldsvc.store.case_file import CaseRow
from fieldsvc.web.auth import ACCESS, caller, seen, sites_for
from fieldsvc.web.cases import CASES, CaseClosed
from fieldsvc.web.following import see_other
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, moment_words
from fieldsvc.web.pages.page import language_of
from handlers import products

OUTCOMES = ("upheld", "rejected", "settled", "withdrawn")
MOST_CASES = 100


async def cases(request: web.Request) -> web.Response:
    """List the cases and the messages on requests that wait for an answer, the most pressing first."""
    site = sites_for(request, Thing.CASE).narrowed(None)
    rows = await case_file.due(seen(request), site, limit=MOST_CASES)
    lang, zone = language_of(request), request.app[ACCESS].settings.zone
    messages = [
        (each.id, products.KINDS[each.kind].title[lang], moment_words(each.message_at, zone, lang))
        for each in await requests.unanswered(seen(request), limit=MOST_CASES)
    ]
    told = [case_words(request, each) for each in rows]
    return render(request, "adviser_cases.html", person=caller(request, Person), rows=told, messages=messages)


async def show_case(request: web.Request) -> web.Response:
    """Show one case: what is disputed, what the proof says, and the answer."""
    return await _one_case(request, Form())


async def answer(request: web.Request) -> web.Response:
    """Answer a case, with a reason that goes back to whoever opened it."""
    form, person, found = await read_form(request), caller(request, Person), request.app[CASES]
    row = await found.own(person, request.match_info["id"])
    outcome = form.choice("outcome", OUTCOMES)
    text = form.text("text", most=2000, missing="desk.adviser.answer_missing")
    if row.state == "closed":
        form.faults["outcome"] = "desk.adviser.case_closed"
    if form.faults:
        return await _one_case(request, form, status=422)
    data = {"case_id": row.id, "outcome": outcome, "reason": text}
    try:
        await found.commands.send("trust.dispute_closed", data, actor=Adviser(person.account_id).actor, site=row.site)
    except Refusal:
        raise CaseClosed from None
    return see_other(f"/adviser/cases/{quote(row.id)}")


async def _one_case(request: web.Request, form: Form, *, status: int = 200) -> web.Response:
    found, lang = request.app[CASES], language_of(request)
    row = await found.own(caller(request, Person), request.match_info["id"])
    told = await found.described(row)
    proof: Mapping[str, Any] = told.get("proof") or {}
    words = proof.get("words")
    return render(
        request,
        "adviser_case.html",
        status=status,
        person=caller(request, Person),
        form=form,
        case=case_words(request, row),
        told=told,
        proof=words[lang] if words else None,
        outcomes=OUTCOMES,
    )


def case_words(request: web.Request, row: CaseRow) -> dict[str, Any]:
    """Say in words when a case was opened, and by when it is answered."""
    lang, zone, now = language_of(request), request.app[ACCESS].settings.zone, datetime.now(UTC)
    return {
        "id": row.id,
        "about": row.subject.partition("/")[2],
        "state": row.state,
        "site": row.site,
        "opened": moment_words(row.opened_at, zone, lang),
        "due": day_words(row.due_at.astimezone(zone).date(), lang) if row.due_at else None,
        "closed": moment_words(row.closed_at, zone, lang) if row.closed_at else None,
        "overdue": is_overdue(row, now),
    }


routes: list[web.RouteDef] = [
    web.get("/adviser/cases", cases, name="page.adviser_cases"),
    web.get("/adviser/cases/{id}", show_case, name="page.adviser_case"),
    web.post("/adviser/cases/{id}", answer, name="page.adviser_case"),
]
