"""Pets: handed to whom the order names, after a word with them, and not long on the way."""

from typing import Any

import pytest

from handlers.fields import PERSONAL, split
from handlers.pet import PetFact
from handlers.story import SetTimer
from tests.handlers.conftest import at

PICKED_UP, HANDED_OVER, HELD = "pet.picked_up", "pet.handed_over", "custody.held_for_review"
FETCHED = {"pet_id": "A-204", "code_ok": True}
HANDED = {"pet_id": "A-204", "handed_to": "vet", "contacted_at": "2026-11-21T07:50:00Z", "signature": "a drawing"}


@pytest.fixture
def pet(new_story: Any) -> Any:
    story = new_story("pet", "pet/A-204")
    story.order(details={"may_receive": ["vet", "owner"], "most_hours": 2})
    return story


def test_a_pet_that_is_handed_to_whom_the_order_names_after_a_word_with_them_is_a_complete_chain(pet: Any) -> None:
    pet.add(PICKED_UP, FETCHED)
    pet.add(HANDED_OVER, HANDED, 40)
    assert [each["chain"] for each in (*pet.said(PICKED_UP), *pet.said(HANDED_OVER))] == ["complete", "complete"]
    assert split(PetFact, pet.said(HANDED_OVER)[0])[PERSONAL] == {"handed_to": "vet"}


@pytest.mark.parametrize("reached", [None, "2026-11-21T09:00:00Z"])
def test_without_a_word_before_it_is_held_for_review(pet: Any, reached: str | None) -> None:
    pet.add(PICKED_UP, FETCHED)
    pet.add(HANDED_OVER, {**HANDED, "contacted_at": reached}, 40)
    assert pet.said(HANDED_OVER)[0]["chain"] == "held_for_review"
    assert pet.said(HELD) == [{"thing": "pet/A-204", "reason": "missing_link", "missing": ["contact"]}]


def test_another_receiver_is_held_for_review(pet: Any) -> None:
    pet.add(PICKED_UP, FETCHED)
    pet.add(HANDED_OVER, {**HANDED, "handed_to": "neighbour"}, 40)
    assert [each["reason"] for each in pet.said(HELD)] == ["not_named_in_order"]


def test_the_hours_that_the_order_allows_are_watched(pet: Any) -> None:
    (due,) = [each for each in pet.add(PICKED_UP, FETCHED).timers if isinstance(each, SetTimer)]
    assert due.due_at == at(120)
    pet.add("timer.too_long", {}, 120, by="server")
    assert pet.said(HELD)[0]["reason"] == "too_long_on_the_way"
    assert pet.said(HELD)[0]["level"] == "urgent"
    pet.add(HANDED_OVER, HANDED, 130)
    assert len(pet.said(HELD)) == 1


@pytest.mark.parametrize("hours", [None, -1, 0, 99, "2", float("inf")])
def test_hours_that_make_no_sense_are_four(new_story: Any, hours: Any) -> None:
    story = new_story("pet", "pet/A-204")
    story.order(details={"most_hours": hours})
    (due,) = [each for each in story.add(PICKED_UP, FETCHED).timers if isinstance(each, SetTimer)]
    assert due.due_at == at(240)


def test_a_pet_is_not_handed_over_twice(pet: Any) -> None:
    pet.add(PICKED_UP, FETCHED)
    pet.add(HANDED_OVER, HANDED, 40)
    assert pet.add(HANDED_OVER, HANDED, 41).warnings == ["custody_broken"]
    assert len(pet.said(HANDED_OVER)) == 1
