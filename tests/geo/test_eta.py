"""Expected times: never in the past, wide where little is known, right about as often as they say."""

import json
import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldsvc.bench.shifts import EIGHT, Beat, Habits
from geo.errors import BadState, EmptyRound
from geo.eta import Break, Today, forecast
from geo.learned_times import Figure, Learned, day_of, profile_of, with_day
from geo.learning import learn
from geo.rounds import Round, Stop
from geo.visits import SERVED, Course, Sighting, course_of

START = datetime(2026, 11, 21, 8, tzinfo=UTC)
LAT, LON, METRE_LON = 48.9, 2.16, 1 / 73_170.0
QUIET = Habits(chance=0.2, nothing=0.0, day_sd=0.03, carrier_sd=0.03, wander_sd=0.02, rests=0.0, noise_m=3.0)


def straight(count=20, spacing_m=50.0, mode="foot", names="p"):
    length = count * spacing_m
    stops = [
        Stop(f"s{i}", LAT, LON + (i + 0.5) * spacing_m * METRE_LON, delivery_point_id=f"{names}{i}")
        for i in range(count)
    ]
    return Round("T01", ((LON, LAT), (LON + length * METRE_LON, LAT)), tuple(stops), mode=mode)


def at(seconds):
    return START + timedelta(seconds=seconds)


def walk(until_m, *, speed=0.8, every_s=20.0, from_m=0.0, after_s=0.0):
    count = int((until_m - from_m) / speed / every_s) + 1
    return [Sighting(at(after_s + every_s * n), from_m + speed * every_s * n) for n in range(count)]


def told(rnd, rows, learned=None, *, now=None, today=None, **more):
    course = course_of(rnd, rows)
    moment = now or (rows[-1].at if rows else START)
    return forecast(rnd, course, learned or Learned(), now=moment, today=today or Today(starts_at=START), **more)


def width(estimate):
    return (estimate.late_at - estimate.early_at).total_seconds()


def taught(beat, days, first=0):
    learned = Learned()
    for n in range(first, first + days):
        shift = beat.day(n)
        moved = learn(beat.round, learned, course_of(beat.round, shift.seen, ended=True), Today(shift.seen[0].at))
        assert moved is not None
        learned = moved
    return learned


@pytest.fixture(scope="module")
def quiet():
    beat = Beat(random.Random(71), "foot", 80, QUIET)
    return beat, taught(beat, 6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 30),
    st.floats(0.0, 1.2),
    st.integers(0, 4000),
    st.booleans(),
    st.sampled_from(["foot", "bike", "van"]),
    st.integers(0, 3),
)
def test_no_time_is_in_the_past_and_all_go_up_along_the_order(count, share, silent_s, paused, mode, days):
    rnd = straight(count, mode=mode)
    beat = Beat(random.Random(count), mode, 40)
    learned = taught(beat, days) if days == 1 else Learned(days=float(days))
    rows = walk(min(share, 1.0) * rnd.length_m)
    now = rows[-1].at + timedelta(seconds=silent_s)
    pauses = ((rows[-1].at, now),) if paused else ()
    found = told(rnd, rows, learned, now=now, today=Today(START, paused=paused, pauses=pauses))
    estimates = [each for _, each in found.arrivals]
    assert found.end is not None
    for each in [*estimates, found.end]:
        assert now <= each.early_at <= each.at <= each.late_at
    for before, after in pairwise([*estimates, found.end]):
        assert before.at <= after.at
        assert before.early_at <= after.early_at
        assert before.late_at <= after.late_at


def test_before_the_start_times_count_from_the_planned_one_and_without_one_there_are_none():
    rnd = straight()
    planned = Today(at(3600), started=False)
    found = told(rnd, [], now=START, today=planned)
    assert [name for name, _ in found.arrivals] == [stop.stop_id for stop in rnd.stops]
    assert found.arrivals[0][1].at > at(3600)
    late = told(rnd, [], now=at(7200), today=planned)
    assert late.arrivals[0][1].early_at >= at(7200)
    assert told(rnd, [], now=START, today=Today(None, started=False)).arrivals == ()
    assert told(rnd, [], now=START, today=Today(None, started=False)).end is None


def test_a_new_round_has_wide_intervals_and_a_learned_one_narrow_ones(quiet):
    beat, learned = quiet
    shift = beat.day(30)
    now = shift.seen[0].at + timedelta(minutes=5)
    course = course_of(beat.round, [each for each in shift.seen if each.at <= now])
    today = Today(shift.seen[0].at)
    new, known = (forecast(beat.round, course, each, now=now, today=today).end for each in (Learned(), learned))
    assert width(known) < 0.5 * width(new)
    assert abs((known.at - shift.ended_at).total_seconds()) < abs((new.at - shift.ended_at).total_seconds()) + 120


