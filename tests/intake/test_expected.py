"""Scans compared with what the run expects."""

from types import MappingProxyType
from typing import Any
from unittest.mock import Mock

from fieldsvc.intake.expected import compared
from fieldsvc.intake.location import Place

PLACE = Place({"stop_id": None}, ("wrong_door",))


def plan(*subjects: str) -> Any:
    return Mock(stop_of_subject=MappingProxyType(dict.fromkeys(subjects, "st-1")))


def test_a_misread_id_is_warned_of_with_the_expected_ones_that_are_like_it() -> None:
    found = compared(PLACE, plan("item/6A15602676300", "item/6A15602676309"), ["item/6A15602676301"])
    assert found.warnings == ("wrong_door", "unexpected_item")
    assert found.candidates == {"6A15602676301": ["6A15602676300", "6A15602676309"]}


def test_what_is_expected_or_simply_not_announced_is_no_fault() -> None:
    for scanned in ("item/6A15602676300", "item/1B99999999999"):
        assert compared(PLACE, plan("item/6A15602676300"), [scanned]) is PLACE
    assert compared(PLACE, None, ["item/6A15602676301"]) is PLACE


def test_neighbours_in_one_scan_are_not_held_for_misreadings_of_each_other_nor_another_kind_of_thing() -> None:
    both = ["item/6A15602676300", "item/6A15602676301"]
    assert compared(PLACE, plan("item/6A15602676300"), both) is PLACE
    assert compared(PLACE, plan("pouch/6A15602676300"), ["item/6A15602676301"]) is PLACE
