"""A day's fixes in any order, in any uploads, any number of times, in one process or two."""

import asyncio
from datetime import datetime
from itertools import pairwise

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fieldsvc.tracking.steps import THINNED
from geo import Fix
from tests.tracking.conftest import RIGHT_TO_M, Street, after, fix

SLOWLY = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
Uploads = list[list[Fix]]


@st.composite
def uploads(draw: st.DrawFn, *, apart_s: int = 1) -> Uploads:
    """The fixes of a walk at a metre a second, cut and shuffled, some of them twice."""
    steps = draw(st.lists(st.integers(0, 60), min_size=1, max_size=25, unique=True))
    walk = [fix(step * apart_s * 3.0) for step in steps]
    sent = draw(st.permutations(walk + draw(st.lists(st.sampled_from(walk), max_size=10))))
    cuts = sorted(draw(st.sets(st.integers(1, len(sent)), max_size=6)))
    return [sent[first:last] for first, last in zip([0, *cuts], [*cuts, len(sent)], strict=True) if first < last]


def moments(sent: Uploads) -> set[datetime]:
    return {each.fixed_at for upload in sent for each in upload}


async def _check_thinning(street: Street, sent: Uploads) -> None:
    """No two moments are closer than ten seconds, and none that was sent is farther than that from one that is kept."""
    kept = [row["at"] for row in await street.progress()]
    assert all(later - earlier >= THINNED for earlier, later in pairwise(kept))
    assert set(kept) <= moments(sent)
    assert all(any(abs(at - near) < THINNED for near in kept) for at in moments(sent))


@SLOWLY
@given(sent=uploads())
async def test_the_newest_of_a_run_and_its_place_never_go_back_between_answers(street: Street, sent: Uploads) -> None:
    await street.walk()
    tracker, through_at, along = street.tracker(), after(-1), 0.0
    for upload in sent:
        answer = await street.take(*upload, by=tracker)
        assert answer.taken + answer.late + answer.duplicate + answer.thinned == len(upload)
        state = await street.state()
        assert state is not None
        assert state["through_at"] >= through_at
        assert state["distance_along_m"] >= along - RIGHT_TO_M
        assert (answer.taken == 0) == (state["through_at"] == through_at)
        through_at, along = state["through_at"], state["distance_along_m"]
    newest = (await street.progress())[-1]
    assert (newest["at"], newest["distance_along_m"]) == (through_at, along)
    assert all(
        abs(row["distance_along_m"] - (row["at"] - after(0)).total_seconds()) < RIGHT_TO_M
        for row in await street.progress()
    )
    await _check_thinning(street, sent)


@SLOWLY
@given(sent=uploads(apart_s=4))
async def test_fixes_that_need_no_thinning_give_the_same_moments_in_any_order(street: Street, sent: Uploads) -> None:
    await street.walk()
    answers = [await street.take(*upload) for upload in sent]
    assert {row["at"] for row in await street.progress()} == moments(sent)
    assert sum(answer.taken + answer.late for answer in answers) == len(moments(sent))
    assert sum(answer.thinned for answer in answers) == 0


@SLOWLY
@given(sent=uploads())
async def test_two_processes_at_once_leave_what_one_would(street: Street, sent: Uploads) -> None:
    await street.walk()
    trackers = street.tracker(), street.tracker()
    await asyncio.gather(*(street.take(*upload, by=tracker) for upload in sent for tracker in trackers))
    await _check_thinning(street, sent)
    state, newest = await street.state(), (await street.progress())[-1]
    assert state is not None
    assert (newest["at"], newest["distance_along_m"]) == (state["through_at"], state["distance_along_m"])


@SLOWLY
@given(sent=uploads(), pauses=st.sets(st.integers(0, 190), max_size=8))
async def test_nothing_outside_duty_is_ever_stored(street: Street, sent: Uploads, pauses: set[int]) -> None:
    times = sorted(pauses)
    on_duty = [(after(first), after(until)) for first, until in zip(times[::2], times[1::2], strict=False)]
    await street.walk()
    await street.set_duty(*on_duty)
    for upload in sent:
        await street.take(*upload)
    stored = [row["at"] for row in await street.progress()]
    assert all(any(first <= at < until for first, until in on_duty) for at in stored)
    assert bool(stored) == any(first <= at < until for first, until in on_duty for at in moments(sent))
