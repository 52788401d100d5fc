"""`GET /v1/runs/{id}/timeline`: what happened on a run, in order, with what came late and what was corrected."""

import base64
from datetime import UTC, datetime
from uuid import UUID

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.journal.timeline import Place
from fieldsvc.tracking.timeline import FIRST, Timelines
from fieldsvc.web.auth import ACCESS, seen, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from handlers.fields import parse_time

TIMELINES = web.AppKey("TIMELINES", Timelines)
_PARTS = 32_767


async def read_timeline(request: web.Request) -> web.Response:
    """Tell what happened on a run, oldest first, a page at a time."""
    site, run_id, limit = await site_of(request, Thing.RUN), request.match_info["id"], page_limit(request)
    after = _opened(request.query.get("cursor"))
    today = datetime.now(UTC).astimezone(request.app[ACCESS].settings.zone).date()
    timelines = request.app[TIMELINES]
    found = await timelines.page(seen(request), run_id, site=site, today=today, after=after, limit=limit)
    if found is None:
        raise NotFound
    entries, following = found
    more = {"cursor": _sealed(following)} if following else {}
    return json_response({"run_id": run_id, "entries": entries, **more})


def _sealed(place: Place) -> str:
    at, event_id, part = place
    return base64.urlsafe_b64encode(f"{at.isoformat()} {event_id} {part}".encode()).decode().rstrip("=")


def _opened(cursor: str | None) -> Place:
    """Read a cursor; none = from the beginning. BadRequest for anything else."""
    if not cursor:
        return FIRST
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, name, part = text.split(" ")
        number = int(part) if part.isdecimal() and part.isascii() else -1
        if 0 <= number <= _PARTS:
            return parse_time(at), UUID(name), number
    except ValueError:
        pass
    raise BadRequest("This cursor is not valid.")


routes: list[web.RouteDef] = [web.get("/v1/runs/{id}/timeline", read_timeline)]
