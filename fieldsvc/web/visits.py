"""`/suivi/visites`: what somebody may know of the visits to a person close to them, who named them herself."""

from typing import Any

from aiohttp import web

from fieldsvc.requests.visits import Visit, Visits
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.customers import customer_of, sign_in_first
from fieldsvc.web.following import HELP_PHONE
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, hour_words, moment_words
from fieldsvc.web.pages.page import language_of

VISITS = web.AppKey("VISITS", Visits)
MOST_COMING = 5
WORDS = ("feels_well", "has_eaten", "has_slept", "heating", "has_moved", "needs_anything", "mood")


async def show_visits(request: web.Request) -> web.Response:
    """Show the next visits, and what may be known of the last; the same page for who may follow none."""
    person = await customer_of(request)
    if person is None:
        return sign_in_first(request)
    followed = await request.app[VISITS].of(person.email)
    coming = [_words(request, each) for each in followed.coming[:MOST_COMING]]
    last = _words(request, followed.last) if followed.last else None
    phone = request.app[HELP_PHONE]
    return render(request, "house_visits.html", person=person, coming=coming, last=last, phone=phone, known=WORDS)


def _words(request: web.Request, visit: Visit) -> dict[str, Any]:
    lang, zone, row = language_of(request), request.app[ACCESS].settings.zone, visit.row
    window = [hour_words(at, zone, lang) for at in (row.window_from, row.window_until) if at]
    return {
        "day": day_words(row.day, lang),
        "window": window if len(window) == 2 else None,
        "at_risk": row.at_risk,
        "done": moment_words(visit.done_at, zone, lang) if visit.done_at else None,
        "facts": [(name, _answer(answer)) for name, answer in visit.facts.items()],
    }


def _answer(answer: Any) -> str | bool:
    if isinstance(answer, bool):
        return answer
    return ", ".join(str(each) for each in answer) if isinstance(answer, list) else str(answer)


routes: list[web.RouteDef] = [web.get("/suivi/visites", show_visits, name="page.visits_show_visits")]
