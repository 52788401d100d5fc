"""Fixes, metres and degrees: all arithmetic of the library happens on a local plane in metres."""

from dataclasses import dataclass
from datetime import datetime
from math import asin, cos, degrees, isfinite, radians, sin, sqrt
from typing import overload

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

A_M = 6_378_137.0
E2 = 0.006_694_379_990_14
_MEAN_RADIUS_M = 6_371_008.8
_PLANE_REACH_DEG = 1.0


@dataclass(frozen=True, slots=True)
class Fix:
    """One position of a phone, WGS 84 degrees.

    `fixed_at` is aware. `accuracy_m` is the phone's 68 % radius; None or 0 = unknown. `heading_deg` is clockwise from north.
    """

    lat: float
    lon: float
    fixed_at: datetime
    accuracy_m: float | None = None
    speed_mps: float | None = None
    heading_deg: float | None = None


def is_plausible(lat: float, lon: float) -> bool:
    """Tell whether a position can be a real place: finite, in range, and not the 0/0 of a phone without a fix."""
    if not (isfinite(lat) and isfinite(lon)):
        return False
    return -90.0 <= lat <= 90.0 and -180.0 <= lon <= 180.0 and not (abs(lat) < 1e-6 and abs(lon) < 1e-6)


def distance_m(lat1: float, lon1: float, lat2: float, lon2: float) -> float:
    """Measure the ground distance between two places.

    Up to one degree apart: the WGS 84 ellipsoid at the middle latitude, within 0.01 % (1 cm per km under 20 km) of the
    geodesic between 60° S and 60° N. Farther: the great circle on the mean sphere, within 0.6 %.
    """
    d_lat, d_lon = lat2 - lat1, (lon2 - lon1 + 180.0) % 360.0 - 180.0
    middle = radians((lat1 + lat2) / 2)
    if abs(d_lat) <= _PLANE_REACH_DEG and abs(d_lon) <= _PLANE_REACH_DEG:
        squash = 1 - E2 * sin(middle) ** 2
        north = radians(d_lat) * A_M * (1 - E2) / squash**1.5
        east = radians(d_lon) * A_M / sqrt(squash) * cos(middle)
        return sqrt(north * north + east * east)
    h = sin(radians(d_lat) / 2) ** 2 + cos(radians(lat1)) * cos(radians(lat2)) * sin(radians(d_lon) / 2) ** 2
    return 2 * _MEAN_RADIUS_M * asin(min(1.0, sqrt(h)))


def _meridian_m(phi: Array) -> Array:
    e4, e6 = E2**2, E2**3
    return np.asarray(
        A_M
        * (
            (1 - E2 / 4 - 3 * e4 / 64 - 5 * e6 / 256) * phi
            - (3 * E2 / 8 + 3 * e4 / 32 + 45 * e6 / 1024) * np.sin(2 * phi)
            + (15 * e4 / 256 + 45 * e6 / 1024) * np.sin(4 * phi)
            - (35 * e6 / 3072) * np.sin(6 * phi)
        )
    )


@dataclass(frozen=True, slots=True)
class Plane:
    """A plane in metres around one place (x east, y north): transverse Mercator on the place's own meridian.

    Two terms of the series (Snyder, Map Projections: A Working Manual, 1987, eq. 8-9 and 8-10) keep lengths within
    1 cm per km up to 25 km from the origin.
    """

    lat: float
    lon: float

    @overload
    def xy(self, lat: float, lon: float) -> tuple[float, float]: ...
    @overload
    def xy(self, lat: Array, lon: Array) -> tuple[Array, Array]: ...
    def xy(self, lat: float | Array, lon: float | Array) -> tuple[float, float] | tuple[Array, Array]:
        """Turn degrees into metres; floats give floats, arrays give arrays."""
        phi = np.radians(np.asarray(lat, dtype=np.float64))
        wide = (np.asarray(lon, dtype=np.float64) - self.lon + 180.0) % 360.0 - 180.0
        a = np.radians(wide) * np.cos(phi)
        n = A_M / np.sqrt(1 - E2 * np.sin(phi) ** 2)
        t = np.tan(phi)
        x = n * (a + a**3 / 6 * (1 - t**2))
        y = _meridian_m(phi) - _meridian_m(np.asarray(radians(self.lat))) + n * t * a**2 / 2
        if isinstance(lat, np.ndarray):
            return x, y
        return float(x), float(y)

    def latlon(self, x: float, y: float) -> tuple[float, float]:
        """Turn metres into degrees `(lat, lon)`: the inverse of `xy`, within a millimetre up to 25 km."""
        lat, lon = self.lat, self.lon
        for _ in range(4):
            at_x, at_y = self.xy(lat, lon)
            squash = 1 - E2 * sin(radians(lat)) ** 2
            lat += degrees((y - at_y) * squash**1.5 / (A_M * (1 - E2)))
            lon += degrees((x - at_x) * sqrt(squash) / (A_M * cos(radians(lat))))
        return lat, lon
