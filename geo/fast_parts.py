"""The parts of `geo.fast`: compiled, over plain arrays that the caller owns.

Rows of beliefs are kept in a ring of five arrays: codes, chances, priors, whole numbers (`SIZE`, `TOP`, `RUNG`, `RETURN`), and when it was,
what led there (`GONE` to `SHARE`) and where the fix was, if that is known (`SEEN`). Codes that follow on each other are runs, so that sums over a table are sums over slices of it.
"""

from math import exp
from typing import Any

import numpy as np

from geo.belief import (
    FIRST_NEAR,
    FIRST_OFF,
    FIRST_REVERSED,
    FIRST_WAY_M,
    GOES_ON,
    KEPT,
    PLACES_KEPT,
    SURE_TO_RETURN_TO,
    WINDOW_M,
)
from geo.course import Ints
from geo.fast_line import jit
from geo.motion import REACH, STILL
from geo.positions import Array

ROOM = PLACES_KEPT + 1
ALONG, CONFIDENCE, REVERSED, OFF, OFFSET, EVIDENCE = range(6)
AT, GONE, PRIOR_GONE, LEAVE, COME, JUMP, ANYWHERE, ASTRAY, SHARE, SINCE, SEEN, X, Y = range(13)
SIZE, TOP, RUNG, RETURN = range(4)


@jit
def chance_of(per_s: float, dt_s: float, most: float) -> float:
    """Turn a rate into the chance over an interval."""
    return min(1 - exp(-per_s * dt_s), most)


@jit
def runs_of(codes: Ints, size: int, edges: Ints) -> int:
    """Find where codes follow on each other: run r is `edges[r]` up to `edges[r + 1]`. Returns how many runs there are."""
    count = 0
    for j in range(size):
        if j == 0 or codes[j] != codes[j - 1] + 1:
            edges[count] = j
            count += 1
    edges[count] = size
    return count


@jit
def foresee(row: Array, back: Array, before: Any, link: Array, codes: Ints, size: int, room: Any, n: int) -> float:
    """Foresee the chances of codes; return the greatest."""
    (known, mass, count, off, back_to), (prior, edges) = before, room
    on = 1 - off
    share = (link[JUMP] * on + off * link[COME] * link[ANYWHERE]) / n
    homeward = off * link[COME] * (1 - link[ANYWHERE]) + on * link[ASTRAY]
    most, goes_on = 0.0, 1 - link[LEAVE] - link[JUMP]
    for r in range(runs_of(codes, size, edges)):
        first, last = edges[r], edges[r + 1]
        for j in range(first, last):
            prior[j] = 0.0
        for i in range(count):
            shift = REACH + codes[first] - known[i] - first
            low, high = max(first, -shift), min(last, 2 * REACH + 1 - shift)
            chance = mass[i]
            for j in range(low, high):
                prior[j] += chance * row[shift + j]
    for j in range(size):
        likely = 1 - link[SHARE] if codes[j] < n else link[SHARE]
        d = min(max(codes[j] - back_to + REACH, 0), 2 * REACH)
        prior[j] = goes_on * prior[j] + share * likely + homeward * back[d]
        most = max(most, prior[j])
    return most


@jit
def weigh(places: Ints, weights: Array, size: int, width: int, high: Ints, heavy: Array) -> float:
    """Weigh the window that begins at each place: where it ends, and what it holds; return the whole weight."""
    sums = np.zeros(size + 1)
    for i in range(size):
        sums[i + 1] = sums[i] + weights[i]
    end = 0
    for i in range(size):
        while end < size and places[end] <= places[i] + width:
            end += 1
        high[i], heavy[i] = end, sums[end] - sums[i]
    return float(sums[size])


@jit
def window(places: Ints, weights: Array, size: int, width: int, step_m: float, spot: Array, others: Array) -> float:
    """Find the heaviest window and up to three more apart from it and each other; return the whole weight."""
    high, heavy = np.zeros(size, dtype=np.int64), np.zeros(size)
    total = weigh(places, weights, size, width, high, heavy)
    for rank in range(4):
        best = int(np.argmax(heavy))
        if rank and (total - spot[CONFIDENCE] <= 0.01 or heavy[best] < 0.01):
            break
        middle = 0.0
        for i in range(best, high[best]):
            middle += places[i] * weights[i]
        middle *= step_m / heavy[best]
        if rank:
            others[rank - 1, 0], others[rank - 1, 1] = middle, heavy[best]
        else:
            spot[ALONG], spot[CONFIDENCE] = middle, min(heavy[best], 1.0)
        for i in range(size):
            if abs(places[i] - places[best]) <= width:
                heavy[i] = -1.0
    return total


@jit
def fill_spot(
    codes: Ints, mass: Array, size: int, n: int, step_m: float, length_m: float, spot: Array, others: Array
) -> None:
    """Fill a spot: the 50 m of line with most chance, whether walked backwards, and others."""
    width = int(WINDOW_M / step_m)
    spot[:OFF] = 0.0
    if size == 0:
        return
    if codes[size - 1] < n:
        window(codes, mass, size, width, step_m, spot, others)
    else:
        places, weights = np.zeros(size, dtype=np.int64), np.zeros(size)
        i, j, at, backwards = 0, size - 1, 0, 0.0
        while at < size:
            takes_forward = i < size and codes[i] < n
            back_place = 2 * n + REACH - codes[j] if codes[j] >= n else 4 * n
            if takes_forward and codes[i] <= back_place:
                places[at], weights[at] = codes[i], mass[i]
                i += 1
            else:
                places[at], weights[at] = back_place, mass[j]
                backwards += mass[j]
                j -= 1
            at += 1
        total = window(places, weights, size, width, step_m, spot, others)
        spot[REVERSED] = 1.0 if backwards > 0.5 * total else 0.0
    spot[ALONG] = min(spot[ALONG], length_m)
    for rank in range(3):
        others[rank, 0] = min(others[rank, 0], length_m)


