"""The replays of a process: takes those that may run by lease, works at each beside the live lanes, and saves how far they came.

A replay runs while its endpoint is active and the endpoint's breaker is closed; else nobody holds it, and it waits. As with lanes,
an owner that could not renew its lease sends nothing more, and what it still tries to save names an epoch that is over.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from cryptography.exceptions import InvalidTag

from fieldsvc.journal.reader import Reader
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import get_logger
from fieldsvc.publishing.attempt_log import AttemptLog
from fieldsvc.publishing.keys import open_headers, open_keys
from fieldsvc.publishing.lane import Access
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replay_run import Kit, Run, RunLimits
from fieldsvc.publishing.tools import Tell, tell_nobody
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from fieldsvc.store import endpoints
from fieldsvc.store import replays as store
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from fieldsvc.store.replays import STORE_FAULTS, Lease

log = get_logger()
KEPT_DAYS = 30


@dataclass(frozen=True, slots=True)
class ReplayPace:
    """How often what is done, in seconds; `at_once` is how many replays a process works at, beside the first of each account.

    `of_account` is how many of one account are at work, `lists` how many make their lists at once.
    """

    lease_s: float = 8.0
    margin_s: float = 2.0
    renew_s: float = 1.0
    look_s: float = 0.5
    save_s: float = 0.2
    upkeep_s: float = 3600.0
    grace_s: float = 3.0
    at_once: int = 20
    of_account: int = 5
    lists: int = 2
    run: RunLimits = field(default_factory=RunLimits)


class Replays:
    """Works at side replays; `run` until cancelled (as a crash) or `stop` (in good order)."""

    def __init__(
        self,
        database: Database,
        reader: Reader,
        *,
        renderer: Renderer,
        vault: Vault,
        settings: Settings,
        tell: Tell = tell_nobody,
        pace: ReplayPace | None = None,
    ) -> None:
        """`tell` makes operational events; `pace` is for tests."""
        self.owner: UUID = uuid4()
        self._database = database
        self._vault = vault
        self._pace = pace or ReplayPace()
        self._sender = Sender(allow_loopback=settings.allow_loopback_endpoints)
        self._log = AttemptLog(database)
        self._kit = Kit(
            database=database,
            reader=reader,
            renderer=renderer,
            sender=self._sender,
            schedule=settings.retry_schedule,
            note=self._log.note,
            tell=tell,
            limits=self._pace.run,
            lists=asyncio.Semaphore(self._pace.lists),
        )
        self._runs: dict[str, Run] = {}
        self._jobs: dict[str, asyncio.Task[None]] = {}
        self._saving = asyncio.Lock()
        self._stopping, self._stopped = asyncio.Event(), asyncio.Event()

    @property
    def owned(self) -> frozenset[str]:
        """The replays that this process works at."""
        return frozenset(self._runs)

    async def run(self) -> None:
        """Work until `stop`. Cancelled, drop everything where it stands, as a crash would."""
        every = self._pace
        async with self._sender:
            loops = [
                asyncio.create_task(self._every(every.look_s, self._look_around)),
                asyncio.create_task(self._every(every.renew_s, self._renew)),
                asyncio.create_task(self._every(every.save_s, self._save)),
                asyncio.create_task(self._every(every.save_s, self._log.write)),
                asyncio.create_task(self._every(every.upkeep_s, self._keep_up)),
            ]
            stopping = asyncio.create_task(self._stopping.wait())
            try:
                ended, _ = await asyncio.wait([stopping, *loops], return_when=asyncio.FIRST_COMPLETED)
                for broken in ended - {stopping}:
                    broken.result()
                await _cancelled(loops)
                with contextlib.suppress(*STORE_FAULTS):
                    await self._let_go(list(self._runs))
                    await self._log.write()
            finally:
                await _cancelled([stopping, *loops, *self._jobs.values()])
                self._stopped.set()

    async def stop(self) -> None:
        """Finish what is in flight, save, and give the replays up; returns when `run` has ended."""
        self._stopping.set()
        await self._stopped.wait()

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except STORE_FAULTS as error:
                log.warning("replays.store_fault", error=type(error).__name__)
            await asyncio.sleep(period_s)

    async def _look_around(self) -> None:
        """Take replays that nobody works at; let go of those that ended, or whose endpoint changed."""
        known = await endpoints.configs(self._database, [run.lease.endpoint for run in self._runs.values()])
        ended = [name for name, job in self._jobs.items() if job.done()]
        changed = [name for name, run in self._runs.items() if known.get(run.lease.endpoint) != run.config]
        await self._let_go(list(dict.fromkeys([*ended, *changed])))
        started, most = time.monotonic(), self._pace.at_once - len(self._runs)
        claimed = await store.claim(
            self._database, self.owner, lease_s=self._pace.lease_s, most=most, of_account=self._pace.of_account
        )
        if claimed:
            fresh = await endpoints.configs(self._database, [lease.endpoint for lease in claimed])
            for lease in claimed:
                await self._begin(lease, fresh.get(lease.endpoint), started=started)

    async def _begin(self, lease: Lease, config: Config | None, *, started: float) -> None:
        if config is None:
            return
        try:
            keys = await open_keys(self._database, self._vault, config.id)
            headers = open_headers(self._vault, config.id, config.sealed_headers)
        except InvalidTag:
            log.error("endpoint.key_unreadable", endpoint=config.id)  # noqa: TRY400 - the trace says nothing more
            return
        self._drop([lease.id])  # ours until just now, under an epoch that is over
        run = Run(lease, config, Access(keys, headers), kit=self._kit)
        run.lease_ends = started + self._pace.lease_s - self._pace.margin_s
        self._runs[lease.id] = run
        self._jobs[lease.id] = asyncio.create_task(run.run())
        log.info("replay.claimed", endpoint=config.id, replay=lease.id)

    async def _renew(self) -> None:
        """Keep what may still run; what was paused, cancelled or has to wait is let go of in good order."""
        if not self._runs:
            return
        started = time.monotonic()
        epochs = {name: run.lease.epoch for name, run in self._runs.items()}
        kept = await store.renew(self._database, self.owner, epochs, lease_s=self._pace.lease_s)
        for name in epochs.keys() & kept & self._runs.keys():
            self._runs[name].lease_ends = started + self._pace.lease_s - self._pace.margin_s
        await self._let_go([name for name in epochs if name not in kept])

    async def _save(self) -> None:
        """Save what replays have done until now."""
        async with self._saving:
            for name, run in list(self._runs.items()):
                await self._save_run(name, run)

    async def _save_run(self, name: str, run: Run) -> None:
        progress = run.window.collect() if run.window is not None else None
        if progress is None or run.window is None:
            return
        if not await store.save(self._database, self.owner, progress):
            if self._runs.get(name) is run:
                self._drop([name])
            return
        run.window.saved(progress)
        run.wake()
        if progress.done:
            log.info("replay.done", endpoint=run.lease.endpoint, replay=name, count=progress.sent)
            self._drop([name])

    def _drop(self, names: Sequence[str]) -> None:
        """Forget replays that are through, or another owner's now."""
        for name in names:
            self._runs.pop(name, None)
            if (job := self._jobs.pop(name, None)) is not None:
                job.cancel()

    async def _let_go(self, names: Sequence[str]) -> None:
        """Stop replays in good order, save, and give them up; one that failed is left to its lease."""
        held = {name: self._runs[name] for name in names if name in self._runs}
        if not held:
            return
        await asyncio.gather(*(run.stop(grace_s=self._pace.grace_s) for run in held.values()))
        failed = {name for name in held if _has_failed(self._jobs.get(name), name)}
        await self._save()
        for name, run in held.items():
            if self._runs.get(name) is run:
                self._drop([name])
                if name not in failed:
                    await store.release(self._database, self.owner, name, run.lease.epoch)

    async def _keep_up(self) -> None:
        await store.forget(self._database, days=KEPT_DAYS)
        more = True
        while more:
            more = await store.forget_lists(self._database)


def _has_failed(job: "asyncio.Task[None] | None", name: str) -> bool:
    if job is None or not job.done() or job.cancelled() or (error := job.exception()) is None:
        return False
    log.error("replay.failed", replay=name, exc_info=error)
    return True


async def _cancelled(jobs: Sequence["asyncio.Task[Any]"]) -> None:
    for job in jobs:
        job.cancel()
    for job in jobs:
        with contextlib.suppress(asyncio.CancelledError, Exception):
            await job
