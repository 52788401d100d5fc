from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.simulate.clock import ReplayClock, shift_start

NOW = datetime(2026, 11, 21, 15, 0, tzinfo=ZoneInfo("Europe/Paris")).timestamp()


class Time:
    def __init__(self):
        self.elapsed = 0.0

    def clock(self, *, behind_s, speed=60.0):
        return ReplayClock(NOW - behind_s, speed, lambda: NOW + self.elapsed, lambda: self.elapsed, 0.0)


def test_the_replay_runs_at_its_speed_until_it_reaches_now_and_then_at_the_pace_of_now():
    time = Time()
    clock = time.clock(behind_s=590)
    assert clock.now() == NOW - 590
    time.elapsed = 5
    assert clock.now() == NOW - 290
    assert not clock.is_live()
    time.elapsed = 10
    assert clock.now() == pytest.approx(NOW + 10)
    time.elapsed = 20
    assert clock.now() == NOW + 20
    assert clock.is_live()


@given(behind_s=st.floats(0, 36_000), elapsed=st.floats(0, 1000), ahead=st.floats(0, 50_000), speed=st.floats(1, 500))
def test_after_the_delay_the_moment_has_come_and_not_long_before(behind_s, elapsed, ahead, speed):
    time = Time()
    clock = time.clock(behind_s=behind_s, speed=speed)
    time.elapsed = elapsed
    at = clock.now() + ahead
    if speed == 1 and clock.now() < NOW + elapsed:
        at = clock.now()
    time.elapsed += clock.real_delay(at)
    assert clock.now() == pytest.approx(at, abs=0.01)


def at(hour, minute=0):
    return datetime(2026, 11, 21, hour, minute, tzinfo=ZoneInfo("Europe/Paris")).timestamp()


@pytest.mark.parametrize(
    ("now", "start"), [(at(22), at(8)), (at(15), at(8)), (at(11), at(5)), (at(3), at(0)), (at(0, 20), at(0))]
)
def test_a_replayed_shift_starts_in_the_morning_or_six_hours_ago_but_never_on_another_day(now, start):
    assert shift_start(now, speed=60) == start


def test_at_the_pace_of_now_the_shift_starts_now():
    assert shift_start(NOW, speed=1) == NOW
