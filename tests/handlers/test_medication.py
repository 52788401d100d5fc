"""The pouch: its chain, its order, what is said outside, and its window."""

from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.fields import HEALTH, PERSONAL, PUBLIC, split
from handlers.medication import HANDLER, Delivered, DeliveredFact
from handlers.story import DropTimer, SetTimer
from tests.handlers.conftest import at

CONTRACT_ID = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
CONTRACT: dict[str, Any] = {
    "fix": {"lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0, "fixed_at": "2026-11-21T09:42:12Z"},
    "stop_id": "st-118",
    "pouch_id": "P-5521",
    "seal_intact": True,
    "handed_to": "patient",
    "label_matched": True,
    "identity": "known_to_carrier",
    "code_ok": True,
}
PICKED = {"pouch_id": "P-5521", "seal_intact": True}
WINDOW = {"from": "2026-11-21T08:00:00Z", "until": "2026-11-21T10:00:00Z"}
DELIVERED, PICKED_UP, HELD = "medication.delivered", "medication.picked_up", "custody.held_for_review"


@pytest.fixture
def pouch(new_story: Any) -> Any:
    return new_story("medication", "pouch/P-5521")


def test_the_contracts_example_without_an_order_is_published_held_for_review_and_names_what_is_missing(
    pouch: Any,
) -> None:
    located = {"stop_id": "st-118", "door_distance_m": 8.2, "confidence": 0.97, "method": "scan", "status": "at_stop"}
    decision = pouch.add(DELIVERED, CONTRACT, 102, id=CONTRACT_ID, located=located)
    told, alert = decision.public_events
    assert (told.part, told.type, told.data["chain"], told.data["missing"]) == (
        0, DELIVERED, "held_for_review", ["task", "picked_up"],
    )  # fmt: skip
    assert told.data["located"] == located
    assert (alert.part, alert.type) == (1, HELD)
    assert alert.data == {"thing": "pouch/P-5521", "reason": "missing_link", "missing": ["task", "picked_up"]}
    assert decision.warnings == []


def test_late_pick_up_retells_the_story_and_the_corrected_delivery_supersedes(pouch: Any) -> None:
    pouch.add(DELIVERED, CONTRACT, 102, id=CONTRACT_ID)
    decision = pouch.add(PICKED_UP, PICKED, 5)
    corrected = next(each for each in decision.public_events if each.type == DELIVERED)
    assert corrected.supersedes == f"evt_{CONTRACT_ID}"
    assert corrected.data["missing"] == ["task", "released"]
    assert [each["chain"] for each in pouch.said(DELIVERED)] == ["held_for_review"]


def test_ordered_released_picked_up_and_delivered_is_a_complete_chain_in_any_order_of_arrival(pouch: Any) -> None:
    pouch.add(DELIVERED, CONTRACT, 102)
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.order()
    assert [(each["chain"], each["missing"]) for each in pouch.said(DELIVERED)] == [("one_sided", ["released"])]
    assert pouch.said(HELD) == []
    pouch.add("medication.released", {"pouch_id": "P-5521"}, 4, by="partner")
    assert [each["chain"] for each in pouch.said(DELIVERED)] == ["complete"]
    assert pouch.body["now"] == {"place": "patient"}


def test_the_pharmacys_word_after_the_pick_up_completes_the_same_hand_over(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, CONTRACT, 60)
    pouch.add("medication.released", {"pouch_id": "P-5521"}, 300, by="partner")
    assert [each["chain"] for each in pouch.said(DELIVERED)] == ["complete"]
    assert pouch.said("medication.released") == [{"pouch_id": "P-5521"}]
    assert pouch.said(HELD) == []


def test_second_delivery_of_a_pouch_is_refused_by_the_chain_warned_kept_and_held_for_review(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, CONTRACT, 60)
    decision = pouch.add(DELIVERED, {**CONTRACT, "handed_to": "named_relative"}, 70)
    assert [each.type for each in decision.public_events] == [HELD]
    assert decision.public_events[0].data == {"thing": "pouch/P-5521", "reason": "custody_broken"}
    assert "custody_broken" in decision.warnings
    assert [each["handed_to"] for each in pouch.said(DELIVERED)] == ["patient"]
    assert [row[2] for row in pouch.body["facts"]].count(DELIVERED) == 2


def test_what_was_done_at_the_door_is_health_data_and_the_chain_is_public(pouch: Any) -> None:
    pouch.add(DELIVERED, {**CONTRACT, "signature": "strokes", "wants_pharmacist": True, "prescription_pouch_id": "P-2"})
    parts = split(DeliveredFact, pouch.said(DELIVERED)[0])
    assert set(parts) == {PUBLIC, HEALTH}
    assert set(parts[PUBLIC]) == {"pouch_id", "seal_intact", "chain", "missing", "proof"}
    assert {"handed_to", "identity", "code_ok", "wants_pharmacist", "prescription_pouch_id"} <= set(parts[HEALTH])


def test_text_in_a_field_that_the_schema_does_not_have_is_personal_and_never_said(pouch: Any) -> None:
    body = {**CONTRACT, "medicine": "named here by mistake"}
    assert split(Delivered, body)[PERSONAL]["medicine"] == "named here by mistake"
    pouch.add(DELIVERED, body)
    assert b"by mistake" not in orjson.dumps([each.data for each in pouch.everything])
    assert b"by mistake" not in orjson.dumps(pouch.body)


def test_state_keeps_the_accuracy_of_a_fix_and_not_its_place(pouch: Any) -> None:
    pouch.add(DELIVERED, CONTRACT)
    assert b"48.93" not in orjson.dumps(pouch.body)
    assert pouch.body["facts"][0][3]["fix"] == {"accuracy_m": 8.0}


@pytest.mark.parametrize(
    "wrong", [{"handed_to": "neighbour"}, {"identity": "passport"}, {"seal_intact": "yes"}, {"pouch_id": None}]
)
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Delivered, orjson.dumps({**CONTRACT, **wrong}))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"seal_intact": False}, "seal_broken"),
        ({"label_matched": False}, "label_mismatch"),
        ({"handed_to": "named_carer"}, "not_named_in_order"),
    ],
)
def test_a_whole_chain_is_held_for_review_when_seal_label_or_receiver_is_wrong(
    pouch: Any, data: dict[str, Any], reason: str
) -> None:
    pouch.order(details={"may_receive": ["patient", "named_relative"]})
    pouch.add("medication.released", {"pouch_id": "P-5521"}, 1, by="partner")
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, {**CONTRACT, **data}, 60)
    assert [each["chain"] for each in pouch.said(DELIVERED)] == ["held_for_review"]
    assert pouch.said(HELD) == [{"thing": "pouch/P-5521", "reason": reason}]


