"""The line of a round for `geo.fast`, compiled: places are worked out from the vertices where they are looked at.

Nothing as long as the line is made or kept. `line` = (x, y and cumulative metres of the vertices; metres along and side, +1 right or -1
left, of the stops whose side the plan tells, sorted). The places are those of `geo.course.lay_course`, by the same arithmetic.
"""

from math import ceil, cos, exp, floor, pi, sin, sqrt, tan
from typing import Any

import numba

from geo.course import SIDE_M, SIDE_REACH_M, Ints
from geo.positions import A_M, E2, Array
from geo.sight import HEADING_BESSEL, HEADING_SHARPNESS, HEADING_WRONG

PX, PY, SIGMA, REACH_M, TEMPER, HX, HY = range(7)
_SLACK_M = 1e-6
_RADIAN = pi / 180
jit = numba.njit(cache=True, fastmath=True, nogil=True)


@jit
def meridian_m(phi: float) -> float:
    """Measure from the equator to a latitude."""
    e4, e6 = E2**2, E2**3
    return A_M * (
        (1 - E2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * phi
        - (3 * E2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * sin(2 * phi)
        + (15 * e4 / 256 + 45 * e6 / 1024) * sin(4 * phi)
        - (35 * e6 / 3072) * sin(6 * phi)
    )


@jit
def xy(lat: float, lon: float, at_lat: float, at_lon: float) -> Any:
    """Turn degrees into metres on the plane around a place, as `geo.positions.Plane` does."""
    phi = lat * _RADIAN
    wide = (lon - at_lon + 180.0) % 360.0 - 180.0
    a = wide * _RADIAN * cos(phi)
    n, t = A_M / sqrt(1 - E2 * sin(phi) ** 2), tan(phi)
    x = n * (a + a**3 / 6 * (1 - t**2))
    return x, meridian_m(phi) - meridian_m(at_lat * _RADIAN) + n * t * a**2 / 2


@jit
def piece_of(cumulative: Array, along: float) -> int:
    """Find the piece of the line that a place is on."""
    low, high = 0, len(cumulative) - 1
    while high - low > 1:
        middle = (low + high) // 2
        if cumulative[middle] <= along:
            low = middle
        else:
            high = middle
    return low


@jit
def on_line(line: Any, along: float, k: int) -> Any:
    """Give the point that many metres along, at or near piece k."""
    x, y, cumulative = line[0], line[1], line[2]
    last = len(cumulative) - 1
    if along <= cumulative[0]:
        return x[0], y[0]
    if along >= cumulative[last]:
        return x[last], y[last]
    while cumulative[k + 1] <= along:
        k += 1
    while cumulative[k] > along:
        k -= 1
    part = (along - cumulative[k]) / (cumulative[k + 1] - cumulative[k])
    return x[k] + part * (x[k + 1] - x[k]), y[k] + part * (y[k + 1] - y[k])


@jit
def ahead_of(line: Any, along: float, k: int, half: float) -> Any:
    """Give the unit vector of the direction at a place."""
    x1, y1 = on_line(line, along - half, k)
    x2, y2 = on_line(line, along + half, k)
    size = max(sqrt((x2 - x1) ** 2 + (y2 - y1) ** 2), 1e-9)
    return (x2 - x1) / size, (y2 - y1) / size


@jit
def shift_of(line: Any, along: float) -> float:
    """Say how far a place is moved to the side that is served: that of the nearest such stop within 15 m along."""
    at, side = line[3], line[4]
    if not len(at):
        return 0.0
    low, high = 0, len(at)
    while low < high:
        middle = (low + high) // 2
        if at[middle] < along:
            low = middle + 1
        else:
            high = middle
    after = min(low, len(at) - 1)
    before = max(after - 1, 0)
    near = before if abs(at[before] - along) <= abs(at[after] - along) else after
    return side[near] * SIDE_M if abs(at[near] - along) <= SIDE_REACH_M else 0.0


@jit
def place_at(line: Any, p: int, step_m: float, k: int) -> Any:
    """Give x and y of place p, at or near piece k."""
    along = p * step_m
    x, y = on_line(line, along, k)
    shift = shift_of(line, along)
    if shift != 0.0:
        dx, dy = ahead_of(line, along, k, step_m / 2)
        x, y = x + shift * dy, y - shift * dx
    return x, y


@jit
def place_near(along_m: float, step_m: float, n: int, line: Any) -> Any:
    """Give x and y of the nearest place to that many metres along."""
    p = min(max(round(along_m / step_m), 0), n - 1)
    return place_at(line, p, step_m, piece_of(line[2], p * step_m))


@jit
def offset_of(along_m: float, px: float, py: float, step_m: float, n: int, line: Any) -> float:
    """Measure how far beside the line a point is, seen from that many metres along it; right of travel is positive."""
    at = min(max(along_m / step_m, 0.0), n - 1.0)
    i = min(int(at), max(n - 2, 0))
    j, part = min(i + 1, n - 1), at - i
    k = piece_of(line[2], i * step_m)
    x1, y1 = place_at(line, i, step_m, k)
    x2, y2 = place_at(line, j, step_m, k)
    ahead_x, ahead_y = ahead_of(line, (i if part < 0.5 else j) * step_m, k, step_m / 2)
    return float((px - (x1 + part * (x2 - x1))) * ahead_y - (py - (y1 + part * (y2 - y1))) * ahead_x)


@jit
def nearest_to(px: float, py: float, step_m: float, n: int, line: Any) -> Any:
    """Find the nearest place of all: (metres along, distance with its sign as in `offset_of`)."""
    widest = step_m + (2 * SIDE_M if len(line[3]) else 0.0)
    best, found, p, k = 1e300, 0, 0, 0
    while p < n:
        while k < len(line[2]) - 2 and line[2][k + 1] <= p * step_m:
            k += 1
        x, y = place_at(line, p, step_m, k)
        away = sqrt((x - px) ** 2 + (y - py) ** 2)
        if away < best:
            best, found = away, p
        p += max(int((away - best) / widest), 1)
    sign = -1.0 if offset_of(found * step_m, px, py, step_m, n, line) < 0 else 1.0
    return found * step_m, sign * best


@jit
def look_at(point: Array, line: Any, p: int, k: int, step_m: float, found: int, places: Ints, seen: Array) -> int:
    """Note place p where it is within reach; return how many places are noted by then."""
    x, y = place_at(line, p, step_m, k)
    away, reach, sigma = (x - point[PX]) ** 2 + (y - point[PY]) ** 2, point[REACH_M], point[SIGMA]
    if away > reach * reach:
        return found
    density = exp(-away * point[TEMPER] / (2 * sigma * sigma)) / (2 * pi * sigma * sigma)
    places[found], seen[0, found], seen[1, found] = p, density, density
    if point[HX] != 0.0 or point[HY] != 0.0:
        ahead_x, ahead_y = ahead_of(line, p * step_m, k, step_m / 2)
        along = ahead_x * point[HX] + ahead_y * point[HY]
        straight = exp(HEADING_SHARPNESS * (along - 1)) / HEADING_BESSEL
        against = exp(HEADING_SHARPNESS * (-along - 1)) / HEADING_BESSEL
        seen[0, found] *= HEADING_WRONG + (1 - HEADING_WRONG) * straight
        seen[1, found] *= HEADING_WRONG + (1 - HEADING_WRONG) * against
    return found + 1


@jit
def see(point: Array, line: Any, step_m: float, n: int, places: Ints, seen: Array) -> int:
    """List the places within reach and the density with which each gives the fix, walked forwards (row 0) and backwards (row 1).

    Pieces of the line are passed over by how far away they begin; on each of the others the places beside the fix are looked at.
    """
    x, y, cumulative = line[0], line[1], line[2]
    px, py, pieces = point[PX], point[PY], len(cumulative) - 1
    reach = point[REACH_M] + (SIDE_M if len(line[3]) else 0.0) + _SLACK_M
    found, p, k = 0, 0, 0
    while k < pieces:
        dx, dy = px - x[k], py - y[k]
        away2 = dx * dx + dy * dy
        free = cumulative[k] + sqrt(away2) - reach
        if cumulative[k + 1] < free:
            while k < pieces and cumulative[k + 1] < free:
                k += 1
            continue
        length = max(cumulative[k + 1] - cumulative[k], 1e-9)
        beside = (dx * (x[k + 1] - x[k]) + dy * (y[k + 1] - y[k])) / length
        wide = sqrt(max(reach * reach - (away2 - beside * beside), 0.0))
        low, high = max(beside - wide, 0.0), min(beside + wide, length)
        if low <= high:
            p = max(p, ceil((cumulative[k] + low) / step_m - _SLACK_M))
            last = min(floor((cumulative[k] + high) / step_m + _SLACK_M), n - 1)
            while p <= last:
                found = look_at(point, line, p, k, step_m, found, places, seen)
                p += 1
        k += 1
    return found
