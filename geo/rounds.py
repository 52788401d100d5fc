"""A planned round: its line, its stops in order, and metres along it."""

from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from math import hypot

import numpy as np

from geo.compiled import compiled
from geo.course import RECENT, Course, Walked, lay_course
from geo.errors import EmptyRound, ImplausibleRound, UnknownStop
from geo.positions import Array, Plane, is_plausible

LonLat = tuple[float, float]
MODES = ("foot", "bike", "van")
SIDES = ("left", "right")
STOP_REACH_M = 60.0
_SAME_PLACE_M = 0.05
_COST_CAP_M = 150.0
_NODE_M = 10.0
_NO_SIDES: Array = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Stop:
    """One visit of a round; degrees WGS 84; `box_at` is `(lat, lon)` of the letterbox where it is away from the door."""

    stop_id: str
    lat: float
    lon: float
    side: str | None = None
    delivery_point_id: str | None = None
    address: str | None = None
    sequence: int | None = None
    box_at: tuple[float, float] | None = None


@dataclass(frozen=True)
class Round:
    """A planned round: line of (lon, lat) in walking order, and stops in planned order.

    An empty line is drawn through the stops. What is costly is computed on first use and kept.
    """

    round_id: str
    line: tuple[LonLat, ...]
    stops: tuple[Stop, ...]
    site: str | None = None
    mode: str = "foot"
    name: str | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "line", tuple((float(lon), float(lat)) for lon, lat in self.line))
        object.__setattr__(self, "stops", tuple(self.stops))

    def __hash__(self) -> int:
        return hash((self.round_id, self.site, len(self.line), len(self.stops)))

    @cached_property
    def drawn_line(self) -> tuple[LonLat, ...]:
        """The line, or the one drawn through the stops (a place visited twice in a row is one vertex)."""
        if self.line:
            return self.line
        points = [(stop.lon, stop.lat) for stop in self.stops]
        return tuple(p for i, p in enumerate(points) if i == 0 or p != points[i - 1])

    @cached_property
    def plane(self) -> Plane:
        """The plane in metres around the middle of the round; raise EmptyRound, ImplausibleRound."""
        if not self.drawn_line:
            raise EmptyRound
        if not all(is_plausible(lat, lon) for lon, lat in self.drawn_line):
            raise ImplausibleRound
        lons, lats = zip(*self.drawn_line, strict=True)
        return Plane((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2)

    @cached_property
    def vertices(self) -> tuple[Array, Array, Array]:
        """x, y and cumulative metres of the vertices; a single place counts as a line of length 0."""
        plane = self.plane
        points = np.array(self.drawn_line if len(self.drawn_line) > 1 else self.drawn_line * 2)
        x, y = plane.xy(points[:, 1], points[:, 0])
        steps = np.hypot(np.diff(x), np.diff(y))
        return x, y, np.concatenate(([0.0], np.cumsum(steps)))

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return float(self.vertices[2][-1])

    @property
    def course(self) -> Course:
        """The line as the matcher reads it, laid again where it is not known any more; raise EmptyRound."""
        return RECENT.of(self, lambda: lay_course(self.plane, self.walked))

    @cached_property
    def walked(self) -> Walked:
        """The vertices, and where along them a side of the street is served; raise EmptyRound."""
        sides = sorted(
            (at, 1.0 if stop.side == "right" else -1.0)
            for stop, at in zip(self.stops, self.stop_distances_m.tolist(), strict=True)
            if stop.side in SIDES
        )
        if not sides:
            return (*self.vertices, _NO_SIDES, _NO_SIDES)
        return (*self.vertices, *(np.array(column) for column in zip(*sides, strict=True)))  # type: ignore[return-value]

    @cached_property
    def stop_distances_m(self) -> Array:
        """Metres along the line of each stop, never decreasing: stops are projected in order, not to the nearest point."""
        return self._projection[0]

    @cached_property
    def stop_offsets_m(self) -> Array:
        """Distance of each stop from the place on the line that its order gives it."""
        return self._projection[1]

    @cached_property
    def _projection(self) -> tuple[Array, Array]:
        if not self.stops:
            return np.zeros(0), np.zeros(0)
        if not self.line:
            return self._stops_on_own_line(), np.zeros(len(self.stops))
        lats, lons = np.array([s.lat for s in self.stops]), np.array([s.lon for s in self.stops])
        return project_in_order(self.vertices, self.plane.xy(lats, lons))

    def _stops_on_own_line(self) -> Array:
        cumulative, vertex, before, found = self.vertices[2], -1, None, []
        for stop in self.stops:
            vertex += (stop.lon, stop.lat) != before
            before = (stop.lon, stop.lat)
            found.append(cumulative[vertex])
        return np.array(found)

    @cached_property
    def _stop_index(self) -> dict[str, int]:
        return {stop.stop_id: i for i, stop in enumerate(self.stops)}

    def index_of(self, stop_id: str) -> int:
        """Find the place of a stop in the order; raise UnknownStop."""
        try:
            return self._stop_index[stop_id]
        except KeyError:
            raise UnknownStop(f"Stop {stop_id} is not on round {self.round_id}.") from None

    def distance_of(self, stop_id: str) -> float:
        """Find the metres along the line of a stop; raise UnknownStop."""
        return float(self.stop_distances_m[self.index_of(stop_id)])

    def point_at(self, distance_m: float) -> tuple[float, float]:
        """Give `(lat, lon)` of the place that many metres along the line; beyond the ends, the end."""
        cumulative = self.vertices[2]
        points = np.array(self.drawn_line if len(self.drawn_line) > 1 else self.drawn_line * 2)
        lon, lat = (float(np.interp(distance_m, cumulative, points[:, i])) for i in (0, 1))
        return lat, lon

    def problems(self) -> list[str]:
        """List in sentences what is wrong with the plan; an empty list means that it can be walked as it is."""
        if not self.drawn_line:
            return [f"Round {self.round_id} has neither a line nor stops."]
        far = [f"Position {lat}, {lon} cannot be a real place." for lon, lat in self.line if not is_plausible(lat, lon)]
        far += [f"Stop {s.stop_id} has no real position." for s in self.stops if not is_plausible(s.lat, s.lon)]
        if far:
            return far
        return [*self._problems_of_ids(), *self._problems_of_line(), *self._problems_of_order()]

    def _problems_of_ids(self) -> list[str]:
        counts = Counter(stop.stop_id for stop in self.stops)
        return [f"Stop {stop_id} is {n} times on the round." for stop_id, n in counts.items() if n > 1]

    def _problems_of_line(self) -> list[str]:
        if len(self.drawn_line) == 1:
            return [] if not self.line else ["The line has one vertex only."]
        same = np.flatnonzero(np.diff(self.vertices[2]) < _SAME_PLACE_M) if self.line else np.zeros(0)
        return [f"Vertices {i} and {i + 1} of the line are the same place." for i in same]

    def _problems_of_order(self) -> list[str]:
        found = []
        for i in np.flatnonzero(self.stop_offsets_m > STOP_REACH_M):
            stop = self.stops[i]
            near = nearest_on(self.vertices, *self.plane.xy(stop.lat, stop.lon))[1]
            if near <= STOP_REACH_M:
                found.append(f"Stop {stop.stop_id} is on the line, but not in its order.")
            else:
                found.append(f"Stop {stop.stop_id} is {near:.0f} m from the line (more than {STOP_REACH_M:.0f} m).")
        return found


def nearest_on(vertices: tuple[Array, Array, Array], px: float, py: float) -> tuple[float, float]:
    """Find the nearest point of a line: (metres along it, distance)."""
    x, y, cumulative = vertices
    fraction = project(x, y, px, py)
    off = np.hypot(x[:-1] + fraction * np.diff(x) - px, y[:-1] + fraction * np.diff(y) - py)
    k = int(np.argmin(off))
    return float(cumulative[k] + fraction[k] * (cumulative[k + 1] - cumulative[k])), float(off[k])


def project(x: Array, y: Array, px: float, py: float) -> Array:
    """Project a point on each of the m segments of a line: the fraction along each, 0..1."""
    dx, dy = np.diff(x), np.diff(y)
    length2 = np.maximum(dx * dx + dy * dy, 1e-12)
    return np.clip(((px - x[:-1]) * dx + (py - y[:-1]) * dy) / length2, 0.0, 1.0)


def project_in_order(vertices: tuple[Array, Array, Array], points: tuple[Array, Array]) -> tuple[Array, Array]:
    """Project points on a line so that metres along it never decrease, with the least sum of squared distances.

    A dynamic programme over (point, node), nodes 10 m apart at most: the best cost to have reached a node is a running
    minimum, so each point costs one vectorised pass; then each point slides to the nearest place beside its node. One
    far point counts as 150 m, so that it cannot push the others off their place. Returns (metres along, distances).
    """
    x, y, cumulative = _with_nodes(vertices)
    px, py = points
    fast = compiled()
    if fast is not None:
        metres = fast.slid(x, y, cumulative, fast.nodes_of(x, y, px, py, _COST_CAP_M**2), px, py)
    else:
        line = x.tolist(), y.tolist(), cumulative.tolist()
        nodes = _nodes_of(x, y, px, py)
        slid = [_slid(line, *one) for one in zip(nodes, px.tolist(), py.tolist(), strict=True)]
        metres = np.maximum.accumulate(np.array(slid))
    return metres, np.hypot(np.interp(metres, cumulative, x) - px, np.interp(metres, cumulative, y) - py)


def _nodes_of(x: Array, y: Array, px: Array, py: Array) -> list[int]:
    """Choose a node for each point: never one before that of the point before, with the least sum."""
    single = np.float32
    x4, y4, off, cost = (
        x.astype(single),
        y.astype(single),
        np.empty(len(x), single),
        np.empty((len(px), len(x)), single),
    )
    for i, row in enumerate(cost):
        np.square(np.subtract(x4, single(px[i]), out=row), out=row)
        np.square(np.subtract(y4, single(py[i]), out=off), out=off)
        np.minimum(np.add(row, off, out=row), single(_COST_CAP_M**2), out=row)
        if i:
            np.add(row, np.minimum.accumulate(cost[i - 1], out=off), out=row)
    nodes, last = [0] * len(cost), len(x)
    for i in range(len(cost) - 1, -1, -1):
        nodes[i] = int(np.argmin(cost[i, :last]))
        last = nodes[i] + 1
    return nodes


def _slid(line: tuple[list[float], list[float], list[float]], node: int, px: float, py: float) -> float:
    """Slide from a node to the nearest place on the two pieces that meet there."""
    x, y, cumulative = line
    best, found = float("inf"), cumulative[node]
    for k in (node - 1, node):
        if not 0 <= k < len(x) - 1:
            continue
        dx, dy = x[k + 1] - x[k], y[k + 1] - y[k]
        length2 = dx * dx + dy * dy
        part = min(max(((px - x[k]) * dx + (py - y[k]) * dy) / length2, 0.0), 1.0) if length2 else 0.0
        off = hypot(x[k] + part * dx - px, y[k] + part * dy - py)
        if off < best - 1e-9:
            best, found = off, cumulative[k] + part * (cumulative[k + 1] - cumulative[k])
    return found


def _with_nodes(vertices: tuple[Array, Array, Array]) -> tuple[Array, Array, Array]:
    x, y, cumulative = vertices
    parts = np.maximum(np.ceil(np.diff(cumulative) / _NODE_M), 1).astype(np.intp)
    starts = np.repeat(np.arange(len(parts)), parts)
    within = (np.arange(len(starts)) - np.repeat(np.cumsum(parts) - parts, parts)) / np.repeat(parts, parts)
    index = np.append(starts + within, float(len(parts)))
    whole = np.arange(len(cumulative))
    return np.interp(index, whole, x), np.interp(index, whole, y), np.interp(index, whole, cumulative)


def insertion_cost_m(
    before: tuple[float, float] | None, new: tuple[float, float], after: tuple[float, float] | None
) -> float:
    """Count the metres that a visit adds between two neighbours (plane metres; None = end of the round)."""
    cost = 0.0
    for end in (before, after):
        cost += hypot(new[0] - end[0], new[1] - end[1]) if end else 0.0
    if before and after:
        cost -= hypot(before[0] - after[0], before[1] - after[1])
    return cost
