"""Who may follow a visit, by a keyed digest of a mail address; written by decisions."""

from dataclasses import dataclass
from datetime import date, datetime

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class VisitRow:
    """One visit that somebody may follow; `state` is its task's."""

    visit: str
    day: date
    window_from: datetime | None
    window_until: datetime | None
    state: str
    at_risk: bool


async def visits_of(database: Database, digest: bytes, *, today: date, since: date, limit: int) -> list[VisitRow]:
    """List the visits that somebody may follow today, the newest day first, from a day on."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("visit_relative.visits_of"), digest, today, since, limit)
    return [VisitRow(*row) for row in rows]
