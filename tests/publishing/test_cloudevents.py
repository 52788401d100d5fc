"""What each view sees of a row."""

from datetime import UTC, date, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.cloudevents import View, render

EVENT = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
OWNER, OPERATOR, STRANGER = View("a"), View("op", operator=True), View("b")
SEALED = {"personal": {"name": "N", "located": {"note": "x"}}, "health": {"drug": "D"}, "secret": {"code": "S"}}


def row(*, account: str | None = "a", sealed: bool = False, **extra: Any) -> Row:
    clear: dict[str, Any] = {
        "public": {"item_id": "RK123456785FR", "located": {"stop_id": "st-118"}},
        "operational": {"located": {"round_id": "T07"}},
        **extra,
    }
    if sealed:
        clear["sealed"] = list(SEALED)
    return Row(
        date(2026, 11, 21), 2, 7, EVENT, 0, "item.delivered", "item/RK123456785FR", 3, account, "site-pantin", None,
        datetime(2026, 11, 21, 9, 42, 17, 120_000, UTC), datetime(2026, 11, 21, 11, 5, 2, 310_000, UTC), orjson.dumps(clear),
    )  # fmt: skip


def shown(seen: Row, view: View, opened: dict[str, Any] | None = None) -> dict[str, Any]:
    event: dict[str, Any] = orjson.loads(render(seen, opened or {}, view))
    return event


def test_the_event_of_the_contract_has_its_exact_form():
    assert shown(row(), OWNER) == {
        "specversion": "1.0",
        "id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
        "source": "/fieldsvc/site-pantin",
        "type": "fieldsvc.item.delivered.v1",
        "subject": "item/RK123456785FR",
        "time": "2026-11-21T09:42:17.120Z",
        "timestamp": "2026-11-21T09:42:17.120Z",
        "recordedtime": "2026-11-21T11:05:02.310Z",
        "partitionkey": "item/RK123456785FR",
        "sequence": "00000000000000000003",
        "data": {"item_id": "RK123456785FR", "located": {"stop_id": "st-118"}},
    }


def test_the_operator_sees_the_operational_part_merged_into_the_public_one():
    assert shown(row(), OPERATOR)["data"]["located"] == {"stop_id": "st-118", "round_id": "T07"}
    assert "round_id" not in shown(row(), OWNER)["data"]["located"]


def test_a_correction_names_what_it_replaces():
    assert shown(row(supersedes="evt_old"), OWNER)["supersedes"] == "evt_old"


def test_the_owner_sees_personal_data_and_is_told_that_there_is_more():
    event = shown(row(sealed=True), OWNER, SEALED)
    assert event["data"]["name"] == "N"
    assert event["data"]["located"] == {"stop_id": "st-118", "note": "x"}
    assert "drug" not in event["data"]
    assert event["dataref"] == "/v1/events/evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"


def test_the_owner_with_scope_health_sees_all_but_the_secret():
    event = shown(row(sealed=True), View("a", health=True), SEALED)
    assert event["data"]["drug"] == "D"
    assert "dataref" not in event
    assert "code" not in event["data"]


@pytest.mark.parametrize("view", [OPERATOR, View("op", operator=True, health=True)])
def test_the_operator_sees_no_sealed_part_of_another_account(view: View):
    event = shown(row(sealed=True), view, SEALED)
    assert not {"name", "drug", "code"} & event["data"].keys()
    assert "dataref" in event


def test_what_was_erased_is_said_to_be_erased():
    event = shown(row(sealed=True), View("a", health=True), {**SEALED, "personal": None})
    assert event["data"]["erased"] is True
    assert event["data"]["drug"] == "D"
    assert "name" not in event["data"]


def test_a_thin_event_has_no_data_and_a_reference():
    event = shown(row(sealed=True), View("a", health=True, thin=True), SEALED)
    assert event["data"] == {}
    assert event["dataref"].endswith(event["id"])


def test_the_same_row_and_view_give_the_same_bytes():
    assert render(row(sealed=True), SEALED, OWNER) == render(row(sealed=True), dict(reversed(SEALED.items())), OWNER)


@pytest.mark.parametrize(
    ("account", "view", "visible"),
    [("a", OWNER, True), ("a", STRANGER, False), ("a", OPERATOR, True), (None, OWNER, False), (None, OPERATOR, True)],
)
def test_an_event_is_seen_by_its_account_and_by_the_operator(account: str | None, view: View, *, visible: bool):
    assert view.sees(row(account=account)) is visible


def test_an_event_without_a_site_comes_from_the_server():
    import dataclasses

    assert shown(dataclasses.replace(row(), site=None), OWNER)["source"] == "/fieldsvc/server"
