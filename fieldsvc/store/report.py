"""Figures, what waits to be counted in them, and how far the journal has been counted."""

from collections.abc import AsyncIterator, Collection, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg
import orjson

from fieldsvc.store.database import Database, Seen
from sql import query

Position = tuple[date, int]
Key = tuple[str, date, str, str, str]  # account, month, site, service, kpi


@dataclass(frozen=True, slots=True)
class PublicRow:
    """One public event as the journal keeps it; `public` is None for a type that was not asked for."""

    day: date
    pos: int
    event_id: UUID
    part: int
    type: str
    subject: str
    account: str | None
    site: str | None
    occurred_at: datetime
    public: bytes | None


@dataclass(frozen=True, slots=True)
class Subject:
    """What is known of one thing: its public events that hold, and what they add to which cells."""

    subject: str
    facts: list[list[Any]]
    counted: list[list[Any]]


@dataclass(frozen=True, slots=True)
class Month:
    """A month that is counted; `key` is wrapped, and None once the month is closed."""

    month: date
    key: bytes | None
    closed_at: datetime | None


class Counting:
    """The one who counts, in a transaction."""

    def __init__(self, connection: asyncpg.Connection, cursors: dict[int, Position]) -> None:
        """`cursors` is how far each shard has been counted; nobody moves it meanwhile."""
        self._connection = connection
        self.cursors = cursors

    async def move(self, ends: Mapping[int, Position]) -> None:
        """Move the cursors of shards."""
        columns = list(ends), [day for day, _pos in ends.values()], [pos for _day, pos in ends.values()]
        await self._connection.execute(query("report.move"), *columns)

    async def subjects(self, names: Collection[str]) -> dict[str, Subject]:
        """Read what is known of things."""
        rows = await self._connection.fetch(query("report.subjects"), sorted(names))
        return {
            row["subject"]: Subject(row["subject"], orjson.loads(row["facts"]), orjson.loads(row["counted"]))
            for row in rows
        }

    async def save_subjects(self, found: Sequence[Subject], today: date) -> None:
        """Write what is known of things."""
        columns = (
            [each.subject for each in found],
            [orjson.dumps(each.facts).decode() for each in found],
            [orjson.dumps(each.counted).decode() for each in found],
        )
        await self._connection.execute(query("report.save_subjects"), *columns, today)

    async def carriers_of(self, events: Collection[UUID]) -> dict[UUID, str]:
        """Name the carriers of the runs of events, to be told apart; nothing of it may be kept."""
        rows = await self._connection.fetch(query("report.carriers_of"), list(events))
        return {UUID(bytes=row["id"].bytes): row["carrier"] for row in rows}

    async def months(self, wanted: Collection[date]) -> dict[date, Month]:
        """Read months."""
        rows = await self._connection.fetch(query("report.months"), sorted(wanted))
        return {row["month"]: Month(*row) for row in rows}

    async def add_month(self, month: date, key: bytes) -> None:
        """Note a month with its wrapped key, unless it is known."""
        await self._connection.execute(query("report.add_month"), month, key)

    async def wait(self, rows: Iterable[tuple[Any, ...]]) -> None:
        """Let differences wait: (account, month, site, service, kpi, subject, mark, numerator, denominator)."""
        await self._connection.executemany(query("report.wait"), rows)
        await self._connection.execute(query("report.drop_nothing"))

    async def waiting(self, cells: Sequence[Key]) -> dict[Key, list[tuple[bytes | None, int, int]]]:
        """Read what waits for cells: (mark, numerator, denominator) of each thing."""
        columns = [list(column) for column in zip(*cells, strict=True)]
        found: dict[Key, list[tuple[bytes | None, int, int]]] = {}
        for row in await self._connection.fetch(query("report.waiting"), *columns):
            found.setdefault(tuple(row)[:5], []).append((row["mark"], row["numerator"], row["denominator"]))
        return found

    async def add_to_cells(self, steps: Iterable[tuple[Any, ...]], *, emptied: Iterable[Key]) -> None:
        """Add steps to cells: (account, month, site, service, kpi, numerator, denominator, strength); empty what waited."""
        await self._connection.executemany(query("report.add_to_cell"), steps)
        await self._connection.executemany(query("report.empty_cell"), emptied)


@asynccontextmanager
async def counting(database: Database) -> AsyncIterator[Counting]:
    """Open a transaction in which nobody else counts, committed after the block."""
    async with database.acquire() as connection, connection.transaction():
        rows = await connection.fetch(query("report.lock"))
        yield Counting(connection, {row["shard"]: (row["day"], row["pos"]) for row in rows})


async def begin(database: Database, shards: Iterable[int], day: date) -> None:
    """Begin to count from a day on, in the shards of which nothing was counted."""
    async with database.acquire() as connection:
        await connection.execute(query("report.begin"), list(shards), day)


async def cursors(database: Database) -> dict[int, Position]:
    """Read how far each shard has been counted."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("report.cursors"))
    return {row["shard"]: (row["day"], row["pos"]) for row in rows}


async def events_after(
    database: Database, shard: int, position: Position, *, types: Collection[str], limit: int
) -> list[PublicRow]:
    """Read the public events of a shard behind a position, in order."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("report.events_after"), shard, *position, list(types), limit)
    return [PublicRow(row[0], row[1], UUID(bytes=row[2].bytes), *tuple(row)[3:]) for row in rows]


async def close_months(database: Database, before: date) -> int:
    """Close the months that began before a day: destroy their keys and what still waits in them; return how many."""
    async with database.acquire() as connection, connection.transaction():
        await connection.fetch(query("report.lock"))
        due = [row["month"] for row in await connection.fetch(query("report.to_close"), before)]
        for month in due:
            await connection.execute(query("report.close_month"), month)
            await connection.execute(query("report.forget_waiting"), month)
    return len(due)


async def forget_subjects(database: Database, before: date) -> None:
    """Forget the things that nothing was said of since a day."""
    async with database.acquire() as connection:
        await connection.execute(query("report.forget_subjects"), before)


async def cells(
    seen: Seen,
    account: str,
    months: tuple[date, date],
    *,
    site: str | None,
    service: str | None,
    limit: int,
) -> list[tuple[Any, ...]]:
    """Read cells as (month, service, site, kpi, numerator, denominator, strength), in order; `months` are first and last."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("report.cells"), account, *months, site, service, limit)
    return [tuple(row) for row in rows]


async def cells_of(database: Database, site: str, service: str, month: date) -> list[tuple[Any, ...]]:
    """Read the cells of one site and service in a month, as `cells` does."""
    async with database.acquire() as connection:
        return [tuple(row) for row in await connection.fetch(query("report.cells_of"), site, service, month)]
