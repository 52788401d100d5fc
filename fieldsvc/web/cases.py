"""Cases: what somebody disputes, what the proof says in words, and the answer of a person."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing, sites_of
from fieldsvc.access.viewers import viewer_of
from fieldsvc.errors import BadRequest, Conflict, Invalid, NotFound
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Reader
from fieldsvc.journal.sealed import Opener
from fieldsvc.store import case_file as store
from fieldsvc.store.case_file import CaseRow, Wanted
from fieldsvc.store.database import Database
from fieldsvc.web.auth import caller, seen, site_of
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.cursors import decode_place, encode_place
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import read_object
from handlers import proof
from handlers.fields import format_time
from handlers.story import Actor

STATES, KINDS = ("open", "closed"), ("dispute",)
LANGUAGES = ("fr", "en")


class CaseClosed(Conflict):
    """This case is closed already."""

    code = "case_closed"


class Closing(BaseModel):
    """How a case is closed, and why: the reason is told to whoever opened it."""

    model_config = ConfigDict(extra="forbid", strict=True)
    outcome: Literal["upheld", "rejected", "settled", "withdrawn"]
    reason: str = Field(min_length=1, max_length=2000, pattern=r"^[^\x00-\x08\x0b-\x1f\x7f]*$")


@dataclass(frozen=True, slots=True)
class Cases:
    """What the views work with."""

    database: Database
    reader: Reader
    opener: Opener
    commands: Commands

    async def own(self, person: Person, case_id: str) -> CaseRow:
        """Read a case that this person may see; NotFound otherwise."""
        row = await store.read(self.database.seen_by(viewer_of(person)), case_id) if case_id.isprintable() else None
        if row is None or row.site not in sites_of(person, Thing.CASE):
            raise NotFound
        return row

    async def described(self, row: CaseRow) -> dict[str, Any]:
        """Describe a case with what was said, what the proof says, and the answer."""
        opened = (await self.opener.open_blobs([row.sealed]))[0]
        said: dict[str, Any] = opened if isinstance(opened, dict) else {"erased": True}
        return described(row) | said | {"proof": await self._proof(said.get("event_id"))}

    async def _proof(self, event_id: str | None) -> dict[str, Any] | None:
        """Say the disputed event and its proof in words."""
        row = await self.reader.event(event_id) if event_id else None
        if row is None:
            return None
        found = orjson.loads(row.public)["public"].get("proof") or {}
        return {
            "type": row.type,
            "time": format_time(row.occurred_at),
            "score": found.get("score"),
            "words": words_of(found),
        }


CASES = web.AppKey("CASES", Cases)


async def list_cases(request: web.Request) -> web.Response:
    """List cases, newest first, a page at a time."""
    query, limit = request.query, page_limit(request)
    wanted = Wanted(
        await site_of(request, Thing.CASE), _one_of(request, "state", STATES), _one_of(request, "kind", KINDS)
    )
    before = decode_place(query.get("cursor"))
    found = await store.page(seen(request), wanted, before=before, limit=limit + 1)
    page = found[:limit]
    more = {"cursor": encode_place(page[-1].opened_at, page[-1].id)} if len(found) > limit else {}
    return json_response({"cases": [described(each) for each in page], **more})


async def read_case(request: web.Request) -> web.Response:
    """Give one case: what is disputed, and what the proof says in words."""
    cases = request.app[CASES]
    row = await cases.own(caller(request, Person), request.match_info["id"])
    return json_response(await cases.described(row))


async def close_case(request: web.Request) -> web.Response:
    """Close a case with an outcome and a reason, which go back to whoever opened it."""
    cases, person = request.app[CASES], caller(request, Person)
    row = await cases.own(person, request.match_info["id"])
    closing = _closing(await read_object(request))
    if row.state == "closed":
        raise CaseClosed
    actor = Actor(person.role, entered_by=person.account_id)
    data = {"case_id": row.id, **closing.model_dump()}
    await cases.commands.send("trust.dispute_closed", data, actor=actor, site=row.site)
    return json_response(await cases.described(await cases.own(person, row.id)))


def described(row: CaseRow) -> dict[str, Any]:
    """Describe a case without what is sealed."""
    return {
        "case_id": row.id,
        "kind": row.kind,
        "subject": row.subject,
        "site": row.site,
        "state": row.state,
        "opened_at": format_time(row.opened_at),
        "answer_due_at": format_time(row.due_at) if row.due_at else None,
        "closed_at": format_time(row.closed_at) if row.closed_at else None,
    }


def words_of(found: Mapping[str, Any]) -> dict[str, str] | None:
    """Say a proof in both languages; nothing for an event that has none."""
    codes = found.get("factors")
    return {lang: proof.words(list(codes), lang) for lang in LANGUAGES} if codes else None


def _one_of(request: web.Request, name: str, allowed: tuple[str, ...]) -> str | None:
    asked = request.query.get(name)
    if asked is not None and asked not in allowed:
        raise BadRequest(f"The {name} is one of: {', '.join(allowed)}.")
    return asked


def _closing(body: dict[str, Any]) -> Closing:
    try:
        return Closing.model_validate(body)
    except ValidationError:
        raise Invalid('The body is {"outcome": "upheld|rejected|settled|withdrawn", "reason": "…"}.') from None


routes: list[web.RouteDef] = [
    web.get("/v1/cases", list_cases),
    web.get("/v1/cases/{id}", read_case),
    web.post("/v1/cases/{id}/close", close_case),
]
