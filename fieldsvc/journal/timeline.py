"""What was published of a run, as the journal has it, and which of it still stands."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.stories import opened_state
from fieldsvc.store.database import Database
from handlers import corrections
from handlers.base import evt_id
from handlers.fields import format_time, join
from sql import query

Place = tuple[datetime, UUID, int]
Key = tuple[str, str]  # a service's name, and a subject


@dataclass(frozen=True, slots=True)
class Published:
    """One public event, with what is clear of it and of the field event that it came with (`said`; who said it in `by`)."""

    event_id: UUID
    part: int
    type: str
    subject: str
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any]
    said: Mapping[str, Any]
    envelope: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The id under which it was published."""
        return evt_id(self.event_id, self.part)

    @property
    def place(self) -> Place:
        """Where it stands in the order of a run."""
        return self.occurred_at, self.event_id, self.part


@dataclass(frozen=True, slots=True)
class Standing:
    """What one service holds true of a subject: its public events by their facts, and which facts were corrected."""

    facts: Mapping[str, str]  # the id of a public event -> that of its fact
    corrected: frozenset[str]
    oldest_at: str | None  # of the facts that are kept; what was said of older ones stays

    def judge(self, row: Published) -> str:
        """Say how a public event stands: `said`, `superseded` by a newer one, or `corrected`."""
        if row.name in self.facts or row.type == corrections.NAME:
            return "said"
        if str(row.event_id) in self.corrected:
            return "corrected"
        is_kept = self.oldest_at is not None and format_time(row.occurred_at) >= self.oldest_at
        return "superseded" if is_kept else "said"


async def page_of_run(
    database: Database, run_id: str, days: tuple[date, date], *, after: Place, limit: int
) -> list[Published]:
    """Read the public events of a run that were received on these days, oldest first, from behind a place on."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("event.of_run"), run_id, *days, *after, limit)
    return [_published(dict(row)) for row in rows]


async def standings(database: Database, vault: Vault, keys: Iterable[Key]) -> dict[Key, Standing]:
    """Read what services hold true of subjects; one that is unknown, or whose person was erased, is left out."""
    wanted = sorted(set(keys))
    async with database.acquire() as connection:
        rows = await connection.fetch(query("state.load"), [each[0] for each in wanted], [each[1] for each in wanted])
    opened = {(row["handler"], row["subject"]): opened_state(row, vault) for row in rows}
    return {key: _standing(body) for key, body in opened.items() if body and "published" in body}


def _standing(body: Mapping[str, Any]) -> Standing:
    facts = body.get("facts", [])
    published = {known[0]: name.partition(" ")[0] for name, known in body["published"].items()}
    corrected = frozenset(row[3]["corrects"] for row in facts if row[2] == corrections.NAME)
    return Standing(published, corrected, facts[0][0] if facts else None)


def _published(row: Mapping[str, Any]) -> Published:
    said = _clear(row["said"])
    return Published(
        event_id=row["id"],
        part=row["part"],
        type=row["type"],
        subject=row["subject"],
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        data=_clear(row["public"]),
        said=said,
        envelope=said.get("_envelope") or {},
    )


def _clear(stored: bytes | None) -> dict[str, Any]:
    content = orjson.loads(stored) if stored else {}
    return join(content.get("public", {}), content.get("operational", {}))
