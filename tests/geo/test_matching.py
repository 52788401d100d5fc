"""The matcher as its users call it: which pass, which stop, off the round or not, from a state that can be stored."""

import sys
from dataclasses import fields
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from geo.errors import BadState, EmptyRound, ImplausibleRound, UnknownStop
from geo.matching import Matcher, locate
from geo.positions import Fix, Plane
from geo.rounds import Round, Stop
from geo.state import MOST_BYTES

pytestmark = pytest.mark.usefixtures("compiled")

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


@pytest.fixture(scope="module")
def straight_state(straight):
    matcher = Matcher(straight)
    state = matcher.start()
    for i in range(6):
        state, _ = matcher.update(state, fix_at(straight, 100 + 20 * i, 20 * i))
    return matcher, state.to_bytes()


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


ENGINES = ("numpy", "fast")


def right_passes(walk, found, *, lag=0):
    ahead = found[lag:] if lag else found
    told = [one.confirmed if lag else one.provisional for one in ahead]
    right = [
        abs(match.distance_along_m - truth) <= 50 and match.status in {"on_round", "at_stop"}
        for match, (_, truth) in zip(told, walk[: len(told)], strict=True)
    ]
    return sum(right) / len(right)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("sigma_m", "every_s", "floor"), [(5, 8.5, 0.99), (10, 8.5, 0.99), (20, 8.5, 0.98), (10, 30, 0.99)]
)
def test_a_clean_walk_over_a_comb_of_streets_is_followed(both_sides, engine, sigma_m, every_s, floor):
    for seed in (1, 2):
        walk = noisy_walk(both_sides, sigma_m=sigma_m, every_s=every_s, seed=seed)
        found = Matcher(both_sides, engine=engine).replay(fix for fix, _ in walk)
        assert right_passes(walk, found) >= floor
        assert right_passes(walk, found, lag=4) >= floor


def test_compiled_and_numpy_filters_give_the_same_matches(both_sides):
    legs = [(0, 1500), (2600, 4000), (1200, 2600)]
    walk = noisy_walk(both_sides, sigma_m=15, every_s=8.5, seed=4, legs=legs)
    fixes = [fix for fix, _ in walk]
    for lag in (0, 4):
        fast = Matcher(both_sides, lag_fixes=lag, engine="fast").replay(fixes)
        slow = Matcher(both_sides, lag_fixes=lag, engine="numpy").replay(fixes)
        for one, other in zip(fast, slow, strict=True):
            assert one.evidence == pytest.approx(other.evidence, abs=1e-4)
            for mine, theirs in ((one.provisional, other.provisional), (one.confirmed, other.confirmed)):
                if theirs is None:
                    assert mine is None
                    continue
                assert (mine.status, mine.stop_id, mine.direction, mine.fixed_at) == (
                    theirs.status,
                    theirs.stop_id,
                    theirs.direction,
                    theirs.fixed_at,
                )
                assert mine.distance_along_m == pytest.approx(theirs.distance_along_m, abs=0.05)
                assert mine.confidence == pytest.approx(theirs.confidence, abs=1e-4)


def test_without_a_working_compiler_the_plain_filter_serves(both_sides, monkeypatch):
    fixes = [fix for fix, _ in noisy_walk(both_sides, sigma_m=10, every_s=8.5, seed=5)]
    assert len(fixes) >= 1_000
    expected = Matcher(both_sides, engine="numpy").replay(fixes)
    monkeypatch.setitem(sys.modules, "geo.fast", None)
    assert Matcher(both_sides).replay(fixes) == expected
    with pytest.raises(ImportError):
        Matcher(both_sides, engine="fast").replay(fixes)


def test_one_fix_after_the_other_gives_what_a_replay_gives(both_sides):
    fixes = [fix for fix, _ in noisy_walk(both_sides, sigma_m=10, every_s=8.5, seed=5)][:200]
    matcher, one_by_one = Matcher(both_sides, engine="numpy"), []
    state = matcher.start()
    for fix in fixes:
        state, found = matcher.update(state, fix)
        one_by_one.append(found)
    assert one_by_one == matcher.replay(fixes)


