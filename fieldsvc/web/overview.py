"""`GET /v1/overview`: sites as counts."""

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.tracking.overview import Overview
from fieldsvc.web.auth import site_of
from fieldsvc.web.problems import json_response

OVERVIEW = web.AppKey("OVERVIEW", Overview)


async def read_overview(request: web.Request) -> web.Response:
    """Tell of each site how many runs are out, seen, done or in trouble."""
    return json_response(await request.app[OVERVIEW].of(await site_of(request, Thing.RUN)))


routes: list[web.RouteDef] = [web.get("/v1/overview", read_overview)]
