"""The audit log: rows that are only ever appended, its last link, and the links that were signed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from uuid import UUID

import asyncpg

from fieldsvc.store.database import Database
from sql import query

Place = tuple[date, int]
START: Place = (date(1999, 1, 1), 0)
EVER = datetime(1999, 1, 1, tzinfo=UTC)
NEWEST: Place = (date(9000, 1, 1), 0)


@dataclass(frozen=True, slots=True)
class Row:
    """One row; `chain` is empty where it was not asked for."""

    day: date
    pos: int
    at: datetime
    actor: str
    role: str
    action: str
    subject: str
    reason: str | None
    site: str | None
    carrier_ref: str | None = None
    chain: bytes = b""

    @property
    def place(self) -> Place:
        """Where it stands."""
        return self.day, self.pos


@dataclass(frozen=True, slots=True)
class End:
    """The last link. `epoch`: the store's when the chain was last anchored."""

    day: date
    pos: int
    at: datetime
    chain: bytes
    epoch: UUID | None


@dataclass(frozen=True, slots=True)
class Head:
    """A link that was signed."""

    epoch: UUID
    day: date
    pos: int
    at: datetime
    chain: bytes
    signature: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """What of the log is asked for; None = all."""

    actor: str | None = None
    role: str | None = None
    action: str | None = None
    subject: str | None = None
    site: str | None = None
    first: date | None = None
    last: date | None = None


async def note(database: Database, values: tuple[str | None, ...], *, soon: bool = False) -> None:
    """Append a row `(actor, role, action, subject, reason, site, carrier)`; `soon` does not wait for the disk."""
    async with database.acquire() as connection:
        await connection.execute(query("audit.note_soon" if soon else "audit.note"), *values)


@asynccontextmanager
async def locked_end(database: Database) -> AsyncIterator[tuple[asyncpg.Connection, End]]:
    """Give the last link in a transaction during which nobody appends."""
    async with database.acquire() as connection, connection.transaction():
        (row,) = await connection.fetch(query("audit.lock_end"))
        yield connection, End(*row)


async def end(database: Database) -> End:
    """Read the last link."""
    async with database.acquire() as connection:
        (row,) = await connection.fetch(query("audit.end"))
    return End(*row)


async def heads(database: Database) -> list[Head]:
    """List the signed links, oldest first."""
    async with database.acquire() as connection:
        return [Head(*row) for row in await connection.fetch(query("audit.heads"))]


async def last_of_earlier_day(connection: asyncpg.Connection, day: date) -> End | None:
    """Read the last link before a day."""
    row = await connection.fetchrow(query("audit.last_of_earlier_day"), day)
    return End(*row) if row else None


async def add_head(connection: asyncpg.Connection, head: Head) -> bool:
    """Keep a signed link; False if it is there."""
    values = (head.epoch, head.day, head.pos, head.at, head.chain, head.signature)
    return await connection.fetchval(query("audit.add_head"), *values) is not None


async def move_epoch(connection: asyncpg.Connection, epoch: UUID, values: tuple[str | None, ...]) -> End:
    """Anchor the chain under another epoch of the store with a row that says so; return the new last link."""
    await connection.execute(query("audit.note"), *values)
    await connection.execute(query("audit.move_epoch"), epoch)
    (row,) = await connection.fetch(query("audit.end"))
    return End(*row)


async def chain_after(database: Database, place: Place, *, limit: int) -> list[Row]:
    """Read rows of the chain after a place."""
    async with database.acquire() as connection:
        return [Row(*row) for row in await connection.fetch(query("audit.chain_after"), *place, limit)]


async def page(database: Database, wanted: Wanted, *, before: Place, limit: int) -> list[Row]:
    """Read a page of the log, newest first."""
    filters = (wanted.actor, wanted.role, wanted.action, wanted.subject, wanted.site, wanted.first, wanted.last)
    async with database.acquire() as connection:
        return [Row(*row) for row in await connection.fetch(query("audit.page"), *before, limit, *filters)]


async def of_account(database: Database, account: str, *, before: Place, limit: int) -> list[Row]:
    """Read a page of what was done in one account, newest first."""
    async with database.acquire() as connection:
        return [Row(*row) for row in await connection.fetch(query("audit.of_account"), account, *before, limit)]


async def of_carrier(
    database: Database, carrier_ref: str, *, site: str, before: Place, limit: int, since: datetime = EVER
) -> list[Row]:
    """Read a page of who looked at one carrier's work, or at the list of a past day of their site, newest first."""
    values = (carrier_ref, site, *before, limit, since)
    async with database.acquire() as connection:
        return [Row(*row) for row in await connection.fetch(query("audit.of_carrier"), *values)]


async def keep_months(connection: asyncpg.Connection, first: date, count: int, *, oldest: date) -> int:
    """Make months from a day on, and drop those before the month of `oldest`; return how many were made."""
    await connection.fetchval(query("audit.drop_months"), oldest)
    return int(await connection.fetchval(query("audit.make_months"), first, count))
