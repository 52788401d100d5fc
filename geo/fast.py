"""The filter of `geo.belief` over a whole run at once, compiled: what the optional extra `fast` (numba) is for.

It is the same model with the same figures, and tests hold the two against each other. What is believed after the last fixes is kept
in a ring of `lag` + 1 rows: codes, chances, and what is needed to go back from each to the one before.
"""

from math import log, pi, sqrt
from typing import Any, NamedTuple

import numpy as np

from geo.belief import (
    AWAY,
    FIRST_OFF,
    GOES_ON,
    KEPT,
    NO_CODES,
    NO_MASS,
    OUT_OF_REACH,
    PLACES_KEPT,
    SURE_TO_RETURN_TO,
    Belief,
    Filter,
    Spot,
)
from geo.course import Ints
from geo.fast_parts import (
    ALONG,
    ANYWHERE,
    ASTRAY,
    BACK_TO,
    COME,
    CONFIDENCE,
    EVIDENCE,
    GONE,
    JUMP,
    LEAVE,
    OFF,
    PRIOR_GONE,
    RETURN,
    REVERSED,
    ROOM,
    RUNG,
    SHARE,
    SIZE,
    TOP,
    begin,
    both_ways,
    chance_of,
    fill_spot,
    foresee,
    go_back,
    jit,
    see,
)
from geo.motion import (
    LADDER,
    PACE_LEARNT,
    PACE_LEAST,
    PACE_MOST,
    PACE_MOVED_M,
    PACE_WITHIN_S,
    RUNGS,
    STANDING_LEARNT,
    STANDING_WITHIN,
    STILL,
    STILL_WITHIN,
    SURE,
)
from geo.positions import Array
from geo.sight import Point
from geo.state import Known


class Trace(NamedTuple):
    """What was believed after each of N fixes (rows of `now`): along_m, confidence, reversed, chance off, back_to (a code), evidence.

    `others` holds up to three more (along_m, chance), 0 where there are none. `later` and `later_others` are the same for the fix of
    that row, knowing `lag` fixes more; NaN for the last ones.
    """

    now: Array
    others: Array
    later: Array
    later_others: Array


def spots_of(rows: Array, others: Array) -> list[Spot]:
    """Read the places of a trace, and the others that there are."""
    return [
        Spot(along, confidence, bool(backwards), tuple((metres, chance) for metres, chance in more if chance > 0))
        for (along, confidence, backwards), more in zip(rows[:, :3].tolist(), others.tolist(), strict=True)
    ]


def known_of(row: Array, point: Point) -> Known:
    """Read the rest of a row, as far as a match needs it."""
    return Known(Belief(point.at, NO_CODES, NO_MASS, float(row[OFF]), int(row[BACK_TO])), point.is_sharp, point=point)


def trace(which: Filter, points: Array, *, lag: int, usual_mps: float) -> Trace:
    """Follow N fixes, rows of `geo.sight.rows_of`, in order of time."""
    course, model = which.course, which.model
    figures = np.array([getattr(model, name) for name in _FIGURES])
    line = course.x, course.y, course.ahead_x, course.ahead_y
    sizes = course.step_m, course.length_m, course.widest_m, usual_mps
    return Trace(*_follow(points, line, sizes, which.tables.step, which.tables.back, figures, lag))


_FIGURES = (
    "off_per_s off_density jump_per_s return_per_s astray_per_s return_anywhere reversed_share settled_s"
    " still_share still_temper"
).split()


@jit
def _keep(ring: Any, slot: int, codes: Ints, prior: Array, density: Array, size: int, weight_off: float) -> float:
    """Keep what is probable enough in a row of the ring; return the total before."""
    kept_codes, masses, priors, whole, links = ring
    weights = prior[:size] * density[:size]
    total = weights.sum() + weight_off
    least = KEPT * total
    if size > PLACES_KEPT:
        least = max(least, np.sort(weights)[size - PLACES_KEPT])
    at, mass = 0, weight_off
    for j in range(size):
        if weights[j] >= least and at < ROOM:
            kept_codes[slot, at], masses[slot, at], priors[slot, at] = codes[j], weights[j], prior[j]
            mass += weights[j]
            at += 1
    for j in range(at):
        masses[slot, j] /= mass
    links[slot, GONE] = weight_off / mass
    whole[slot, SIZE] = at
    return float(total)


