"""The ground under the fictional town: streets, river, parks and buildings drawn from its rounds and doors.

Pure: the same town gives the same bytes. Everything is computed on a flat plane in metres around the town's middle.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import orjson

from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.layout import METRES_PER_DEGREE, SITES, TOWN, PlannedStop, Point, RoundPlan
from fieldsvc.simulate.names import LARGE_KINDS
from fieldsvc.simulate.town import LABEL, Town

RIVER = "L'Arve"
ATTRIBUTION = {"fr": "Données fictives", "en": "Fictional data"}
BIN_M = 60.0  # a street's middle is found every so many metres
NEIGHBOURS_M = 260.0  # streets whose ends are nearer than this are joined by a cross street
RIVER_HALF_M, BANK_M, RIVER_GOES_ON_M = 26.0, 70.0, 14_000.0
GRID_M, PARK_FROM_M, WOOD_FROM_M = 40.0, 46.0, 120.0
MOST_PARKS = 90
_PARK_NAMES = (
    "Parc des Lavandières", "Square du Beffroi", "Jardin du Pressoir", "Bois Rond", "Parc de l'Octroi", "Jardin des Semailles",
    "Square des Horlogers", "Parc du Belvédère", "Jardin de la Halle", "Parc de la Filature", "Square de la Source", "Jardin des Potiers",
)  # fmt: skip

Polygon = list[Point]


@dataclass(frozen=True, slots=True)
class Flat:
    """A plane in metres around a middle; good to some tens of kilometres for drawing."""

    lon: float
    lat: float

    @property
    def _east(self) -> float:
        return METRES_PER_DEGREE * math.cos(math.radians(self.lat))

    def metres(self, lon: float, lat: float) -> Point:
        """Return (east, north) in metres."""
        return (lon - self.lon) * self._east, (lat - self.lat) * METRES_PER_DEGREE

    def degrees(self, point: Point) -> Point:
        """Return (lon, lat), rounded to a decimetre."""
        return round(self.lon + point[0] / self._east, 6), round(self.lat + point[1] / METRES_PER_DEGREE, 6)


@dataclass(frozen=True, slots=True)
class Lane:
    """One street of one round: its middle line in metres, and its doors with the direction of the street there."""

    name: str
    middle: tuple[Point, ...]
    doors: tuple[Point, ...]

    @property
    def is_large(self) -> bool:
        return self.name.split()[0] in LARGE_KINDS


def basemap(town: Town) -> bytes:
    """Draw the town as one GeoJSON FeatureCollection, a few megabytes of UTF-8.

    Each feature has a `kind`: water, park, building, street (with `rank` large, small or path) or label (with `rank` town,
    site, park or water); what has a `name` can be labelled.
    """
    flat = _flat(town.dense)
    rng = seeded("basemap", town.seed)
    lanes = [lane for plan in town.dense for lane in lanes_of(plan, flat)]
    roads = [lane for plan in town.country for lane in lanes_of(plan, flat, winding=True)]
    doors = [door for lane in lanes for door in lane.doors]
    taken = [*doors, *(door for road in roads for door in road.doors)]
    taken += [point for plan in town.rounds for point in _line(plan, flat)]
    features = [
        *_water(doors, flat),
        *_parks(taken, flat, rng=rng),
        *_buildings([*lanes, *roads], flat, rng=rng),
        *_streets(town.rounds, lanes, roads, flat),
        *_labels(town.rounds, flat),
    ]
    head = {"type": "FeatureCollection", "name": TOWN, "description": LABEL, "attribution": ATTRIBUTION}
    return orjson.dumps({**head, "features": features})


def lanes_of(plan: RoundPlan, flat: Flat, *, winding: bool = False) -> Iterator[Lane]:
    """Yield the streets of a round with their middle lines, in the order they are walked.

    The middle is found between the doors of both sides; of a winding road, which has no two sides, it is the planned line.
    """
    line = _line(plan, flat)
    by_street: dict[str, list[PlannedStop]] = defaultdict(list)
    for stop in plan.stops:
        by_street[stop.point.street].append(stop)
    for name, stops in by_street.items():
        doors = tuple(flat.metres(stop.point.lon, stop.point.lat) for stop in stops)
        yield Lane(name, _part(line, doors) if winding else _middle(doors), doors)


def _part(line: Sequence[Point], doors: Sequence[Point]) -> tuple[Point, ...]:
    """Return the part of a line from the first to the last of the doors."""
    near = [min(range(len(line)), key=lambda n: math.dist(line[n], door)) for door in (doors[0], doors[-1])]
    return tuple(line[max(0, min(near) - 1) : max(near) + 2])


def _middle(doors: Sequence[Point]) -> tuple[Point, ...]:
    """Run a line between the doors of both sides: their mean in each bin along the street."""
    (cx, cy), (dx, dy) = _axis(doors)
    along = sorted(((x - cx) * dx + (y - cy) * dy, (y - cy) * dx - (x - cx) * dy) for x, y in doors)
    first, last = along[0][0], along[-1][0]
    count = max(1, round((last - first) / BIN_M))
    width = (last - first) / count or 1.0
    places = [(first, _offset(along, first, BIN_M))]
    places += [(at, _offset(along, at, BIN_M)) for at in (first + width * (n + 0.5) for n in range(count))]
    places.append((last, _offset(along, last, BIN_M)))
    return tuple((cx + s * dx - o * dy, cy + s * dy + o * dx) for s, o in places)


def _axis(points: Sequence[Point]) -> tuple[Point, Point]:
    """Return the mean and the direction in which the points are spread most."""
    cx, cy = (sum(values) / len(points) for values in zip(*points, strict=True))
    xx = sum((x - cx) ** 2 for x, _ in points)
    yy = sum((y - cy) ** 2 for _, y in points)
    xy = sum((x - cx) * (y - cy) for x, y in points)
    angle = math.atan2(2 * xy, xx - yy) / 2
    return (cx, cy), (math.cos(angle), math.sin(angle))


def _offset(along: Sequence[Point], at: float, reach: float) -> float:
    """Return how far the middle between the two sides is from the axis, near a place along it."""
    near = [offset for place, offset in along if abs(place - at) <= reach] or [offset for _, offset in along]
    mean = sum(near) / len(near)
    sides = [[o for o in near if o > mean], [o for o in near if o <= mean]]
    means = [sum(side) / len(side) for side in sides if side]
    return sum(means) / len(means)


def _streets(
    rounds: Iterable[RoundPlan], lanes: Sequence[Lane], roads: Sequence[Lane], flat: Flat
) -> Iterator[dict[str, Any]]:
    """Draw what is walked, the streets of the town by name with the streets across, and the roads around it."""
    for plan in rounds:
        yield _feature("street", "LineString", [flat.degrees(p) for p in _line(plan, flat)], rank="path")
    for lane in [*lanes, *roads]:
        rank = "large" if lane.is_large else "small"
        yield _feature("street", "LineString", [flat.degrees(p) for p in lane.middle], rank=rank, name=lane.name)
    for one, other in itertools.pairwise(lanes):
        for near in (one.middle[0], one.middle[-1]):
            far = min((other.middle[0], other.middle[-1]), key=lambda end: math.dist(end, near))
            if math.dist(near, far) < NEIGHBOURS_M:
                yield _feature("street", "LineString", [flat.degrees(near), flat.degrees(far)], rank="small")


def _buildings(lanes: Iterable[Lane], flat: Flat, *, rng: Random) -> Iterator[dict[str, Any]]:
    """Set a house behind each door, one feature for each street."""
    for lane in lanes:
        pitch = math.dist(lane.middle[0], lane.middle[-1]) / max(1, len(lane.doors) / 2)
        houses = [_house(door, lane.middle, pitch=pitch, rng=rng) for door in lane.doors]
        rings = [[[flat.degrees(corner) for corner in [*house, house[0]]]] for house in houses]
        yield _feature("building", "MultiPolygon", rings)


def _house(door: Point, middle: Sequence[Point], *, pitch: float, rng: Random) -> Polygon:
    """Draw a rectangle whose front stands at the door, along its street."""
    (ax, ay), (bx, by) = min(itertools.pairwise(middle), key=lambda piece: _gap(door, *piece))
    length = math.dist((ax, ay), (bx, by)) or 1.0
    dx, dy = (bx - ax) / length, (by - ay) / length
    left = (door[1] - ay) * dx - (door[0] - ax) * dy > 0
    nx, ny = (-dy, dx) if left else (dy, -dx)
    half = min(max(pitch * rng.uniform(0.3, 0.47), 2.5), 9.0)
    depth = rng.uniform(7.0, 12.5)
    set_back = rng.uniform(0.5, 2.5)
    x, y = door[0] + nx * set_back, door[1] + ny * set_back
    return [
        (x - dx * half, y - dy * half),
        (x + dx * half, y + dy * half),
        (x + dx * half + nx * depth, y + dy * half + ny * depth),
        (x - dx * half + nx * depth, y - dy * half + ny * depth),
    ]


def _gap(point: Point, start: Point, end: Point) -> float:
    """Return the distance in metres between a point and a piece of line."""
    vx, vy = end[0] - start[0], end[1] - start[1]
    square = vx * vx + vy * vy
    share = ((point[0] - start[0]) * vx + (point[1] - start[1]) * vy) / square if square else 0.0
    share = min(1.0, max(0.0, share))
    return math.dist(point, (start[0] + share * vx, start[1] + share * vy))


def _water(doors: Sequence[Point], flat: Flat) -> Iterator[dict[str, Any]]:
    """Let the river pass south of the town, as near as the doors allow, and leave it on both sides."""
    (cx, cy), (dx, dy) = _axis(doors)
    if dx < 0:
        dx, dy = -dx, -dy
    along = [((x - cx) * dx + (y - cy) * dy, (y - cy) * dx - (x - cx) * dy) for x, y in doors]
    first, last = min(s for s, _ in along) - RIVER_GOES_ON_M, max(s for s, _ in along) + RIVER_GOES_ON_M
    step = 120.0
    steps = [first + step * n for n in range(int((last - first) / step) + 1)]
    southern = [min((o for s, o in along if abs(s - at) < 260), default=math.inf) for at in steps]
    edge = min(southern)
    shore = [
        (edge + 120 * math.sin(at / 900) if math.isinf(low) else low) for at, low in zip(steps, southern, strict=True)
    ]
    course = _smooth([min(shore[max(0, n - 5) : n + 6]) for n in range(len(shore))], 6)
    banks: tuple[Polygon, Polygon] = ([], [])
    for at, low in zip(steps, course, strict=True):
        half = RIVER_HALF_M * (1.15 + 0.25 * math.sin(at / 500))
        for bank, sign in zip(banks, (1, -1), strict=True):
            offset = low - BANK_M - RIVER_HALF_M + sign * half
            bank.append((cx + at * dx - offset * dy, cy + at * dy + offset * dx))
    ring = [flat.degrees(point) for point in [*banks[0], *reversed(banks[1]), banks[0][0]]]
    yield _feature("water", "Polygon", [ring])
    middle = [flat.degrees(((a[0] + b[0]) / 2, (a[1] + b[1]) / 2)) for a, b in zip(*banks, strict=True)]
    yield _feature("label", "LineString", middle, rank="water", name=RIVER)


def _smooth(values: Sequence[float], reach: int) -> list[float]:
    return [sum(part) / len(part) for part in (values[max(0, n - reach) : n + reach + 1] for n in range(len(values)))]


def _parks(taken: Sequence[Point], flat: Flat, *, rng: Random) -> Iterator[dict[str, Any]]:
    """Put greenery where no door and no street is: parks in the holes of the town, and woods around it."""
    near = _Near(taken)
    places = sorted(near.around())
    rng.shuffle(places)
    names = iter(_PARK_NAMES)
    chosen: list[tuple[float, Point]] = []
    for point in places:
        room = near.distance(point)
        if room > PARK_FROM_M and all(math.dist(point, other) > 1.6 * (room + far) for far, other in chosen):
            chosen.append((room, point))
            for middle, radius in _grove(point, room, rng):
                yield _feature("park", "Polygon", [[flat.degrees(p) for p in _blob(middle, radius, rng)]])
            if room < WOOD_FROM_M and (name := next(names, None)) is not None:
                yield _feature("label", "Point", flat.degrees(point), rank="park", name=name)
        if len(chosen) == MOST_PARKS:
            return


def _grove(middle: Point, room: float, rng: Random) -> Iterator[tuple[Point, float]]:
    """Yield round shapes that together make one soft, irregular one within `room` metres."""
    turn = rng.uniform(0, math.tau)
    for radius in (0.62, 0.5, 0.42):
        far = room * (0.92 - radius) * rng.uniform(0.5, 1.0)
        yield (middle[0] + far * math.cos(turn), middle[1] + far * math.sin(turn)), room * radius
        turn += rng.uniform(1.6, 2.8)


def _blob(middle: Point, radius: float, rng: Random) -> Polygon:
    """Draw a closed, softly irregular round shape that stays within the radius."""
    a, b = rng.uniform(0, math.tau), rng.uniform(0, math.tau)
    ring = []
    for n in range(28):
        turn = math.tau * n / 28
        far = radius * (0.82 + 0.1 * math.sin(2 * turn + a) + 0.08 * math.sin(3 * turn + b))
        ring.append((middle[0] + far * math.cos(turn), middle[1] + far * math.sin(turn)))
    return [*ring, ring[0]]


class _Near:
    """Finds how far the nearest of many points is, up to `REACH_M`."""

    REACH_M = 240.0

    def __init__(self, points: Iterable[Point]) -> None:
        self._cells: dict[tuple[int, int], list[Point]] = defaultdict(list)
        for point in points:
            self._cells[self._cell(point)].append(point)

    def _cell(self, point: Point) -> tuple[int, int]:
        return math.floor(point[0] / GRID_M), math.floor(point[1] / GRID_M)

    def around(self) -> set[Point]:
        """Return the middles of the empty cells within reach of a point."""
        reach = int(self.REACH_M / GRID_M)
        steps = [(dx, dy) for dx in range(-reach, reach + 1) for dy in range(-reach, reach + 1)]
        cells = {(x + dx, y + dy) for x, y in self._cells for dx, dy in steps} - self._cells.keys()
        return {((x + 0.5) * GRID_M, (y + 0.5) * GRID_M) for x, y in cells}

    def distance(self, point: Point) -> float:
        """Return the metres to the nearest point, at most the reach."""
        x, y = self._cell(point)
        best = self.REACH_M
        for ring in range(int(self.REACH_M / GRID_M) + 1):
            if (ring - 1) * GRID_M > best:
                break
            for cell in _ring(x, y, ring):
                for other in self._cells.get(cell, ()):
                    best = min(best, math.dist(point, other))
        return best


def _ring(x: int, y: int, ring: int) -> Iterator[tuple[int, int]]:
    """Yield the cells at exactly `ring` cells from the one at (x, y)."""
    if ring == 0:
        yield x, y
        return
    for n in range(-ring, ring + 1):
        yield x + n, y - ring
        yield x + n, y + ring
    for n in range(-ring + 1, ring):
        yield x - ring, y + n
        yield x + ring, y + n


def _labels(rounds: Sequence[RoundPlan], flat: Flat) -> Iterator[dict[str, Any]]:
    starts = {plan.site: plan.line[0] for plan in rounds}
    for site in (*SITES, *sorted(set(starts) - set(SITES))):
        if site in starts:
            yield _feature("label", "Point", starts[site], rank="site", name=site.replace("-", " ").title())
    yield _feature("label", "Point", (flat.lon, flat.lat), rank="town", name=TOWN)


def _flat(rounds: Sequence[RoundPlan]) -> Flat:
    points = [point for plan in rounds for point in plan.line]
    return Flat(*(sum(values) / len(points) for values in zip(*points, strict=True)))


def _line(plan: RoundPlan, flat: Flat) -> list[Point]:
    return [flat.metres(lon, lat) for lon, lat in plan.line]


def _feature(kind: str, shape: str, coordinates: object, **properties: str) -> dict[str, Any]:
    return {
        "type": "Feature",
        "geometry": {"type": shape, "coordinates": coordinates},
        "properties": {"kind": kind, **properties},
    }
