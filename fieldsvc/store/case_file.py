"""Cases: questions that a person has to answer by a day."""

from dataclasses import dataclass
from datetime import datetime

from fieldsvc.store.database import Database, Seen
from sql import query


@dataclass(frozen=True, slots=True)
class CaseRow:
    """One case; what was said and answered is sealed."""

    id: str
    kind: str
    subject: str
    site: str | None
    account: str | None
    state: str
    opened_at: datetime
    due_at: datetime | None
    closed_at: datetime | None
    sealed: bytes


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which cases: of a site, a state, a kind, or all."""

    site: str | None
    state: str | None
    kind: str | None


async def read(seen: Seen, case_id: str) -> CaseRow | None:
    """Read one case."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("case_file.read"), case_id)
    return CaseRow(*row) if row else None


async def page(seen: Seen, wanted: Wanted, *, before: tuple[datetime, str], limit: int) -> list[CaseRow]:
    """List cases, newest first, before `(opened_at, id)`."""
    args = wanted.site, wanted.state, wanted.kind, *before, limit
    async with seen.acquire() as connection:
        return [CaseRow(*row) for row in await connection.fetch(query("case_file.page"), *args)]


async def about(database: Database, subject: str) -> list[CaseRow]:
    """List the cases about one thing, newest first."""
    async with database.acquire() as connection:
        return [CaseRow(*row) for row in await connection.fetch(query("case_file.about"), subject)]


async def due(seen: Seen, site: str | None, *, limit: int) -> list[CaseRow]:
    """List open cases of a site, or of all, by when their answer is due."""
    async with seen.acquire() as connection:
        return [CaseRow(*row) for row in await connection.fetch(query("case_file.due"), site, limit)]
