"""Rows as they are stored: what of an event is clear, what is sealed, and the chain over a shard."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.sealed import PersonKey, sealed_place
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, SEALED_CLASSES, FieldClass

EVENT_COLUMNS = (
    "day", "shard", "pos", "id", "part", "kind", "type", "subject", "subject_seq", "account", "site", "run",
    "occurred_at", "received_at", "public", "sealed_sha256", "chain",
)  # fmt: skip
SEALED_COLUMNS = ("purpose", "month", "event_id", "part", "person", "key_id", "nonce", "ciphertext")
CHAIN_START = bytes(32)
FIELD_PART = -1  # of a field row; public rows count from 0


@dataclass(slots=True)
class Draft:
    """A row before it has its place."""

    shard: int
    id: UUID
    part: int
    kind: str
    type: str
    subject: str
    subject_seq: int | None
    account: str | None
    person: str
    site: str | None
    run: str | None
    occurred_at: datetime
    received_at: datetime
    parts: Mapping[FieldClass, Mapping[str, Any]]
    extra: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_sealed(self) -> bool:
        """Whether a key is needed."""
        return any(name in self.parts for name in SEALED_CLASSES)


def clear_part(draft: Draft) -> bytes:
    """Render the part that is not sealed."""
    clear: dict[str, Any] = {"public": draft.parts.get(PUBLIC, {})}
    if draft.parts.get(OPERATIONAL):
        clear["operational"] = draft.parts[OPERATIONAL]
    clear |= draft.extra
    if draft.is_sealed:
        clear["sealed"] = [name.value for name in SEALED_CLASSES if name in draft.parts]
    return orjson.dumps(clear)


def sealed_parts(draft: Draft, key: PersonKey, day: date) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of `sealed` that belong to a draft."""
    for name in SEALED_CLASSES:
        if name in draft.parts:
            bound_to = sealed_place(draft.id, draft.part, name.value)
            nonce, ciphertext = key.seal(draft.parts[name], bound_to=bound_to)
            month = day.replace(day=1) if name is PERSONAL else day  # the others are kept for days, not for months
            yield name.value, month, draft.id, draft.part, draft.person, key.key_id, nonce, ciphertext


def event_row(
    draft: Draft, *, day: date, pos: int, sealed: Sequence[tuple[Any, ...]], previous: bytes
) -> tuple[Any, ...]:
    """Build the row of `event`, chained to the previous one of its shard."""
    head = (
        day,
        draft.shard,
        pos,
        draft.id,
        draft.part,
        draft.kind,
        draft.type,
        draft.subject,
        draft.subject_seq,
        draft.account,
        draft.site,
        draft.run,
        draft.occurred_at,
        draft.received_at,
    )
    clear = clear_part(draft)
    digests = [hashlib.sha256(row[-1]).digest() for row in sealed]
    return (*head, clear, digests, chained(previous, head, clear, digests))


def chained(previous: bytes, head: tuple[Any, ...], clear: bytes, digests: list[bytes]) -> bytes:
    """SHA-256 over the previous link and the row, field by field."""
    text = orjson.dumps(head, default=str, option=orjson.OPT_UTC_Z)  # the driver has a UUID class of its own
    return hashlib.sha256(b"".join((previous, len(text).to_bytes(4, "big"), text, clear, *digests))).digest()
