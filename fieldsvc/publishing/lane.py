"""The job of one endpoint: a few workers send what may be sent, and a loop reads ahead of them.

A worker takes one event or one batch at a time from what is queued, and goes on until there is nothing that may be sent; the
loop wakes when the queues run low, when the tail moved, or when something is due. What is sent when: `progress` and `runs`
keep the order, `breaker` and `throttle` the pace, `following` decides what becomes of it.
"""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from http import HTTPStatus

from fieldsvc.logs import get_logger
from fieldsvc.publishing.breaker import Breaker
from fieldsvc.publishing.entries import Entry, subject_of
from fieldsvc.publishing.following import Following
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.progress import Progress
from fieldsvc.publishing.runs import Runs, batch_id
from fieldsvc.publishing.taking import Taking
from fieldsvc.publishing.throttle import Throttle
from fieldsvc.publishing.tools import Tools, patiently
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.store import endpoints, lanes
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.endpoints import Config
from fieldsvc.store.lanes import Changes

log = get_logger()


@dataclass(frozen=True, slots=True)
class Access:
    """What a request carries: signing keys, newest first, each with the moment from which it no longer signs, and headers."""

    keys: Sequence[tuple[str, datetime | None]]
    headers: Mapping[str, str] = field(default_factory=dict)

    def signing(self, now: datetime) -> list[str]:
        """Return the keys that sign now."""
        return [key for key, until in self.keys if until is None or until > now]


@dataclass(slots=True, eq=False)
class Flight:
    """A request under way since a moment of the monotonic clock: the head of a subject, or a batch."""

    subject: str
    batch: list[Entry]
    since: float
    is_parked: bool = False
    is_probe: bool = False


@dataclass(frozen=True, slots=True)
class _State:
    """What a lane has once its place is read."""

    progress: Progress
    runs: Runs | None
    taking: Taking
    following: Following


