"""Signals of connected objects: each stands alone, and there are many."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.object import HANDLER, Signalled

SIGNAL = {"object_id": "mb-204", "kind": "sensor"}


def test_every_signal_is_said_once_also_one_that_is_later_than_all_that_is_kept(new_story: Any) -> None:
    story = new_story("object", "object/mb-204")
    for minute in (*range(100, 100 + 2 * HANDLER.facts_kept), 1, 2):
        decision = story.add("object.signalled", {**SIGNAL, "value": minute}, minute)
        assert [(each.type, each.data["value"]) for each in decision.public_events] == [("object.signalled", minute)]
    assert len(story.body["facts"]) == len(story.body["published"]) == HANDLER.facts_kept


def test_a_radio_that_repeats_itself_within_seconds_is_said_once_in_any_order_of_arrival(new_story: Any) -> None:
    for moments in ((0, 6, 12, 30), (30, 12, 0, 6)):
        story = new_story("object", "object/mb-204")
        for second in moments:
            story.add("object.signalled", {**SIGNAL, "kind": "button", "value": True}, second / 60)
        assert len(story.said("object.signalled")) == 2  # the three of which each repeats the one before, and the last
        story.add("object.signalled", {**SIGNAL, "kind": "button", "value": 1.0}, 31 / 60)
        assert len(story.said("object.signalled")) == 3


@pytest.mark.parametrize("value", [True, 21.5, 3, "pressed twice"])
def test_a_value_may_be_yes_or_no_a_number_or_a_short_text(value: Any) -> None:
    assert validated(Signalled, orjson.dumps({**SIGNAL, "value": value}))["value"] == value


@pytest.mark.parametrize("wrong", [{"kind": "drone"}, {"value": None}, {"value": [1]}, {"value": "x" * 281}, {}])
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Signalled, orjson.dumps({**SIGNAL, **wrong}))
