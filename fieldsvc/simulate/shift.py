"""One simulated carrier: asks for today's run and sheet, lives it, and holds a phone, or the spare when that one dies."""

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from random import Random
from typing import Any

from fieldsvc.simulate.clock import ReplayClock
from fieldsvc.simulate.duties import field_events, light_work
from fieldsvc.simulate.gps import Fix
from fieldsvc.simulate.handset import Desk, Handset, Pace
from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.network import dead_zones, merged
from fieldsvc.simulate.walking import FieldEvent, Walk, fixes, merge, walk
from fieldsvc.simulate.way import Sheet

SPAN_S = 6 * 3600.0
STAGGER_S = 1200.0
RURAL_M = 30_000.0
SWAPPED_AFTER = (0.3, 0.6)
SWAP_S, BACK_AFTER_S = (60.0, 120.0), (3600.0, 9000.0)
SHEET_TRIES = 5


@dataclass(frozen=True, slots=True)
class Swap:
    """When the phone dies, when the spare is at hand with the sheet, and when the first one has a charge again."""

    dies_at: float
    ready_at: float
    back_at: float


def swap_of(lived: Walk, *, seed: int, run_id: str) -> Swap:
    """Decide when the phone dies: somewhere in the second third of the round."""
    rng = seeded("swap", seed, run_id)
    dies_at = lived.leave_site_at + rng.uniform(*SWAPPED_AFTER) * (lived.back_at - lived.leave_site_at)
    ready_at = dies_at + rng.uniform(*SWAP_S)
    return Swap(dies_at, ready_at, ready_at + rng.uniform(*BACK_AFTER_S))


