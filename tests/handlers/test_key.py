"""Keys: from hand to hand, to named persons only, and in the safe at night."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.key import HANDLER, Returned
from handlers.story import DropTimer, SetTimer
from tests.handlers.conftest import at

COLLECTED, DEPOSITED, RETURNED, HELD = "key.collected", "key.deposited", "key.returned", "custody.held_for_review"
KEY = {"key_id": "K-118"}
FETCHED = {**KEY, "from": "person", "signature": "a drawing"}
OUT_OF_SAFE = {**KEY, "from": "safe", "slot": "S-12"}
IN_SAFE = {**KEY, "slot": "S-12"}
GIVEN_BACK = {**KEY, "handed_to": "owner", "identity": "document", "code_ok": True}


@pytest.fixture
def key(new_story: Any) -> Any:
    return new_story("key", "key/K-118")


def chains(key: Any, kind: str) -> list[str]:
    return [each["chain"] for each in key.said(kind)]


def test_fetched_put_in_the_safe_taken_out_and_given_back_is_a_complete_chain(key: Any) -> None:
    key.order()
    for minute, (kind, data) in enumerate(
        [(COLLECTED, FETCHED), (DEPOSITED, IN_SAFE), (COLLECTED, OUT_OF_SAFE), (RETURNED, GIVEN_BACK)]
    ):
        key.add(kind, data, minute)
    assert (chains(key, COLLECTED), chains(key, DEPOSITED), chains(key, RETURNED)) == (
        ["complete", "complete"], ["complete"], ["complete"],
    )  # fmt: skip
    assert key.said(HELD) == []
    assert key.body["now"] == {"place": "person"}


def test_a_hand_over_that_shows_nothing_of_the_other_side_is_one_sided_and_says_what_lacks(key: Any) -> None:
    key.order()
    key.add(COLLECTED, {**KEY, "from": "person"})
    (said,) = key.said(COLLECTED)
    assert (said["chain"], said["missing"]) == ("one_sided", ["collected_signature"])
    key.add(DEPOSITED, KEY, 5)
    assert key.said(DEPOSITED)[0]["missing"] == ["collected_signature", "deposited_slot"]


def test_a_key_given_to_somebody_whom_the_order_does_not_name_is_held_for_review(key: Any) -> None:
    key.order(details={"may_receive": ["owner", "daughter"]})
    key.add(COLLECTED, FETCHED)
    key.add(RETURNED, {**GIVEN_BACK, "handed_to": "plumber"}, 30)
    assert chains(key, RETURNED) == ["held_for_review"]
    assert key.said(HELD) == [{"thing": "key/K-118", "reason": "not_named_in_order"}]


@pytest.mark.parametrize("details", [{}, {"may_receive": "owner"}, {"may_receive": 5}, {"may_receive": ["owner"]}])
def test_an_order_that_names_nobody_lets_the_owner_alone_have_it(key: Any, details: dict[str, Any]) -> None:
    key.order(details=details)
    key.add(COLLECTED, FETCHED)
    key.add(RETURNED, GIVEN_BACK, 30)
    assert chains(key, RETURNED) == ["complete"]


def test_nobody_takes_a_key_without_an_order(key: Any) -> None:
    key.add(COLLECTED, FETCHED)
    assert key.said(COLLECTED)[0]["missing"] == ["task"]
    key.order()
    assert chains(key, COLLECTED) == ["complete"]


def test_the_second_of_two_returns_of_one_key_does_not_stand(key: Any) -> None:
    key.order()
    key.add(COLLECTED, FETCHED)
    key.add(RETURNED, GIVEN_BACK, 30)
    decision = key.add(RETURNED, GIVEN_BACK, 31)
    assert decision.warnings == ["custody_broken"]
    assert len(key.said(RETURNED)) == 1
    key.add(COLLECTED, FETCHED, 32)
    key.add(RETURNED, GIVEN_BACK, 33)
    assert len(key.said(RETURNED)) == 2


def test_a_key_out_of_the_safe_that_never_went_in_names_what_was_not_said(key: Any) -> None:
    key.order()
    key.add(COLLECTED, OUT_OF_SAFE)
    assert key.said(COLLECTED)[0]["missing"] == ["deposited"]


def test_a_key_that_is_still_with_its_carrier_when_every_shift_is_over_alerts_until_it_is_known_to_be_in_the_safe(
    key: Any,
) -> None:
    key.order()
    (due,) = [each for each in key.add(COLLECTED, FETCHED).timers if isinstance(each, SetTimer)]
    assert (due.kind, due.due_at) == ("too_long", at(600))
    key.add("timer.too_long", {}, 600, by="server")
    assert key.said(HELD) == [{"thing": "key/K-118", "reason": "not_in_safe", "level": "urgent"}]
    decision = key.add(DEPOSITED, IN_SAFE, 300)
    assert DropTimer("too_long") in decision.timers
    assert key.said(HELD) == []


def test_no_form_has_a_place_for_a_key_in_a_letterbox() -> None:
    schema = orjson.dumps([each.payload.model_json_schema() for each in HANDLER.events])
    assert b"box" not in schema
    with pytest.raises(ValidationError):
        validated(Returned, orjson.dumps({**KEY, "handed_to": "in the box", "identity": "document"}))
