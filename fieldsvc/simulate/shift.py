"""One simulated carrier: asks for today's run and sheet, walks it, and lets the phone upload when it can."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fieldsvc.simulate.clock import ReplayClock
from fieldsvc.simulate.duties import light_work, timeline
from fieldsvc.simulate.phones import Phone
from fieldsvc.simulate.transport import Answer, NoAnswer, Transport
from fieldsvc.simulate.walking import FieldEvent, Sheet, dead_zones

SPAN_S = 6 * 3600.0
STAGGER_S = 1200.0
LATE_UPLOAD_RATE = 0.08


@dataclass(frozen=True, slots=True)
class Pace:
    """How patient a carrier and a phone are.

    Real seconds: the wait for a run that is not there yet, to look for a new one, between pieces of light work and inside
    one. Simulated seconds: how long an upload is held (mean), and how long a late one.
    """

    patience_s: float = 2.0
    patience_cap_s: float = 30.0
    look_again_s: float = 300.0
    light_every_s: float = 75.0
    light_gap_s: tuple[float, float] = (15.0, 45.0)
    held_s: float = 15.0
    late_s: tuple[float, float] = (300.0, 1200.0)


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


@dataclass(slots=True)
class Shift:
    """The three things that go on at once: the walk, the light work after it, and the uploads."""

    desk: Desk
    phone: Phone
    clock: ReplayClock
    rng: Random
    seed: int
    pace: Pace
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    sheet: Sheet | None = None
    resting: bool = False

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
            run = await self.desk.current()
            sheet = await self.desk.sheet(run["run_id"]) if run else None
            if run and sheet and sheet["stops"]:
                return run, sheet
            await asyncio.sleep(wait_s * self.rng.uniform(0.8, 1.2))
            wait_s = min(self.pace.patience_cap_s, wait_s * 1.5)

    async def _walk(self, sheet: Sheet, *, started: bool) -> None:
        """Live through the shift; positions between events stay on the phone, which uploads events only."""
        self.resting = False
        first = self.clock.start_at if not self.clock.is_live() else self.clock.now()
        start_at = first + self.rng.uniform(0, STAGGER_S)
        for moment in timeline(sheet, seed=self.seed, mode=sheet["mode"], start_at=start_at):
            if not isinstance(moment, FieldEvent) or (started and moment.type == "run.started"):
                continue
            await asyncio.sleep(self.clock.real_delay(moment.at))
            self._record([moment], sheet["run_id"])

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
                device=self.phone.device_id,
                number=number,
                at=wall(),
                gap_s=self.pace.light_gap_s,
            ):
                await asyncio.sleep(max(0.0, event.at - wall()))
                self._record([event], sheet["run_id"])

    def _record(self, events: Sequence[FieldEvent], run_id: str) -> None:
        for event in events:
            self.phone.record(event, run_id=run_id)
        self.changed.set()

    async def upload(self) -> None:
        """Upload whenever there is something and a network: soon mostly, late sometimes, never inside a dead zone."""
        zones = dead_zones(
            seed=self.seed, device=self.phone.device_id, start_at=self.clock.start_at, span_s=self._span_s()
        )
        while True:
            self.changed.clear()
            if not self.phone.pending:
                await self.changed.wait()
            held_s = self._held_s()
            await asyncio.sleep(self.clock.real_delay(self.clock.now() + held_s))
            await self.drain(zones)

    def _span_s(self) -> float:
        """Say how long a time has dead zones: a replayed past has them, and so has a whole shift at the pace of now."""
        replayed_s = self.clock.wall() - self.clock.start_at
        return min(SPAN_S, max(0.0, replayed_s)) if self.clock.speed > 1 else SPAN_S

    def _held_s(self) -> float:
        late = self.rng.random() < LATE_UPLOAD_RATE
        return self.rng.uniform(*self.pace.late_s) if late else self.rng.expovariate(1 / self.pace.held_s)

    async def drain(self, zones: Sequence[tuple[float, float]] = ()) -> None:
        """Upload until nothing is left, waiting for the end of any of `zones`."""
        while self.phone.pending:
            await asyncio.sleep(self.clock.real_delay(back_online_at(zones, self.clock.now())))
            await asyncio.sleep(await self.phone.send())


def back_online_at(zones: Sequence[tuple[float, float]], now: float) -> float:
    """Return when the network is there: now, or the end of the dead zone around it."""
    return next((until for begin, until in zones if begin <= now < until), now)
