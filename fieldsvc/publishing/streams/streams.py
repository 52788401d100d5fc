"""The stream sink: the shards that this process holds by lease, a connection to the broker, and what is known of both.

A broker that is away costs nothing but its own lag: events are in the journal, and go out when it is back.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID, uuid4

from fieldsvc.jobs import ended
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.publishing.streams.broker import Broker, BrokerFault, BrokerGone, connected
from fieldsvc.publishing.streams.shard import Shard, StreamTools
from fieldsvc.store import streams
from fieldsvc.store.database import DATABASE_ERRORS

log = get_logger()


class Streams:
    """Publishes the journal to the broker; `run` until cancelled."""

    def __init__(self, servers: Sequence[str], tools: StreamTools) -> None:
        self.owner: UUID = uuid4()
        self._servers = servers
        self._tools = tools
        self._shards: dict[int, Shard] = {}
        self._jobs: dict[int, asyncio.Task[None]] = {}
        self._published_before = 0
        self._late = False
        self.lag_s = 0.0
        self.is_connected = False

    @property
    def shards(self) -> frozenset[int]:
        """The shards that this process holds."""
        return frozenset(self._shards)

    @property
    def held(self) -> dict[int, str]:
        """The shards that cannot go on, and why."""
        return {number: shard.held for number, shard in self._shards.items() if shard.held}

    @property
    def published(self) -> int:
        """How many events this process has published."""
        return self._published_before + sum(shard.published for shard in self._shards.values())

    def watch(self, metrics: Metrics) -> None:
        """Show the figures of the sink."""
        metrics.watch("fieldsvc_stream_connected", "Whether the broker is there.", lambda: float(self.is_connected))
        metrics.watch("fieldsvc_stream_lag_seconds", "Age of the oldest event not in the stream.", lambda: self.lag_s)
        metrics.watch(
            "fieldsvc_stream_published", "Events put into the stream by this process.", lambda: self.published
        )
        metrics.watch("fieldsvc_stream_shards", "Shards that this process publishes.", lambda: len(self._shards))
        metrics.watch("fieldsvc_stream_shards_held", "Shards that cannot go on.", lambda: len(self.held))

    async def run(self) -> None:
        """Publish until cancelled; then save, and give the shards up."""
        pace = self._tools.pace
        loops = [
            asyncio.create_task(loop)
            for loop in (self._every(pace.look_s, self._look), self._every(pace.save_s, self._save), self._speak())
        ]
        try:
            done, _ = await asyncio.wait(loops, return_when=asyncio.FIRST_COMPLETED)
            for broken in done:
                broken.result()
        finally:
            await _ended([*loops, *self._jobs.values()])
            with contextlib.suppress(TimeoutError, *DATABASE_ERRORS):
                async with asyncio.timeout(2):
                    await self._save()
                    await streams.release(self._tools.database, self.owner, self._leases())
            self._drop(list(self._shards))

    async def _every(self, period_s: float, act: Callable[[], Awaitable[None]]) -> None:
        while True:
            try:
                await act()
            except DATABASE_ERRORS as error:
                log.warning("stream.store_fault", error=type(error).__name__)
            await asyncio.sleep(period_s)

    async def _look(self) -> None:
        """Keep the shards that are ours, take those that are free, and see how late we are."""
        pace, database = self._tools.pace, self._tools.database
        if not self._shards:
            await streams.open_lanes(database)
        leases, began = self._leases(), time.monotonic()
        kept = await streams.renew(database, self.owner, leases, lease_s=pace.lease_s) if leases else set()
        self._drop([shard for shard in leases if shard not in kept])
        for shard, lease in (await streams.claim(database, self.owner, lease_s=pace.lease_s)).items():
            self._drop([shard])
            self._shards[shard] = Shard(shard, lease, self._tools)
            log.info("stream.lane_claimed", shard=shard)
            kept.add(shard)
        for shard in kept & self._shards.keys():  # a save may have dropped some meanwhile
            self._shards[shard].lease_ends = began + pace.lease_s - pace.margin_s
        self.lag_s = max([await shard.waiting_s() for shard in list(self._shards.values())], default=0.0)
        is_late = self.lag_s > pace.late_after_s
        if is_late and not self._late:
            log.warning("stream.late", lag=round(self.lag_s, 1))
        elif self._late and not is_late:
            log.info("stream.in_time")
        self._late = is_late

    async def _save(self) -> None:
        """Save what the broker has acknowledged until now."""
        unsaved = [(shard, shard.unsaved) for shard in self._shards.values() if shard.unsaved is not None]
        if not unsaved:
            return
        news = [(shard.shard, shard.lease, known) for shard, known in unsaved if known is not None]
        held = await streams.save(self._tools.database, self.owner, news)
        for shard, known in unsaved:
            if shard.unsaved is known:
                shard.unsaved = None
        self._drop([shard.shard for shard, _ in unsaved if shard.shard not in held])

    async def _speak(self) -> None:
        """Be connected, again and again, and publish meanwhile."""
        first, longest = self._tools.pace.back_off_s
        pause_s = first
        while True:
            began = time.monotonic()
            try:
                async with connected(self._servers, self._tools.limits, answer_s=self._tools.pace.answer_s) as broker:
                    self.is_connected = True
                    log.info("stream.connected")
                    await self._publish(broker)
            except BrokerFault as error:
                pause_s = first if time.monotonic() - began > longest else min(longest, pause_s * 2)
                log.warning("stream.broker_fault", reason=str(error), code=error.code, seconds=pause_s)
            finally:
                self.is_connected = False
            await asyncio.sleep(pause_s)

    async def _publish(self, broker: Broker) -> None:
        """Run a job for each shard that is ours, until one of them says that the broker is at fault, or it is gone."""
        try:
            while not broker.closed.is_set():
                for number, shard in self._shards.items():
                    if number not in self._jobs:
                        self._jobs[number] = asyncio.create_task(shard.run(broker))
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._tools.pace.save_s):
                        await broker.closed.wait()
                for number, job in list(self._jobs.items()):
                    if job.done():
                        del self._jobs[number]
                        if not job.cancelled():
                            job.result()
            raise BrokerGone("closed")
        finally:
            jobs, self._jobs = list(self._jobs.values()), {}
            await _ended(jobs)

    def _drop(self, lost: Sequence[int]) -> None:
        """Forget shards that are no longer ours."""
        for number in lost:
            if (shard := self._shards.pop(number, None)) is not None:
                self._published_before += shard.published
                log.info("stream.lane_lost", shard=number)
            if (job := self._jobs.pop(number, None)) is not None:
                job.cancel()

    def _leases(self) -> dict[int, int]:
        return {number: shard.lease for number, shard in self._shards.items()}


async def _ended(jobs: Sequence[asyncio.Task[None]]) -> None:
    """End jobs; what they failed with was told already, or is the same for all."""
    await ended(jobs)
    for job in jobs:
        if job.done() and not job.cancelled():
            job.exception()
