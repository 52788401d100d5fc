"""The supervisor's screen: the list of the day's rounds beside the map of the town."""

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import NotFound
from fieldsvc.journal.upkeep import PROGRESS_DAYS
from fieldsvc.store import site as sites
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.basemap import BASEMAP
from fieldsvc.web.looks import REASONS
from fieldsvc.web.pages import render
from fieldsvc.web.pages.files import static_url
from fieldsvc.web.pages.page import language_of

_EVERYWHERE = "-180,-90,180,90"


async def supervision(request: web.Request) -> web.Response:
    """Show a supervisor the rounds of their site; an operator those of all sites, or of the one in `?site=`. NotFound."""
    person = caller(request, Person)
    asked = await asked_site(request, person)
    kept = {"site": asked} if asked else {}
    config = config_of(request, person.site or asked or None)
    return render(request, "supervision.html", person=person, kept=kept, config=config, past=past_days(request))


async def asked_site(request: web.Request, person: Person) -> str | None:
    """Return the site that an operator of every site asks for, if they do. NotFound."""
    asked = request.query.get("site") if person.role != "supervisor" and not person.site else None
    if asked and (not asked.isprintable() or not await sites.exists(request.app[ACCESS].database, asked)):
        raise NotFound
    return asked or None


def past_days(request: web.Request) -> dict[str, Any]:
    """Tell which past days there may be, and for which reasons they are opened."""
    today = datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()
    return {
        "first": today - timedelta(days=PROGRESS_DAYS - 1),
        "last": today - timedelta(days=1),
        "reasons": REASONS,
    }


def config_of(request: web.Request, site: str | None) -> dict[str, Any]:
    """Collect what the page's scripts must know; none of it is secret."""
    return map_config(request) | {
        "site": site,
        "live": f"/v1/live?{urlencode({'site': site} if site else {'bbox': _EVERYWHERE})}",
        "worker": static_url("supervision/worker.js"),
    }


def map_config(request: web.Request) -> dict[str, Any]:
    """Collect what a map needs, and the zone in which times are said."""
    basemap = request.app.get(BASEMAP)
    attribution = basemap.attribution.get(language_of(request), "") if basemap else ""
    return {
        "zone": request.app[ACCESS].settings.timezone,
        "maplibre": static_url("vendor/maplibre-gl.mjs"),
        "maplibreWorker": static_url("vendor/maplibre-gl-worker.mjs"),
        "basemap": {"url": basemap.url, "attribution": attribution} if basemap else None,
    }


routes: list[web.RouteDef] = [web.get("/supervision", supervision, name="page.supervision")]
