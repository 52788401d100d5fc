"""When the rest of a round will be done: for each remaining stop an expected time and a 10-90 % interval that is meant.

The time to a stop is a sum of what the legs and stops until there usually take (`geo.learned_times`), times the pace of the
day, which is drawn from what was seen so far towards the usual (a conjugate Gaussian on its logarithm), and planned or
learned rests. Its variance adds up what is independent from stop to stop, what is shared by the whole day and therefore grows
with the square, and how long nothing was heard. A lognormal of these moments gives the interval; its width is corrected by
how often earlier days' intervals held, for near and far horizons apart, so it stays honest where the model is wrong.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import exp, log, sqrt
from statistics import NormalDist

import numpy as np

from geo.learned_times import (
    REST_S,
    Day,
    Figure,
    Learned,
    Profile,
    band_of,
    day_of,
    factor_of,
    normal_below,
    profile_of,
)
from geo.positions import Array
from geo.rounds import Round
from geo.visits import AHEAD, LEFT_M, SERVED, Course, StopVisit

Z80 = 1.2815515655446004  # of the 90th percentile of a normal distribution
START_SD_S, POSITION_SD_S = 600.0, 12.0
SILENCE_S, PAUSE_S = 90.0, 600.0
REST_USUAL_S, LONG_ROUND_S = 1_200.0, 14_400.0
DRIFT_SD = 0.06
DUE_S = 20.0
_REST_SD_S = 1_200.0
_WAYS_ROUND = 1.3
_KEPT_PRIOR = 6.0
_NORMAL = NormalDist()


@dataclass(frozen=True, slots=True)
class Break:
    """A planned rest."""

    at: datetime
    duration_s: float


@dataclass(frozen=True, slots=True)
class Today:
    """What the day brings beside what is seen of the run; `pauses` are (from, until), the last one may be going on.

    `starts_at` is when the run began, or is planned to begin where `started` is false. `breaks` are the planned rests;
    without any, what the round's earlier days rested is expected.
    """

    starts_at: datetime | None = None
    started: bool = True
    paused: bool = False
    pauses: tuple[tuple[datetime, datetime], ...] = ()
    breaks: tuple[Break, ...] = ()


NOTHING_SPECIAL = Today()


@dataclass(frozen=True, slots=True)
class Estimate:
    """When the run will be there: the median, and the 10th and 90th percentile."""

    at: datetime
    early_at: datetime
    late_at: datetime


@dataclass(frozen=True, slots=True)
class Forecast:
    """Arrivals at the remaining stops, in the order in which they are expected, and the end of the round."""

    arrivals: tuple[tuple[str, Estimate], ...] = ()
    end: Estimate | None = None


@dataclass(frozen=True, slots=True)
class _Base:
    """From when and where the rest is counted; seconds of uncertainty of it, and how long nothing was heard."""

    at: datetime
    metres: float
    var: float
    silence_s: float
    elapsed_s: float
    rested_s: float


@dataclass(frozen=True, slots=True)
class _Rest:
    """Moments of the time to each remaining stop, and to the end, before the day's pace: one entry each."""

    mean: Array
    noise: Array


@dataclass(frozen=True, slots=True)
class _Halt:
    """What is rested before each stop: planned seconds, and the chance of another so many seconds."""

    surely_s: Array
    chance: Array
    maybe_s: float


def forecast(
    rnd: Round,
    course: Course,
    learned: Learned,
    *,
    now: datetime,
    today: Today = NOTHING_SPECIAL,
    profile: Profile | None = None,
) -> Forecast:
    """Estimate the arrivals at what remains of a round at `now`; nothing where neither a place nor a start is known.

    Never earlier than `now`; the medians and both bounds never decrease along the expected order. Raise EmptyRound.
    """
    profile = profile or profile_of(rnd, learned)
    base = _base(course, now, today)
    if base is None:
        return Forecast()
    day = day_of(course, profile, pauses_of(course, today))
    still_s, var_s = _resting(course, profile, learned)
    rested_s = float("inf") if still_s else sum(seconds for _, seconds in day.rests)
    base = replace(base, rested_s=rested_s, at=base.at + timedelta(seconds=still_s), var=base.var + var_s**2)
    order, sure = _order(rnd, course)
    pace, pace_var = _pace(day, profile)
    rest = _rest(rnd, course, profile, base, order)
    mean, var = rest.mean * pace, rest.noise * pace**2 + (rest.mean * pace) ** 2 * pace_var
    whole_s = float(profile.travel.sum() + profile.service.sum())
    halt = _rests(mean, base, learned, whole_s=whole_s, now=now, today=today)
    mean, var = _with_doubt(mean + halt.surely_s, var, sure, len(rnd.stops))
    var = var + base.var + (0.35 * base.silence_s) ** 2
    found = _estimates((mean, var), halt, base, learned=learned, now=now, sure=sure)
    ids = [rnd.stops[i].stop_id for i in order]
    return Forecast(tuple(zip(ids, found[:-1], strict=True)), found[-1])


