"""Sites as counts: of a day's runs and tasks, of what is open, and where they lie."""

from collections import defaultdict
from collections.abc import Mapping
from datetime import date

from fieldsvc.store.database import Database
from sql import query

Counts = Mapping[str, Mapping[str, int]]  # by site, and by what is counted


async def runs(database: Database, day: date) -> Counts:
    """Count the runs of a day by what became of them."""
    found: dict[str, dict[str, int]] = defaultdict(dict)
    async with database.acquire() as connection:
        for row in await connection.fetch(query("overview.runs"), day):
            found[row["site"]][row["state"]] = row["runs"]
    return found


async def tasks(database: Database, day: date) -> Counts:
    """Count the tasks of a day: `all`, `done`, `overdue`."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("overview.tasks"), day)
    return {row["site"]: {"all": row["tasks"], "done": row["done"], "overdue": row["overdue"]} for row in rows}


async def alerts(database: Database) -> Counts:
    """Count the alarms and alerts that nobody has taken yet: `open`, `urgent`."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("overview.alerts"))
    return {row["site"]: {"open": row["open"], "urgent": row["urgent"]} for row in rows}


async def places(database: Database) -> dict[str, tuple[float, float]]:
    """Find the middle of each site's rounds as (lon, lat)."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("overview.places"))
    return {row["site"]: (row["lon"], row["lat"]) for row in rows if row["lon"] is not None}
