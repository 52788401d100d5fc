"""Ids of items: published numbers and the rule of their check digit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from handlers.item_ids import (
    candidates,
    is_misread,
    is_registered,
    is_s10,
    is_sscc,
    kind_of,
    looks_like_s10,
    s10_check_digit,
)

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


@pytest.mark.parametrize(
    ("item_id", "kind", "misread"),
    [
        ("RK123456785FR", "s10", False),
        ("RK123456784FR", "s10", True),
        ("106141412345678908", "sscc", False),
        ("00106141412345678908", "sscc", False),
        ("106141412345678909", "sscc", True),
        ("6A15602676300", "domestic", False),
        ("87000634002228A", "domestic", False),
        ("x", None, False),
    ],
)
def test_an_id_is_judged_by_its_kind_and_most_kinds_have_no_check_digit(
    item_id: str, kind: str | None, misread: bool
) -> None:
    found = kind_of(item_id)
    assert (found.name if found else None, is_misread(item_id)) == (kind, misread)
    assert is_sscc(item_id) is (kind == "sscc" and not misread)


EXPECTED = frozenset({"item/6A15602676300", "item/RK123456785FR", "item/6A15602676309", "pouch/6A15602676301"})


@pytest.mark.parametrize(
    ("scanned", "found"),
    [
        ("6A15602676300", []),
        ("6A15602676301", ["6A15602676300", "6A15602676309"]),
        ("6A15602677600", []),
        ("A615602676300", ["6A15602676300"]),
        ("6A15602673600", ["6A15602676300"]),
        ("6B15602676300", ["6A15602676300"]),
        ("RK123456758FR", ["RK123456785FR"]),
        ("RK12345678FR", []),
        ("", []),
    ],
)
def test_one_wrong_character_or_one_swap_leads_to_the_expected_ids(scanned: str, found: list[str]) -> None:
    assert candidates(scanned, EXPECTED, prefix="item/") == found


@given(st.from_regex(r"[0-9A-Z]{11,15}", fullmatch=True), st.data())
def test_every_single_slip_of_a_scan_is_led_back(item_id: str, data: st.DataObject) -> None:
    place = data.draw(st.integers(0, len(item_id) - 1))
    letters = "0123456789" if item_id[place].isdigit() else "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
    slip = item_id[:place] + data.draw(st.sampled_from(letters)) + item_id[place + 1 :]
    swap = item_id[:place] + item_id[place : place + 2][::-1] + item_id[place + 2 :]
    for wrong in (slip, swap):
        assert candidates(wrong, {item_id}) == ([item_id] if wrong != item_id else [])


@given(st.from_regex(r"[0-9A-Z]{11,15}", fullmatch=True), st.data())
def test_few_and_many_expected_ids_lead_to_the_same(item_id: str, data: st.DataObject) -> None:
    letters = st.text("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=len(item_id), max_size=len(item_id))
    slips = st.tuples(st.integers(0, len(item_id) - 1), st.sampled_from("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"))
    one_off = slips.map(lambda slip: item_id[: slip[0]] + slip[1] + item_id[slip[0] + 1 :])
    swapped = st.integers(0, len(item_id) - 2).map(
        lambda n: item_id[:n] + item_id[n + 1] + item_id[n] + item_id[n + 2 :]
    )
    few = data.draw(st.sets(st.one_of(letters, one_off, swapped), max_size=6))
    many = {f"item/{each}" for each in few} | {f"stop/{number}" for number in range(1_000)}
    assert candidates(item_id, {f"item/{each}" for each in few}, prefix="item/") == candidates(
        item_id, many, prefix="item/"
    )