def test_a_slow_delivery_point_is_known_after_some_days():
    rnd = straight(20)
    learned = Learned()
    for n in range(6):
        halt = [Sighting(at(525 / 0.8 + 60.0 * n), 525.0) for n in range(1, 7)]
        rows = [*walk(525.0), *halt, *walk(1000.0, from_m=525.0, after_s=525 / 0.8 + 400.0)]
        moved = learn(rnd, learned, course_of(rnd, rows, ended=True), Today(START + timedelta(days=n)))
        assert moved is not None
        learned = moved
    assert learned.service["p10"].mean > 5 * learned.service["p4"].mean + 100
    arrivals = dict(told(rnd, walk(300.0), learned).arrivals)
    gap = (arrivals["s11"].at - arrivals["s10"].at).total_seconds()
    assert gap > 250
    assert (arrivals["s9"].at - arrivals["s8"].at).total_seconds() < 110


def test_one_long_halt_changes_no_service_time_and_counts_as_rest(quiet):
    beat, learned = quiet
    shift = beat.day(31)
    k = len(shift.seen) // 2
    still = [replace(shift.seen[k], at=shift.seen[k].at + timedelta(minutes=4 * n)) for n in range(1, 12)]
    rows = [
        *shift.seen[: k + 1],
        *still,
        *(replace(row, at=row.at + timedelta(minutes=45)) for row in shift.seen[k + 1 :]),
    ]
    plain = with_day(
        beat.round, learned, day_of(course_of(beat.round, shift.seen, ended=True), profile_of(beat.round, learned))
    )
    halted = with_day(
        beat.round, learned, day_of(course_of(beat.round, rows, ended=True), profile_of(beat.round, learned))
    )
    usual, moved = (profile_of(beat.round, each) for each in (plain, halted))
    assert abs((moved.service + moved.travel).sum() - (usual.service + usual.travel).sum()) < 200
    assert halted.rest.mean > plain.rest.mean + 250


