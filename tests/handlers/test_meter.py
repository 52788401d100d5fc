"""Meters: every reading is taken, and judged by what the meter showed before."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from handlers.base import validated
from handlers.fields import PERSONAL, PUBLIC, split
from handlers.meter import HANDLER, Read, ReadFact
from tests.handlers.conftest import Story

DAY = 24 * 60
READ = {"meter_id": "W-3", "kind": "water"}


@pytest.fixture
def meter(new_story: Any) -> Any:
    return new_story("meter", "meter/W-3")


def judged(meter: Any) -> list[tuple[float, bool]]:
    return [(each["value"], each["plausible"]) for each in meter.said("meter.read")]


def read(meter: Any, day: float, value: float, **more: Any) -> Any:
    return meter.add("meter.read", {**READ, "value": value, **more}, day * DAY)


def test_a_first_reading_is_believed_and_one_lower_than_the_last_is_taken_and_warned(meter: Any) -> None:
    assert read(meter, 0, 500).warnings == []
    assert read(meter, 30, 410).warnings == ["implausible_reading"]
    assert judged(meter) == [(500, True), (410, False)]


def test_far_above_what_is_usual_there_is_not_plausible_and_spoils_nothing_that_follows(meter: Any) -> None:
    for day, value in ((0, 100), (30, 130), (60, 160)):
        read(meter, day, value)
    assert read(meter, 90, 1900).warnings == ["implausible_reading"]
    assert read(meter, 120, 220).warnings == []
    assert [plausible for _, plausible in judged(meter)] == [True, True, True, False, True]


def test_what_the_order_says_is_usual_judges_the_second_reading_already(meter: Any) -> None:
    meter.order(details={"usual_per_day": 2})
    read(meter, 0, 100)
    assert read(meter, 10, 1100).warnings == ["implausible_reading"]


@pytest.mark.parametrize("usual", ["2", None, -1, [], True, float("inf")])
def test_an_order_that_says_nothing_sensible_says_nothing(meter: Any, usual: Any) -> None:
    meter.order(details={"usual_per_day": usual})
    read(meter, 0, 100)
    assert read(meter, 10, 103).warnings == []


def test_a_meter_that_begins_again_is_believed_from_its_second_reading_on(meter: Any) -> None:
    for day, value in ((0, 100), (30, 130), (60, 4), (90, 34)):
        read(meter, day, value)
    assert [plausible for _, plausible in judged(meter)] == [True, True, False, True]


def test_a_household_that_uses_more_for_good_is_believed_again_after_some_readings(meter: Any) -> None:
    value = 0.0
    for month in range(12):
        value += 30 if month < 4 else 300
        read(meter, 30 * month, value)
    assert judged(meter)[-1][1]


def test_kinds_are_not_compared_with_each_other(meter: Any) -> None:
    read(meter, 0, 500)
    assert read(meter, 1, 3, kind="gas").warnings == []


def test_an_early_reading_that_arrives_late_corrects_what_was_thought_of_the_next(meter: Any) -> None:
    read(meter, 30, 130)
    late = read(meter, 0, 400)
    assert judged(meter) == [(400, True), (130, False)]
    assert [each.type for each in late.public_events if each.supersedes] == ["meter.read"]


@given(st.permutations([(0, 100.0), (30, 130.0), (60, 90.0), (90, 9000.0), (120, 220.0), (120, 221.0)]))
def test_the_order_of_arrival_does_not_matter(readings: list[tuple[int, float]]) -> None:
    story = Story(HANDLER, "meter/W-3")
    for day, value in readings:
        story.add("meter.read", {**READ, "value": value}, day * DAY + value / 100)
    assert [plausible for _, plausible in judged(story)] == [True, True, False, False, True, True]


def test_what_somebody_uses_is_personal_and_whether_it_is_plausible_is_not(meter: Any) -> None:
    read(meter, 0, 500, photo="hash")
    parts = split(ReadFact, meter.said("meter.read")[0])
    assert set(parts[PERSONAL]) == {"value", "photo"}
    assert set(parts[PUBLIC]) == {"meter_id", "kind", "plausible"}


@pytest.mark.parametrize("wrong", [{"value": -1}, {"value": 1e10}, {"value": "12"}, {"kind": "heat"}, {}])
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Read, orjson.dumps({**READ, **wrong}))
