"""Address changes: the answer, who decides, and how little goes out."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.address_change import CLASSES, HANDLER, Reported
from handlers.base import validated
from handlers.story import Refused, Write

POINT = {"delivery_point_id": "dp-118"}
REPORT = {
    **POINT,
    "change": "moved",
    "addressee": "Mme Martin",
    "old_address": "3 rue des Lilas, 93140 Bondy",
    "new_address": "12 avenue Pasteur, 93140 Bondy",
    "confidence": "seen",
    "note": "leaves with her sister",
}
PLACED = {
    "normalised": "12 AVENUE PASTEUR, 93140 BONDY",
    "lat": 48.9,
    "lon": 2.48,
    "score": 0.96,
    "round_id": "T07",
    "after_stop_id": "st-117",
    "before_stop_id": "st-118",
    "cost_m": 14.0,
    "ambiguous": False,
    "confidence": 0.9,
}
REPORTED, CONFIRMED, REJECTED = (f"address_change.{word}" for word in ("reported", "confirmed", "rejected"))


@pytest.fixture
def point(new_story: Any) -> Any:
    return new_story("address_change", "delivery_point/dp-118")


def test_the_answer_is_the_place_between_two_stops_and_the_decision(point: Any) -> None:
    decision = point.add(REPORTED, REPORT, 5, placement=PLACED)
    assert decision.answer == {**PLACED, "decision": "accepted"}
    assert list(decision.writes) == [
        Write("delivery_point.set_class", ("dp-118", "moved", point.event("x", {}, 5).occurred_at))
    ]


@pytest.mark.parametrize(
    ("report", "placement"),
    [
        ({}, {**PLACED, "score": 0.899}),
        ({}, {**PLACED, "ambiguous": True}),
        ({}, None),
        ({}, {}),
        ({"confidence": "told"}, PLACED),
        ({"confidence": "guessed"}, PLACED),
        ({"change": "deceased", "new_address": None}, None),
    ],
)
def test_what_is_not_sure_waits_for_a_person_and_nothing_is_applied(
    point: Any, report: dict[str, Any], placement: dict[str, Any] | None
) -> None:
    decision = point.add(REPORTED, {**REPORT, **report}, 5, placement=placement)
    assert decision.answer["decision"] == "review"
    assert not decision.writes
    assert len(point.body["now"]["to_review"]) == 1
    assert point.body["now"]["class"] is None


def test_only_the_point_and_its_class_go_out(point: Any) -> None:
    point.add(REPORTED, REPORT, 5, placement=PLACED, located={"stop_id": "st-118", "round_id": "T07"})
    assert point.said(REPORTED) == [{**POINT, "class": "moved"}]


@pytest.mark.parametrize("quiet", [{"change": "deceased"}, {"confidence": "told"}, {"confidence": "guessed"}])
def test_a_death_and_hearsay_are_not_said_until_a_person_confirms(point: Any, quiet: dict[str, Any]) -> None:
    report = {**REPORT, **quiet}
    assert point.add(REPORTED, report, 5, placement=PLACED).public_events == []
    decision = point.add(CONFIRMED, POINT, 60, by="address_quality")
    assert point.said(CONFIRMED) == [{**POINT, "class": CLASSES[report["change"]]}]
    assert [write.args[1] for write in decision.writes] == [CLASSES[report["change"]]]
    assert point.body["now"] == {"class": CLASSES[report["change"]], "to_review": []}
    words = orjson.dumps([each.data for each in point.everything])
    assert not any(word in words for word in (b"deceased", b"told", b"guessed", b"Pasteur", b"Martin"))


def test_a_rejected_hearsay_leaves_no_trace_outside(point: Any) -> None:
    point.add(REPORTED, {**REPORT, "confidence": "told"}, 5)
    point.add(REJECTED, {**POINT, "reason": "the name is still on the box"}, 60, by="supervisor")
    assert point.everything == []
    assert point.body["now"] == {"class": None, "to_review": []}


def test_rejecting_what_was_accepted_takes_its_class_back(point: Any) -> None:
    first = point.event(REPORTED, {**REPORT, "change": "vacant", "new_address": None}, 5)
    point.take(first)
    point.add(REPORTED, {**REPORT, "change": "renamed_street"}, 10, placement=PLACED)
    assert point.body["now"]["class"] == "renamed"
    decision = point.add(REJECTED, POINT, 60, by="operator")
    assert [write.args[1] for write in decision.writes] == ["undeliverable"]
    decision = point.add(REJECTED, {**POINT, "report_id": str(first.id)}, 70, by="operator")
    assert [write.args[1] for write in decision.writes] == [None]


def test_a_decision_that_arrives_before_its_report_waits_for_it(point: Any) -> None:
    assert point.add(CONFIRMED, POINT, 60, by="operator").public_events == []
    point.add(REPORTED, {**REPORT, "confidence": "told"}, 5)
    assert point.said(CONFIRMED) == [{**POINT, "class": "moved"}]


def test_a_report_of_no_known_delivery_point_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        HANDLER.subjects_of(REPORTED, {"change": "moved"})
    assert refused.value.code == "no_delivery_point"


def test_only_people_with_the_right_decide() -> None:
    by = {each.name: each.by for each in HANDLER.events}
    assert by[CONFIRMED] == by[REJECTED] == {"address_quality", "operator", "supervisor"}


@pytest.mark.parametrize(
    "wrong", [{"change": "gone"}, {"confidence": "sure"}, {"note": "x" * 281}, {"effective_on": "2026-02-30"}]
)
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Reported, orjson.dumps({**REPORT, **wrong}))
