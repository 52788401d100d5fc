"""Households: a code proves where somebody lives, five tries and three weeks; what they tell replaces what they told."""

from typing import Any

import pytest

from handlers.story import Decision, Sealed

ID = {"household_id": "HH-1"}
ASKED = {
    **ID,
    "delivery_point_id": "dp-118",
    "account": "acc_1",
    "letter_id": "L-1",
    "names": ["Martin"],
    "code_hmac": "right",
}
DAY = 1440.0


@pytest.fixture
def house(new_story: Any) -> Any:
    made = new_story("household", "household/HH-1")
    made.add("household.asked", ASKED, 0, by="server")
    return made


def say(house: Any, what: str, minute: float, **data: Any) -> Decision:
    told: Decision = house.add(f"household.{what}", {**ID, **data}, minute, by="server")
    return told


def row(decision: Decision) -> tuple[str, Any]:
    """Return the state and the sealed words of the row that a decision writes."""
    (write,) = [each for each in decision.writes if each.query == "household.save"]
    sealed = write.args[-1]
    assert isinstance(sealed, Sealed)
    return write.args[4], sealed.value


def test_the_right_code_proves_and_a_wrong_one_is_nobodys_business(house: Any) -> None:
    wrong = say(house, "proved", 1, code_hmac="wrong")
    assert (row(wrong)[0], wrong.answer, wrong.public_events) == ("asked", {"state": "asked", "tries_left": 4}, [])
    right = say(house, "proved", 2, code_hmac="right")
    assert row(right) == ("proved", {"names": ["Martin"]})
    assert house.said("household.proved") == [{**ID, "delivery_point_id": "dp-118"}]


def test_five_wrong_codes_or_three_weeks_end_a_letter_and_a_new_one_begins_anew(house: Any) -> None:
    for minute in range(1, 6):
        last = say(house, "proved", minute, code_hmac="wrong")
    assert row(last)[0] == "closed"
    assert row(say(house, "proved", 6, code_hmac="right"))[0] == "closed"
    again = house.add("household.asked", {**ASKED, "code_hmac": "newer"}, 7, by="server")
    assert row(again)[0] == "asked"
    assert row(say(house, "proved", 8, code_hmac="right"))[0] == "asked"
    assert row(say(house, "proved", 7 + 21 * DAY, code_hmac="newer"))[0] == "closed"


def test_a_code_that_nobody_uses_ends_by_itself(house: Any) -> None:
    lapsed = house.add("timer.unused", {}, 21 * DAY, by="server")
    assert row(lapsed)[0] == "closed"
    assert not [each for each in house.everything if each.type != "household.asked"]


def test_what_is_told_counts_once_it_is_proved_replaces_the_last_and_goes_with_who_leaves(house: Any) -> None:
    assert row(say(house, "told", 1, names=["Thief"], code="0000")) == ("asked", {"names": ["Martin"]})
    say(house, "proved", 2, code_hmac="right")
    say(house, "told", 3, names=["Martin"], code="A4471", standing={"ring_twice": ""})
    assert row(say(house, "told", 4, names=["Martin", "Lopez"], box="Cour"))[1] == {
        "names": ["Martin", "Lopez"],
        "box": "Cour",
    }
    left = say(house, "left", 5)
    assert row(left) == ("left", {})
    assert [each.query for each in left.writes] == ["household.save", "sheet.touch_point"]


def test_nothing_of_what_a_household_says_is_public(house: Any) -> None:
    say(house, "proved", 1, code_hmac="right")
    say(house, "told", 2, names=["Lopez"], code="A4471", standing={"neighbour": "Mme Petit"})
    assert {name for each in house.everything for name in each.data} == {"household_id", "delivery_point_id"}
