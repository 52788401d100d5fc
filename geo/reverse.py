"""Reverse geocoding: the known addresses that lie nearest to a place.

Rows come from anywhere that can answer a box; `Grid` answers it in memory. Distances are ground metres.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from math import cos, floor, radians

from geo.address_files import AddressRow
from geo.addresses import Candidate
from geo.positions import distance_m, is_plausible

_M_PER_DEG = 110_540.0  # a little less than the shortest degree of latitude, so that a box is never too small
_CELL_DEG = 0.002
_MOST_M = 2_000.0


@dataclass(frozen=True, slots=True)
class Box:
    """A box in degrees."""

    south: float
    north: float
    west: float
    east: float


@dataclass(frozen=True, slots=True)
class Near:
    """A known address and how far it is from the place that was asked for."""

    row: AddressRow
    distance_m: float

    def candidate(self, within_m: float) -> Candidate:
        """Write it as an answer; the score falls from 1 at the place itself to 0 at `within_m` metres."""
        row, kind = self.row, "housenumber" if self.row.house_number is not None else "street"
        return Candidate(
            score=max(0.0, 1.0 - self.distance_m / within_m),
            kind=kind,
            house_number=row.house_number,
            repetition=row.repetition,
            street=row.street,
            postcode=row.postcode,
            city=row.city,
            citycode=row.citycode,
            lat=row.lat,
            lon=row.lon,
            ban_id=row.address_id,
            quality=row.position_kind,
        )


def box_around(lat: float, lon: float, within_m: float) -> Box:
    """Draw the box that holds every place within so many metres (at most 2,000); longitudes are not wrapped at 180°."""
    reach = min(max(within_m, 0.0), _MOST_M) / _M_PER_DEG
    wide = reach / max(cos(radians(min(abs(lat) + reach, 89.0))), 1e-3)
    return Box(lat - reach, lat + reach, lon - wide, lon + wide)


def nearest(rows: Iterable[AddressRow], lat: float, lon: float, *, within_m: float, limit: int = 5) -> list[Near]:
    """Rank addresses by their distance from a place: at most `limit` within `within_m` metres (at most 2,000).

    A place that cannot be one (not finite, out of range, 0/0) has nothing near it.
    """
    if not is_plausible(lat, lon):
        return []
    reach = min(within_m, _MOST_M)
    found = [Near(row, distance_m(lat, lon, row.lat, row.lon)) for row in rows]
    near = [one for one in found if one.distance_m <= reach]
    return sorted(near, key=lambda one: (one.distance_m, one.row.address_id))[:limit]


class Grid:
    """Addresses in memory, found by place: cells of 0.002 degrees (about 220 m by 150 m in France)."""

    def __init__(self, rows: Iterable[AddressRow]) -> None:
        self._cells: dict[tuple[int, int], list[AddressRow]] = defaultdict(list)
        for row in rows:
            self._cells[_cell(row.lat, row.lon)].append(row)

    def nearest(self, lat: float, lon: float, *, within_m: float, limit: int = 5) -> list[Near]:
        """Rank the addresses near a place, as the function `nearest` does."""
        if not is_plausible(lat, lon):
            return []
        return nearest(self._in_box(box_around(lat, lon, within_m)), lat, lon, within_m=within_m, limit=limit)

    def _in_box(self, box: Box) -> Sequence[AddressRow]:
        (south, west), (north, east) = _cell(box.south, box.west), _cell(box.north, box.east)
        cells = ((y, x) for y in range(south, north + 1) for x in range(west, east + 1))
        return [row for cell in cells for row in self._cells.get(cell, ())]


def _cell(lat: float, lon: float) -> tuple[int, int]:
    return floor(lat / _CELL_DEG), floor(lon / _CELL_DEG)
