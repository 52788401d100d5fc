"""What is remembered of delivery points, and how far the journal has been learned."""

from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

import asyncpg

from fieldsvc.store.database import Database
from sql import query

Position = tuple[date, int]


@dataclass(frozen=True, slots=True)
class FieldEvent:
    """One field event as the journal keeps it; `public` is None for a type that was not asked for."""

    day: date
    pos: int
    event_id: UUID
    type: str
    run: str | None
    occurred_at: datetime
    received_at: datetime
    public: bytes | None


@dataclass(frozen=True, slots=True)
class Remembered:
    """What is remembered of one point; `door` and `box` as `geo.delivery_points` writes them, `served_on` in order."""

    delivery_point_id: str
    door: bytes | None
    box: bytes | None
    moved_on: date | None
    served_on: list[date]


@dataclass(frozen=True, slots=True)
class Listed:
    """What is remembered of one point, with the stop that serves it."""

    delivery_point_id: str
    door: bytes | None
    box: bytes | None
    served_on: list[date]
    round_id: str
    stop_id: str
    address: str | None
    lat: float
    lon: float
    box_lat: float | None
    box_lon: float | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which points to list: of a site or of all, only moved ones, or only those served on `days` days but not since a day."""

    site: str | None
    only_moved: bool = False
    not_since: date | None = None
    days: int = 0


class Learning:
    """The one who learns, in a transaction."""

    def __init__(self, connection: asyncpg.Connection, cursors: dict[int, Position]) -> None:
        """`cursors` is how far each shard has been learned; nobody moves it meanwhile."""
        self._connection = connection
        self.cursors = cursors

    async def move(self, ends: dict[int, Position]) -> None:
        """Move the cursors of shards."""
        columns = list(ends), [day for day, _pos in ends.values()], [pos for _day, pos in ends.values()]
        await self._connection.execute(query("delivery_point_memory.move"), *columns)

    async def of_points(self, ids: Collection[str]) -> dict[str, Remembered]:
        """Read what is remembered of points, by their ids."""
        rows = await self._connection.fetch(query("delivery_point_memory.of_points"), list(ids))
        return {row["delivery_point_id"]: Remembered(*row) for row in rows}

    async def put(self, found: Iterable[Remembered]) -> None:
        """Write what is remembered."""
        rows = [
            (each.delivery_point_id, each.door, each.box, each.moved_on, each.served_on, each.served_on[-1])
            for each in sorted(found, key=lambda each: each.delivery_point_id)
        ]
        await self._connection.executemany(query("delivery_point_memory.put"), rows)


@asynccontextmanager
async def learning(database: Database) -> AsyncIterator[Learning]:
    """Open a transaction in which nobody else learns, committed after the block."""
    async with database.acquire() as connection, connection.transaction():
        rows = await connection.fetch(query("delivery_point_memory.lock"))
        yield Learning(connection, {row["shard"]: (row["day"], row["pos"]) for row in rows})


async def begin(database: Database, shards: Iterable[int], day: date) -> None:
    """Begin to learn from a day on, in the shards that nobody has learned from."""
    async with database.acquire() as connection:
        await connection.execute(query("delivery_point_memory.begin"), list(shards), day)


async def cursors(database: Database) -> dict[int, Position]:
    """Read how far each shard has been learned."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("delivery_point_memory.cursors"))
    return {row["shard"]: (row["day"], row["pos"]) for row in rows}


async def events_after(
    database: Database, shard: int, position: Position, *, types: Collection[str], limit: int
) -> list[FieldEvent]:
    """Read the field events of a shard behind a position, in order."""
    async with database.acquire() as connection:
        args = shard, *position, list(types), limit
        return [FieldEvent(*row) for row in await connection.fetch(query("delivery_point_memory.events_after"), *args)]


async def of_rounds(
    database: Database, round_ids: Sequence[str]
) -> dict[str, list[tuple[str, bytes | None, bytes | None]]]:
    """Read (stop_id, door, box) of the stops of rounds of which something is remembered."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("delivery_point_memory.of_rounds"), round_ids)
    found: dict[str, list[tuple[str, bytes | None, bytes | None]]] = {}
    for round_id, *remembered in rows:
        found.setdefault(round_id, []).append((remembered[0], remembered[1], remembered[2]))
    return found


async def page(database: Database, wanted: Wanted, *, after: str, limit: int) -> list[Listed]:
    """List points in the order of their ids, from behind one on."""
    args = wanted.site, after, wanted.only_moved, wanted.not_since, wanted.days, limit
    async with database.acquire() as connection:
        return [Listed(*row) for row in await connection.fetch(query("delivery_point_memory.page"), *args)]


async def neighbours(database: Database, stops: Sequence[tuple[str, str]]) -> dict[tuple[str, str], list[date]]:
    """Read when the points around each stop `(round_id, stop_id)` were last served."""
    found: dict[tuple[str, str], list[date]] = {stop: [] for stop in stops}
    async with database.acquire() as connection:
        columns = [each[0] for each in stops], [each[1] for each in stops]
        for row in await connection.fetch(query("delivery_point_memory.neighbours"), *columns):
            found[row["round_id"], row["stop_id"]].append(row["last_served_on"])
    return found


async def forget(database: Database, before: date) -> None:
    """Forget the points that no stop serves, and that were not served since a day."""
    async with database.acquire() as connection:
        await connection.execute(query("delivery_point_memory.forget"), before)