@jit
def _settle(ring: Any, slot: int, before: int, at: float, since: float, settled_s: float) -> float:
    """Say where a carrier who leaves the round is expected again; return since when he goes on from there."""
    codes, masses, _, whole, _ = ring
    size, top = whole[slot, SIZE], 0
    whole[slot, RETURN] = whole[before, RETURN] if before >= 0 else -1
    whole[slot, TOP] = -1
    since_now = 0.0
    for j in range(size):
        if masses[slot, j] > masses[slot, top]:
            top = j
    near = 0.0
    for j in range(max(top - 5, 0), min(top + 6, size)):
        near += masses[slot, j]
    if size == 0 or near < SURE_TO_RETURN_TO:
        return since_now
    code = codes[slot, top]
    goes_on = before >= 0 and abs(code - whole[before, TOP]) <= GOES_ON
    since_now = since if goes_on else at
    whole[slot, TOP] = code
    if at - since_now >= settled_s or whole[slot, RETURN] < 0:
        whole[slot, RETURN] = code
    return float(since_now)


@jit
def _lead(ring: Any, slot: int, before: int, dt_s: float, rung: int, figures: Array, n: int) -> None:
    """Write what leads from one row to the next."""
    codes, masses, _, whole, links = ring
    off_per_s, _, jump_per_s, return_per_s, astray_per_s, anywhere, reversed_share = figures[:7]
    link, off = links[slot], links[before, GONE]
    still = figures[8] if rung == STILL else 1.0
    has_return = whole[before, RETURN] >= 0
    link[LEAVE] = chance_of(off_per_s, dt_s, 0.3)
    link[COME] = chance_of(return_per_s, dt_s, 0.6)
    link[JUMP] = chance_of(jump_per_s * still, dt_s, 0.2)
    link[ASTRAY] = chance_of(astray_per_s, dt_s, 0.2) if has_return else 0.0
    link[ANYWHERE] = anywhere if has_return else 1.0
    backwards = 0.0
    for i in range(whole[before, SIZE]):
        if codes[before, i] >= n:
            backwards += masses[before, i]
    backwards = min(backwards / max(1 - off, KEPT), 1.0)
    link[SHARE] = reversed_share + (1 - 2 * reversed_share) * backwards
    link[PRIOR_GONE] = (1 - off) * link[LEAVE] + off * (1 - link[COME])
    whole[slot, RUNG] = rung


@jit
def _rung(way_m: float) -> int:
    return min(max(round(log(max(way_m, 1e-3)) / log(LADDER)), 0), RUNGS - 1)


@jit
def _place(along_m: float, step_m: float, line: Any) -> Any:
    i = min(max(round(along_m / step_m), 0), len(line[0]) - 1)
    return line[0][i], line[1][i]


@jit
def _apart(along_m: float, px: float, py: float, step_m: float, line: Any) -> float:
    x, y = _place(along_m, step_m, line)
    return sqrt((px - x) ** 2 + (py - y) ** 2)


