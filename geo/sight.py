"""What a fix says of the places of a course: which are near enough, and how likely each is to give that fix."""

from collections.abc import Sequence
from math import cos, hypot, isfinite, pi, radians, sin
from typing import NamedTuple

import numpy as np

from geo.belief import Sight
from geo.course import Course
from geo.motion import Model
from geo.positions import Array, Fix, is_plausible

SHARP_M = 40.0
USELESS_M = 100.0
REACH_SIGMAS, NEAREST_REACH_M, WIDEST_REACH_M = 3.0, 35.0, 250.0
_UNKNOWN_M = 20.0
_TO_SIGMA = 1.515
_CHUNK = 64
_MOVING_MPS = 1.0
HEADING_SHARPNESS = 2.5
HEADING_WRONG = 0.15
HEADING_BESSEL = float(np.i0(HEADING_SHARPNESS)) * float(np.exp(-HEADING_SHARPNESS))


class Point(NamedTuple):
    """A fix on the plane of a course: metres, unix seconds, standard deviation per axis; heading as a unit vector or None."""

    at: float
    x: float
    y: float
    sigma_m: float
    is_sharp: bool
    heading: tuple[float, float] | None = None


def is_usable(fix: Fix) -> bool:
    """Tell whether a fix says anything: a real place, known to 100 m or better, or to nobody knows what."""
    accuracy = fix.accuracy_m
    if accuracy is not None and not (isfinite(accuracy) and accuracy <= USELESS_M):
        return False
    return is_plausible(fix.lat, fix.lon)


def points_of(course: Course, fixes: Sequence[Fix], model: Model) -> list[Point]:
    """Put usable fixes on the plane of a course."""
    if not fixes:
        return []
    x, y = course.plane.xy(np.array([fix.lat for fix in fixes]), np.array([fix.lon for fix in fixes]))
    return [
        Point(fix.fixed_at.timestamp(), px, py, sigma_of(fix, model), is_sharp(fix), heading_of(fix))
        for fix, px, py in zip(fixes, x.tolist(), y.tolist(), strict=True)
    ]


def sigma_of(fix: Fix, model: Model) -> float:
    """Give the standard deviation per axis of a fix around the line: its own error, and how far beside it carriers walk."""
    accuracy = fix.accuracy_m if fix.accuracy_m and fix.accuracy_m > 0 else _UNKNOWN_M
    return hypot(max(accuracy / _TO_SIGMA, 3.0), model.beside_m)


def is_sharp(fix: Fix) -> bool:
    """Tell whether a fix can say that the carrier is off the round: an accuracy that is known, and 40 m or better."""
    return fix.accuracy_m is not None and 0 < fix.accuracy_m <= SHARP_M


def sights_of(course: Course, points: Sequence[Point], gaps_s: Sequence[float], model: Model) -> list[Sight]:
    """See the places near each point; `gaps_s` are the seconds since the one before: errors close in time are alike."""
    found: list[Sight] = []
    size = max(1, min(_CHUNK, 400_000 // course.places))
    for start in range(0, len(points), size):
        found += _some(course, points[start : start + size], gaps_s[start : start + size], model)
    return found


def _some(course: Course, points: Sequence[Point], gaps_s: Sequence[float], model: Model) -> list[Sight]:
    px, py = np.array([p.x for p in points]), np.array([p.y for p in points])
    reach = np.array([reach_of(p.sigma_m) for p in points])
    away = (course.x - px[:, None]) ** 2
    away += (course.y - py[:, None]) ** 2
    rows, places = np.nonzero(away <= (reach**2)[:, None])
    sigma = np.array([p.sigma_m for p in points])
    temper = np.array([tempering(gap, model) for gap in gaps_s])
    density = np.exp(-away[rows, places] * (temper / (2 * sigma**2))[rows]) * (1 / (2 * pi * sigma**2))[rows]
    edges = np.searchsorted(rows, np.arange(len(points) + 1))
    return [
        _headed(course, point, Sight(places[low:high], density[low:high], density[low:high]))
        for point, low, high in zip(points, edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]


def seen_standing(sight: Sight, point: Point, model: Model) -> Sight:
    """Weigh a fix less where the carrier stands still: his distance from the line is then an error that lasts."""
    peak = 1 / (2 * pi * point.sigma_m**2)
    return Sight(
        sight.places,
        peak * (sight.density / peak) ** model.still_temper,
        peak * (sight.reversed_density / peak) ** model.still_temper,
    )


def reach_of(sigma_m: float) -> float:
    """Give the distance within which places are looked at."""
    return min(max(REACH_SIGMAS * sigma_m, NEAREST_REACH_M), WIDEST_REACH_M)


def tempering(gap_s: float, model: Model) -> float:
    """Weigh a fix less the sooner it follows another: phones err alike for some seconds."""
    return gap_s / (gap_s + model.correlated_s) if gap_s < 1e9 else 1.0


def sight_of_stop(course: Course, along_m: float, sigma_m: float) -> Sight:
    """See the places around a stop that was scanned or served."""
    middle = along_m / course.step_m
    reach = int(3 * sigma_m / course.step_m) + 1
    places = np.arange(max(int(middle) - reach, 0), min(int(middle) + reach + 1, course.places))
    density = np.exp(-0.5 * ((places - middle) * course.step_m / sigma_m) ** 2) / (2 * pi * sigma_m**2)
    return Sight(places, density, density)


def heading_of(fix: Fix) -> tuple[float, float] | None:
    """Give the direction of a phone in movement as a unit vector, where it is known."""
    if fix.heading_deg is None or fix.speed_mps is None or not fix.speed_mps >= _MOVING_MPS:
        return None
    if not isfinite(fix.heading_deg):
        return None
    angle = radians(fix.heading_deg)
    return sin(angle), cos(angle)


def _headed(course: Course, point: Point, sight: Sight) -> Sight:
    """Weigh places by the direction of movement: a von Mises distribution, and some part that says nothing."""
    if point.heading is None or not len(sight.places):
        return sight
    along = course.ahead_x[sight.places] * point.heading[0] + course.ahead_y[sight.places] * point.heading[1]
    return Sight(sight.places, sight.density * _agreement(along), sight.density * _agreement(-along))


def _agreement(along: Array) -> Array:
    peaked = np.exp(HEADING_SHARPNESS * (along - 1)) / HEADING_BESSEL
    return np.asarray(HEADING_WRONG + (1 - HEADING_WRONG) * peaked)
