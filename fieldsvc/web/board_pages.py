"""The pages of supervision beside the live one: the morning, alerts, replay, address changes, reports and health.

Each is a shell: its scripts read the API as the signed-in person, so a page shows what the API lets them see and nothing else.
"""

from datetime import UTC, date, datetime
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.discretion import MIRROR
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.supervision_page import asked_site, config_of, past_days
from fieldsvc.work.imports import ABSENCES

FOLDERS = {"replay": "replays"}  # where the scripts of a page are, if not under its own name
WORKING_HOURS, USUAL_HOURS = range(6, 11), 8


async def morning(request: web.Request) -> web.Response:
    """Show who is missing, and propose who does what of their rounds."""
    return await _page(request, "morning", kinds=ABSENCES, hours=WORKING_HOURS, usual=USUAL_HOURS)


async def alerts(request: web.Request) -> web.Response:
    """Show the queue of alarms and alerts."""
    return await _page(request, "alerts")


async def replay(request: web.Request) -> web.Response:
    """Show several rounds of a day again, on one clock."""
    return await _page(request, "replay")


async def addresses(request: web.Request) -> web.Response:
    """Show the reported address changes that wait for a person."""
    return await _page(request, "addresses")


async def reports(request: web.Request) -> web.Response:
    """Show figures by service, site and month."""
    named = request.app[MIRROR].services(language_of(request))
    titles = {row["id"]: row["title"] for row in named if row["title"]}
    return await _page(request, "reports", month=_today(request).isoformat()[:7], titles=titles)


async def health(request: web.Request) -> web.Response:
    """Show whether events arrive, phones speak and subscribers are reached."""
    return await _page(request, "health")


async def _page(request: web.Request, name: str, **values: Any) -> web.Response:
    """Render a page for its reader's site, or for the one that somebody of every site asks for. NotFound."""
    person = caller(request, Person)
    asked = await asked_site(request, person)
    config = config_of(request, person.site or asked) | {"today": _today(request).isoformat()}
    config |= {"role": person.role, "me": person.account_id}
    kept = {"site": asked} if asked else {}
    named: dict[str, Any] = {
        "name": name,
        "folder": FOLDERS.get(name, name),
        "config": config,
        "past": past_days(request),
    }
    return render(request, f"board_{name}.html", person=person, kept=kept, **named, **values)


def _today(request: web.Request) -> date:
    return datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()


routes: list[web.RouteDef] = [
    web.get("/supervision/morning", morning, name="page.morning"),
    web.get("/supervision/alerts", alerts, name="page.alerts"),
    web.get("/supervision/replay", replay, name="page.replay"),
    web.get("/supervision/addresses", addresses, name="page.addresses"),
    web.get("/supervision/reports", reports, name="page.reports"),
    web.get("/supervision/health", health, name="page.health"),
]