def test_the_whole_round_walked_backwards_is_followed_and_said_to_be(both_sides):
    there = noisy_walk(both_sides, sigma_m=8, every_s=10, seed=6)
    last = there[-1][0].fixed_at
    walk = [(Fix(f.lat, f.lon, START + (last - f.fixed_at), f.accuracy_m), along) for f, along in reversed(there)]
    found = Matcher(both_sides).replay(fix for fix, _ in walk)
    assert right_passes(walk[200:], found[200:]) >= 0.98, "until the end of the first street both ways are possible"
    assert found[-20].provisional.direction == "reversed"
    forward = Matcher(both_sides).replay(fix for fix, _ in there)
    assert {one.provisional.direction for one in forward[100:]} == {"forward"}


def test_match_has_the_fields_that_outsiders_rely_on(straight):
    match = locate(straight, fix_at(straight, 100, north=-4))
    assert [field.name for field in fields(match)] == (
        "round_id stop_id next_stop_id distance_along_m progress offset_m confidence status alternatives fixed_at"
        " direction".split()
    )
    assert (match.round_id, match.status, match.stop_id, match.next_stop_id) == ("T01", "on_round", "st-5", "st-6")
    assert match.distance_along_m == pytest.approx(100, abs=2)
    assert match.progress == pytest.approx(0.1, abs=0.002)
    assert match.offset_m == pytest.approx(4, abs=0.1), "south of an eastward line is right of travel"
    assert match.confidence > 0.9


def test_last_distance_chooses_between_two_passes_of_one_street(both_sides):
    fix = fix_at(both_sides, 200)
    assert locate(both_sides, fix, 180).distance_along_m == pytest.approx(200, abs=8)
    assert locate(both_sides, fix, 780).distance_along_m == pytest.approx(800, abs=8)


@pytest.mark.parametrize(("after_m", "after_s"), [(float("nan"), 5), (-50, float("nan")), (1e9, -3), (180, 1e300)])
def test_odd_last_distances_are_borne(both_sides, after_m, after_s):
    match = locate(both_sides, fix_at(both_sides, 200), after_m, after_s=after_s)
    assert 0 <= match.distance_along_m <= both_sides.length_m


def test_equal_passes_without_memory_are_told_beside_the_first(both_sides):
    match = locate(both_sides, fix_at(both_sides, 1250))
    assert match.confidence < 0.8
    assert any(abs(along - 1970) < 8 for along, _ in match.alternatives)


def test_way_back_from_a_dead_end_is_not_taken_for_the_way_there(both_sides):
    found = Matcher(both_sides).replay(fix_at(both_sides, d, d) for d in range(300, 801, 10))
    assert found[-1].provisional.distance_along_m == pytest.approx(800, abs=8)


@pytest.mark.parametrize("engine", ENGINES)
def test_confirmed_comes_lag_fixes_later_for_the_earlier_fix(straight, engine):
    fixes = [fix_at(straight, 10 * i, 10 * i) for i in range(8)]
    found = Matcher(straight, lag_fixes=3, engine=engine).replay(fixes)
    assert [one.confirmed for one in found[:3]] == [None] * 3
    assert [one.confirmed.fixed_at for one in found[3:]] == [fix.fixed_at for fix in fixes[:5]]
    for one, fix in zip(found[3:], range(0, 50, 10), strict=True):
        assert one.confirmed.distance_along_m == pytest.approx(fix, abs=8)


def test_without_a_lag_confirmed_is_provisional(straight):
    (found,) = Matcher(straight, lag_fixes=0).replay([fix_at(straight, 10)])
    assert found.confirmed == found.provisional


