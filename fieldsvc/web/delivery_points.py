"""What proofs have taught about delivery points, for supervisors: boxes that moved, points that nobody serves any more."""

import base64
import re

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest
from fieldsvc.tracking import points
from fieldsvc.web.auth import ACCESS, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from fieldsvc.web.supervisor import DAYS

_ID = re.compile(r"[^\x00-\x1f]{1,200}")


async def list_delivery_points(request: web.Request) -> web.Response:
    """List what is remembered of delivery points, a page at a time."""
    site, limit = await site_of(request, Thing.ROUND), page_limit(request)
    flag, after = request.query.get("flag"), _opened(request.query.get("cursor"))
    if flag not in (None, *points.FLAGS):
        raise BadRequest("The flag is moved or unserved.")
    database, today = request.app[ACCESS].database, request.app[DAYS].today()
    page = await points.page_of(database, site, flag=flag, after=after, limit=limit, today=today)
    more = {"cursor": _sealed(page.more_after)} if page.more_after is not None else {}
    return json_response({"delivery_points": page.points, **more})


def _sealed(point_id: str) -> str:
    return base64.urlsafe_b64encode(point_id.encode()).decode().rstrip("=")


def _opened(cursor: str | None) -> str:
    if not cursor:
        return ""
    try:
        point_id = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None
    if not _ID.fullmatch(point_id):
        raise BadRequest("This cursor is not valid.")
    return point_id


routes: list[web.RouteDef] = [web.get("/v1/delivery-points", list_delivery_points)]
