"""Cover for supervisors: who could do what of the rounds that nobody walks, and the one confirmation that tells everybody."""

from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.store import site as sites
from fieldsvc.web.auth import require_person
from fieldsvc.web.live import WATCHERS
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.cover import Cover, read_asked
from handlers.story import Actor

COVER = web.AppKey("COVER", Cover)


async def propose(request: web.Request) -> web.Response:
    """Propose who does what of the uncovered runs of a day; nothing is told before it is confirmed."""
    person = await require_person(request, WATCHERS)
    cover, asked = request.app[COVER], read_asked(await read_object(request))
    site = await _site(cover, person, asked.site)
    return json_response(await cover.propose(asked, site=site))


async def confirm(request: web.Request) -> web.Response:
    """Confirm a proposal: stops move to the other sheets, runs are covered, what is left undone is told."""
    person = await require_person(request, WATCHERS)
    by: dict[str, Any] = {"by": Actor(person.role, entered_by=person.account_id)}
    site = (person.site or "") if person.role == "supervisor" else None
    return json_response(await request.app[COVER].confirm(request.match_info["id"], **by, site=site))


async def _site(cover: Cover, person: Person, asked: str | None) -> str:
    """Return the site: a supervisor's own, an operator's word. NotFound, BadRequest without one."""
    if person.role == "supervisor":
        if not person.site or asked not in (None, person.site):
            raise NotFound
        return person.site
    if asked is None:
        raise BadRequest("Name the site.")
    if not await sites.exists(cover.database, asked):
        raise NotFound
    return asked


routes: list[web.RouteDef] = [
    web.post("/v1/cover/proposals", propose),
    web.post("/v1/cover/proposals/{id}/confirm", confirm),
]
