"""Simulated shifts of one round, for what times are made of: the same stops every day, and days that differ.

A stop has a usual service time of its own, a leg a usual pace; a day multiplies both by an effect of its own and one of whoever
carries it, which wanders during the day, and every stop by chance. Some stops have nothing to deliver, some days rest. What
is seen of it are places along the line with noise that is correlated from fix to fix, as a matcher leaves it.
"""

import random
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from math import exp

from geo.learned_times import PACE_MPS
from geo.rounds import Round, Stop
from geo.visits import Sighting

EIGHT = datetime(2026, 3, 2, 8, tzinfo=UTC)
LAT, LON = 48.9, 2.16
_METRE_LON = 1 / 73_170.0


@dataclass(frozen=True, slots=True)
class Habits:
    """How shifts of a round differ; standard deviations are of logarithms."""

    service_s: float = 14.0
    stops_differ: float = 0.8
    chance: float = 0.6
    nothing: float = 0.15
    legs_differ: float = 0.25
    pace_chance: float = 0.15
    day_sd: float = 0.08
    carrier_sd: float = 0.12
    wander_sd: float = 0.05
    rests: float = 0.7
    rest_s: float = 1_200.0
    every_s: float = 30.0
    noise_m: float = 8.0


@dataclass(frozen=True, slots=True)
class Shift:
    """One day: when the run was at each stop and left it, when it ended, and what was seen."""

    arrivals: tuple[datetime, ...]
    departures: tuple[datetime, ...]
    ended_at: datetime
    seen: tuple[Sighting, ...]


@dataclass
class Beat:
    """A round with its usual times, and the carriers who take turns on it; `day` makes shifts."""

    rng: random.Random
    mode: str = "foot"
    stops: int = 300
    habits: Habits = field(default_factory=Habits)

    def __post_init__(self) -> None:
        gaps = [self._gap() for _ in range(self.stops)]
        metres = [sum(gaps[: i + 1]) for i in range(self.stops)]
        length = metres[-1] + 60.0
        self.metres, self.length_m = metres, length
        places = [Stop(f"s{i}", LAT, LON + m * _METRE_LON, delivery_point_id=f"p{i}") for i, m in enumerate(metres)]
        self.round = Round("T01", ((LON, LAT), (LON + length * _METRE_LON, LAT)), tuple(places), mode=self.mode)
        habits, rng = self.habits, self.rng
        pace = rng.gauss(1.0, 0.15) / PACE_MPS[self.mode]
        level = habits.service_s * exp(rng.gauss(0.0, 0.3))
        self.service = [level * exp(rng.gauss(0.0, habits.stops_differ)) for _ in metres]
        self.pace = [max(pace, 0.3 / PACE_MPS[self.mode]) * exp(rng.gauss(0.0, habits.legs_differ)) for _ in metres]
        self.carriers = [exp(rng.gauss(0.0, habits.carrier_sd)) for _ in range(4)]
        self.rest_after_s = rng.uniform(4_000.0, 9_000.0)

    def _gap(self) -> float:
        usual = {"foot": 18.0, "bike": 40.0, "van": 160.0}[self.mode]
        return usual * exp(self.rng.gauss(0.0, 0.5)) * (12.0 if self.rng.random() < 0.02 else 1.0)

    def day(self, n: int) -> Shift:
        """Walk the round once more, `n` days after the first."""
        habits, rng, began = self.habits, self.rng, EIGHT + timedelta(days=n, minutes=self.rng.uniform(-10, 10))
        effect = exp(rng.gauss(0.0, habits.day_sd)) * rng.choice(self.carriers)
        rests = rng.random() < habits.rests
        now, wander, track, times = 0.0, 0.0, [(0.0, 0.0)], []
        for i, metres in enumerate(self.metres):
            wander = 0.98 * wander + rng.gauss(0.0, 0.2 * habits.wander_sd)
            factor = effect * exp(wander)
            before = self.metres[i - 1] if i else 0.0
            now += (metres - before) * self.pace[i] * factor * exp(rng.gauss(0.0, habits.pace_chance))
            track.append((now, metres))
            arrived = now
            if rng.random() >= habits.nothing:
                now += self.service[i] * factor * exp(rng.gauss(-0.5 * habits.chance**2, habits.chance))
            times.append((arrived, now))
            if rests and now > self.rest_after_s + rng.gauss(0.0, 300.0):
                rests, now = False, now + habits.rest_s * exp(rng.gauss(0.0, 0.2))
            track.append((now, metres))
        track.append((now + (self.length_m - self.metres[-1]) * self.pace[-1] * effect, self.length_m))
        return Shift(
            tuple(began + timedelta(seconds=a) for a, _ in times),
            tuple(began + timedelta(seconds=d) for _, d in times),
            began + timedelta(seconds=track[-1][0]),
            tuple(self._seen(began, track)),
        )

    def _seen(self, began: datetime, track: Sequence[tuple[float, float]]) -> list[Sighting]:
        found, error, at = [], 0.0, 0.0
        moments = [each[0] for each in track]
        while at <= track[-1][0]:
            k = min(max(bisect_right(moments, at), 1), len(track) - 1)
            (t0, m0), (t1, m1) = track[k - 1], track[k]
            true = m0 + (m1 - m0) * (min((at - t0) / (t1 - t0), 1.0) if t1 > t0 else 1.0)
            error = 0.7 * error + self.rng.gauss(0.0, 0.714 * self.habits.noise_m)
            found.append(Sighting(began + timedelta(seconds=at), true + error, sigma_m=self.habits.noise_m))
            at += self.habits.every_s * self.rng.uniform(0.9, 1.1)
        return found
