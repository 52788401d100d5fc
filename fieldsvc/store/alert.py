"""Alerts of every kind as the screens need them; calls for help (alarms) are listed with them."""

from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

import asyncpg

from fieldsvc.store.database import Database, Seen
from sql import query

TIMED_TASK = "timed task"


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. `subject` decides it and is not for screens where it is `discreet`; `kind` is what they show.

    `carrier`, `stop_id` and `address` are known of alarms alone.
    """

    id: str
    kind: str
    level: str
    service: str
    subject: str
    discreet: bool
    run: str | None
    site: str | None
    event: UUID
    raised_at: datetime
    rung: int
    told: str | None
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    settled_at: datetime | None
    carrier: str | None = None
    stop_id: str | None = None
    address: str | None = None
    assigned_to: str | None = None
    assigned_at: datetime | None = None
    comment_event: UUID | None = None

    @property
    def state(self) -> str:
        """Open, acknowledged or settled."""
        if self.settled_at is not None:
            return "settled"
        return "open" if self.acknowledged_at is None else "acknowledged"

    @property
    def shown_subject(self) -> str:
        """The subject as a supervisor may see it."""
        return TIMED_TASK if self.discreet else self.subject


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts a page is about; None = any."""

    site: str | None = None
    state: str | None = None
    kind: str | None = None
    level: str | None = None
    run: str | None = None


_COLUMNS = tuple("type" if field.name == "kind" else field.name for field in fields(Alert))


async def page(seen: Seen, wanted: Wanted, *, before: tuple[datetime, str], limit: int) -> list[Alert]:
    """List alarms and alerts, newest first, from behind `(raised_at, id)` on."""
    asked = wanted.site, wanted.state, wanted.kind, wanted.level, wanted.run
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("alert.page"), *asked, *before, limit)
    return [_alert(row) for row in rows]


async def read(seen: Seen, alert_id: str) -> Alert | None:
    """Read one alarm or alert."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("alert.read"), alert_id)
    return _alert(row) if row is not None else None


async def changed(database: Database, within_s: float) -> list[Alert]:
    """List the alerts, without alarms, that were raised, taken or settled in the last seconds."""
    async with database.acquire() as connection:
        return [_alert(row) for row in await connection.fetch(query("alert.changed"), within_s)]


async def open_alerts(database: Database, site: str | None) -> list[Alert]:
    """List the alerts of a site, or with None of all, without alarms, that nobody has taken yet, oldest first."""
    async with database.acquire() as connection:
        return [_alert(row) for row in await connection.fetch(query("alert.open"), site)]


def _alert(row: asyncpg.Record) -> Alert:
    return Alert(**{"kind" if name == "type" else name: row[name] for name in _COLUMNS if name in row})
