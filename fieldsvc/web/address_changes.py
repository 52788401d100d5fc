"""Address changes for those who judge them: the list of reports, and the two words."""

import base64
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.web.auth import caller, seen, site_of, sites_for
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from fieldsvc.work.address_reports import STATES, AddressReports, Judgement, read_judgement
from handlers.fields import parse_time
from handlers.story import Actor

REPORTS = web.AppKey("ADDRESS_REPORTS", AddressReports)
_OLDEST = (datetime(1, 1, 2, tzinfo=UTC), UUID(int=0))


async def list_changes(request: web.Request) -> web.Response:
    """List reports of address changes, the oldest first, with what is before and what would be after."""
    state, limit = request.query.get("state"), page_limit(request)
    if state not in (None, *STATES):
        raise BadRequest(f"The state is one of {', '.join(STATES)}.")
    site, after = await site_of(request, Thing.ADDRESS_CHANGE), _opened(request.query.get("cursor"))
    shown, more = await request.app[REPORTS].page(seen(request), site, state, after=after, limit=limit)
    return json_response({"address_changes": shown, **({"cursor": _sealed(*more)} if more else {})})


async def confirm(request: web.Request) -> web.Response:
    """Let a report hold: its point moves in the same commit."""
    report_id, asked, who = await _asked(request)
    return json_response(await request.app[REPORTS].confirm(report_id, asked, **who))


async def reject(request: web.Request) -> web.Response:
    """Let a report hold no more: what it moved is put back in the same commit."""
    report_id, asked, who = await _asked(request)
    return json_response(await request.app[REPORTS].reject(report_id, asked, **who))


async def _asked(request: web.Request) -> tuple[UUID, Judgement, dict[str, Any]]:
    person = caller(request, Person)
    asked = read_judgement(await read_object(request))
    try:
        report_id = UUID(request.match_info["id"])
    except ValueError:
        raise NotFound from None
    by = Actor(person.role, entered_by=person.account_id)
    return report_id, asked, {"by": by, "sites": sites_for(request, Thing.ADDRESS_CHANGE), "seen": seen(request)}


def _sealed(at: datetime, report_id: UUID) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()} {report_id}".encode()).decode().rstrip("=")


def _opened(cursor: str | None) -> tuple[datetime, UUID]:
    if not cursor:
        return _OLDEST
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, _, name = text.partition(" ")
        return parse_time(at), UUID(name)
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None


routes: list[web.RouteDef] = [
    web.get("/v1/address-changes", list_changes),
    web.post("/v1/address-changes/{id}/confirm", confirm),
    web.post("/v1/address-changes/{id}/reject", reject),
]
