"""Runs: which events go into one request, when the receiver asked for batches.

A batch is a run of the journal: events of one shard that follow each other, as far as the endpoint wants them, with none left
out between the first and the last. Its id is bound to the events in it, so that a receiver that drops what it knows by that id
drops nothing else: what the endpoint wants may change while nobody knows what became of a batch. What cannot be in it (an
event whose subject is parked, is being sent, or waits to be sent alone) ends the run.
"""

from collections import deque
from collections.abc import Iterable, Sequence
from hashlib import sha256

from fieldsvc.publishing.entries import Entry
from fieldsvc.publishing.progress import Progress


def batch_id(names: Sequence[str]) -> str:
    """Return the webhook-id of a batch: its first event's id, how many there are, and the start of a hash of all their ids."""
    return f"{names[0]}_b{len(names)}_{sha256(' '.join(names).encode()).hexdigest()[:8]}"


class Runs:
    """What waits to be sent in batches of at most `most` events and `size` bytes. Pure bookkeeping, as `Progress` is."""

    def __init__(self, progress: Progress, *, most: int, size: int) -> None:
        self._progress = progress
        self._limits = most, size
        self._fresh: dict[int, deque[Entry]] = {shard: deque() for shard in progress.shards}
        self._again: dict[int, deque[list[Entry]]] = {shard: deque() for shard in progress.shards}
        self._in_flight = dict.fromkeys(progress.shards, 0)
        self._refused: set[str] = set()
        self._turns = deque(progress.shards)

    @property
    def has_any(self) -> bool:
        """Whether anything waits."""
        return any(self._fresh.values()) or any(self._again.values())

    def add(self, entry: Entry) -> None:
        """Take an event in."""
        self._progress.track(entry)
        self._fresh[entry.shard].append(entry)

    def take(self, *, hurry: bool = False) -> list[Entry]:
        """Make the next batch busy; empty if there is none now. What has to go alone is handed on, a single event too.

        A batch that is not full waits for those of its shard that are under way (at a high rate they fill, at a low one nothing
        waits), but not with `hurry`.
        """
        for _ in range(len(self._turns)):
            shard = self._turns[0]
            self._turns.rotate(-1)
            run = self._again[shard].popleft() if self._again[shard] else self._cut(shard, hurry=hurry)
            if len(run) > 1:
                self._in_flight[shard] += 1
                self._progress.begin(run)
                return run
            if run:
                self._progress.enqueue(run[0])
        return []

    def ended(self, batch: list[Entry], *, ok: bool) -> None:
        """Note what became of a batch: acknowledged, or to be sent one by one."""
        self._in_flight[batch[0].shard] -= 1
        self._refused.discard(batch[0].evt_id)
        if ok:
            self._progress.batch_acknowledged(batch)
        else:
            self._progress.batch_failed(batch)

    def is_again(self, batch: list[Entry]) -> bool:
        """Note that a batch came too soon; return whether it did before: then it may be too big for what is allowed."""
        if batch[0].evt_id in self._refused:
            return True
        self._refused.add(batch[0].evt_id)
        return False

    def put_back(self, batch: list[Entry]) -> None:
        """Send the same batch again when something may be sent: that it failed says nothing of what is in it."""
        self._in_flight[batch[0].shard] -= 1
        self._progress.put_back_batch(batch)
        self._again[batch[0].shard].append(batch)

    def one(self) -> None:
        """Have the oldest event of a shard sent alone, as a probe; nothing else may be in flight."""
        for _ in range(len(self._turns)):
            shard = self._turns[0]
            self._turns.rotate(-1)
            if self._again[shard]:
                batch = self._again[shard].popleft()
                self._refused.discard(batch[0].evt_id)
                self._progress.batch_failed(batch)
                return
            self._hand_on(shard)
            if self._fresh[shard]:
                self._progress.enqueue(self._fresh[shard].popleft())
                return

    def _hand_on(self, shard: int) -> None:
        fresh = self._fresh[shard]
        while fresh and self._progress.is_alone(fresh[0].subject):
            self._progress.enqueue(fresh.popleft())

    def _cut(self, shard: int, *, hurry: bool) -> list[Entry]:
        """Take the run at the head of a shard, if it may go now."""
        self._hand_on(shard)
        fresh, (most, size) = self._fresh[shard], self._limits
        waits = self._in_flight[shard] > 0 and not hurry
        if waits and len(fresh) < most:
            return []
        run, is_whole = _run(fresh, self._progress, most, size)
        if waits and not is_whole:
            return []
        for _entry in run:
            fresh.popleft()
        return run


def _run(fresh: Iterable[Entry], progress: Progress, most: int, size: int) -> tuple[list[Entry], bool]:
    """Return the first events that may go together, and whether waiting could not make them more."""
    run: list[Entry] = []
    left = size - 2
    for entry in fresh:
        left -= len(entry.body) + 1
        if len(run) == most or (left < 0 and run) or progress.is_alone(entry.subject):
            return run, True
        if progress.is_busy(entry.subject):
            return run, False
        run.append(entry)
    return run, len(run) == most
