"""The supervisor's screen: the list of the day's rounds beside the map of the town."""

from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.web.auth import ACCESS, require_person
from fieldsvc.web.basemap import BASEMAP
from fieldsvc.web.pages import render
from fieldsvc.web.pages.files import static_url
from fieldsvc.web.pages.page import language_of

_EVERYWHERE = "-180,-90,180,90"


async def supervision(request: web.Request) -> web.Response:
    """Show a supervisor the rounds of their site; an operator those of all sites, or of the one in `?site=`."""
    person = await require_person(request, ("supervisor", "operator"))
    return render(request, "supervision.html", person=person, config=_config(request, person))


def _config(request: web.Request, person: Person) -> dict[str, Any]:
    """Collect what the page's scripts must know; none of it is secret."""
    site = person.site or (request.query.get("site") if person.role == "operator" else None)
    basemap = request.app.get(BASEMAP)
    attribution = basemap.attribution.get(language_of(request), "") if basemap else ""
    return {
        "site": site,
        "zone": request.app[ACCESS].settings.timezone,
        "live": f"/v1/live?{urlencode({'site': site} if site else {'bbox': _EVERYWHERE})}",
        "worker": static_url("supervision/worker.js"),
        "maplibre": static_url("vendor/maplibre-gl.mjs"),
        "maplibreWorker": static_url("vendor/maplibre-gl-worker.mjs"),
        "basemap": {"url": basemap.url, "attribution": attribution} if basemap else None,
    }


routes: list[web.RouteDef] = [web.get("/supervision", supervision, name="page.supervision")]
