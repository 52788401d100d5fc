"""Rounds: stops fall on the line in their order, and problems are said in sentences."""

from itertools import pairwise
from time import process_time

import numpy as np
import pytest

from geo import Round, Stop
from geo.errors import EmptyRound, UnknownStop
from geo.positions import Plane, distance_m
from geo.rounds import insertion_cost_m

PLANE = Plane(48.9, 2.48)


def lonlat(x, y):
    return PLANE.latlon(x, y)[::-1]


def stop(name, x, y):
    lat, lon = PLANE.latlon(x, y)
    return Stop(name, lat, lon)


def test_both_sides_of_a_street_are_projected_in_order_not_to_the_nearest_point():
    line = [lonlat(0, 0), lonlat(400, 0), lonlat(0, 0)]
    odd = [stop(f"odd-{x}", x, 6) for x in range(20, 400, 40)]
    even = [stop(f"even-{x}", x, -6) for x in range(370, 0, -40)]
    rnd = Round("T01", line, odd + even)
    expected = [*range(20, 400, 40), *(800 - x for x in range(370, 0, -40))]
    assert rnd.stop_distances_m == pytest.approx(expected, abs=0.1)
    assert rnd.problems() == []


def test_length_and_points_along_agree_with_the_ground():
    line = [lonlat(0, 0), lonlat(300, 0), lonlat(300, 400)]
    rnd = Round("T01", line, [stop("a", 0, 0)])
    ground = sum(distance_m(a[1], a[0], b[1], b[0]) for a, b in pairwise(line))
    assert rnd.length_m == pytest.approx(ground, rel=1e-5)
    assert distance_m(*rnd.point_at(500), *PLANE.latlon(300, 200)) < 0.02
    assert rnd.point_at(-5) == pytest.approx(line[0][::-1])
    assert rnd.point_at(9999) == pytest.approx(line[-1][::-1])


def test_line_of_a_round_without_one_is_drawn_through_its_stops():
    rnd = Round("T01", [], [stop("a", 0, 0), stop("b", 50, 0), stop("same door", 50, 0), stop("c", 50, 70)])
    assert rnd.stop_distances_m == pytest.approx([0, 50, 50, 120], abs=0.01)
    assert rnd.length_m == pytest.approx(120, abs=0.01)
    assert rnd.problems() == []


def test_stops_never_go_back_along_the_line():
    rng = np.random.default_rng(5)
    line = [lonlat(x, y) for x, y in np.cumsum(rng.normal(0, 30, (200, 2)), axis=0)]
    stops = [stop(f"s{i}", x, y) for i, (x, y) in enumerate(rng.normal(0, 200, (80, 2)))]
    distances = Round("T01", line, stops).stop_distances_m
    assert (np.diff(distances) >= 0).all()


def test_problems_name_a_far_stop_a_stop_out_of_order_and_a_double_vertex():
    line = [lonlat(0, 0), lonlat(200, 0), lonlat(200, 0), lonlat(600, 0)]
    stops = [
        stop("a", 20, 5),
        stop("far", 100, 90),
        stop("b", 150, 5),
        stop("c", 400, 5),
        stop("back", 250, 5),
        stop("d", 500, 5),
    ]
    problems = Round("T01", line, stops).problems()
    assert problems[0] == "Vertices 1 and 2 of the line are the same place."
    assert problems[1] == "Stop far is 90 m from the line (more than 60 m)."
    assert problems[2:] == [f"Stop {name} is on the line, but not in its order." for name in ("c", "back")]


def test_one_far_stop_leaves_the_others_where_they_are():
    line = [lonlat(0, 0), lonlat(1000, 0)]
    stops = [stop("a", 100, 3), stop("lost", 50, 5000), stop("b", 300, 3), stop("c", 700, 3)]
    assert Round("T01", line, stops).stop_distances_m[[0, 2, 3]] == pytest.approx([100, 300, 700], abs=0.1)


def test_stop_twice_on_a_round_and_impossible_places_are_problems():
    assert Round("T01", [], [stop("a", 0, 0), stop("a", 9, 0)]).problems() == ["Stop a is 2 times on the round."]
    assert Round("T01", [], [Stop("a", 0.0, 0.0)]).problems() == ["Stop a has no real position."]


def test_round_with_nothing_on_it_says_so():
    rnd = Round("T01", [], [])
    assert rnd.problems() == ["Round T01 has neither a line nor stops."]
    with pytest.raises(EmptyRound):
        rnd.point_at(0)


def test_stop_of_another_round_is_unknown():
    rnd = Round("T01", [], [stop("a", 0, 0), stop("b", 90, 0)])
    assert rnd.distance_of("b") == pytest.approx(90, abs=0.01)
    with pytest.raises(UnknownStop, match="Stop z is not on round T01"):
        rnd.index_of("z")


def test_530_stops_on_2000_vertices_are_projected_in_milliseconds():
    rng = np.random.default_rng(1)
    steps = np.cumsum(rng.normal(0, 8, (2000, 2)), axis=0)
    chosen = np.sort(rng.choice(2000, 530, replace=False))
    rnd = Round("T01", [lonlat(x, y) for x, y in steps], [stop(f"s{i}", *steps[i]) for i in chosen])
    cumulative = rnd.vertices[2]
    began = process_time()
    distances = rnd.stop_distances_m
    assert process_time() - began < 0.3, "measured at 10 to 25 ms"
    assert distances == pytest.approx(cumulative[chosen], abs=0.1)


def test_insertion_counts_what_a_visit_adds():
    assert insertion_cost_m((0, 0), (5, 0), (10, 0)) == 0
    assert insertion_cost_m((0, 0), (3, 4), (0, 0)) == 10
    assert insertion_cost_m(None, (3, 4), (0, 0)) == 5