def test_fridge_goods_without_a_temperature_are_held_at_the_pick_up(pouch: Any) -> None:
    pouch.order(requirements=["fridge"])
    pouch.add(PICKED_UP, PICKED, 5)
    assert pouch.said(HELD)[0]["reason"] == "cold_box_missing"
    pouch.add("medication.received_back", {"pouch_id": "P-5521"}, 7, by="partner")
    pouch.add(PICKED_UP, {**PICKED, "temperature": {"min_c": 3.1, "max_c": 6.9}}, 9)
    assert len(pouch.said(HELD)) == 1


def test_delivery_without_code_or_signature_is_warned(pouch: Any) -> None:
    assert "missing_proof" in pouch.add(DELIVERED, {**CONTRACT, "code_ok": False}).warnings
    assert "missing_proof" not in pouch.add(DELIVERED, {**CONTRACT, "code_ok": False, "signature": "strokes"}).warnings


def test_returned_pouch_is_back_only_when_the_pharmacy_says_so_and_may_go_out_again(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add("medication.returned", {"pouch_id": "P-5521", "reason": "absent"}, 200)
    assert pouch.body["now"] == {"place": "carrier"}
    pouch.add("medication.received_back", {"pouch_id": "P-5521"}, 210, by="partner")
    assert pouch.body["now"] == {"place": "pharmacy"}
    pouch.add("medication.released", {"pouch_id": "P-5521"}, 1445, by="partner")
    pouch.add(PICKED_UP, PICKED, 1450)
    pouch.add(DELIVERED, CONTRACT, 1500)
    assert [each["chain"] for each in pouch.said(DELIVERED)] == ["complete"]


def test_returning_a_pouch_that_was_delivered_breaks_the_chain(pouch: Any) -> None:
    pouch.add(DELIVERED, CONTRACT, 60)
    decision = pouch.add("medication.returned", {"pouch_id": "P-5521", "reason": "refused"}, 90)
    assert decision.warnings == ["custody_broken"]
    assert pouch.said("medication.returned") == []


def test_half_an_hour_before_the_window_ends_an_undelivered_pouch_is_at_risk(pouch: Any) -> None:
    assert pouch.order(window=WINDOW).timers == [SetTimer("at_risk", pouch.event("timer.at_risk", {}, 90).occurred_at)]
    decision = pouch.add("timer.at_risk", {}, 90, by="server")
    assert pouch.said("medication.at_risk") == [{"pouch_id": "P-5521", "reason": "window_ends"}]
    assert [(each.kind, each.due_at) for each in decision.timers] == [("rung.medication.at_risk", at(100))]


def test_a_pouch_delivered_in_time_drops_its_alarm_and_a_late_report_of_it_takes_the_alarm_back(pouch: Any) -> None:
    pouch.order(window=WINDOW)
    pouch.add("timer.at_risk", {}, 90, by="server")
    decision = pouch.add(DELIVERED, CONTRACT, 40)
    assert decision.timers == [DropTimer("at_risk"), DropTimer("rung.medication.at_risk")]
    assert pouch.said("medication.at_risk") == []
    assert "event.corrected" in [each.type for each in decision.public_events]


def test_a_pouch_delivered_after_its_alarm_was_at_risk_all_the_same(pouch: Any) -> None:
    pouch.order(window=WINDOW)
    pouch.add("timer.at_risk", {}, 90, by="server")
    pouch.add(DELIVERED, CONTRACT, 95)
    assert len(pouch.said("medication.at_risk")) == 1


def test_a_cancelled_order_has_no_alarm_and_its_delivery_has_no_order(pouch: Any) -> None:
    pouch.order(window=WINDOW)
    closed = {"task_id": "tsk_1", "service": "medication", "subject": "pouch/P-5521"}
    assert pouch.add("task.cancelled", closed, 10, by="server", account="acc-1").timers == [DropTimer("at_risk")]
    pouch.add(DELIVERED, CONTRACT, 60)
    assert "task" in pouch.said(DELIVERED)[0]["missing"]


def test_an_order_that_expired_after_the_delivery_still_covers_it(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, CONTRACT, 60)
    closed = {"task_id": "tsk_1", "service": "medication", "subject": "pouch/P-5521", "reason": "expired"}
    pouch.add("task.expired", closed, 900, by="server", account="acc-1")
    assert pouch.said(DELIVERED)[0]["chain"] == "one_sided"


def test_only_pharmacy_and_carrier_may_say_that_a_pouch_was_released_or_received_back() -> None:
    by = {each.name: each.by for each in HANDLER.events}
    assert by["medication.released"] == by["medication.received_back"] == {"device", "subscriber", "partner"}
    assert by["medication.delivered"] == {"device", "supervisor"}


def test_a_pouch_goes_only_to_those_whom_the_order_names_and_without_names_to_the_patient(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, {**CONTRACT, "handed_to": "named_relative"}, 60)
    assert pouch.said(HELD)[0]["reason"] == "not_named_in_order"


def test_a_pouch_may_go_to_a_named_relative(pouch: Any) -> None:
    pouch.order(details={"may_receive": ["patient", "named_relative"]})
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, {**CONTRACT, "handed_to": "named_relative"}, 60)
    assert pouch.said(HELD) == []


