"""A run cut at its jumps, and its stays: what `geo.visits` is made of."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from statistics import median

import numpy as np

from geo.positions import Array

JUMP_M, DWELL_S, DWELL_M = 150.0, 15.0, 10.0
CONFIRMING, EXCURSION_S = 3, 180.0
_HIDDEN_S, _LONG_S = 20.0, 120.0
_SHARP_M, _DOUBT = 3.0, 2.0
Row = tuple[float, float, float, int]


@dataclass(frozen=True, slots=True)
class Stretch:
    """Places between two jumps: seconds, metres, noise, and the stop of an event or -1."""

    t: Array
    s: Array
    sigma: Array
    event: Array
    backward: bool


@dataclass(frozen=True, slots=True)
class Stay:
    """A stay: from when to when, around which place, and the events in it as (seconds, stop)."""

    since: float
    until: float
    along: float
    sigma: float
    events: tuple[tuple[float, int], ...] = ()
    open_end: bool = False
    gap: float = 0.0


def cut_at_jumps(rows: Sequence[Row], speed: float) -> list[Stretch]:
    """Cut at jumps; leave out what is too short to be believed, and join again what it had parted."""
    cut = _cut(rows, speed)
    kept = [part for part in cut if len(part) >= CONFIRMING or any(row[3] >= 0 for row in part)]
    kept = _without_excursions(kept or [max(cut, key=len)], speed)
    made = []
    for part in _cut([row for each in kept for row in each], speed):
        for rows_of_one_way, backward in _ways(part):
            t, s, sigma, event = (np.array(column, dtype=np.float64) for column in zip(*rows_of_one_way, strict=True))
            made.append(Stretch(t, s, sigma, event, backward))
    return made


def _cut(rows: Sequence[Row], speed: float) -> list[list[Row]]:
    parts = [[rows[0]]]
    for before, row in pairwise(rows):
        if _is_jump(before, row, speed):
            parts.append([])
        parts[-1].append(row)
    return parts


def _without_excursions(parts: Sequence[list[Row]], speed: float) -> list[list[Row]]:
    """Leave out what lies for less than three minutes elsewhere, without an event, between two parts that belong together."""
    kept: list[list[Row]] = []
    for n, part in enumerate(parts):
        after = parts[n + 1] if n + 1 < len(parts) else None
        short = part[-1][0] - part[0][0] < EXCURSION_S and not any(row[3] >= 0 for row in part)
        if kept and after and short and not _is_jump(kept[-1][-1], after[0], speed):
            continue
        kept.append(part)
    return kept


def _is_jump(before: Row, row: Row, speed: float) -> bool:
    return abs(row[1] - before[1]) > 2 * speed * (row[0] - before[0]) + JUMP_M


def _ways(rows: Sequence[Row]) -> list[tuple[Sequence[Row], bool]]:
    """Part a stretch where it turned around for more than 150 m; each part with whether it goes backwards."""
    turns, extreme, backward = [0], 0, False
    ways = []
    for k, row in enumerate(rows):
        ahead = (row[1] - rows[extreme][1]) * (-1 if backward else 1)
        if ahead >= 0:
            extreme = k
        elif ahead < -JUMP_M:
            ways.append(backward)
            turns.append(extreme)
            extreme, backward = k, not backward
    ways.append(backward)
    parts = [rows[first : last + 1] for first, last in zip(turns, [*turns[1:], len(rows) - 1], strict=True)]
    return [(part, way) for part, way in zip(parts, ways, strict=True) if len(part) > 1 or len(rows) == 1]


def stays_in(stretch: Stretch, planned: Array, speed: float) -> tuple[list[Stay], float]:
    """Find the stays of a stretch in their order, and how fast it is walked between them (m/s)."""
    pace = _own_speed(stretch, speed)
    found = _joined(stretch, _plain_stays(stretch, pace))
    found = [_whole(stretch, found, n, speed=pace) for n in range(len(found))]
    found += _hidden(stretch, planned, found, pace)
    return sorted(found, key=lambda stay: stay.since), pace


def _joined(stretch: Stretch, found: Sequence[Stay]) -> list[Stay]:
    """Join stays between which nobody went farther than the noise of the places."""
    joined: list[Stay] = []
    for stay in found:
        last = joined[-1] if joined else None
        if last is None or abs(stay.along - last.along) > max(DWELL_M, 1.5 * stay.sigma):
            joined.append(stay)
            continue
        middle = (last.along + stay.along) / 2
        between = stretch.s[(stretch.t > last.until) & (stretch.t < stay.since)]
        if len(between) and float(np.abs(between - middle).max()) > max(2 * DWELL_M, 2.5 * stay.sigma):
            joined.append(stay)
            continue
        first, second = last.until - last.since, stay.until - stay.since
        along = (last.along * first + stay.along * second) / (first + second) if first + second > 0 else middle
        joined[-1] = replace(
            last, until=stay.until, along=along, events=last.events + stay.events, gap=max(last.gap, stay.gap)
        )
    return joined


def _whole(stretch: Stretch, found: Sequence[Stay], n: int, *, speed: float) -> Stay:
    """Add to a long stay the moments beside it in which nobody went farther than the noise, but for the walk that takes as long."""
    stay, t = found[n], stretch.t
    if stay.until - stay.since < _LONG_S:
        return stay
    away = max(DWELL_M, 2.5 * stay.sigma)
    near = np.abs(stretch.s - stay.along) <= away
    first, last = int(np.searchsorted(t, stay.since)), int(np.searchsorted(t, stay.until, side="right")) - 1
    before, after = np.flatnonzero(~near[:first]), np.flatnonzero(~near[last + 1 :])
    since = float(t[before[-1] + 1 if len(before) else 0]) + away / speed
    until = float(t[last + after[0] if len(after) else len(t) - 1]) - away / speed
    earliest = found[n - 1].until if n else float(t[0])
    latest = found[n + 1].since if n + 1 < len(found) else float(t[-1])
    since, until = min(stay.since, max(since, earliest)), max(stay.until, min(until, latest))
    within = stretch.s[(t >= since) & (t <= until)]
    along = float(np.median(within)) if len(within) else stay.along
    return replace(stay, since=since, until=until, along=along)


def _own_speed(stretch: Stretch, speed: float) -> float:
    """Estimate how fast this stretch is walked between its stays; at most the usual speed of the mode."""
    steps = np.abs(np.diff(stretch.s)) / np.maximum(np.diff(stretch.t), 1e-3)
    return speed if len(steps) < 8 else float(np.clip(np.percentile(steps, 80), 0.5 * speed, speed))


def _plain_stays(stretch: Stretch, speed: float) -> list[Stay]:
    t, s, n = stretch.t.tolist(), stretch.s.tolist(), len(stretch.t)
    event = stretch.event.astype(int).tolist()
    found, i = [], 0
    while i < n:
        hold = max(DWELL_M, float(stretch.sigma[i]))
        last, outside, members, total = i, 0, [s[i]], s[i]
        for k in range(i + 1, n):
            if abs(s[k] - total / len(members)) <= hold:
                last, outside = k, 0
                members.append(s[k])
                total += s[k]
            else:
                outside += 1
                if outside >= 2 or abs(s[k] - s[last]) > 3 * hold:
                    break
        events = tuple((t[k], event[k]) for k in range(i, last + 1) if event[k] >= 0)
        doubt = _DOUBT * max(float(stretch.sigma[i]) - _SHARP_M, 0.0)
        if events or t[last] - t[i] - (abs(s[last] - s[i]) + doubt) / speed >= DWELL_S:
            along = median(members)
            since, until, gap = _edges(t, s, i, last, along, speed)
            found.append(Stay(since, until, along, float(stretch.sigma[i]), events, gap=gap))
            i = last + 1
        else:
            i += 1
    return found


def _edges(t: list[float], s: list[float], i: int, last: int, along: float, speed: float) -> tuple[float, float, float]:
    """Guess when a stay really began and ended, from the places before and after it and the walk between; and the gap."""
    since, until, gap = t[i], t[last], 0.0
    if i > 0:
        since = min(t[i - 1] + abs(along - s[i - 1]) / speed, t[min(i + 1, last)])
        gap = t[i] - t[i - 1]
    if last + 1 < len(t):
        until = max(t[last + 1] - abs(s[last + 1] - along) / speed, t[max(last - 1, i)], since)
        gap = max(gap, t[last + 1] - t[last])
    return since, until, gap


def _hidden(stretch: Stretch, planned: Array, stays: Sequence[Stay], speed: float) -> list[Stay]:
    """Find the stays between two places far apart in time, where only one stop lies between them."""
    t, s, found = stretch.t, stretch.s, []
    steps = np.diff(t)
    for k in np.flatnonzero(steps >= _HIDDEN_S):
        low, high = sorted((float(s[k]), float(s[k + 1])))
        if steps[k] - (high - low) / speed < DWELL_S:
            continue
        inside = np.flatnonzero((planned >= low - DWELL_M) & (planned <= high + DWELL_M))
        if len(inside) != 1 or any(stay.since < t[k + 1] and stay.until > t[k] for stay in stays):
            continue
        along = float(planned[inside[0]])
        since, until = t[k] + abs(along - s[k]) / speed, t[k + 1] - abs(s[k + 1] - along) / speed
        found.append(Stay(float(since), float(max(until, since)), along, 1.0, gap=float(steps[k])))
    return found
