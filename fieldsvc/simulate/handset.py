"""One phone in a carrier's hand: it asks for the work, keeps events and positions, and uploads both when it can."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fieldsvc.simulate.clock import ReplayClock
from fieldsvc.simulate.gps import Fix
from fieldsvc.simulate.network import Zone, back_online_at
from fieldsvc.simulate.phones import Phone
from fieldsvc.simulate.positions import LOST_RATE, Sender
from fieldsvc.simulate.transport import Answer, NoAnswer, Transport
from fieldsvc.simulate.walking import FieldEvent

LATE_UPLOAD_RATE = 0.08
REPLAYED_WAIT_S = 0.5


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a carrier and a phone are.

    Real seconds: the wait for a run that is not there yet, to look for a new one, between pieces of light work and inside
    one, and how long the phone page collects fixes. Simulated seconds: how long an upload is held (mean), and how long a
    late one. `lost_rate` is the share of answers to positions that get lost on their way.
    """

    patience_s: float = 2.0
    patience_cap_s: float = 30.0
    look_again_s: float = 300.0
    light_every_s: float = 75.0
    light_gap_s: tuple[float, float] = (15.0, 45.0)
    collect_s: float = 2.0
    held_s: float = 15.0
    late_s: tuple[float, float] = (300.0, 1200.0)
    lost_rate: float = LOST_RATE


@dataclass(slots=True)
class Desk:
    """Where the phone asks for its work; the last sheet is kept with its ETag."""

    transport: Transport
    phone: Phone
    etag: str | None = None
    last: dict[str, Any] | None = None

    async def current(self) -> dict[str, Any] | None:
        """Return today's run, None when there is none or nobody answers."""
        answer = await self._get("/v1/runs/current", {})
        return answer.json() if answer and answer.status == 200 else None

    async def sheet(self, run_id: str) -> dict[str, Any] | None:
        """Return the sheet of a run, asking only for what changed."""
        known = self.last is not None and self.last["run_id"] == run_id and self.etag
        answer = await self._get(f"/v1/runs/{run_id}/sheet", {"If-None-Match": str(self.etag)} if known else {})
        if answer and answer.status == 304:
            return self.last
        if not answer or answer.status != 200 or not isinstance(answer.json(), dict):
            return None
        self.last, self.etag = answer.json(), answer.header("ETag")
        return self.last

    async def _get(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        try:
            answer = await self.transport.get(path, headers=headers)
        except NoAnswer:
            return None
        self.phone.see_epoch(answer)
        return answer


@dataclass(frozen=True, slots=True)
class Manners:
    """What a tracking app does that it should not: send fixes before the start and after the end, or in a pause."""

    off_duty: bool = False
    in_breaks: bool = False


@dataclass(slots=True)
class Handset:
    """A phone with its two outboxes; `zones` are the stretches without network, `collects` says that fixes go in batches."""

    desk: Desk
    phone: Phone
    positions: Sender
    clock: ReplayClock
    rng: Random
    pace: Pace
    manners: Manners = Manners()
    collects: bool = True
    zones: Sequence[Zone] = ()
    made: dict[str, float] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    urgent: asyncio.Event = field(default_factory=asyncio.Event)
    moved: asyncio.Event = field(default_factory=asyncio.Event)

    def record(self, event: FieldEvent, run_id: str) -> None:
        """Keep an event until it is answered; the run's own events go at once."""
        self.made[self.phone.record(event, run_id=run_id)] = event.at
        self.changed.set()
        if event.type.startswith("run."):
            self.urgent.set()

    def take(self, fix: Fix) -> None:
        """Keep a fix until it is answered."""
        self.positions.take(fix)
        self.moved.set()

    def oldest_at(self) -> float | None:
        """Return the moment of the oldest thing that is still on the phone; None when it is empty."""
        self.made = {name: at for name, at in self.made.items() if name in self.phone.outbox.waiting}
        return min([*self.made.values(), *filter(None, [self.positions.oldest_at])], default=None)

    async def upload_events(self) -> None:
        """Upload whenever there is something and a network: soon mostly, late sometimes, never inside a dead zone."""
        while True:
            self.changed.clear()
            if not self.phone.pending:
                await self.changed.wait()
            await self._hold()
            await self.drain_events(self.zones)

    async def upload_positions(self) -> None:
        """Upload positions as soon as there is a network; the phone page collects them for some seconds."""
        while True:
            self.moved.clear()
            if not self.positions.pending:
                await self.moved.wait()
            await asyncio.sleep(self.pace.collect_s if self.collects else 0)
            await self.drain_positions(self.zones)

    async def _hold(self) -> None:
        late = self.rng.random() < LATE_UPLOAD_RATE
        held_s = self.rng.uniform(*self.pace.late_s) if late else self.rng.expovariate(1 / self.pace.held_s)
        try:
            async with asyncio.timeout(self.clock.real_delay(self.clock.now() + held_s)):
                await self.urgent.wait()
        except TimeoutError:
            pass
        self.urgent.clear()

    async def drain(self) -> None:
        """Upload all that is left."""
        await self.drain_events()
        await self.drain_positions()

    async def drain_events(self, zones: Sequence[Zone] = ()) -> None:
        """Upload events until none is left, waiting for the end of any of `zones`."""
        while self.phone.pending:
            await self._online(zones)
            await asyncio.sleep(await self.phone.send())

    async def drain_positions(self, zones: Sequence[Zone] = ()) -> None:
        """Upload positions until none is left, waiting for the end of any of `zones`."""
        while self.positions.pending:
            await self._online(zones)
            await asyncio.sleep(self._real_wait_s(await self.positions.send()))

    def _real_wait_s(self, wait_s: float) -> float:
        """Return the real seconds of a wait: the page is told them, an app counts its own, which pass faster in a replay."""
        if self.collects or wait_s <= 0:
            return wait_s
        return max(min(wait_s, REPLAYED_WAIT_S), self.clock.real_delay(self.clock.now() + wait_s))

    async def _online(self, zones: Sequence[Zone]) -> None:
        await asyncio.sleep(self.clock.real_delay(back_online_at(zones, self.clock.now())))
