"""Ideas: read by those who may vote or decide. They are sent, voted for and decided by `POST /v1/events`."""

from collections.abc import Sequence
from typing import Any

from aiohttp import web

from fieldsvc.access.callers import Device, Person
from fieldsvc.errors import BadRequest
from fieldsvc.journal.sealed import Opener
from fieldsvc.store import idea as store
from fieldsvc.store.idea import IdeaRow
from fieldsvc.web.auth import caller, seen
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.cursors import decode_place, encode_place
from fieldsvc.web.problems import json_response
from handlers.fields import format_time
from handlers.idea import STATUSES, voice

OPENER = web.AppKey("OPENER", Opener)


async def list_ideas(request: web.Request) -> web.Response:
    """List ideas, newest first, with their votes and answers; a phone learns which are its carrier's own."""
    asker = caller(request, Device, Person)
    carrier = asker.carrier if isinstance(asker, Device) else None
    status, site, limit = request.query.get("status"), request.query.get("site"), page_limit(request)
    if (status is not None and status not in STATUSES) or (site is not None and not site.isprintable()):
        raise BadRequest(f"The status is one of: {', '.join(STATUSES)}.")
    before = decode_place(request.query.get("cursor"))
    found = await store.page(seen(request), site=site, status=status, before=before, limit=limit + 1)
    page = found[:limit]
    more = {"cursor": encode_place(page[-1].submitted_at, page[-1].id)} if len(found) > limit else {}
    return json_response({"ideas": await described(request.app[OPENER], page, carrier=carrier), **more})


async def described(opener: Opener, page: Sequence[IdeaRow], *, carrier: str | None) -> list[dict[str, Any]]:
    """Describe ideas; `mine` only for a carrier, `text` and `answer` null where they were erased."""
    opened = await opener.open_blobs([each.sealed for each in page])
    return [_idea(row, sealed or {}, carrier) for row, sealed in zip(page, opened, strict=True)]


def _idea(row: IdeaRow, sealed: dict[str, Any], carrier: str | None) -> dict[str, Any]:
    mine = {"mine": sealed.get("author") == voice(row.id, carrier)} if carrier is not None else {}
    return {
        "idea_id": row.id,
        "site": row.site,
        "status": row.status,
        "votes": row.votes,
        "text": sealed.get("text"),
        "answer": sealed.get("answer"),
        "submitted_at": format_time(row.submitted_at),
        "decided_at": format_time(row.decided_at) if row.decided_at else None,
        **mine,
    }


routes: list[web.RouteDef] = [web.get("/v1/ideas", list_ideas)]
