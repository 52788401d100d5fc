"""The planned line as a carrier follows it: metres along it, the corners between two places, and each stop's own place."""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Mapping
from typing import Any

from geo.rounds import Round, Stop

METRES_PER_DEGREE = 111_195.0
BOX_BEHIND_M, BOX_AHEAD_M = 320.0, 60.0

Place = tuple[float, float]  # lat, lon
Sheet = Mapping[str, Any]


class Way:
    """The line of a sheet; `stops_m` are the metres along it of each stop, in the sheet's order."""

    def __init__(self, sheet: Sheet) -> None:
        stops = tuple(Stop(stop["stop_id"], stop["lat"], stop["lon"]) for stop in sheet["stops"])
        plan = Round(str(sheet.get("round_id", "")), tuple(map(tuple, sheet.get("line") or ())), stops)
        self.places: list[Place] = [(lat, lon) for lon, lat in plan.drawn_line]
        self.along_m: list[float] = plan.vertices[2].tolist()[: len(self.places)]
        self.stops_m: list[float] = plan.stop_distances_m.tolist()

    @property
    def length_m(self) -> float:
        """Length of the line."""
        return self.along_m[-1]

    def at(self, metres: float) -> Place:
        """Return the place that many metres along the line; beyond the ends, the end."""
        after = bisect_right(self.along_m, metres)
        if after in (0, len(self.along_m)):
            return self.places[min(after, len(self.places) - 1)]
        share = (metres - self.along_m[after - 1]) / (self.along_m[after] - self.along_m[after - 1])
        return between(self.places[after - 1], self.places[after], share)

    def from_to(self, start_m: float, end_m: float) -> Iterator[tuple[float, Place]]:
        """Yield (metres, place) of each corner from one place to another, forwards or backwards, and of the end."""
        low, high = min(start_m, end_m), max(start_m, end_m)
        corners = range(bisect_right(self.along_m, low), bisect_left(self.along_m, high))
        for n in corners if end_m >= start_m else reversed(corners):
            yield self.along_m[n], self.places[n]
        yield end_m, self.at(end_m)

    def beside(self, place: Place, near_m: float) -> float:
        """Return the metres along the line of the point nearest to a letterbox, within some hundred metres of its stop."""
        low, high = max(0.0, near_m - BOX_BEHIND_M), min(self.length_m, near_m + BOX_AHEAD_M)
        tries = [low + (high - low) * n / 60 for n in range(61)]
        return min(tries, key=lambda metres: distance_m(self.at(metres), place))


def between(a: Place, b: Place, share: float) -> Place:
    """Return the place at a share, 0 to 1, of the way from one to the other."""
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


def shifted(place: Place, *, north_m: float, east_m: float) -> Place:
    """Move a (lat, lon) by metres."""
    lat, lon = place
    return lat + north_m / METRES_PER_DEGREE, lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(lat)))


def offset_m(a: Place, b: Place) -> tuple[float, float]:
    """Return how far b is from a, in metres north and east; for places near each other."""
    east = (b[1] - a[1]) * math.cos(math.radians(a[0]))
    return (b[0] - a[0]) * METRES_PER_DEGREE, east * METRES_PER_DEGREE


def distance_m(a: Place, b: Place) -> float:
    """Measure between two (lat, lon) that are near each other."""
    return math.hypot(*offset_m(a, b))
