"""When a run was at each stop of its round, from places along the line alone: arrivals that nobody tapped.

A pure fold over everything known by now, in any order: a late row changes the answer for the better, and nothing else. The
places are cut into **stretches** at every step against the plan: more than 150 m farther back or ahead than the carrier can
have walked. A stretch counts once three places, or an event, confirm it; until then it may be noise. Inside a stretch a
**stay** begins at the first of two places within the noise of each other that are 15 s longer apart than the walk between
them; one place outside does not end it, two in a row do, and coming back within three minutes continues it. So noise makes
no second arrival. Two places far apart in time with one stop between them and time to spare are a stay at that stop.

A stop that was walked past without a stay and without an event was `passed`; it is a **candidate** for a skipped stop only
where the walk left less than 5 s for it, and a candidate is not a fact. What was jumped over is still ahead, and a candidate.
"""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import isfinite

import numpy as np

from geo.matching import AT_STOP, ON_ROUND, SPEED_MPS, Match
from geo.positions import Array
from geo.rounds import Round
from geo.stays import DWELL_M, DWELL_S, JUMP_M, Row, Stay, Stretch, cut_at_jumps, stays_in

SERVED, PASSED, AHEAD, NOT_REACHED = "served", "passed", "ahead", "not_reached"
NEAR_STOP_M, LEFT_M, RANGE_M = 15.0, 15.0, 25.0
RETURN_S = 180.0
SIGMA_M = 10.0
_SURE = 0.5
_SAME_MOMENT_S = 90.0
_TWICE_S = 120.0
_HURRY_S = DWELL_S / 3


@dataclass(frozen=True, slots=True)
class Sighting:
    """A place of a run: metres along, None where nobody knows. `stop_id` = an event happened at that stop."""

    at: datetime
    distance_along_m: float | None
    status: str = ON_ROUND
    confidence: float = 1.0
    sigma_m: float = SIGMA_M
    stop_id: str | None = None

    @classmethod
    def of(cls, match: Match, sigma_m: float = SIGMA_M) -> "Sighting":
        """Take a match; `sigma_m` is the noise of its fix per axis."""
        return cls(match.fixed_at, match.distance_along_m, match.status, match.confidence, sigma_m)


@dataclass(frozen=True, slots=True)
class StopVisit:
    """What is known of one stop.

    `served` = there was a stay (`arrived_at`, and `departed_at` once it ended) or an event (`by_event`); `passed` = walked
    past at `passed_at`; `ahead` = still to come; `not_reached` = the run ended before. `seen_within_s` is how long the carrier
    was out of sight around that moment. `stop_range` names the first and the last stop that the stay may belong to.
    """

    stop_id: str
    state: str
    arrived_at: datetime | None = None
    departed_at: datetime | None = None
    passed_at: datetime | None = None
    by_event: bool = False
    out_of_order: bool = False
    skipped_candidate: bool = False
    stop_range: tuple[str, str] | None = None
    seen_within_s: float | None = None


@dataclass(frozen=True, slots=True)
class Course:
    """A run as far as it is known: one visit for each stop in planned order, and the last confirmed place."""

    visits: tuple[StopVisit, ...]
    began_at: datetime | None = None
    at: datetime | None = None
    distance_along_m: float | None = None
    reversed: bool = False


@dataclass(frozen=True, slots=True)
class _Seen:
    """A stop in one stretch; `order` is the number of the stretch."""

    order: int
    since: float
    until: float
    stays: bool
    by_event: bool = False
    open_end: bool = False
    hurried: bool = False
    within: float = 0.0
    among: tuple[int, int] | None = None


def course_of(rnd: Round, sightings: Iterable[Sighting], *, ended: bool = False) -> Course:
    """Fold everything seen of a run into a visit for each stop; the order of `sightings` does not matter.

    What is off the round, unknown, under 0.5 confidence or not a number says nothing. Raise EmptyRound.
    """
    rows, zero = _usable(rnd, sightings)
    planned = rnd.stop_distances_m
    if not rows or zero is None:
        state = NOT_REACHED if ended else AHEAD
        return Course(tuple(StopVisit(stop.stop_id, state) for stop in rnd.stops))
    speed = SPEED_MPS.get(rnd.mode, SPEED_MPS["foot"])
    stretches = cut_at_jumps(rows, speed)
    seen = _seen(planned, stretches, speed, ended=ended)
    visits = [_visit(rnd, zero, i, seen.get(i), ended=ended) for i in range(len(planned))]
    visits = _marked(visits, planned, seen, stretches)
    last = stretches[-1]
    return Course(
        tuple(visits), _moment(zero, stretches[0].t[0]), _moment(zero, last.t[-1]), float(last.s[-1]), last.backward
    )


