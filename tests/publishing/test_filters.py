"""Type filters as subscribers write them."""

import pytest

from fieldsvc.errors import BadRequest
from fieldsvc.publishing.filters import TypeFilter, checked


@pytest.mark.parametrize(
    ("patterns", "name", "wanted"),
    [
        ([], "item.delivered", True),
        (["*"], "item.delivered", True),
        (["item.*"], "item.delivered", True),
        (["item.*"], "items.delivered", False),
        (["item.*"], "item", False),
        (["item.delivered"], "item.delivered", True),
        (["item.delivered"], "item.delivered_late", False),
        (["*.delivered"], "medication.delivered", True),
        (["*.delivered"], "item.held", False),
        (["home_visit.*", "item.held"], "item.held", True),
        (["home_visit.*", "item.held"], "item.loaded", False),
        (["a.*"], "a.b.c", True),
        (["a.*.c"], "a.b.c", True),
        (["a.*.c"], "a.b.b.c", False),
    ],
)
def test_a_star_is_a_segment_and_at_the_end_everything(patterns: list[str], name: str, *, wanted: bool):
    assert TypeFilter(checked(patterns)).matches(name) is wanted


def test_wire_names_are_taken_in_their_short_form():
    assert checked(["fieldsvc.item.delivered.v1", "item.delivered"]) == ["item.delivered"]


@pytest.mark.parametrize(
    "pattern", ["", "item.", ".item", "item..x", "item.d*", "Item.x", "item.(x)", "a" * 101, "item\n"]
)
def test_a_pattern_that_matches_no_type_is_refused(pattern: str):
    with pytest.raises(BadRequest):
        checked([pattern])


def test_too_many_patterns_are_refused():
    with pytest.raises(BadRequest):
        checked([f"type_{number}.x" for number in range(51)])
