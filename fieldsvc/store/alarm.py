"""Alarms as the screens need them; the journal holds the rest."""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from fieldsvc.store.database import Database, Seen
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
    rung: int = 0
    assigned_to: str | None = None
    assigned_at: datetime | None = None

    @property
    def level(self) -> str:
        """Every call for help is urgent."""
        return "urgent"

    @property
    def settled_at(self) -> None:
        """Nothing but a person ends a call for help."""
        return

    @property
    def state(self) -> str:
        """Open or acknowledged."""
        return "open" if self.acknowledged_at is None else "acknowledged"


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


@dataclass(frozen=True, slots=True)
class OwnAlarm:
    """An alarm as its carrier sees it: who has it, by their role and how they are addressed."""

    id: str
    kind: str
    raised_at: datetime
    rung: int
    told: str | None
    acknowledged_at: datetime | None
    role: str | None
    name: str | None


async def of_carrier(seen: Seen, site: str, carrier: str, *, limit: int) -> list[OwnAlarm]:
    """List a carrier's newest alarms."""
    async with seen.acquire() as connection:
        return [OwnAlarm(*row) for row in await connection.fetch(query("alarm.of_carrier"), site, carrier, limit)]


def _alarm(row: asyncpg.Record) -> Alarm:
    return Alarm(**{name: row[name] for name in _COLUMNS if name in row})