@dataclass(slots=True)
class Shift:
    """What goes on at once: the walk, the light work beside it, and the uploads of each phone.

    `begins_at` is when the replayed shift of the first run begins; what happened before `since` was uploaded by an earlier
    simulation, and is not told again.
    """

    handsets: Sequence[Handset]
    clock: ReplayClock
    rng: Random
    seed: int
    pace: Pace
    begins_at: float | None = None
    since: float = -math.inf
    sheet: Sheet | None = None
    lived: Walk | None = None
    resting: bool = False
    spare_in_hand: bool = False

    @property
    def in_hand(self) -> Handset:
        """The phone that the carrier holds."""
        return self.handsets[-1 if self.spare_in_hand else 0]

    def jobs(self, wall: Callable[[], float]) -> Iterator[Coroutine[Any, Any, None]]:
        """Yield everything that must run at once, for ever."""
        yield self.work()
        yield self.light(wall)
        for handset in self.handsets:
            yield handset.upload_events()
            yield handset.upload_positions()

    def told_until(self) -> float:
        """Return the moment before which everything is uploaded."""
        waiting = [handset.oldest_at() for handset in self.handsets]
        return min([self.clock.now(), *(at for at in waiting if at is not None)])

    async def drain(self) -> None:
        """Upload what is left on every phone."""
        await asyncio.gather(*(handset.drain() for handset in self.handsets))

    async def work(self) -> None:
        """Walk today's run, then look for another one for ever."""
        walked: set[str] = set()
        while True:
            run, sheet = await self._today()
            if sheet["run_id"] not in walked:
                walked = {sheet["run_id"]}
                self.sheet = sheet
                if run.get("state") != "ended":
                    await self._walk(sheet, started=run.get("state") in ("started", "paused"))
            self.resting = True
            await asyncio.sleep(self.pace.look_again_s * self.rng.uniform(0.8, 1.2))

    async def _today(self) -> tuple[Mapping[str, Any], Sheet]:
        """Wait politely, longer each time, until there is a run with stops."""
        wait_s = self.pace.patience_s
        while True:
            run = await self.in_hand.desk.current()
            sheet = await self.in_hand.desk.sheet(run["run_id"]) if run else None
            if run and sheet and sheet["stops"]:
                return run, sheet
            await asyncio.sleep(wait_s * self.rng.uniform(0.8, 1.2))
            wait_s = min(self.pace.patience_cap_s, wait_s * 1.5)

    async def _walk(self, sheet: Sheet, *, started: bool) -> None:
        """Live through the shift."""
        self.resting = self.spare_in_hand = False
        run_id = sheet["run_id"]
        start_at = self._first_moment() + seeded("start", self.seed, run_id).uniform(0, STAGGER_S)
        seen = {"run_id": run_id, "version": sheet["version"]}
        self.in_hand.record(FieldEvent(start_at, "sheet.seen", f"run/{run_id}", seen), run_id)
        lived = await asyncio.to_thread(walk, sheet, seed=self.seed, mode=sheet["mode"], start_at=start_at)
        self.lived = lived
        swap = swap_of(lived, seed=self.seed, run_id=run_id) if len(self.handsets) > 1 else None
        self._lay_dead_zones(lived, swap)
        events = field_events(sheet, lived, seed=self.seed)
        for moment in merge(self._fixes(lived, swap), iter(events)):
            known = isinstance(moment, FieldEvent) and started and moment.type == "run.started"
            if moment.at < self.since or known:
                continue
            await asyncio.sleep(self.clock.real_delay(moment.at))
            if swap and moment.at >= swap.dies_at:
                await self._take_spare(swap, run_id)
                moment = replace(moment, at=max(moment.at, swap.ready_at))  # noqa: PLW2901 - told when the spare is there
            if isinstance(moment, FieldEvent):
                self.in_hand.record(moment, run_id)
            else:
                self.in_hand.take(moment)

    def _first_moment(self) -> float:
        """Return when the shift begins: as told for the first run, else now."""
        begins_at, self.begins_at = self.begins_at, None
        if begins_at is not None and (self.since > begins_at or not self.clock.is_live()):
            return begins_at
        return self.clock.now()

    def _fixes(self, lived: Walk, swap: Swap | None) -> Iterator[Fix]:
        """Yield the fixes of the phone in hand; between the death of one and the spare there are none."""
        first, spare = self.handsets[0], self.handsets[-1]
        of_first = fixes_of(first, lived, self.seed)
        if swap is None:
            yield from of_first
            return
        yield from takewhile(lambda fix: fix.at < swap.dies_at, of_first)
        yield from (fix for fix in fixes_of(spare, lived, self.seed) if fix.at >= swap.ready_at)

    def _lay_dead_zones(self, lived: Walk, swap: Swap | None) -> None:
        for handset in self.handsets:
            handset.zones = dead_zones(
                seed=self.seed,
                device=handset.phone.device_id,
                start_at=self.clock.start_at,
                span_s=self._span_s(),
                rural=lived.length_m > RURAL_M,
            )
        if swap:
            self.handsets[0].zones = merged([*self.handsets[0].zones, (swap.dies_at, swap.back_at)])

    def _span_s(self) -> float:
        """Say how long a time has dead zones: a replayed past has them, and so has a whole shift at the pace of now."""
        replayed_s = self.clock.wall() - self.clock.start_at
        return min(SPAN_S, max(0.0, replayed_s)) if self.clock.speed > 1 else SPAN_S

    async def _take_spare(self, swap: Swap, run_id: str) -> None:
        """Take the spare phone once, and let it fetch the sheet."""
        if self.spare_in_hand:
            return
        await asyncio.sleep(self.clock.real_delay(swap.ready_at))
        self.spare_in_hand = True
        await fetched(self.in_hand.desk, run_id, self.pace.patience_s)

    async def light(self, wall: Callable[[], float]) -> None:
        """Once the walk is over or the replay has reached now, do a little fresh work at the real pace, for ever."""
        number = 0
        while True:
            await asyncio.sleep(self.pace.light_every_s * min(3.0, self.rng.expovariate(1.0)))
            if self.sheet is None or not (self.resting or self.clock.is_live()):
                continue
            number += 1
            sheet = self.sheet
            for event in light_work(
                sheet,
                seed=self.seed,
                device=self.in_hand.phone.device_id,
                number=number,
                at=wall(),
                gap_s=self.pace.light_gap_s,
                near=self._stops_near(wall()),
            ):
                await asyncio.sleep(max(0.0, event.at - wall()))
                self.in_hand.record(event, sheet["run_id"])

    def _stops_near(self, at: float) -> list[Mapping[str, Any]]:
        """Return the last stops that were served; none when nobody walks."""
        if self.lived is None:
            return []
        return [visit.stop for visit in self.lived.visits if visit.arrive_at <= at][-3:]


def fixes_of(handset: Handset, lived: Walk, seed: int) -> Iterator[Fix]:
    """Yield the fixes that a phone takes on a shift."""
    return fixes(lived, seed=seed, off_duty=handset.manners.off_duty, in_breaks=handset.manners.in_breaks)


async def fetched(desk: Desk, run_id: str, patience_s: float) -> Sheet | None:
    """Fetch the sheet for a phone that never had it; None when nobody answers for some time."""
    for _ in range(SHEET_TRIES):
        found = await desk.sheet(run_id)
        if found:
            return found
        await asyncio.sleep(patience_s)
    return None