def _base(course: Course, now: datetime, today: Today) -> _Base | None:
    starts_at = today.starts_at or course.began_at
    if course.at is None or course.distance_along_m is None:
        if starts_at is None:
            return None
        if not today.started:
            return _Base(max(now, starts_at), 0.0, START_SD_S**2, 0.0, 0.0, 0.0)
        at, metres = starts_at, 0.0
    else:
        at, metres = course.at, course.distance_along_m
    at = min(at, now)
    paused = sum(_shared(each, (at, now)) for each in today.pauses)
    silence = max((now - at).total_seconds() - paused - SILENCE_S, 0.0)
    elapsed = max((at - (starts_at or at)).total_seconds(), 0.0)
    var = POSITION_SD_S**2 + (PAUSE_S**2 if today.paused else 0.0)
    wait = PAUSE_S / 2 if today.paused else 0.0
    return _Base(at + timedelta(seconds=paused + wait), metres, var, silence, elapsed, 0.0)


def _shared(one: tuple[datetime, datetime], other: tuple[datetime, datetime]) -> float:
    return max((min(one[1], other[1]) - max(one[0], other[0])).total_seconds(), 0.0)


def pauses_of(course: Course, today: Today) -> list[tuple[float, float]]:
    """Give the pauses as seconds after the run was first seen."""
    zero = course.began_at or today.starts_at
    if zero is None:
        return []
    return [((first - zero).total_seconds(), (until - zero).total_seconds()) for first, until in today.pauses]


def _resting(course: Course, profile: Profile, learned: Learned) -> tuple[float, float]:
    """Guess how long a halt that goes on, longer than any service, will go on yet; and the uncertainty of that."""
    for i, visit in enumerate(course.visits):
        if visit.departed_at is not None or visit.arrived_at is None or course.at is None:
            continue
        lasted = (course.at - visit.arrived_at).total_seconds()
        if lasted > 2.0 * profile.service[i] + 4.0 * profile.service_var[i] ** 0.5 + REST_S:
            size = _usual_rest(learned, float(profile.travel.sum() + profile.service.sum()))[1]
            left = max(size - lasted, 120.0, 0.2 * lasted)
            return left, 0.5 * left
    return 0.0, 0.0


def _order(rnd: Round, course: Course) -> tuple[list[int], int]:
    """List the remaining stops in the order in which they are expected, and how many of them surely come.

    Ahead first, then what lies behind and was never begun (the run started in the middle of its round), last what was jumped
    over: it may be skipped for good. A run that goes backwards has what is behind it ahead.
    """
    here = course.distance_along_m if course.distance_along_m is not None else 0.0
    left = [i for i, visit in enumerate(course.visits) if visit.state == AHEAD]
    metres = rnd.stop_distances_m
    if course.reversed:
        behind = [i for i in reversed(left) if metres[i] <= here + LEFT_M]
        return behind + [i for i in left if metres[i] > here + LEFT_M], len(left)
    ahead = [i for i in left if metres[i] >= here - LEFT_M and not _is_jumped(course.visits[i])]
    rest = [i for i in left if metres[i] < here - LEFT_M and not _is_jumped(course.visits[i])]
    jumped = [i for i in left if _is_jumped(course.visits[i])]
    return ahead + rest + jumped, len(ahead) + len(rest)


def _is_jumped(visit: StopVisit) -> bool:
    return visit.state == AHEAD and visit.skipped_candidate


def _pace(day: Day, profile: Profile) -> tuple[float, float]:
    """Estimate by how much slower than usual the rest of the day goes, and its variance as a share."""
    ratio, noise, usual = factor_of(day, profile)
    if usual <= 0.0:
        return 1.0, profile.level_var
    seen = 1.0 / (noise / ratio**2 + DRIFT_SD**2)
    var = 1.0 / (1.0 / profile.level_var + seen)
    return exp(var * seen * log(ratio)), var + DRIFT_SD**2


