"""`event.corrected` from end to end: who may say it of what, and what subscribers get in place of what was said."""

from typing import Any

import pytest

from tests.acceptance.conftest import World
from tests.acceptance.service import Caller, ago, field_event, fresh
from tests.acceptance.test_who_says_what import post_as, session_of


def delivered(item: str, to: str = "mailbox", **more: Any) -> dict[str, Any]:
    return field_event("item.delivered", {"item_id": item, "to": to}, **more)


def corrected(event: dict[str, Any], **more: Any) -> dict[str, Any]:
    data = {"corrects": event["id"], "kind": "did_not_occur", "reason": "said_twice", **more}
    return field_event("event.corrected", data)


def one(caller: Caller, event: Any) -> dict[str, Any]:
    (result,) = caller.send(event)
    return result


def test_a_carrier_takes_back_what_did_not_occur_and_subscribers_get_the_correction(world: World) -> None:
    item = fresh("RK")
    event = delivered(item)
    world.phone.send(event)
    assert one(world.phone, corrected(event))["status"] == "accepted"
    said, correction = world.ears["operator"].about(f"item/{item}", 2)
    assert correction["type"] == "fieldsvc.event.corrected.v1"
    assert correction["supersedes"] == said["id"] == correction["data"]["corrects"]
    assert correction["data"] == {"corrects": said["id"], "kind": "did_not_occur", "reason": "said_twice"}
    assert correction["sequence"] > said["sequence"]


def test_a_correction_in_the_same_upload_needs_nothing_committed_before(world: World) -> None:
    item, meant = fresh("RK"), fresh("LL")
    event = delivered(item)
    change = {"kind": "incorrect_data", "reason": "wrong_item", "replacement": {"item_id": meant, "to": "mailbox"}}
    assert [each["status"] for each in world.phone.send(event, corrected(event, **change))] == ["accepted"] * 2
    (first, withdrawn), (moved,) = (
        world.ears["operator"].about(f"item/{each}", n) for each, n in ((item, 2), (meant, 1))
    )
    assert withdrawn["supersedes"] == first["id"]
    assert (moved["type"], moved["data"]["item_id"]) == ("fieldsvc.item.delivered.v1", meant)
    assert moved["time"] == first["time"]


def test_only_the_author_corrects_and_only_for_a_day_and_a_supervisor_of_the_site_later(world: World) -> None:
    event, old = delivered(fresh("RK")), delivered(fresh("RK"), time=ago(hours=30))
    world.phone.send(event, old)
    assert one(world.colleague, corrected(event))["reason"] == "not_allowed"
    assert (
        one(world.stranger, corrected(event))["reason"] == "unknown_event"
    )  # of another site, so nobody says that it exists
    assert one(world.shop, corrected(event))["reason"] == "not_allowed"
    assert one(world.phone, corrected(old))["reason"] == "not_allowed"
    headers = session_of(world, "supervisor", "site-pantin")
    (result,) = post_as(world, headers, corrected(old)).json()["results"]
    assert result["status"] == "accepted"


def test_a_subscriber_corrects_its_own_word(world: World) -> None:
    pouch = fresh("P")
    world.order("pharmacy", "medication", f"pouch/{pouch}")
    event = field_event("medication.released", {"pouch_id": pouch})
    assert one(world.pharmacy, event)["status"] == "accepted"
    assert one(world.dispensary, corrected(event))["reason"] == "not_allowed"
    assert one(world.pharmacy, corrected(event))["status"] == "accepted"
    assert world.pharmacy.feed()[-1]["type"] == "fieldsvc.event.corrected.v1"


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({"corrects": "no-uuid", "kind": "did_not_occur"}, "bad_payload"),
        ({"corrects": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2eff", "kind": "did_not_occur"}, "unknown_event"),
        ({"corrects": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2eff", "kind": "whim"}, "bad_payload"),
        ({"kind": "did_not_occur"}, "bad_payload"),
    ],
)
def test_a_correction_that_cannot_be_taken_is_kept_aside_with_its_reason(
    world: World, data: dict[str, Any], reason: str
) -> None:
    result = one(world.phone, field_event("event.corrected", data))
    assert (result["status"], result["reason"]) == ("quarantined", reason)


def test_a_correction_cannot_be_corrected_but_the_event_can_be_again(world: World) -> None:
    item = fresh("RK")
    event = delivered(item)
    first = corrected(event)
    world.phone.send(event, first)
    assert one(world.phone, corrected(first))["reason"] == "not_correctable"
    again = corrected(event, kind="incorrect_data", reason="other", replacement=event["data"])
    assert one(world.phone, again)["status"] == "accepted"
    last = world.ears["operator"].about(f"item/{item}", 3)[-1]
    assert (last["type"], last["data"]["to"]) == ("fieldsvc.item.delivered.v1", "mailbox")


@pytest.mark.parametrize("replacement", [None, {}, {"item_id": "RK1", "to": "the moon"}, {"to": "mailbox"}, []])
def test_a_replacement_is_held_to_the_schema_of_what_it_replaces(world: World, replacement: Any) -> None:
    event = delivered(fresh("RK"))
    world.phone.send(event)
    result = one(world.phone, corrected(event, kind="incorrect_data", replacement=replacement))
    assert (result["status"], result["reason"]) == ("quarantined", "bad_payload")


def test_what_a_supervisor_enters_from_paper_says_so_and_who_entered_it(world: World) -> None:
    headers, item = session_of(world, "supervisor", "site-pantin"), fresh("RK")
    event = delivered(item, runid=world.run_id)
    event["data"]["recorded_from"] = "paper"
    (result,) = post_as(world, headers, event).json()["results"]
    assert result["status"] == "accepted"
    (public,) = world.ears["operator"].about(f"item/{item}")
    assert "entered_by" not in str(public)
    other = one(world.phone, field_event("item.loaded", {"item_id": item, "recorded_from": "hearsay"}))
    assert other["reason"] == "bad_payload"
