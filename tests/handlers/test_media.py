"""Pictures that facts name: what is a name of one, what waits, and what is told again when they come."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import pytest
from pydantic import BaseModel

from handlers import corrections
from handlers.fields import HEALTH, PERSONAL, SEALED_CLASSES, Payload, Text, split
from handlers.media import FIELDS, is_sha256, may_name, named
from handlers.registry import discover
from handlers.story import EventType, Write

A, B, C = "a" * 64, "b" * 64, "c" * 64
ITEM = "RK123456785FR"
TYPES = [each for _, each in discover().by_type.values() if may_name(each.payload)]


class Inner(BaseModel):
    signature: Text | None = None


class Nested(Payload):
    proof: Annotated[Inner | None, PERSONAL] = None
    photo: Annotated[Text | list[Text] | None, HEALTH] = None
    answers: Annotated[dict[str, Any] | None, HEALTH] = None


class Plain(Payload):
    note: Annotated[Text | None, PERSONAL] = None


def wants(decision: Any) -> list[tuple[Any, ...]]:
    return [each.args for each in decision.writes if isinstance(each, Write) and each.query == "media.want"]


def test_sixty_four_lower_hexadecimal_digits_name_a_picture_and_nothing_else_does() -> None:
    assert is_sha256(A)
    assert not any(is_sha256(each) for each in (A[:-1], A + "a", A.upper(), "g" * 64, "strokes", "", None, 7, [A]))


def test_pictures_are_found_by_the_names_of_fields_wherever_they_stand_with_their_class() -> None:
    data = {"proof": {"signature": A}, "photo": [B, "old", C, B], "answers": {"photo": A, "other": B}}
    assert named(Nested, data) == [
        (A, "signature", "personal"),
        (B, "photo", "health"),
        (C, "photo", "health"),
        (A, "photo", "health"),
    ]
    assert (may_name(Nested), may_name(Plain), named(Plain, {"photo": A})) == (True, False, [])


@pytest.mark.parametrize("each", TYPES, ids=lambda each: each.name)
def test_every_field_for_a_picture_is_sealed(each: EventType) -> None:
    for name in each.payload.model_fields:
        value: Mapping[str, Any] = {name: A if name in FIELDS else dict.fromkeys(FIELDS, A)}
        if name in FIELDS or (name == "proof"):
            assert set(split(each.payload, value)) <= set(SEALED_CLASSES), (each.name, name)


def test_the_services_that_take_pictures_are_known() -> None:
    assert {"item.delivered", "item.collected", "address_change.reported", "home_visit.completed"} <= {
        each.name for each in TYPES
    }


@pytest.fixture
def item(new_story: Any) -> Any:
    return new_story("item", f"item/{ITEM}")


def delivered(item: Any, minute: float = 0, *, to: str = "addressee", **proof: str) -> Any:
    return item.add("item.delivered", {"item_id": ITEM, "to": to, "proof": proof}, minute, site="pantin")


def test_a_fact_writes_down_each_picture_that_it_names_once_with_what_decides_who_may_see_it(item: Any) -> None:
    first = delivered(item, signature=A, photo=B)
    event, at = UUID(item.body["facts"][0][1]), datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
    assert wants(first) == [
        (A, event, "item", f"item/{ITEM}", "signature", "personal", "pantin", True, at),
        (B, event, "item", f"item/{ITEM}", "photo", "personal", "pantin", True, at),
    ]
    assert wants(item.add("item.missing", {"item_id": ITEM}, 5)) == []
    assert [want[7] for want in wants(delivered(item, 6, to="neighbour", signature=A))] == [False]


def test_a_proof_is_pending_until_every_picture_has_come_and_then_replaces_what_was_said(item: Any) -> None:
    delivered(item, signature=A, photo=B)
    assert item.said("item.delivered")[0]["proof_state"] == "proof_pending"
    assert item.add("timer.media", {"sha256": A}, 1, by="server").public_events == []
    done = item.add("timer.media", {"sha256": B}, 2, by="server")
    assert [(each.type, each.supersedes is not None) for each in done.public_events] == [("item.delivered", True)]
    assert item.said("item.delivered")[0]["proof_state"] == "proof_complete"


def test_the_same_picture_twice_changes_nothing_and_one_for_another_fact_neither(item: Any) -> None:
    delivered(item, signature=A)
    item.add("timer.media", {"sha256": A}, 1, by="server")
    assert item.add("timer.media", {"sha256": A}, 2, by="server").public_events == []
    assert item.add("timer.media", {"sha256": C}, 3, by="server").public_events == []


def test_a_fact_told_late_whose_picture_was_there_is_complete_at_once(item: Any) -> None:
    item.add("timer.media", {"sha256": A}, 9, by="server")
    delivered(item, 1, signature=A)
    assert item.said("item.delivered")[0]["proof_state"] == "proof_complete"


def test_what_is_no_hash_names_no_picture_and_waits_for_none(item: Any) -> None:
    assert wants(delivered(item, signature="strokes")) == []
    assert "proof_state" not in item.said("item.delivered")[0]


def test_a_correction_that_names_another_picture_wants_that_one(item: Any) -> None:
    delivered(item, signature=A)
    original = next(iter(item.body["facts"]))
    event = item.event(corrections.NAME, {
        "corrects": original[1], "kind": "incorrect_data", "reason": "other",
        "replacement": {"item_id": ITEM, "to": "addressee", "proof": {"signature": B}},
    }, 5, original=corrections.Fact(original[0], original[1], original[2], {}), site="pantin")  # fmt: skip
    decision = item.take(event)
    assert [want[0] for want in wants(decision)] == [B]
    assert item.said("item.delivered")[0]["proof_state"] == "proof_pending"


def test_an_address_evidence_stays_with_the_operator(new_story: Any) -> None:
    story = new_story("address_change", "delivery_point/dp-1")
    report = {
        "delivery_point_id": "dp-1",
        "change": "vacant",
        "old_address": "3 rue X",
        "confidence": "seen",
        "evidence": [A],
    }
    decision = story.add("address_change.reported", report, site="pantin")
    assert [(want[4], want[7]) for want in wants(decision)] == [("evidence", False)]
