"""What supervisors look after beside the runs: hazards to confirm, and boxes that cannot be served, until a person decides."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest
from fieldsvc.journal.sealed import Opener
from fieldsvc.store import access_case as cases
from fieldsvc.store import hazard as hazards
from fieldsvc.store.access_case import CaseRow
from fieldsvc.store.database import Database
from fieldsvc.store.hazard import HazardRow
from fieldsvc.web.auth import seen, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.problems import json_response
from handlers.fields import format_time, parse_time

_NEWEST, _OLDEST = (datetime(9999, 1, 1, tzinfo=UTC), ""), (datetime(1, 1, 1, tzinfo=UTC), "")
Place = tuple[datetime, str]


@dataclass(frozen=True, slots=True)
class Watched:
    """What the views work with."""

    database: Database
    opener: Opener


WATCHED = web.AppKey("WATCHED", Watched)


async def list_hazards(request: web.Request) -> web.Response:
    """List the hazards of a site, newest first, a page at a time."""
    site, limit, watched = await site_of(request, Thing.WATCH), page_limit(request), request.app[WATCHED]
    only_live, before = _one_of(request, "live", default="live"), _opened(request.query.get("cursor"), start=_NEWEST)
    found = await hazards.page(seen(request), site, only_live=only_live, before=before, limit=limit + 1)
    page = found[:limit]
    words = await watched.opener.open_blobs([each.sealed for each in page]) if page else []
    shown = [_hazard(each, said) for each, said in zip(page, words, strict=True)]
    more = {"cursor": _sealed(page[-1].reported_at, page[-1].id)} if len(found) > limit else {}
    return json_response({"hazards": shown, **more})


async def list_cases(request: web.Request) -> web.Response:
    """List the boxes of a site that cannot be served, the oldest case first, a page at a time."""
    site, limit, watched = await site_of(request, Thing.WATCH), page_limit(request), request.app[WATCHED]
    only_open, after = _one_of(request, "open", default="open"), _opened(request.query.get("cursor"), start=_OLDEST)
    found = await cases.page(seen(request), site, only_open=only_open, after=after, limit=limit + 1)
    page: Sequence[CaseRow] = found[:limit]
    words = await watched.opener.open_blobs([each.sealed for each in page]) if page else []
    shown = [_case(each, said) for each, said in zip(page, words, strict=True)]
    more = {"cursor": _sealed(page[-1].opened_at, page[-1].delivery_point_id)} if len(found) > limit else {}
    return json_response({"access_cases": shown, **more})


def _one_of(request: web.Request, word: str, *, default: str) -> bool:
    """Read `?state=`: one word, or all."""
    state = request.query.get("state", default)
    if state not in (word, "all"):
        raise BadRequest(f"The state is {word} or all.")
    return state == word


def _hazard(hazard: HazardRow, said: Any) -> dict[str, Any]:
    return {
        "hazard_id": hazard.id,
        "kind": hazard.kind,
        "state": hazard.state,
        "site": hazard.site,
        "point": {"lat": hazard.lat, "lon": hazard.lon},
        "radius_m": hazard.radius_m,
        "note": (said or {}).get("note"),
        "until": format_time(hazard.until),
        "reported_at": format_time(hazard.reported_at),
    }


def _case(case: CaseRow, said: Any) -> dict[str, Any]:
    return {
        "delivery_point_id": case.delivery_point_id,
        "site": case.site,
        "state": case.state,
        "reason": case.reason,
        "asked_by": case.asked_by,
        "note": (said or {}).get("note"),
        "opened_at": format_time(case.opened_at),
        "answer_due_at": format_time(case.answer_due_at),
        "mail_waits_at": case.mail_waits_at,
        "mail_waits_until": case.mail_waits_until,
        "decision": case.decision,
        "answer": (said or {}).get("answer"),
        "decided_at": format_time(case.decided_at) if case.decided_at else None,
        "until": case.until,
    }


def _sealed(at: datetime, name: str) -> str:
    return base64.urlsafe_b64encode(f"{at.isoformat()} {name}".encode()).decode().rstrip("=")


def _opened(cursor: str | None, *, start: Place) -> Place:
    """Read a cursor; none = from the start. BadRequest for anything else."""
    if not cursor:
        return start
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        at, _, name = text.partition(" ")
        return parse_time(at), name.replace("\x00", "")
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None


routes: list[web.RouteDef] = [
    web.get("/v1/hazards", list_hazards),
    web.get("/v1/access-cases", list_cases),
]