@jit
def go_back(ring: Any, order: Ints, step: Array, back: Array, rows: Any, n: int) -> float:
    """Smooth from the newest row of the ring to the oldest; `rows` = (ratio, chances) as room to work in. Returns the chance off."""
    ratio, chances, edges = rows
    codes, masses, priors, whole, links = ring
    lag = len(order) - 1
    newest = order[lag]
    off = links[newest, GONE]
    for j in range(whole[newest, SIZE]):
        chances[j] = masses[newest, j]
    for age in range(lag, 0, -1):
        after, before = order[age], order[age - 1]
        link, row = links[after], step[whole[after, RUNG]]
        ratio_off, flat, returned = off / link[PRIOR_GONE], 0.0, 0.0
        back_to = whole[before, RETURN]
        for j in range(whole[after, SIZE]):
            ratio[j] = chances[j] / priors[after, j]
            flat += ratio[j] * (1 - link[SHARE] if codes[after, j] < n else link[SHARE]) / n
            d = min(max(codes[after, j] - back_to + REACH, 0), 2 * REACH)
            returned += ratio[j] * back[d]
        count = runs_of(codes[after], whole[after, SIZE], edges)
        extra = link[JUMP] * flat + link[ASTRAY] * returned + link[LEAVE] * ratio_off
        total = 0.0
        for i in range(whole[before, SIZE]):
            held = 0.0
            for r in range(count):
                shift = REACH + codes[after, edges[r]] - codes[before, i] - edges[r]
                for j in range(max(edges[r], -shift), min(edges[r + 1], 2 * REACH + 1 - shift)):
                    held += row[shift + j] * ratio[j]
            chances[i] = masses[before, i] * ((1 - link[LEAVE] - link[JUMP]) * held + extra)
            total += chances[i]
        home = (1 - link[ANYWHERE]) * returned + link[ANYWHERE] * flat
        off = links[before, GONE] * (link[COME] * home + (1 - link[COME]) * ratio_off)
        total += off
        off /= total
        for i in range(whole[before, SIZE]):
            chances[i] /= total
    return float(off)


@jit
def both_ways(places: Ints, seen: Array, found: int, n: int, codes: Ints, density: Array) -> int:
    """Make codes of both directions, sorted."""
    for i in range(found):
        codes[i], density[i] = places[i], seen[0, i]
        k = found - 1 - i
        codes[found + i], density[found + i] = 2 * n + REACH - places[k], seen[1, k]
    return 2 * found


@jit
def begin(codes: Ints, size: int, prior: Array, n: int, step_m: float) -> None:
    """Write the chances of codes before anything is known."""
    for j in range(size):
        walked = (codes[j] if codes[j] < n else codes[j] - (n + REACH + 1)) * step_m
        near = (1 - FIRST_NEAR) / n + FIRST_NEAR * (1 - exp(-step_m / FIRST_WAY_M)) * exp(-walked / FIRST_WAY_M)
        prior[j] = (1 - FIRST_OFF) * near * (1 - FIRST_REVERSED if codes[j] < n else FIRST_REVERSED)


@jit
def keep(ring: Any, slot: int, codes: Ints, prior: Array, density: Array, size: int, weight_off: float) -> float:
    """Keep what is probable enough in a row of the ring; return the total before."""
    kept_codes, masses, priors, whole, links = ring
    weights = prior[:size] * density[:size]
    total = weights.sum() + weight_off
    least = KEPT * total
    if size > PLACES_KEPT:
        least = max(least, np.sort(weights)[size - PLACES_KEPT])
    at, mass = 0, weight_off
    for j in range(size):
        if weights[j] >= least and at < kept_codes.shape[1]:
            kept_codes[slot, at], masses[slot, at], priors[slot, at] = codes[j], weights[j], prior[j]
            mass += weights[j]
            at += 1
    for j in range(at):
        masses[slot, j] /= mass
    links[slot, GONE] = weight_off / mass
    whole[slot, SIZE] = at
    return float(total)


@jit
def settle(ring: Any, slot: int, before: int, settled_s: float) -> None:
    """Say where a carrier who leaves the round is expected again, and since when he goes on from there."""
    codes, masses, _, whole, links = ring
    size, top = whole[slot, SIZE], 0
    whole[slot, RETURN] = whole[before, RETURN] if before >= 0 else -1
    whole[slot, TOP] = -1
    links[slot, SINCE] = 0.0
    for j in range(size):
        if masses[slot, j] > masses[slot, top]:
            top = j
    near = 0.0
    for j in range(max(top - 5, 0), min(top + 6, size)):
        near += masses[slot, j]
    if size == 0 or near < SURE_TO_RETURN_TO:
        return
    code, at = codes[slot, top], links[slot, AT]
    goes_on = before >= 0 and abs(code - whole[before, TOP]) <= GOES_ON
    links[slot, SINCE] = links[before, SINCE] if goes_on else at
    whole[slot, TOP] = code
    if at - links[slot, SINCE] >= settled_s or whole[slot, RETURN] < 0:
        whole[slot, RETURN] = code


@jit
def lead(ring: Any, slot: int, before: int, rung: int, figures: Array, n: int) -> None:
    """Write what leads from one row to the next."""
    codes, masses, _, whole, links = ring
    off_per_s, _, jump_per_s, return_per_s, astray_per_s, anywhere, reversed_share = figures[:7]
    link, off = links[slot], links[before, GONE]
    dt_s = link[AT] - links[before, AT]
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
