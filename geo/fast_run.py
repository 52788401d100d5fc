"""The loop of `geo.fast` over fixes, compiled: from what is believed after one to what is believed after the next."""

from math import log, pi, sqrt
from typing import Any

import numpy as np

from geo.belief import AWAY, FIRST_OFF, OUT_OF_REACH
from geo.course import Ints
from geo.fast_line import HX, HY, PX, PY, REACH_M, SIGMA, TEMPER, jit, nearest_to, offset_of, place_near, see, xy
from geo.fast_parts import (
    ALONG,
    AT,
    CONFIDENCE,
    EVIDENCE,
    GONE,
    OFF,
    OFFSET,
    PRIOR_GONE,
    RETURN,
    REVERSED,
    RUNG,
    SEEN,
    SIZE,
    X,
    Y,
    begin,
    both_ways,
    fill_spot,
    foresee,
    go_back,
    keep,
    lead,
    settle,
)
from geo.motion import (
    LADDER,
    PACE_LEARNT,
    PACE_LEAST,
    PACE_MOST,
    PACE_MOVED_M,
    PACE_WITHIN_S,
    POOR_M,
    REACH,
    RUNGS,
    STANDING_LEARNT,
    STANDING_WITHIN,
    STILL,
    STILL_WITHIN,
    SURE,
)
from geo.positions import Array
from geo.sight import NEAREST_REACH_M, REACH_SIGMAS, WIDEST_REACH_M
from geo.state import NO_DWELL

FIGURES = (
    "off_per_s off_density jump_per_s return_per_s astray_per_s return_anywhere reversed_share settled_s"
    " still_share still_temper still_after correlated_s"
).split()
_OFF_DENSITY, _SETTLED_S, _STILL_TEMPER, _STILL_AFTER, _CORRELATED_S = 1, 7, 9, 10, 11
PACE, SURE_M, STOOD_AT, STOOD_SINCE = range(4)


@jit
def _rung(way_m: float) -> int:
    return min(max(round(log(max(way_m, 1e-3)) / log(LADDER)), 0), RUNGS - 1)


@jit
def _apart(along_m: float, px: float, py: float, step_m: float, n: int, line: Any) -> float:
    x, y = place_near(along_m, step_m, n, line)
    return sqrt((px - x) ** 2 + (py - y) ** 2)


@jit
def _stands_after_s(sigma: float, figures: Array) -> float:
    return float(figures[_STILL_AFTER] * sigma * max(1.0, sigma / POOR_M))


@jit
def _point_of(row: Array, plane: Any, figures: Array, link: Array, point: Array) -> None:
    """Put a fix on the plane, and note where it was."""
    x, y = xy(row[1], row[2], plane[0], plane[1])
    sigma, gap_s = row[3], row[4]
    link[AT], link[SEEN], link[X], link[Y] = row[0], 1.0, x, y
    point[PX], point[PY], point[SIGMA] = x, y, sigma
    point[REACH_M] = min(max(REACH_SIGMAS * sigma, NEAREST_REACH_M), WIDEST_REACH_M)
    point[TEMPER] = gap_s / (gap_s + figures[_CORRELATED_S]) if gap_s < 1e9 else 1.0
    point[HX], point[HY] = row[5], row[6]


@jit
def _relink(ring: Any, held: int, tables: Any, edges: Ints, n: int) -> None:
    """Make again what led from each row of a stored state to the next."""
    step, back, figures = tables
    codes, masses, priors, whole, links = ring
    for i in range(1, held):
        before = i - 1
        lead(ring, i, before, whole[i, RUNG], figures, n)
        known = (codes[before], masses[before], whole[before, SIZE], links[before, GONE], whole[before, RETURN])
        foresee(step[whole[i, RUNG]], back, known, links[i], codes[i], whole[i, SIZE], (priors[i], edges), n)


@jit
def _believe(ring: Any, slot: int, before: int, found: int, rung: int, tables: Any, room: Any, n: int) -> float:
    """Go on from one row of the ring to the next by what was seen; return the total before it was normalised."""
    step, back, figures = tables
    places, seen, codes, density, prior, edges = room[:6]
    links, whole = ring[4], ring[3]
    lead(ring, slot, before, rung, figures, n)
    held, off = whole[before, SIZE], links[before, GONE]
    known = (ring[0][before], ring[1][before], held, off, whole[before, RETURN])
    size = found
    for j in range(found):
        codes[j], density[j] = places[j], seen[0, j]
    most = foresee(step[rung], back, known, links[slot], codes, size, (prior, edges), n)
    is_mixed = held > 0 and ring[0][before, held - 1] >= n
    if is_mixed or off > AWAY or most < OUT_OF_REACH:
        size = both_ways(places, seen, found, n, codes, density)
        foresee(step[rung], back, known, links[slot], codes, size, (prior, edges), n)
    return float(keep(ring, slot, codes, prior, density, size, links[slot, PRIOR_GONE] * figures[_OFF_DENSITY]))


@jit
def _begin(ring: Any, slot: int, found: int, step_m: float, figures: Array, room: Any, n: int) -> float:
    """Begin with a fix of which nothing is known yet."""
    places, seen, codes, density, prior = room[:5]
    size = both_ways(places, seen, found, n, codes, density)
    begin(codes, size, prior, n, step_m)
    ring[3][slot, RUNG] = 0
    return float(keep(ring, slot, codes, prior, density, size, FIRST_OFF * figures[_OFF_DENSITY]))


