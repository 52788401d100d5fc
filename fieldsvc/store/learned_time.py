"""What was learned of the times of rounds, and what a run's times are read from."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class RunTimes:
    """A run, what the journal decided about it, and its newest place."""

    run_id: str
    day: date
    round_id: str
    state: str
    state_at: datetime | None
    through_at: datetime | None
    distance_along_m: float | None
    status: str | None
    body: bytes | None


@dataclass(frozen=True, slots=True)
class Row:
    """One moment of a run."""

    at: datetime
    distance_along_m: float | None
    status: str


@dataclass(frozen=True, slots=True)
class OpenWork:
    """The open tasks of a stop, and by when the first of them is due, if any has a window."""

    tasks: int
    window_until: datetime | None


@dataclass(frozen=True, slots=True)
class Claimed:
    """A run that is taken in now, in an open transaction; `is_as_planned` = its round was not changed since it began."""

    connection: asyncpg.Connection
    run_id: str
    day: date
    round_id: str
    is_as_planned: bool
    duty: bytes | None
    learned: bytes

    async def rows(self, *, limit: int) -> list[Row]:
        """Read the first moments of the run, oldest first."""
        return await _rows(self.connection, self.day, self.run_id, limit)

    async def save(self, body: bytes) -> None:
        """Keep what is known of the round by now."""
        await self.connection.execute(query("learned_time.save"), self.round_id, body)


async def read(database: Database, round_id: str) -> bytes:
    """Read what was learned of a round; empty for nothing."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("learned_time.read"), round_id) or b""


async def run(database: Database, run_id: str, *, site: str | None) -> RunTimes | None:
    """Read one run of a site, or of any."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("learned_time.run"), run_id, site)
    return RunTimes(*row) if row else None


async def rows_of(database: Database, day: date, run_id: str, *, limit: int) -> list[Row]:
    """Read the first moments of a run, oldest first."""
    async with database.acquire() as connection:
        return await _rows(connection, day, run_id, limit)


async def open_work(database: Database, day: date, round_id: str) -> dict[str, OpenWork]:
    """Count the open tasks of a run by stop."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("learned_time.open_work"), day, round_id)
    return {row["stop_id"]: OpenWork(row["tasks"], row["window_until"]) for row in rows}


async def waiting(database: Database, settled_s: float, limit: int) -> list[str]:
    """List runs that ended so long ago and were not taken in yet."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("learned_time.waiting"), settled_s, limit)]


@asynccontextmanager
async def claimed(database: Database, run_id: str) -> AsyncIterator[Claimed | None]:
    """Take a run in, in one transaction that holds its round's row; None if that was done, or its round is gone."""
    async with database.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(query("learned_time.claim"), run_id)
        if row is None:
            await connection.execute(query("learned_time.pass_over"), run_id)
            yield None
            return
        await connection.execute(query("learned_time.begin"), row["round_id"])
        known = await connection.fetchval(query("learned_time.lock"), row["round_id"])
        yield Claimed(
            connection, run_id, row["day"], row["round_id"], bool(row["is_as_planned"]), row["body"], known or b""
        )


async def _rows(connection: asyncpg.Connection, day: date, run_id: str, limit: int) -> list[Row]:
    found = await connection.fetch(query("live.progress_of_run"), day, run_id, limit)
    return [Row(row["at"], row["distance_along_m"], row["status"]) for row in found]
