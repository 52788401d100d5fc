"""One side replay at work: reads its events in order, sends each subject's one after the other, and tries each a few times.

It has a pace and a breaker of its own, and never touches the live lane: what is sent here, the lane neither waits for nor leaves
out. A body is written just before it is sent, with the rights of that moment.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random

from fieldsvc.journal.reader import START, Position, Reader, Row
from fieldsvc.logs import get_logger
from fieldsvc.publishing.breaker import Breaker, Limits
from fieldsvc.publishing.filters import EventFilter, TypeFilter
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.lane import Access
from fieldsvc.publishing.rendering import Renderer, may_hold_sealed
from fieldsvc.publishing.replay_window import End, Entry, Track, Window
from fieldsvc.publishing.retry import next_delay_s
from fieldsvc.publishing.throttle import TOO_FAST, Throttle
from fieldsvc.publishing.tools import Tell, patiently
from fieldsvc.publishing.webhooks import Outcome, Sender
from fieldsvc.store import endpoints
from fieldsvc.store import replays as store
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.replays import Lease

log = get_logger()
HEADER = "Fieldsvc-Replay"


@dataclass(frozen=True, slots=True)
class RunLimits:
    """How much of one replay is done at once; `rate_per_s` where neither the replay nor its endpoint says one."""

    in_flight: int = 4
    span: int = 500
    read_rows: int = 100
    rate_per_s: float = 50.0
    tries: int = 3
    longest_sleep_s: float = 0.5


@dataclass(frozen=True, slots=True)
class Kit:
    """What every replay of a process shares; `note` logs an attempt, `tell` makes an operational event.

    `lists` says how many make their lists at once.
    """

    database: Database
    reader: Reader
    renderer: Renderer
    sender: Sender
    schedule: tuple[float, ...]
    note: Callable[[Attempt], None]
    tell: Tell
    limits: RunLimits
    lists: asyncio.Semaphore


class Run:
    """One replay of which this process is the owner, until it is through, stopped, or lost."""

    def __init__(self, lease: Lease, config: Config, access: Access, *, kit: Kit) -> None:
        self.lease = lease
        self.config = config
        self.lease_ends = 0.0
        self.window: Window | None = None
        self._access = access
        self._kit = kit
        self._schedule = tuple(config.schedule or kit.schedule)
        self._filter = EventFilter.of(config, renderer=kit.renderer, database=kit.database)
        self._types = TypeFilter(lease.types)
        self._breaker = Breaker(Limits.for_schedule(self._schedule))
        self._throttle = Throttle(rate_of(lease, config, usual=kit.limits.rate_per_s), kit.limits.in_flight)
        self._slots = asyncio.Semaphore(min(kit.limits.in_flight, config.in_flight or kit.limits.in_flight))
        self._gate = asyncio.Lock()
        self._moved = asyncio.Event()
        self._subjects: dict[str, deque[tuple[int, Entry]]] = {}
        self._jobs: set[asyncio.Task[None]] = set()
        self._posting: set[asyncio.Task[Outcome]] = set()
        self._fault: BaseException | None = None
        self._stopping = False

    async def run(self) -> None:
        """Read and send until everything is settled; raise what made going on impossible."""
        try:
            if self.lease.listed and not await self._list():
                return
            found = await patiently(partial(store.cursors, self._kit.database, self.lease.id))
            window = self.window = Window(self.lease, found, span=self._kit.limits.span)
            while not window.is_through and not self._stopping:
                self._moved.clear()
                if self._fault is not None:
                    raise self._fault
                if not await self._take_in(window):
                    await self._moved.wait()
        finally:
            if not self._stopping:
                self._abandon()

    async def stop(self, *, grace_s: float) -> None:
        """Start nothing more, and wait for what is in flight; what takes longer is sent again by whoever goes on."""
        self._stopping = True
        self.wake()
        if self._posting:
            await asyncio.wait(self._posting, timeout=grace_s)
            await asyncio.sleep(0)  # let what follows from it be noted
        self._abandon()

    def wake(self) -> None:
        """Say that there may be room again."""
        self._moved.set()

    def _abandon(self) -> None:
        for job in (*self._jobs, *self._posting):
            job.cancel()

    # reading

    async def _list(self) -> bool:
        """Make the list of what is to be sent, slice by slice, from where it stands; tell whether it is whole."""
        some = partial(store.list_some, self._kit.database, self.lease.id, self.lease.epoch)
        while not self._stopping:
            async with self._kit.lists:
                more = await patiently(some)
            if not more:
                return more is False
        return False

    async def _take_in(self, window: Window) -> bool:
        """Read on in every shard as far as there is room; tell whether anything was read."""
        moved = False
        for shard, track in window.tracks.items():
            if not track.is_read and window.room > 0:
                await patiently(partial(self._take_in_shard, window, shard, track))
                moved = True
        return moved

    async def _take_in_shard(self, window: Window, shard: int, track: Track) -> None:
        limit = min(self._kit.limits.read_rows, window.room)
        found = await self._read(shard, track, limit)
        rows = [row for _place, row in found if row is not None]
        wanted = {
            row.position
            for row, is_wanted in zip(rows, await self._filter.matching(rows), strict=True)
            if is_wanted and self._types.matches(row.type)
        }
        lost = 0 if self.lease.listed else await self._lost(shard, track, rows)
        if lost:
            at = (track.end[0], track.read[1] + lost) if not rows else (rows[0].day, rows[0].pos - 1)
            window.add(shard, Entry(min(at, track.end), end=End.SKIPPED, count=lost))
        for place, row in found:
            if row is None:
                window.add(shard, Entry(place, end=End.SKIPPED))
            elif place in wanted:
                self._queue(window, shard, Entry(place, row))
            else:
                window.add(shard, Entry(place, end=End.PASSED))
        if len(found) < limit:
            window.read_through(shard)

    async def _read(self, shard: int, track: Track, limit: int) -> Sequence[tuple[Position, Row | None]]:
        """Read the next places; an event that retention took is None where it was listed."""
        if self.lease.listed:
            records = await store.listed(self._kit.database, self.lease.id, shard, after=track.read, limit=limit)
            return [((each["day"], each["pos"]), Row(*each) if each["id"] is not None else None) for each in records]
        rows = await self._kit.reader.after(shard, track.read, limit=limit)
        return [(row.position, row) for row in rows if row.position <= track.end]

    async def _lost(self, shard: int, track: Track, rows: Sequence[Row]) -> int:
        """Count the places that retention took before they were read: at most so many events.

        It is asked after the reading, and only where a day was passed: what had not been dropped then was read.
        """
        if rows and rows[0].day == track.read[0]:
            return 0
        oldest = (await self._kit.reader.oldest())[shard]
        newest_lost = track.end[1] if oldest == START else min(oldest[1], track.end[1])
        return max(0, newest_lost - track.read[1]) if oldest == START or oldest > track.read else 0

    # sending

    def _queue(self, window: Window, shard: int, entry: Entry) -> None:
        """Send an event after those of its subject that wait."""
        window.add(shard, entry)
        subject = entry.row.subject if entry.row is not None else ""
        queue = self._subjects.setdefault(subject, deque())
        queue.append((shard, entry))
        if len(queue) == 1:
            job = asyncio.create_task(self._work(window, subject))
            self._jobs.add(job)
            job.add_done_callback(self._ended)

    def _ended(self, job: "asyncio.Task[None]") -> None:
        self._jobs.discard(job)
        if not job.cancelled() and (error := job.exception()) is not None:
            self._fault = error
        self.wake()

    async def _work(self, window: Window, subject: str) -> None:
        queue = self._subjects[subject]
        while queue:
            shard, entry = queue[0]
            if entry.row is not None and (end := await self._settled(entry.row)) is not None:
                window.settle(shard, entry, end)
                self.wake()
                queue.popleft()
            else:
                return
        del self._subjects[subject]

    async def _settled(self, row: Row) -> End | None:
        """Send an event until it is taken or was tried often enough; None if the endpoint wants nothing any more."""
        failures = 0
        while True:
            outcome = await self._attempt(row, failures + 1)
            now = datetime.now(UTC)
            if outcome.ok:
                self._breaker.succeeded(row.subject, now)
                return End.SENT
            if outcome.gone:
                await self._retire()
                return None
            if outcome.final:
                return End.FAILED
            self._breaker.failed(row.subject, now, unreachable=outcome.unreachable)
            asked_to_wait = outcome.status in TOO_FAST and bool(outcome.retry_after_s)
            if asked_to_wait:
                self._breaker.hold(now + timedelta(seconds=outcome.retry_after_s or 0.0))
            if asked_to_wait or not self._breaker.is_closed:
                continue  # this says nothing about the event
            failures += 1
            chance = random()  # noqa: S311 - jitter
            delay_s = next_delay_s(self._schedule, failures, chance=chance, retry_after_s=outcome.retry_after_s)
            if delay_s is None or failures >= self._kit.limits.tries:
                return End.FAILED
            await asyncio.sleep(delay_s)

    async def _attempt(self, row: Row, n: int) -> Outcome:
        """Send once, when pace and breaker let it; while the breaker is open one at a time, as a probe."""
        async with self._slots:
            async with self._gate:
                await self._turn()
                if not self._breaker.is_closed:
                    return await self._post(row, 0)
            return await self._post(row, n)

    async def _turn(self) -> None:
        while True:
            now, at = datetime.now(UTC), time.monotonic()
            may = at < self.lease_ends and self._breaker.may_send(now) and self._throttle.may_start(at, 0)
            if may and not self._stopping:
                self._throttle.started(at, 1)
                return
            waits = [self._throttle.next_at() or at, at]
            if (until := self._breaker.next_at()) is not None:
                waits.append(at + (until - now).total_seconds())
            await asyncio.sleep(min(max(max(waits) - at, 0.005), self._kit.limits.longest_sleep_s))

    async def _post(self, row: Row, n: int) -> Outcome:
        """Write the body, send it, and log how it went; a stop of this run waits for it."""
        body = (await patiently(partial(self._kit.renderer.readable, [row], self._filter.view, self.config.format)))[0]
        if not body:
            return Outcome(datetime.now(UTC), 0, error="unreadable", final=True)
        job = asyncio.create_task(
            self._kit.sender.send(
                self.config.url, row.evt_id, body=body, keys=self._access.signing(datetime.now(UTC)),
                media_type=FORMATS[self.config.format].media_type, headers={**self._access.headers, HEADER: self.lease.id},
            )
        )  # fmt: skip
        self._posting.add(job)
        job.add_done_callback(self._posting.discard)
        outcome = await job
        self._throttle.ended(outcome, time.monotonic())
        answer = None if may_hold_sealed(row, self._filter.view, self.config.format) else outcome.body
        self._kit.note(
            Attempt(
                self.config.id, row.evt_id, n, outcome.at, outcome.status, outcome.ms, outcome.error, answer,
                subject=row.subject, replay=self.lease.id,
            )
        )  # fmt: skip
        return outcome

    async def _retire(self) -> None:
        """Disable an endpoint that wants nothing any more; what it did not take is kept."""
        stop: Callable[[], Awaitable[None]] = partial(
            endpoints.stop, self._kit.database, self.config.id, state="disabled", reason="gone"
        )
        await patiently(stop)
        log.warning("endpoint.disabled", endpoint=self.config.id, reason="gone")
        self._kit.tell(self.config, "endpoint.disabled", reason="gone")
        self._stopping = True


def rate_of(lease: Lease, config: Config, *, usual: float) -> float:
    """Return the events a second of a replay: what was asked, at most the endpoint's own; unasked, half of the latter."""
    own = config.rate_per_s
    if lease.rate_per_s is not None:
        return min(lease.rate_per_s, own) if own is not None else lease.rate_per_s
    return min(usual, own / 2) if own is not None else usual
