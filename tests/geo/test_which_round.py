"""Which of many rounds, from fixes: the right one soon, near ties where nothing tells two apart, and few false suspicions."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from math import inf, nan

import numpy as np
import pytest

from geo.errors import BadState
from geo.positions import Fix, Plane
from geo.rounds import Round, Stop, nearest_on
from geo.which_round import RoundFinder, reach_m

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
PLANE = Plane(48.9, 2.48)
EVERY_S = 30.0


def street(round_id, points_m, *, spacing_m=18.0, mode="foot"):
    line = tuple(PLANE.latlon(x, y)[::-1] for x, y in points_m)
    bare = Round(round_id, line, ())
    places = [bare.point_at(d) for d in np.arange(spacing_m / 2, bare.length_m, spacing_m)]
    return Round(round_id, line, tuple(Stop(f"{round_id}-{i}", *place) for i, place in enumerate(places)), "s", mode)


def out_and_back(round_id, north_m, *, west_m=0.0, long_m=1500.0):
    """A street walked out and back, and the next one 60 m further north."""
    corners = [(0, 0), (long_m, 0), (0, 0), (0, 60), (long_m, 60), (0, 60)]
    return street(round_id, [(west_m + x, north_m + y) for x, y in corners])


@pytest.fixture(scope="module")
def town():
    """Twelve rounds side by side, 300 m apart."""
    return [out_and_back(f"T{n:02d}", 300.0 * n) for n in range(12)]


@pytest.fixture(scope="module")
def finder(town):
    return RoundFinder.from_rounds(town)


def walk(rnd, *, seed, mps=0.7, sigma_m=8.0, minutes=60.0, start_m=0.0, at=START, stand=False):
    """Fixes of somebody on a round at an even pace, a fix each 30 s."""
    rng, fixes = np.random.default_rng(seed), []
    for n in range(int(minutes * 60 / EVERY_S)):
        along = start_m if stand else start_m + mps * n * EVERY_S
        x, y = PLANE.xy(*rnd.point_at(along))
        east, north = rng.normal(0, sigma_m, 2)
        lat, lon = PLANE.latlon(x + east, y + north)
        fixes.append(Fix(lat, lon, at + timedelta(seconds=n * EVERY_S), sigma_m * 1.515))
    return fixes


def followed(finder, evidence, fixes):
    """Take fixes; the evidence after them, and the first suspicion with its minutes."""
    first = None
    for fix in fixes:
        evidence = finder.update(evidence, fix)
        suspected = finder.mismatch(evidence)
        if suspected and first is None:
            first = suspected, (fix.fixed_at - fixes[0].fixed_at).total_seconds() / 60
    return evidence, first


def test_without_any_fix_no_round_is_known(finder):
    assert finder.start().ranking() == []
    assert finder.start().likeliest() == (None, 0.0)


@pytest.mark.parametrize("start_m", [0.0, 2_500.0])
@pytest.mark.parametrize("seed", [9_001, 9_002, 9_003])
def test_the_round_that_is_walked_is_named_after_some_fixes_and_the_chances_add_up_to_less_than_one(
    finder, town, start_m, seed
):
    evidence = finder.replay(walk(town[4], seed=seed, start_m=start_m, minutes=10))
    assert evidence.likeliest()[0] == "T04"
    assert 0.99 < sum(chance for _, chance in evidence.ranking()) < 1.0


def test_the_assignment_is_believed_while_fixes_do_not_speak_against_it(finder, town):
    between = walk(street("x", [(0, 150 + 60), (1500, 150 + 60)]), seed=1, minutes=0.5)[0]
    fix = replace(between, accuracy_m=150.0 / 1.6)
    for assigned in ("T00", "T01"):
        assert finder.update(finder.start(assigned), fix).ranking()[0][0] == assigned


def test_a_carrier_on_no_round_is_said_to_be_on_none(finder):
    away = walk(street("x", [(0, -2_000), (3_000, -2_000)]), seed=3)
    assert finder.replay(away).ranking() == []
    name, chance = finder.replay(away, assigned="T05").likeliest()
    assert (name, chance < 0.96) == ("T05", True)


def test_two_rounds_on_one_street_tie_until_a_scan_tells_them_apart(note):
    odd, even = street("odd", [(0, 0), (1500, 0)]), street("even", [(0, 0), (1500, 0)], spacing_m=20.0)
    finder = RoundFinder.from_rounds([odd, even, out_and_back("far", 600)])
    evidence = finder.replay(walk(odd, seed=5, minutes=25))
    chances = dict(evidence.ranking())
    note(f"two rounds on one street after 50 fixes: {chances['odd']:.2f} and {chances['even']:.2f}")
    assert 0.3 < chances["odd"] < 0.7
    assert evidence.likeliest()[0] is None
    scanned = finder.anchor(evidence, "even-30", START + timedelta(minutes=25))
    assert scanned.likeliest()[0] == "even"
    assert finder.anchor(evidence, "no-such-stop", START + timedelta(minutes=25)) == evidence


def test_a_scan_of_a_round_that_no_fix_came_near_counts_as_well(finder):
    evidence = finder.anchor(finder.start("T03"), "T09-10", START)
    assert {name for name, _ in evidence.ranking()} == {"T03", "T09"}
    assert dict(evidence.ranking())["T09"] > dict(finder.start("T03").ranking()).get("T09", 0.0)


def test_a_round_is_near_exactly_where_its_line_is_in_reach(finder, town):
    rng = np.random.default_rng(9_004)
    for _ in range(300):
        lat, lon = PLANE.latlon(float(rng.uniform(-400, 1900)), float(rng.uniform(-400, 4000)))
        fix = Fix(lat, lon, START, float(rng.choice([5, 30, 60, 90])))
        off = {each.round_id: nearest_on(each.vertices, *each.plane.xy(lat, lon))[1] for each in town}
        assert set(finder.near(fix)) == {name for name, metres in off.items() if metres <= reach_m(fix)}
        assert finder.near(fix) == sorted(finder.near(fix), key=off.__getitem__)


def test_only_rounds_near_the_fixes_have_a_filter_and_never_more_than_six():
    crossing = [street(f"C{n:02d}", [(-500 + 5 * n, -500), (500 + 5 * n, 500)]) for n in range(40)]
    apart = [out_and_back(f"A{n:02d}", 5_000 + 300.0 * n) for n in range(60)]
    finder, evidence = RoundFinder.from_rounds([*crossing, *apart]), None
    evidence = finder.start("A00")
    for fix in walk(crossing[20], seed=6, minutes=20):
        evidence = finder.update(evidence, fix)
        assert len(evidence.candidates) <= 6
        assert {each.round_id for each in evidence.candidates if each.round_id != "A00"} <= {
            each.round_id for each in crossing
        }


def test_standing_for_an_hour_tells_no_more_than_standing_for_a_minute(finder, town):
    evidence = finder.replay(walk(town[2], seed=7, minutes=10), assigned="T02")
    place = 0.7 * 570
    after = evidence
    for fix in walk(town[2], seed=8, minutes=60, start_m=place, stand=True, at=START + timedelta(minutes=10)):
        after = finder.update(after, fix)
    assert after.fixes - evidence.fixes <= 5
    assert abs(after.candidates[0].nats - evidence.candidates[0].nats) < 15


def test_copies_older_fixes_and_what_is_no_place_change_nothing(finder, town):
    fixes = walk(town[1], seed=9, minutes=10)
    evidence = finder.replay(fixes)
    last = fixes[-1]
    later = last.fixed_at + timedelta(seconds=30)
    for fix in (
        last,
        fixes[0],
        Fix(nan, last.lon, later),
        Fix(last.lat, inf, later),
        Fix(0.0, 0.0, later),
        Fix(95.0, 2.0, later),
        replace(last, fixed_at=later, accuracy_m=500.0),
        replace(last, fixed_at=later, accuracy_m=nan),
        replace(last, fixed_at=later, accuracy_m=inf),
    ):
        assert finder.update(evidence, fix) == evidence


@pytest.mark.parametrize("accuracy_m", [None, 0.0, -3.0])
def test_a_fix_of_unknown_accuracy_or_a_continent_away_is_taken_for_what_it_is(finder, town, accuracy_m):
    fixes = [replace(each, accuracy_m=accuracy_m) for each in walk(town[6], seed=10, minutes=15)]
    evidence = finder.replay(fixes)
    assert evidence.ranking()[0][0] == "T06"
    far = Fix(-33.9, 151.2, fixes[-1].fixed_at + timedelta(minutes=1), accuracy_m)
    assert finder.update(evidence, far).ranking()[0][0] == "T06"


def test_written_and_read_evidence_goes_on_as_it_was_without_the_rounds_that_are_gone(finder, town):
    fixes = walk(town[3], seed=11, minutes=40)
    evidence, _ = followed(finder, finder.start("T05"), fixes[:60])
    read = finder.evidence_from_bytes(evidence.to_bytes())
    assert len(evidence.to_bytes()) < 12_000
    for kept, again in ((finder.update(evidence, fix), finder.update(read, fix)) for fix in fixes[60:61]):
        assert [each for each, _ in kept.ranking()] == [each for each, _ in again.ranking()]
        assert kept.ranking()[0][1] == pytest.approx(again.ranking()[0][1], abs=1e-3)
    fewer = RoundFinder.from_rounds([each for each in town if each.round_id != "T03"])
    assert {each.round_id for each in fewer.evidence_from_bytes(evidence.to_bytes()).candidates} == {"T05"}


@pytest.mark.parametrize(
    "data", [b"", b"{}", b"[]", b'{"v":99}', b'{"v":1,"candidates":[{"round_id":"T03"}]}', b"\xff"]
)
def test_bytes_that_are_no_evidence_are_refused(finder, data):
    with pytest.raises(BadState):
        finder.evidence_from_bytes(data)


@pytest.mark.parametrize("seed", range(9_010, 9_016))
def test_a_carrier_who_serves_another_round_is_suspected_of_it_after_ten_to_thirty_minutes(finder, town, seed):
    evidence, first = followed(finder, finder.start("T07"), walk(town[3], seed=seed))
    assert first is not None
    suspected, minutes = first
    assert suspected.round_id == "T03"
    assert suspected.confidence > 0.9
    assert 10 <= minutes <= 30
    assert START <= suspected.since <= START + timedelta(minutes=10)
    assert finder.mismatch(evidence) is not None


@pytest.mark.parametrize("start_m", [0.0, 3_000.0])
def test_nobody_is_suspected_on_the_right_round(finder, town, start_m):
    for seed in (9_020, 9_021):
        assert followed(finder, finder.start("T03"), walk(town[3], seed=seed, start_m=start_m, minutes=90))[1] is None


def test_nobody_is_suspected_who_passes_along_another_round_or_eats_there(finder, town):
    passing = walk(town[3], seed=9_030, mps=1.3, minutes=35)
    assert followed(finder, finder.start("T07"), passing)[1] is None
    there = walk(town[3], seed=9_031, mps=1.3, minutes=5)
    meal = walk(town[3], seed=9_032, start_m=390, stand=True, minutes=60, at=START + timedelta(minutes=5))
    back = [replace(fix, fixed_at=START + timedelta(minutes=65, seconds=30 * n)) for n, fix in enumerate(there[::-1])]
    assert followed(finder, finder.start("T07"), [*there, *meal, *back])[1] is None


def test_nobody_is_suspected_off_every_round_or_by_bad_fixes(finder, town):
    away = walk(street("x", [(0, -2_000), (3_000, -2_000)]), seed=9_040)
    assert followed(finder, finder.start("T07"), away)[1] is None
    for accuracy_m in (None, 41.0, 90.0):
        bad = [replace(fix, accuracy_m=accuracy_m) for fix in walk(town[3], seed=9_041)]
        assert followed(finder, finder.start("T07"), bad)[1] is None


def test_who_served_the_right_round_for_long_is_suspected_later(finder, town):
    known = finder.start("T07", known_nats=150.0)
    _, late = followed(finder, known, walk(town[3], seed=9_050, minutes=110))
    _, soon = followed(finder, finder.start("T07"), walk(town[3], seed=9_050, minutes=110))
    assert late is not None
    assert soon is not None
    assert late[1] > soon[1] + 10


def test_without_an_assignment_or_with_one_of_another_site_nobody_is_suspected(finder, town):
    for assigned in (None, "elsewhere"):
        assert followed(finder, finder.start(assigned), walk(town[3], seed=9_060, minutes=40))[1] is None


def test_a_finder_of_nothing_and_rounds_without_a_line_answer_as_well(town):
    fixes = walk(town[0], seed=12, minutes=5)
    assert RoundFinder.from_rounds([]).replay(fixes).ranking() == []
    finder = RoundFinder.from_rounds([Round("empty", (), ()), town[0], Round("point", ((2.48, 48.9),), ())])
    assert len(finder) == 2
    assert "empty" not in finder
    assert finder.replay(fixes, assigned="empty").ranking()[0][0] in {"T00", "empty"}


def test_a_fix_from_before_a_scan_that_was_taken_changes_nothing(finder, town):
    evidence = finder.anchor(finder.start("T03"), "T09-10", START + timedelta(minutes=5))
    assert finder.update(evidence, walk(town[9], seed=13, minutes=1)[0]) == evidence
