"""Looking one field event up, as somebody said it: its clear parts, and whether a device was given a receipt for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.store.database import Database
from handlers.fields import join
from sql import query

_SAME_COMMIT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class FieldEvent:
    """One field event; `clear` is its data without what is sealed, `by` the kind of who said it."""

    id: UUID
    type: str
    subject: str
    account: str | None
    site: str | None
    run: str | None
    occurred_at: datetime
    received_at: datetime
    clear: Mapping[str, Any]
    by: str
    located: Mapping[str, Any] | None
    clock_suspect: bool


async def field_event(database: Database, event_id: UUID) -> FieldEvent | None:
    """Find a field event that was accepted."""
    async with database.acquire() as connection:
        known = await connection.fetchrow(query("event_id.known"), [event_id])
        found = await connection.fetchrow(query("event.field_by_id"), event_id, known["day"]) if known else None
    if found is None:
        return None
    stored = orjson.loads(found["public"])
    clear = join(stored["public"], stored.get("operational", {}))
    envelope = clear.pop("_envelope", {})
    return FieldEvent(
        **{name: value for name, value in found.items() if name != "public"},
        clear=clear,
        by=envelope.get("by", "device"),
        located=envelope.get("located"),
        clock_suspect=bool(envelope.get("clock_suspect")),
    )


async def has_receipt(database: Database, device: str, event: FieldEvent) -> bool:
    """Tell whether the receipt that an event got when it was accepted is this device's."""
    since, until = event.received_at - _SAME_COMMIT, event.received_at + _SAME_COMMIT
    async with database.acquire() as connection:
        rows = await connection.fetch(query("receipt.of_device_near"), device, since, until)
    return any(str(event.id) == covered for row in rows for covered, *_ in orjson.loads(row["body"])["events"])
