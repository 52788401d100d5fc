"""Geometry of the fictional town: districts of parallel streets, one round each, bent so that nothing is quite straight.

Everything is drawn on a flat plane in metres (x east, y north), then bent, turned and placed on the globe.
"""

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from random import Random

from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.names import LARGE_KINDS, SMALL_KINDS, STREET_NAMES

TOWN = "Villeneuve-sur-Arve"
INSEE_CODE = "99901"  # no commune has it
POSTCODE = "99910"
CENTRE_LAT, CENTRE_LON = 48.944203, 2.12853  # stop st-118 of T07 lies where the contract's example event does
METRES_PER_DEGREE = 111_195.0
SITES = ("villeneuve-ouest", "villeneuve-centre", "villeneuve-est")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class DeliveryPoint:
    id: str
    number: int
    rep: str
    street: str
    street_code: str
    lat: float
    lon: float
    town: str = TOWN
    postcode: str = POSTCODE
    insee_code: str = INSEE_CODE
    box_at: Point | None = None  # (lon, lat) of the letterbox where it is away from the house

    @property
    def address(self) -> str:
        rep = f" {self.rep}" if self.rep else ""
        return f"{self.number}{rep} {self.street}, {self.postcode} {self.town}"


@dataclass(frozen=True, slots=True)
class PlannedStop:
    stop_id: str
    sequence: int
    side: str
    point: DeliveryPoint


