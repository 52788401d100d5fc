"""What a delivery point is remembered by: the truth from proofs that err, and no more of it than it needs."""

from datetime import date, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldsvc.bench import point_memory as simulated
from geo.delivery_points import (
    MOST,
    MOST_A_DAY,
    BadMemory,
    PointMemory,
    Proof,
    estimate,
    has_moved,
    is_unserved,
    learn,
    planned_at,
    proof_of,
    remember_at,
)
from geo.positions import Plane, distance_m

PLANNED = (48.9, 2.48)
DAY = date(2026, 3, 2)
PLANE = Plane(*PLANNED)


def day(number):
    return DAY + timedelta(days=number)


def proof(number, east=0, north=0, accuracy=8):
    return Proof(day(number), east, north, accuracy)


def taught(*proofs):
    return learn(remember_at(*PLANNED), proofs)


PROOFS = st.lists(
    st.builds(proof, st.integers(0, 60), st.integers(-149, 149), st.integers(-149, 149), st.integers(1, 20)),
    max_size=60,
)


def test_a_sharp_fix_near_the_plan_is_a_proof_in_whole_metres_of_a_day():
    lat, lon = PLANE.latlon(12.4, -30.6)
    assert proof_of(PLANNED, lat, lon, accuracy_m=7.6, day=DAY) == Proof(DAY, 12, -31, 8)


@pytest.mark.parametrize("accuracy_m", [None, 0.0, -1.0, 20.1, float("nan")])
def test_a_fix_that_is_not_sharp_proves_nothing(accuracy_m):
    assert proof_of(PLANNED, *PLANNED, accuracy_m=accuracy_m, day=DAY) is None


@pytest.mark.parametrize(
    "place", [PLANE.latlon(151, 0), (2.48, 48.9), (0.0, 0.0), (float("nan"), 2.48), (91.0, 2.48), (-48.9, 177.0)]
)
def test_a_fix_that_cannot_be_of_the_point_proves_nothing(place):
    assert proof_of(PLANNED, *place, accuracy_m=5.0, day=DAY) is None


def test_nothing_counts_before_four_proofs_of_two_days():
    assert not taught(*(proof(0, 10 + n) for n in range(6))).learned.is_sure
    assert not taught(proof(0, 10), proof(1, 11), proof(2, 10)).learned.is_sure
    sure = taught(proof(0, 10), proof(0, 11), proof(1, 10), proof(1, 11))
    assert sure.learned.is_sure
    assert distance_m(*sure.place(), *PLANE.latlon(10.5, 0)) < 1


def test_proofs_that_do_not_agree_say_nothing_for_sure():
    apart = taught(*(proof(n, 100 * (n % 2), 60 * (n % 3)) for n in range(12)))
    assert not apart.learned.is_sure
    assert apart.place() is None
    assert remember_at(*PLANNED).place() is None


@given(PROOFS, st.randoms(use_true_random=False))
@settings(max_examples=60, deadline=None)
def test_the_order_in_which_proofs_of_one_place_arrive_changes_nothing(proofs, rng):
    near = [Proof(each.day, each.east_m % 20, each.north_m % 20, each.accuracy_m) for each in proofs]
    shuffled = rng.sample(near, len(near))
    one_by_one = remember_at(*PLANNED)
    for each in shuffled:
        one_by_one = learn(one_by_one, [each])
    if one_by_one.moved_on is None and taught(*near).moved_on is None:
        assert one_by_one == taught(*near)


@given(PROOFS)
@settings(max_examples=60, deadline=None)
def test_memory_is_small_and_comes_back_from_its_bytes(proofs):
    memory = taught(*proofs)
    assert len(memory.proofs) <= MOST
    assert all(sum(each.day == other.day for other in memory.proofs) <= MOST_A_DAY for each in memory.proofs)
    data = memory.to_bytes()
    assert len(data) <= 248
    back = PointMemory.from_bytes(data)
    assert (back.proofs, back.moved_on, back.moved_from, back.planned) == (
        memory.proofs,
        memory.moved_on,
        memory.moved_from,
        memory.planned,
    )
    assert back.to_bytes() == data


