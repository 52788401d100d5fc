"""Buckets: a burst, then a steady rate, a bounded memory, and a wait that differs from caller to caller."""

import random
from math import ceil

from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.access.limits import Limits, Rate, retry_after
from tests.access.conftest import Clock

RATE = Rate("tries", 5, 10.0)


def test_a_burst_passes_and_then_one_in_so_many_seconds() -> None:
    clock = Clock()
    limits = Limits(RATE, clock=clock)
    assert [limits.take("a").left for _ in range(5)] == [4, 3, 2, 1, 0]
    refused = limits.take("a")
    assert (refused.allowed, refused.left, refused.wait_s) == (False, 0, 2.0)
    assert limits.take("b").allowed
    clock.now += refused.wait_s
    assert limits.take("a").allowed
    assert not limits.take("a").allowed
    clock.now += 10
    assert limits.peek("a").left == 5
    assert RATE.policy == '"tries";q=5;w=10'


def test_who_was_refused_does_not_wait_longer_for_having_asked() -> None:
    clock = Clock()
    limits = Limits(RATE, clock=clock)
    for _ in range(1_000):
        limits.take("a")
    assert limits.peek("a").wait_s == 2.0


@given(st.lists(st.tuples(st.floats(0, 5), st.integers(1, 4)), max_size=60))
def test_no_more_pass_in_any_window_than_a_burst_and_what_filled_up_meanwhile(steps: list[tuple[float, int]]) -> None:
    clock, passed = Clock(), []
    limits = Limits(RATE, clock=clock)
    for wait_s, times in steps:
        clock.now += wait_s
        passed += [clock.now for _ in range(times) if limits.take("a").allowed]
    for start in passed:
        assert sum(start <= at < start + RATE.window_s for at in passed) <= 2 * RATE.most


def test_the_memory_has_a_size_and_the_oldest_leaves_first() -> None:
    limits = Limits(RATE, clock=Clock(), size=100)
    for number in range(1_000):
        limits.take(f"caller {number}")
    assert len(limits) == 100
    assert limits.peek("caller 999").left == 4
    assert limits.peek("caller 0").left == 5


def test_waits_are_spread_so_that_those_who_waited_do_not_come_together() -> None:
    waits = [retry_after(20.0, random.Random(seed)) for seed in range(200)]
    assert min(waits) >= 20
    assert max(waits) <= 41
    assert len(set(waits)) > 15
    assert {retry_after(0.01, random.Random(seed)) for seed in range(50)} <= {1, 2}
    assert all(isinstance(each, int) and each == ceil(each) for each in waits)
