"""The job of one endpoint: read, queue, send, and decide what follows from each outcome."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from random import random
from typing import TypeVar

from fieldsvc.journal.reader import Position, Row, Tail
from fieldsvc.logs import get_logger
from fieldsvc.publishing.breaker import Breaker
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.progress import After, Entry, Progress
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.retry import next_delay_s
from fieldsvc.publishing.webhooks import Outcome, Sender
from fieldsvc.store import endpoints, lanes
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.lanes import STORE_FAULTS, Changes, Record

log = get_logger()
Result = TypeVar("Result")
TOO_MANY = 429
FAULT_PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class LaneLimits:
    """How much of one endpoint is done at once."""

    in_flight: int = 8
    parked_in_flight: int = 4
    span: int = 1000
    waiting: int = 128
    slow_s: float = 2.0
    body_kept_s: float = 10.0
    least_room: int = 16
    read_rows: int = 256
    backlog_rows: int = 100
    idle_save_s: float = 5.0
    longest_sleep_s: float = 1.0


@dataclass(frozen=True, slots=True)
class Tools:
    """What every lane of a process shares; `save` writes all that is unsaved, `note` logs an attempt."""

    database: Database
    tail: Tail
    renderer: Renderer
    sender: Sender
    schedule: tuple[float, ...]
    save: Callable[[], Awaitable[None]]
    note: Callable[[Attempt], None]
    limits: LaneLimits = field(default_factory=LaneLimits)


class Lane:
    """One endpoint of which this process is the owner, until `stop`, a fault, or the loss of the lease."""

    def __init__(
        self, config: Config, keys: Sequence[tuple[str, datetime | None]], *, epoch: int, breaker: Breaker, tools: Tools
    ) -> None:
        """`keys` are signing keys, newest first, each with the moment from which it no longer signs."""
        self.config = config
        self.epoch = epoch
        self.lease_ends = 0.0
        self.unsaved: Changes | None = None
        self._keys = keys
        self._breaker = breaker
        self._tools = tools
        self._limits = tools.limits
        scopes = frozenset(config.scopes)
        self._view = View(config.account, "operator" in scopes, "health" in scopes, config.thin)
        self._filter = TypeFilter(config.types)
        self._progress: Progress | None = None
        self._in_flight: dict[str, tuple[float, asyncio.Task[None]]] = {}
        self._parked_in_flight: set[str] = set()
        self._ahead: dict[int, list[Row]] = {}  # read, but there was no room yet
        self._dry: dict[int, tuple[int, float]] = {}  # where nothing was found: the tail's version, and when
        self._turn = 0
        self._wake = asyncio.Event()
        self._stopping = False
        self._fault: BaseException | None = None
        self._idle_saved_at = 0.0

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; raise what made going on impossible."""
        cursors, parked = await lanes.read(self._tools.database, self.config.id)
        self._progress = Progress(cursors, parked, span=self._limits.span, waiting=self._limits.waiting)
        try:
            while not self._stopping:
                self._wake.clear()
                more = await _patiently(partial(self._take_in, self._progress))
                self._launch(self._progress)
                self._park_what_holds_up(self._progress)
                if self._fault is not None:
                    raise self._fault
                if not more:
                    await self._sleep(self._progress)
        finally:
            if not self._stopping:
                self._abandon()

    async def stop(self, *, grace_s: float) -> None:
        """Start nothing more, and wait for what is in flight; what takes longer is cut off and will be sent again."""
        self._stopping = True
        self.wake()
        running = [job for _since, job in self._in_flight.values()]
        if running:
            await asyncio.wait(running, timeout=grace_s)
        self._abandon()

    def collect(self) -> Changes | None:
        """Return what must be saved: what an earlier try could not save, before anything newer."""
        if self.unsaved is None and self._progress is not None:
            idle = time.monotonic() - self._idle_saved_at > self._limits.idle_save_s or self._stopping
            self.unsaved = self._progress.collect(self.config.id, self.epoch, idle=idle)
            if idle:
                self._idle_saved_at = time.monotonic()
            if self._breaker.changed:
                self.unsaved = self.unsaved or Changes(self.config.id, self.epoch)
                self._breaker.changed = False
                breaker = self._breaker
                self.unsaved.breaker = (breaker.opened_at, breaker.probe_at, breaker.step, breaker.held_until)
        return self.unsaved

    def saved(self) -> None:
        """Note that `unsaved` was committed."""
        if self.unsaved is not None and self._progress is not None:
            self._progress.saved(self.unsaved)
            self.unsaved = None
            self.wake()

    def _abandon(self) -> None:
        for _since, job in self._in_flight.values():
            job.cancel()

    async def _take_in(self, progress: Progress) -> bool:
        """Read the journal as far as there is room, each time from another shard on; return whether to go on at once."""
        shards = list(progress.shards)
        self._turn = (self._turn + 1) % len(shards)
        more = False
        for shard in shards[self._turn :] + shards[: self._turn]:
            room = progress.room()
            enough = progress.has_ready and (room < self._limits.least_room or not self._breaker.is_closed)
            if room <= 0 or enough:
                return False
            more = await self._take_in_shard(progress, shard, room=room) or more
        return more

    async def _take_in_shard(self, progress: Progress, shard: int, *, room: int) -> bool:
        limit = self._limits.read_rows
        rows = self._ahead.pop(shard, None)
        if rows is None:
            rows = await self._read(shard, progress.shards[shard].read)
        taken = self._within(rows, room)
        visible = [row for row in taken if self._wants(row)]
        bodies = iter(await self._tools.renderer.bodies(visible, self._view))
        for row in taken:
            if self._wants(row):
                progress.add(_entry(row, next(bodies)))
            else:
                progress.pass_over(shard, row.position)
        if len(taken) < len(rows):
            self._ahead[shard] = rows[len(taken) :]
        return len(rows) == limit

    async def _read(self, shard: int, position: Position) -> list[Row]:
        """Read the journal; not again within a second where nothing was found and the tail has not moved."""
        version, now = self._tools.tail.version, time.monotonic()
        dry_version, dry_at = self._dry.get(shard, (-1, 0.0))
        if dry_version == version and now - dry_at < self._limits.longest_sleep_s:
            return []
        rows = await self._tools.tail.recent(shard, position, limit=self._limits.read_rows)
        if not rows:
            self._dry[shard] = version, now
        return rows

    def _wants(self, row: Row) -> bool:
        return self._view.sees(row) and self._filter.matches(row.type)

    def _within(self, rows: list[Row], room: int) -> list[Row]:
        """Cut rows after as many wanted ones as there is room for."""
        for index, row in enumerate(rows):
            if self._wants(row):
                if room == 0:
                    return rows[:index]
                room -= 1
        return rows

    def _launch(self, progress: Progress) -> None:
        now = datetime.now(UTC)
        if self._stopping or time.monotonic() >= self.lease_ends or not self._breaker.may_send(now):
            return
        if not self._breaker.is_closed:
            if not self._in_flight and (subject := progress.take_probe()) is not None:
                self._start(progress, subject)
            return
        while len(self._in_flight) < self._limits.in_flight:
            parked_too = len(self._parked_in_flight) < self._limits.parked_in_flight
            subject = progress.take(now, parked_too=parked_too)
            if subject is None:
                break
            self._start(progress, subject)

    def _start(self, progress: Progress, subject: str) -> None:
        job = asyncio.create_task(self._attempt(progress, subject))
        self._in_flight[subject] = time.monotonic(), job
        if subject in progress.parked:
            self._parked_in_flight.add(subject)

        def ended(ended_job: asyncio.Task[None]) -> None:
            self._in_flight.pop(subject, None)
            self._parked_in_flight.discard(subject)
            if not ended_job.cancelled() and (error := ended_job.exception()) is not None:
                self._fault = error
            self.wake()

        job.add_done_callback(ended)

    async def _attempt(self, progress: Progress, subject: str) -> None:
        """Send the head of a subject once, and do what follows."""
        entry = progress.head(subject)
        if entry is None:
            entry = await _patiently(partial(self._load_head, progress, subject))
        elif time.monotonic() - entry.rendered_at > self._limits.body_kept_s:  # whoever is in it may be erased by now
            await _patiently(partial(self._render_anew, entry))
        if not entry.body:
            await self._give_up(progress, subject, event_id=entry.evt_id, reason="retention", attempts=0)
            return
        parked = progress.parked.get(subject)
        attempts = parked.attempts if parked else 0
        probe = not self._breaker.is_closed
        now = datetime.now(UTC)
        keys = [key for key, until in self._keys if until is None or until > now]
        outcome = await self._tools.sender.send(self.config.url, entry.evt_id, body=entry.body, keys=keys)
        self._note(entry, outcome, n=0 if probe else attempts + 1)
        if outcome.ok:
            await self._succeeded(progress, subject)
        elif outcome.gone:
            progress.put_back(subject)
            await endpoints.stop(self._tools.database, self.config.id, state="disabled", reason="gone")
            log.warning("endpoint.disabled", endpoint=self.config.id, reason="gone")
            self._stopping = True
        else:
            await self._failed(progress, entry, outcome=outcome, attempts=attempts + 1)

    async def _succeeded(self, progress: Progress, subject: str) -> None:
        now = datetime.now(UTC)
        was_open = self._breaker.succeeded(subject, now)
        if was_open is not None:
            progress.shift(was_open)
            log.info("endpoint.recovered", endpoint=self.config.id, seconds=round(was_open.total_seconds()))
        await self._go_on(progress, subject)

    async def _failed(self, progress: Progress, entry: Entry, *, outcome: Outcome, attempts: int) -> None:
        """Leave a head that a broken endpoint refused as it is; park another one, or give it up."""
        now, subject, was_closed = datetime.now(UTC), entry.subject, self._breaker.is_closed
        self._breaker.failed(subject, now, unreachable=outcome.unreachable)
        if outcome.status == TOO_MANY and outcome.retry_after_s:
            self._breaker.hold(now + timedelta(seconds=outcome.retry_after_s))
        if not self._breaker.is_closed:
            progress.put_back(subject)
            if was_closed:
                log.warning("endpoint.open", endpoint=self.config.id, error=outcome.error, status=outcome.status)
            return
        reason = outcome.error or f"status {outcome.status}"
        delay_s = next_delay_s(
            self._tools.schedule,
            attempts,
            chance=random(),  # noqa: S311 - jitter
            retry_after_s=outcome.retry_after_s,
        )
        if delay_s is None:
            await self._give_up(progress, subject, event_id=entry.evt_id, reason=reason, attempts=attempts)
        else:
            next_at = now + timedelta(seconds=delay_s)
            progress.park(subject, attempts=attempts, next_at=next_at, reason=reason, now=now)

    async def _give_up(self, progress: Progress, subject: str, *, event_id: str, reason: str, attempts: int) -> None:
        progress.give_up(subject, event_id=event_id, reason=reason, attempts=attempts)
        log.error("attempt.exhausted", endpoint=self.config.id, evt_id=event_id, attempt=attempts, reason=reason)
        await self._go_on(progress, subject)

    async def _go_on(self, progress: Progress, subject: str) -> None:
        """Leave the head behind; read on in the backlog where the subject was parked."""
        after = progress.acknowledged(subject, datetime.now(UTC))
        while after is After.LOAD:
            head, seen = progress.parked[subject].head, progress.deferred(subject)
            await _patiently(self._tools.save)
            entries = await _patiently(partial(self._load_backlog, subject, head))
            after = progress.refilled(
                subject, entries, whole=len(entries) < self._limits.backlog_rows, seen=seen, now=datetime.now(UTC)
            )

    async def _load_backlog(self, subject: str, head: Position) -> list[Entry]:
        limit, endpoint = self._limits.backlog_rows, self.config.id
        found = await lanes.backlog(self._tools.database, endpoint, subject=subject, after=head, limit=limit)
        return await self._entries_of(found, subject)

    async def _load_head(self, progress: Progress, subject: str) -> Entry:
        parked = progress.parked[subject]
        record = await lanes.event_at(self._tools.database, parked.shard, parked.head)
        return (await self._entries_of([record], subject))[0]

    async def _render_anew(self, entry: Entry) -> None:
        record = await lanes.event_at(self._tools.database, entry.shard, entry.position)
        (fresh,) = await self._entries_of([record], entry.subject)
        entry.body, entry.rendered_at = fresh.body, fresh.rendered_at

    async def _entries_of(self, records: Sequence[Record], subject: str) -> list[Entry]:
        """Render rows; one that retention took leaves an entry without a body."""
        rows = [Row(*record) for record in records if record["type"] is not None]
        bodies = dict(
            zip((row.position for row in rows), await self._tools.renderer.bodies(rows, self._view), strict=True)
        )
        named = {row.position: row.evt_id for row in rows}
        entries = []
        for record in records:
            shard, place = record["shard"], (record["day"], record["pos"])
            name = named.get(place, f"gone-{shard}-{place[0]}-{place[1]}")
            entries.append(Entry(shard, place, subject, name, bodies.get(place, b""), rendered_at=time.monotonic()))
        return entries

    def _park_what_holds_up(self, progress: Progress) -> None:
        """Park a subject whose head is slow, its request still in flight, and one that fills the queue alone."""
        if not self._breaker.is_closed:
            return
        now, limit = datetime.now(UTC), time.monotonic() - self._limits.slow_s
        slow = [subject for subject, (since, _job) in self._in_flight.items() if since < limit]
        for subject in (*slow, progress.hog()):
            if subject is not None and subject not in progress.parked:
                busy = progress.is_busy(subject)
                progress.park(subject, attempts=0, next_at=now, reason="slow", now=now, busy=busy)
                if busy:
                    self._parked_in_flight.add(subject)

    async def _sleep(self, progress: Progress) -> None:
        now = datetime.now(UTC)
        due = progress.next_due() if self._breaker.is_closed else None
        moments = [moment for moment in (due, self._breaker.next_at()) if moment is not None and moment > now]
        wait_s = min((moment - now).total_seconds() for moment in moments) if moments else self._limits.longest_sleep_s
        try:
            async with asyncio.timeout(min(max(wait_s, 0.001), self._limits.longest_sleep_s)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _note(self, entry: Entry, outcome: Outcome, *, n: int) -> None:
        attempt = Attempt(
            self.config.id, entry.evt_id, n, outcome.at, outcome.status, outcome.ms, outcome.error, outcome.body
        )
        self._tools.note(attempt)


def _entry(row: Row, body: bytes) -> Entry:
    return Entry(row.shard, row.position, row.subject, row.evt_id, body, rendered_at=time.monotonic())


async def _patiently(act: Callable[[], Awaitable[Result]]) -> Result:
    """Do something with the database until it is there; who gives up cancels."""
    while True:
        try:
            return await act()
        except STORE_FAULTS as error:
            log.warning("lane.store_fault", error=type(error).__name__)
            await asyncio.sleep(FAULT_PAUSE_S)