@pytest.mark.parametrize("data", [b"", b"\x01", b"\x02" * 300, taught(proof(1)).to_bytes() + b"x", b"\x01" * 30])
def test_other_bytes_are_no_memory(data):
    with pytest.raises(BadMemory):
        PointMemory.from_bytes(data)


def test_one_day_at_a_wrong_spot_counts_little_and_moves_nothing():
    memory = taught(*(proof(n, 3) for n in range(6)), *(proof(7, 80 + n, accuracy=5) for n in range(20)))
    assert memory.moved_on is None
    assert abs(memory.learned.east_m - 3) < 2


def test_a_box_that_moved_is_noticed_with_its_first_day_until_the_plan_says_so():
    before = taught(*(proof(n, n % 3, -1) for n in range(10)))
    after = learn(before, [proof(20 + n, 40 + n % 3, 1) for n in range(6)])
    assert after.moved_on == day(20)
    assert after.moved_from == (1, -1)
    assert abs(after.learned.east_m - 41) < 2
    assert has_moved(after, PLANNED)
    assert not has_moved(after, PLANE.latlon(41, 1))
    assert not has_moved(before, PLANNED)
    assert learn(after, [proof(5, 0)]) == after


def test_two_days_elsewhere_are_no_move_yet():
    before = taught(*(proof(n) for n in range(10)))
    assert learn(before, [proof(20 + n // 3, 40 + n) for n in range(6)]).moved_on is None


def test_another_plan_keeps_the_proofs_where_they_were():
    memory = taught(*(proof(n, 10, 5) for n in range(6)))
    assert planned_at(memory, *PLANE.latlon(10, 0)) is memory
    moved = planned_at(memory, *PLANE.latlon(60, 0))
    assert distance_m(*moved.place(), *memory.place()) < 1
    assert planned_at(memory, *PLANE.latlon(400, 0)).proofs == ()
    assert planned_at(memory, -33.9, 18.4).proofs == ()


def test_no_proofs_give_no_place():
    assert estimate([]) is None


def test_a_point_is_missed_when_it_is_quiet_and_its_neighbours_are_served():
    often, seldom, today = [day(n) for n in range(0, 61, 10)], [day(n) for n in range(0, 61, 20)], day(130)
    around = [today - timedelta(days=3), today - timedelta(days=8)]
    assert is_unserved(often, neighbours=around, on=today)
    assert not is_unserved(often, neighbours=around[:1], on=today)
    assert not is_unserved(often, neighbours=often[-2:], on=today)
    assert not is_unserved(seldom, neighbours=around, on=today)  # every 20 days: 70 are not six times that
    assert not is_unserved(often[:2], neighbours=around, on=today)
    assert not is_unserved([], neighbours=around, on=today)
    assert not is_unserved(often, neighbours=around, on=day(85))


@pytest.mark.parametrize(
    ("sigma_m", "habit", "count", "floor_m"),
    [
        (5.0, "outliers", 10, 3.5),
        (5.0, "wrong_spot", 30, 2.5),
        (10.0, "outliers", 10, 6.5),
        (10.0, "wrong_spot", 30, 5.0),
    ],
)
def test_learned_places_are_nearer_than_the_plan(sigma_m, habit, count, floor_m, note):
    found = simulated.learned_errors(sigma_m=sigma_m, habit=habit, count=count, points=60, seed=9_001)
    note(
        f"box planned 25 m off, {count} proofs, sigma {sigma_m:.0f} m, {habit}: {found.median_m:.1f} m off (p90 {found.p90_m:.1f}),"
        f" {found.within_radius:.0%} within its radius, {found.sure:.0%} sure"
    )
    assert found.median_m <= floor_m
    assert found.within_radius >= 0.85
    assert found.false_moves <= 0.07


def test_a_move_of_50_m_is_noticed_soon_and_seldom_in_vain(note):
    after = sorted(simulated.noticed_after(sigma_m=10.0, moved_m=50.0, points=40, seed=9_002))
    vain = simulated.false_moves(sigma_m=10.0, count=60, points=150, seed=9_003)
    note(
        f"box moved by 50 m, sigma 10 m: noticed after {after[20]} proofs (p90 {after[36]}); {vain:.0f} of 1,000 in vain"
    )
    assert after[20] <= 8
    assert after[36] <= 15
    assert vain <= 20
