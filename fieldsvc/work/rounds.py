"""Rounds and runs as intake needs them: in memory, checked against the database every half minute.

A nation's rounds are looked at all the time, each of them every minute: so as many are kept as `rounds_points` allows, and whether
one of them has changed is asked for all at once. Tasks are read again after 20 seconds.
"""

import asyncio
import re
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta, tzinfo
from functools import partial
from types import MappingProxyType

from fieldsvc.store import delivery_point_memory as memories
from fieldsvc.store import roster
from fieldsvc.store import round as store
from fieldsvc.store import task as tasks
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.store.recent import Recent
from fieldsvc.store.round import StoredRound
from fieldsvc.store.run import run_id_of
from fieldsvc.store.together import Together
from geo.delivery_points import BadMemory, PointMemory
from geo.rounds import Round, Stop

SUBJECTS_S = 20.0
CHECKED_S = 10.0
ROUNDS_POINTS = 10_000_000
DEVICE_S = 5.0
LEARNED_S = 600.0
_RUN_ID = re.compile(r"run-([0-9]{4}-[0-9]{2}-[0-9]{2})-([A-Za-z0-9][A-Za-z0-9._:-]{0,47})")


@dataclass(frozen=True, slots=True)
class Learned:
    """Where proofs say that the door and the letterbox of a stop are, `(lat, lon)`; None where they do not say it surely."""

    door: tuple[float, float] | None = None
    box: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class RunPlan:
    """One run with its round; `stop_of_subject` knows its tasks' subjects and its delivery points.

    `learned` has the stops whose places proofs tell; it is up to ten minutes old.
    """

    run_id: str
    round_id: str
    site: str
    round: Round
    round_version: int
    stops_by_id: Mapping[str, Stop]
    stop_of_subject: Mapping[str, str]
    delivery_point_of_stop: Mapping[str, str]
    learned: Mapping[str, Learned] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class KnownRound:
    """A round with its look-up tables, made once for each version."""

    stored: StoredRound
    stops_by_id: Mapping[str, Stop]
    stop_of_point: Mapping[str, str]
    point_of_stop: Mapping[str, str]

    @property
    def points(self) -> int:
        """How much it holds: the points of its line, and its stops, each of which takes as much as some points."""
        return 1 + len(self.stored.round.line) + 5 * len(self.stops_by_id)


