"""`GET /v1/colleagues`: whom an alert may be given to."""

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.web.auth import ACCESS, site_of
from fieldsvc.web.problems import json_response
from fieldsvc.work import colleagues


async def list_colleagues(request: web.Request) -> web.Response:
    """List the people and the desks that an alert of a site may be given to."""
    site = await site_of(request, Thing.WATCH)
    return json_response(await colleagues.listed(request.app[ACCESS].database, site))


routes: list[web.RouteDef] = [web.get("/v1/colleagues", list_colleagues)]
