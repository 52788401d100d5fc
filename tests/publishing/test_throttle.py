"""An endpoint is sent to as fast as it may be, and as it turned out to bear."""

import time
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as some

from fieldsvc.publishing.throttle import LEAST_PER_S, Throttle
from fieldsvc.publishing.webhooks import Outcome

FINE: dict[str, Any] = {"status": 204}
BUSY: dict[str, Any] = {"status": 503}


def outcome(*, ms: int = 10, **how: Any) -> Outcome:
    return Outcome(datetime(2026, 11, 21, 9, tzinfo=UTC), ms, **how)


def sent_in(throttle: Throttle, start: float, seconds: float, *, events: int = 1, step_s: float = 0.01) -> int:
    """Start whatever may start, looking every `step_s`; return how many events."""
    sent = 0
    for tick in range(round(seconds / step_s)):
        now = start + tick * step_s
        while throttle.may_start(now, 0):
            throttle.started(now, events)
            sent += events
            if throttle.per_s is None and sent >= 10_000:
                return sent
    return sent


def fine_for(throttle: Throttle, start: float, seconds: float) -> float:
    """Let a request succeed every tenth of a second; return when that was over."""
    for tick in range(round(seconds * 10)):
        throttle.ended(outcome(**FINE), start + tick / 10)
    return start + seconds


def test_without_a_limit_only_the_requests_in_flight_count():
    throttle = Throttle(None, 3)
    assert [throttle.may_start(0.0, running) for running in (0, 2, 3, 4)] == [True, True, False, False]
    assert sent_in(throttle, 0.0, 1.0) >= 10_000
    assert throttle.next_at() is None


@pytest.mark.parametrize("rate", [0.5, 5.0, 50.0, 500.0])
def test_a_rate_is_kept_to_and_used_up(rate: float):
    throttle = Throttle(rate, 8)
    sent = sent_in(throttle, 100.0, 20.0, step_s=0.001)
    assert 20 * rate * 0.95 <= sent <= 20 * rate + max(1.0, rate / 10)


def test_a_batch_may_overdraw_and_the_next_one_waits_for_it():
    throttle = Throttle(10.0, 8)
    throttle.started(0.0, 100)
    assert not throttle.may_start(9.9, 0)
    assert throttle.next_at() == pytest.approx(10.0)
    assert throttle.may_start(10.0, 0)


def test_idle_time_is_no_credit_for_a_flood():
    throttle = Throttle(10.0, 8)
    assert sent_in(throttle, 0.0, 1.0) <= 11
    assert sent_in(throttle, 3_600.0, 1.0) <= 11


@given(rate=some.floats(0.1, 10_000), waits=some.lists(some.floats(0, 5), max_size=30))
def test_whoever_waits_until_it_says_may_start(rate: float, waits: list[float]):
    throttle, now = Throttle(rate, 1), 0.0
    for wait in waits:
        now += wait
        at = throttle.next_at()
        if at is not None and at > now:
            now = at + 1e-6
        assert throttle.may_start(now, 0)
        throttle.started(now, 1)


@pytest.mark.parametrize(
    "how", [{"status": 429}, {"status": 502}, {"status": 503}, {"status": 504}, {"error": "timeout"}], ids=str
)
def test_whoever_cannot_keep_up_gets_half(how: dict[str, Any]):
    throttle = Throttle(100.0, 8)
    throttle.ended(outcome(**how), 10.0)
    assert throttle.per_s == 50.0


@pytest.mark.parametrize("how", [{"status": 500}, {"status": 404}, {"status": 415}, {"error": "connect"}], ids=str)
def test_a_failure_that_says_nothing_about_speed_leaves_it(how: dict[str, Any]):
    throttle = Throttle(100.0, 8)
    throttle.ended(outcome(**how), 10.0)
    assert throttle.per_s == 100.0


def test_requests_that_were_in_flight_together_halve_it_once():
    throttle = Throttle(100.0, 8)
    for _ in range(8):
        throttle.ended(outcome(ms=500, **BUSY), 10.0)
    assert throttle.per_s == 50.0
    throttle.ended(outcome(ms=500, **BUSY), 10.6)
    assert throttle.per_s == 25.0


