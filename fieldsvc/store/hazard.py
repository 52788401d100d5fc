"""Hazards: which there are, for sheets and for supervisors; they are written by decisions."""

from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from fieldsvc.store.database import Seen
from sql import query


@dataclass(frozen=True, slots=True)
class HazardRow:
    """One hazard: reported, confirmed or ended; `sealed` holds its note."""

    id: str
    kind: str
    state: str
    site: str | None
    lat: float
    lon: float
    radius_m: float
    until: datetime
    reported_at: datetime
    sealed: bytes


_COLUMNS = tuple(field.name for field in fields(HazardRow))


def hazard_of(row: asyncpg.Record) -> HazardRow:
    """Read a row."""
    return HazardRow(*(row[name] for name in _COLUMNS))


async def page(
    seen: Seen, site: str | None, *, only_live: bool, before: tuple[datetime, str], limit: int
) -> list[HazardRow]:
    """List hazards, newest first, from behind `(reported_at, id)` on."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("hazard.page"), site, only_live, *before, limit)
    return [hazard_of(row) for row in rows]