@dataclass(frozen=True, slots=True)
class RoundPlan:
    """One planned round; `line` is (lon, lat) from the site to the last stop."""

    round_id: str
    site: str
    mode: str
    name: str
    line: tuple[Point, ...]
    stops: tuple[PlannedStop, ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """Bend the flat plan gently (no fold: every slope is below 0.2), turn it and place it on the globe."""

    phases: tuple[float, float, float, float]
    turn_rad: float = 0.3

    def place(self, x: float, y: float) -> Point:
        """Return (lon, lat) in degrees of a point in metres."""
        a, b, c, d = self.phases
        u = x + 60 * math.sin(y / 700 + a) + 25 * math.sin((x + y) / 400 + b)
        v = y + 50 * math.sin(x / 800 + c) + 20 * math.sin((x - y) / 350 + d)
        east = u * math.cos(self.turn_rad) - v * math.sin(self.turn_rad)
        north = u * math.sin(self.turn_rad) + v * math.cos(self.turn_rad)
        lat = CENTRE_LAT + north / METRES_PER_DEGREE
        lon = CENTRE_LON + east / (METRES_PER_DEGREE * math.cos(math.radians(CENTRE_LAT)))
        return round(lon, 7), round(lat, 7)


@dataclass(frozen=True, slots=True)
class Cell:
    """One district: the rectangle that one round serves."""

    x: float
    y: float
    width: float
    height: float
    ring: float
    column_share: float

    @property
    def mode(self) -> str:
        return "foot" if self.ring <= 0.5 else "bike" if self.ring <= 0.86 else "van"

    @property
    def site(self) -> str:
        return SITES[min(2, int(self.column_share * 3))]


@dataclass(slots=True)
class Street:
    code: str
    name: str
    doors: list[tuple[float, float, str, DeliveryPoint]] = field(default_factory=list)  # x, y, side, point


def cells(rounds: int, stops: int) -> list[Cell]:
    """Cut the plane into `rounds` districts, small in the middle and large outside, west to east in each row."""
    columns = max(1, math.ceil(math.sqrt(rounds * 1.4)))
    rows = math.ceil(rounds / columns)
    mid_c, mid_r = (columns - 1) / 2, (rows - 1) / 2
    widths = [380 + 700 * (abs(c - mid_c) / max(mid_c, 1)) ** 2 for c in range(columns)]
    heights = [55 * street_count(stops) * (1 + 0.8 * (abs(r - mid_r) / max(mid_r, 1)) ** 2) for r in range(rows)]
    lefts = [sum(widths[:c]) - sum(widths) / 2 for c in range(columns)]
    feet = [sum(heights[:r]) - sum(heights) / 2 for r in range(rows)]
    every = [
        (math.hypot((c - mid_c) / (mid_c + 0.5), (r - mid_r) / (mid_r + 0.5)), r, c)
        for r, c in itertools.product(range(rows), range(columns))
    ]
    chosen = sorted(sorted(every)[:rounds], key=lambda place: place[1:])
    return [Cell(lefts[c], feet[r], widths[c], heights[r], ring, (c + 0.5) / columns) for ring, r, c in chosen]


def street_count(stops: int) -> int:
    """Return how many parallel streets a district of `stops` stops has."""
    return max(2, round(math.sqrt(stops / 8)))


def street_names(rng: Random) -> tuple[Iterator[str], Iterator[str]]:
    """Return endless unique names of small and of large streets."""

    def shuffled(kinds: tuple[str, ...]) -> Iterator[str]:
        names = [f"{kind} {name}" for kind in kinds for name in STREET_NAMES]
        rng.shuffle(names)
        yield from names
        for n in itertools.count(2):
            yield from (f"{name} Prolongée {n}" for name in names)

    return shuffled(SMALL_KINDS), shuffled(LARGE_KINDS)


def lay_out(seed: int, *, rounds: int, stops: int) -> list[RoundPlan]:
    """Make the whole town: `rounds` rounds of about `stops` stops (± 5 %). Pure: the same seed gives the same town."""
    rng = seeded("town", seed)
    plane = Plane(tuple(rng.uniform(0, math.tau) for _ in range(4)))  # type: ignore[arg-type]  # four of them
    small, large = street_names(rng)
    codes = itertools.count(10, 10)
    plans = []
    for number, cell in enumerate(cells(rounds, stops), 1):
        count = round(stops * rng.uniform(0.95, 1.05))
        lanes = street_count(stops)
        shares = [count // lanes + (lane < count % lanes) for lane in range(lanes)]
        streets = [
            build_street(
                Street(f"{next(codes):04d}", next(large if lane % 4 == 1 else small)),
                share,
                cell=cell,
                y=cell.y + cell.height * (lane + 0.5) / lanes,
                plane=plane,
                rng=rng,
            )
            for lane, share in enumerate(shares)
        ]
        plans.append(walk_district(f"T{number:02d}", cell, streets=streets, plane=plane))
    return plans


def build_street(street: Street, count: int, *, cell: Cell, y: float, plane: Plane, rng: Random) -> Street:
    """Set `count` doors along a west-east street: odd numbers on the left (north), even ones on the right."""
    for side, amount, first, sign in (("left", (count + 1) // 2, 1, 1), ("right", count // 2, 2, -1)):
        number, rep = first - 2, ""
        pitch = cell.width / (amount + 1)
        for place in range(amount):
            x = cell.x + pitch * (place + 1 + rng.uniform(-0.3, 0.3))
            door_y = y + sign * rng.uniform(7, 11)
            if place and not rep and rng.random() < 0.03:
                rep = "bis"
            else:
                number, rep = number + (4 if rng.random() < 0.07 else 2), ""
            lon, lat = plane.place(x, door_y)
            suffix = f"_{rep}" if rep else ""
            point_id = f"{INSEE_CODE}_{street.code}_{number:05d}{suffix}"
            point = DeliveryPoint(point_id, number, rep, street.name, street.code, lat, lon)
            street.doors.append((x, y, side, point))
    return street


def walk_district(round_id: str, cell: Cell, *, streets: list[Street], plane: Plane) -> RoundPlan:
    """Walk the streets one after the other: small ones across from side to side, large ones up one side and down the other."""
    path: list[Point] = [site_of(cell.site), (cell.x, site_of(cell.site)[1])]
    order: list[tuple[str, DeliveryPoint]] = []
    eastward = True
    for street in streets:
        y = street.doors[0][1]
        ends = (cell.x, cell.x + cell.width) if eastward else (cell.x + cell.width, cell.x)
        along = sorted(street.doors, key=lambda door: door[0], reverse=not eastward)
        if street.name.split()[0] not in LARGE_KINDS:
            order += [(side, point) for _, _, side, point in along]
            path += [(ends[0], y), (ends[1], y)]
            eastward = not eastward
            continue
        near, off = ("left", 4) if eastward else ("right", -4)
        order += [(side, point) for _, _, side, point in along if side == near]
        order += [(side, point) for _, _, side, point in reversed(along) if side != near]
        path += [(ends[0], y + off), (ends[1], y + off), (ends[1], y - off), (ends[0], y - off)]
    stops = tuple(PlannedStop(f"st-{n}", n, side, point) for n, (side, point) in enumerate(order, 1))
    line = tuple(plane.place(x, y) for x, y in densify(path))
    return RoundPlan(round_id, cell.site, cell.mode, f"{TOWN} {round_id}: {streets[0].name}", line, stops)


def site_of(site: str) -> Point:
    """Return where a site stands, in metres on the plane."""
    return {SITES[0]: (-900.0, -150.0), SITES[1]: (0.0, 0.0), SITES[2]: (900.0, 150.0)}[site]


def densify(path: list[Point], step_m: float = 40.0) -> Iterator[Point]:
    """Add a point at least every `step_m` metres, so that a straight lane follows the bend of the plane."""
    yield path[0]
    for (x0, y0), (x1, y1) in itertools.pairwise(path):
        pieces = math.ceil(math.hypot(x1 - x0, y1 - y0) / step_m)
        for n in range(1, pieces + 1):
            yield x0 + (x1 - x0) * n / pieces, y0 + (y1 - y0) * n / pieces
