"""The dispatcher: owns lanes by lease, runs one job for each, and saves what they have done.

Every process may run one. A lane belongs to one owner at a time; the lease is renewed long before it ends, an owner that
could not renew stops sending before it does, and whatever it still tries to save names an epoch that is no longer valid.
"""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag

from fieldsvc.journal.reader import Tail
from fieldsvc.journal.sealed import Opener, Vault
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.publishing import breaker as breakers
from fieldsvc.publishing.attempt_log import AttemptLog
from fieldsvc.publishing.breaker import Breaker
from fieldsvc.publishing.formats.telling import Origin
from fieldsvc.publishing.keys import open_headers, open_keys
from fieldsvc.publishing.lane import Access, Lane
from fieldsvc.publishing.outage import Outage
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.tools import LaneLimits, Tell, Tools, tell_nobody
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from fieldsvc.store import attempts, endpoints, lanes
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.lanes import STORE_FAULTS, Lease

log = get_logger()


@dataclass(frozen=True, slots=True)
class Pace:
    """How often the dispatcher does what, in seconds."""

    lease_s: float = 8.0
    margin_s: float = 2.0
    renew_s: float = 2.0
    look_s: float = 0.5
    save_s: float = 0.1
    log_s: float = 0.2
    upkeep_s: float = 3600.0
    grace_s: float = 3.0
    unreadable_s: float = 60.0
    claim_at_once: int = 100
    give_at_once: int = 20
    sockets: int = 500
    sockets_per_host: int = 100
    lane: LaneLimits = field(default_factory=LaneLimits)


