"""How far one replay has come, in memory: per shard what was read, what became of it, and up to where all of it is settled.

Pure bookkeeping. Counts go up only when the cursor passes an event, so that a span which is sent again is counted once.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from fieldsvc.journal.reader import Position, Row
from fieldsvc.store.replays import Lease, Progress


class End(StrEnum):
    """What became of an event."""

    SENT = "sent"
    FAILED = "failed"
    SKIPPED = "skipped"  # retention took it before it was read
    PASSED = "passed"  # not for this replay


@dataclass(slots=True)
class Entry:
    """One place of the journal, with its event if it is to be sent; `count` is how many events it stands for."""

    position: Position
    row: Row | None = None
    end: End | None = None
    count: int = 1


@dataclass(slots=True)
class Track:
    """One shard: read up to `read`, settled up to `low`, to go up to `end`."""

    read: Position
    low: Position
    end: Position
    entries: deque[Entry] = field(default_factory=deque)

    @property
    def is_read(self) -> bool:
        """Whether there is nothing left to read."""
        return self.read >= self.end


class Window:
    """The state of one replay between its cursors and what is in memory; at most `span` events lie between."""

    def __init__(self, lease: Lease, cursors: Mapping[int, tuple[Position, Position]], *, span: int) -> None:
        self.tracks = {shard: Track(at, at, end) for shard, (at, end) in cursors.items()}
        self._lease = lease
        self._counts = {End.SENT: lease.sent, End.FAILED: lease.failed, End.SKIPPED: lease.skipped}
        self._span = span
        self._held = self._settled = self._collected = 0
        self._saved = {shard: at for shard, (at, _end) in cursors.items()}
        self._delivered: list[str] = []
        self._ended = False

    @property
    def room(self) -> int:
        """How many more places may be taken in."""
        return self._span - self._held - self._settled

    @property
    def is_through(self) -> bool:
        """Whether everything is settled."""
        return all(track.is_read and not track.entries for track in self.tracks.values())

    def add(self, shard: int, entry: Entry) -> None:
        """Take a place in; one that has its end already is settled as soon as all before it is."""
        track = self.tracks[shard]
        track.entries.append(entry)
        track.read = entry.position
        self._held += 1
        self._settle(track)

    def read_through(self, shard: int) -> None:
        """Note that nothing is left to read in a shard."""
        track = self.tracks[shard]
        track.read = max(track.read, track.end)
        self._settle(track)

    def settle(self, shard: int, entry: Entry, end: End) -> None:
        """Note what became of an event."""
        entry.end = end
        if end is End.SENT and entry.row is not None:
            self._delivered.append(entry.row.evt_id)
        self._settle(self.tracks[shard])

    def collect(self) -> Progress | None:
        """Return what must be saved, None if there is nothing; `saved` follows when it is."""
        moved = {shard: track.low for shard, track in self.tracks.items() if track.low != self._saved[shard]}
        done = self.is_through and not self._ended
        if not moved and not self._delivered and not done:
            return None
        self._collected = self._settled
        counts = self._counts[End.SENT], self._counts[End.FAILED], self._counts[End.SKIPPED]
        return Progress(
            self._lease.id, self._lease.endpoint, self._lease.epoch, *counts, moved, list(self._delivered), done
        )

    def saved(self, progress: Progress) -> None:
        """Note that what `collect` returned last was committed."""
        self._saved |= progress.cursors
        del self._delivered[: len(progress.delivered)]
        self._settled -= self._collected
        self._ended = self._ended or progress.done

    def _settle(self, track: Track) -> None:
        while track.entries and track.entries[0].end is not None:
            entry = track.entries.popleft()
            track.low = entry.position
            self._held -= 1
            self._settled += 1
            if entry.end in self._counts:
                self._counts[entry.end] += entry.count
        if not track.entries:
            track.low = track.read
