"""Runs: one day's execution of a round."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime, time

from fieldsvc.store.database import Database
from sql import query

_SAID = ("id", "day", "round_id", "site", "carrier", "said", "state", "starts_at", "said_starts_at")


@dataclass(frozen=True, slots=True)
class Run:
    """One run with the version of its sheet; `state` as the journal decided it."""

    run_id: str
    day: date
    round_id: str
    site: str
    carrier: str | None
    state: str
    round_version: int
    sheet_version: int


@dataclass(frozen=True, slots=True)
class SaidRun:
    """What the journal knows of a run: nothing, `covered` or `uncovered`, and its state; and what is planned now."""

    run_id: str
    day: date
    round_id: str
    site: str
    carrier: str | None
    said: str | None
    state: str
    starts_at: time | None = None
    said_starts_at: time | None = None

    @property
    def cover(self) -> str:
        """What the journal should know."""
        return "covered" if self.carrier else "uncovered"

    @property
    def is_planned_anew(self) -> bool:
        """Tell whether the journal does not know of the run, or of its start."""
        return self.said is None or self.said_starts_at != self.starts_at

    @property
    def is_known(self) -> bool:
        """Tell whether the journal knows everything."""
        return self.said == self.cover and not self.is_planned_anew


@dataclass(frozen=True, slots=True)
class Counted:
    """How many registered items, pouches and keys a run took, and what became of them, as it was reconciled last."""

    at: datetime
    taken: int
    delivered: int
    held: int
    brought_back: int
    missing: int


@dataclass(frozen=True, slots=True)
class ChangedRun:
    """What deciding about a move needs to know of a run."""

    run_id: str
    day: date
    round_id: str
    site: str
    carrier: str | None
    state: str


@dataclass(frozen=True, slots=True)
class MovedStop:
    """A stop that another run of the day does: of which round it is, and of which round the run that does it."""

    round_id: str
    to_round: str
    stop_id: str
    sequence: int
    delivery_point_id: str
    lat: float
    lon: float
    side: str | None
    address: str | None
    box_lat: float | None
    box_lon: float | None


def run_id_of(day: date, round_id: str) -> str:
    """Name the run of a round on a local day."""
    return f"run-{day.isoformat()}-{round_id}"


async def plan_day(database: Database, day: date, starts_at: time | None = None) -> None:
    """Make the runs of a day from the roster and the devices' own rounds; `starts_at` where neither row nor site says one."""
    async with database.acquire() as connection:
        await connection.execute(query("run.plan_day"), day, starts_at)


async def add(
    database: Database, day: date, round_id: str, *, carrier: str | None, starts_at: time | None = None
) -> None:
    """Make one run, unless it exists."""
    async with database.acquire() as connection:
        await connection.execute(query("run.add"), day, round_id, carrier, starts_at)


async def unsaid(database: Database, day: date) -> list[str]:
    """List the runs of a day of which the journal has something to learn."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("run.unsaid"), day)]


async def kept_by_hours(database: Database, day: date, states: Sequence[str]) -> list[str]:
    """List the covered runs of a day that are in one of these states."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("run.kept_by_hours"), day, list(states))]


@asynccontextmanager
async def saying(database: Database, run_id: str, *, plan: bool = True) -> AsyncIterator[SaidRun | None]:
    """Read what the journal knows of a run, while no other process tells it anything about it.

    After a block that tells the `plan` it knows whether the run, as it was read, is covered and when it starts; if the block
    fails nothing is noted. One connection is held all the while, and no second one is asked for.
    """
    async with database.acquire() as connection:
        await connection.execute(query("run.lock_saying"), run_id)
        try:
            row = await connection.fetchrow(query("run.what_is_said"), run_id)
            run = SaidRun(*(row[name] for name in _SAID)) if row else None
            yield run
            if plan and run is not None and not run.is_known:
                await connection.execute(query("run.set_said"), run_id, run.cover, run.starts_at)
        finally:
            await connection.execute(query("run.unlock_saying"), run_id)


async def decided(database: Database, run_id: str) -> bytes | None:
    """Read what the journal decided about a run, as committed by now."""
    async with database.acquire() as connection:
        body: bytes | None = await connection.fetchval(query("run_state.duty"), run_id)
    return body


async def read(database: Database, run_id: str) -> Run | None:
    """Read one run."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("run.read"), run_id)
    if row is None:
        return None
    return Run(
        row["id"],
        row["day"],
        row["round_id"],
        row["site"],
        row["carrier"],
        row["state"],
        row["round_version"],
        row["sheet_version"],
    )


async def counted(database: Database, run_id: str) -> Counted | None:
    """Read what became of what a run took; None as long as it was not reconciled."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("run_thing.counted"), run_id)
    return Counted(**row) if row else None


async def change_of(database: Database, run_id: str) -> ChangedRun | None:
    """Read what deciding about a move needs to know of a run."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("run.change_of"), run_id)
    return ChangedRun(*row) if row else None


async def stops_between(database: Database, day: date, round_id: str, *, first: str, last: str) -> list[str]:
    """List the stops of a round from one to another, in planned order, that still are its own on a day."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("run.stops_between"), day, round_id, first, last)
    return [row["stop_id"] for row in rows]