class Dispatcher:
    """Sends public events to endpoints; `run` until cancelled (as a crash) or `stop` (in good order)."""

    def __init__(
        self,
        database: Database,
        tail: Tail,
        *,
        vault: Vault,
        settings: Settings,
        tell: Tell = tell_nobody,
        sender: Sender | None = None,
        pace: Pace | None = None,
    ) -> None:
        """`tail` must be running elsewhere; `tell` makes operational events; `sender` and `pace` are for tests."""
        self.owner: UUID = uuid4()
        self._database = database
        self._tail = tail
        self._vault = vault
        self._pace = pace or Pace()
        self._save_soon = asyncio.Event()
        self._log = AttemptLog(database)
        self._sender = sender or Sender(allow_loopback=settings.allow_loopback_endpoints)
        self._tools = Tools(
            database=database,
            tail=tail,
            renderer=Renderer(Opener(database, vault), Origin.of(settings)),
            sender=self._sender,
            schedule=settings.retry_schedule,
            save=self._save,
            save_soon=self._save_soon.set,
            note=self._log.note,
            tell=tell,
            limits=self._pace.lane,
        )
        self._lanes: dict[str, Lane] = {}
        self._share: int | None = None  # of the lanes; not known yet
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._unreadable = 0
        self._saving = asyncio.Lock()
        self._stopping = asyncio.Event()
        self._stopped = asyncio.Event()
        if settings.allow_loopback_endpoints:
            log.warning("endpoints.loopback_allowed", setting="FIELDSVC_ALLOW_LOOPBACK_ENDPOINTS")

    @property
    def owned(self) -> frozenset[str]:
        """The endpoints whose lanes this dispatcher holds."""
        return frozenset(self._lanes)

    def show(self, metrics: Metrics) -> None:
        """Show how often an endpoint could not be sent to because its keys or headers cannot be opened."""
        about = "Times a lane was given back because its endpoint's keys or headers cannot be opened."
        metrics.watch("fieldsvc_endpoint_keys_unreadable", about, lambda: self._unreadable)

    async def run(self) -> None:
        """Dispatch until `stop`. Cancelled, it drops everything where it stands, as a crash would."""
        async with self._sender:
            loops = [asyncio.create_task(loop) for loop in self._loops()]
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                ended, _ = await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
                for broken in ended - {stopping}:
                    broken.result()
                await _cancelled(loops)
                await self._close()
            finally:
                await _cancelled([stopping, *loops, *self._jobs.values()])
                self._stopped.set()

    def _loops(self) -> list[Coroutine[Any, Any, None]]:
        every = self._pace
        return [
            self._every(every.look_s, self._look_around),
            self._every(every.renew_s, self._renew),
            self._every(every.save_s, self._save, soon=self._save_soon),
            self._every(every.log_s, self._log.write),
            self._every(every.upkeep_s, self._keep_up),
            self._listen(),
        ]

    async def stop(self) -> None:
        """Finish what is in flight, save, and give the lanes up; returns when `run` has ended."""
        self._stopping.set()
        await self._stopped.wait()

    async def _every(
        self, period_s: float, act: Callable[[], Awaitable[None]], *, soon: asyncio.Event | None = None
    ) -> None:
        """Do something every so often, and at once when asked to."""
        wanted = soon or asyncio.Event()
        while True:
            wanted.clear()
            try:
                await act()
            except STORE_FAULTS as error:
                log.warning("dispatcher.store_fault", error=type(error).__name__)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(period_s):
                    await wanted.wait()

    async def _listen(self) -> None:
        version = self._tail.version
        while True:
            await self._tail.wait(timeout_s=self._pace.lane.longest_sleep_s, since=version)
            version = self._tail.version
            for lane in self._lanes.values():
                lane.wake()

    async def _look_around(self) -> None:
        """Take lanes that are free; let go of those that ended, changed or may not go on."""
        ended = [name for name, job in self._jobs.items() if job.done()]
        known = await endpoints.configs(self._database, list(self._lanes)) if self._lanes else {}
        changed = [name for name, lane in self._lanes.items() if name not in ended and _differs(lane, known.get(name))]
        if ended or changed:
            await self._let_go(ended + changed)
        if self._share is None:
            self._share = await self._fair_share()
        spare = len(self._lanes) - self._share
        if spare > 0:
            await self._let_go(list(self._lanes)[-min(spare, self._pace.give_at_once) :])
        elif spare < 0:
            await self._claim(min(-spare, self._pace.claim_at_once))
        self._share_sockets()

    async def _claim(self, most: int) -> None:
        started = time.monotonic()
        claimed = await lanes.claim(self._database, self.owner, lease_s=self._pace.lease_s, most=most)
        if claimed:
            fresh = await endpoints.configs(self._database, [lease.endpoint for lease in claimed])
            for lease in claimed:
                await self._begin(lease, fresh.get(lease.endpoint), started=started)

    def _share_sockets(self) -> None:
        """Give every lane the same right to sockets, those of one host together no more than one host may have."""
        hosts = Counter(_host(lane) for lane in self._lanes.values())
        for lane in self._lanes.values():
            of_host = self._pace.sockets_per_host // hosts[_host(lane)]
            lane.share = max(1, min(self._pace.sockets // len(self._lanes), of_host))

    async def _begin(self, lease: Lease, config: Config | None, *, started: float) -> None:
        if config is None:
            return
        self._drop([config.id])  # ours until just now, under an epoch that is over
        try:
            keys = await open_keys(self._database, self._vault, config.id)
            headers = open_headers(self._vault, config.id, config.sealed_headers)
        except InvalidTag:
            log.error("endpoint.key_unreadable", endpoint=config.id)  # noqa: TRY400 - the trace says nothing more
            self._unreadable += 1
            await lanes.release(self._database, self.owner, {config.id: lease.epoch}, after_s=self._pace.unreadable_s)
            return
        limits = breakers.Limits.for_schedule(tuple(config.schedule or self._tools.schedule))
        outage = Outage(lease.failing_since, lease.last_failed_at, lease.warned)
        breaker = Breaker(limits, lease.opened_at, lease.probe_at, lease.step, lease.held_until, outage=outage)
        lane = Lane(config, Access(keys, headers), epoch=lease.epoch, breaker=breaker, tools=self._tools)
        lane.lease_ends = started + self._pace.lease_s - self._pace.margin_s
        self._lanes[config.id] = lane
        self._jobs[config.id] = asyncio.create_task(lane.run())
        log.info("lane.claimed", endpoint=config.id)

    async def _renew(self) -> None:
        started = time.monotonic()
        epochs = {name: lane.epoch for name, lane in self._lanes.items()}
        kept = await lanes.renew(self._database, self.owner, epochs, lease_s=self._pace.lease_s) if epochs else set()
        for name in epochs:
            if name in kept and name in self._lanes:
                self._lanes[name].lease_ends = started + self._pace.lease_s - self._pace.margin_s
        self._drop([name for name in epochs if name not in kept])
        self._share = await self._fair_share()

    async def _fair_share(self) -> int:
        """Say that we are here, and count our lanes. Who is not seen for as long as a lease lets it send is not counted: its lanes are free next."""
        return await lanes.share(self._database, self.owner, seen_s=self._pace.lease_s - self._pace.margin_s)

    async def _save(self) -> None:
        """Save everything that lanes have done until now. What failed to be saved goes first, as it was."""
        async with self._saving:
            left_over = any(lane.unsaved is not None for lane in self._lanes.values())
            await self._save_lanes()
            if left_over:
                await self._save_lanes()

    async def _save_lanes(self) -> None:
        unsaved = [(name, lane, changes) for name, lane in self._lanes.items() if (changes := lane.collect())]
        if not unsaved:
            return
        held = await lanes.save(self._database, self.owner, [changes for _name, _lane, changes in unsaved])
        for name, lane, _changes in unsaved:
            if name in held:
                lane.saved()
        self._drop([name for name, lane, _ in unsaved if name not in held and self._lanes.get(name) is lane])

    def _drop(self, lost: Sequence[str]) -> None:
        """Forget lanes that are another owner's now."""
        for name in lost:
            if self._lanes.pop(name, None) is not None:
                log.warning("lane.lost", endpoint=name)
            if (job := self._jobs.pop(name, None)) is not None:
                job.cancel()

    async def _let_go(self, names: Sequence[str]) -> None:
        """Stop lanes in good order, save, and give them up; one that failed rests for a second."""
        held = {name: self._lanes[name] for name in names if name in self._lanes}
        await asyncio.gather(*(lane.stop(grace_s=self._pace.grace_s) for lane in held.values()))
        failed = {name for name in held if (job := self._jobs.get(name)) is not None and _fault_of(job, name)}
        await self._save()
        for name, lane in held.items():
            job = self._jobs.pop(name, None)
            if job is not None:
                await _cancelled([job])
            self._lanes.pop(name, None)
            after_s = 1.0 if name in failed else 0.0
            await lanes.release(self._database, self.owner, {name: lane.epoch}, after_s=after_s)

    async def _close(self) -> None:
        try:
            await self._let_go(list(self._lanes))
            await self._save()
            await self._log.write()
            await lanes.leave(self._database, self.owner)
        except STORE_FAULTS as error:
            log.warning("dispatcher.store_fault", error=type(error).__name__)

    async def _keep_up(self) -> None:
        await attempts.keep_days(self._database, datetime.now(UTC).date())


def _host(lane: Lane) -> tuple[str, int | None]:
    """Name the host of a lane, however its URL spells it."""
    try:
        url = urlsplit(lane.config.url)
        return (url.hostname or "").rstrip("."), url.port or {"https": 443, "http": 80}.get(url.scheme)
    except ValueError:  # nothing is sent there; the sender says so
        return lane.config.url, None


def _differs(lane: Lane, now: Config | None) -> bool:
    return now is None or now.revoked or now.state != "active" or lane.config != now


def _fault_of(job: asyncio.Task[None], name: str) -> bool:
    if not job.done() or job.cancelled() or (error := job.exception()) is None:
        return False
    log.error("lane.failed", endpoint=name, exc_info=error)
    return True


async def _cancelled(jobs: Sequence[asyncio.Task[Any]]) -> None:
    for job in jobs:
        job.cancel()
    for job in jobs:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await job
