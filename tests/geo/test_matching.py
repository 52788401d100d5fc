"""The planned-order window: order tells the passes of a street apart, where the nearest point cannot."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from geo.errors import BadState, UnknownStop
from geo.matching import Matcher, State, locate
from geo.positions import Fix, Plane
from geo.rounds import Round, Stop, nearest_on

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
PLANE = Plane(48.9, 2.48)


def round_through(points_m, spacing_m=18.0):
    line = [PLANE.latlon(x, y)[::-1] for x, y in points_m]
    bare = Round("T01", line, [])
    places = [bare.point_at(d) for d in np.arange(spacing_m / 2, bare.length_m, spacing_m)]
    return Round("T01", line, [Stop(f"st-{i}", lat, lon) for i, (lat, lon) in enumerate(places)])


@pytest.fixture(scope="module")
def both_sides():
    comb = [point for j in range(6) for point in ((0, 110 * j), (500, 110 * j), (0, 110 * j))]
    return round_through(comb)


@pytest.fixture(scope="module")
def straight():
    return round_through([(0, 0), (1000, 0)])


def fix_at(rnd, distance_m, after_s=0.0, *, east=0.0, north=0.0, accuracy_m=8.0):
    x, y = rnd.plane.xy(*rnd.point_at(distance_m))
    lat, lon = rnd.plane.latlon(x + east, y + north)
    return Fix(lat, lon, START + timedelta(seconds=after_s), accuracy_m)


def noisy_walk(rnd, *, sigma_m, every_s, seed, legs=None):
    """Walk legs (from, to) of the round at 1.1 m/s, dwelling 16 s on average at each stop; give (fix, true metres)."""
    rng, clock, walk, due = np.random.default_rng(seed), 0.0, [], every_s
    for start, end in legs or [(0.0, rnd.length_m)]:
        along, wait = start, 0.0
        ahead = [d for d in rnd.stop_distances_m if start <= d < end]
        while along < end:
            clock += 1.0
            if wait > 0:
                wait -= 1.0
            else:
                along += 1.1 * rng.uniform(0.8, 1.2)
                if ahead and along >= ahead[0]:
                    ahead.pop(0)
                    wait = rng.exponential(16)
            if clock >= due:
                due += every_s
                east, north = rng.normal(0, sigma_m, 2)
                walk.append((fix_at(rnd, along, clock, east=east, north=north, accuracy_m=sigma_m * 1.515), along))
    return walk


@pytest.mark.parametrize(
    ("sigma_m", "every_s", "floor"), [(5, 8.5, 0.93), (10, 8.5, 0.93), (20, 8.5, 0.88), (10, 30, 0.9)]
)
def test_window_finds_the_right_pass_where_the_nearest_point_does_not(both_sides, sigma_m, every_s, floor, note):
    window = nearest = sure = sure_right = total = 0
    for seed in (1, 2):
        walk = noisy_walk(both_sides, sigma_m=sigma_m, every_s=every_s, seed=seed)
        found = Matcher(both_sides).replay(fix for fix, _ in walk)
        for (fix, truth), one in zip(walk, found, strict=True):
            match = one.provisional
            right = abs(match.distance_along_m - truth) <= 50 and match.status in {"on_round", "at_stop"}
            by_nearest = nearest_on(both_sides.vertices, *both_sides.plane.xy(fix.lat, fix.lon))[0]
            total += 1
            window += right
            nearest += abs(by_nearest - truth) <= 50
            sure += match.confidence >= 0.9
            sure_right += match.confidence >= 0.9 and right
    note(
        f"right pass, sigma {sigma_m} m, every {every_s} s, {total} fixes: window {window / total:.1%},"
        f" nearest point {nearest / total:.1%}; of confidence >= 0.9: {sure_right / sure:.1%}"
    )
    assert window / total >= floor
    assert window / total >= nearest / total + 0.2
    assert sure_right / sure >= 0.95


def test_skipped_and_repeated_stretches_cost_accuracy_that_is_told(both_sides, note):
    """What this first model is weak at; the floor only says that it still beats the nearest point."""
    window = nearest = total = 0
    legs = [(0, 700), (1000, 2300), (2100, 3600), (4100, both_sides.length_m)]
    for seed in range(1, 5):
        walk = noisy_walk(both_sides, sigma_m=10, every_s=8.5, seed=seed, legs=legs)
        for (fix, truth), one in zip(walk, Matcher(both_sides).replay(fix for fix, _ in walk), strict=True):
            total += 1
            window += abs(one.provisional.distance_along_m - truth) <= 50
            nearest += abs(nearest_on(both_sides.vertices, *both_sides.plane.xy(fix.lat, fix.lon))[0] - truth) <= 50
    parts = f"window {window / total:.1%}, nearest point {nearest / total:.1%}"
    note(f"right pass, sigma 10 m, 300 and 500 m skipped and 200 m walked twice: {parts}")
    assert window / total >= nearest / total + 0.1


def test_match_has_the_fields_that_outsiders_rely_on(straight):
    match = locate(straight, fix_at(straight, 100, north=-4))
    assert [field.name for field in fields(match)] == (
        "round_id stop_id next_stop_id distance_along_m progress offset_m confidence status alternatives fixed_at".split()
    )
    assert (match.round_id, match.status, match.stop_id, match.next_stop_id) == ("T01", "on_round", "st-5", "st-6")
    assert match.distance_along_m == pytest.approx(100, abs=0.1)
    assert match.progress == pytest.approx(0.1, abs=0.001)
    assert match.offset_m == pytest.approx(4, abs=0.1), "south of an eastward line is right of travel"
    assert match.confidence > 0.9


def test_last_distance_chooses_between_two_passes_of_one_street(both_sides):
    fix = fix_at(both_sides, 200)
    assert locate(both_sides, fix, 180).distance_along_m == pytest.approx(200, abs=1)
    assert locate(both_sides, fix, 780).distance_along_m == pytest.approx(800, abs=1)


def test_two_equal_passes_without_memory_are_said_to_be_a_guess(both_sides):
    match = locate(both_sides, fix_at(both_sides, 200))
    assert match.confidence < 0.55
    assert match.alternatives[0][0] == pytest.approx(800, abs=1)


def test_way_back_from_a_dead_end_is_not_taken_for_the_way_there(both_sides):
    matcher = Matcher(both_sides)
    found = matcher.replay(fix_at(both_sides, d, d) for d in range(300, 801, 10))
    assert found[-1].provisional.distance_along_m == pytest.approx(800, abs=1)


def test_confirmed_comes_lag_fixes_later_and_is_the_match_of_that_fix(straight):
    fixes = [fix_at(straight, 10 * i, 10 * i) for i in range(8)]
    found = Matcher(straight, lag_fixes=3).replay(fixes)
    assert [one.confirmed for one in found[:3]] == [None] * 3
    assert [one.confirmed for one in found[3:]] == [one.provisional for one in found[:5]]


def test_without_a_lag_confirmed_is_provisional(straight):
    (found,) = Matcher(straight, lag_fixes=0).replay([fix_at(straight, 10)])
    assert found.confirmed == found.provisional


def test_state_survives_bytes_and_goes_on_the_same(both_sides):
    matcher = Matcher(both_sides)
    walk = [fix for fix, _ in noisy_walk(both_sides, sigma_m=8, every_s=20, seed=3)][:40]
    state = matcher.start()
    for fix in walk[:20]:
        state, _ = matcher.update(state, fix)
    copy = Matcher.state_from_bytes(state.to_bytes())
    assert copy == state
    assert len(state.to_bytes()) < 3000
    for fix in walk[20:]:
        state, one = matcher.update(state, fix)
        copy, other = matcher.update(copy, fix)
        assert one == other


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"v":99}', b'{"v":1,"recent":[{"alternatives":3}]}', b"\xff"])
def test_foreign_bytes_are_no_state(data):
    with pytest.raises(BadState):
        Matcher.state_from_bytes(data)


def test_same_fix_again_gives_the_same_match_and_changes_nothing(straight):
    matcher = Matcher(straight)
    state, first = matcher.update(matcher.start(), fix_at(straight, 100))
    again, second = matcher.update(state, fix_at(straight, 100))
    assert again == state
    assert second.provisional == first.provisional


def test_late_fix_is_answered_from_its_own_time_and_changes_nothing(both_sides):
    matcher = Matcher(both_sides)
    state = matcher.start()
    for distance in (100, 110, 130):
        state, _ = matcher.update(state, fix_at(both_sides, distance, distance))
    after, found = matcher.update(state, fix_at(both_sides, 120, 120))
    assert after == state
    assert found.provisional.distance_along_m == pytest.approx(120, abs=1)


def test_ten_silent_minutes_open_the_whole_round_again(straight):
    matcher = Matcher(straight)
    state, _ = matcher.update(matcher.start(), fix_at(straight, 20))
    _, found = matcher.update(state, fix_at(straight, 900, 601))
    assert found.provisional.distance_along_m == pytest.approx(900, abs=1)
    assert found.provisional.confidence > 0.9


def test_place_out_of_the_window_is_found_but_trusted_less(straight):
    match = locate(straight, fix_at(straight, 900), 20)
    assert match.distance_along_m == pytest.approx(900, abs=1)
    assert 0.4 < match.confidence < 0.7


def test_scan_puts_the_carrier_at_its_stop_and_chooses_the_pass(both_sides):
    matcher = Matcher(both_sides)
    stop = next(i for i, d in enumerate(both_sides.stop_distances_m) if d > 780)
    state, found = matcher.anchor(matcher.start(), f"st-{stop}", START)
    assert (found.provisional.stop_id, found.provisional.status) == (f"st-{stop}", "at_stop")
    _, found = matcher.update(state, fix_at(both_sides, 200, 10))
    assert found.provisional.distance_along_m == pytest.approx(800, abs=1)


def test_late_scan_moves_a_state_that_cannot_follow_from_it_and_no_other(both_sides):
    matcher = Matcher(both_sides)
    state, _ = matcher.update(matcher.start(), fix_at(both_sides, 200, 20))
    assert matcher.anchor(state, "st-10", START)[0] == state
    moved, _ = matcher.anchor(state, "st-43", START)
    assert moved.front_m == pytest.approx(783, abs=1)
    assert moved.at == state.at


def test_scan_of_another_round_is_an_unknown_stop(straight):
    matcher = Matcher(straight)
    with pytest.raises(UnknownStop, match="st-999"):
        matcher.anchor(matcher.start(), "st-999", START)


def test_fifteen_seconds_beside_a_stop_are_a_visit(straight):
    found = Matcher(straight).replay(fix_at(straight, 99, 5 * i) for i in range(5))
    assert [one.provisional.status for one in found] == ["on_round"] * 3 + ["at_stop"] * 2
    assert found[-1].provisional.stop_id == "st-5"


def test_off_round_takes_two_good_fixes_and_keeps_the_last_place_on_the_line(straight):
    matcher = Matcher(straight)
    here, *away = matcher.replay([fix_at(straight, 100), *(fix_at(straight, 120, 20 * i, north=200) for i in (1, 2))])
    assert [one.provisional.status for one in away] == ["unknown", "off_round"]
    assert {one.provisional.distance_along_m for one in away} == {here.provisional.distance_along_m}
    assert away[-1].provisional.stop_id is None


@pytest.mark.parametrize("accuracy_m", [None, 0, 41, 400])
def test_poor_fix_never_says_off_round(straight, accuracy_m):
    fixes = [fix_at(straight, 100, 20 * i, north=900, accuracy_m=accuracy_m) for i in range(4)]
    assert {one.provisional.status for one in Matcher(straight).replay(fixes)} == {"unknown"}


def test_back_from_a_detour_the_round_goes_on(straight):
    detour = [fix_at(straight, 100), *(fix_at(straight, 120, 20 * i, north=300) for i in range(1, 5))]
    found = Matcher(straight).replay([*detour, fix_at(straight, 150, 120)])
    assert found[-1].provisional.status == "on_round"
    assert found[-1].provisional.distance_along_m == pytest.approx(150, abs=1)


def test_bike_may_go_farther_than_feet_in_the_same_time(both_sides):
    fix = replace(fix_at(both_sides, 1000), fixed_at=START + timedelta(seconds=100))
    start = State(front_m=500.0, at=START)
    _, found = Matcher(both_sides, mode="bike").update(start, fix)
    assert found.provisional.confidence > 0.25
    assert found.provisional.status == "on_round"
    assert Matcher(both_sides, mode="bike")._reach_m(100) == pytest.approx(850)
    assert Matcher(both_sides)._reach_m(100) == pytest.approx(430)


def test_round_of_a_single_place_can_be_matched():
    rnd = Round("one", [], [Stop("st-1", 48.9, 2.48)])
    match = locate(rnd, Fix(48.90005, 2.48, START, 8))
    assert (match.stop_id, match.distance_along_m, match.progress) == ("st-1", 0, 0)


def test_after_a_long_break_the_pass_near_the_last_place_is_taken_rather_than_the_first(both_sides):
    matcher = Matcher(both_sides)
    places = np.arange(0.3 * both_sides.length_m, 0.95 * both_sides.length_m, 50.0)
    right = 0
    for along in places:
        before = State(front_m=float(along), at=START)
        _, found = matcher.update(before, fix_at(both_sides, along + 20, 1_500))
        right += abs(found.provisional.distance_along_m - along - 20) < 60
    assert right / len(places) > 0.95
