"""Parts of sheets: who is the same person, which mandate is in force."""

from datetime import UTC, date, datetime
from typing import Any

import pytest

from fieldsvc.store.request import SheetRow
from fieldsvc.work.sheet_parts import form_key, in_force, named, proxy

DAY = date(2026, 11, 21)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Mme Martin", "Madame MARTIN", True),
        ("M. Élie Noël", "Monsieur elie noel", True),
        ("Mme Martin", "M. Martin", False),
        ("Claire Martin", "Mme Claire Martin", False),
        ({"surname": "Martin", "first_name": "Claire"}, "Claire Martin", True),
        ("", "", False),
        (None, None, False),
    ],
)
def test_a_name_is_the_same_whatever_its_letters_and_form_of_address(one: Any, other: Any, same: bool) -> None:
    first, second = (named("acc-1", {"addressee": each}) for each in (one, other))
    assert first.is_same(second) is same


def test_an_orderers_own_reference_says_more_than_the_name() -> None:
    one = named("acc-1", {"addressee": "Mme Martin", "person": "p-1"})
    assert one.is_same(named("acc-1", {"addressee": "Mme Durand", "person": "p-1"}))
    assert not one.is_same(named("acc-1", {"addressee": "Mme Martin", "person": "p-2"}))
    assert one.is_same(named("acc-2", {"addressee": "Mme Martin", "person": "p-2"}))
    assert not named("acc-1", None).is_same(named("acc-1", None))


@pytest.mark.parametrize(
    ("mandate", "holds"),
    [
        ({}, True),
        ({"until": "2026-11-21"}, True),
        ({"until": "2026-11-20"}, False),
        ({"from": "2026-11-22"}, False),
        ({"from": "2026-11-21T08:00:00Z", "until": "2026-12-01T08:00:00Z"}, True),
        ({"until": "soon"}, False),
        ({"until": 7}, False),
    ],
)
def test_a_mandate_holds_between_its_days_and_not_where_they_cannot_be_read(mandate: Any, holds: bool) -> None:
    assert in_force(mandate, DAY) is holds


@pytest.mark.parametrize(
    ("kind", "sealed", "count"),
    [
        ("proxy", {"details": {"proxy": "Léa"}}, 1),
        ("proxy", {"details": {}}, 0),
        ("proxy", None, 0),
        ("neighbour", {"details": {"proxy": "Léa"}}, 0),
    ],
)
def test_a_proxy_that_the_customer_asked_for_is_a_mandate(kind: str, sealed: Any, count: int) -> None:
    at = datetime(2026, 11, 21, tzinfo=UTC)
    asked = SheetRow("dc_1", "item/RK1", kind, "accepted", "accepted", at, b"", "dp-1")
    found = list(proxy(asked, sealed, stop_id="st-1"))
    assert [(each["stop_id"], each["mandate"]["name"]) for each in found] == [("st-1", "Léa")] * count


def test_a_form_is_named_by_its_id_and_version_or_by_its_content() -> None:
    assert form_key({"id": "wellbeing", "version": 3}) == "wellbeing@3"
    assert form_key({"questions": {"a": 1}}) == form_key({"questions": {"a": 1}}) != form_key({"questions": {"a": 2}})
