"""What the owner of a shard's lane to the broker reads and writes: its lease, and what the broker acknowledged."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from uuid import UUID

from fieldsvc.store.database import Database
from sql import query

Place = tuple[date, int]


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """What the broker last acknowledged of a shard.

    In which epoch of the store, up to which place of the journal, as which message, of a stream made when (as the broker writes it).
    """

    store_epoch: UUID
    place: Place
    sequence: int
    stream_made_at: str


async def open_lanes(database: Database) -> None:
    """Give every shard its lane, if it has none."""
    async with database.acquire() as connection:
        await connection.execute(query("stream.open"))


async def claim(database: Database, owner: UUID, *, lease_s: float) -> dict[int, int]:
    """Take the free shards; return shard -> epoch."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("stream.claim"), owner, lease_s)
    return {row["shard"]: row["epoch"] for row in rows}


async def renew(database: Database, owner: UUID, lanes: Mapping[int, int], *, lease_s: float) -> set[int]:
    """Keep shards, shard -> epoch; return those that are still ours."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("stream.renew"), owner, list(lanes), list(lanes.values()), lease_s)
    return {row["shard"] for row in rows}


async def release(database: Database, owner: UUID, lanes: Mapping[int, int]) -> None:
    """Give shards up."""
    async with database.acquire() as connection:
        await connection.execute(query("stream.release"), owner, list(lanes), list(lanes.values()))


async def acknowledged(database: Database, shard: int) -> Acknowledged | None:
    """Read what the broker last acknowledged of a shard; None if it never did."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("stream.acknowledged"), shard)
    if row is None or row["day"] is None:
        return None
    return Acknowledged(row["store_epoch"], (row["day"], row["pos"]), row["sequence"], row["stream_made_at"])


async def save(database: Database, owner: UUID, news: Sequence[tuple[int, int, Acknowledged]]) -> set[int]:
    """Remember (shard, epoch of the lease, what was acknowledged); return the shards that are still ours."""
    rows = [
        (shard, epoch, each.store_epoch, *each.place, each.sequence, each.stream_made_at) for shard, epoch, each in news
    ]
    async with database.acquire() as connection:
        held = await connection.fetch(query("stream.save"), owner, *map(list, zip(*rows, strict=True)))
    return {row["shard"] for row in held}


async def event_at(database: Database, shard: int, place: Place) -> tuple[UUID, int] | None:
    """Name the public event at a place of the journal by its id and part; None if there is none."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("stream.event_at"), place[0], shard, place[1])
    return (row["id"], row["part"]) if row else None


async def before_first_since(database: Database, shard: int, moment: datetime) -> Place | None:
    """Find the place before the first public row of a shard received since a moment; None if there is no such row."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("stream.first_since"), shard, moment)
    return (row["day"], row["pos"] - 1) if row else None
