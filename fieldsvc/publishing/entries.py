"""What a lane sends: events on their way to one endpoint, and the subjects that wait alone.

What must stay in order is called a subject here. In mode `parallel` that is a single event, by its `parallel_key`.
"""

from collections import deque
from dataclasses import dataclass, field
from datetime import datetime

from fieldsvc.journal.reader import Position
from fieldsvc.store.lanes import ParkedRow

_EVENT = " evt_"


def parallel_key(subject: str, evt_id: str) -> str:
    """Return what stands for a subject where an event waits for nothing, and is parked alone."""
    return f"{subject} {evt_id}"


def subject_of(key: str) -> str:
    """Return the subject of an event, given what stands for it."""
    return key.rpartition(_EVENT)[0] or key


@dataclass(slots=True)
class Entry:
    """One event on its way to the endpoint; its `rendered_at` is infinite if nobody can be erased in it.

    Where the body is empty, `missing` says why: "retention" was faster, its rights or format "changed", or it is "unreadable".
    `is_sealed` says that the body may hold what was sealed.
    """

    shard: int
    position: Position
    subject: str
    evt_id: str
    body: bytes
    done: bool = False
    rendered_at: float = 0.0  # of the monotonic clock
    missing: str = ""
    is_sealed: bool = False


@dataclass(slots=True)
class Parked:
    """A subject that waits alone. `entry` is its head when loaded, `loaded` what follows, `behind` at least how many do."""

    shard: int
    head: Position
    attempts: int
    next_at: datetime
    reason: str
    since: datetime
    behind: int = 0
    entry: Entry | None = None
    loaded: deque[Entry] = field(default_factory=deque)
    deferred: int = 0

    @classmethod
    def of(cls, row: ParkedRow) -> "Parked":
        """Take up what was saved."""
        return cls(row.shard, row.head, row.attempts, row.next_at, row.reason, row.since, row.behind)

    def row(self, subject: str) -> ParkedRow:
        """Return what is saved."""
        return ParkedRow(
            subject, self.shard, self.head, self.attempts, self.next_at, self.reason, self.since, self.behind
        )
