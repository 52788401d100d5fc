"""Project, then forget: a fix becomes metres along the planned line, and is gone.

A fix counts only while its run is on duty, as the journal has decided by then. Everything about one run happens under the
lock of its `run_state` row (of its id, while there is no row), so that several processes can take fixes of it: what is known is
read, the fixes are matched on from there, and their progress is committed together with the matcher's new state, before the
phone is answered. Nothing of a fix stays: no place beside the line, and off the round no place at all.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta

from fieldsvc.store import progress
from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.store.progress import LockedRun, RunState
from fieldsvc.tracking.duty import read_duty
from fieldsvc.tracking.mismatch import Watcher
from fieldsvc.tracking.places import Place, Places
from fieldsvc.tracking.steps import matcher_of, state_of, stored
from fieldsvc.tracking.turns import Turn, Turns, opened
from fieldsvc.work.rounds import RoundStore, RunPlan, run_of_id
from geo import Fix

AHEAD = timedelta(minutes=5)
OLDEST = timedelta(days=7)
_DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of the fixes of an upload; each is counted once."""

    taken: int = 0
    duplicate: int = 0
    late: int = 0
    off_duty_discarded: int = 0
    thinned: int = 0


@dataclass(frozen=True, slots=True)
class Visit:
    """A scan or a served stop: at that moment the carrier was there."""

    stop_id: str
    at: datetime
    received_at: datetime


