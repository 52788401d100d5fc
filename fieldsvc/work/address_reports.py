"""Reports of address changes for those who judge them: before and after, and the one word that makes them hold or not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from fieldsvc.errors import Conflict, Invalid, NotFound
from fieldsvc.faults import said
from fieldsvc.sites import Sites
from fieldsvc.store import account
from fieldsvc.store import address_report as store
from fieldsvc.store.address_report import ReportRow
from fieldsvc.store.database import Database, Seen
from fieldsvc.work.rounds import RoundStore
from fieldsvc.work.runs import Sender
from fieldsvc.work.sheets import BlobOpener
from geo.rounds import Round
from handlers.address_change import CLASSES
from handlers.fields import Id, Latitude, Longitude, Note, Text, format_time
from handlers.placing import MOVING
from handlers.story import Actor

STATES = ("review", "accepted", "confirmed", "rejected", "withdrawn")
_PERSONAL = ("addressee", "evidence", "note", "consent")


class BadJudgement(Invalid):
    """This judgement is not valid."""

    code = "bad_judgement"


class PlaceNeeded(Conflict):
    """The round has changed since the report: say where the point comes."""

    code = "place_needed"


class ReportWithdrawn(Conflict):
    """This report was taken back."""

    code = "report_withdrawn"


class DecidedMeanwhile(Conflict):
    """Somebody decided on this report meanwhile: look at it again."""

    code = "decided_meanwhile"


class Put(BaseModel):
    """Where a person puts the point."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    round_id: Id
    after_stop_id: Id | None = None
    before_stop_id: Id | None = None
    lat: Latitude
    lon: Longitude
    normalised: Text | None = None


