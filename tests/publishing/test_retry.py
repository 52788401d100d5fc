"""The retry schedule and what a receiver may ask for."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from fieldsvc.publishing.retry import LONGEST_WAIT_S, next_delay_s, parse_retry_after
from fieldsvc.settings import DEFAULT_SCHEDULE

NOW = datetime(2026, 11, 21, 9, 42, 17, tzinfo=UTC)


@given(attempts=some.integers(1, 9), chance=some.floats(0, 1, exclude_max=True))
def test_each_delay_lies_within_a_fifth_of_the_schedule(attempts: int, chance: float):
    delay_s = next_delay_s(DEFAULT_SCHEDULE, attempts, chance=chance)
    assert delay_s is not None
    assert 0.8 * DEFAULT_SCHEDULE[attempts] <= delay_s <= 1.2 * DEFAULT_SCHEDULE[attempts]


def test_the_schedule_ends_after_its_last_attempt():
    assert next_delay_s(DEFAULT_SCHEDULE, len(DEFAULT_SCHEDULE), chance=0.5) is None
    assert next_delay_s((0,), 1, chance=0.5) is None


@given(attempts=some.integers(0, 9), chance=some.floats(0, 1, exclude_max=True), asked_s=some.floats(0, LONGEST_WAIT_S))
def test_what_a_receiver_asks_for_is_never_shortened_by_chance_and_lengthened_by_the_schedule_alone(
    attempts: int, chance: float, asked_s: float
):
    own_s = next_delay_s(DEFAULT_SCHEDULE, attempts, chance=chance)
    assert own_s is not None
    assert next_delay_s(DEFAULT_SCHEDULE, attempts, chance=chance, retry_after_s=asked_s) == max(own_s, asked_s)


def test_a_receiver_gets_the_time_it_asks_for_and_cannot_hurry_the_schedule():
    assert next_delay_s(DEFAULT_SCHEDULE, 1, chance=0.0, retry_after_s=3600) == 3600
    assert next_delay_s(DEFAULT_SCHEDULE, 2, chance=0.5, retry_after_s=1) == 300


@pytest.mark.parametrize(
    ("value", "wait_s"),
    [
        ("120", 120),
        ("1.5", 1.5),
        ("0", 0),
        ("-5", 0),
        ("999999999", 86_400),
        ("9" * 400, 86_400),
        ("+7", 7),
        (" 7 ", 7),
        ("inf", None),
        ("nan", None),
        ("1_0", None),
        ("\u0661\u0662", None),
        ("1e3", None),
        ("60, 90", None),
        ("12s", None),
        ("2026-11-21T09:43:17Z", None),
        ("soon", None),
        ("", None),
        (None, None),
        ("Sat, 21 Nov 2026 09:43:17 GMT", 60),
        ("Saturday, 21-Nov-26 09:43:17 GMT", 60),
        ("Sat Nov 21 09:43:17 2026", 60),
        ("Sat, 21 Nov 2026 10:43:17 +0100", 60),
        ("Sat, 21 Nov 2026 09:00:00 GMT", 0),
        ("Sat, 21 Nov 2099 09:00:00 GMT", 86_400),
        ("Sat, 99 Nov 2026 09:00:00 GMT", None),
        ("Sat, 21 Nov 99999999999 09:00:00 GMT", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_as_a_date_and_garbage_is_ignored(value: str | None, wait_s: float | None):
    assert parse_retry_after(value, now=NOW) == wait_s


@given(some.text(max_size=40))
def test_no_header_breaks_the_reading(value: str):
    wait_s = parse_retry_after(value, now=NOW + timedelta(days=1))
    assert wait_s is None or 0 <= wait_s <= 86_400
