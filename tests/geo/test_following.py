"""Fixes as they come, in uploads: compiled and plain go on from each other's states, and say the same."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

import geo.compiled
from geo import Fix, Matcher, Round, Stop
from geo.course import RECENT, Recent
from geo.errors import BadState
from geo.fast_line import see
from geo.matching import UNKNOWN
from geo.positions import Plane
from geo.sight import points_of, reach_of, sights_of, tempering
from geo.state import state_from_bytes

pytestmark = pytest.mark.usefixtures("compiled")
START = datetime(2026, 11, 21, 8, tzinfo=UTC)
PLANE = Plane(48.9, 2.48)
COMB = [point for j in range(6) for point in ((0, 110 * j), (500, 110 * j), (0, 110 * j))]
STEPS_S = (5, 10, 30, 60, 300, 2_000)


def comb(*, sided=False):
    """A comb of streets, each walked out and back; with sides, every third stop is on the left and every third on the right."""
    line = tuple(PLANE.latlon(x, y)[::-1] for x, y in COMB)
    bare = Round("T01", line, ())
    places = [bare.point_at(metres) for metres in np.arange(9.0, bare.length_m, 18.0)]
    sides = (None, "left", "right") if sided else (None,)
    stops = [Stop(f"st-{i}", *place, side=sides[i % len(sides)]) for i, place in enumerate(places)]
    return Round("T01", line, tuple(stops))


def wandered(rnd, *, seed, fixes=40):
    """Walk, stand, turn round, jump, leave the round and fall silent; poor and unusable fixes, headings at times."""
    rng = np.random.default_rng(seed)
    along, clock, ahead, found = rng.uniform(0, 300), 0.0, 1, []
    sigma_m = float(rng.choice([4, 8, 20, 40]))
    for _ in range(fixes):
        step_s = float(rng.choice(STEPS_S, p=[0.15, 0.2, 0.5, 0.1, 0.03, 0.02]))
        clock += step_s
        if rng.random() < 0.7:
            along = float(np.clip(along + ahead * step_s * rng.uniform(0.2, 1.6), 0, rnd.length_m))
        ahead = -ahead if rng.random() < 0.04 else ahead
        along = rng.uniform(0, rnd.length_m) if rng.random() < 0.02 else along
        x, y = rnd.plane.xy(*rnd.point_at(along))
        away = rng.uniform(100, 2_000) if rng.random() < 0.08 else 0.0
        lat, lon = rnd.plane.latlon(x + rng.normal(0, sigma_m) + away, y + rng.normal(0, sigma_m))
        accuracy_m = (None, 1.5 * sigma_m, 150.0)[int(rng.choice(3, p=[0.1, 0.85, 0.05]))]
        moving = (1.4, float(rng.uniform(0, 360))) if rng.random() < 0.3 else (None, None)
        found.append(Fix(lat, lon, START + timedelta(seconds=clock), accuracy_m, *moving))
    return found


def uploads_of(fixes, rng):
    while fixes:
        size = int(rng.integers(1, 6))
        yield fixes[:size]
        fixes = fixes[size:]


def same_place(one, other, *, share):
    if one is None or other is None:
        assert one is other
        return
    names = "status", "stop_id", "next_stop_id", "direction", "fixed_at", "round_id"
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]
    assert one.distance_along_m == pytest.approx(other.distance_along_m, abs=0.05)
    assert one.progress == pytest.approx(other.progress, abs=1e-4)
    assert one.confidence == pytest.approx(other.confidence, abs=share)
    assert (one.offset_m is None) == (other.offset_m is None)
    assert one.offset_m is None or one.offset_m == pytest.approx(other.offset_m, abs=0.05)


def same(told, others, *, share=1e-4):
    for one, other in zip(told, others, strict=True):
        same_place(one.provisional, other.provisional, share=share)
        same_place(one.confirmed, other.confirmed, share=share)
        assert one.evidence == pytest.approx(other.evidence, abs=2 * share)


@pytest.mark.parametrize("lag", [0, 1, 4])
@pytest.mark.parametrize("how", ["kept", "stored", "exchanged"])
def test_compiled_and_plain_say_the_same_fix_by_fix_whoever_held_the_state(lag, how):
    for seed in range(3):
        rnd = comb(sided=seed % 2 == 1)
        rng = np.random.default_rng(seed)
        plain, fast = (Matcher(rnd, lag_fixes=lag, engine=engine) for engine in ("numpy", "fast"))
        state, other = plain.start(), fast.start()
        for fixes in uploads_of(wandered(rnd, seed=seed), rng):
            state, told = plain.follow(state, fixes)
            other, found = fast.follow(other, fixes)
            same(found, told, share=3e-3 if how == "stored" else 1e-4)
            assert [each.is_sharp for each in other.known] == [each.is_sharp for each in state.known]
            if how == "stored":  # chances are rounded there, at times to either side
                state, other = (plain.state_from_bytes(each.to_bytes()) for each in (state, other))
            if how == "exchanged":
                state, other = other, state
            if rng.random() < 0.2:
                at = fixes[-1].fixed_at + timedelta(seconds=float(rng.choice([-40, 0, 3])))
                stop_id = rnd.stops[int(rng.integers(len(rnd.stops)))].stop_id
                state, other = plain.anchor(state, stop_id, at)[0], fast.anchor(other, stop_id, at)[0]


def test_following_in_uploads_says_what_one_fix_after_the_other_says():
    rnd = comb()
    fixes = wandered(rnd, seed=11)
    fixes = [*fixes[:20], fixes[7], fixes[19], *fixes[20:]]
    matcher = Matcher(rnd, engine="fast")
    state, told = matcher.follow(matcher.start(), fixes)
    plain, one_by_one = Matcher(rnd, engine="numpy"), []
    single = plain.start()
    for fix in fixes:
        single, found = plain.update(single, fix)
        one_by_one.append(found)
    same(told, one_by_one)
    assert state.known[-1].belief.at == single.known[-1].belief.at, "late ones and unusable ones change nothing"
    assert matcher.follow(state, []) == (state, [])


def test_a_state_of_another_line_starts_anew_compiled_too():
    rnd, short = comb(), Round("T02", tuple(PLANE.latlon(x, 0)[::-1] for x in (0, 300)), ())
    x, y = rnd.plane.xy(*rnd.point_at(5_900))
    far = [Fix(*rnd.plane.latlon(x, y), START + timedelta(seconds=10 * n), 8.0) for n in range(3)]
    state, _told = Matcher(rnd, engine="fast").follow(Matcher(rnd).start(), far)
    here = [Fix(*short.point_at(150), START + timedelta(seconds=90), 8.0)]
    engines = [Matcher(short, engine=engine) for engine in ("fast", "numpy")]
    same(*(matcher.follow(state, here)[1] for matcher in engines))


def test_a_round_of_a_single_place_can_be_followed_compiled():
    rnd = Round("T03", ((2.48, 48.9),), (Stop("st-1", 48.9, 2.48),))
    fixes = [Fix(48.9, 2.48, START + timedelta(seconds=30 * n), 8.0) for n in range(6)]
    matchers = [Matcher(rnd, engine=engine) for engine in ("fast", "numpy")]
    same(*(matcher.follow(matcher.start(), fixes)[1] for matcher in matchers))


@pytest.mark.parametrize("sided", [False, True])
def test_the_places_seen_from_the_vertices_are_those_of_the_course_laid_out(sided):
    rnd = comb(sided=sided)
    course, model = rnd.course, Matcher(rnd).model
    fixes = [fix for seed in range(6) for fix in wandered(rnd, seed=seed) if fix.accuracy_m != 150.0]
    points = points_of(course, fixes, model)
    places, seen = np.zeros(course.places, dtype=np.int64), np.zeros((2, course.places))
    for point, sight in zip(points, sights_of(course, points, [30.0] * len(points), model), strict=True):
        heading = point.heading or (0.0, 0.0)
        row = np.array((point.x, point.y, point.sigma_m, reach_of(point.sigma_m), tempering(30.0, model), *heading))
        found = see(row, rnd.walked, course.step_m, course.places, places, seen)
        assert places[:found].tolist() == sight.places.tolist()
        assert seen[:, :found] == pytest.approx(np.array([sight.density, sight.reversed_density]), rel=1e-6)


@pytest.fixture
def ready():
    """Make the compiled parts serve by themselves, as in a service that has started, for one test."""
    before = geo.compiled.compiled()
    assert geo.compiled.warm()
    yield
    if before is None:
        geo.compiled._ready.clear()


def test_stops_are_projected_to_the_same_metres_compiled_or_not(ready):
    rng = np.random.default_rng(5)
    for seed in range(8):
        rnd = comb(sided=bool(seed % 2))
        noisy = tuple(
            Stop(stop.stop_id, stop.lat + rng.normal(0, 2e-4), stop.lon + rng.normal(0, 2e-4)) for stop in rnd.stops
        )
        fast = Round("T01", rnd.line, noisy).stop_distances_m
        kept = geo.compiled._ready.copy()
        geo.compiled._ready.clear()
        plain = Round("T01", rnd.line, noisy).stop_distances_m
        geo.compiled._ready.extend(kept)
        assert fast.tolist() == plain.tolist()


def test_a_state_is_written_and_read_alike_compiled_or_not(ready):
    rnd = comb()
    for seed in range(6):
        matcher = Matcher(rnd, engine="fast")
        state, _told = matcher.follow(matcher.start(), wandered(rnd, seed=seed))
        fast = state.to_bytes()
        read = [each.belief for each in state_from_bytes(fast).known]
        kept = geo.compiled._ready.copy()
        geo.compiled._ready.clear()
        plain, known = state.to_bytes(), [each.belief for each in state_from_bytes(fast).known]
        geo.compiled._ready.extend(kept)
        assert len(plain) == len(fast) <= 1_000
        assert sum(one != other for one, other in zip(plain, fast, strict=True)) <= 2, "a chance between two steps"
        for one, other in zip(read, known, strict=True):
            assert one.codes.tolist() == other.codes.tolist()
            assert one.mass == pytest.approx(other.mass, rel=1e-12)


@pytest.mark.parametrize("rest", [b"", b"\xff" * 40, b"\x02\x01" + b"\x00" * 90, b"\x02\x04" + b"\xff" * 90])
def test_foreign_bytes_are_no_state_compiled_too(ready, rest):
    with pytest.raises(BadState):
        state_from_bytes(rest)


def test_a_matcher_is_compiled_by_itself_once_that_is_ready(ready, monkeypatch):
    rnd = comb()
    fast, asked = geo.compiled.compiled(), []
    monkeypatch.setattr(fast, "follow", lambda *a, _go=fast.follow, **how: asked.append(1) or _go(*a, **how))
    fix = Fix(*rnd.point_at(100), START, 8.0)
    Matcher(rnd).follow(Matcher(rnd).start(), [fix])
    assert len(asked) == 1
    Matcher(rnd, engine="numpy").follow(Matcher(rnd).start(), [fix])
    assert len(asked) == 1
    (told,) = Matcher(rnd).follow(Matcher(rnd).start(), [Fix(0.0, 0.0, START, 8.0)])[1]
    assert told.provisional.status == UNKNOWN
    assert len(asked) == 1, "what is unusable is answered without"


def test_what_stays_of_a_round_that_was_matched_is_as_long_as_its_vertices_not_as_its_line():
    rnd = Round("T04", tuple(PLANE.latlon(x, 0)[::-1] for x in (0, 20_000)), ())
    fixes = [Fix(*rnd.point_at(100 + 30 * n), START + timedelta(seconds=30 * n), 8.0) for n in range(4)]
    for engine in ("fast", "numpy"):
        matcher = Matcher(rnd, engine=engine)
        matcher.follow(matcher.start(), fixes)
    arrays = [each for value in vars(rnd).values() for each in (value if isinstance(value, tuple) else (value,))]
    assert sum(each.nbytes for each in arrays if isinstance(each, np.ndarray)) < 500
    assert rnd.course is rnd.course, "it is kept among the last ones"
    assert RECENT.of(rnd, lambda: pytest.fail("laid twice")) is rnd.course


def test_only_the_last_courses_are_kept():
    first, second, third = (comb() for _ in range(3))
    recent, laid = Recent(places=2 * first.course.places), []
    for rnd in (first, second, first, third, first, second):
        assert recent.of(rnd, lambda rnd=rnd: laid.append(rnd) or rnd.course) is rnd.course
    assert [id(rnd) for rnd in laid] == [id(rnd) for rnd in (first, second, third, second)]
