"""`GET /v1/runs/not-back`: who is not back, and what is left."""

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.tracking.not_back import NotBack
from fieldsvc.web.auth import site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from fieldsvc.web.supervisor import opened, sealed

NOT_BACK = web.AppKey("NOT_BACK", NotBack)


async def list_not_back(request: web.Request) -> web.Response:
    """List the runs of today that were started and did not end, with what is left of their work."""
    site, limit = await site_of(request, Thing.RUN), page_limit(request)
    after = opened(request.query.get("cursor"))
    told, following = await request.app[NOT_BACK].page(site, after=after, limit=limit)
    return json_response({**told, **({"cursor": sealed(following)} if following else {})})


routes: list[web.RouteDef] = [web.get("/v1/runs/not-back", list_not_back)]