@pytest.mark.parametrize(("tries", "held"), [(1, False), (3, False), (4, True)])
def test_a_code_that_was_right_only_after_three_tries_is_held(pouch: Any, tries: int, held: bool) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, {**CONTRACT, "code_attempts": tries}, 60)
    assert bool(pouch.said(HELD)) is held


def test_goods_for_the_fridge_are_to_be_refused_without_a_box_that_kept_cold(pouch: Any) -> None:
    pouch.order(requirements=["fridge"])
    assert "refuse_at_pick_up" in pouch.add(PICKED_UP, PICKED, 5).warnings
    assert pouch.said(HELD)[0]["reason"] == "cold_box_missing"
    warm = {**PICKED, "temperature": {"min_c": 4.0, "max_c": 11.0}}
    other = type(pouch)(pouch.handler, "pouch/P-2")
    other.order(requirements=["fridge"])
    other.add(PICKED_UP, warm | {"pouch_id": "P-2"}, 5)
    assert other.said(HELD)[0]["reason"] == "temperature_out_of_range"
    cold = type(pouch)(pouch.handler, "pouch/P-3")
    cold.order(requirements=["fridge"])
    box = {"pouch_id": "P-3", "seal_intact": True, "temperature": {"min_c": 3.0, "max_c": 6.0}}
    assert cold.add(PICKED_UP, box, 5).warnings == []
    assert cold.said(HELD) == []


