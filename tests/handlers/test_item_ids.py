"""Ids of items: published numbers and the rule of their check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.item_ids import is_registered, is_s10, looks_like_s10, s10_check_digit

VALID = "RR473124829GB CB662173705US RK123456785FR LL456789015FR CF876543216FR EE555123453FR".split()


@pytest.mark.parametrize("item_id", VALID)
def test_published_ids_are_valid(item_id: str) -> None:
    assert is_s10(item_id)


def test_a_wrong_digit_is_not_valid_and_the_two_edges_of_the_rule_hold() -> None:
    assert not is_s10("RR473124828GB")
    assert (s10_check_digit("00000008"), s10_check_digit("00000015")) == (0, 5)


@pytest.mark.parametrize(
    "item_id", ["1B34567890123", "6A15602676300", "87000634002228A", "rr473124829gb", "RR47312482GB"]
)
def test_other_forms_are_not_judged_by_the_check_digit(item_id: str) -> None:
    assert not looks_like_s10(item_id)


def test_only_registered_and_insured_letters_are_handed_over_against_a_signature() -> None:
    assert [is_registered(each) for each in ("RK123456785FR", "LL456789015FR", "RK123456784FR")] == [True, False, False]


@given(st.integers(0, 99_999_999), st.integers(0, 7), st.integers(1, 9))
def test_any_single_wrong_digit_of_a_serial_is_noticed_unless_the_rule_itself_merges_it(
    serial: int, place: int, step: int
) -> None:
    digits = f"{serial:08d}"
    other = digits[:place] + str((int(digits[place]) + step) % 10) + digits[place + 1 :]
    merged = {s10_check_digit(digits), s10_check_digit(other)} <= {0, 5}
    assert merged or s10_check_digit(digits) != s10_check_digit(other)
