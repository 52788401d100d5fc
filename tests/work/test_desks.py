"""Duty desks: how hours are written, and when somebody is there."""

from datetime import UTC, datetime

import pytest

from fieldsvc.store.desk import Desk
from fieldsvc.work.desks import BadHours, covered, is_open, spans_of


def desk(hours: str) -> Desk:
    return Desk("pantin", "jour", None, hours, spans_of(hours), "Europe/Paris")


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("hours", "text", "there"),
    [
        ("mon-fri 08:00-18:00", "2026-11-23T07:00", True),  # Monday, 8 o'clock in Paris
        ("mon-fri 08:00-18:00", "2026-11-23T06:59", False),
        ("mon-fri 08:00-18:00", "2026-11-23T17:00", False),
        ("mon-fri 08:00-18:00", "2026-11-22T09:00", False),
        ("mon-fri 08:00-18:00, sat 08:00-12:00", "2026-11-21T10:59", True),
        ("sun 22:00-06:00", "2026-11-23T04:00", True),  # over midnight, and over the end of the week
        ("sun 22:00-06:00", "2026-11-23T05:00", False),
        ("sat-mon 00:00-24:00", "2026-11-22T12:00", True),
        ("sat-mon 00:00-24:00", "2026-11-24T12:00", False),
        ("mon-fri 08:00-18:00", "2026-07-06T06:00", True),  # in summer Paris is two hours ahead
        ("always", "2026-11-22T03:00", True),
    ],
)
def test_a_desk_is_open_in_its_own_local_time(hours: str, text: str, there: bool) -> None:
    assert is_open(desk(hours), moment(text)) is there


@pytest.mark.parametrize(
    "hours", ["", "monday 8-18", "mon 8:00-18:00", "mon 08:00-08:00", "mon 25:00-26:00", "mon 24:00-06:00"]
)
def test_hours_that_cannot_be_read_are_refused(hours: str) -> None:
    with pytest.raises(BadHours):
        spans_of(hours)


def test_work_is_covered_only_if_at_each_moment_some_desk_is_open() -> None:
    desks = [desk("mon-fri 08:00-12:00"), desk("mon-fri 12:00-18:00")]
    assert covered(desks, [moment("2026-11-23T08:00"), moment("2026-11-23T15:00")])
    assert not covered(desks, [moment("2026-11-23T08:00"), moment("2026-11-23T18:00")])
    assert not covered([], [moment("2026-11-23T08:00")])