def test_a_pouch_that_changes_carriers_is_scanned_over_or_held(pouch: Any, new_story: Any) -> None:
    ours, theirs = "run-2026-11-21-T07", "run-2026-11-21-T08"
    for story, scanned in ((pouch, False), (new_story("medication", "pouch/P-5521"), True)):
        story.order()
        story.add("medication.released", {"pouch_id": "P-5521"}, 4, by="partner")
        story.add(PICKED_UP, PICKED, 5, run=ours)
        if scanned:
            story.add("medication.passed_on", PICKED, 30, run=theirs)
        story.add(DELIVERED, CONTRACT, 60, run=theirs)
        assert [each["reason"] for each in story.said(HELD)] == ([] if scanned else ["unscanned_between_carriers"])
    assert story.body["now"] == {"place": "patient"}


def test_a_pouch_left_with_the_carrier_calls_the_pharmacy_at_once_then_the_desk_and_never_the_depot(pouch: Any) -> None:
    pouch.order(details={"pharmacy": {"mobile": "+33639980001"}})
    pouch.add(PICKED_UP, PICKED, 5)
    decision, told = pouch.add("medication.stranded", {"pouch_id": "P-5521"}, 300, late_s=0.0), []
    assert pouch.said("medication.stranded") == [{"pouch_id": "P-5521", "reason": "pharmacy_closed"}]
    while timers := [each for each in decision.timers if isinstance(each, SetTimer) and each.kind.startswith("rung.")]:
        minute = (timers[0].due_at - at(0)).total_seconds() / 60
        decision = pouch.add(f"timer.{timers[0].kind}", timers[0].payload, minute, by="server", late_s=0.0)
        told += [(minute, write.query) for write in decision.writes if write.query != "alert.save"]
    assert told == [(300, "notice.queue"), (305, "desk.call")]
    pouch.add("medication.received_back", {"pouch_id": "P-5521"}, 320, by="partner")
    assert [row[11] is not None for row in pouch.body["alerts"].values() if row[1] == "medication.stranded"] == [True]


def test_a_pouch_that_is_with_the_patient_is_not_left_with_anybody(pouch: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    pouch.add(DELIVERED, CONTRACT, 60)
    pouch.add("timer.stranded", {"reason": "still_with_carrier"}, 400, by="server")
    assert pouch.said("medication.stranded") == []


def test_a_prescription_that_was_given_along_has_a_custody_of_its_own(pouch: Any, new_story: Any) -> None:
    pouch.order()
    pouch.add(PICKED_UP, PICKED, 5)
    (command,) = pouch.add(DELIVERED, {**CONTRACT, "prescription_pouch_id": "P-9001"}, 60).commands
    assert command.subject == "pouch/P-9001"
    envelope = new_story("medication", "pouch/P-9001")
    opened = envelope.add(command.type, command.data, 60, by="server")
    assert (opened.account, envelope.body["now"]) == ("acc-1", {"place": "carrier"})
    envelope.add("medication.returned", {"pouch_id": "P-9001", "reason": "refused"}, 200)
    envelope.add("medication.received_back", {"pouch_id": "P-9001"}, 201, by="partner")
    assert envelope.body["now"] == {"place": "pharmacy"}
    assert envelope.said(HELD) == []


def free_texts(schema: Any, name: str = "") -> set[str]:
    """Name the members of a JSON schema that take any text."""
    if isinstance(schema, list):
        return {found for part in schema for found in free_texts(part, name)}
    if not isinstance(schema, dict):
        return set()
    if schema.get("type") == "string":
        return set() if schema.keys() & {"pattern", "enum", "const", "format"} else {name}
    named = {**schema.get("properties", {}), **schema.get("$defs", {})}
    deeper = {found for each, part in named.items() for found in free_texts(part, each)}
    return deeper | {found for key in ("anyOf", "items") for found in free_texts(schema.get(key), name)}


def test_the_schema_has_no_field_in_which_a_medicine_could_be_written() -> None:
    found = {name for each in HANDLER.events for name in free_texts(each.payload.model_json_schema())}
    assert found <= {"signature"}  # the digest of a drawing
    assert free_texts({"properties": {"note": {"type": "string"}}}) == {"note"}
