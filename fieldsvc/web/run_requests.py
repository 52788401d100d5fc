"""`GET /v1/runs/{id}/requests`: the delivery changes that a run meets."""

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import NotFound
from fieldsvc.requests.of_run import of_run
from fieldsvc.web.auth import ACCESS, seen, site_of
from fieldsvc.web.problems import json_response


async def list_requests(request: web.Request) -> web.Response:
    """List the requests on a run's sheet, or about its doors and items, that are not finished."""
    site, run_id = await site_of(request, Thing.RUN), request.match_info["id"]
    stops = request.app[ACCESS].settings.cutoff_stops
    found = await of_run(seen(request), run_id, site=site, cutoff_stops=stops)
    if found is None:
        raise NotFound
    return json_response({"requests": found})


routes: list[web.RouteDef] = [web.get("/v1/runs/{id}/requests", list_requests)]