@jit
def _learn(spot: Array, at: float, dt_s: float, sigma: float, usual_mps: float, carried: Array, where: Any) -> None:
    """Learn the pace between two sure places, and follow where the carrier stands."""
    along, is_off = spot[ALONG], spot[OFF] >= 0.5
    if is_off or spot[CONFIDENCE] < SURE:
        carried[SURE_M] = -1.0
    else:
        pace, sure = carried[PACE] if carried[PACE] != 0 else usual_mps, carried[SURE_M]
        if sure >= 0 and dt_s > 0:
            walked = (along - sure) * (-1 if spot[REVERSED] else 1)
            if walked > PACE_MOVED_M and dt_s < PACE_WITHIN_S:
                least, most = PACE_LEAST * usual_mps, PACE_MOST * usual_mps
                pace = min(max(pace + PACE_LEARNT * (min(walked / dt_s, 2 * most) - pace), least), most)
        carried[PACE], carried[SURE_M] = pace, along
    step_m, n, line = where
    if is_off:
        carried[STOOD_AT], carried[STOOD_SINCE] = NO_DWELL.at_m, NO_DWELL.since
        return
    stood = carried[STOOD_AT]
    x, y = place_near(along, step_m, n, line)
    if stood < 0 or _apart(stood, x, y, step_m, n, line) > STANDING_WITHIN * sigma:
        carried[STOOD_AT], carried[STOOD_SINCE] = along, at
    elif abs(along - stood) <= STANDING_WITHIN * sigma:
        carried[STOOD_AT] = stood + STANDING_LEARNT * (along - stood)


@jit
def _tell(ring: Any, slot: int, length_m: float, spot: Array, where: Any) -> None:
    """Measure beside the line; off the round the place is the last sure one, or the nearest."""
    step_m, n, line = where
    links, back_to = ring[4][slot], ring[3][slot, RETURN]
    if spot[OFF] < 0.5:
        if links[SEEN] > 0:
            spot[OFFSET] = offset_of(spot[ALONG], links[X], links[Y], step_m, n, line)
        return
    if links[SEEN] > 0:
        along, spot[OFFSET] = nearest_to(links[X], links[Y], step_m, n, line)
        spot[ALONG] = min(along, length_m)
    if back_to >= 0:
        place = back_to if back_to < n else 2 * n + REACH - back_to
        spot[ALONG] = min(max(place, 0) * step_m, length_m)


@jit
def _weigh_standing(seen: Array, found: int, sigma: float, temper: float) -> None:
    """Weigh a fix less where the carrier stands still."""
    peak = 1 / (2 * pi * sigma * sigma)
    for j in range(found):
        seen[0, j] = peak * (seen[0, j] / peak) ** temper
        seen[1, j] = peak * (seen[1, j] / peak) ** temper


@jit
def go_on(rows: Array, line: Any, sizes: Any, tables: Any, ring: Any, room: Any, counts: Any, carried: Array) -> Any:
    """Follow fixes (at, degrees, sigma, seconds since the one before, heading x and y) on from what the ring holds.

    `sizes` = (latitude and longitude of the plane, step and length of the line, usual pace, how many places), `counts` = (rows that
    the ring holds already, lag). Returns what was believed of each fix, the others, the same of the fix `lag` earlier, and their slots.
    """
    at_lat, at_lon, step_m, length_m, usual_mps, n = sizes
    step, back, figures = tables
    held, lag = counts
    many, size, links, where = len(rows), len(ring[0]), ring[4], (step_m, n, line)
    now, others, slots = np.zeros((many, 6)), np.zeros((many, 3, 2)), np.zeros(many, dtype=np.int64)
    later, later_others = np.zeros((many, 6)), np.zeros((many, 3, 2))
    order, point, before = (np.arange(size) + held) % size, np.zeros(7), held - 1
    if held + many > lag:
        _relink(ring, held, tables, room[5], n)
    for k in range(many):
        slot = order[0]
        order[:-1] = order[1:].copy()
        order[-1] = slots[k] = slot
        _point_of(rows[k], (at_lat, at_lon), figures, links[slot], point)
        at, sigma, dt_s = rows[k, 0], point[SIGMA], 0.0
        found = see(point, line, step_m, n, room[0], room[1])
        if before < 0:
            total = _begin(ring, slot, found, step_m, figures, room, n)
        else:
            dt_s = at - links[before, AT]
            stood = carried[STOOD_AT]
            is_still = stood >= 0 and at - carried[STOOD_SINCE] >= _stands_after_s(sigma, figures)
            is_still = is_still and _apart(stood, point[PX], point[PY], step_m, n, line) <= STILL_WITHIN * sigma
            if is_still:
                _weigh_standing(room[1], found, sigma, figures[_STILL_TEMPER])
            rung = STILL if is_still else _rung((carried[PACE] if carried[PACE] != 0 else usual_mps) * dt_s)
            total = _believe(ring, slot, before, found, rung, tables, room, n)
        settle(ring, slot, before, figures[_SETTLED_S])
        spot = now[k]
        fill_spot(ring[0][slot], ring[1][slot], ring[3][slot, SIZE], n, step_m, length_m, spot, others[k])
        spot[OFF], spot[EVIDENCE] = links[slot, GONE], log(total)
        _learn(spot, at, dt_s, sigma, usual_mps, carried, where)
        _tell(ring, slot, length_m, spot, where)
        if lag and held + k >= lag:
            first, spot = order[0], later[k]
            off = go_back(ring, order, step, back, (room[6], room[7], room[5]), n)
            fill_spot(ring[0][first], room[7], ring[3][first, SIZE], n, step_m, length_m, spot, later_others[k])
            spot[OFF] = off
            _tell(ring, first, length_m, spot, where)
        before = slot
    return now, others, later, later_others, slots
