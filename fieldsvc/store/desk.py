"""Duty desks: who is the last rung of every ladder, and when they are there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from fieldsvc.store.database import Database
from sql import query

EVERYWHERE = "*"


@dataclass(frozen=True, slots=True)
class Desk:
    """One desk of a site, or of all. `spans` are minutes of the week in its own zone, Monday 0:00 = 0."""

    site: str
    name: str
    contact: Mapping[str, Any] | None
    hours: str
    spans: Sequence[tuple[int, int]]
    zone: str


async def listed(database: Database, site: str | None) -> list[Desk]:
    """List the desks of a site with those of all sites; of every site for None."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("desk.list"), site)
    return [
        Desk(
            row["site"],
            row["name"],
            orjson.loads(row["contact"]) if row["contact"] else None,
            row["hours"],
            list(zip(row["opens"], row["closes"], strict=True)),
            row["zone"],
        )
        for row in rows
    ]


async def save(database: Database, desk: Desk) -> None:
    """Set a desk."""
    contact = orjson.dumps(dict(desk.contact)).decode() if desk.contact else None
    opens, closes = [span[0] for span in desk.spans], [span[1] for span in desk.spans]
    async with database.acquire() as connection:
        await connection.execute(
            query("desk.save"), desk.site, desk.name, contact, desk.hours, opens, closes, desk.zone
        )


async def remove(database: Database, site: str, name: str) -> bool:
    """Remove a desk; False if there is none."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("desk.remove"), site, name) is not None
