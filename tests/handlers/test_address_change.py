"""Address changes: the answer, who decides, and how little goes out."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.address_change import CLASSES, HANDLER, Reported
from handlers.base import validated
from handlers.story import Decision, Refused, Write
from tests.handlers.conftest import at
from tests.handlers.test_corrections import correction_of

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


def wanted(decision: Decision) -> dict[str, Any]:
    """Return where each point is wanted; None = where it was."""
    places = [write.args for write in decision.writes if write.query == "delivery_point.place"]
    return {args[0]: orjson.loads(args[2]) if args[2] else None for args in places}


@pytest.fixture
def point(new_story: Any) -> Any:
    return new_story("address_change", "delivery_point/dp-118")


def test_the_answer_is_the_place_between_two_stops_and_the_decision(point: Any) -> None:
    decision = point.add(REPORTED, REPORT, 5, placement=PLACED)
    assert decision.answer == {**PLACED, "decision": "accepted"}
    assert decision.writes[0] == Write("delivery_point.set_class", ("dp-118", "moved", at(5)))
    assert wanted(decision)["dp-118"]["move"] == {
        "round_id": "T07",
        "after_stop_id": "st-117",
        "before_stop_id": "st-118",
        "lat": 48.9,
        "lon": 2.48,
        "address": PLACED["normalised"],
        "stop_id": wanted(decision)["dp-118"]["move"]["stop_id"],
    }


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
    assert decision.writes[0].args[1] is None
    assert wanted(decision) == {"dp-118": None}
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
    assert decision.writes[0].args[1] == CLASSES[report["change"]]
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
    assert decision.writes[0].args[1] == "undeliverable"
    decision = point.add(REJECTED, {**POINT, "report_id": str(first.id)}, 70, by="operator")
    assert decision.writes[0].args[1] is None


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


def test_a_moved_point_is_wanted_on_its_day_and_put_back_when_its_report_is_rejected(point: Any) -> None:
    report = point.event(REPORTED, {**REPORT, "effective_on": "2026-12-01"}, 5, placement=PLACED)
    decision = point.take(report)
    assert wanted(decision) == {"dp-118": None}
    assert [(each.kind, each.due_at.isoformat()) for each in decision.timers] == [
        ("effective", "2026-12-01T00:00:00+00:00")
    ]
    assert (
        wanted(point.add("timer.effective", {}, 16 * 60 + 14_400, by="server"))["dp-118"]["move"]["round_id"] == "T07"
    )
    decision = point.add(REJECTED, {**POINT, "report_id": str(report.id)}, 20_000, by="supervisor")
    assert wanted(decision) == {"dp-118": None}


def test_a_person_decides_where_an_ambiguous_address_lies(point: Any) -> None:
    point.add(REPORTED, REPORT, 5, placement={**PLACED, "ambiguous": True})
    chosen = {"round_id": "T09", "before_stop_id": "st-1", "lat": 48.91, "lon": 2.49}
    decision = point.add(CONFIRMED, {**POINT, "place": chosen}, 60, by="address_quality")
    assert decision.answer == {"placed": True}
    assert wanted(decision)["dp-118"]["move"].items() >= chosen.items()


def test_what_could_not_be_placed_moves_nothing_and_the_answer_says_so(point: Any) -> None:
    point.add(REPORTED, REPORT, 5)
    decision = point.add(CONFIRMED, POINT, 60, by="operator")
    assert decision.answer == {"placed": False}
    assert wanted(decision) == {"dp-118": None}


def test_a_moved_letterbox_goes_to_a_sharp_fix_and_a_renamed_street_changes_only_its_name(point: Any) -> None:
    box = {**REPORT, "change": "mailbox_moved", "new_address": None}
    blurred = point.add(REPORTED, {**box, "fix": {"lat": 48.9, "lon": 2.4, "accuracy_m": 60.0}}, 5)
    assert wanted(blurred) == {"dp-118": None}
    decision = point.add(REPORTED, {**box, "fix": {"lat": 48.9, "lon": 2.4, "accuracy_m": 6.0}}, 6)
    assert wanted(decision) == {"dp-118": {"box": {"lat": 48.9, "lon": 2.4}}}
    decision = point.add(REPORTED, {**REPORT, "change": "renamed_street"}, 7, placement=PLACED)
    assert wanted(decision)["dp-118"] == {"box": {"lat": 48.9, "lon": 2.4}, "address": PLACED["normalised"]}
    assert not any("lat" in str(each.data) for each in point.everything)


def test_a_new_point_gets_an_id_of_its_own_and_the_old_one_stays(point: Any) -> None:
    report = point.event(REPORTED, {**REPORT, "change": "new_delivery_point"}, 5, placement=PLACED)
    decision = point.take(report)
    made = f"dp-{str(report.id).replace('-', '')}"
    assert decision.answer["delivery_point_id"] == made
    assert wanted(decision)[made]["move"]["round_id"] == "T07"
    assert wanted(decision)["dp-118"] is None
    assert Write("delivery_point.set_class", (made, "created", at(5))) in decision.writes
    assert point.said(REPORTED) == [{"delivery_point_id": made, "class": "created"}]
    assert wanted(point.add(REJECTED, POINT, 60, by="operator"))[made] is None


CONSENT = {"by": "Mme Martin", "on": "2026-11-20", "how": "signed", "to": ["acc-1"]}


def test_a_new_address_leaves_to_the_account_that_the_mover_named_and_no_other(point: Any) -> None:
    point.order()
    point.add(REPORTED, {**REPORT, "consent": CONSENT}, 5, placement=PLACED)
    assert point.said(REPORTED) == [{**POINT, "class": "moved", "new_address": REPORT["new_address"]}]
    point.add(REJECTED, POINT, 60, by="operator")
    assert point.said(REPORTED) == [{**POINT, "class": "moved"}]


@pytest.mark.parametrize(
    "consent",
    [None, {**CONSENT, "to": ["acc-2"]}, {**CONSENT, "on": "2026-11-22"}],
    ids=["none", "to another", "of a later day"],
)
def test_without_the_movers_own_consent_no_address_leaves(point: Any, consent: dict[str, Any] | None) -> None:
    point.order()
    point.add(REPORTED, {**REPORT, **({"consent": consent} if consent else {})}, 5, placement=PLACED)
    assert point.said(REPORTED) == [{**POINT, "class": "moved"}]


def test_without_an_order_at_the_point_no_address_leaves_and_hearsay_waits_for_a_person(point: Any) -> None:
    point.add(REPORTED, {**REPORT, "consent": CONSENT}, 5, placement=PLACED)
    assert point.said(REPORTED) == [{**POINT, "class": "moved"}]
    point.order()
    point.add(REPORTED, {**REPORT, "consent": CONSENT, "confidence": "told"}, 10, placement=PLACED)
    assert len(point.said(REPORTED)) == 1


@pytest.mark.parametrize("wrong", [{"to": []}, {"by": ""}, {"how": "guessed"}, {"on": "2026-02-30"}])
def test_a_consent_says_who_when_how_and_to_whom(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Reported, orjson.dumps({**REPORT, "consent": {**CONSENT, **wrong}}))


def test_a_report_that_did_not_occur_or_was_mere_hearsay_puts_everything_back(point: Any) -> None:
    report = point.event(REPORTED, REPORT, 5, placement=PLACED)
    point.take(report)
    kind = next(each for each in HANDLER.events if each.name == REPORTED)
    decision = point.take(correction_of(report, kind, point.subject))
    assert wanted(decision) == {"dp-118": None}
    assert decision.writes[0].args[1] is None
    assert [write.args[3] for write in decision.writes if write.query == "address_report.put"] == ["withdrawn"]
    hearsay = {"kind": "incorrect_data", "replacement": {**REPORT, "confidence": "told"}}
    assert wanted(point.take(correction_of(report, kind, point.subject, **hearsay))) == {"dp-118": None}
    assert point.said(REPORTED) == []


def test_a_judgement_is_noted_with_whose_it_is_and_when_and_a_report_without_one_with_nobody(point: Any) -> None:
    def noted(decision: Decision) -> tuple[Any, ...]:
        (row,) = (write.args for write in decision.writes if write.query == "address_report.put")
        return row[3], *row[-2:]

    assert noted(point.add(REPORTED, REPORT, 5)) == ("review", None, None)
    assert noted(point.add(CONFIRMED, POINT, 8, by="supervisor")) == ("confirmed", "supervisor", at(8))
    assert noted(point.add(REJECTED, POINT, 9, by="operator")) == ("rejected", "operator", at(9))
