"""`GET /v1/supervision/health`: what arrives, how late, who is heard, and which endpoints fail."""

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.publishing.failing import Failing
from fieldsvc.tracking.health import Health
from fieldsvc.web.auth import caller, site_of
from fieldsvc.web.problems import json_response

HEALTH = web.AppKey("HEALTH", Health)
FAILING = web.AppKey("FAILING", Failing)


async def read_health(request: web.Request) -> web.Response:
    """Tell how events arrive, site by site; an operator of every site also learns which endpoints fail."""
    site, person = await site_of(request, Thing.RUN), caller(request, Person)
    told = await request.app[HEALTH].of(site)
    if person.role == "operator" and person.site is None:
        told["endpoints"] = await request.app[FAILING].listed()
    return json_response(told)


routes: list[web.RouteDef] = [web.get("/v1/supervision/health", read_health)]
