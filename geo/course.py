"""The line of a round as the matcher reads it: places 5 m apart, with their direction and the side that is served."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from threading import Lock

import numpy as np
import numpy.typing as npt

from geo.positions import Array, Plane

Ints = npt.NDArray[np.int64]
STEP_M = 5.0
SIDE_M = 4.0
_MOST_PLACES = 60_000
SIDE_REACH_M = 15.0
_RECENT_PLACES = 1_000_000
Walked = tuple[
    Array, Array, Array, Array, Array
]  # x, y, cumulative metres; metres along of stops whose side is told, and +1 right or -1 left


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

    def point(self, along_m: float) -> tuple[float, float]:
        """Give the nearest place to that many metres along, on the plane."""
        i = min(max(round(along_m / self.step_m), 0), len(self.x) - 1)
        return self.x.item(i), self.y.item(i)

    def offset_m(self, along_m: float, px: float, py: float) -> float:
        """Measure how far beside the line a point is, seen from that many metres along it; right of travel is positive."""
        x, y = self.x.item, self.y.item
        at = min(max(along_m / self.step_m, 0.0), len(self.x) - 1.0)
        i = min(int(at), max(len(self.x) - 2, 0))
        j, part = min(i + 1, len(self.x) - 1), at - i
        k = i if part < 0.5 else j
        dx, dy = px - (x(i) + part * (x(j) - x(i))), py - (y(i) + part * (y(j) - y(i)))
        return dx * self.ahead_y.item(k) - dy * self.ahead_x.item(k)

    def nearest(self, px: float, py: float) -> tuple[float, float]:
        """Find the nearest place of all: (metres along, distance with its sign as in `offset_m`)."""
        off = np.hypot(self.x - px, self.y - py)
        i = int(np.argmin(off))
        sign = -1.0 if self.offset_m(i * self.step_m, px, py) < 0 else 1.0
        return min(i * self.step_m, self.length_m), sign * float(off[i])


def cut(length_m: float) -> tuple[float, int]:
    """Say how far apart the places of a line are, and how many there are."""
    step = max(STEP_M, length_m / _MOST_PLACES)
    return step, int(length_m / step) + 1


def lay_course(plane: Plane, walked: Walked) -> Course:
    """Cut a line into places."""
    x, y, cumulative, side_at, side = walked
    length = float(cumulative[-1])
    step, places = cut(length)
    along = np.arange(places, dtype=np.float64) * np.float64(step)
    at_x, at_y = np.interp(along, cumulative, x), np.interp(along, cumulative, y)
    half = step / 2
    dx = np.interp(along + half, cumulative, x) - np.interp(along - half, cumulative, x)
    dy = np.interp(along + half, cumulative, y) - np.interp(along - half, cumulative, y)
    size = np.maximum(np.hypot(dx, dy), 1e-9)
    dx, dy = dx / size, dy / size
    if len(side_at):
        shift = _shift(along, side_at, side)
        at_x, at_y = at_x + shift * dy, at_y - shift * dx
    return Course(plane, step, length, at_x, at_y, dx, dy)


def _shift(along: Array, side_at: Array, side: Array) -> Array:
    """Give each place the side of the nearest stop within 15 m along; 0 where there is none."""
    after = np.clip(np.searchsorted(side_at, along), 0, len(side_at) - 1)
    before = np.maximum(after - 1, 0)
    near = np.where(np.abs(side_at[before] - along) <= np.abs(side_at[after] - along), before, after)
    close = np.abs(side_at[near] - along) <= SIDE_REACH_M
    return np.asarray(np.where(close, side[near] * SIDE_M, 0.0), dtype=np.float64)


class Recent:
    """The courses of the rounds matched last: one is laid in a fraction of a millisecond, and takes more than all else of a round."""

    def __init__(self, *, places: int = _RECENT_PLACES) -> None:
        self._most, self._places, self._lock = places, 0, Lock()
        self._known: OrderedDict[int, tuple[object, Course]] = OrderedDict()

    def of(self, whose: object, lay: Callable[[], Course]) -> Course:
        """Return the course of a thing, and lay it where it is not known any more."""
        with self._lock:
            found = self._known.get(id(whose))
            if found is not None:
                self._known.move_to_end(id(whose))
                return found[1]
        course = lay()
        with self._lock:
            if id(whose) not in self._known:
                self._known[id(whose)] = whose, course  # kept with it: its id stays its own
                self._places += course.places
            while self._places > self._most and len(self._known) > 1:
                _id, (_whose, gone) = self._known.popitem(last=False)
                self._places -= gone.places
        return course


RECENT = Recent()