class Lane:
    """One endpoint of which this process is the owner, until `stop`, a fault, or the loss of the lease."""

    def __init__(self, config: Config, access: Access, *, epoch: int, breaker: Breaker, tools: Tools) -> None:
        self.config = config
        self.epoch = epoch
        self.lease_ends = 0.0
        self.unsaved: Changes | None = None
        limits = tools.limits
        if config.batch > 1:  # as many as may be unsaved
            limits = replace(limits, waiting=limits.span, read_rows=limits.span)
        self._limits = limits
        self._tools = replace(tools, limits=limits)
        own = config.in_flight or limits.in_flight
        self.share = own  # of the sockets that all lanes have together
        self._access = access
        self._breaker = breaker
        self._throttle = Throttle(config.rate_per_s, own)
        self._format = FORMATS[config.format]
        self._state: _State | None = None
        self._flights: set[Flight] = set()
        self._workers: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._stopping = False
        self._fault: BaseException | None = None
        self._idle_saved_at = 0.0
        self._was_parked = False

    def wake(self) -> None:
        """Say that there may be something to do."""
        self._wake.set()

    async def run(self) -> None:
        """Work until stopped; raise what made going on impossible."""
        state = self._state = self._begin(*await lanes.read(self._tools.database, self.config.id))
        try:
            while not self._stopping:
                self._wake.clear()
                take_in = partial(state.taking.take_in, is_closed=self._breaker.is_closed)
                await patiently(take_in)
                self._launch(state)
                self._park_what_holds_up(state.progress)
                if self._fault is not None:
                    raise self._fault
                if state.taking.has_more and self._breaker.is_closed and self._has_room(state.progress):
                    await asyncio.sleep(0)
                else:
                    await self._sleep(state.progress)
        finally:
            if not self._stopping:
                self._abandon()

    async def stop(self, *, grace_s: float) -> None:
        """Start nothing more, and wait for what is in flight; what takes longer is cut off and will be sent again."""
        self._stopping = True
        self.wake()
        if self._workers:
            await asyncio.wait(self._workers, timeout=grace_s)
        self._abandon()

    def collect(self) -> Changes | None:
        """Return what must be saved: what an earlier try could not save, before anything newer."""
        if self.unsaved is None and self._state is not None:
            idle = time.monotonic() - self._idle_saved_at > self._limits.idle_save_s or self._stopping
            self.unsaved = self._state.progress.collect(self.config.id, self.epoch, idle=idle)
            if idle:
                self._idle_saved_at = time.monotonic()
            if self._breaker.changed:
                self.unsaved = self.unsaved or Changes(self.config.id, self.epoch)
                self._breaker.changed = False
                self.unsaved.breaker = self._breaker.kept
        return self.unsaved

    def saved(self) -> None:
        """Note that `unsaved` was committed."""
        if self.unsaved is not None and self._state is not None:
            self._state.progress.saved(self.unsaved)
            self.unsaved = None
            due = self._state.progress.next_due()
            if self._state.taking.has_more or (due is not None and due <= datetime.now(UTC)):
                self.wake()

    def _begin(self, cursors: Mapping[int, lanes.Place], parked: Sequence[lanes.ParkedRow]) -> _State:
        limits, config = self._limits, self.config
        progress = Progress(cursors, parked, span=limits.span, waiting=limits.waiting, most_parked=limits.parked)
        if config.mode == "subject":
            progress.fold()
        runs = Runs(progress, most=config.batch, size=limits.batch_bytes) if config.batch > 1 else None
        taking = Taking(config, progress, runs, tools=self._tools)
        following = Following(config, self._breaker, progress, taking=taking, tools=self._tools)
        return _State(progress, runs, taking, following)

    def _abandon(self) -> None:
        for worker in self._workers:
            worker.cancel()

    def _has_room(self, progress: Progress) -> bool:
        return progress.room() >= self._limits.least_room and 2 * progress.waiting <= self._limits.waiting

    # sending

    def _launch(self, state: _State) -> None:
        """Have as many workers as there is something to send for and limits allow."""
        while (flight := self._next(state)) is not None:
            worker = asyncio.create_task(self._work(state, flight))
            self._workers.add(worker)
            worker.add_done_callback(self._ended)

    def _next(self, state: _State) -> Flight | None:
        """Begin the next request, if one may begin now."""
        now, at, running = datetime.now(UTC), time.monotonic(), len(self._flights)
        if self._stopping or at >= self.lease_ends or not self._breaker.may_send(now):
            return None
        if not self._breaker.is_closed:
            return self._take_off(state, _probe(state), [], at) if not running else None
        if running >= self.share or not self._throttle.may_start(at, running):
            return None
        most = min(self.share, self._throttle.in_flight)
        parked = sum(flight.is_parked for flight in self._flights) if state.progress.parked else 0
        parked_too = parked < min(self._limits.parked_in_flight, max(1, most // 2))
        subject = state.progress.take(now, parked_too=parked_too and (most > 1 or not self._was_parked))
        batch = self._batch(state.runs, at) if subject is None and state.runs is not None else []
        if subject is None:
            subject = "" if batch else state.progress.take(now, parked_too=parked_too)
        return self._take_off(state, subject, batch, at)

    def _batch(self, runs: Runs, at: float) -> list[Entry]:
        return runs.take(hurry=any(flight.since < at - self._limits.slow_s for flight in self._flights))

    def _take_off(self, state: _State, subject: str | None, batch: list[Entry], at: float) -> Flight | None:
        if subject is None:
            return None
        is_probe = not self._breaker.is_closed
        flight = Flight(subject, batch, at, is_parked=subject in state.progress.parked, is_probe=is_probe)
        self._flights.add(flight)
        self._was_parked = flight.is_parked
        self._throttle.started(at, len(batch) or 1)
        return flight

    async def _work(self, state: _State, flight: Flight | None) -> None:
        """Send, and go on with what may be sent next."""
        while flight is not None:
            try:
                if flight.batch and state.runs is not None:
                    await self._send_batch(state, state.runs, flight)
                else:
                    await self._send_head(state, flight)
            finally:
                self._flights.discard(flight)
            if state.progress.unsaved * 2 >= self._limits.span:
                self._tools.save_soon()
            if state.taking.has_more and self._has_room(state.progress):
                self.wake()
            flight = self._next(state)

    def _ended(self, worker: "asyncio.Task[None]") -> None:
        self._workers.discard(worker)
        if not worker.cancelled() and (error := worker.exception()) is not None:
            self._fault = error
        self.wake()

    def _may_begin(self, flight: Flight) -> bool:
        """Tell whether a request may still begin: while its body was read, another one may have opened the breaker."""
        is_time = time.monotonic() < self.lease_ends and self._breaker.may_send(datetime.now(UTC))
        return is_time and (self._breaker.is_closed or flight.is_probe)

    async def _send_head(self, state: _State, flight: Flight) -> None:
        """Send the head of a subject once, and do what follows."""
        progress, following, subject = state.progress, state.following, flight.subject
        entry = progress.head(subject)
        if entry is None:
            entry = await patiently(partial(state.taking.load_head, subject))
        else:
            await self._freshen(state, [entry])
        if not entry.body:
            await following.give_up(entry, reason=entry.missing, attempts=0)
            return
        if not self._may_begin(flight):
            progress.put_back(subject)
            return
        parked, is_probe = progress.parked.get(subject), not self._breaker.is_closed
        attempts = parked.attempts if parked else 0
        outcome = await self._post(entry.evt_id, entry.body, media_type=self._format.media_type)
        self._note(outcome, [entry], name=entry.evt_id, n=0 if is_probe else attempts + 1)
        if outcome.ok:
            await following.succeeded(subject)
            if is_probe:
                self.wake()
        elif outcome.gone:
            progress.put_back(subject)
            await self._retire("gone")
        else:
            await following.failed(entry, outcome, attempts=attempts + 1)
            await self._give_in()

    async def _send_batch(self, state: _State, runs: Runs, flight: Flight) -> None:
        """Send several events in one request; they are sent one by one if one of them can be the cause of a failure."""
        batch = flight.batch
        await self._freshen(state, batch)
        if not all(entry.body for entry in batch):  # retention was faster
            runs.ended(batch, ok=False)
            return
        if not self._may_begin(flight):
            runs.put_back(batch)
            return
        name = batch_id([entry.evt_id for entry in batch])
        body = self._format.join([entry.body for entry in batch])
        outcome = await self._post(name, body, media_type=self._format.batch_media_type)
        self._note(outcome, batch, name=name, n=1)
        is_early = outcome.status == HTTPStatus.TOO_MANY_REQUESTS
        if outcome.unreachable or outcome.gone or (is_early and not runs.is_again(batch)):
            runs.put_back(batch)
        else:
            runs.ended(batch, ok=outcome.ok)
        if outcome.ok:
            state.following.reached(batch[0].subject)
        elif outcome.gone:
            await self._retire("gone")
        elif is_early or outcome.status in (None, HTTPStatus.SERVICE_UNAVAILABLE):
            state.following.refused(batch[0].subject, outcome)
            await self._give_in()
        else:  # one of its events may be the cause: what the endpoint says of each alone counts
            self.wake()

    async def _freshen(self, state: _State, entries: Sequence[Entry]) -> None:
        """Write bodies again that have waited for long: whoever is in them may be erased by now."""
        oldest = time.monotonic() - self._limits.body_kept_s
        for entry in entries:
            if entry.rendered_at < oldest:
                await patiently(partial(state.taking.render_anew, entry))

    async def _post(self, name: str, body: bytes, *, media_type: str) -> Outcome:
        keys = self._access.signing(datetime.now(UTC))
        outcome = await self._tools.sender.send(
            self.config.url, name, body=body, keys=keys, media_type=media_type, headers=self._access.headers
        )
        self._throttle.ended(outcome, time.monotonic())
        return outcome

    async def _give_in(self) -> None:
        """Disable an endpoint of which everything has failed for days."""
        if self._breaker.outage.is_over:
            await self._retire("failing")
        self.wake()

    async def _retire(self, reason: str) -> None:
        """Disable the endpoint; what it did not take is kept."""
        self._stopping = True
        if not await endpoints.disable(self._tools.database, self.config.id, epoch=self.epoch, reason=reason):
            return  # another owner's by now: a person may have resumed it
        log.warning("endpoint.disabled", endpoint=self.config.id, reason=reason)
        self._tools.tell(self.config, "endpoint.disabled", reason=reason)

    # waiting

    def _park_what_holds_up(self, progress: Progress) -> None:
        """Park a subject whose head is slow, its request still in flight, and one that fills the queue alone."""
        if not self._breaker.is_closed:
            return
        now, limit = datetime.now(UTC), time.monotonic() - self._limits.slow_s
        slow = [flight.subject for flight in self._flights if flight.since < limit and flight.subject]
        for subject in (*slow, progress.hog()):
            if subject is not None and subject not in progress.parked:
                busy = progress.is_busy(subject)
                progress.park(subject, attempts=0, next_at=now, reason="slow", now=now, busy=busy)
                for flight in self._flights:
                    flight.is_parked = flight.is_parked or flight.subject == subject

    async def _sleep(self, progress: Progress) -> None:
        wait_s = min(self._waits(progress), default=self._limits.longest_sleep_s)
        try:
            async with asyncio.timeout(min(max(wait_s, 0.001), self._limits.longest_sleep_s)):
                await self._wake.wait()
        except TimeoutError:
            return

    def _waits(self, progress: Progress) -> list[float]:
        """Return after how many seconds something may be done."""
        now, at = datetime.now(UTC), time.monotonic()
        due = progress.next_due() if self._breaker.is_closed else None
        moments = [moment for moment in (due, self._breaker.next_at()) if moment is not None and moment > now]
        waits = [(moment - now).total_seconds() for moment in moments]
        if (paced := self._throttle.next_at()) is not None and paced > at:
            waits.append(paced - at)
        return waits + [left for flight in self._flights if (left := flight.since + self._limits.slow_s - at) > 0]

    def _note(self, outcome: Outcome, entries: Sequence[Entry], *, name: str, n: int) -> None:
        one = len(entries) == 1
        answer = None if any(entry.is_sealed for entry in entries) else outcome.body  # it may repeat what it was sent
        attempt = Attempt(
            self.config.id, name, n, outcome.at, outcome.status, outcome.ms, outcome.error, answer,
            subject=subject_of(entries[0].subject) if one else None,
            event_ids=() if one else [entry.evt_id for entry in entries],
        )  # fmt: skip
        self._tools.note(attempt)


def _probe(state: _State) -> str | None:
    """Make a subject busy to ask with its head whether the endpoint is back."""
    if state.runs is not None and not state.progress.has_ready:
        state.runs.one()
    return state.progress.take_probe()
