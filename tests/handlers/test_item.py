"""Items: several in one event, what waits and goes back, proofs, and the hands of a signed one."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.fields import OPERATIONAL, PERSONAL, split
from handlers.item import HANDLER, Delivered, Items
from handlers.item_codes import PRINTED, REASONS
from handlers.story import DropTimer, SetTimer

ID = "RK123456785FR"
ONE = {"item_id": ID}
DAY = 24 * 60
HELD = "custody.held_for_review"
PROOF = {
    "acceptor": {"surname": "Martin", "first_name": "Jeanne", "capacity": "addressee"},
    "identity": {"document_kind": "passport"},
    "presented_on": "2026-11-21",
    "handed_over_on": "2026-11-21",
    "signature": "strokes",
}


@pytest.fixture
def item(new_story: Any) -> Any:
    return new_story("item", f"item/{ID}")


def test_one_event_that_names_several_items_is_decided_once_for_each_and_says_only_its_own(new_story: Any) -> None:
    data = {"item_ids": [ID, "LL456789015FR", ID], "to": "addressee"}
    subjects = HANDLER.subjects_of("item.delivered", data)
    assert subjects == (f"item/{ID}", "item/LL456789015FR")
    for number, subject in enumerate(subjects, start=1):
        story = new_story("item", subject)
        decision = story.add("item.delivered", data, 10, main_part=number, extra_part=3)
        assert [each.part for each in decision.public_events] == [number]
        assert story.said("item.delivered")[0]["item_id"] == subject.removeprefix("item/")
        assert b"item_ids" not in orjson.dumps(story.body)


def test_an_event_without_any_item_is_refused() -> None:
    for data in ({}, {"item_ids": []}, {"item_id": None}, {"item_ids": [7]}):
        with pytest.raises(ValidationError):
            validated(Items, orjson.dumps(data))


def test_what_nobody_was_home_for_waits_fifteen_days_from_its_presentation_and_then_goes_back(item: Any) -> None:
    item.add("item.delivery_attempted", {**ONE, "reason": "absent", "next": "office_hold"}, 30)
    decision = item.add("item.held", {**ONE, "office": "Bondy", "shelf": "B-12"}, 300)
    due = item.event("timer.return_due", {}, 30 + 15 * DAY)
    assert decision.timers == [SetTimer("return_due", due.occurred_at)]
    returned = item.take(due)
    assert item.said("item.returned_to_sender") == [{"item_id": ID, "reason": "not_collected"}]
    assert item.body["now"]["state"] == "returned_to_sender"
    assert [each.kind for each in returned.timers if isinstance(each, SetTimer)] == ["back_by"]  # it lies there still


def test_a_collected_item_does_not_go_back_even_when_the_counter_reports_late(item: Any) -> None:
    item.add("item.held", {**ONE, "office": "Bondy"}, 0)
    item.add("timer.return_due", {}, 15 * DAY, by="server")
    decision = item.add("item.collected", {**ONE, "proof": PROOF}, 14 * DAY)
    assert decision.timers == [DropTimer("return_due"), DropTimer("back_by")]
    assert item.said("item.returned_to_sender") == []
    assert item.body["now"]["state"] == "collected"


def test_a_second_presentation_begins_the_fifteen_days_again(item: Any) -> None:
    item.add("item.delivery_attempted", {**ONE, "reason": "absent", "next": "represent"}, 0)
    item.add("item.loaded", ONE, DAY)
    decision = item.add("item.delivery_attempted", {**ONE, "reason": "absent", "next": "pickup_point"}, DAY + 60)
    assert decision.timers == [SetTimer("return_due", item.event("x.y", {}, 16 * DAY + 60).occurred_at)]


def test_an_item_that_was_never_presented_touches_no_timer(item: Any) -> None:
    assert item.add("item.loaded", ONE, 0).timers == ()
    assert item.add("item.delivered", {**ONE, "to": "mailbox"}, 5).timers == ()


def test_the_exact_reason_stays_with_the_operator_and_the_printed_one_goes_out(item: Any) -> None:
    item.add("item.delivery_attempted", {**ONE, "reason": "deceased", "next": "return"}, 0)
    said = item.said("item.delivery_attempted")[0]
    assert said == {"item_id": ID, "reason": "address", "detail": "deceased", "next": "return"}
    parts = split(HANDLER.publishes[4].data, said)
    assert "deceased" not in orjson.dumps(parts["public"]).decode()


def test_every_reason_of_the_schema_has_a_printed_one() -> None:
    reasons = next(
        each for each in HANDLER.events if each.name == "item.delivery_attempted"
    ).payload.model_json_schema()
    assert set(reasons["properties"]["reason"]["enum"]) == set(REASONS)
    assert {each.printed for each in REASONS.values()} == set(PRINTED)


def test_no_number_of_an_identity_document_is_kept() -> None:
    proof = {
        **PROOF,
        "identity": {"document_kind": "passport", "number": "X4RTBPFW46"},
        "document_number": "X4RTBPFW46",
    }
    kept = validated(Delivered, orjson.dumps({**ONE, "to": "addressee", "proof": proof}))
    assert b"X4RTBPFW46" not in orjson.dumps(kept)
    assert split(Delivered, kept)[PERSONAL] == {"proof": PROOF}


@pytest.mark.parametrize(
    ("proof", "warned"),
    [
        (PROOF, False),
        (None, True),
        ({**PROOF, "signature": None}, True),
        ({**PROOF, "identity": "known_to_carrier"}, True),
        ({**PROOF, "identity": "known_to_carrier", "carrier_signature": "strokes"}, False),
        ({**PROOF, "identity": None, "known_to_carrier": True, "carrier_signature": "strokes"}, False),
        ({**PROOF, "identity": None}, True),
        ({**PROOF, "presented_on": None}, True),
    ],
)
def test_registered_mail_without_its_whole_proof_is_warned(item: Any, proof: Any, warned: bool) -> None:
    data = {**ONE, "to": "addressee"} | ({"proof": proof} if proof else {})
    assert ("missing_proof" in item.add("item.delivered", data).warnings) is warned


def test_a_letter_in_the_box_needs_no_proof_and_an_id_misread_is_warned(new_story: Any) -> None:
    assert (
        not new_story("item", "item/6A15602676300")
        .add("item.delivered", {"item_id": "6A15602676300", "to": "mailbox"})
        .warnings
    )
    misread = {"item_id": "LL456789016FR", "to": "mailbox"}
    assert new_story("item", "item/LL456789016FR").add("item.delivered", misread).warnings == ["check_digit"]


def test_a_signed_item_is_followed_hand_by_hand_and_refused_a_second_delivery(item: Any) -> None:
    item.order(requirements=["signature"])
    item.add("item.loaded", ONE, 1)
    item.add("item.delivered", {**ONE, "to": "addressee", "proof": PROOF}, 30)
    assert item.said("item.delivered")[0]["chain"] == "complete"
    again = item.add("item.delivered", {**ONE, "to": "addressee", "proof": PROOF}, 40)
    assert [each.type for each in again.public_events] == [HELD]
    assert again.warnings == ["custody_broken"]
    assert item.body["now"] == {"state": "delivered", "place": "addressee"}


def test_a_signed_item_that_was_never_loaded_or_was_left_in_a_box_is_held_for_review(item: Any) -> None:
    item.order(requirements=["signature"])
    item.add("item.delivered", {**ONE, "to": "mailbox"}, 30)
    assert item.said(HELD) == [{"thing": f"item/{ID}", "reason": "not_signed_for", "missing": ["loaded"]}]
    item.add("item.loaded", ONE, 1)
    assert item.said(HELD) == [{"thing": f"item/{ID}", "reason": "not_signed_for"}]


def test_a_signed_item_may_change_its_shelf_and_be_collected(item: Any) -> None:
    item.order(requirements=["signature"])
    item.add("item.loaded", ONE, 1)
    item.add("item.delivery_attempted", {**ONE, "reason": "absent", "next": "office_hold"}, 30)
    item.add("item.held", {**ONE, "office": "Bondy", "shelf": "A-1"}, 200)
    item.add("item.held", {**ONE, "office": "Bondy", "shelf": "B-2"}, 210)
    item.add("item.collected", {**ONE, "proof": PROOF}, 900)
    assert item.said(HELD) == []
    assert item.body["now"] == {"state": "collected", "place": "addressee"}


def test_an_unsigned_item_delivered_twice_is_said_twice_and_warned(new_story: Any) -> None:
    letter = new_story("item", "item/1B34567890123")
    data = {"item_id": "1B34567890123", "to": "mailbox"}
    letter.add("item.delivered", data, 1)
    assert letter.add("item.delivered", data, 2).warnings == ["already_delivered"]
    assert len(letter.said("item.delivered")) == 2


def test_the_public_delivery_has_its_score_in_words_and_no_name(item: Any) -> None:
    located = {"stop_id": "st-118", "door_distance_m": 8.2, "confidence": 0.97, "method": "scan", "status": "at_stop"}
    fix = {"lat": 48.9, "lon": 2.5, "accuracy_m": 8.0}
    item.add("item.delivered", {**ONE, "fix": fix, "to": "addressee", "proof": PROOF}, 10, located=located)
    said = item.said("item.delivered")[0]
    assert said["proof"]["score"] == 95
    assert said["proof"]["words"] == "At the planned door, precise position, scanned, signed, identity checked."
    assert b"Martin" not in orjson.dumps(said)


@pytest.mark.parametrize(
    ("changes", "to", "missing"),
    [
        ({"signature": None, "acceptor": None}, "addressee", ["acceptor", "signature"]),
        ({"identity": None}, "addressee", ["identity"]),
        ({"identity": "known_to_carrier"}, "addressee", ["carrier_signature"]),
        ({}, "mandate_holder", ["capacity"]),
        ({"presented_on": "2026-11-23"}, "addressee", ["dates"]),
    ],
)
def test_what_is_missing_of_a_registered_proof_is_named_to_the_phone(
    item: Any, changes: Any, to: str, missing: Any
) -> None:
    decision = item.add("item.delivered", {**ONE, "to": to, "proof": {**PROOF, **changes}})
    assert decision.answer == {"missing": missing}
    assert "missing_proof" in decision.warnings


def test_the_counter_takes_the_same_proof_of_registered_mail_as_the_door(item: Any) -> None:
    assert item.add("item.collected", {**ONE, "proof": {**PROOF, "identity": None}}).answer == {"missing": ["identity"]}
    assert item.add("item.collected", {**ONE, "proof": PROOF}, 1).answer is None


@pytest.mark.parametrize("to", ["household", "neighbour", "caretaker", "mailbox", "safe_place"])
def test_registered_mail_in_other_hands_than_the_law_allows_is_said_and_held_for_review(item: Any, to: str) -> None:
    decision = item.add("item.delivered", {**ONE, "to": to, "proof": PROOF})
    assert "not_to_addressee" in decision.warnings
    assert item.said(HELD) == [{"thing": f"item/{ID}", "reason": "not_to_addressee"}]
    assert item.said("item.delivered")[0]["to"] == to


def test_an_order_makes_a_domestic_id_registered(new_story: Any) -> None:
    parcel = new_story("item", "item/1B34567890123")
    parcel.order(requirements=["registered"])
    parcel.add("item.loaded", {"item_id": "1B34567890123"}, 1)
    decision = parcel.add("item.delivered", {"item_id": "1B34567890123", "to": "household", "proof": PROOF}, 2)
    assert parcel.said(HELD) == [{"thing": "item/1B34567890123", "reason": "not_to_addressee"}]
    assert decision.answer is None


def test_a_held_item_says_until_when_it_waits_unless_the_office_says_so(item: Any) -> None:
    item.add("item.delivery_attempted", {**ONE, "reason": "absent", "next": "office_hold"}, 0)
    item.add("item.held", {**ONE, "office": "Bondy"}, DAY)
    item.add("item.held", {**ONE, "office": "Bondy", "until": "2026-12-01"}, DAY + 5)
    assert [each["until"] for each in item.said("item.held")] == ["2026-12-06", "2026-12-01"]


def test_the_wait_at_the_counter_is_measured_and_stays_with_the_operator(item: Any) -> None:
    item.add("item.collected", {**ONE, "proof": PROOF, "arrived_at": "2026-11-21T07:58:30Z"}, 0)
    (said,) = item.said("item.collected")
    assert said["waited_s"] == 90
    assert split(HANDLER.publishes[0].data, said)[OPERATIONAL]["waited_s"] == 90
    item.add("item.collected", {**ONE, "proof": PROOF, "arrived_at": "2026-11-20T07:58:30Z"}, 5)
    assert "waited_s" not in item.said("item.collected")[1]


def test_those_whom_the_order_names_are_mailed_once_that_it_was_delivered_and_without_links(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    contacts = [{"email": "a@x.fr", "lang": "en"}, {"mobile": "+33612345678"}, {"email": "a@x.fr"}, "b@x.fr"]
    order = {"task_id": "t-1", "service": "item", "subject": "item/LL456789015FR", "on": "2026-11-21"}
    story.add("task.planned", {**order, "contacts": contacts}, by="subscriber")
    first = story.add("item.delivered", {"item_id": "LL456789015FR", "to": "neighbour"}, 10)
    (told,) = [write for write in first.writes if write.query == "notice.queue"]
    assert (told.args[1], told.args[2], told.args[3], told.args[-1].value["to"]) == (
        *("item_delivered", "email", "en"),
        "a@x.fr",
    )
    assert told.args[-1].value["params"]["to_en"] == "to a neighbour"
    assert "http" not in str(told)
    again = story.add("item.delivered", {"item_id": "LL456789015FR", "to": "mailbox"}, 20)
    assert not [write for write in again.writes if write.query == "notice.queue"]


def test_the_sandbox_and_an_order_without_contacts_mail_nobody(new_story: Any) -> None:
    for number, contacts in (("SBX-1", [{"email": "a@x.fr"}]), ("LL456789015FR", None)):
        story = new_story("item", f"item/{number}")
        order = {"task_id": "t-1", "service": "item", "subject": f"item/{number}", "on": "2026-11-21"}
        story.add("task.planned", order | ({"contacts": contacts} if contacts else {}), by="subscriber")
        done = story.add("item.delivered", {"item_id": number, "to": "mailbox"}, 10)
        assert not [write for write in done.writes if write.query == "notice.queue"]