class Judgement(BaseModel):
    """Why, for a confirmation perhaps another place than the proposed one, and in which state the judge saw the report."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    reason: Note | None = None
    place: Put | None = None
    seen_as: Literal["review", "accepted", "confirmed", "rejected"] | None = None


def read_judgement(body: object) -> Judgement:
    """Check a decoded JSON body; BadJudgement names the members that are wrong, never their values."""
    try:
        return Judgement.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        raise BadJudgement(said(Judgement, error)) from None


@dataclass(frozen=True, slots=True)
class AddressReports:
    """Lists reports and judges them. `site` bounds who asks; None = any site."""

    database: Database
    commands: Sender
    opener: BlobOpener
    rounds: RoundStore

    async def page(
        self, seen: Seen, site: str | None, state: str | None, *, after: tuple[datetime, UUID], limit: int
    ) -> tuple[list[dict[str, Any]], tuple[datetime, UUID] | None]:
        """List reports with what is personal, the oldest first; and where the next page begins."""
        rows = await store.page(seen, site, state, after=after, limit=limit + 1)
        shown = await self._shown(rows[:limit]) if rows else []
        last = rows[limit - 1] if len(rows) > limit else None
        return shown, (last.reported_at, last.id) if last else None

    async def confirm(
        self, report_id: UUID, asked: Judgement, *, by: Actor, sites: Sites, seen: Seen
    ) -> dict[str, Any]:
        """Let a report hold. NotFound, ReportWithdrawn, DecidedMeanwhile, PlaceNeeded, BadJudgement for a place of another site."""
        row = await _own(seen, report_id, sites, seen_as=asked.seen_as)
        place = asked.place.model_dump(exclude_none=True) if asked.place else None
        if place is not None:
            await self._check(place, row.site)
        elif row.change in MOVING:
            await self._check_proposed(row)
        return await self._say("confirmed", row, {"place": place, "reason": asked.reason}, by=by, seen=seen)

    async def reject(self, report_id: UUID, asked: Judgement, *, by: Actor, sites: Sites, seen: Seen) -> dict[str, Any]:
        """Let a report hold no more: what it changed is put back. NotFound, ReportWithdrawn, DecidedMeanwhile, BadJudgement."""
        if asked.place is not None:
            raise BadJudgement("place: what is rejected has no place.")
        row = await _own(seen, report_id, sites, seen_as=asked.seen_as)
        return await self._say("rejected", row, {"reason": asked.reason}, by=by, seen=seen)

    async def _say(
        self, word: str, row: ReportRow, more: Mapping[str, Any], *, by: Actor, seen: Seen
    ) -> dict[str, Any]:
        data = {"delivery_point_id": row.delivery_point_id, "report_id": str(row.id)}
        data |= {name: value for name, value in more.items() if value is not None}
        result = await self.commands.send(f"address_change.{word}", data, actor=by, site=row.site)
        told = await store.read(seen, row.id)
        if told is None:
            raise NotFound
        (shown,) = await self._shown([told])
        return shown | dict(result.answer or {})

    async def _shown(self, rows: Sequence[ReportRow]) -> list[dict[str, Any]]:
        """Describe reports with what is personal, and with the names of those who decided; of no account, as it is noted."""
        opened = await self.opener.open_blobs([row.sealed for row in rows])
        names = await account.names(self.database, {row.decided_by for row in rows if row.decided_by})
        told = [
            (row, personal, names.get(row.decided_by or "", row.decided_by))
            for row, personal in zip(rows, opened, strict=True)
        ]
        return [_described(row, personal, decided_by=by) for row, personal, by in told]

    async def _check(self, place: Mapping[str, Any], site: str | None) -> None:
        """Hold a person's place to rounds and stops that there are."""
        rnd = await self._round(place["round_id"])
        if rnd is None or (site is not None and rnd.site != site):
            raise BadJudgement("place.round_id: the site has no such round.")
        if not _knows(rnd, place):
            raise BadJudgement("place: the round has no such stop.")

    async def _check_proposed(self, row: ReportRow) -> None:
        """Ask for a place where the stops between which the server proposed it are gone."""
        personal = (await self.opener.open_blobs([row.sealed]))[0]
        place = (personal or {}).get("placement") or {}
        rnd = await self._round(place["round_id"]) if place.get("round_id") else None
        if rnd is not None and not _knows(rnd, place):
            raise PlaceNeeded

    async def _round(self, round_id: str) -> Round | None:
        known = await self.rounds.known_round(round_id)
        return known.stored.round if known else None


async def _own(seen: Seen, report_id: UUID, sites: Sites, *, seen_as: str | None) -> ReportRow:
    row = await store.read(seen, report_id)
    if row is None or row.site not in sites:
        raise NotFound
    if row.state == "withdrawn":
        raise ReportWithdrawn
    if seen_as not in (None, row.state):
        raise DecidedMeanwhile
    return row


def _knows(rnd: Round, place: Mapping[str, Any]) -> bool:
    named = {place.get("after_stop_id"), place.get("before_stop_id")} - {None}
    return named <= {stop.stop_id for stop in rnd.stops}


def _described(row: ReportRow, personal: Any, *, decided_by: str | None) -> dict[str, Any]:
    """Write a report for those who judge it: before and after; an erased one says so."""
    known = personal if isinstance(personal, dict) else {}
    return {
        "report_id": str(row.id),
        "delivery_point_id": row.delivery_point_id,
        "reported_at": format_time(row.reported_at),
        "state": row.state,
        "change": row.change,
        "class": CLASSES.get(row.change),
        "confidence": row.confidence,
        "effective_on": row.effective_on.isoformat() if row.effective_on else None,
        "decided_by": decided_by,
        "decided_at": format_time(row.decided_at) if row.decided_at else None,
        "before": {
            "address": known.get("old_address"),
            "planned_address": row.address,
            "round_id": row.served_by,
            "stop_id": row.stop_id,
        },
        "after": {"address": known.get("new_address"), "placement": known.get("placement") or None},
        **{name: known.get(name) for name in _PERSONAL},
        **({} if known else {"erased": True}),
    }
