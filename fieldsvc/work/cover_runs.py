"""From rounds, learned times and tasks to the runs of a cover problem: what stops take, and when present runs are where."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from math import nan

import numpy as np

from fieldsvc.work.cover_model import EXTRA_S, Present, Uncovered, Work
from geo.eta import NOTHING_SPECIAL, Today, forecast
from geo.learned_times import Learned, profile_of
from geo.rounds import Round
from geo.visits import Course, Sighting, course_of


@dataclass(frozen=True, slots=True)
class Day:
    """The origin from which seconds count, and the moment of the question."""

    origin: datetime
    now: datetime

    def seconds(self, at: datetime) -> float:
        """Count seconds from the origin."""
        return (at - self.origin).total_seconds()


def uncovered_of(run_id: str, rnd: Round, learned: Learned, tasks: Sequence[Work] = ()) -> Uncovered:
    """Make an uncovered run: what its legs and stops usually take."""
    usual = profile_of(rnd, learned)
    return Uncovered(run_id, rnd, usual.travel, usual.service, tuple(tasks))


def present_of(  # noqa: PLR0913 - a run has that many parts
    run_id: str,
    rnd: Round,
    learned: Learned,
    *,
    day: Day,
    tasks: Sequence[Work] = (),
    today: Today = NOTHING_SPECIAL,
    seen: Sequence[Sighting] = (),
    qualifications: frozenset[str] = frozenset(),
    knows: frozenset[str] = frozenset(),
) -> Present:
    """Make a present run from the forecast of its rest; visits and pouches take longer than what a stop usually takes.

    A run that has not begun begins at `today.starts_at`, or at the origin.
    """
    course: Course = course_of(rnd, list(seen))
    began = today.starts_at or course.began_at or day.origin
    expected = forecast(rnd, course, learned, now=day.now, today=today)
    known = {stop_id: day.seconds(each.at) for stop_id, each in expected.arrivals}
    at = np.array([known.get(stop.stop_id, nan) for stop in rnd.stops])
    later = np.zeros(len(at))
    for work in tasks:
        if work.service in EXTRA_S and work.stop < len(at) and np.isfinite(at[work.stop]):
            later[at > at[work.stop]] += EXTRA_S[work.service]
    extra = sum(EXTRA_S.get(work.service, 0.0) for work in tasks)
    ends = day.seconds(expected.end.at) + extra if expected.end else day.seconds(max(began, day.now))
    return Present(run_id, rnd, at + later, day.seconds(began), ends, tuple(tasks), qualifications, knows)
