"""Access cases: delivery points that cannot be served, and what was decided; they are written by decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime

import asyncpg

from fieldsvc.store.database import Database, Seen
from sql import query


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case, open or decided; `sealed` holds what was said in words."""

    delivery_point_id: str
    site: str | None
    state: str
    opened_at: datetime
    answer_due_at: datetime
    reason: str
    asked_by: str
    mail_waits_at: str | None
    mail_waits_until: date | None
    decision: str | None
    decided_at: datetime | None
    until: date | None
    sealed: bytes


_COLUMNS = tuple(field.name for field in fields(CaseRow))


def case_of(row: asyncpg.Record) -> CaseRow:
    """Read a row."""
    return CaseRow(*(row[name] for name in _COLUMNS))


async def states(database: Database, points: Sequence[str]) -> dict[str, str]:
    """Map those of these delivery points that have a case to its state."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("access_case.of_points"), list(points))
    return {row["delivery_point_id"]: row["state"] for row in rows}


async def page(
    seen: Seen, site: str | None, *, only_open: bool, after: tuple[datetime, str], limit: int
) -> list[CaseRow]:
    """List cases, oldest first, from behind `(opened_at, delivery_point_id)` on."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("access_case.page"), site, only_open, *after, limit)
    return [case_of(row) for row in rows]
