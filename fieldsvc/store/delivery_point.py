"""Delivery points: where one letterbox or door is."""

from fieldsvc.store.database import Database
from sql import query


async def exists(database: Database, delivery_point_id: str) -> bool:
    """Tell whether there is such a delivery point."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(query("delivery_point.exists"), delivery_point_id))


async def site_of(database: Database, delivery_point_id: str) -> str | None:
    """Find the site whose round serves a delivery point."""
    async with database.acquire() as connection:
        site: str | None = await connection.fetchval(query("delivery_point.site_of"), delivery_point_id)
    return site


async def add_placed(
    database: Database, delivery_point_id: str, *, address: str, lat: float, lon: float, round_id: str | None
) -> None:
    """Make a point that was found by its address, on a round but without a stop of its own."""
    async with database.acquire() as connection:
        await connection.execute(query("delivery_point.add_placed"), delivery_point_id, address, lat, lon, round_id)
