"""Visits as those close to the visited person may follow them: as far as she consented, and not a word more."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.stories import Stories, Story
from fieldsvc.store import visit_relative as store
from fieldsvc.store.database import Database
from fieldsvc.store.visit_relative import VisitRow
from handlers.home_visit import COMPLETED
from handlers.registry import Registry
from handlers.visit_consent import known_as

SERVICE = "home_visit"
SHOWN_FOR, MOST = timedelta(days=30), 60


@dataclass(frozen=True, slots=True)
class Visit:
    """One visit: when, how it stands, and of a completed one what the visited person lets be known."""

    row: VisitRow
    done_at: datetime | None
    facts: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Followed:
    """What a relative sees: the visits to come, the next one first, and the last one that was."""

    coming: Sequence[Visit]
    last: Visit | None


class Visits:
    """Reads the visits of somebody's relatives."""

    def __init__(self, database: Database, vault: Vault, registry: Registry, zone: tzinfo) -> None:
        self._database = database
        self._vault = vault
        self._registry = registry
        self._stories = Stories(database, vault)
        self._zone = zone

    async def of(self, email: str | None) -> Followed:
        """Find what somebody with this proved address may follow; nothing looks the same as no such visit."""
        handler = self._registry.handlers.get(SERVICE)
        if handler is None or not email:
            return Followed((), None)
        now = datetime.now(UTC)
        today, digest = now.astimezone(self._zone).date(), self._vault.person_digest(known_as(email))
        rows = await store.visits_of(self._database, digest, today=today, since=today - SHOWN_FOR, limit=MOST)
        stories = await self._stories.of(handler, [f"visit/{row.visit}" for row in rows], now)
        seen = [_visit(row, stories[name]) for row in rows if (name := f"visit/{row.visit}") in stories]
        return Followed(_coming(seen, today), next((each for each in seen if each.row.state == "done"), None))


def _coming(seen: Sequence[Visit], today: date) -> list[Visit]:
    coming = [each for each in seen if each.row.state == "planned" and each.row.day >= today]
    return sorted(coming, key=lambda each: (each.row.day, each.row.window_from or datetime.max.replace(tzinfo=UTC)))


def _visit(row: VisitRow, story: Story) -> Visit:
    done = next((each for each in story.said if each.type == COMPLETED.name), None)
    facts: Mapping[str, Any] = done.data.get("facts", {}) if done else {}
    return Visit(row, done.fact.occurred_at if done else None, facts)