def test_it_never_falls_so_low_that_nothing_is_tried():
    throttle = Throttle(100.0, 8)
    for second in range(100):
        throttle.ended(outcome(**BUSY), float(second))
    assert throttle.per_s == LEAST_PER_S
    slow = Throttle(0.2, 8)
    slow.ended(outcome(**BUSY), 1.0)
    assert slow.per_s == 0.2


def test_what_goes_well_gives_a_tenth_a_second_back_up_to_its_own_limit():
    throttle = Throttle(100.0, 8)
    throttle.ended(outcome(**BUSY), 0.0)
    now = fine_for(throttle, 0.1, 2.0)
    assert throttle.per_s == pytest.approx(70.0, abs=2.0)
    fine_for(throttle, now, 10.0)
    assert throttle.per_s == 100.0


def test_a_long_silence_gives_no_more_back_than_a_second():
    throttle = Throttle(100.0, 8)
    throttle.ended(outcome(**BUSY), 0.0)
    throttle.ended(outcome(**FINE), 3_600.0)
    assert throttle.per_s == pytest.approx(60.0)


def test_without_a_limit_of_its_own_half_of_what_was_sent_is_the_limit_until_it_is_not_needed():
    throttle = Throttle(None, 8)
    for number in range(400):
        throttle.started(number / 100, 1)
    throttle.ended(outcome(**BUSY), 4.0)
    assert throttle.per_s == pytest.approx(50.0, rel=0.1)
    fine_for(throttle, 4.1, 30.0)
    assert throttle.per_s is None


def test_the_receivers_ceiling_counts_requests_a_minute_whatever_is_in_them():
    throttle = Throttle(None, 8)
    throttle.ended(outcome(status=204, allowed_rate="120"), 0.0)
    assert sent_in(throttle, 0.0, 10.0) <= 21
    assert 1_900 <= sent_in(throttle, 10.0, 10.0, events=100) <= 2_100
    throttle.ended(outcome(status=204, allowed_rate="*"), 20.0)
    assert sent_in(throttle, 20.0, 1.0) >= 10_000


@pytest.mark.parametrize("header", [None, "", "0", "-5", "fast", "1.5", "٣", "9" * 30, "10, 20"])
def test_a_ceiling_that_cannot_be_read_is_none(header: str | None):
    throttle = Throttle(None, 8)
    throttle.ended(outcome(status=204, allowed_rate=header), 0.0)
    assert sent_in(throttle, 0.0, 1.0) >= 10_000


@given(
    some.lists(
        some.tuples(
            some.floats(0, 10),
            some.sampled_from([FINE, BUSY, {"error": "timeout"}, {"status": 204, "allowed_rate": "60"}]),
            some.integers(1, 100),
        ),
        max_size=60,
    )
)
def test_whatever_happens_something_may_start_again_in_the_end(story: list[tuple[float, dict[str, Any], int]]):
    throttle, now = Throttle(20.0, 4), 0.0
    for wait, how, events in story:
        now += wait
        throttle.started(now, events)
        throttle.ended(outcome(**how), now)
        assert throttle.per_s is not None
        assert LEAST_PER_S <= throttle.per_s <= 20.0
    assert throttle.may_start(now + 100 * 60 / LEAST_PER_S, 0)


async def test_an_endpoint_gets_its_events_at_the_rate_that_it_set(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any
):
    await endpoints.create(tools.account, receiver.url, types=["*"], start="oldest", options={"rate_per_s": 50.0})
    await journal.say_all([f"item/{number}" for number in range(60)])
    began = time.monotonic()
    await start()
    await tools.poll(lambda: len(receiver.acknowledged) == 60, within_s=30)
    assert time.monotonic() - began >= (60 - 6) / 50


async def test_a_receiver_that_names_a_rate_gets_no_more(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any
):
    """The first answers name it: what was in flight until then is free."""
    await endpoints.create(tools.account, receiver.url, types=["*"], start="oldest")
    receiver.answer = lambda _got: web.Response(status=204, headers={"WebHook-Allowed-Rate": "1200"})
    await journal.say_all([f"item/{number}" for number in range(40)])
    began = time.monotonic()
    await start()
    await tools.poll(lambda: len(receiver.acknowledged) == 40, within_s=30)
    assert time.monotonic() - began >= (40 - 8 - 2) / 20
