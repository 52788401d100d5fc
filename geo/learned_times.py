"""How long the stops and legs of a round usually take: a small state that each day with good data moves a little.

For each delivery point the service time and the time of the leg that leads to it, each as a decayed mean of days and its
variance around the day's own pace; for the round how much whole days differ, when and how long it rests, and how often
its intervals held. Nothing else: no carrier, no run, no date. What was seen on few days is drawn towards the round's level,
and that towards what the mode usually takes (empirical Bayes: the weight is the ratio of the variances within and between
the stops). Means, and not medians: the time of a whole round is the sum of its parts. One long halt does not move them: what
lies five minutes over everything usual counts as rest.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from math import isfinite, log

import numpy as np

from geo.errors import BadState
from geo.positions import Array
from geo.rounds import Round
from geo.visits import Course, StopVisit

DAYS_KEPT = 30.0
REST_S, UNSEEN_S = 300.0, 310.0
SHARE_SEEN = 0.5
PACE_MPS = {"foot": 1.2, "bike": 3.0, "van": 5.5}
SERVICE_S = {"foot": 12.0, "bike": 14.0, "van": 35.0}
DAY_SD, NEW_SD = 0.12, 0.4
BANDS_S = (1_800.0, 7_200.0)
_SERVICE_CV, _TRAVEL_CV, _FLOOR_S = 0.9, 0.5, 4.0
_STATE_VERSION = 1


@dataclass(frozen=True, slots=True)
class Figure:
    """A mean over days: on how many it rests (decayed), and the variance of a single day."""

    n: float = 0.0
    mean: float = 0.0
    var: float = 0.0

    def moved(self, value: float, residual: float | None = None, *, most: float = DAYS_KEPT) -> "Figure":
        """Take one more day; `residual` is what counts for the variance, the distance from the mean unless told."""
        weight = 1.0 / min(self.n + 1.0, most)
        off = value - self.mean if residual is None else residual
        seen = off * off * self.n / (self.n + 1.0)  # the mean itself is off by its share
        share = 1.0 / min(max(self.n, 1.0), most)
        var = self.var + share * (seen - self.var) if self.n else 0.0
        return Figure(min(self.n + 1.0, most), self.mean + weight * (value - self.mean), var)


NOTHING = Figure()


@dataclass(frozen=True, slots=True)
class Learned:
    """What is known of a round. `travel` maps a delivery point to (the one before it, the time of the leg between)."""

    days: float = 0.0
    service: Mapping[str, Figure] = field(default_factory=dict)
    travel: Mapping[str, tuple[str, Figure]] = field(default_factory=dict)
    day: Figure = NOTHING
    rest: Figure = NOTHING
    rest_after: Figure = NOTHING
    kept: tuple[Figure, ...] = (NOTHING,) * (len(BANDS_S) + 1)

    def to_bytes(self) -> bytes:
        """Write it, with its version."""
        body = {
            "v": _STATE_VERSION,
            "days": self.days,
            "service": {key: _row(each) for key, each in self.service.items()},
            "travel": {key: [before, *_row(each)] for key, (before, each) in self.travel.items()},
            **{name: _row(getattr(self, name)) for name in ("day", "rest", "rest_after")},
            "kept": [_row(each) for each in self.kept],
        }
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    @staticmethod
    def from_bytes(data: bytes) -> "Learned":
        """Read what `to_bytes` wrote; raise BadState."""
        try:
            body = json.loads(data)
            if body["v"] != _STATE_VERSION or len(body["kept"]) != len(BANDS_S) + 1:
                raise BadState
            return Learned(
                float(body["days"]),
                {key: _figure(row) for key, row in body["service"].items()},
                {key: (str(row[0]), _figure(row[1:])) for key, row in body["travel"].items()},
                day=_figure(body["day"]),
                rest=_figure(body["rest"]),
                rest_after=_figure(body["rest_after"]),
                kept=tuple(_figure(row) for row in body["kept"]),
            )
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise BadState from error


@dataclass(frozen=True, slots=True)
class Profile:
    """The usual times of a round, one entry for each stop: means, variances of a day, and variances of the means.

    `travel` is the leg that leads to the stop. `level_var` is how much a whole day differs, as a variance of its logarithm.
    """

    keys: tuple[str, ...]
    travel: Array
    service: Array
    travel_var: Array
    service_var: Array
    travel_error: Array
    service_error: Array
    pace_s_per_m: float
    level_var: float


@dataclass(frozen=True, slots=True)
class Day:
    """What a run took: seconds for each leg and stop (NaN where that was not seen), and its rests as (elapsed, seconds)."""

    travel: Array
    service: Array
    rests: tuple[tuple[float, float], ...]
    share_seen: float


def keys_of(rnd: Round) -> tuple[str, ...]:
    """Name the delivery points of the stops in order; a stop without one goes by its own id."""
    return tuple(stop.delivery_point_id or stop.stop_id for stop in rnd.stops)


def profile_of(rnd: Round, learned: Learned) -> Profile:
    """Tell what the stops and legs of a round usually take, from what was learned and, where that is little, the mode."""
    keys = keys_of(rnd)
    pace, usual = 1.0 / PACE_MPS.get(rnd.mode, PACE_MPS["foot"]), SERVICE_S.get(rnd.mode, SERVICE_S["foot"])
    legs = np.diff(rnd.stop_distances_m, prepend=0.0)
    before = ("", *keys)[: len(keys)]
    known = [learned.travel.get(key, ("", NOTHING)) for key in keys]
    travel = [figure if start == previous else NOTHING for (start, figure), previous in zip(known, before, strict=True)]
    service = [learned.service.get(key, NOTHING) for key in keys]
    t_mean, t_var, t_error, level = _shrunk(travel, legs * pace, _TRAVEL_CV)
    s_mean, s_var, s_error, _ = _shrunk(service, np.full(len(keys), usual), _SERVICE_CV)
    return Profile(keys, t_mean, s_mean, t_var, s_var, t_error, s_error, pace * level, _level_var(learned))


def _level_var(learned: Learned) -> float:
    days = (learned.day.n * learned.day.var + 2.0 * DAY_SD**2) / (learned.day.n + 2.0)
    return days * (1.0 + 1.0 / learned.days) if learned.days else days + NEW_SD**2


def _shrunk(figures: Sequence[Figure], usual: Array, cv: float) -> tuple[Array, Array, Array, float]:
    """Draw means towards the level of the round, as far as the variances say; return means, variances, errors, level."""
    n, mean, var = (np.array([getattr(each, name) for each in figures]) for name in ("n", "mean", "var"))
    seen, several = n > 0, n >= 2
    typical = float(usual.mean()) if len(usual) else 1.0
    known = 5.0 * max(typical, 1.0)
    level = (float(mean[seen].sum()) + known) / (float(usual[seen].sum()) + known)
    level = max(level, 0.05)
    centre = level * usual
    within, weight = cv * cv * (centre**2 + _FLOOR_S**2), 1.0
    if several.sum() >= 10:
        pooled = max(float(var[several].mean()), _FLOOR_S)
        off = (mean - centre)[several]
        between = max(float((off * off).mean() - (var[several] / n[several]).mean()), 0.05 * pooled)
        weight = float(np.clip(pooled / between, 0.2, 10.0))
        within = np.full(len(n), pooled)
    found = np.maximum((n * mean + weight * centre) / (n + weight), 0.0)
    spread = (np.maximum(n - 1.0, 0.0) * var + 4.0 * within) / (np.maximum(n - 1.0, 0.0) + 4.0)
    return found, spread, spread / (n + weight), level


def day_of(course: Course, profile: Profile, pauses: Sequence[tuple[float, float]] = ()) -> Day:
    """Take the times of a run apart: travel and service of each stop in its order, and what lies beyond them as rest.

    `pauses` are (from, until) in seconds after the run was first seen; they belong to no leg, and are rests.
    """
    count = len(course.visits)
    travel, service = np.full(count, np.nan), np.full(count, np.nan)
    rests = [(first, until - first) for first, until in pauses if until > first]
    seen = 0
    for i, visit in enumerate(course.visits):
        times = _times(course, visit)
        if times is None:
            continue
        seen += 1
        service[i], rest = _plain(
            times[1] - times[0] - _overlap(pauses, *times), profile.service[i], profile.service_var[i]
        )
        if rest:
            rests.append((times[0], rest))
        before = _times(course, course.visits[i - 1]) if i else None
        if before is None or times[0] < before[1] - 60.0:
            continue
        spent = times[0] - before[1] - _overlap(pauses, before[1], times[0])
        travel[i], rest = _plain(spent, profile.travel[i], profile.travel_var[i])
        if rest:
            rests.append((before[1], rest))
    return Day(travel, service, tuple(sorted(rests)), seen / count if count else 0.0)


def _times(course: Course, visit: StopVisit) -> tuple[float, float] | None:
    """Return when a stop's service began and ended, in seconds after the run was first seen; None if nobody saw it well."""
    began, ended = visit.arrived_at or visit.passed_at, visit.departed_at or visit.passed_at
    if began is None or ended is None or course.began_at is None or visit.out_of_order:
        return None
    if visit.seen_within_s is None or visit.seen_within_s > UNSEEN_S:
        return None
    return (began - course.began_at).total_seconds(), (ended - course.began_at).total_seconds()


