"""How a run goes: its pace, learnt between sure places, and where the carrier stands still."""

from math import hypot

from geo.belief import Filter, Spot
from geo.motion import (
    PACE_LEARNT,
    PACE_LEAST,
    PACE_MOST,
    PACE_MOVED_M,
    PACE_WITHIN_S,
    STANDING_LEARNT,
    STANDING_WITHIN,
    STILL_WITHIN,
    SURE,
    stands_after_s,
)
from geo.sight import Point
from geo.state import Dwell, State
from geo.telling import OFF


def stands_still(which: Filter, standing: Dwell, point: Point) -> bool:
    """Tell whether a fix is where the carrier surely was just before: nobody gets to another pass without moving."""
    if standing.at_m < 0 or point.at - standing.since < stands_after_s(which.model, point.sigma_m):
        return False
    x, y = which.course.point(standing.at_m)
    return hypot(point.x - x, point.y - y) <= STILL_WITHIN * point.sigma_m


def stood(which: Filter, standing: Dwell, along_m: float, point: Point) -> Dwell:
    """Follow where the carrier stands, on whatever pass: as long as his places stay within the accuracy of the fixes."""
    x, y = which.course.point(standing.at_m)
    here_x, here_y = which.course.point(along_m)
    if standing.at_m < 0 or hypot(here_x - x, here_y - y) > STANDING_WITHIN * point.sigma_m:
        return Dwell(along_m, point.at)
    if abs(along_m - standing.at_m) > STANDING_WITHIN * point.sigma_m:
        return standing
    return Dwell(standing.at_m + STANDING_LEARNT * (along_m - standing.at_m), standing.since)


def paced(state: State, spot: Spot, off: float, *, dt_s: float, usual_mps: float) -> tuple[float, float]:
    """Learn from a step between two sure places how fast this run is: (pace, the sure place or -1)."""
    if off >= OFF or spot.confidence < SURE:
        return state.pace_mps, -1.0
    pace = state.pace_mps or usual_mps
    if state.sure_m >= 0 and dt_s > 0:
        walked = (spot.along_m - state.sure_m) * (-1 if spot.reversed else 1)
        if walked > PACE_MOVED_M and dt_s < PACE_WITHIN_S:
            low, high = PACE_LEAST * usual_mps, PACE_MOST * usual_mps
            pace = min(max(pace + PACE_LEARNT * (min(walked / dt_s, 2 * high) - pace), low), high)
    return pace, spot.along_m
