"""Where services are piloted; a service that is not piloted is everywhere."""

from collections.abc import Collection

from fieldsvc.store.database import Database
from sql import query


async def every(database: Database) -> dict[str, frozenset[str]]:
    """Read the sites of each service that is piloted."""
    async with database.acquire() as connection:
        return {row["service"]: frozenset(row["sites"]) for row in await connection.fetch(query("pilot.all"))}


async def put(database: Database, service: str, sites: Collection[str]) -> None:
    """Pilot a service at these sites and nowhere else."""
    async with database.acquire() as connection:
        await connection.execute(query("pilot.put"), service, sorted(sites))


async def end(database: Database, service: str) -> bool:
    """End the pilot of a service, so that it is everywhere; False if there was none."""
    async with database.acquire() as connection:
        done: str = await connection.execute(query("pilot.end"), service)
    return done != "DELETE 0"
