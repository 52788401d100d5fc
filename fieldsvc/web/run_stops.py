"""`GET /v1/runs/{id}/stops`: when a run was at its stops, and when it is expected at the others."""

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import NotFound
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.web.auth import site_of
from fieldsvc.web.problems import json_response

FORECASTS = web.AppKey("FORECASTS", Forecasts)


async def read_stops(request: web.Request) -> web.Response:
    """Tell of each stop of a run when the carrier was there, or when they are expected."""
    site = await site_of(request, Thing.RUN)
    found = await request.app[FORECASTS].stops_of(request.match_info["id"], site=site)
    if found is None:
        raise NotFound
    return json_response(found)


routes: list[web.RouteDef] = [web.get("/v1/runs/{id}/stops", read_stops)]
