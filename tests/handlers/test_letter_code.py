"""Letters with a code: brought or returned, and the code is nowhere."""

from typing import Any

from handlers.letter_code import DELIVERED, RETURNED

LETTER = "letter/L-7K2M"


def test_a_letter_is_delivered_once_ordered_and_that_closes_its_task(new_story: Any) -> None:
    story = new_story("letter_code", LETTER)
    story.order(details={"code": "7K2M-9QX4", "reference": "dc_1"})
    assert "9QX4" not in str(story.body)
    decision = story.add(DELIVERED.name, {"letter_id": "L-7K2M", "to": "addressee"})
    assert [each.args[:2] for each in decision.writes if each.query == "task.close"] == [("tsk_1", "done")]
    assert [(each["letter_id"], each["to"]) for each in story.said(DELIVERED.name)] == [("L-7K2M", "addressee")]
    assert "9QX4" not in str([each.data for each in story.everything])
    assert decision.new_state["now"] == {"state": "delivered"}


def test_a_letter_that_comes_back_says_why_and_one_that_comes_twice_warns(new_story: Any) -> None:
    story = new_story("letter_code", LETTER)
    back = story.add(RETURNED.name, {"letter_id": "L-7K2M", "reason": "moved"})
    assert (list(back.warnings), back.new_state["now"]) == ([], {"state": "returned"})
    again = story.add(DELIVERED.name, {"letter_id": "L-7K2M", "to": "mailbox"}, 5)
    assert list(again.warnings) == ["already_delivered"]