def _usable(rnd: Round, sightings: Iterable[Sighting]) -> tuple[list[Row], datetime | None]:
    """Return (seconds, metres, noise, stop of an event or -1) in the order of time, one a moment; and the zero of time."""
    length, index = rnd.length_m, {stop.stop_id: i for i, stop in enumerate(rnd.stops)}
    found: dict[datetime, tuple[float, float, int]] = {}
    for each in sightings:
        event = index.get(each.stop_id, -1) if each.stop_id is not None else -1
        metres = float(rnd.stop_distances_m[event]) if event >= 0 else each.distance_along_m
        sure = each.status in (ON_ROUND, AT_STOP) and each.confidence >= _SURE
        if metres is None or not isfinite(metres) or (event < 0 and not sure):
            continue
        row = min(max(metres, 0.0), length), max(each.sigma_m, 1.0), event
        if each.at not in found or _outranks(row, found[each.at]):
            found[each.at] = row
    moments = sorted(found)
    return [((at - moments[0]).total_seconds(), *found[at]) for at in moments], moments[0] if moments else None


def _outranks(row: tuple[float, float, int], known: tuple[float, float, int]) -> bool:
    """Choose between two places of one moment, whichever came first: an event, then the surer, then the farther."""
    return (row[2] >= 0, -row[1], row[0], row[2]) > (known[2] >= 0, -known[1], known[0], known[2])


def _seen(planned: Array, stretches: Sequence[Stretch], speed: float, *, ended: bool) -> dict[int, _Seen]:
    """Find what each stretch says of each stop, and keep the best: an event, then a stay, then the first passing."""
    found: dict[int, list[_Seen]] = defaultdict(list)
    for order, stretch in enumerate(stretches):
        is_last = order == len(stretches) - 1 and not ended
        stays, pace = stays_in(stretch, planned, speed)
        if is_last:
            stays = [replace(stay, open_end=stay.until >= stretch.t[-1]) for stay in stays]
        for i, seen in _assigned(planned, stays, order):
            found[i].append(seen)
        for i, seen in _passings(planned, stretch, stays, order, pace=pace, is_last=is_last):
            found[i].append(seen)
    return {i: _best(each) for i, each in found.items()}


def _best(found: Sequence[_Seen]) -> _Seen:
    stays = sorted((each for each in found if each.stays), key=lambda each: (not each.by_event, each.since))
    if not stays:
        return min(found, key=lambda each: each.since)
    best = stays[0]
    for each in sorted(stays[1:], key=lambda each: each.since):
        if best.since <= each.since <= best.until + RETURN_S and each.order == best.order:
            best = replace(best, until=max(best.until, each.until), open_end=each.open_end or best.open_end)
    return best


def _assigned(planned: Array, stays: Sequence[Stay], order: int) -> list[tuple[int, _Seen]]:
    """Give each stay to the stops of its events, else to the nearest stop along the line."""
    found: list[tuple[int, _Seen]] = []
    for stay in stays:
        whole = _Seen(order, stay.since, stay.until, True, open_end=stay.open_end, within=stay.gap)
        if stay.events:
            since = stay.since
            for n, (at, stop) in enumerate(stay.events):
                is_last = n == len(stay.events) - 1
                until = max(stay.until, at) if is_last else at
                found.append(
                    (
                        stop,
                        replace(
                            whole, since=min(since, at), until=until, by_event=True, open_end=is_last and stay.open_end
                        ),
                    )
                )
                since = at
            continue
        off = np.abs(planned - stay.along)
        if len(off) and off.min() <= max(NEAR_STOP_M, stay.sigma):
            near = int(np.argmin(off))
            among = np.flatnonzero(np.abs(planned - planned[near]) <= max(RANGE_M, 2.5 * stay.sigma))
            low, high = max(near - 1, int(among[0])), min(near + 1, int(among[-1]))
            found.append((near, replace(whole, among=(low, high) if high > low else None)))
    return found


def _passings(
    planned: Array, stretch: Stretch, stays: Sequence[Stay], order: int, *, pace: float, is_last: bool
) -> list[tuple[int, _Seen]]:
    """Find when each stop was walked past: half way between the first and the last time that the stop was crossed."""
    mirror = -1.0 if stretch.backward else 1.0
    s, at = stretch.s * mirror, planned * mirror
    front, back = np.maximum.accumulate(s), np.minimum.accumulate(s[::-1])[::-1]
    low, high = float(s.min()) - DWELL_M, float(front[-1]) + DWELL_M
    if is_last:
        high = float(front[-1]) - LEFT_M
    inside = np.flatnonzero((at >= low) & (at <= high))

    def crossed(metres: Array) -> Array:
        first, last = _crossing(stretch.t, front, metres, "left"), _crossing(stretch.t, back, metres, "right")
        return np.where(last - first < _TWICE_S, (first + last) / 2, first)

    moment = crossed(at[inside])
    sigma = float(np.median(stretch.sigma))
    width = _widths(planned, sigma)[inside]
    spare = crossed(at[inside] + width) - crossed(at[inside] - width) - 2 * width / pace
    around = _bracket(stretch.t, (front, back), at[inside], width=width, pace=pace)
    k = np.clip(np.searchsorted(stretch.t, moment), 1, max(len(stretch.t) - 1, 1))
    gap = stretch.t[np.minimum(k, len(stretch.t) - 1)] - stretch.t[k - 1]
    spare = np.where(gap > DWELL_S, around, spare)
    stayed = np.array([stay.along * mirror for stay in stays])
    hurry = _HURRY_S - 0.5 * sigma / pace
    found = []
    for i, when, left, within, wide in zip(
        *(each.tolist() for each in (inside, moment, spare, gap, width)), strict=True
    ):
        beside = bool(len(stayed)) and bool(np.abs(stayed - at[i]).min() <= wide)
        found.append((i, _Seen(order, when, when, False, hurried=left < hurry and not beside, within=within)))
    return found


