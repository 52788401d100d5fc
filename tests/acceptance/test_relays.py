"""A phone that cannot send: a colleague's phone brings its queue, reads nothing of it, and nothing counts twice."""

import base64
import gzip
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fieldsvc.access import enrolment
from handlers.fields import format_time
from tests.acceptance.conftest import SITE, World
from tests.acceptance.service import Answer, Caller, ago, field_event, fresh, statuses
from tests.sealing import queue, seal

SEALED = {"Content-Type": "application/octet-stream"}
NONE = {"accepted": 0, "duplicate": 0, "conflict": 0, "quarantined": 0}


def point(caller: Caller) -> bytes:
    return base64.b64decode(caller.service.ask("GET", "/v1/relay-key").json()["public_key"])


def sealed(whose: Caller, *events: Any, device: str | None = None, made_at: Any = None) -> bytes:
    return seal(point(whose), queue(device or whose.name, whose.secret, list(events), made_at=made_at))


def bring(carrying: Caller, envelope: bytes, **headers: str) -> Answer:
    return carrying.service.ask("POST", "/v1/relays", envelope, headers={**carrying.headers, **SEALED, **headers})


def delivered(item: str, **more: Any) -> dict[str, Any]:
    return field_event("item.delivered", {"item_id": item, "to": "addressee", "stop_id": "st-118"}, **more)


def test_a_queue_comes_in_by_a_colleagues_phone_in_the_order_of_each_thing_and_once(world: World) -> None:
    items, steps = [fresh("RK") for _ in range(5)], ("loaded", "out_for_delivery", "delivered")
    events = [
        field_event(f"item.{step}", {"item_id": item, **({"to": "addressee"} if step == "delivered" else {})})
        for step in steps
        for item in items
    ]
    envelope = sealed(world.phone, *events)
    assert bring(world.colleague, envelope).json() == {**NONE, "accepted": 15}
    assert bring(world.colleague, envelope).json() == {**NONE, "duplicate": 15}
    assert statuses(world.phone.send(*events)) == ["duplicate"] * 15  # the first phone lives again
    told = [(each["subject"], each["type"]) for each in world.operator.feed("item.*")]
    for item in items:
        said = [kind.removeprefix("fieldsvc.item.") for subject, kind in told if subject == f"item/{item}"]
        assert [each.rpartition(".")[0] for each in said] == list(steps)


def test_the_events_are_those_of_the_phone_that_sealed_them(world: World) -> None:
    event = delivered(fresh("RK"))
    before = len(receipts(world.colleague))
    assert bring(world.colleague, sealed(world.phone, event)).json()["accepted"] == 1
    assert len(receipts(world.colleague)) == before
    assert event["id"] in base64_body(receipts(world.phone)[-1])


def test_each_event_is_judged_by_itself_as_in_any_upload(world: World) -> None:
    good, bad = delivered(fresh("RK")), field_event("nothing.known", {})
    other = {**good, "data": {**good["data"], "to": "neighbour"}}
    assert bring(world.colleague, sealed(world.phone, good, bad, other)).json() == {
        "accepted": 1, "duplicate": 0, "conflict": 1, "quarantined": 1,
    }  # fmt: skip


def test_who_brings_it_is_told_counts_and_nothing_else(world: World) -> None:
    item = fresh("RK")
    envelope = sealed(world.phone, delivered(item))
    answer = bring(world.colleague, envelope)
    assert answer.json().keys() == NONE.keys()
    for secret in (item.encode(), world.phone.secret.encode(), world.phone.name.encode()):
        assert secret not in envelope
        assert secret not in answer.body


def test_a_phone_of_another_site_brings_nothing(world: World) -> None:
    event = delivered(fresh("RK"))
    assert bring(world.stranger, sealed(world.phone, event)).code == "not_found"
    assert bring(world.phone, sealed(world.stranger, event)).code == "not_found"
    assert statuses(world.phone.send(event)) == ["accepted"]


def test_a_phone_that_the_service_does_not_know_or_that_was_revoked_seals_in_vain(world: World) -> None:
    event = delivered(fresh("RK"))
    gone = world.device("gone", "Claude Essai", SITE, None)
    for envelope in (
        sealed(Caller(world.service, world.phone.name, "nonsense"), event),
        sealed(world.phone, event, device=world.colleague.name),
        revoked(world, gone, sealed(gone, event)),
    ):
        answer = bring(world.colleague, envelope)
        assert (answer.status, answer.code) == (422, "relay_unknown_phone")


