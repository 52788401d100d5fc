"""Corrections on their way in: which event is corrected, by whom, and what replaces it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from fieldsvc.journal.lookup import FieldEvent, field_event, has_receipt
from fieldsvc.journal.submission import Incoming
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from handlers.base import Handler
from handlers.fields import format_time
from handlers.registry import Registry
from handlers.story import Actor, EventType, Fact, Refused

AUTHOR_MAY = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Original:
    """The event that is corrected: its service, its subjects, and its fact without the data."""

    handler: Handler
    event_type: EventType
    subjects: tuple[str, ...]
    fact: Fact
    site: str | None


@dataclass(frozen=True, slots=True)
class Corrector:
    """Who corrects, and when: the author within a day, a supervisor or the operator at any time."""

    actor: Actor
    device: Device | None
    site: str | None
    at: datetime


class Originals:
    """Finds what is corrected: in the same upload, else in the journal."""

    def __init__(self, database: Database, registry: Registry) -> None:
        self._database = database
        self._registry = registry

    async def find(self, corrects: UUID, corrector: Corrector, *, earlier: Mapping[UUID, Incoming]) -> Original:
        """Find the event of an id. Refused: unknown_event, not_correctable, not_allowed (not the author, or too late)."""
        if corrects in earlier:
            return _of_upload(earlier[corrects])
        stored = await field_event(self._database, corrects)
        if stored is None or (corrector.site is not None and stored.site != corrector.site):
            raise Refused("unknown_event")
        original = self._stored(stored)
        if not await self._may(stored, corrector):
            raise Refused("not_allowed")
        return original

    def _stored(self, row: FieldEvent) -> Original:
        if row.type not in self._registry.by_type:
            raise Refused("not_correctable")
        handler, event_type = self._registry.by_type[row.type]
        try:
            subjects = handler.subjects_of(row.type, row.clear)
        except (KeyError, TypeError, Refused):
            subjects = (row.subject,)
        fact = Fact(
            *(format_time(row.occurred_at), str(row.id), row.type, {}, row.by, row.account, row.run, row.located),
            late_s=(row.received_at - row.occurred_at).total_seconds(),
            clock_suspect=row.clock_suspect,
        )
        return Original(handler, event_type, subjects, fact, row.site)

    async def _may(self, row: FieldEvent, corrector: Corrector) -> bool:
        if corrector.actor.kind in ("supervisor", "operator"):
            return True
        if corrector.at - row.occurred_at > AUTHOR_MAY:
            return False
        if corrector.device is not None:
            return await has_receipt(self._database, corrector.device.device_id, row)
        return row.by == "subscriber" and row.account is not None and row.account == corrector.actor.account


def _of_upload(sent: Incoming) -> Original:
    event_type = next((each for each in sent.handler.events if each.name == sent.type), None)
    if event_type is None:
        raise Refused("not_correctable")
    by, at = sent.actor, format_time(sent.occurred_at)
    fact = Fact(
        *(at, str(sent.id), sent.type, {}, by.kind, by.account, sent.run, sent.located, sent.placement),
        late_s=(sent.received_at - sent.occurred_at).total_seconds(),
        clock_suspect="clock_suspect" in sent.warnings,
    )
    return Original(sent.handler, event_type, sent.subjects, fact, sent.site)
