"""Alarms as the screens need them; the journal holds the rest."""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Alarm:
    """One alarm. `event` is the journal's event that holds its place, sealed; `address` is read with single alarms and pages."""

    id: str
    kind: str
    run: str | None
    site: str | None
    carrier: str | None
    stop_id: str | None
    raised_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    event: UUID
    address: str | None = None


_COLUMNS = tuple(field.name for field in fields(Alarm))


async def changed(database: Database, within_s: float) -> list[Alarm]:
    """List the alarms that were raised or taken in the last seconds."""
    async with database.acquire() as connection:
        return [_alarm(row) for row in await connection.fetch(query("alarm.changed"), within_s)]


async def open_alarms(database: Database, site: str | None) -> list[Alarm]:
    """List the alarms of a site, or with None of all, that nobody has taken yet, oldest first."""
    async with database.acquire() as connection:
        return [_alarm(row) for row in await connection.fetch(query("alarm.open"), site)]


async def read(database: Database, alarm_id: str) -> Alarm | None:
    """Read one alarm."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("alarm.read"), alarm_id)
    return _alarm(row) if row is not None else None


async def page(
    database: Database, site: str | None, *, only_open: bool, before: tuple[datetime, str], limit: int
) -> list[Alarm]:
    """List alarms, newest first, from behind `(raised_at, id)` on."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("alarm.page"), site, only_open, *before, limit)
    return [_alarm(row) for row in rows]


def _alarm(row: asyncpg.Record) -> Alarm:
    return Alarm(**{name: row[name] for name in _COLUMNS if name in row})
