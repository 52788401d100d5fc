"""The nearest known address: the same answer as looking at every one of them."""

import random
from math import nan

import pytest

from geo.address_files import AddressRow
from geo.positions import distance_m
from geo.reverse import Grid, box_around, nearest


def rows_around(lat, lon, count, seed, spread=0.01):
    rng = random.Random(seed)
    return [
        AddressRow(f"a{n:05d}", n + 1, None, "Rue", "93140", "Bondy", "93010", lat + rng.uniform(-spread, spread), lon + rng.uniform(-spread, spread))
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize(("lat", "lon"), [(48.9, 2.48), (-21.1, 55.5), (4.9, -52.3), (0.001, -0.001), (69.0, 20.0)])
def test_the_grid_finds_what_looking_at_all_of_them_finds(lat, lon):
    rows = rows_around(lat, lon, 3_000, 7)
    grid, rng = Grid(rows), random.Random(8)
    for _ in range(200):
        at = lat + rng.uniform(-0.012, 0.012), lon + rng.uniform(-0.012, 0.012)
        within_m = rng.choice((0.0, 15.0, 100.0, 700.0, 2_000.0))
        every = sorted((distance_m(*at, row.lat, row.lon), row.address_id) for row in rows)
        expected = [(distance, name) for distance, name in every if distance <= within_m][:5]
        found = grid.nearest(*at, within_m=within_m)
        assert [(one.distance_m, one.row.address_id) for one in found] == expected


@pytest.mark.parametrize("lat", [0.0, 45.0, -60.0, 85.0])
@pytest.mark.parametrize("within_m", [1.0, 100.0, 2_000.0])
def test_the_box_holds_the_whole_circle(lat, within_m):
    box = box_around(lat, 10.0, within_m)
    assert distance_m(lat, 10.0, box.north, 10.0) >= within_m
    assert distance_m(lat, 10.0, lat, box.east) >= within_m
    assert box.south < lat < box.north
    assert box.west < 10.0 < box.east


@pytest.mark.parametrize("place", [(nan, 2.0), (48.9, nan), (91.0, 2.0), (48.9, 181.0), (0.0, 0.0)])
def test_a_place_that_cannot_be_has_nothing_near_it(place):
    rows = rows_around(0.0, 0.0, 50, 1)
    assert Grid(rows).nearest(*place, within_m=100.0) == []
    assert nearest(rows, *place, within_m=100.0) == []


def test_more_than_two_kilometres_are_not_looked_at():
    rows = rows_around(48.9, 2.48, 2_000, 3, spread=0.05)
    found = Grid(rows).nearest(48.9, 2.48, within_m=1e9, limit=10_000)
    assert found
    assert max(one.distance_m for one in found) <= 2_000.0


def test_an_answer_scores_by_its_distance():
    rows = rows_around(48.9, 2.48, 1, 1, spread=0.0)
    near = nearest(rows, 48.9, 2.48, within_m=100.0)[0]
    assert near.candidate(100.0).score == 1.0
    away = nearest(rows, 48.9005, 2.48, within_m=100.0)[0].candidate(100.0)
    assert (away.kind, away.ban_id) == ("housenumber", "a00000")
    assert 0.4 < away.score < 0.5
