"""Stops: the ordered visits of rounds."""

from collections.abc import Sequence
from typing import Any

import asyncpg

from fieldsvc.store.database import Database, Source
from geo.rounds import Stop
from sql import query

COLUMNS = (
    "round_id",
    "stop_id",
    "sequence",
    "delivery_point_id",
    "lat",
    "lon",
    "side",
    "address",
    "box_lat",
    "box_lon",
)


def from_row(row: asyncpg.Record) -> Stop:
    """Read a stop from a database row."""
    box = (row["box_lat"], row["box_lon"]) if row["box_lat"] is not None else None
    return Stop(
        stop_id=row["stop_id"],
        lat=row["lat"],
        lon=row["lon"],
        side=row["side"],
        delivery_point_id=row["delivery_point_id"],
        address=row["address"],
        sequence=row["sequence"],
        box_at=box,
    )


def to_row(round_id: str, stop: Stop, *, sequence: int) -> tuple[Any, ...]:
    """Write a stop as a database row; a stop without a delivery point is its own."""
    box_lat, box_lon = stop.box_at or (None, None)
    return (
        round_id,
        stop.stop_id,
        stop.sequence if stop.sequence is not None else sequence,
        stop.delivery_point_id or stop.stop_id,
        stop.lat,
        stop.lon,
        stop.side,
        stop.address,
        box_lat,
        box_lon,
    )


async def of_round(database: Database, round_id: str) -> list[Stop]:
    """Read the stops of a round in planned order."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("stop.of_rounds"), [round_id])
    return [from_row(row) for row in rows]


async def addresses(source: Source, round_id: str, stop_ids: Sequence[str]) -> dict[str, str | None]:
    """Read where stops of a round are; one that is not there is left out."""
    async with source.acquire() as connection:
        rows = await connection.fetch(query("stop.addresses"), round_id, stop_ids)
    return {row["stop_id"]: row["address"] for row in rows}