def _widths(planned: Array, sigma: float) -> Array:
    """Give each stop the metres to either side that are its own: half way to its neighbours, but never under the noise."""
    gaps = np.diff(planned, prepend=planned[:1] - 2 * NEAR_STOP_M, append=planned[-1:] + 2 * NEAR_STOP_M)
    return np.clip(np.minimum(gaps[:-1], gaps[1:]) / 2, max(sigma, DWELL_M / 2), NEAR_STOP_M + sigma)


def _bracket(t: Array, paths: tuple[Array, Array], at: Array, *, width: Array, pace: float) -> Array:
    """Count the seconds to spare between the last place before a stop and the first behind it: all that sparse places tell."""
    front, back = paths
    before = np.clip(np.searchsorted(front, at - width, side="right") - 1, 0, len(t) - 1)
    after = np.clip(np.searchsorted(back, at + width, side="left"), 0, len(t) - 1)
    return np.asarray(t[after] - t[before] - (back[after] - front[before]) / pace)


def _crossing(t: Array, path: Array, metres: Array, side: str) -> Array:
    """Interpolate when a path that never goes back reaches these metres: the first time (left), or the last (right)."""
    if len(t) == 1:
        return np.full(len(metres), t[0])
    k = np.searchsorted(path, metres, side="left" if side == "left" else "right")
    k = np.clip(k, 1, len(path) - 1)
    step = path[k] - path[k - 1]
    part = np.clip((metres - path[k - 1]) / np.where(step > 0, step, 1.0), 0.0, 1.0)
    return np.asarray(t[k - 1] + part * (t[k] - t[k - 1]))


def _visit(rnd: Round, zero: datetime, i: int, seen: _Seen | None, *, ended: bool) -> StopVisit:
    stop_id = rnd.stops[i].stop_id
    if seen is None:
        return StopVisit(stop_id, NOT_REACHED if ended else AHEAD)
    if not seen.stays:
        passed_at = _moment(zero, seen.since)
        return StopVisit(
            stop_id, PASSED, passed_at=passed_at, skipped_candidate=seen.hurried, seen_within_s=round(seen.within, 1)
        )
    among = (rnd.stops[seen.among[0]].stop_id, rnd.stops[seen.among[1]].stop_id) if seen.among else None
    return StopVisit(
        stop_id,
        SERVED,
        arrived_at=_moment(zero, seen.since),
        departed_at=None if seen.open_end else _moment(zero, seen.until),
        by_event=seen.by_event,
        stop_range=among,
        seen_within_s=round(seen.within, 1),
    )


def _marked(
    visits: Sequence[StopVisit], planned: Array, seen: dict[int, _Seen], stretches: Sequence[Stretch]
) -> list[StopVisit]:
    """Mark what was visited against the plan, and what was jumped over."""
    wrong = _out_of_order(planned, seen)
    front, start = max(float(each.s.max()) for each in stretches), float(stretches[0].s.min())
    jumped = {i for i in range(len(visits)) if i not in seen and start <= planned[i] < front - JUMP_M}
    return [
        replace(visit, out_of_order=i in wrong, skipped_candidate=visit.skipped_candidate or i in jumped)
        for i, visit in enumerate(visits)
    ]


def _out_of_order(planned: Array, seen: dict[int, _Seen]) -> set[int]:
    """Find the stops that came before or after one more than 150 m away along the line, and should not have.

    As few as can be: the longest sequence of visits that goes up along the line is in order (Schensted 1961).
    """
    by_time = sorted(seen, key=lambda i: (seen[i].since, i))
    ends: list[int] = []
    before: dict[int, int | None] = {}
    for i in by_time:
        k = bisect_left(ends, i)
        before[i] = ends[k - 1] if k else None
        ends[k : k + 1] = [i]
    chain: list[int] = []
    at: int | None = ends[-1] if ends else None
    while at is not None:
        chain.append(at)
        at = before[at]
    metres = np.array([planned[i] for i in reversed(chain)])
    times = np.array([seen[i].since for i in reversed(chain)])
    wrong = set()
    for i in set(seen) - set(chain):
        low = int(np.searchsorted(metres, planned[i] - JUMP_M))
        high = int(np.searchsorted(metres, planned[i] + JUMP_M, side="right"))
        if (low and times[low - 1] > seen[i].since) or (high < len(times) and times[high] < seen[i].since):
            wrong.add(i)
    return wrong


def _moment(zero: datetime, seconds: float) -> datetime:
    return zero + timedelta(seconds=round(float(seconds), 6))
