"""Rounds laid out over addresses can be walked: every address once, balanced, short steps."""

from collections import Counter
from itertools import pairwise
from statistics import mean, median
from time import perf_counter

import pytest

from geo.errors import TooFewAddresses
from geo.layout import lay_out_rounds
from geo.positions import distance_m


def steps_of(rounds):
    return [distance_m(a.lat, a.lon, b.lat, b.lon) for r in rounds for a, b in pairwise(r.stops)]


def check_rounds(rounds, rows, count):
    assert len(rounds) == count
    assert len({r.round_id for r in rounds}) == count
    placed = Counter(s.delivery_point_id for r in rounds for s in r.stops)
    assert placed == Counter(f"dp-{row.address_id}" for row in rows), "every address exactly once"
    even_share = len(rows) / count
    assert max(abs(len(r.stops) / even_share - 1) for r in rounds) <= 0.15
    assert [problem for r in rounds for problem in r.problems()] == []
    assert all([s.sequence for s in r.stops] == list(range(1, len(r.stops) + 1)) for r in rounds)


def test_a_real_town_is_divided_into_walkable_rounds(bondy_or_generated, note):
    name, rows, count = bondy_or_generated
    began = perf_counter()
    rounds = lay_out_rounds(rows, site="site", count=count)
    took_s, steps = perf_counter() - began, steps_of(rounds)
    sizes = [len(r.stops) for r in rounds]
    note(
        f"layout of {name}: {len(rows)} addresses, {count} rounds of {min(sizes)} to {max(sizes)}, step mean {mean(steps):.0f} m,"
        f" median {median(steps):.0f} m, rounds of {min(r.length_m for r in rounds) / 1000:.1f} to"
        f" {max(r.length_m for r in rounds) / 1000:.1f} km, {took_s:.1f} s"
    )
    check_rounds(rounds, rows, count)
    assert mean(steps) < 60
    assert median(steps) < 25
    assert took_s < 20


def test_generated_grid_is_divided_into_walkable_rounds(generated_town):
    rounds = lay_out_rounds(generated_town, site="grid", count=9, mode="bike")
    check_rounds(rounds, generated_town, 9)
    steps = steps_of(rounds)
    assert median(steps) < 25
    assert mean(steps) < 60
    assert {(r.site, r.mode) for r in rounds} == {("grid", "bike")}


def test_same_addresses_in_another_order_give_the_same_rounds(generated_town):
    one = lay_out_rounds(generated_town, site="grid", count=5)
    other = lay_out_rounds(list(reversed(generated_town)), site="grid", count=5)
    assert one == other


def test_a_street_is_walked_odd_numbers_up_and_even_numbers_down(generated_town):
    street = [
        row
        for row in generated_town
        if row.street == generated_town[0].street and row.citycode == generated_town[0].citycode
    ][:30]
    (rnd,) = lay_out_rounds(street, site="one", count=1)
    numbers = [int(s.address.split()[0]) for s in rnd.stops]
    runs = sorted(tuple(n for n in numbers if n % 2 == side) for side in (0, 1))
    assert all(list(run) == sorted(run) for run in runs if run[0] % 2)
    assert len(numbers) == 30
    steps = steps_of([rnd])
    assert median(steps) < 25


def test_two_doors_with_one_id_are_two_stops(generated_town):
    rows = [generated_town[0], generated_town[0], generated_town[2]]
    (rnd,) = lay_out_rounds(rows, site="one", count=1)
    assert len({s.stop_id for s in rnd.stops}) == 3


@pytest.mark.parametrize("count", [0, 4])
def test_more_rounds_than_addresses_is_refused_in_a_sentence(generated_town, count):
    with pytest.raises(TooFewAddresses, match=f"3 addresses cannot make {count} rounds"):
        lay_out_rounds(generated_town[:3], site="one", count=count)
