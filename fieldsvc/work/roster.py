"""The roster as people read and write it: rows, who is away, and what the carriers of a site are trained for."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError

from fieldsvc.errors import NotFound
from fieldsvc.faults import said
from fieldsvc.store import roster as store
from fieldsvc.store.database import Database, Seen
from fieldsvc.store.roster import Absence, Change, KnownCarrier, RosterRow, Shown
from fieldsvc.work.errors import BadRoster
from fieldsvc.work.runs import Runs
from handlers.fields import Id, parse_day

LONGEST, MOST = timedelta(days=92), 5_000
_SINCE = timedelta(days=60)  # a carrier whom the roster named then is still known
_NAME = r"^[^\x00-\x1f\x7f]*[^\s\x00-\x1f\x7f][^\x00-\x1f\x7f]*$"
Kind = Literal["sick", "leave", "training", "other"]
Carrier = Annotated[str, StringConstraints(max_length=200, pattern=_NAME, strip_whitespace=True)]


def _clock(text: object) -> object:
    """Read `07:30`; seconds and offsets are no start."""
    if isinstance(text, str) and len(text) != len("07:30"):
        raise ValueError("a local time is written 07:30")
    return time.fromisoformat(text) if isinstance(text, str) else text


Clock = Annotated[time | None, BeforeValidator(_clock)]
Day = Annotated[date, BeforeValidator(parse_day)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Row(_Body):
    """One round on one day. `absence`: why its carrier is away; without it the carrier is there."""

    day: Day
    round_id: Id
    carrier: Carrier | None
    qualifications: list[Id] = Field(default_factory=list, max_length=20)
    absence: Kind | None = None
    starts_at: Clock = None


class Away(_Body):
    """A carrier's day; `kind` null: is there."""

    day: Day
    carrier: Carrier
    kind: Kind | None


class Trained(_Body):
    """A carrier of the site with what they are trained for."""

    carrier: Carrier
    qualifications: list[Id] = Field(max_length=20)


class RosterBody(_Body):
    """What changes; rows, days and carriers that are not named stay as they are."""

    rows: list[Row] = Field(default_factory=list, max_length=MOST)
    absences: list[Away] = Field(default_factory=list, max_length=MOST)
    carriers: list[Trained] = Field(default_factory=list, max_length=MOST)
    usual_start: Clock = None


@dataclass(frozen=True, slots=True)
class Rosters:
    """Reads and changes the roster; what concerns today or tomorrow is told to the runs at once."""

    database: Database
    runs: Runs

    async def read(
        self, seen: Seen, site: str | None, days: tuple[date, date], *, after: tuple[date, str], limit: int
    ) -> tuple[dict[str, Any], tuple[date, str] | None]:
        """Read a page of the roster of a site, or of all, and where the next begins; the first page has who is away and known.

        BadRoster for days in the wrong order, or more than three months of them.
        """
        if not timedelta(0) <= days[1] - days[0] <= LONGEST:
            raise BadRoster("until is not before from, and at most 92 days after it.")
        rows = await store.page(seen, site, days, after=after, limit=limit + 1)
        found: dict[str, Any] = {"rows": [_row(each) for each in rows[:limit]]}
        if after == (date.min, ""):
            found |= await _people(seen, site, days)
        last = rows[limit - 1] if len(rows) > limit else None
        return found, (last.day, last.round_id) if last else None

    async def change(self, asked: RosterBody, site: str) -> dict[str, int]:
        """Take a change of a site's roster over, whole; return how many rows there were, and runs of which something was told.

        NotFound for a round of another site.
        """
        sites = await store.sites_of_rounds(self.database, [row.round_id for row in asked.rows])
        if any(sites.get(row.round_id) != site for row in asked.rows):
            raise NotFound("There is no such round on this site.")
        await store.change(self.database, _change(asked, site))
        days: Iterable[date] = {*(row.day for row in asked.rows), *(each.day for each in asked.absences)}
        if "usual_start" in asked.model_fields_set:
            today = self.runs.today(datetime.now(UTC))
            days = (today, today + timedelta(days=1))
        return {"rows": len(asked.rows), "told": await self.runs.tell_changes(days)}


async def _people(seen: Seen, site: str | None, days: tuple[date, date]) -> dict[str, Any]:
    known = await store.carriers(seen, site, days[0] - _SINCE)
    away = await store.absences(seen, site, days)
    start = await store.usual_start(seen, site) if site else None
    return {
        "carriers": [
            {"site": each.site, "carrier": each.carrier, "qualifications": each.qualifications} for each in known
        ],
        "absences": [{"site": each.site, "day": each.day, "carrier": each.carrier, "kind": each.kind} for each in away],
        "usual_start": f"{start:%H:%M}" if start else None,
    }


def read_roster(body: object) -> RosterBody:
    """Check a decoded JSON body; BadRoster names the members that are wrong, never their values."""
    try:
        return RosterBody.model_validate_json(orjson.dumps(body))
    except ValidationError as error:
        raise BadRoster(said(RosterBody, error)) from None


def _change(asked: RosterBody, site: str) -> Change:
    """Write a change; that a row's carrier is there counts only if no other row of that day says the contrary."""
    rows = [
        RosterRow(row.day, row.round_id, row.carrier, tuple(row.qualifications), row.starts_at) for row in asked.rows
    ]
    said = [Absence(row.day, site, row.carrier, row.absence) for row in asked.rows if row.carrier]
    said.sort(key=lambda each: each.kind is not None)
    away = [Absence(each.day, site, each.carrier, each.kind) for each in asked.absences]
    carriers = [KnownCarrier(site, each.carrier, list(each.qualifications)) for each in asked.carriers]
    usual = {site: asked.usual_start} if "usual_start" in asked.model_fields_set else None
    return Change(rows, [*said, *away], carriers, usual)


def _row(row: Shown) -> dict[str, Any]:
    found: dict[str, Any] = {
        "day": row.day,
        "round_id": row.round_id,
        "carrier": row.carrier,
        "qualifications": row.qualifications,
    }
    if row.starts_at is not None:
        found["starts_at"] = f"{row.starts_at:%H:%M}"
    return found | ({"absence": row.absence} if row.absence else {})