@pytest.mark.parametrize("sigma_m", [5, 10, 20, 50])
def test_state_survives_in_a_thousand_bytes_and_goes_on_alike(both_sides, sigma_m):
    matcher = Matcher(both_sides)
    walk = noisy_walk(both_sides, sigma_m=sigma_m, every_s=20, seed=3)[:160]
    state = stored = matcher.start()
    right = 0
    for fix, truth in walk:
        state, _ = matcher.update(state, fix)
        stored, found = matcher.update(Matcher.state_from_bytes(stored.to_bytes()), fix)
        right += abs(found.provisional.distance_along_m - truth) <= 50
        data = stored.to_bytes()
        assert len(data) <= MOST_BYTES
        assert Matcher.state_from_bytes(data).to_bytes() == data
    assert right / len(walk) >= (0.98 if sigma_m < 50 else 0.8)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"v":99}', b"\x02\x09" + b"\xff" * 400, b"\xff"])
def test_foreign_bytes_are_no_state(data):
    with pytest.raises(BadState):
        Matcher.state_from_bytes(data)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_bad_state(data):
    for body in (data, b"\x02\x01" + data):
        try:
            Matcher.state_from_bytes(body)
        except BadState:
            continue


@settings(max_examples=300, deadline=None)
@given(st.integers(0, 900), st.integers(1, 255))
def test_a_state_with_a_wrong_byte_is_refused_or_goes_on(straight_state, place, wrong):
    matcher, data = straight_state
    broken = bytearray(data)
    broken[place % len(data)] ^= wrong
    try:
        state = Matcher.state_from_bytes(bytes(broken))
    except BadState:
        return
    _, found = matcher.update(state, fix_at(matcher.round, 230, 300))
    assert 0 <= found.provisional.confidence <= 1
    assert 0 <= found.provisional.distance_along_m <= matcher.round.length_m


def test_state_of_another_line_starts_anew(both_sides, straight):
    state = Matcher(both_sides).start()
    for i in range(3):
        state, _ = Matcher(both_sides).update(state, fix_at(both_sides, 5_900 + 5 * i, 10 * i))
    _, found = Matcher(straight).update(state, fix_at(straight, 300, 60))
    assert found.provisional.distance_along_m == pytest.approx(300, abs=8)


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
    assert found.provisional.distance_along_m == pytest.approx(120, abs=8)


def test_a_replay_out_of_time_is_taken_fix_by_fix(straight):
    fixes = [fix_at(straight, 10 * i, 10 * i) for i in (0, 1, 3, 2, 4)]
    found = Matcher(straight).replay(fixes)
    assert [one.provisional.fixed_at for one in found] == [fix.fixed_at for fix in fixes]


def test_a_far_place_after_a_long_silence_is_found(straight):
    matcher = Matcher(straight)
    state, _ = matcher.update(matcher.start(), fix_at(straight, 20))
    _, found = matcher.update(state, fix_at(straight, 900, 601))
    assert found.provisional.distance_along_m == pytest.approx(900, abs=8)
    assert found.provisional.confidence > 0.5


def test_scan_puts_the_carrier_at_its_stop_and_chooses_the_pass(both_sides):
    matcher = Matcher(both_sides)
    stop = next(i for i, d in enumerate(both_sides.stop_distances_m) if d > 780)
    state, found = matcher.anchor(matcher.start(), f"st-{stop}", START)
    assert (found.provisional.stop_id, found.provisional.status) == (f"st-{stop}", "at_stop")
    _, found = matcher.update(state, fix_at(both_sides, 200, 10))
    assert found.provisional.distance_along_m == pytest.approx(800, abs=12)


def test_late_scan_chooses_the_pass_that_the_fixes_left_open(both_sides):
    matcher = Matcher(both_sides)
    state, _ = matcher.update(matcher.start(), fix_at(both_sides, 1_250, 120))
    stop = next(i for i, d in enumerate(both_sides.stop_distances_m) if d > 1_900)
    state, _ = matcher.anchor(state, f"st-{stop}", START)
    _, found = matcher.update(state, fix_at(both_sides, 1_975, 130))
    assert found.provisional.distance_along_m == pytest.approx(1_975, abs=12)


