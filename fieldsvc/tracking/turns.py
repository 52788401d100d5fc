"""The fixes of many phones in one transaction: what waits while the last one commits is taken together by the next.

A transaction costs the same five round trips and one flush for one run as for sixty. So uploads wait in line, for as long as
the one before them takes, and never longer. What cannot be taken with others is taken alone: an upload of a long silence, tracks that are kept. When a
transaction of many fails, each of them is tried alone, so that no run can harm another and each phone is told what is true of
its own.
"""

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime

from fieldsvc.store import progress
from fieldsvc.store.database import Database
from fieldsvc.store.progress import Asked, KeptFix, LockedRun, LockedRuns, Progress, RunState, Told
from fieldsvc.store.together import Few
from fieldsvc.tracking.duty import read_duty
from fieldsvc.tracking.steps import PRIOR, THINNED, Advance, Sifted, advance, sift
from fieldsvc.work.rounds import RunPlan
from geo import Fix

IN_A_THREAD, MOST_RUNS = 50, 64


@dataclass(frozen=True, slots=True)
class Turn:
    """Fixes of one run that came together; with `keeps` they are also kept as they came."""

    plan: RunPlan
    day: date
    fixes: Sequence[Fix]
    received_at: datetime
    keeps: bool = False

    @property
    def asked(self) -> Asked:
        """What has to be known of the run."""
        moments = [fix.fixed_at for fix in self.fixes]
        return Asked(self.plan.run_id, self.day, min(moments) - PRIOR, max(moments) + THINNED)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of them: those off duty, and of the others what was sifted and where they were; nothing if all are off."""

    off: Sequence[Fix]
    sifted: Sifted = field(default_factory=Sifted)
    found: Advance | None = None


class Turns:
    """Takes fixes of runs, those of many together."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._waiting: deque[tuple[Turn, asyncio.Future[Outcome]]] = deque()
        self._taking = Few(self._drain)

    async def take(self, turn: Turn) -> Outcome:
        """Take the fixes of one run; what they give is committed when this returns.

        Unavailable, or the driver's own error, when they must be sent again.
        """
        if turn.keeps or len(turn.fixes) > IN_A_THREAD:
            return await self._alone(turn)
        done: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((turn, done))
        self._taking.begin()
        return await done

    async def _drain(self) -> None:
        while self._waiting:
            taken = self._next()
            try:
                outcomes = await self._together([turn for turn, _done in taken])
            except Exception:  # noqa: BLE001 - whatever it is, each alone says what is true of it
                outcomes = [None] * len(taken)
            except BaseException:
                for _turn, done in taken:
                    done.cancel()
                raise
            left = []
            for (turn, done), outcome in zip(taken, outcomes, strict=True):
                if outcome is None:
                    left.append(self._tried_alone(turn, done))
                elif not done.done():
                    done.set_result(outcome)
            await asyncio.gather(*left)

    def _next(self) -> list[tuple[Turn, asyncio.Future[Outcome]]]:
        """Take the first in line, of each run one."""
        taken: dict[str, tuple[Turn, asyncio.Future[Outcome]]] = {}
        behind = []
        while self._waiting and len(taken) < MOST_RUNS:
            one = self._waiting.popleft()
            if one[0].plan.run_id in taken:
                behind.append(one)
            else:
                taken[one[0].plan.run_id] = one
        self._waiting.extendleft(reversed(behind))
        return list(taken.values())

    async def _together(self, turns: Sequence[Turn]) -> list[Outcome | None]:
        """Take fixes of several runs in one transaction; None for a run that another process begins at this moment."""
        outcomes: list[Outcome | None] = []
        asked = [turn.asked for turn in turns]
        async with progress.locked_together(self._database) as runs:
            known, off_duty = await _opened_together(runs, turns, asked)
            for turn, of in zip(turns, asked, strict=True):
                if of.run_id in off_duty:
                    outcomes.append(Outcome(turn.fixes))
                    continue
                told = known.get(of.run_id)
                outcomes.append(_outcome(turn, told.state, told.duty, told.before) if told is not None else None)
                found = outcomes[-1].found if outcomes[-1] is not None else None
                if found is not None:
                    runs.add(of, found.progress, _newest(found), received_at=turn.received_at)
                    runs.correct(of, found.corrected)
                await asyncio.sleep(0)  # others go on while many are matched
            await runs.write()
        return outcomes

    async def _tried_alone(self, turn: Turn, done: asyncio.Future[Outcome]) -> None:
        try:
            outcome = await self._alone(turn)
        except Exception as error:  # noqa: BLE001 - it is told to whoever waits
            if not done.done():
                done.set_exception(error)
        except BaseException:
            done.cancel()
            raise
        else:
            if not done.done():
                done.set_result(outcome)

    async def _alone(self, turn: Turn) -> Outcome:
        """Take fixes of one run in a transaction of its own."""
        moments = [fix.fixed_at for fix in turn.fixes]
        async with progress.locked(self._database, turn.plan.run_id, turn.day) as run:
            known = await opened(run, moments)
            if known is None:
                return Outcome(turn.fixes)
            duty, before = await run.with_duty(turn.asked.first, turn.asked.last)
            if len(turn.fixes) > IN_A_THREAD:
                outcome = await asyncio.to_thread(_outcome, turn, known, duty, before)
            else:
                outcome = _outcome(turn, known, duty, before)
            if outcome.found is None:
                return outcome
            if outcome.found.progress:
                await run.add(outcome.found.progress, _newest(outcome.found), received_at=turn.received_at)
            if outcome.found.corrected:
                await run.correct(outcome.found.corrected)
            if turn.keeps:
                off = set(map(id, outcome.off))
                on = [fix for fix in turn.fixes if id(fix) not in off]
                await run.keep_fixes([KeptFix(fix.fixed_at, fix.lat, fix.lon, fix.accuracy_m) for fix in on])
        return outcome


async def opened(run: LockedRun, moments: Iterable[datetime]) -> RunState | None:
    """Lock a run and read what is known of it; None, and nothing is begun, as long as none of its moments is on duty.

    What is read after this cannot change until the commit.
    """
    known = await run.state()
    if known is not None:
        return known
    duty = read_duty(await run.duty())
    return await run.begin() if any(map(duty.covers, moments)) else None


async def _opened_together(
    runs: LockedRuns, turns: Sequence[Turn], asked: Sequence[Asked]
) -> tuple[dict[str, Told], set[str]]:
    """Do as `opened` for many: read what is known of each, and name those that stay unknown, off duty as they are."""
    known = await runs.known(asked)
    first = {turn.plan.run_id: turn for turn in turns if turn.plan.run_id not in known}
    if not first:
        return known, set()
    duties = await runs.unknown(list(first))
    on_duty = {
        run_id
        for run_id, body in duties.items()
        if any(read_duty(body).covers(fix.fixed_at) for fix in first[run_id].fixes)
    }
    if on_duty:
        known |= await runs.begin([each for each in asked if each.run_id in on_duty])
    return known, duties.keys() - on_duty


def _outcome(turn: Turn, known: RunState, duty: bytes | None, before: Sequence[Progress]) -> Outcome:
    """Match what is on duty."""
    on, off = read_duty(duty).split(turn.fixes)
    if not on:
        return Outcome(off)
    sifted = sift(on, {each.at for each in before})
    return Outcome(off, sifted, advance(turn.plan, known, sifted.kept, before))


def _newest(found: Advance) -> RunState | None:
    """Return the newest of a run, if it moved."""
    return found.newest if len(found.progress) > found.late else None