def test_what_a_lost_phone_took_in_before_it_was_lost_still_counts(world: World) -> None:
    lost = world.device("lost", "Charlie Essai", SITE, None)
    before, after = delivered(fresh("RK"), time=ago(hours=2)), delivered(fresh("RK"))
    at = datetime.now(UTC) - timedelta(hours=1)
    database = world.service.platform.database
    world.service.call(enrolment.report_lost(database, lost.name, lost_at=at))
    world.service.platform.access.forget()
    assert bring(world.colleague, sealed(lost, before, after)).json() == {**NONE, "accepted": 1, "quarantined": 1}
    assert (
        bring(lost, sealed(world.phone, delivered(fresh("RK")))).json()["accepted"] == 1
    )  # it had taken that in before


def test_an_envelope_for_another_service_is_named_as_such(world: World, phone_elsewhere: Caller) -> None:
    envelope = seal(point(phone_elsewhere), queue(world.phone.name, world.phone.secret, [delivered(fresh("RK"))]))
    assert bring(world.colleague, envelope).code == "relay_foreign"


@pytest.mark.parametrize("change", [b"", b"x", b"FSR\x01", b"\x00" * 200])
def test_garbage_is_a_typed_problem(world: World, change: bytes) -> None:
    assert bring(world.colleague, change).code == "relay_unreadable"


@pytest.mark.parametrize(
    "head",
    [
        rb'{"device_id":"d","token":"\ud800"}', rb'{"device_id":"\udfff","token":"t"}', rb'{"device_id":["d"],"token":"t"}', b"[]",
        b'{"device_id":"d","token":"\xe9"}', b"[" * 900,
    ],
)  # fmt: skip
def test_a_first_line_that_names_no_phone_is_unreadable(world: World, head: bytes) -> None:
    assert bring(world.colleague, seal(point(world.phone), head + b"\n[]")).code == "relay_unreadable"


def test_what_is_packed_to_be_large_or_deep_is_refused_before_it_is_unpacked(world: World) -> None:
    head, key = queue(world.phone.name, world.phone.secret, []).partition(b"\n")[0], point(world.phone)
    assert bring(world.colleague, seal(key, head + b"\n" + bytes(200_000_000))).code == "too_large"
    assert bring(world.colleague, seal(key, head + b"\n" + b"[" * 100_000)).code == "not_json"
    whole = gzip.compress(head + b"\n[]")
    for packed in (whole[:-1], whole + b"x", whole + whole, b"", head + b"\n[]"):
        assert bring(world.colleague, seal(key, b"", packed=packed)).code == "relay_unreadable"
    for odd in (None, 7, "\u0000", "9999-12-31T23:59:59-14:00", "0001-01-01T00:00:00+14:00", {"at": []}):
        assert bring(world.colleague, sealed(world.phone, made_at=odd or [])).json() == NONE


def test_a_queue_that_is_too_large_is_to_be_made_smaller(world: World) -> None:
    many = [field_event("nothing.known", {})] * 501
    assert bring(world.colleague, sealed(world.phone, *many)).code == "too_large"
    assert bring(world.colleague, sealed(world.phone, {"data": "x" * 1_100_000})).code == "too_large"
    assert bring(world.colleague, b"\x00" * 1_100_000).code == "too_large"


def test_what_is_inside_may_be_no_json_and_what_is_sent_no_bytes(world: World) -> None:
    head = queue(world.phone.name, world.phone.secret, []).partition(b"\n")[0]
    assert bring(world.colleague, seal(point(world.phone), head + b"\n[{")).code == "not_json"
    answer = bring(world.colleague, sealed(world.phone), **{"Content-Type": "application/json"})
    assert answer.code == "unsupported_media_type"


def test_a_clock_that_is_proven_fast_is_corrected_and_a_slow_one_is_not_guessed(world: World) -> None:
    ahead, behind = datetime.now(UTC) + timedelta(hours=2), datetime.now(UTC) - timedelta(hours=2)
    for clock, wrong in ((ahead, True), (behind, False)):
        event = delivered(fresh("RK"), time=format_time(clock - timedelta(minutes=1)))
        bring(world.colleague, sealed(world.phone, event, made_at=format_time(clock)))
        (told,) = [
            each
            for each in world.operator.feed("item.delivered")
            if each["data"]["item_id"] == event["data"]["item_id"]
        ]
        occurred = datetime.fromisoformat(told["time"])
        expected = datetime.now(UTC) if wrong else behind
        assert abs(occurred - expected) < timedelta(minutes=2), told


def revoked(world: World, device: Caller, envelope: bytes) -> bytes:
    world.service.call(enrolment.revoke_device(world.service.platform.database, device.name))
    world.service.platform.access.forget()
    return envelope


def receipts(device: Caller) -> list[str]:
    return [each["receipt"] for each in device.ask("GET", "/v1/me/receipts?limit=1000").json()["receipts"]]


def base64_body(receipt: str) -> str:
    body = receipt.split(".")[1]
    return base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)).decode()