class Tracker:
    """Takes fixes and visits, and remembers for some minutes where runs were along their rounds."""

    def __init__(
        self, database: Database, rounds: RoundStore, *, keep_tracks_days: int = 0, watcher: Watcher | None = None
    ) -> None:
        """With `keep_tracks_days` the fixes on duty of so many days are kept as well: the operator's exception.

        The watcher hears of every fix on duty, once it is committed, and of every stop that was served.
        """
        self._database = database
        self._rounds = rounds
        self._keep = timedelta(days=keep_tracks_days)
        self._turns = Turns(database)
        self._places = Places()
        self._watcher = watcher

    async def take(self, device: Device, fixes: Sequence[Fix], *, received_at: datetime) -> Taken:
        """Take the fixes of a device, in any order; what they give is committed when this returns.

        Discarded as off duty: what lies outside every run of the carrier's day, in a pause or a mandate, after the loss of
        the device, or more than five minutes ahead of `received_at`, for nobody knows when that was; ahead by less, the
        newest counts as of `received_at`. Late: older than the run's newest; it never moves a carrier back. Late without a
        trace: older than seven days. Thinned: closer than ten seconds to another. Unavailable, or the driver's own error,
        when it must be sent again.
        """
        count: Counter[str] = Counter()
        days: defaultdict[date, list[Fix]] = defaultdict(list)
        for fix in sorted(fixes, key=lambda each: each.fixed_at, reverse=True):
            if fix.fixed_at > received_at + AHEAD or (device.lost_at is not None and fix.fixed_at >= device.lost_at):
                count["off_duty_discarded"] += 1
            elif fix.fixed_at < received_at - OLDEST:
                count["late"] += 1
            else:
                known = fix if fix.fixed_at <= received_at else replace(fix, fixed_at=received_at)
                days[self._rounds.day_of(known.fixed_at)].append(known)
        for day, of_day in sorted(days.items()):
            left: Sequence[Fix] = of_day
            for run_id in await self._rounds.runs_of(device, day):
                left = await self._take(run_id, left, count, received_at=received_at) if left else left
            count["off_duty_discarded"] += len(left)
        return Taken(**count)

    async def anchor(self, run_id: str, visits: Iterable[Visit]) -> int:
        """Put a run at stops where it was on duty; return how many were news. The same visit again changes nothing."""
        plan, day = await self._plan(run_id)
        stops = plan.stops_by_id if plan is not None else {}
        near = [visit for visit in visits if visit.stop_id in stops and self._is_near(day, visit)]
        if plan is None or not near:
            return 0
        async with progress.locked(self._database, run_id, day) as run:
            known = await opened(run, [visit.at for visit in near])
            duty = read_duty(await run.duty())
            counts = [each for each in near if duty.covers(each.at)]
            if known is None or not counts:
                return 0
            places = await _anchored(run, plan, known, counts)
        self._places.remember(run_id, places)
        if self._watcher is not None:
            self._watcher.settle(run_id)
        return len(places)

    async def withdraw(self, run_id: str) -> int:
        """Take back progress that turned out to be off duty, because a pause or an end was told late; return how many."""
        named = run_of_id(run_id)
        if named is None:
            return 0
        async with progress.locked(self._database, run_id, named[0]) as run:
            known = await run.state()
            if known is None:
                return 0
            gone = await run.withdraw(read_duty(await run.duty()).intervals)
            if gone:
                through_at, along = await run.newest()
                await run.move(RunState(b"", through_at, along, "unknown"))
                self._places.forget(run_id)
                if self._watcher is not None:
                    self._watcher.settle(run_id)
        return gone

    async def withdraw_several(self, run_ids: Sequence[str]) -> None:
        """Do as `withdraw` for runs, in a transaction for all of those of which nothing is known: mostly they begin."""
        if not run_ids:
            return
        async with progress.locked_together(self._database) as runs:
            unknown = await runs.unknown(run_ids)
        for run_id in run_ids:
            if run_id not in unknown:
                await self.withdraw(run_id)

    def newest(self, run_id: str, at: datetime) -> float | None:
        """Return the metres along the round that were known less than ten minutes before a moment, else after it.

        From the memory of this process alone: it never waits.
        """
        place = self.place(run_id, at)
        return place[1] if place is not None else None

    def place(self, run_id: str, at: datetime) -> Place | None:
        """Return the same as `newest`, with its moment."""
        return self._places.near(run_id, at)

    async def _plan(self, run_id: str) -> tuple[RunPlan | None, date]:
        named = run_of_id(run_id)
        return (await self._rounds.bare_plan(run_id), named[0]) if named else (None, date.min)

    def _is_near(self, day: date, visit: Visit) -> bool:
        """Tell whether a visit is of the run's own day, or beside midnight, and neither too old nor ahead."""
        if not visit.received_at - OLDEST <= visit.at <= visit.received_at + AHEAD:
            return False
        return abs(self._rounds.day_of(visit.at) - day) <= _DAY

    async def _take(
        self, run_id: str, fixes: Sequence[Fix], count: Counter[str], *, received_at: datetime
    ) -> Sequence[Fix]:
        """Take what is on duty of one run; return the rest."""
        plan, day = await self._plan(run_id)
        if plan is None:
            return fixes
        turn = Turn(plan, day, fixes, received_at, keeps=self._keeps(day, received_at))
        outcome = await self._turns.take(turn)
        found, sifted = outcome.found, outcome.sifted
        if found is None:
            return outcome.off
        told = (*found.corrected, *found.progress)
        places = [(each.at, each.distance_along_m) for each in told if each.distance_along_m is not None]
        self._places.remember(run_id, places)
        if self._watcher is not None:
            self._watcher.note(plan, sifted.kept, found.progress)
        count.update(duplicate=sifted.duplicate, thinned=sifted.thinned, late=found.late)
        count["taken"] += len(found.progress) - found.late
        return outcome.off

    def _keeps(self, day: date, received_at: datetime) -> bool:
        """Tell whether tracks of a run's day are kept: as long as upkeep has a place for them."""
        return bool(self._keep) and day >= received_at.astimezone(UTC).date() - self._keep


async def _anchored(run: LockedRun, plan: RunPlan, known: RunState, visits: Sequence[Visit]) -> list[Place]:
    matcher, state = matcher_of(plan), state_of(known, plan)
    places: list[Place] = []
    for visit in sorted(visits, key=lambda each: each.at):
        along = round(plan.round.distance_of(visit.stop_id), 1)
        if not await run.add_anchor(visit.at, along, received_at=visit.received_at):
            continue
        places.append((visit.at, along))
        if matcher is not None:
            state, _found = matcher.anchor(state, visit.stop_id, visit.at)
        if known.through_at is None or visit.at >= known.through_at:
            known = RunState(known.matcher, visit.at, along, "at_stop")
    if places:
        await run.move(replace(known, matcher=stored(state, plan)))
    return places
