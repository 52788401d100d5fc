"""Rural van rounds around the town: a sector each, hamlets along its roads, and farms at the end of their lanes.

Drawn on the plane of the town in metres: from the site out, along the rings of the sector, and back towards the town.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from random import Random

from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.layout import SITES, DeliveryPoint, Plane, PlannedStop, Point, RoundPlan, densify, site_of
from fieldsvc.simulate.names import STREET_NAMES, VILLAGES

RINGS_M = (8_600.0, 6_900.0, 5_200.0)
NODE_EVERY_M = 1_300.0
LANES_UNTIL_M = 80_000.0
STOPS_AT_MOST = 240
BOX_OFF_M = 3.0


@dataclass(frozen=True, slots=True)
class Village:
    """The commune that one rural round serves; nobody has its INSEE code or its postcode."""

    number: int
    name: str

    @property
    def insee_code(self) -> str:
        return f"999{self.number + 1:02d}"

    @property
    def postcode(self) -> str:
        return f"99{920 + self.number}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """A straight piece of road or lane; `at` gives the place some metres along it and beside it (left is positive)."""

    start: Point
    end: Point

    @property
    def length_m(self) -> float:
        return math.dist(self.start, self.end)

    def at(self, along_m: float, left_m: float = 0.0) -> Point:
        ux, uy = (self.end[0] - self.start[0]) / self.length_m, (self.end[1] - self.start[1]) / self.length_m
        return self.start[0] + ux * along_m - uy * left_m, self.start[1] + uy * along_m + ux * left_m


@dataclass(slots=True)
class Tour:
    """One round while it is drawn: the path on the plane, and the houses in the order of their letterboxes."""

    village: Village
    plane: Plane
    rng: Random
    names: Iterator[str]
    path: list[Point] = field(default_factory=list)
    houses: list[tuple[str, DeliveryPoint]] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    streets: int = 0
    length_m: float = 0.0

    def go(self, place: Point) -> None:
        """Drive to a place."""
        if self.path and math.dist(self.path[-1], place) < 1.0:
            return
        self.length_m += math.dist(self.path[-1], place) if self.path else 0.0
        self.path.append(place)

    def street(self, kind: str) -> tuple[str, str]:
        """Name a new street or lane; return its code and name."""
        self.streets += 1
        return f"{self.streets * 10:04d}", f"{kind} {next(self.names)}"

    def house(
        self, street: tuple[str, str], road: Stretch, *, along_m: float, left_m: float, box: Point | None = None
    ) -> None:
        """Set a house; its number is its metres along the street, as the country counts, odd on the left."""
        village, (code, name) = self.village, street
        number = max(0, round(along_m)) // 2 * 2 + (1 if left_m > 0 else 2)
        while (point_id := f"{village.insee_code}_{code}_{number:05d}") in self.ids:
            number += 2
        self.ids.add(point_id)
        lon, lat = self.plane.place(*road.at(along_m, left_m))
        about = (village.name, village.postcode, village.insee_code, self.plane.place(*box) if box else None)
        point = DeliveryPoint(point_id, number, "", name, code, lat, lon, *about)
        self.houses.append(("left" if left_m > 0 else "right", point))


def lay_out_country(seed: int, *, rounds: int) -> list[RoundPlan]:
    """Make the rural rounds R01… around the town of the same seed. Pure."""
    rng = seeded("town", seed)
    plane = Plane(tuple(rng.uniform(0, math.tau) for _ in range(4)))  # type: ignore[arg-type]  # four of them
    names = seeded("villages", seed).sample(VILLAGES, len(VILLAGES))
    villages = [Village(n + 1, names[n % len(names)]) for n in range(rounds)]
    return [plan_round(village, rounds=rounds, plane=plane, seed=seed) for village in villages]


def plan_round(village: Village, *, rounds: int, plane: Plane, seed: int) -> RoundPlan:
    """Draw one round in its sector of the country."""
    rng = seeded("country", seed, village.number)
    tour = Tour(village, plane, rng, iter(rng.sample(STREET_NAMES, len(STREET_NAMES))))
    middle = math.tau * (village.number - 0.5) / rounds
    east = math.cos(middle)
    site = SITES[0 if east < -0.5 else 2 if east > 0.5 else 1]
    tour.go(site_of(site))
    nodes = list(roads(middle, math.tau / max(3, rounds) * rng.uniform(0.55, 0.8), rng))
    tour.go(nodes[0])
    for start, end in pairwise(nodes):
        drive(tour, Stretch(start, end))
    stops = tuple(PlannedStop(f"st-{n}", n, side, point) for n, (side, point) in enumerate(tour.houses, 1))
    line = tuple(plane.place(x, y) for x, y in densify(tour.path))
    round_id = f"R{village.number:02d}"
    return RoundPlan(round_id, site, "van", f"{village.name} {round_id}: {stops[0].point.street}", line, stops)


def roads(middle: float, width: float, rng: Random) -> Iterator[Point]:
    """Yield the nodes of the roads of a sector: its rings from the outside in, to and fro; angles in radians."""
    low, high = middle - width / 2, middle + width / 2
    for turn, ring in enumerate(RINGS_M):
        pieces = max(2, round(width * ring / NODE_EVERY_M))
        for n in range(pieces + 1):
            share = n / pieces if turn % 2 == 0 else 1 - n / pieces
            angle, radius = low + (high - low) * share, ring + rng.uniform(-220, 220)
            yield radius * math.cos(angle), radius * math.sin(angle)


def drive(tour: Tour, road: Stretch) -> None:
    """Drive one stretch of road: perhaps a hamlet, and farms on the rest of it."""
    rng = tour.rng
    route = tour.street("Route")
    at = rng.uniform(150, 350)
    hamlet_at = rng.uniform(0.3, 0.7) * road.length_m if rng.random() < 0.5 else math.inf
    while at < road.length_m - 150 and len(tour.houses) < STOPS_AT_MOST:
        if hamlet_at <= at:
            at, hamlet_at = hamlet(tour, road, min(at, road.length_m - 400)), math.inf
        elif tour.length_m < LANES_UNTIL_M and rng.random() < 0.35:
            farm_lane(tour, road, at)
        else:
            side = rng.choice((-1, 1))
            box = road.at(at + rng.uniform(-25, 25), side * BOX_OFF_M)
            tour.house(route, road, along_m=at, left_m=side * rng.uniform(22, 52), box=box)
        at += rng.uniform(220, 620)
    tour.go(road.end)


def hamlet(tour: Tour, road: Stretch, at: float) -> float:
    """Serve a hamlet that begins `at` metres along the road, and its dead end; return where it is over.

    In one of four the letterboxes stand together at its entrance.
    """
    rng = tour.rng
    street = tour.street("Rue")
    together = road.at(at - 20, BOX_OFF_M) if rng.random() < 0.25 else None
    for _ in range(rng.randint(4, 11)):
        side = rng.choice((-1, 1))
        set_back = rng.uniform(8, 45)
        roadside = road.at(at, side * BOX_OFF_M) if set_back > 20 else None
        tour.house(street, road, along_m=at, left_m=side * set_back, box=together or roadside)
        at += rng.uniform(14, 34)
    if rng.random() < 0.6:
        dead_end(tour, road, at)
    return at


def dead_end(tour: Tour, road: Stretch, at: float) -> None:
    """Serve a side street to its end, one side on the way there and the other on the way back."""
    rng = tour.rng
    street, sign = tour.street("Impasse"), tour.rng.choice((-1, 1))
    lane = Stretch(road.at(at), road.at(at + rng.uniform(-60, 60), sign * rng.uniform(120, 260)))
    tour.go(lane.start)
    doors = sorted(rng.uniform(25, lane.length_m - 5) for _ in range(rng.randint(3, 8)))
    for along_m in doors[::2]:
        tour.house(street, lane, along_m=along_m, left_m=rng.uniform(7, 20))
    tour.go(lane.end)
    for along_m in reversed(doors[1::2]):
        tour.house(street, lane, along_m=along_m, left_m=-rng.uniform(7, 20))
    tour.go(lane.start)


def farm_lane(tour: Tour, road: Stretch, at: float) -> None:
    """Serve a farm, sometimes with a second house, at the end of its own lane."""
    rng = tour.rng
    street, sign = tour.street("Chemin"), rng.choice((-1, 1))
    lane = Stretch(road.at(at), road.at(at + rng.uniform(-150, 150), sign * rng.uniform(150, 750)))
    tour.go(lane.start)
    if rng.random() < 0.35:
        half_way = lane.length_m * rng.uniform(0.4, 0.7)
        tour.house(street, lane, along_m=half_way, left_m=rng.uniform(22, 50), box=lane.at(half_way, BOX_OFF_M))
    tour.go(lane.end)
    tour.house(street, lane, along_m=lane.length_m, left_m=rng.choice((-1, 1)) * rng.uniform(5, 20))
    tour.go(lane.start)
