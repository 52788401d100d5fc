"""The log of attempts: appended in batches, kept by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from fieldsvc.store.database import Database, Seen
from sql import query

DAYS_AHEAD, DAYS_KEPT = 8, 30


@dataclass(frozen=True, slots=True)
class Attempt:
    """One request to an endpoint; `n` counts from 1, and is 0 for a probe and for a test."""

    endpoint: str
    event_id: str
    n: int
    at: datetime
    status: int | None
    ms: int
    error: str | None
    body: bytes


async def add(database: Database, attempts: Sequence[Attempt]) -> None:
    """Append attempts."""
    rows = [(a.endpoint, a.event_id, a.n, a.at, a.status, a.ms, a.error, a.body) for a in attempts]
    async with database.acquire() as connection:
        await connection.execute(query("attempt.add"), *map(list, zip(*rows, strict=True)))


async def page(
    seen: Seen, endpoint: str, *, before: tuple[datetime, str, int], event_id: str | None, limit: int
) -> list[Attempt]:
    """List attempts, newest first, behind a place in that list; perhaps of one event only."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("attempt.page"), endpoint, *before, event_id, limit)
    return [Attempt(endpoint, *row) for row in rows]


async def keep_days(database: Database, today: date) -> None:
    """Make the partitions of the next days and drop those that are no longer kept."""
    async with database.acquire() as connection:
        await connection.execute(query("attempt.make_days"), today - timedelta(days=1), DAYS_AHEAD + 1)
        await connection.execute(query("attempt.drop_days"), today - timedelta(days=DAYS_KEPT))
