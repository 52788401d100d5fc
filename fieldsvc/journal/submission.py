"""What enters the writer's queue, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from handlers.base import Handler
from handlers.story import Actor, Fact

SHARDS = 4


@dataclass(frozen=True, slots=True)
class Incoming:
    """One event, valid and located, or one command: ready to be decided."""

    id: UUID
    type: str
    handler: Handler
    payload: Any  # the pydantic model that classes the fields of `data`
    subjects: tuple[str, ...]
    touches: tuple[str, ...]
    occurred_at: datetime
    received_at: datetime
    data: Mapping[str, Any]
    content_hmac: bytes
    actor: Actor
    raw: bytes = b""
    site: str | None = None
    run: str | None = None
    located: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    warnings: tuple[str, ...] = ()
    operational: Mapping[str, Any] = field(
        default_factory=dict
    )  # of the envelope: the phone's own time, its claimed subject
    personal: Mapping[str, Any] = field(default_factory=dict)  # of the envelope: who entered it
    device: str | None = None  # for receipts and quarantine: a stored event does not say whose phone it came from
    original: Fact | None = None  # of a correction: the event that it corrects, without its data
    timer: UUID | None = None  # the timer row that this command empties


@dataclass(frozen=True, slots=True)
class Rejected:
    """One member of a request that is kept in quarantine, with the reason."""

    id: str | None
    reason: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Submission:
    """One request: its members in the order sent. With a device it gets a signed receipt."""

    items: Sequence[Incoming | Rejected]
    device: str | None = None
    site: str | None = None
    received_at: datetime | None = None

    @property
    def size(self) -> int:
        """Bytes as they came."""
        return sum(len(item.raw) for item in self.items)


@dataclass(frozen=True, slots=True)
class Result:
    """The answer to one member. `status`: accepted, duplicate, conflict, quarantined; for commands also refused, gone."""

    id: str | None
    status: str
    reason: str | None = None
    warnings: tuple[str, ...] = ()
    located: Mapping[str, Any] | None = None
    answer: Mapping[str, Any] | None = None
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The answer to one request."""

    results: list[Result]
    receipt: str | None = None
