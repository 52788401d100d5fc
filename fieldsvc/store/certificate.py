"""Certificates: what came of a hostile day against an account's receiver."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from fieldsvc.store.database import Database
from sql import query

BROKEN_AFTER, KEPT = timedelta(hours=1), timedelta(days=400)


@dataclass(frozen=True, slots=True)
class Run:
    """One run; `body` is its certificate once it has ended, `result` passed, failed, not shown or broken_off."""

    id: str
    url: str
    started_by: str
    started_at: datetime
    ended_at: datetime | None
    result: str | None
    body: dict[str, Any] | None
    done: int
    whole: int

    @property
    def state(self) -> str:
        """How it stands: `running`, or its result in one word."""
        if self.result is not None:
            return self.result.replace(" ", "_")
        return "broken_off" if datetime.now(UTC) - self.started_at > BROKEN_AFTER else "running"


@dataclass(frozen=True, slots=True)
class NewRun:
    """A run that begins."""

    id: str
    account: str
    url: str
    started_by: str


async def start(database: Database, new: NewRun, *, most_a_day: int) -> bool:
    """Note that a run begins; False while another one of the account runs, or after its most of a day."""
    async with database.acquire() as connection:
        await connection.execute(query("certificate.forget_before"), datetime.now(UTC) - KEPT)
        values = (new.id, new.account, new.url, new.started_by, 0, most_a_day)
        return await connection.fetchval(query("certificate.start"), *values) is not None


async def advance(database: Database, run_id: str, done: int, whole: int) -> None:
    """Note how far a run is."""
    async with database.acquire() as connection:
        await connection.execute(query("certificate.advance"), run_id, done, whole)


async def finish(database: Database, run_id: str, result: str, body: dict[str, Any] | None) -> None:
    """Keep what came of a run."""
    async with database.acquire() as connection:
        await connection.execute(
            query("certificate.finish"), run_id, result, orjson.dumps(body).decode() if body else None
        )


async def read(database: Database, account: str, run_id: str) -> Run | None:
    """Read one run of an account."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("certificate.read"), account, run_id)
    return _run(row) if row else None


async def of_account(database: Database, account: str, *, limit: int = 20) -> list[Run]:
    """List the runs of an account, newest first."""
    async with database.acquire() as connection:
        return [_run(row) for row in await connection.fetch(query("certificate.of_account"), account, limit)]


def _run(row: asyncpg.Record) -> Run:
    body = orjson.loads(row["body"]) if isinstance(row["body"], str) else row["body"]
    return Run(
        row["id"], row["url"], row["started_by"], row["started_at"], row["ended_at"], row["result"], body,
        row["done"], row["whole"],
    )  # fmt: skip
