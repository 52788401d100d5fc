"""`bench eta`: how far off expected arrivals are, and how often the 10-90 % interval holds, beside the mean speed so far.

Shifts are simulated (`shifts.py`): stops with times of their own, days and carriers that differ, rests on some days. A round
is learned from its first days and then judged on the same other days after 0, 1, 5 and 20 of them, at five moments of each,
for the stop that is reached 15 minutes, an hour or three hours later. With FIELDSVC_TEST_DATA one more shape has the stays of
real delivery agents on foot (`traces_agents`): their median, and their spread as that of chance.
"""

import os
import random
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from math import log
from pathlib import Path
from typing import Any

from fieldsvc.bench.lines import Show, rounded
from fieldsvc.bench.shifts import Beat, Habits, Shift
from fieldsvc.bench.tracks import movements
from geo.eta import Z80, Today, forecast
from geo.learned_times import Learned
from geo.learning import learn
from geo.visits import Course, course_of

DAYS, HORIZONS_S = (0, 1, 5, 20), (900.0, 3_600.0, 10_800.0)
BEATS, JUDGED_DAYS = 3, 4
MOMENTS = (0.1, 0.25, 0.4, 0.6, 0.8)
FIRST_SEED, LATER = 9_000, 60
STOPS = {"foot": 300, "bike": 280, "van": 140}
SLOWEST_MPS, UNKNOWN_MPS = 0.05, 0.5


@dataclass
class Score:
    """Errors of forecasts and of the mean speed, in seconds, and how many truths were in the interval."""

    errors: list[float] = field(default_factory=list)
    naive: list[float] = field(default_factory=list)
    held: int = 0

    def add(self, error: float, naive: float, *, held: bool) -> None:
        """Take one forecast."""
        self.errors.append(abs(error))
        self.naive.append(abs(naive))
        self.held += held


Scores = dict[tuple[int, float], Score]


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Judge each shape on `cycles` rounds (three times as many when `full`); show a line for each of days and horizon."""
    for shape, (mode, habits) in _shapes().items():
        scores: Scores = defaultdict(Score)
        beats = cycles * (BEATS if full else 1)
        for n in range(beats):
            judge(Beat(random.Random(FIRST_SEED + n), mode, STOPS[mode], habits), scores)  # noqa: S311 - a simulation
        for (days, horizon), score in sorted(scores.items()):
            show(_line(shape, score, days=days, horizon_s=horizon, rounds=beats, stops=STOPS[mode]))


def judge(beat: Beat, scores: Scores) -> None:
    """Learn a round for as many days as are asked for, and judge what was known after each of them on the same days."""
    learned, known = Learned(), {}
    for day in range(max(DAYS) + 1):
        if day in DAYS:
            known[day] = learned
        if day < max(DAYS):
            shift = beat.day(day)
            course = course_of(beat.round, shift.seen, ended=True)
            learned = learn(beat.round, learned, course, Today(shift.seen[0].at)) or learned
    for n in range(JUDGED_DAYS):
        for days, horizon, score in judged(beat, beat.day(LATER + n), known):
            scores[days, horizon].add(*score[:2], held=score[2])


def judged(
    beat: Beat, shift: Shift, known: Mapping[int, Learned]
) -> Iterator[tuple[int, float, tuple[float, float, bool]]]:
    """Yield (days, horizon, (error, error of the mean speed, whether it held)) at the moments of one day."""
    began = shift.seen[0].at
    for part in MOMENTS:
        now = began + part * (shift.ended_at - began)
        course = course_of(beat.round, [each for each in shift.seen if each.at <= now])
        told = {
            days: dict(forecast(beat.round, course, learned, now=now, today=Today(began)).arrivals)
            for days, learned in known.items()
        }
        for horizon in HORIZONS_S:
            i = _stop_at(shift, (now - shift.arrivals[0]).total_seconds() + horizon, within_s=0.2 * horizon)
            if i is None:
                continue
            truth = shift.arrivals[i]
            naive = (
                _by_mean_speed(course, beat.metres[i], (now - began).total_seconds()) - (truth - now)
            ).total_seconds()
            for days, arrivals in told.items():
                found = arrivals.get(beat.round.stops[i].stop_id)
                if found is not None:
                    error = (found.at - truth).total_seconds()
                    yield days, horizon, (error, naive, found.early_at <= truth <= found.late_at)


def _stop_at(shift: Shift, after_s: float, *, within_s: float) -> int | None:
    """Find the stop that is reached nearest to a moment, in seconds after the first; None if none is near."""
    off = [abs((each - shift.arrivals[0]).total_seconds() - after_s) for each in shift.arrivals]
    nearest = min(off)
    return off.index(nearest) if nearest <= within_s else None


def _by_mean_speed(course: Course, metres: float, elapsed_s: float) -> timedelta:
    """Estimate as most tools do: the metres that remain over the mean speed until now."""
    here = course.distance_along_m or 0.0
    speed = max(here / elapsed_s, SLOWEST_MPS) if elapsed_s and here else UNKNOWN_MPS
    return timedelta(seconds=max(metres - here, 0.0) / speed)


def _shapes() -> dict[str, tuple[str, Habits]]:
    found = {
        "foot": ("foot", Habits()),
        "bike": ("bike", Habits()),
        "van": ("van", Habits(service_s=40.0)),
        "no rests": ("foot", Habits(rests=0.0)),
        "much alike": ("foot", Habits(rests=0.0, day_sd=0.03, carrier_sd=0.05, chance=0.4)),
    }
    folder = os.environ.get("FIELDSVC_TEST_DATA")
    pieces = Path(folder) / "traces_agents" / "trajectories.zip" if folder else None
    if pieces is not None and pieces.is_file():
        for label, moves in movements(pieces).items():
            if label == "OnFoot":
                spread = log(moves.stay_p90_s / moves.stay_p50_s) / Z80
                found["real stays"] = (
                    "foot",
                    Habits(service_s=moves.stay_p50_s, chance=0.7 * spread, stops_differ=0.7 * spread),
                )
    return found


def _line(shape: str, score: Score, *, days: int, horizon_s: float, rounds: int, stops: int) -> dict[str, Any]:
    count = len(score.errors)
    error, naive = sum(score.errors) / count, sum(score.naive) / count
    return {
        "bench": "eta",
        "metric": "mean_error_s",
        "shape": f"{shape}, {days} days learned, {horizon_s / 60:.0f} min ahead",
        "value": rounded(error),
        "ratio_to": "mean_speed",
        "ratio": rounded(error / naive) if naive else None,
        "conditions": {
            "mean_speed": rounded(naive),
            "in_10_90_percent": rounded(100 * score.held / count),
            "forecasts": count,
            "rounds": rounds,
            "stops": stops,
            "days_judged": JUDGED_DAYS,
            "simulated": True,
        },
    }