def _rest(rnd: Round, course: Course, profile: Profile, base: _Base, order: Sequence[int]) -> _Rest:
    """Add up legs and services along the expected order; the last entry is the end of the line."""
    metres, pace = rnd.stop_distances_m, profile.pace_s_per_m
    legs, legs_var = np.cumsum(profile.travel), np.cumsum(profile.travel_var + profile.travel_error)
    service_var = profile.service_var + profile.service_error
    here = [i for i, visit in enumerate(course.visits) if visit.state == SERVED and visit.departed_at is None]
    total = float(profile.service[here].sum()) if here else 0.0
    noise = float(service_var[here].sum()) if here else 0.0
    means, noises = [], []
    for n, i in enumerate(order):
        leg, var = _leg(rnd, order[n - 1], i, legs=(legs, legs_var), pace=pace) if n else _first(rnd, profile, base, i)
        total, noise = total + leg, noise + var
        means.append(total)
        noises.append(noise)
        total, noise = total + float(profile.service[i]), noise + float(service_var[i])
    last = float(metres[order[-1]]) if order else base.metres
    goes_to_the_end = not order or (not course.reversed and order[-1] == max(order))
    tail = max(rnd.length_m - last, 0.0) * pace if goes_to_the_end else 0.0
    return _Rest(np.array([*means, total + tail]), np.array([*noises, noise + 0.1 * tail**2]))


def _first(rnd: Round, profile: Profile, base: _Base, i: int) -> tuple[float, float]:
    """Give the way from the last known place to the first remaining stop."""
    metres = float(rnd.stop_distances_m[i])
    start = float(rnd.stop_distances_m[i - 1]) if i else 0.0
    if base.metres >= start and metres > start:
        part = min(max((metres - base.metres) / (metres - start), 0.0), 1.0)
        return part * float(profile.travel[i]), part * float(profile.travel_var[i] + profile.travel_error[i])
    way = abs(metres - base.metres)
    if metres < base.metres:
        way = min(way, _WAYS_ROUND * _apart(rnd, rnd.point_at(base.metres), rnd.point_at(metres)))
    return way * profile.pace_s_per_m, (0.5 * way * profile.pace_s_per_m) ** 2


def _leg(rnd: Round, before: int, i: int, *, legs: tuple[Array, Array], pace: float) -> tuple[float, float]:
    """Give the way from one remaining stop to the next: the legs between, or straight back where that is shorter."""
    low, high = sorted((before, i))
    mean, var = (float(each[high] - each[low]) for each in legs)
    if abs(i - before) == 1:
        return mean, var
    stops = rnd.stops
    straight = _WAYS_ROUND * pace * _apart(rnd, (stops[before].lat, stops[before].lon), (stops[i].lat, stops[i].lon))
    return (mean, var) if mean <= straight or i > before else (straight, (0.5 * straight) ** 2)


def _apart(rnd: Round, one: tuple[float, float], other: tuple[float, float]) -> float:
    (ax, ay), (bx, by) = rnd.plane.xy(*one), rnd.plane.xy(*other)
    return sqrt((ax - bx) ** 2 + (ay - by) ** 2)


def _rests(mean: Array, base: _Base, learned: Learned, *, whole_s: float, now: datetime, today: Today) -> _Halt:
    """Give the rests that are still to come before each stop: those planned, else what earlier days rested."""
    surely, none = np.zeros(len(mean)), np.zeros(len(mean))
    if today.breaks:
        for each in sorted(today.breaks, key=lambda each: each.at):
            ends_at = each.at + timedelta(seconds=each.duration_s)
            if ends_at <= now or base.rested_s >= 0.5 * each.duration_s:
                continue
            left = (ends_at - max(now, each.at)).total_seconds()
            surely += left * (mean + surely > (each.at - base.at).total_seconds())
        return _Halt(surely, none, 0.0)
    share, size, usual_s, sd = _usual_rest(learned, whole_s)
    if base.rested_s >= 0.3 * size:
        return _Halt(surely, none, 0.0)
    until = normal_below((base.elapsed_s + mean - usual_s) / sd)
    gone = float(normal_below(np.array([(base.elapsed_s - usual_s) / sd]))[0])
    chance = np.clip(share * (until - gone) / (1.0 - share * gone), 0.0, 1.0)
    return _Halt(surely, np.maximum.accumulate(chance), size)


