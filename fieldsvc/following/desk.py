"""What somebody sees who follows an item or a pouch: how it stands, when the carrier will be there, and what can be done."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo

from fieldsvc.errors import NotFound
from fieldsvc.following.approach import Approach, Approaches
from fieldsvc.following.telling import Status, status_of
from fieldsvc.journal.stories import Stories
from fieldsvc.store import request as store
from fieldsvc.store.database import Database
from handlers.base import Handler

_SERVICES = {"item": "item", "pouch": "medication"}


@dataclass(frozen=True, slots=True)
class Followed:
    """How it stands, and when and in which half of the day it comes, as far as that can be told."""

    status: Status
    approach: Approach | None = None
    half_day: str | None = None


@dataclass(frozen=True, slots=True)
class Following:
    """Reads what is followed."""

    database: Database
    stories: Stories
    handlers: Mapping[str, Handler]
    approaches: Approaches
    zone: tzinfo

    async def of(self, subject: str) -> Followed:
        """Tell how the subject of a link stands. NotFound for what is no longer known, or is of another kind."""
        now = datetime.now(UTC)
        today = now.astimezone(self.zone).date()
        handler = self.handlers.get(_SERVICES.get(subject.partition("/")[0], ""))
        if handler is None:
            raise NotFound
        story = (await self.stories.of(handler, [subject], now)).get(subject)
        item = await store.item(self.database, subject)
        if story is None:
            raise NotFound
        is_open = item is not None and item.state == "planned"
        day = item.day if item else None
        status = status_of(subject, story.said, story.facts, day=day, today=today, open_task=is_open)
        if item is None or not is_open or status.is_over or item.day != today:
            return Followed(status)
        approach = await self.approaches.of(item, loaded=status.state == "out")
        noon = datetime.combine(today, time(13), self.zone)
        if approach is None or status.state == "out":
            return Followed(status, approach)
        return Followed(status, None, approach.is_half_day(noon))
