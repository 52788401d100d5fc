"""Ideas as they stand."""

from dataclasses import dataclass
from datetime import datetime

from fieldsvc.store.database import Seen
from sql import query


@dataclass(frozen=True, slots=True)
class IdeaRow:
    """One idea; its words, its answer and its author's voice are sealed."""

    id: str
    site: str | None
    status: str
    votes: int
    submitted_at: datetime
    decided_at: datetime | None
    sealed: bytes


async def page(
    seen: Seen, *, site: str | None, status: str | None, before: tuple[datetime, str], limit: int
) -> list[IdeaRow]:
    """List ideas of a site or all, in a status or any, newest first, before `(submitted_at, id)`."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("idea.page"), site, status, *before, limit)
    return [IdeaRow(*row) for row in rows]
