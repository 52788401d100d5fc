"""`/v1/roster`: who walks which round on which day, who is away, and what carriers are trained for."""

from datetime import timedelta

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest
from fieldsvc.web.auth import seen, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.day_pages import day_of, opened, sealed
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.roster import Rosters, read_roster

ROSTERS = web.AppKey("ROSTERS", Rosters)
_SHOWN = timedelta(days=6)


async def read(request: web.Request) -> web.Response:
    """Give the roster of some days, a page at a time; the first page also says who is away and whom the site knows."""
    site, rosters = await site_of(request, Thing.RUN), request.app[ROSTERS]
    first = day_of(request, "from", rosters.runs.today())
    days, after = (first, day_of(request, "until", first + _SHOWN)), opened(request.query.get("cursor"))
    found, following = await rosters.read(seen(request), site, days, after=after, limit=page_limit(request))
    return json_response(found | ({"cursor": sealed(*following)} if following else {}))


async def change(request: web.Request) -> web.Response:
    """Change rows, absences, carriers or the usual start of a site; today's and tomorrow's runs learn it at once."""
    site = await site_of(request, Thing.RUN)
    if site is None:
        raise BadRequest("Name the site: ?site=…")
    asked = read_roster(await read_object(request))
    return json_response(await request.app[ROSTERS].change(asked, site))


routes: list[web.RouteDef] = [web.get("/v1/roster", read), web.put("/v1/roster", change)]
