"""Ratings: customers rate what they received, carriers the service they work with; nobody rates a carrier."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.rating import GIVEN, HANDLER, Given
from handlers.story import Refused

ITEM = {"rating_id": "r1", "about": "item/RK123456785FR", "score": 9}


def test_a_rating_says_who_rates_and_belongs_to_the_account_it_came_through(new_story: Any) -> None:
    story = new_story("rating", "rating/r1")
    decision = story.add("rating.given", {**ITEM, "comment": "Parfait"}, by="subscriber", account="acc-1")
    assert decision.account == "acc-1"
    assert story.said("rating.given") == [{**ITEM, "comment": "Parfait", "said_by": "customer"}]


def test_a_phone_rates_a_service_and_no_delivery(new_story: Any) -> None:
    story = new_story("rating", "rating/r1")
    with pytest.raises(Refused) as refused:
        story.add("rating.given", ITEM)
    assert refused.value.code == "not_allowed"
    story.add("rating.given", {**ITEM, "about": "service/medication"})
    assert story.said("rating.given")[0]["said_by"] == "carrier"


def test_the_newest_rating_of_an_id_holds_and_the_earlier_one_is_withdrawn(new_story: Any) -> None:
    story = new_story("rating", "rating/r1")
    story.add("rating.given", ITEM, by="adviser")
    story.add("rating.given", {**ITEM, "score": 2}, 5, by="adviser")
    assert [each["score"] for each in story.said("rating.given")] == [2]


@pytest.mark.parametrize(
    "wrong",
    [{"score": 11}, {"score": -1}, {"score": 7.5}, {"score": "9"}, {"about": "carrier/Alex"}, {"about": "device/d-1"}],
)
def test_a_score_is_a_whole_number_to_ten_about_a_service_or_a_thing(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Given, orjson.dumps({**ITEM, **wrong}))


def test_a_rating_without_an_id_is_refused() -> None:
    with pytest.raises(Refused):
        HANDLER.subjects_of(GIVEN.name, {"about": "item/R", "score": 1})
