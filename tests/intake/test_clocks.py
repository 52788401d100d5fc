"""Three clocks."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fieldsvc.intake.clocks import NOISE, SUSPECT_SKEW, parse_phone_time, read
from handlers.fields import EARLIEST, LATEST, format_time

NOW = datetime(2026, 11, 21, 9, 42, tzinfo=UTC)
moments = st.datetimes(datetime(1970, 1, 1), datetime(2099, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001 - its form


@given(st.timedeltas(timedelta(days=-29), timedelta()), st.timedeltas(timedelta(days=-400), timedelta(days=400)))
def test_a_measured_skew_is_taken_out(age: timedelta, skew: timedelta) -> None:
    happened = NOW + age
    reading = read(happened + skew, sent_at=NOW + skew, received_at=NOW)
    assert abs(reading.occurred_at - happened) <= NOISE
    assert reading.suspect == (abs(skew) > SUSPECT_SKEW)


@given(moments | st.none(), moments | st.none(), st.booleans())
def test_whatever_the_clocks_say_the_moment_is_one_that_can_be_kept(
    time: datetime | None, sent_at: datetime | None, unreadable: bool
) -> None:
    reading = read(time, sent_at=sent_at, received_at=NOW, unreadable=unreadable)
    assert EARLIEST <= reading.occurred_at < LATEST
    assert reading.suspect or not unreadable


@pytest.mark.parametrize(
    ("age", "suspect"),
    [
        (timedelta(), False),
        (timedelta(minutes=-4), False),
        (timedelta(minutes=-6), True),
        (timedelta(days=29), False),
        (timedelta(days=31), True),
    ],
)
def test_the_future_and_more_than_thirty_days_are_doubted(age: timedelta, suspect: bool) -> None:
    reading = read(NOW - age, sent_at=None, received_at=NOW)
    assert (reading.occurred_at, reading.suspect) == (NOW - age, suspect)


def test_a_skew_of_a_second_is_the_network_and_not_the_clock() -> None:
    assert read(NOW, sent_at=NOW - timedelta(seconds=1), received_at=NOW).occurred_at == NOW


def test_a_clock_that_was_never_set_is_understood_only_by_its_skew() -> None:
    booted = datetime(1970, 1, 1, tzinfo=UTC)
    known = read(booted, sent_at=booted + timedelta(hours=1), received_at=NOW)
    assert (known.occurred_at, known.suspect) == (NOW - timedelta(hours=1), True)
    unknown = read(booted, sent_at=None, received_at=NOW)
    assert (unknown.occurred_at, unknown.suspect) == (NOW, True)


def test_without_a_time_it_happened_when_it_arrived() -> None:
    assert read(None, sent_at=NOW - timedelta(hours=2), received_at=NOW).occurred_at == NOW


@given(moments)
def test_a_written_time_is_read_back_to_the_millisecond(moment: datetime) -> None:
    assert abs(parse_phone_time(format_time(moment)) - moment) < timedelta(milliseconds=1)


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("1970-01-01T00:00:00Z", datetime(1970, 1, 1, tzinfo=UTC)),
        ("1999-12-31T23:59:59.123456789+01:00", datetime(1999, 12, 31, 22, 59, 59, 123456, tzinfo=UTC)),
        ("2026-11-21T09:42:00.5Z", NOW + timedelta(seconds=0.5)),
    ],
)
def test_times_of_a_phone(text: str, moment: datetime) -> None:
    assert parse_phone_time(text) == moment


@pytest.mark.parametrize(
    "text",
    ["1969-12-31T23:59:59Z", "1970-01-01T00:00:00", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z", "1970-01-01T00:00:60Z",
     "1970-01-01T00:00:00123Z", "2100-01-01T00:00:00Z", "2026-11-21T09:42:00Z\n", "0", "", None, 0, True, [], {}],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        parse_phone_time(text)