@jit
def _follow(points: Array, line: Any, sizes: Any, step: Array, back: Array, figures: Array, lag: int) -> Any:  # noqa: C901, PLR0915 - the loop over fixes reads as one story
    n, many = len(line[0]), len(points)
    step_m, length_m, widest_m, usual_mps = sizes
    now, others = np.zeros((many, 6)), np.zeros((many, 3, 2))
    later, later_others = np.full((many, 6), np.nan), np.zeros((many, 3, 2))
    places, seen = np.zeros(n, dtype=np.int64), np.zeros((2, n))
    codes, density, prior = np.zeros(2 * n, dtype=np.int64), np.zeros(2 * n), np.zeros(2 * n)
    room = max(lag, 1) + 1
    ring = (
        np.zeros((room, ROOM), dtype=np.int64),
        np.zeros((room, ROOM)),
        np.zeros((room, ROOM)),
        np.full((room, 4), -1, dtype=np.int64),
        np.zeros((room, 9)),
    )
    order = np.arange(room)
    rows = np.zeros(ROOM), np.zeros(ROOM), np.zeros(ROOM + 1, dtype=np.int64)
    edges = np.zeros(2 * n + 1, dtype=np.int64)
    pace, sure, stood_at, stood_since, since, before = usual_mps, -1.0, -1e9, 0.0, 0.0, -1
    for k in range(many):
        point = points[k]
        at, sigma, dt_s = point[0], point[3], 0.0
        slot = order[0]
        order[:-1] = order[1:].copy()
        order[-1] = slot
        held = ring[3][before]
        found = see(point, line, widest_m, places, seen)
        if k == 0:
            size = both_ways(places, seen, found, n, codes, density)
            begin(codes, size, prior, n, step_m)
            gone = FIRST_OFF
        else:
            dt_s = at - points[k - 1, 0]
            held_off = ring[4][before, GONE]
            is_still = stood_at >= 0 and at - stood_since >= point[8]
            is_still = is_still and _apart(stood_at, point[1], point[2], step_m, line) <= STILL_WITHIN * sigma
            if is_still:
                peak = 1 / (2 * pi * sigma * sigma)
                for j in range(found):
                    seen[0, j] = peak * (seen[0, j] / peak) ** figures[9]
                    seen[1, j] = peak * (seen[1, j] / peak) ** figures[9]
            rung = STILL if is_still else _rung(pace * dt_s)
            _lead(ring, slot, before, dt_s, rung, figures, n)
            known = (ring[0][before], ring[1][before], held[SIZE], held_off, held[RETURN])
            size = found
            for j in range(found):
                codes[j], density[j] = places[j], seen[0, j]
            most = foresee(step[rung], back, known, ring[4][slot], codes, size, (prior, edges), n)
            is_mixed = held[SIZE] > 0 and ring[0][before, held[SIZE] - 1] >= n
            if is_mixed or held_off > AWAY or most < OUT_OF_REACH:
                size = both_ways(places, seen, found, n, codes, density)
                foresee(step[rung], back, known, ring[4][slot], codes, size, (prior, edges), n)
            gone = ring[4][slot, PRIOR_GONE]
        total = _keep(ring, slot, codes, prior, density, size, gone * figures[1])
        since = _settle(ring, slot, before, at, since, figures[7])
        spot = now[k]
        fill_spot(ring[0][slot], ring[1][slot], ring[3][slot, SIZE], n, step_m, length_m, spot, others[k])
        spot[OFF], spot[BACK_TO], spot[EVIDENCE] = ring[4][slot, GONE], ring[3][slot, RETURN], log(total)
        along, is_off = spot[ALONG], spot[OFF] >= 0.5
        if is_off or spot[CONFIDENCE] < SURE:
            sure = -1.0
        else:
            if sure >= 0 and dt_s > 0:
                walked = (along - sure) * (-1 if spot[REVERSED] else 1)
                if walked > PACE_MOVED_M and dt_s < PACE_WITHIN_S:
                    least, most = PACE_LEAST * usual_mps, PACE_MOST * usual_mps
                    pace = min(max(pace + PACE_LEARNT * (min(walked / dt_s, 2 * most) - pace), least), most)
            sure = along
        if is_off:
            stood_at, stood_since = -1e9, 0.0
        else:
            x, y = _place(along, step_m, line)
            if stood_at < 0 or _apart(stood_at, x, y, step_m, line) > STANDING_WITHIN * sigma:
                stood_at, stood_since = along, at
            elif abs(along - stood_at) <= STANDING_WITHIN * sigma:
                stood_at += STANDING_LEARNT * (along - stood_at)
        if lag and k >= lag:
            row, first = k - lag, order[0]
            off = go_back(ring, order, step, back, rows, n)
            fill_spot(ring[0][first], rows[1], ring[3][first, SIZE], n, step_m, length_m, later[row], later_others[row])
            later[row, OFF], later[row, BACK_TO] = off, ring[3][first, RETURN]
        before = slot
    return now, others, later, later_others