def test_a_fast_day_brings_the_end_forward_as_far_as_it_was_seen(quiet):
    beat, learned = quiet
    shift = beat.day(32)
    began = shift.seen[0].at
    fast = [replace(each, at=began + 0.75 * (each.at - began)) for each in shift.seen]
    half = fast[len(fast) // 2].at
    today = Today(began)
    seen = course_of(beat.round, [each for each in fast if each.at <= half])
    little = course_of(beat.round, [each for each in fast if each.at <= fast[3].at])
    real = fast[-1].at
    by_half, at_first = (
        forecast(beat.round, each, learned, now=each.at, today=today).end.at for each in (seen, little)
    )
    assert abs((by_half - real).total_seconds()) < 0.5 * abs((at_first - real).total_seconds())


def test_silence_widens_the_interval():
    rnd = straight(40)
    rows = walk(600.0)
    now = rows[-1].at
    widths = [width(told(rnd, rows, now=now + timedelta(minutes=m)).end) for m in (0, 30)]
    assert widths[1] > widths[0] + 600
    overdue = dict(told(rnd, rows, now=now + timedelta(minutes=30)).arrivals)["s13"]
    assert width(overdue) > 600


def test_a_pause_moves_everything_by_its_length_and_is_no_work():
    rnd = straight(40)
    rows = walk(600.0)
    now = rows[-1].at + timedelta(minutes=20)
    before = told(rnd, rows, now=rows[-1].at).end
    paused = told(rnd, rows, now=now, today=Today(START, paused=True, pauses=((rows[-1].at, now),))).end
    shift = (paused.at - before.at).total_seconds()
    assert 1200 <= shift <= 2200
    over = walk(900.0, from_m=600.0, after_s=(now - START).total_seconds())
    pauses = ((rows[-1].at, now),)
    resumed = told(rnd, [*rows, *over], today=Today(START, pauses=pauses)).end
    straight_on = told(rnd, walk(900.0)).end
    assert abs((resumed.at - straight_on.at).total_seconds() - 1200) < 240


def test_a_planned_break_is_added_behind_its_hour_and_no_more_once_it_is_over():
    rnd = straight(60)
    rows = walk(600.0)
    bare = dict(told(rnd, rows, today=Today(START)).arrivals)
    breaks = (Break(at(1800), 1200.0),)
    found = dict(told(rnd, rows, today=Today(START, breaks=breaks)).arrivals)
    assert found["s13"].at == pytest.approx(bare["s13"].at, abs=timedelta(seconds=60))
    assert (found["s58"].at - bare["s58"].at).total_seconds() == pytest.approx(1200, abs=700)
    assert found["s58"].at - found["s13"].at > timedelta(seconds=1200)
    later = walk(600.0, after_s=4000.0)
    gone = told(rnd, later, today=Today(at(4000), breaks=breaks)).end
    none = told(rnd, later, today=Today(at(4000), breaks=(Break(at(0), 60.0),))).end
    assert gone == none


def test_a_rest_that_earlier_days_took_is_expected_until_it_is_taken():
    rnd = straight(200)
    usual = Learned(10.0, rest=Figure(10.0, 1800.0, 0.0), rest_after=Figure(10.0, 3000.0, 100.0))
    before = told(rnd, walk(600.0), usual).end
    never = told(rnd, walk(600.0), replace(usual, rest=Figure(10.0, 0.0, 0.0), rest_after=Figure())).end
    assert 900 < (before.at - never.at).total_seconds() < 2700
    halt = [Sighting(at(1500 / 0.8 + 120.0 * n), 1500.0) for n in range(1, 20)]
    taken = [*walk(1500.0), *halt, *walk(2000.0, from_m=1500.0, after_s=1500 / 0.8 + 2400.0)]
    after = told(rnd, taken, usual).end
    after_never = told(rnd, taken, replace(usual, rest=Figure(10.0, 0.0, 0.0), rest_after=Figure())).end
    assert abs((after.at - after_never.at).total_seconds()) < 300


def test_what_was_jumped_over_comes_last_and_the_end_doubts_it():
    rnd = straight(60)
    rows = [*walk(500.0), *walk(1600.0, from_m=1200.0, after_s=640.0)]
    found = told(rnd, rows)
    order = [name for name, _ in found.arrivals]
    assert order.index("s59") < order.index("s15")
    assert dict(found.arrivals)["s15"].at > dict(found.arrivals)["s59"].at
    assert found.end.at < dict(found.arrivals)[order[-1]].late_at
    assert found.end.late_at > dict(found.arrivals)["s59"].late_at


def test_a_run_that_began_in_the_middle_does_the_beginning_last():
    rnd = straight(60)
    order = [name for name, _ in told(rnd, walk(1830.0, from_m=1200.0)).arrivals]
    assert order[0] == "s36"
    assert order.index("s59") + 1 == order.index("s0")


def test_a_run_that_goes_backwards_has_what_is_behind_ahead_of_it():
    rnd = straight(60)
    rows = [Sighting(at(20.0 * n), 3000.0 - 16.0 * n) for n in range(60)]
    order = [name for name, _ in told(rnd, rows).arrivals]
    assert order[:2] == ["s40", "s39"]
    assert order[-1] == "s0"


def test_when_all_is_served_only_the_end_is_left():
    rnd = straight(4)
    rows = [Sighting(at(300), None, stop_id=f"s{i}") for i in range(4)]
    rows = [replace(row, at=at(300.0 * n)) for n, row in enumerate(rows)]
    found = told(rnd, rows, now=at(1000))
    assert found.arrivals == ()
    assert found.end.at >= at(1000)
    assert all(visit.state == SERVED for visit in course_of(rnd, rows).visits)


def test_rounds_of_one_stop_of_no_length_and_of_nothing():
    one = Round("T01", (), (Stop("s0", LAT, LON),))
    found = told(one, [], now=START, today=Today(at(60), started=False))
    assert found.arrivals[0][1].at == found.arrivals[0][1].at
    assert found.arrivals[0][1].at >= at(60)
    bare = Round("T01", ((LON, LAT), (LON + 0.01, LAT)), ())
    assert told(bare, walk(300.0)).end.at > START
    with pytest.raises(EmptyRound):
        forecast(Round("T01", (), ()), Course((), START, START, 0.0), Learned(), now=START)


def test_a_run_that_was_hardly_seen_teaches_nothing():
    rnd = straight(40)
    assert learn(rnd, Learned(), course_of(rnd, walk(300.0), ended=True)) is None
    sparse = [Sighting(at(900.0 * n), 250.0 * n) for n in range(9)]
    assert learn(rnd, Learned(), course_of(rnd, sparse, ended=True)) is None
    assert learn(rnd, Learned(), course_of(rnd, [], ended=True)) is None
    assert learn(rnd, Learned(), course_of(rnd, walk(2000.0), ended=True)) is not None


def test_what_is_learned_survives_its_bytes_and_names_points_only(quiet):
    _, learned = quiet
    data = learned.to_bytes()
    again = Learned.from_bytes(data)
    assert Learned.from_bytes(again.to_bytes()) == again
    assert again.service.keys() == learned.service.keys()
    assert len(data) < 120 * len(learned.service)
    body = json.loads(data)
    assert set(body) == {"v", "days", "service", "travel", "day", "rest", "rest_after", "kept"}
    assert set(body["service"]) == {f"p{i}" for i in range(80)}
    assert "2026-" not in data.decode()
    for broken in (b"", b"{}", b"[]", b'{"v":99}', data[:-5], data.replace(b'"v":1', b'"v":7'), b"\xff"):
        with pytest.raises(BadState):
            Learned.from_bytes(broken)


def test_points_that_left_the_round_are_forgotten_and_a_leg_from_elsewhere_starts_anew(quiet):
    beat, learned = quiet
    stops = beat.round.stops
    changed = replace(beat.round, stops=(*stops[:10], *stops[11:]))
    shift = beat.day(40)
    moved = learn(changed, learned, course_of(changed, shift.seen, ended=True), Today(shift.seen[0].at))
    assert "p10" not in moved.service
    assert "p10" not in moved.travel
    assert moved.travel["p11"][0] == "p9"
    assert moved.travel["p11"][1].n == 1
    assert moved.service["p11"].n > 5


def test_old_days_fade():
    figure = Figure()
    for _ in range(60):
        figure = figure.moved(100.0)
    for _ in range(60):
        figure = figure.moved(200.0)
    assert figure.n == 30
    assert figure.mean > 180


HORIZONS_S = (900.0, 3_600.0, 10_800.0)


@pytest.mark.parametrize(("mode", "stops"), [("foot", 300), ("bike", 260), ("van", 130)])
def test_intervals_hold_about_eight_times_in_ten_and_beat_the_mean_speed(mode, stops, note):
    held, errors, naive = {}, {}, {}
    for seed in range(300, 306):
        rng = random.Random(f"{mode} {seed}")
        habits = Habits(
            service_s=40.0 if mode == "van" else rng.uniform(8, 20), rests=rng.choice((0.0, 0.7, 1.0)),
            day_sd=rng.uniform(0.03, 0.12), carrier_sd=rng.uniform(0.05, 0.15), chance=rng.uniform(0.4, 0.8),
        )  # fmt: skip
        beat = Beat(rng, mode, stops, habits)
        learned = taught(beat, 8)
        for n in range(60, 66):
            for horizon, ok, miss, bare in judged(beat, beat.day(n), learned):
                held.setdefault(horizon, []).append(ok)
                errors.setdefault(horizon, []).append(miss)
                naive.setdefault(horizon, []).append(bare)
    for horizon in HORIZONS_S:
        share, count = sum(held[horizon]) / len(held[horizon]), len(held[horizon])
        mae, bare = sum(errors[horizon]) / count, sum(naive[horizon]) / count
        note(
            f"eta: {mode}, 8 days learned, {horizon / 60:.0f} min ahead: in the 10-90 % interval {100 * share:.0f} %,"
            f" mean error {mae / 60:.1f} min, by mean speed {bare / 60:.1f} min ({count} forecasts)"
        )
        assert 0.65 <= share <= 0.95, horizon
        assert mae < 0.95 * bare, horizon


def judged(beat, shift, learned):
    """Yield (horizon, was it in the interval, error, error by mean speed) at some moments of a day."""
    began = shift.seen[0].at
    for part in (0.1, 0.3, 0.5, 0.7):
        now = began + part * (shift.ended_at - began)
        course = course_of(beat.round, [each for each in shift.seen if each.at <= now])
        found = dict(forecast(beat.round, course, learned, now=now, today=Today(began)).arrivals)
        for horizon in HORIZONS_S:
            ahead = [abs((each - now).total_seconds() - horizon) for each in shift.arrivals]
            i = ahead.index(min(ahead))
            estimate = found.get(f"s{i}")
            if ahead[i] > 0.2 * horizon or estimate is None:
                continue
            speed = course.distance_along_m / (now - began).total_seconds()
            bare = (beat.metres[i] - course.distance_along_m) / max(speed, 0.05)
            truth = shift.arrivals[i]
            yield (
                horizon,
                estimate.early_at <= truth <= estimate.late_at,
                abs((estimate.at - truth).total_seconds()),
                abs(bare - (truth - now).total_seconds()),
            )


def test_the_simulated_days_begin_where_they_say():
    assert abs(Beat(random.Random(1), "foot", 10).day(3).arrivals[0] - EIGHT - timedelta(days=3)) < timedelta(
        minutes=30
    )