def _plain(seconds: float, usual: float, var: float) -> tuple[float, float]:
    """Part a time into what belongs to the stop or leg, and a rest."""
    most = 2.0 * usual + 4.0 * var**0.5
    return (most, seconds - most) if seconds > most + REST_S else (seconds, 0.0)


def _overlap(pauses: Sequence[tuple[float, float]], first: float, until: float) -> float:
    return sum(max(min(until, end) - max(first, start), 0.0) for start, end in pauses)


def factor_of(day: Day, profile: Profile) -> tuple[float, float, float]:
    """Compare a day, as far as it was seen, with the usual: (ratio, variance of its noise, usual seconds it rests on)."""
    spent, usual, noise = 0.0, 0.0, 0.0
    for took, mean, var, error in (
        (day.travel, profile.travel, profile.travel_var, profile.travel_error),
        (day.service, profile.service, profile.service_var, profile.service_error),
    ):
        seen = np.isfinite(took)
        spent += float(took[seen].sum())
        usual += float(mean[seen].sum())
        noise += float((var + error)[seen].sum())
    if usual <= 0.0 or spent <= 0.0:
        return 1.0, 1.0, 0.0
    return float(np.clip(spent / usual, 0.2, 5.0)), max(noise / usual**2, 1e-4), usual


def with_day(rnd: Round, learned: Learned, day: Day) -> Learned | None:
    """Take a day in; None if too little of it was seen to learn from. Points that left the round are forgotten."""
    profile = profile_of(rnd, learned)
    if not profile.keys or day.share_seen < SHARE_SEEN:
        return None
    ratio, _, usual = factor_of(day, profile)
    if usual <= 0.0:
        return None
    keys, before = profile.keys, ("", *profile.keys[:-1])
    service = {key: learned.service[key] for key in keys if key in learned.service}
    travel = {key: learned.travel[key] for key in keys if key in learned.travel}
    for i, key in enumerate(keys):
        if isfinite(day.service[i]):
            known = service.get(key, NOTHING)
            service[key] = known.moved(float(day.service[i]), float(day.service[i]) - ratio * known.mean)
        if isfinite(day.travel[i]):
            start, known = travel.get(key, (before[i], NOTHING))
            known = known if start == before[i] else NOTHING
            travel[key] = before[i], known.moved(float(day.travel[i]), float(day.travel[i]) - ratio * known.mean)
    whole = log(ratio)
    off = whole / (1.0 + 1.0 / learned.days) ** 0.5 if learned.days else 0.0
    moved_day = Figure(min(learned.day.n + 1, DAYS_KEPT), 0.0, _mean(learned.day.var, off * off, learned.day.n))
    rested = sum(seconds for _, seconds in day.rests)
    return Learned(
        min(learned.days + 1.0, DAYS_KEPT),
        service,
        travel,
        moved_day if learned.days else learned.day,
        learned.rest.moved(float(rested)),
        learned.rest_after.moved(max(day.rests, key=lambda each: each[1])[0]) if day.rests else learned.rest_after,
        learned.kept,
    )


def band_of(horizon_s: float) -> int:
    """Tell which figure of `Learned.kept` is of such a horizon."""
    return sum(horizon_s > each for each in BANDS_S)


def normal_below(z: Array) -> Array:
    """Give the share of a normal distribution below each z, within 1e-7 (Abramowitz and Stegun 1964, 26.2.17)."""
    t = 1.0 / (1.0 + 0.2316419 * np.abs(z))
    tail = t * (0.319381530 + t * (-0.356563782 + t * (1.781477937 + t * (-1.821255978 + t * 1.330274429))))
    tail *= np.exp(-0.5 * z * z) / (2.0 * np.pi) ** 0.5
    return np.asarray(np.where(z > 0.0, 1.0 - tail, tail))


def _mean(known: float, value: float, n: float) -> float:
    return known + (value - known) / min(n + 1.0, DAYS_KEPT)


def _row(figure: Figure) -> list[float]:
    return [round(figure.n, 3), round(figure.mean, 3), round(figure.var, 4)]


def _figure(row: Sequence[float]) -> Figure:
    n, mean, var = (float(value) for value in row)
    if not (isfinite(n) and isfinite(mean) and isfinite(var) and n >= 0.0 and var >= 0.0):
        raise BadState
    return Figure(n, mean, var)
