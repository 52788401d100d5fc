"""Metres and degrees, against geopy's geodesic as the oracle."""

from math import hypot, inf, nan

import numpy as np
import pytest
from geopy.distance import geodesic
from hypothesis import given
from hypothesis import strategies as st

from geo.positions import Plane, distance_m, is_plausible

LATS, LONS = st.floats(-60, 60), st.floats(-179.9, 179.9)


@given(lat=LATS, lon=LONS, north=st.floats(-0.1, 0.1), east=st.floats(-0.1, 0.1))
def test_short_distances_are_within_a_centimetre_per_kilometre_of_the_geodesic(lat, lon, north, east):
    there = (max(-60, min(60, lat + north)), lon + east)
    exact = geodesic((lat, lon), there).m
    assert distance_m(lat, lon, *there) == pytest.approx(exact, rel=1e-5, abs=1e-3)


@given(lat=LATS, lon=LONS, north=st.floats(-1, 1), east=st.floats(-1, 1))
def test_distances_up_to_a_degree_are_within_a_hundredth_of_a_percent(lat, lon, north, east):
    there = (max(-60, min(60, lat + north)), lon + east)
    exact = geodesic((lat, lon), there).m
    assert distance_m(lat, lon, *there) == pytest.approx(exact, rel=1e-4, abs=1e-3)


@given(lat1=LATS, lon1=LONS, lat2=LATS, lon2=LONS)
def test_long_distances_are_within_the_flattening_of_the_earth(lat1, lon1, lat2, lon2):
    assert distance_m(lat1, lon1, lat2, lon2) == pytest.approx(
        geodesic((lat1, lon1), (lat2, lon2)).m, rel=6e-3, abs=1e-3
    )


def test_distance_crosses_the_date_line():
    assert distance_m(-17, 179.999, -17, -179.999) == pytest.approx(
        geodesic((-17, 179.999), (-17, -179.999)).m, rel=1e-5
    )


@given(
    lat=LATS,
    lon=LONS,
    north=st.floats(-0.15, 0.15),
    east=st.floats(-0.15, 0.15),
    dn=st.floats(-0.01, 0.01),
    de=st.floats(-0.01, 0.01),
)
def test_plane_keeps_lengths_within_a_centimetre_per_kilometre(lat, lon, north, east, dn, de):
    plane, a = Plane(lat, lon), (lat + north, lon + east)
    b = (a[0] + dn, a[1] + de)
    (ax, ay), (bx, by) = plane.xy(*a), plane.xy(*b)
    assert hypot(bx - ax, by - ay) == pytest.approx(geodesic(a, b).m, rel=1e-5, abs=1e-4)


@given(lat=LATS, lon=LONS, x=st.floats(-20_000, 20_000), y=st.floats(-20_000, 20_000))
def test_plane_goes_there_and_back_within_a_millimetre(lat, lon, x, y):
    plane = Plane(lat, lon)
    assert plane.xy(*plane.latlon(x, y)) == pytest.approx((x, y), abs=1e-3)


def test_plane_takes_arrays_and_gives_the_same_as_one_by_one():
    plane = Plane(48.9, 2.5)
    lats, lons = np.array([48.9, 48.91]), np.array([2.5, 2.49])
    x, y = plane.xy(lats, lons)
    assert [(x[i], y[i]) for i in (0, 1)] == [plane.xy(float(lats[i]), float(lons[i])) for i in (0, 1)]


@pytest.mark.parametrize(
    ("lat", "lon", "plausible"),
    [
        (48.9, 2.5, True),
        (-21.1, 55.5, True),
        (0, 0, False),
        (0.0000001, -0.0000001, False),
        (0, 9.45, True),
        (90.1, 0, False),
        (48, 180.1, False),
        (nan, 2, False),
        (48, inf, False),
    ],
)
def test_zero_zero_and_out_of_range_are_no_places(lat, lon, plausible):
    assert is_plausible(lat, lon) is plausible