def test_late_scan_far_from_all_that_is_believed_starts_from_there(both_sides):
    matcher = Matcher(both_sides)
    state, _ = matcher.update(matcher.start(), fix_at(both_sides, 200, 20))
    moved, _ = matcher.anchor(state, "st-200", START)
    _, found = matcher.update(moved, fix_at(both_sides, both_sides.distance_of("st-200") + 30, 40))
    assert found.provisional.distance_along_m == pytest.approx(both_sides.distance_of("st-200") + 30, abs=15)


def test_a_scan_that_contradicts_every_fix_is_outweighed_in_the_end(both_sides):
    matcher = Matcher(both_sides)
    state = matcher.start()
    for i in range(10):
        state, _ = matcher.update(state, fix_at(both_sides, 100 + 10 * i, 10 * i))
    state, _ = matcher.anchor(state, "st-250", START + timedelta(seconds=95))
    for i in range(10, 22):
        state, found = matcher.update(state, fix_at(both_sides, 100 + 10 * i, 10 * i))
    assert found.provisional.distance_along_m == pytest.approx(310, abs=15)


def test_a_scan_at_the_moment_of_a_fix_off_the_round_is_believed_and_kept(straight):
    matcher = Matcher(straight)
    state = matcher.start()
    for i in range(6):
        state, _ = matcher.update(state, fix_at(straight, 300, 30 * i, north=400))
    state, _ = matcher.anchor(state, "st-30", START + timedelta(seconds=150))
    state = Matcher.state_from_bytes(state.to_bytes())
    _, found = matcher.update(state, fix_at(straight, straight.distance_of("st-30"), 180))
    assert found.provisional.distance_along_m == pytest.approx(straight.distance_of("st-30"), abs=15)
    assert found.provisional.confidence > 0.9


def test_scan_of_another_round_is_an_unknown_stop(straight):
    matcher = Matcher(straight)
    with pytest.raises(UnknownStop, match="st-999"):
        matcher.anchor(matcher.start(), "st-999", START)


@pytest.mark.parametrize("engine", ENGINES)
def test_fifteen_seconds_beside_a_stop_are_a_visit(straight, engine):
    found = Matcher(straight, engine=engine).replay(fix_at(straight, 99, 5 * i) for i in range(5))
    assert [one.provisional.status for one in found] == ["on_round"] * 3 + ["at_stop"] * 2
    assert found[-1].provisional.stop_id == "st-5"


@pytest.mark.parametrize("engine", ENGINES)
def test_off_round_takes_two_good_fixes_and_keeps_the_last_place_on_the_line(straight, engine):
    fixes = [fix_at(straight, 100), *(fix_at(straight, 120, 20 * i, north=200) for i in (1, 2))]
    here, *away = Matcher(straight, engine=engine).replay(fixes)
    assert [one.provisional.status for one in away] == ["unknown", "off_round"]
    for one in away:
        assert one.provisional.distance_along_m == pytest.approx(here.provisional.distance_along_m, abs=5)
    assert away[-1].provisional.stop_id is None


@pytest.mark.parametrize("accuracy_m", [None, 0, -5, 41, 400, float("nan"), float("inf")])
def test_poor_fix_never_says_off_round(straight, accuracy_m):
    fixes = [fix_at(straight, 100, 20 * i, north=900, accuracy_m=accuracy_m) for i in range(4)]
    assert {one.provisional.status for one in Matcher(straight).replay(fixes)} == {"unknown"}


def test_back_from_a_detour_the_round_goes_on(straight):
    detour = [fix_at(straight, 100), *(fix_at(straight, 120, 20 * i, north=300) for i in range(1, 5))]
    found = Matcher(straight).replay([*detour, *(fix_at(straight, 150 + 10 * i, 120 + 10 * i) for i in range(2))])
    assert found[-1].provisional.status == "on_round"
    assert found[-1].provisional.distance_along_m == pytest.approx(160, abs=8)


