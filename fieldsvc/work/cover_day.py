"""From what the database knows of a day to the runs of a cover problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, tzinfo

import numpy as np
import orjson

from fieldsvc.store.cover import DayRun, OpenTask
from fieldsvc.work.cover_model import NEEDS, Present, Uncovered, Work, grouped
from fieldsvc.work.cover_runs import Day, present_of, uncovered_of
from geo.errors import BadState
from geo.eta import Today
from geo.learned_times import Learned
from geo.rounds import Round
from geo.visits import Sighting
from handlers.fields import parse_time

IN_WORK = ("started", "paused")


@dataclass(frozen=True, slots=True)
class CoverDay:
    """The runs of a day, who walks them, and the tasks of uncovered runs that have no stop there.

    `begun` are runs of absent carriers that are under way: they are given over by a person, not proposed for.
    """

    origin: datetime
    uncovered: Sequence[Uncovered]
    present: Sequence[Present]
    carriers: Mapping[str, str]
    without_stop: Mapping[str, Sequence[str]]
    begun: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class ReadDay:
    """What was read of a day; `absent` are carriers who will be away too."""

    day: date
    now: datetime
    zone: tzinfo
    usual_start: time
    runs: Sequence[DayRun]
    rounds: Mapping[str, Round]
    tasks: Sequence[OpenTask]
    moved: Sequence[tuple[str, str, str]]
    known_by: Mapping[str, set[str]]
    absent: frozenset[str]

    @property
    def origin(self) -> datetime:
        """Midnight before the day, local."""
        return datetime.combine(self.day, time(), self.zone).astimezone(UTC)

    def read(self) -> CoverDay:
        """Part the runs into those that nobody walks, which have not begun, and those that somebody does."""
        away = [
            run
            for run in self.runs
            if (run.carrier is None or run.carrier in self.absent) and run.state not in (*IN_WORK, "ended")
        ]
        there = [run for run in self.runs if run.carrier and run.carrier not in self.absent and run.state != "ended"]
        works, without = self._works()
        uncovered = [made for run in away if (made := self._uncovered(run, works.get(run.round_id, []))) is not None]
        carriers = {run.id: run.carrier for run in there if run.carrier}
        return CoverDay(
            self.origin,
            uncovered,
            [self._present(run, works.get(run.round_id, [])) for run in there if self.rounds[run.round_id].stops],
            carriers,
            {run.id: without.get(run.round_id, []) for run in away},
            [run.id for run in self.runs if run.carrier in self.absent and run.state in IN_WORK],
        )

    def _works(self) -> tuple[dict[str, list[Work]], dict[str, list[str]]]:
        """Give the open tasks of each round at their stops; and those that have no stop there."""
        trained = {each for run in self.runs for each in run.qualifications}
        index = {name: {stop.stop_id: i for i, stop in enumerate(rnd.stops)} for name, rnd in self.rounds.items()}
        found, without = [], []
        for task in self.tasks:
            stop = index.get(task.round_id, {}).get(task.stop_id or "")
            if stop is None:
                without.append((task.round_id, task.id))
                continue
            needs = {NEEDS[task.service]} if task.service in NEEDS else set[str]()
            needs |= trained & set(task.requirements)
            window = None
            if task.window_from is not None and task.window_until is not None:
                window = self._seconds(task.window_from), self._seconds(task.window_until)
            found.append((task.round_id, Work(task.id, task.service, stop, window, frozenset(needs))))
        return grouped(found), grouped(without)

    def _uncovered(self, run: DayRun, works: Sequence[Work]) -> Uncovered | None:
        """Make an uncovered run of the stops that no other run does yet; None where nothing is left."""
        rnd = self.rounds[run.round_id]
        gone = {stop_id for round_id, stop_id, _ in self.moved if round_id == run.round_id}
        whole = uncovered_of(run.id, rnd, _learned(run), works)
        left = [i for i, stop in enumerate(rnd.stops) if stop.stop_id not in gone]
        if not left:
            return None
        if len(left) == len(rnd.stops):
            return whole
        place = {old: new for new, old in enumerate(left)}
        kept = tuple(replace(work, stop=place[work.stop]) for work in works if work.stop in place)
        part = replace(rnd, stops=tuple(rnd.stops[i] for i in left))
        legs = np.diff(np.cumsum(whole.leg_s)[left], prepend=0.0)  # past the stops that others do
        return Uncovered(run.id, part, legs, whole.service_s[left], kept)

    def _present(self, run: DayRun, works: Sequence[Work]) -> Present:
        intervals = orjson.loads(run.body).get("now", {}).get("intervals", []) if run.body else []
        is_out = run.state in IN_WORK and bool(intervals)
        began = parse_time(intervals[0][0]) if is_out else self._starts_at(run)
        seen = []
        if is_out and run.through_at is not None and run.distance_along_m is not None:
            seen = [Sighting(run.through_at, run.distance_along_m, run.status or "on_round")]
        made = present_of(
            run.id,
            self.rounds[run.round_id],
            _learned(run),
            day=Day(self.origin, self.now),
            tasks=works,
            today=Today(began, started=is_out, paused=run.state == "paused"),
            seen=seen,
            qualifications=frozenset(run.qualifications),
            knows=frozenset(name for name, carriers in self.known_by.items() if run.carrier in carriers),
        )
        return replace(made, ends_s=made.ends_s + self._taken_s(run))

    def _taken_s(self, run: DayRun) -> float:
        """Add what the run already does for others: their stops and the legs between them."""
        total = 0.0
        for name, rnd in self.rounds.items():
            mine = {
                stop_id for round_id, stop_id, to_round in self.moved if (round_id, to_round) == (name, run.round_id)
            }
            if mine:
                giver = next((each for each in self.runs if each.round_id == name), None)
                usual = uncovered_of("", rnd, _learned(giver) if giver else Learned())
                at = np.array([stop.stop_id in mine for stop in rnd.stops])
                total += float((usual.leg_s + usual.service_s)[at].sum())
        return total

    def _starts_at(self, run: DayRun) -> datetime:
        return datetime.combine(self.day, run.starts_at or self.usual_start, self.zone).astimezone(UTC)

    def _seconds(self, at: datetime) -> float:
        return (at - self.origin).total_seconds()


def _learned(run: DayRun) -> Learned:
    """Read what was learned of a run's round; what another release wrote counts as nothing."""
    try:
        return Learned.from_bytes(run.learned) if run.learned else Learned()
    except BadState:
        return Learned()
