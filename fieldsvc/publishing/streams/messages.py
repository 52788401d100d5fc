"""What a message of the stream is: the subject under which it lies, what it says, and the place in the journal it carries.

A stream carries what is public of an event and nothing else: no key is ever asked for here, so an erasure has nothing to do in it.
"""

import hashlib
import re
from dataclasses import dataclass
from datetime import date
from uuid import UUID

from fieldsvc.journal.reader import Position, Row
from fieldsvc.publishing.formats.cloudevents import View, render
from handlers.base import evt_id
from handlers.sandbox import SITE

STREAM, SANDBOX = "FIELDSVC", "sandbox"
SUBJECTS = "evt.>"
MESSAGE_ID, POSITION = "Nats-Msg-Id", "Fieldsvc-Position"
GENERATION = 1  # of the shards; their number is fixed at install
MEDIA_TYPE = "application/cloudevents+json"
ANYBODY, ANYBODY_THIN = View(account=""), View(account="", thin=True)
_TOKEN = re.compile(r"[A-Za-z0-9_-]+")
_POSITION = re.compile(r"([0-9a-f-]{36})/(\d+):(\d+):(\d{4}-\d{2}-\d{2}):(\d+)")


@dataclass(frozen=True, slots=True)
class Message:
    """One event on its way to the broker."""

    subject: str
    body: bytes
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Mark:
    """Where in the journal of which store a message has its place."""

    epoch: UUID
    shard: int
    place: Position

    def __str__(self) -> str:
        day, pos = self.place
        return f"{self.epoch}/{GENERATION}:{self.shard}:{day.isoformat()}:{pos}"


def read_mark(text: str) -> Mark | None:
    """Read what `str` of a mark wrote; None for anything else, also for shards of another generation."""
    found = _POSITION.fullmatch(text)
    if found is None or int(found[2]) != GENERATION:
        return None
    try:
        return Mark(UUID(found[1]), int(found[3]), (date.fromisoformat(found[4]), int(found[5])))
    except ValueError:
        return None


def shard_subjects(shard: int) -> str:
    """Name all subjects of a shard."""
    return f"evt.{shard}.>"


def account_token(account: str | None) -> str:
    """Write an account as one token of a subject; `-` for events without one."""
    if account is None:
        return "-"
    return account if _TOKEN.fullmatch(account) and account != "-" else f"x{_digest(account)}"


def subject_of(row: Row) -> str:
    """Name the subject of a row: `evt.<shard>.<account or ->.<type>.<first 16 hex digits of the subject's SHA-256>`.

    What belongs to nobody is for the operator's programs, but for events of the sandboxes' site.
    """
    owner = account_token(row.account or (SANDBOX if row.site == SITE else None))
    return f"evt.{row.shard}.{owner}.{row.type}.{_digest(row.subject)}"


def message_of(row: Row, epoch: UUID, *, most_bytes: int) -> Message:
    """Write a row as a message. What would be larger than the broker takes goes without its data, with `dataref`."""
    body = render(row, {}, ANYBODY)
    if len(body) > most_bytes:
        body = render(row, {}, ANYBODY_THIN)
    headers = {
        MESSAGE_ID: evt_id(row.event_id, row.part),
        POSITION: str(Mark(epoch, row.shard, row.position)),
        "Content-Type": MEDIA_TYPE,
    }
    return Message(subject_of(row), body, headers)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