def _usual_rest(learned: Learned, whole_s: float) -> tuple[float, float, float, float]:
    """Tell how likely a rest is on this round, how long, and when after the start, with the spread of that.

    Where little is known: in the middle of one round in two of four hours or more, of shorter ones in fewer.
    """
    days, rested = learned.rest.n, learned.rest_after.n
    prior = min(whole_s / LONG_ROUND_S, 1.0)
    share = min((rested + prior) / (days + 2.0), 0.95)
    size = (learned.rest.mean * days + REST_USUAL_S * prior) / max(rested + prior, 1e-6)
    at = (learned.rest_after.mean * rested + 0.5 * whole_s) / (rested + 1.0)
    return share, size, at, max(sqrt(learned.rest_after.var), (_REST_SD_S if rested else 0.2 * whole_s), 60.0)


def _with_doubt(mean: Array, var: Array, sure: int, stops: int) -> tuple[Array, Array]:
    """Let the end doubt whether what was jumped over will be done: the smaller it is, the less likely."""
    jumped = len(mean) - 1 - sure
    if jumped <= 0:
        return mean, var
    chance = min(0.3 + 3.0 * jumped / stops, 0.95)
    without = mean[sure - 1] if sure else 0.0
    more = mean[-1] - without
    mean, var = mean.copy(), var.copy()
    mean[-1] = without + chance * more
    var[-1] += chance * (1.0 - chance) * more**2
    return mean, var


def _estimates(
    moments: tuple[Array, Array], halt: _Halt, base: _Base, *, learned: Learned, now: datetime, sure: int
) -> list[Estimate]:
    """Make the quantiles, none before now, none before that of the stop ahead of it."""
    mean, var = moments
    correction = np.array([_correction(learned.kept, seconds) for seconds in mean.tolist()])
    ahead = (now - base.at).total_seconds()
    columns = []
    silence = base.silence_s
    for share, more, least in ((0.5, 0.0, 0.1 * silence), (0.1, 0.0, 0.0), (0.9, 0.5 * silence, 0.5 * silence + DUE_S)):
        each = _quantile(share, moments=(mean, var), halt=halt, correction=correction) + more
        each[-1] = np.max(each[[*range(sure), -1]])
        each[:-1] = np.maximum.accumulate(each[:-1])
        columns.append(np.maximum(each, ahead + least).tolist())
    rows = zip(*columns, strict=True)
    return [Estimate(*(max(base.at + timedelta(seconds=round(each, 1)), now) for each in row)) for row in rows]


def _quantile(share: float, *, moments: tuple[Array, Array], halt: _Halt, correction: Array) -> Array:
    """Find a quantile of a lognormal with these moments, or of two where there may be another rest: by bisection."""
    mean, var = moments
    z = {0.1: -Z80, 0.5: 0.0, 0.9: Z80}[share]
    plain, spread = _lognormal(mean, var, correction)
    low = plain * np.exp(z * spread)
    if not halt.maybe_s:
        return low
    rested, spread_rested = _lognormal(mean + halt.maybe_s, var + (0.3 * halt.maybe_s) ** 2, correction)
    high = np.maximum(rested * np.exp(z * spread_rested), low)
    for _ in range(24):
        middle = (low + high) / 2
        at = np.log(np.maximum(middle, 1e-3))
        below = (1.0 - halt.chance) * normal_below((at - np.log(plain)) / spread)
        below += halt.chance * normal_below((at - np.log(rested)) / spread_rested)
        low, high = np.where(below < share, middle, low), np.where(below < share, high, middle)
    return np.asarray((low + high) / 2)


def _lognormal(mean: Array, var: Array, correction: Array) -> tuple[Array, Array]:
    """Give the median and the standard deviation of the logarithm, the latter corrected."""
    safe = np.maximum(mean, 1.0)
    spread = np.sqrt(np.log1p(np.minimum(var / safe**2, 4.0)))
    return safe * np.exp(-0.5 * spread**2), np.maximum(spread * correction, 1e-4)


def _correction(kept: Sequence[Figure], horizon_s: float) -> float:
    """Give by how much the interval was too narrow or too wide on earlier days at such a horizon, from how often it held."""
    known = kept[band_of(horizon_s)]
    share = (known.n * known.mean + 0.8 * _KEPT_PRIOR) / (known.n + _KEPT_PRIOR)
    return Z80 / _NORMAL.inv_cdf(0.5 + min(max(share, 0.3), 0.97) / 2)
