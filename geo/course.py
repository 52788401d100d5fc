"""The line of a round as the matcher reads it: places 5 m apart, with their direction and the side that is served."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from geo.positions import Array, Plane

Ints = npt.NDArray[np.int64]
STEP_M = 5.0
SIDE_M = 4.0
_MOST_PLACES = 60_000
_SIDE_REACH_M = 15.0


@dataclass(frozen=True)
class Course:
    """n places in walking order, `step_m` apart: x and y on the plane in metres, and the unit vector of the direction.

    Where the plan tells on which side of the street a stop is, the places beside it are moved 4 m to that side.
    """

    plane: Plane
    step_m: float
    length_m: float
    x: Array
    y: Array
    ahead_x: Array
    ahead_y: Array

    @property
    def places(self) -> int:
        """How many places there are, at least one."""
        return len(self.x)

    @cached_property
    def as_lists(self) -> tuple[list[float], list[float], list[float], list[float]]:
        """x, y and direction as lists: a single place is read faster from them."""
        return self.x.tolist(), self.y.tolist(), self.ahead_x.tolist(), self.ahead_y.tolist()

    @cached_property
    def widest_m(self) -> float:
        """The widest gap between two neighbouring places."""
        gaps = np.hypot(np.diff(self.x), np.diff(self.y))
        return max(float(gaps.max()) if len(gaps) else 0.0, 1e-6)

    def point(self, along_m: float) -> tuple[float, float]:
        """Give the nearest place to that many metres along, on the plane."""
        x, y, _, _ = self.as_lists
        i = min(max(round(along_m / self.step_m), 0), len(x) - 1)
        return x[i], y[i]

    def offset_m(self, along_m: float, px: float, py: float) -> float:
        """Measure how far beside the line a point is, seen from that many metres along it; right of travel is positive."""
        x, y, ahead_x, ahead_y = self.as_lists
        at = min(max(along_m / self.step_m, 0.0), len(x) - 1.0)
        i = min(int(at), max(len(x) - 2, 0))
        j, part = min(i + 1, len(x) - 1), at - i
        k = i if part < 0.5 else j
        dx, dy = px - (x[i] + part * (x[j] - x[i])), py - (y[i] + part * (y[j] - y[i]))
        return dx * ahead_y[k] - dy * ahead_x[k]

    def nearest(self, px: float, py: float) -> tuple[float, float]:
        """Find the nearest place of all: (metres along, distance with its sign as in `offset_m`)."""
        off = np.hypot(self.x - px, self.y - py)
        i = int(np.argmin(off))
        sign = -1.0 if self.offset_m(i * self.step_m, px, py) < 0 else 1.0
        return min(i * self.step_m, self.length_m), sign * float(off[i])


def lay_course(plane: Plane, vertices: tuple[Array, Array, Array], sides: list[tuple[float, float]]) -> Course:
    """Cut a line (x, y, cumulative metres) into places; `sides` = (metres along, +1 right or -1 left) of stops."""
    x, y, cumulative = vertices
    length = float(cumulative[-1])
    step = max(STEP_M, length / _MOST_PLACES)
    along = np.arange(int(length / step) + 1, dtype=np.float64) * np.float64(step)
    at_x, at_y = np.interp(along, cumulative, x), np.interp(along, cumulative, y)
    half = step / 2
    dx = np.interp(along + half, cumulative, x) - np.interp(along - half, cumulative, x)
    dy = np.interp(along + half, cumulative, y) - np.interp(along - half, cumulative, y)
    size = np.maximum(np.hypot(dx, dy), 1e-9)
    dx, dy = dx / size, dy / size
    if sides:
        shift = _shift(along, sides)
        at_x, at_y = at_x + shift * dy, at_y - shift * dx
    return Course(plane, step, length, at_x, at_y, dx, dy)


def _shift(along: Array, sides: list[tuple[float, float]]) -> Array:
    """Give each place the side of the nearest stop within 15 m along; 0 where there is none."""
    stops = np.array(sorted(sides))
    after = np.clip(np.searchsorted(stops[:, 0], along), 0, len(stops) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(stops[before, 0] - along) <= np.abs(stops[after, 0] - along), before, after)
    close = np.abs(stops[near, 0] - along) <= _SIDE_REACH_M
    return np.asarray(np.where(close, stops[near, 1] * SIDE_M, 0.0), dtype=np.float64)
