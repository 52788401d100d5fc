"""What supervisors' screens are made of: where runs are, how much of their work is done, and how they went."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg
import orjson

from fieldsvc.store.database import Database, Source
from geo.rounds import Round, Stop
from sql import query


@dataclass(frozen=True, slots=True)
class RunNow:
    """A run that was started or changed. `duty` is on, paused, or None where nobody may see where its carrier is."""

    run_id: str
    day: date
    round_id: str
    round_version: int | None
    site: str
    carrier: str | None
    state: str
    duty: str | None
    through_at: datetime | None
    distance_along_m: float | None
    status: str | None


@dataclass(frozen=True, slots=True)
class Moved:
    """Where a run is by its newest fix, and the version of its round by now."""

    run_id: str
    through_at: datetime | None
    distance_along_m: float | None
    status: str | None
    round_id: str | None = None
    round_version: int | None = None


@dataclass(frozen=True, slots=True)
class DayRun:
    """A run of a day with its planned work; positions only as far as `RunNow.duty` allows, and of ended runs."""

    now: RunNow
    state_at: datetime | None
    mode: str | None
    name: str | None
    stops: int
    total: int
    done: int
    overdue: int
    mismatch: Mapping[str, str] | None = None  # the other round that it seems to be on, and since when
    risk: str | None = None  # why its work is in danger: uncovered, late_start, run_not_served


@dataclass(frozen=True, slots=True)
class PastRun:
    """A run whose way is asked for."""

    run_id: str
    day: date
    round_id: str
    round_version: int | None
    site: str
    carrier: str | None
    mode: str | None


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a run."""

    at: datetime
    distance_along_m: float | None
    status: str
    received_at: datetime


async def running(database: Database, first_day: date) -> list[RunNow]:
    """Read every run from a day on that is started or paused."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("live.running"), first_day)
    return [run_now(row) for row in rows]


async def changed_runs(database: Database, first_day: date, within_s: float) -> list[RunNow]:
    """Read the runs whose state, duty or carrier changed in the last seconds."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("live.changed_runs"), first_day, within_s)
    return [run_now(row) for row in rows]


async def moved(database: Database, within_s: float) -> list[Moved]:
    """Read where the runs are of which something was written in the last seconds."""
    async with database.acquire() as connection:
        return [Moved(*row) for row in await connection.fetch(query("live.moved"), within_s)]


async def lines(database: Database, round_ids: Sequence[str]) -> dict[str, tuple[int, Round]]:
    """Read the versions and lines of rounds, many at once; their stops only where a line is drawn through them."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("live.lines"), list(round_ids))
        drawn = await _drawn(connection, rows)
    return {
        row["id"]: (row["version"], Round(row["id"], _points(row["line"]), drawn.get(row["id"], ()))) for row in rows
    }


async def rounds_of(database: Database, site: str | None) -> list[Round]:
    """Read the rounds of a site, or of all, as lines; one drawn through its stops has that line."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("live.rounds_of_site"), site)
        drawn = await _drawn(connection, rows)
    return [_line_only(row, drawn.get(row["id"], ())) for row in rows]


async def mark_of(database: Database, site: str | None) -> str:
    """Sum up the rounds of a site, or of all, in a text that changes with every import."""
    async with database.acquire() as connection:
        return str(await connection.fetchval(query("live.mark_of_site"), site))


async def runs_of_day(database: Database, day: date, *, site: str | None, after: str, limit: int) -> list[DayRun]:
    """Page through the runs of a day in the order of their ids."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("live.runs_of_day"), day, site, after, limit)
    names = ("state_at", "mode", "name", "stops", "total", "done", "overdue", "risk")
    return [
        DayRun(now=run_now(row), mismatch=_mismatch_in(row["body"]), **{name: row[name] for name in names})
        for row in rows
    ]


async def run(source: Source, run_id: str, *, site: str | None) -> PastRun | None:
    """Read one run of a site, or of any."""
    async with source.acquire() as connection:
        row = await connection.fetchrow(query("live.run"), run_id, site)
    if row is None:
        return None
    return PastRun(
        run_id=row["id"],
        day=row["day"],
        round_id=row["round_id"],
        round_version=row["round_version"],
        site=row["site"],
        carrier=row["carrier"],
        mode=row["mode"],
    )


async def progress_of(database: Database, day: date, run_id: str, *, limit: int) -> list[Progress]:
    """Read the first moments of a run, oldest first."""
    async with database.acquire() as connection:
        return [Progress(*row) for row in await connection.fetch(query("live.progress_of_run"), day, run_id, limit)]


def duty_of(state: str, body: bytes | None) -> str | None:
    """Tell from the committed state of a run whether its carrier may be seen: on, paused, or None.

    A pause within a mandate of staff representatives is part of the mandate.
    """
    if state not in ("started", "paused") or body is None:
        return None
    known: dict[str, Any] = orjson.loads(body)
    now = known.get("now", {})
    mandate = now["mandate"] if "mandate" in now else _last_start_is_a_mandate(known)
    return now.get("duty") if now.get("duty") in ("on", "paused") and not mandate else None


def _mismatch_in(body: bytes | None) -> Mapping[str, str] | None:
    if body is None or b'"mismatch"' not in body:
        return None
    found: Mapping[str, str] | None = orjson.loads(body).get("now", {}).get("mismatch")
    return found


def _last_start_is_a_mandate(known: Mapping[str, Any]) -> bool:
    """Tell it from the facts, for states that were written before they said so."""
    starts = (row[3].get("duty") for row in reversed(known.get("facts", ())) if row[2] == "run.started")
    return next(starts, None) == "mandate"


def run_now(row: asyncpg.Record) -> RunNow:
    """Read a run from a database row."""
    return RunNow(
        run_id=row["id"],
        day=row["day"],
        round_id=row["round_id"],
        round_version=row["round_version"],
        site=row["site"],
        carrier=row["carrier"],
        state=row["state"],
        duty=duty_of(row["state"], row["body"]),
        through_at=row["through_at"],
        distance_along_m=row["distance_along_m"],
        status=row["status"],
    )


async def _drawn(connection: asyncpg.Connection, rows: Sequence[asyncpg.Record]) -> Mapping[str, tuple[Stop, ...]]:
    bare = [row["id"] for row in rows if not row["line"]]
    found: dict[str, list[Stop]] = {}
    for row in await connection.fetch(query("live.line_through_stops"), bare) if bare else ():
        found.setdefault(row["round_id"], []).append(Stop(row["stop_id"], row["lat"], row["lon"]))
    return {round_id: tuple(stops) for round_id, stops in found.items()}


def _line_only(row: asyncpg.Record, stops: tuple[Stop, ...]) -> Round:
    line = Round(row["id"], _points(row["line"]), stops).drawn_line
    return Round(row["id"], line, (), row["site"], row["mode"], row["name"])


def _points(flat: Sequence[float]) -> tuple[tuple[float, float], ...]:
    return tuple(_pairs(flat))


def _pairs(flat: Sequence[float]) -> Iterator[tuple[float, float]]:
    return zip(flat[::2], flat[1::2], strict=True)
