"""How far one endpoint has come, in memory: cursors, queues per subject, parked subjects, and what is still to be saved.

Pure bookkeeping without clock or I/O. Per shard, the cursor is the low-water mark: everything at or before it was
acknowledged, parked or recorded as dead. `collect` cuts out what must be saved in one transaction; until it is saved, the
cursor in the database lags, and a crash sends that span again: never more than `span` events, never out of order.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum, auto
from heapq import heappop, heappush

from fieldsvc.journal.reader import Position
from fieldsvc.publishing.entries import Entry, Parked, subject_of
from fieldsvc.store.lanes import Changes, DeadLetter, ParkedRow


class After(Enum):
    """What follows the acknowledgement of a parked head."""

    NEXT = auto()  # its next event is ready
    LOAD = auto()  # its next events lie in the backlog
    FREE = auto()  # the subject flows again


@dataclass(slots=True)
class _Shard:
    read: Position
    low: Position
    saved: Position
    entries: deque[Entry] = field(default_factory=deque)


class Progress:
    """The state of one endpoint; a subject is busy while its head is being sent."""

    def __init__(
        self,
        cursors: Mapping[int, Position],
        parked: Iterable[ParkedRow],
        *,
        span: int = 1000,
        waiting: int = 128,
        most_parked: int = 10_000,
    ) -> None:
        """Start from what was saved; bounded is what is unsaved (`span`), queued (`waiting`) and parked."""
        self.shards = {shard: _Shard(at, at, at) for shard, at in cursors.items()}
        self.parked: dict[str, Parked] = {}
        self._limits = span, waiting, most_parked
        self._queues: dict[str, deque[Entry]] = {}
        self._ready: deque[str] = deque()
        self._due: list[tuple[datetime, str]] = []
        self._busy: set[str] = set()
        self._out: set[str] = set()  # parked and busy: what is acknowledged of them will be unsaved, too
        self._probes: dict[str, int] = {}
        self._waiting = self._span = self._passed = 0
        self._touched: dict[str, Position] = {}
        self._deferred: list[tuple[str, int, Position]] = []
        self._dead: list[DeadLetter] = []
        self._urgent = False
        for row in parked:
            self.parked[row.subject] = Parked.of(row)
            heappush(self._due, (row.next_at, row.subject))

    # what arrives

    def room(self) -> int:
        """Return how many more events may be taken in; a tenth of the span is kept for what is parked."""
        span, waiting, most_parked = self._limits
        spared = max(1, span // 10) if self.parked else 0
        return min(self._left() - spared, waiting - self._waiting) if len(self.parked) < most_parked else 0

    def fold(self) -> None:
        """Put events that were parked alone in mode `parallel` behind each other, for an endpoint that wants order again."""
        alone = [(parked.head, key) for key, parked in self.parked.items() if subject_of(key) != key]
        for head, key in sorted(alone):
            subject, parked = subject_of(key), self.parked[key]
            if subject in self.parked and self.parked[subject].head > head:
                continue
            del self.parked[key]
            self._touch(key, head)
            if head > self.shards[parked.shard].low:
                continue  # what is before it may be unacknowledged; they are read again together
            first = self.parked.setdefault(subject, parked)
            if first is not parked:
                first.behind += 1
                self._deferred.append((subject, parked.shard, head))
                continue
            self._touch(subject, head)
            heappush(self._due, (parked.next_at, subject))

    def pass_over(self, shard: int, position: Position) -> None:
        """Note an event that is not for this endpoint."""
        self._move(self.shards[shard], position)

    def add(self, entry: Entry) -> None:
        """Queue an event, or defer it if its subject is parked."""
        track, parked = self.shards[entry.shard], self.parked.get(entry.subject)
        if parked is not None:
            if entry.position > parked.head:  # what is not behind the head was acknowledged before it
                self._defer(parked, entry)
            if track.entries:  # the cursor stays before it, and a crash reads it again
                entry.done, entry.body = True, b""
                track.entries.append(entry)
                self._span += 1
            self._move(track, entry.position)
            return
        self.track(entry)
        self._queue(entry)

    def track(self, entry: Entry) -> None:
        """Take an event in that is sent in a batch, or `enqueued` later; its shard's cursor waits for it."""
        track = self.shards[entry.shard]
        track.entries.append(entry)
        track.read = entry.position
        self._waiting += 1
        self._span += 1

    def enqueue(self, entry: Entry) -> None:
        """Queue an event that was tracked to be sent alone, or defer it if its subject is parked."""
        parked = self.parked.get(entry.subject)
        if parked is None:
            self._queue(entry)
            return
        entry.done = True
        self._waiting -= 1
        if entry.position > parked.head:
            self._defer(parked, entry)
        self._settle(self.shards[entry.shard])

    # what may be sent

    @property
    def waiting(self) -> int:
        """How many events were taken in and are neither acknowledged nor parked."""
        return self._waiting

    @property
    def unsaved(self) -> int:
        """How many acknowledged events the saved cursors do not cover."""
        return self._passed

    @property
    def has_ready(self) -> bool:
        """Whether a subject that is not parked has something to send."""
        return any(self._is_ready(subject) for subject in self._ready)

    def take(self, now: datetime, *, parked_too: bool) -> str | None:
        """Make a subject busy whose head may be sent now, parked ones that are due first; None if there is none."""
        while parked_too and self._due and self._due[0][0] <= now and self._left() > 0:
            at, subject = heappop(self._due)
            parked = self.parked.get(subject)
            if parked is not None and parked.next_at == at and subject not in self._busy:
                self._busy.add(subject)
                self._out.add(subject)
                return subject
        while self._ready:
            subject = self._ready.popleft()
            if self._is_ready(subject):
                self._busy.add(subject)
                return subject
        return None

    def take_probe(self) -> str | None:
        """Make a subject busy to ask with its head whether the endpoint is back: one that was asked least, oldest first."""
        ready = list(dict.fromkeys(subject for subject in self._ready if self._is_ready(subject)))
        resting = (subject for subject in self.parked if subject not in self._busy and self._left() > 0)
        chosen = min((*ready, *resting), key=lambda subject: self._probes.get(subject, 0), default=None)
        if chosen is not None:
            self._probes[chosen] = self._probes.get(chosen, 0) + 1
            self._busy.add(chosen)
            if chosen in ready:
                self._ready.remove(chosen)
            else:
                self._out.add(chosen)
        return chosen

    def next_due(self) -> datetime | None:
        """Return when the next parked subject is due."""
        return self._due[0][0] if self._due else None

    def head(self, subject: str) -> Entry | None:
        """Return the event to be sent; None if a parked one must be loaded."""
        parked = self.parked.get(subject)
        return parked.entry if parked is not None else self._queues[subject][0]

    def is_alone(self, subject: str) -> bool:
        """Whether events of a subject wait to be sent one by one, or behind a parked one."""
        return subject in self._queues or subject in self.parked

    # what became of it

    def begin(self, batch: Sequence[Entry]) -> None:
        """Make the subjects of a batch busy."""
        self._busy.update(entry.subject for entry in batch)

    def batch_acknowledged(self, batch: Sequence[Entry]) -> None:
        """Note that every event of a batch, of one shard, is through."""
        for entry in batch:
            entry.done = True
        self._busy.difference_update(entry.subject for entry in batch)
        self._waiting -= len(batch)
        self._settle(self.shards[batch[0].shard])

    def put_back_batch(self, batch: Sequence[Entry]) -> None:
        """Leave a batch as it was."""
        self._busy.difference_update(entry.subject for entry in batch)

    def batch_failed(self, batch: Sequence[Entry]) -> None:
        """Send the events of a batch one by one."""
        self.put_back_batch(batch)
        for entry in batch:
            self.enqueue(entry)

    def put_back(self, subject: str) -> None:
        """Leave the head as it was: nothing can be said about it."""
        self._busy.discard(subject)
        self._out.discard(subject)
        if parked := self.parked.get(subject):
            heappush(self._due, (parked.next_at, subject))
        elif subject in self._queues:
            self._ready.append(subject)

    def acknowledged(self, subject: str, now: datetime) -> After:
        """Note that the head is through; after LOAD the subject stays busy until `refilled`."""
        if subject in self.parked:
            return self._parked_acknowledged(subject, now)
        queue = self._queues[subject]
        entry = queue.popleft()
        entry.done = True
        self._waiting -= 1
        self._busy.discard(subject)
        self._settle(self.shards[entry.shard])
        if queue:
            self._ready.append(subject)
            return After.NEXT
        del self._queues[subject]
        return After.FREE

    def give_up(self, subject: str, *, event_id: str, reason: str, attempts: int) -> None:
        """Record the head as dead; `acknowledged` follows."""
        parked = self.parked.get(subject)
        entry = self._queues[subject][0] if parked is None else None
        shard, head = (entry.shard, entry.position) if entry else (parked.shard, parked.head) if parked else (0, None)
        if head is not None:
            self._dead.append(DeadLetter(event_id, subject_of(subject), shard, head, reason, attempts))
            self._urgent = True

    def park(
        self, subject: str, *, attempts: int, next_at: datetime, reason: str, now: datetime, busy: bool = False
    ) -> None:
        """Park a subject at its head; a head in flight (`busy`) stays so. A subject that is parked already waits longer."""
        parked = self.parked.get(subject)
        if parked is None:
            parked = self._park_queue(subject, now)
        parked.attempts, parked.next_at, parked.reason = attempts, next_at, reason
        self._touch(subject, parked.head)
        if busy:
            self._out.add(subject)
        else:
            parked.entry = None
            parked.loaded.clear()
            self._busy.discard(subject)
            self._out.discard(subject)
            heappush(self._due, (next_at, subject))

    def is_busy(self, subject: str) -> bool:
        """Whether the head of a subject is being sent."""
        return subject in self._busy

    def hog(self) -> str | None:
        """Return the subject that holds more than half of a full queue, if there is one."""
        if self._waiting < self._limits[1] or not self._queues:
            return None
        subject = max(self._queues, key=lambda name: len(self._queues[name]))
        return subject if 2 * len(self._queues[subject]) > self._waiting else None

    def deferred(self, subject: str) -> int:
        """Count the events that were ever deferred for a parked subject: to be asked before its backlog is read."""
        return self.parked[subject].deferred

    def refilled(self, subject: str, entries: Sequence[Entry], *, whole: bool, seen: int, now: datetime) -> After:
        """Take what was read from the backlog; `whole` if that was all of it, `seen` what `deferred` said before."""
        parked = self.parked[subject]
        parked.loaded.extend(entries)
        newer = parked.deferred - seen
        parked.behind = len(entries) + newer if whole else max(parked.behind, len(entries) + 1)
        return self._parked_acknowledged(subject, now)

    def shift(self, by: timedelta) -> None:
        """Let the schedules of all parked subjects have stood still for some time."""
        self._probes.clear()
        for subject, parked in self.parked.items():
            if parked.attempts:  # a head that has not failed has no schedule: a probe that went through brought it up
                parked.next_at += by
            self._touch(subject, parked.head)
        self._due = sorted((parked.next_at, subject) for subject, parked in self.parked.items())

    # what must be saved

    def collect(self, endpoint: str, epoch: int, *, idle: bool = False) -> Changes | None:
        """Cut out everything that is not saved; None if there is nothing. Passed-over events alone count when `idle`."""
        moved = {shard: track.low for shard, track in self.shards.items() if track.low != track.saved}
        if not self._urgent and not (idle and moved):
            return None
        changes = Changes(endpoint, epoch, moved, backlog=self._deferred, dead=self._dead, passed=self._passed)
        for subject, place in self._touched.items():
            if parked := self.parked.get(subject):
                changes.parked.append(parked.row(subject))
            else:
                changes.freed.append((subject, place))
        for shard, place in moved.items():
            self.shards[shard].saved = place
        self._deferred, self._dead, self._touched = [], [], {}
        self._passed, self._urgent = 0, False
        return changes

    def saved(self, changes: Changes) -> None:
        """Note that changes were committed."""
        self._span -= changes.passed

    def _left(self) -> int:
        """Return how many more events may become unsaved."""
        return self._limits[0] - self._span - len(self._out)

    def _queue(self, entry: Entry) -> None:
        queue = self._queues.setdefault(entry.subject, deque())
        queue.append(entry)
        if len(queue) == 1 and entry.subject not in self._busy:
            self._ready.append(entry.subject)

    def _is_ready(self, subject: str) -> bool:
        return subject in self._queues and subject not in self._busy

    def _park_queue(self, subject: str, now: datetime) -> Parked:
        queue = self._queues.pop(subject)
        head = queue[0]
        parked = Parked(head.shard, head.position, 0, now, "", now, entry=head)
        self.parked[subject] = parked
        self._waiting -= len(queue)
        for entry in queue:
            entry.done = True
            if entry is not head:
                self._defer(parked, entry)
        self._settle(self.shards[head.shard])
        return parked

    def _parked_acknowledged(self, subject: str, now: datetime) -> After:
        parked = self.parked[subject]
        self._touch(subject, parked.head)
        if not parked.loaded and parked.behind > 0:
            return After.LOAD
        self._busy.discard(subject)
        self._out.discard(subject)
        self._span += 1
        self._passed += 1
        if not parked.loaded:
            del self.parked[subject]
            return After.FREE
        parked.entry = parked.loaded.popleft()
        parked.head, parked.attempts, parked.next_at = parked.entry.position, 0, now
        parked.behind -= 1
        self._touch(subject, parked.head)
        heappush(self._due, (now, subject))
        return After.NEXT

    def _defer(self, parked: Parked, entry: Entry) -> None:
        parked.deferred += 1
        parked.behind += 1
        self._deferred.append((entry.subject, entry.shard, entry.position))
        self._urgent = True

    def _touch(self, subject: str, place: Position) -> None:
        self._touched[subject] = place
        self._urgent = True

    def _move(self, track: _Shard, position: Position) -> None:
        track.read = position
        if not track.entries:
            track.low = position

    def _settle(self, track: _Shard) -> None:
        while track.entries and track.entries[0].done:
            track.low = track.entries.popleft().position
            self._passed += 1
        if not track.entries:
            track.low = track.read
        self._urgent = self._urgent or track.low != track.saved
