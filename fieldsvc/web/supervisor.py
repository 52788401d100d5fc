"""What supervisors look up: the runs of a day, the rounds on the map, and how a run went."""

import base64
import re
from datetime import date

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.tracking import replay
from fieldsvc.tracking.geometry import Document, Geometry
from fieldsvc.tracking.lines import Lines
from fieldsvc.web.auth import ACCESS, seen, site_of, sites_for
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.live import takes_gzip
from fieldsvc.web.problems import json_response
from fieldsvc.work.runs import Runs

LINES = web.AppKey("LINES", Lines)
GEOMETRY = web.AppKey("GEOMETRY", Geometry)
DAYS = web.AppKey("DAYS", Runs)
GEOJSON = "application/geo+json"
_DAY, _ID = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}"), re.compile(r"run-[^\x00]{1,200}")


async def list_runs(request: web.Request) -> web.Response:
    """List the runs of a day with their work and where they are, a page at a time."""
    site, day, limit = await site_of(request, Thing.RUN), _day(request), page_limit(request)
    after, database = opened(request.query.get("cursor")), request.app[ACCESS].database
    found = await replay.runs_of(database, request.app[LINES], day, site=site, after=after, limit=limit + 1)
    more = {"cursor": sealed(found[limit - 1]["run_id"])} if len(found) > limit else {}
    return json_response({"runs": found[:limit], **more})


async def list_rounds(request: web.Request) -> web.Response:
    """Give the lines of a site's rounds as GeoJSON."""
    return _geojson(request, await request.app[GEOMETRY].of_site(await site_of(request, Thing.ROUND)))


async def read_round(request: web.Request) -> web.Response:
    """Give the line and the stops of a round as GeoJSON."""
    sites = sites_for(request, Thing.ROUND)
    found = await request.app[GEOMETRY].of_round(request.match_info["id"], sites=sites)
    if found is None:
        raise NotFound
    return _geojson(request, found)


async def replay_run(request: web.Request) -> web.Response:
    """Tell how a run went along its line, with what arrived late and when."""
    site = await site_of(request, Thing.RUN)
    lines = request.app[LINES]
    found = await replay.way_of(seen(request), lines, request.match_info["id"], site=site)
    if found is None:
        raise NotFound
    return json_response(found)


def _geojson(request: web.Request, found: Document) -> web.Response:
    packs = takes_gzip(request)
    tag = f"{found.tag}-gz" if packs else found.tag
    headers = {"ETag": f'"{tag}"', "Cache-Control": "private, no-cache", "Vary": "Accept-Encoding"}
    if any(each.value in (tag, "*") for each in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    if packs:
        headers["Content-Encoding"] = "gzip"
    return web.Response(body=found.packed if packs else found.text, content_type=GEOJSON, headers=headers)


def _day(request: web.Request) -> date:
    text = request.query.get("day")
    if text is None:
        return request.app[DAYS].today()
    try:
        return date.fromisoformat(text if _DAY.fullmatch(text) else "")
    except ValueError:
        raise BadRequest("day is a local day: 2026-11-21.") from None


def sealed(run_id: str) -> str:
    """Make an opaque cursor of a run."""
    return base64.urlsafe_b64encode(run_id.encode()).decode().rstrip("=")


def opened(cursor: str | None) -> str:
    """Read a cursor; none = from the beginning. BadRequest for anything else."""
    if not cursor:
        return ""
    try:
        run_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None
    if not _ID.fullmatch(run_id):
        raise BadRequest("This cursor is not valid.")
    return run_id


routes: list[web.RouteDef] = [
    web.get("/v1/runs", list_runs),
    web.get("/v1/rounds", list_rounds),
    web.get("/v1/rounds/{id}", read_round),
    web.get("/v1/runs/{id}/replay", replay_run),
]
