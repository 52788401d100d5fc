"""Reports of address changes, as people judge them. Written by decisions only, in the journal."""

from dataclasses import dataclass, fields
from datetime import date, datetime
from uuid import UUID

from fieldsvc.store.database import Seen
from sql import query


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report; `sealed` holds what is personal. `served_by`, `stop_id`, `address`, `site`: where its point is now.

    `decided_by`: the account of the person who decided, or their role.
    """

    id: UUID
    delivery_point_id: str
    reported_at: datetime
    state: str
    change: str
    confidence: str
    effective_on: date | None
    sealed: bytes
    decided_by: str | None
    decided_at: datetime | None
    served_by: str | None
    stop_id: str | None
    address: str | None
    site: str | None


_FIELDS = tuple(field.name for field in fields(ReportRow))


async def page(
    seen: Seen, site: str | None, state: str | None, *, after: tuple[datetime, UUID], limit: int
) -> list[ReportRow]:
    """Page through reports, the oldest first."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("address_report.page"), site, state, *after, limit)
    return [ReportRow(*(row[name] for name in _FIELDS)) for row in rows]


async def read(seen: Seen, report_id: UUID) -> ReportRow | None:
    """Read one report."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("address_report.read"), report_id)
    return ReportRow(*(row[name] for name in _FIELDS)) if row else None
