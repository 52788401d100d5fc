"""Cover for supervisors: who could do what of the rounds that nobody walks, and the one confirmation that tells everybody."""

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.sites import Sites
from fieldsvc.store import site as known_sites
from fieldsvc.web.auth import caller, sites_for
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.cover import Cover, read_asked
from handlers.story import Actor

COVER = web.AppKey("COVER", Cover)


async def propose(request: web.Request) -> web.Response:
    """Propose who does what of the uncovered runs of a day; nothing is told before it is confirmed."""
    cover, asked = request.app[COVER], read_asked(await read_object(request))
    site = await _site(cover, sites_for(request, Thing.RUN), asked.site)
    return json_response(await cover.propose(asked, site=site))


async def confirm(request: web.Request) -> web.Response:
    """Confirm a proposal: stops move to the other sheets, runs are covered, what is left undone is told."""
    person, sites = caller(request, Person), sites_for(request, Thing.RUN)
    by = Actor(person.role, entered_by=person.account_id)
    return json_response(await request.app[COVER].confirm(request.match_info["id"], by=by, sites=sites))


async def _site(cover: Cover, seen: Sites, asked: str | None) -> str:
    """Return the site: their own, or for who sees every site the one that they name. NotFound, BadRequest without one."""
    site = seen.narrowed(asked)
    if site is None:
        raise BadRequest("Name the site.")
    if not await known_sites.exists(cover.database, site):
        raise NotFound
    return site


routes: list[web.RouteDef] = [
    web.post("/v1/cover/proposals", propose),
    web.post("/v1/cover/proposals/{id}/confirm", confirm),
]