def test_heading_tells_two_passes_apart_when_it_is_known(both_sides):
    def walking(heading_deg, speed_mps=1.4):
        here = fix_at(both_sides, 1_250)
        fix = Fix(here.lat, here.lon, START, 8.0, speed_mps, heading_deg)
        return locate(both_sides, fix).distance_along_m

    assert walking(90) == pytest.approx(1_250, abs=10)
    assert walking(270) == pytest.approx(1_970, abs=10)
    assert walking(270, speed_mps=0.5) == walking(90, speed_mps=0.5)


def test_side_of_the_street_tells_two_passes_apart_where_the_plan_gives_it(both_sides):
    sided = Round("T01", both_sides.line, [Stop(s.stop_id, s.lat, s.lon, "right") for s in both_sides.stops])
    south, north = fix_at(sided, 1_250, north=-5, accuracy_m=4), fix_at(sided, 1_250, north=5, accuracy_m=4)
    weights = [locate(sided, fix) for fix in (south, north)]
    chance = [
        next((p for d, p in [(m.distance_along_m, m.confidence), *m.alternatives] if abs(d - 1_250) < 15), 0)
        for m in weights
    ]
    assert chance[0] > chance[1] + 0.1


def test_pace_follows_what_the_run_does(straight):
    matcher = Matcher(straight)
    slow = fast = matcher.start()
    for i in range(60):
        slow, _ = matcher.update(slow, fix_at(straight, 9 * i, 20 * i))
        fast, _ = matcher.update(fast, fix_at(straight, 16 * i, 8 * i))
    assert slow.pace_mps < 0.7
    assert fast.pace_mps > 1.5


def test_round_of_a_single_place_can_be_matched():
    rnd = Round("one", [], [Stop("st-1", 48.9, 2.48)])
    match = locate(rnd, Fix(48.90005, 2.48, START, 8))
    assert (match.stop_id, match.distance_along_m, match.progress) == ("st-1", 0, 0)


def test_a_round_without_anything_is_said_to_be_empty():
    with pytest.raises(EmptyRound):
        Matcher(Round("none", [], []))
    for lon, lat in ((float("nan"), 48.9), (2.48, float("inf")), (2.48, 1e308), (500.0, 48.9)):
        with pytest.raises(ImplausibleRound):
            Matcher(Round("nowhere", [(2.48, 48.9), (lon, lat)], []))


BAD = st.sampled_from([0.0, -1.0, 48.9, 2.48, 91.0, 181.0, 1e9, float("nan"), float("inf"), -float("inf")])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(BAD, BAD, BAD, st.floats(-1e4, 1e4)), max_size=12))
def test_no_fix_raises_out_of_a_batch_and_bad_ones_have_no_confidence(rows):
    rnd = Round("two", [(2.48, 48.9), (2.48, 48.9), (2.49, 48.9)], [Stop("a", 48.9, 2.489), Stop("b", 48.9, 2.481)])
    fixes = [Fix(lat, lon, START + timedelta(seconds=s), acc, acc, acc) for lat, lon, acc, s in rows]
    for fix, found in zip(fixes, Matcher(rnd).replay(fixes), strict=True):
        match = found.provisional
        assert 0 <= match.confidence <= 1
        assert 0 <= match.distance_along_m <= rnd.length_m
        if not (abs(fix.lat) <= 90 and abs(fix.lon) <= 180):
            assert (match.status, match.confidence) == ("unknown", 0.0)


def test_a_fix_five_thousand_kilometres_away_is_off_the_round_and_told_far(straight):
    match = locate(straight, Fix(14.6, -61.0, START, 8.0))
    assert match.status == "off_round"
    assert abs(match.offset_m) > 1_000_000
    assert match.confidence == 0
