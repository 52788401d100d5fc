"""What the accounts of endpoints were told about them, and what they were not told yet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fieldsvc.store.database import Database
from sql import query

AT_ONCE = 1_000


@dataclass(frozen=True, slots=True)
class News:
    """An endpoint as it stands and as its account knows it (`told_…`); `said` is how often it was told of in the `hour`."""

    endpoint: str
    account: str
    state: str
    reason: str | None
    stopped_at: datetime | None
    opened_at: datetime | None
    failing_since: datetime | None
    warned: int
    told_opened_at: datetime | None
    told_failing_since: datetime | None
    told_warned: int
    told_stopped_at: datetime | None
    hour: datetime | None
    said: int
    status: int | None
    error: str | None
    url: str


@dataclass(frozen=True, slots=True)
class Letters:
    """How many dead letters of an endpoint are not told, up to the `newest`."""

    endpoint: str
    account: str
    waiting: int
    newest: datetime
    hour: datetime | None
    said: int


@dataclass(frozen=True, slots=True)
class Letter:
    """One dead letter."""

    event_id: str
    subject: str
    at: datetime
    reason: str
    attempts: int


@dataclass(frozen=True, slots=True)
class Blocked:
    """A subject that waits behind an event whose schedule is used up, at an endpoint that wants none left out."""

    endpoint: str
    account: str
    subject: str
    shard: int
    day: date
    pos: int
    attempts: int
    reason: str
    since: datetime
    hour: datetime | None
    said: int


@dataclass(frozen=True, slots=True)
class Lag:
    """Since when the oldest event of an endpoint waits, and since when it was said to be behind."""

    endpoint: str
    account: str
    oldest: datetime | None
    lagging_since: datetime | None
    hour: datetime | None
    said: int


@dataclass(frozen=True, slots=True)
class Danger:
    """An endpoint that has not read a day, and the last day that it was warned of."""

    endpoint: str
    account: str
    url: str
    state: str
    day: date
    announced: date | None


async def news(database: Database) -> list[News]:
    """Find endpoints of which something is not told."""
    async with database.acquire() as connection:
        return [News(*row) for row in await connection.fetch(query("told.news"), AT_ONCE)]


async def mark(
    database: Database,
    endpoint: str,
    *,
    opened_at: datetime | None,
    failing_since: datetime | None,
    warned: int,
    stopped_at: datetime | None,
    hour: datetime,
) -> None:
    """Note what was told of an endpoint by now."""
    async with database.acquire() as connection:
        await connection.execute(query("told.mark"), endpoint, opened_at, failing_since, warned, stopped_at, hour)


async def letters(database: Database) -> list[Letters]:
    """Find endpoints whose dead letters are not told."""
    async with database.acquire() as connection:
        return [Letters(*row) for row in await connection.fetch(query("told.letters"), AT_ONCE)]


async def oldest_letters(database: Database, waiting: Letters, *, most: int) -> list[Letter]:
    """Read the oldest dead letters that are not told."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("told.oldest_letters"), waiting.endpoint, waiting.newest, most)
    return [Letter(*row) for row in rows]


async def mark_letters(
    database: Database, waiting: Letters, event_ids: Sequence[str] | None, *, hour: datetime, count: int
) -> None:
    """Note that dead letters are told, None: all up to the newest; it took `count` words."""
    named = None if event_ids is None else list(event_ids)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("told.mark_letters"), waiting.endpoint, waiting.newest, named)
        await connection.execute(query("told.count"), waiting.endpoint, hour, count)


async def blocked(database: Database, schedule: int) -> list[Blocked]:
    """Find blocked subjects that are not told; `schedule` is how many attempts the service's own has."""
    async with database.acquire() as connection:
        return [Blocked(*row) for row in await connection.fetch(query("told.blocked"), schedule, AT_ONCE)]


async def mark_blocked(database: Database, endpoint: str, subject: str, *, hour: datetime) -> None:
    """Note that a blocked subject is told."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("told.mark_blocked"), endpoint, subject)
        await connection.execute(query("told.count"), endpoint, hour, 1)


async def lags(database: Database) -> list[Lag]:
    """Tell since when the oldest event of every active endpoint waits."""
    async with database.acquire() as connection:
        return [Lag(*row) for row in await connection.fetch(query("told.lags"))]


async def mark_lag(database: Database, endpoint: str, since: datetime | None, *, hour: datetime) -> None:
    """Note that a lag was told, None: its end."""
    async with database.acquire() as connection:
        await connection.execute(query("told.mark_lag"), endpoint, since, hour)


async def in_danger(database: Database, before: date) -> list[Danger]:
    """Find endpoints that have not read what is from before a day, each with the oldest of those days."""
    async with database.acquire() as connection:
        days = {row["endpoint"]: row["day"] for row in await connection.fetch(query("retention.near_cursors"), before)}
        rows: Sequence[asyncpg.Record] = await connection.fetch(query("told.announced"), list(days)) if days else []
    return [
        Danger(row["endpoint"], row["account"], row["url"], row["state"], days[row["endpoint"]], row["retention_day"])
        for row in rows
    ]


async def mark_retention(database: Database, endpoint: str, day: date) -> None:
    """Note up to which day an endpoint was warned."""
    async with database.acquire() as connection:
        await connection.execute(query("told.mark_retention"), endpoint, day)


async def states(database: Database) -> Mapping[str, int]:
    """Count endpoints: active, paused and disabled, and of the active ones those held back (open) and degraded."""
    async with database.acquire() as connection:
        (row,) = await connection.fetch(query("told.states"))
    return dict(row)