class RoundStore:
    """Rounds and run plans; bounded memories. Rounds stay as long as their version holds, subjects for 20 s."""

    def __init__(
        self,
        database: Database,
        zone: tzinfo,
        *,
        clock: Callable[[], float] = time.monotonic,
        rounds_points: int = ROUNDS_POINTS,
        runs: int = 2_000,
    ) -> None:
        self._database = database
        self._zone = zone
        self._clock = clock
        self._rounds: Recent[str, KnownRound] = Recent(
            size=rounds_points, ttl_s=float("inf"), clock=clock, weigh=lambda known: known.points
        )
        self._stored = Together(partial(store.read_several, database))
        self._memories = Together(partial(memories.of_rounds, database))
        self._subjects = Together(partial(tasks.subjects_of_runs, database))
        self._mark: int | None = None
        self._check_at = float("-inf")
        self._checking = asyncio.Lock()
        self._plans: Recent[str, RunPlan] = Recent(size=runs, ttl_s=SUBJECTS_S, clock=clock)
        self._learned: Recent[str, Mapping[str, Learned]] = Recent(
            size=rounds_points, ttl_s=LEARNED_S, clock=clock, weigh=lambda places: 1 + 5 * len(places)
        )
        self._of_device: Recent[tuple[str, date], tuple[str, ...]] = Recent(size=4 * runs, ttl_s=DEVICE_S, clock=clock)

    async def run_plan(self, of: str | Device, *, now: datetime | None = None) -> RunPlan | None:
        """Find the plan of a run id, or of the run that a device's carrier walks today; None if there is none."""
        run_id = of if isinstance(of, str) else await self._run_of(of, now or datetime.now(UTC))
        if run_id is None:
            return None
        plan = self._plans.get(run_id)
        return plan if plan is not None else await self._load(run_id)

    async def bare_plan(self, run_id: str) -> RunPlan | None:
        """Find the plan of a run id as far as a fix needs it: the round, without tasks and learned places."""
        named = run_of_id(run_id)
        known = await self._lately(named[1]) if named is not None else None
        return _plan(run_id, known) if known is not None else None

    def forget(self) -> None:
        """Forget everything, after an import in this process."""
        self._rounds.clear()
        self._check_at = float("-inf")
        self._plans.clear()
        self._learned.clear()
        self._of_device.clear()

    def day_of(self, at: datetime) -> date:
        """Give the local day of a moment."""
        return at.astimezone(self._zone).date()

    def span_of(self, day: date) -> tuple[datetime, datetime]:
        """Return when a day of the rounds begins, and when the next one does."""
        begins, ends = (
            datetime(each.year, each.month, each.day, tzinfo=self._zone) for each in (day, day + timedelta(days=1))
        )
        return begins.astimezone(UTC), ends.astimezone(UTC)

    async def runs_of(self, device: Device, day: date) -> tuple[str, ...]:
        """Name the runs that a device's carrier walks on a day, the one to show first; known for five seconds."""
        known = self._of_device.get((device.device_id, day))
        if known is not None:
            return known
        since = self._clock()
        found = tuple(run_id_of(day, each) for each in await roster.rounds_of(self._database, device, day))
        self._of_device.put((device.device_id, day), found, since=since)
        return found

    async def _run_of(self, device: Device, now: datetime) -> str | None:
        return next(iter(await self.runs_of(device, self.day_of(now))), None)

    async def _load(self, run_id: str) -> RunPlan | None:
        named = run_of_id(run_id)
        if named is None:
            return None
        day, round_id = named
        since = self._clock()
        known = await self._lately(round_id)
        if known is None:
            return None
        subjects = await self._subjects.get((day, round_id)) or {}
        plan = replace(
            _plan(run_id, known),
            stop_of_subject=MappingProxyType({**known.stop_of_point, **subjects}),
            learned=await self._places(round_id),
        )
        self._plans.put(run_id, plan, since=since)
        return plan

    async def _places(self, round_id: str) -> Mapping[str, Learned]:
        """Read where proofs say that the stops of a round are."""
        known = self._learned.get(round_id)
        if known is None:
            since = self._clock()
            rows = await self._memories.get(round_id) or ()
            places = {stop_id: Learned(place_of(door), place_of(box)) for stop_id, door, box in rows}
            known = MappingProxyType({stop_id: place for stop_id, place in places.items() if place != Learned()})
            self._learned.put(round_id, known, since=since)
        return known

    async def known_round(self, round_id: str) -> KnownRound | None:
        """Find a round as it is now, with its look-up tables."""
        known = self._rounds.get(round_id)
        if (
            known is not None
            and (await store.versions(self._database, [round_id])).get(round_id) == known.stored.version
        ):
            return known
        return await self._read(round_id)

    async def known_rounds(self, round_ids: Iterable[str]) -> dict[str, KnownRound]:
        """Find rounds as they are now, of those that there are; asked for together."""
        wanted = list(dict.fromkeys(round_ids))
        now = await store.versions(self._database, wanted) if wanted else {}
        held = {each: self._rounds.get(each) for each in now}
        found = {each: known for each, known in held.items() if known and known.stored.version == now[each]}
        missing = [each for each in now if each not in found]
        read = await asyncio.gather(*map(self._read, missing))
        return found | {each: known for each, known in zip(missing, read, strict=True) if known is not None}

    async def _lately(self, round_id: str) -> KnownRound | None:
        """Find a round as it is now, or was some seconds ago."""
        await self._check()
        return self._rounds.get(round_id) or await self._read(round_id)

    async def _read(self, round_id: str) -> KnownRound | None:
        stored = await self._stored.get(round_id)
        if stored is None:
            return None
        stops = stored.round.stops
        known = KnownRound(
            stored,
            MappingProxyType({stop.stop_id: stop for stop in stops}),
            MappingProxyType({f"delivery_point/{stop.delivery_point_id}": stop.stop_id for stop in reversed(stops)}),
            MappingProxyType({stop.stop_id: stop.delivery_point_id or stop.stop_id for stop in stops}),
        )
        self._rounds.put(round_id, known, since=self._clock())
        return known

    async def _check(self) -> None:
        """Forget the rounds that have changed since they were read; asked every ten seconds, by one for all."""
        if self._clock() < self._check_at:
            return
        async with self._checking:
            since = self._clock()
            if since < self._check_at:
                return
            mark = await store.mark(self._database)
            if mark != self._mark:
                known = self._rounds.items()
                now = await store.versions(self._database, [round_id for round_id, _known in known])
                for round_id, each in known:
                    if now.get(round_id) != each.stored.version:
                        self._rounds.drop(round_id)
            self._mark, self._check_at = mark, since + CHECKED_S


def _plan(run_id: str, known: KnownRound) -> RunPlan:
    planned = known.stored.round
    return RunPlan(
        run_id=run_id,
        round_id=planned.round_id,
        site=planned.site or "",
        round=planned,
        round_version=known.stored.version,
        stops_by_id=known.stops_by_id,
        stop_of_subject=known.stop_of_point,
        delivery_point_of_stop=known.point_of_stop,
    )


def memory_of(data: bytes | None) -> PointMemory | None:
    """Read the memory of a door or a letterbox; None without one, and for one that another release wrote."""
    try:
        return PointMemory.from_bytes(data) if data else None
    except BadMemory:
        return None


def place_of(data: bytes | None) -> tuple[float, float] | None:
    """Give `(lat, lon)` of what a memory is sure of."""
    known = memory_of(data)
    return known.place() if known is not None else None


def run_of_id(run_id: str) -> tuple[date, str] | None:
    """Read `run-<local date>-<round_id>`; None for anything else."""
    found = _RUN_ID.fullmatch(run_id)
    try:
        return (date.fromisoformat(found[1]), found[2]) if found else None
    except ValueError:
        return None
