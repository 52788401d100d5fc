"""Checks of an address are closed by what the carrier found."""

from typing import Any

import pytest

from handlers.check_address import CHECKED
from handlers.story import Refused

POINT = "delivery_point/dp-118"


@pytest.mark.parametrize("result", ["ok", "reported", "not_found", "no_access"])
def test_whatever_is_found_closes_the_check(new_story: Any, result: str) -> None:
    story = new_story("check_address", POINT)
    story.order()
    decision = story.add(CHECKED.name, {"delivery_point_id": "dp-118", "result": result}, by="server")
    closed = [each.args for each in decision.writes if each.query == "task.close"]
    assert [(args[0], args[1]) for args in closed] == [("tsk_1", "done")]
    assert story.said(CHECKED.name) == [{"delivery_point_id": "dp-118", "result": result}]


def test_a_note_is_not_said(new_story: Any) -> None:
    story = new_story("check_address", POINT)
    story.add(CHECKED.name, {"delivery_point_id": "dp-118", "result": "ok", "note": "Mme Martin a répondu"})
    assert "Martin" not in str([each.data for each in story.everything])


def test_without_a_delivery_point_nothing_was_checked(registry: Any) -> None:
    with pytest.raises(Refused, match="no_delivery_point"):
        registry.handlers["check_address"].subjects_of(CHECKED.name, {"result": "ok"})
