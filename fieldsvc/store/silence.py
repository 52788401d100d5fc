"""Silences: which runs are at work and when they were last heard, and where rounds are regularly silent."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fieldsvc.store.database import Database
from fieldsvc.store.learned_time import Row
from sql import query


@dataclass(frozen=True, slots=True)
class Heard:
    """A run at work, its newest moment, and how runs fared on the stretch where it was; 0 passed = not known."""

    run_id: str
    round_id: str
    site: str
    state: str
    body: bytes | None
    at: datetime | None
    passed: int
    silent: int
    gap_s: float
    is_open: bool


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run whose silences are taken in now, in an open transaction; without a version it teaches nothing."""

    connection: asyncpg.Connection
    run_id: str
    day: date
    round_id: str
    version: int | None
    body: bytes | None

    async def rows(self, *, limit: int) -> list[Row]:
        """Read the first moments of the run, oldest first."""
        found = await self.connection.fetch(query("live.progress_of_run"), self.day, self.run_id, limit)
        return [Row(row["at"], row["distance_along_m"], row["status"]) for row in found]

    async def learn(self, stretches: Mapping[int, float | None]) -> None:
        """Add the run to what is known of its round: seconds of silence of each stretch that it passed, or None."""
        buckets = sorted(stretches)
        await self.connection.execute(
            query("silence.learn"), self.round_id, self.version, buckets, [stretches[each] for each in buckets]
        )


async def at_work(database: Database, first_day: date) -> list[Heard]:
    """Read the runs from a day on that are at work, or whose silence is still open."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("silence.runs"), first_day)
    return [
        Heard(
            *(row["id"], row["round_id"], row["site"], row["state"], row["body"], row["at"]),
            passed=row["passed"] or 0,
            silent=row["silent"] or 0,
            gap_s=row["gap_s"] or 0.0,
            is_open=row["is_open"],
        )
        for row in rows
    ]


async def waiting(database: Database, settled_s: float, limit: int) -> list[str]:
    """List runs that ended so long ago and were not taken in yet."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("silence.waiting"), settled_s, limit)]


@asynccontextmanager
async def claimed(database: Database, run_id: str) -> AsyncIterator[Claimed | None]:
    """Take a run in, in one transaction; None if that was done."""
    async with database.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(query("silence.claim"), run_id)
        yield Claimed(connection, run_id, row["day"], row["round_id"], row["version"], row["body"]) if row else None
