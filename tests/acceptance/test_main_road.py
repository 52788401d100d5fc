"""The main job, seen from outside: a phone posts, a subscriber receives."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from standardwebhooks import Webhook

from handlers.fields import format_time, parse_time
from tests.acceptance.conftest import World
from tests.acceptance.service import ONE, ago, field_event, fresh, statuses

A_PUBLIC_EVENT = {
    "specversion", "id", "source", "type", "subject", "time", "timestamp", "recordedtime", "partitionkey", "sequence", "data",
}  # fmt: skip
WHERE = {"stop_id", "door_distance_m", "confidence", "method", "status"}
WHERE_ON_ROUND = WHERE | {"round_id", "run_id", "delivery_point_id", "distance_along_m", "offset_m"}
HEALTH = {"handed_to", "label_matched", "identity", "code_ok"}


def example(world: World) -> dict[str, Any]:
    """Return the contract's example, with today's time and run."""
    moment = datetime.now(UTC) - timedelta(seconds=3)
    event: dict[str, Any] = orjson.loads(
        b"""{"specversion":"1.0","id":"019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44","source":"/devices/d-0042","type":"fieldsvc.medication.delivered.v1",
 "subject":"pouch/P-5521","time":"%s","runid":"%s",
 "data":{"fix":{"lat":48.93781,"lon":2.16091,"accuracy_m":8.0,"fixed_at":"%s"},"stop_id":"st-118","pouch_id":"P-5521","seal_intact":true,"handed_to":"patient","label_matched":true,"identity":"known_to_carrier","code_ok":true}}"""
        % (format_time(moment).encode(), world.run_id.encode(), format_time(moment - timedelta(seconds=5)).encode())
    )
    return event


def test_the_contracts_example_event_arrives_signed_and_located_at_an_operators_subscriber(world: World) -> None:
    event = example(world)
    answer = world.phone.post(orjson.dumps(event), ONE)
    assert answer.status == 200
    assert set(answer.json()) == {"receipt", "results"}
    (result,) = answer.json()["results"]
    assert (result["id"], result["status"]) == (event["id"], "accepted")
    assert result["located"]["stop_id"] == "st-118"
    assert result["located"]["method"] == "stop"
    assert result["located"]["door_distance_m"] < 10

    wanted = f"evt_{event['id']}"
    (message,) = world.ears["operator"].wait(lambda each: each["id"] == wanted)
    Webhook(world.ears["operator"].secret).verify(message.body, dict(message.headers))
    public = message.event
    assert message.headers["webhook-id"] == wanted
    assert message.headers["Content-Type"].startswith("application/cloudevents+json")
    assert public["specversion"] == "1.0"
    assert public["type"] == "fieldsvc.medication.delivered.v1"
    assert public["subject"] == public["partitionkey"] == "pouch/P-5521"
    assert public["source"] == "/fieldsvc/site-pantin"
    assert public["time"] == public["timestamp"] == event["time"]
    assert parse_time(public["recordedtime"]) >= parse_time(event["time"])
    assert public["sequence"] == "00000000000000000001"
    assert set(public["data"]["located"]) == WHERE_ON_ROUND
    assert public["data"]["located"]["delivery_point_id"] == "dp-118"
    assert public["data"]["proof"]["score"] > 0
    assert not HEALTH & set(public["data"])


def test_a_public_event_has_exactly_the_members_of_the_contract(world: World) -> None:
    item = fresh("RK")
    sent = field_event("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-119"}, runid=world.run_id)
    assert statuses(world.phone.send(sent)) == ["accepted"]
    (public,) = world.ears["operator"].about(f"item/{item}")
    assert set(public) == A_PUBLIC_EVENT
    assert set(public["data"]) == {"item_id", "to", "proof", "located"}
    assert len(public["sequence"]) == 20
    assert orjson.loads(world.operator.event(public["id"]).body) == public


def test_an_account_sees_the_events_of_its_own_tasks_only_and_the_operator_sees_all(world: World) -> None:
    pouch, parcel, stray = fresh("P"), fresh("RK"), fresh("RK")
    world.order("pharmacy", "medication", f"pouch/{pouch}", addressee="Mme Martin")
    world.order("shop", "item", f"item/{parcel}", addressee="M. Durand")
    results = world.phone.send(
        field_event("medication.picked_up", {"pouch_id": pouch, "seal_intact": True}, runid=world.run_id),
        field_event("item.loaded", {"item_id": parcel}, runid=world.run_id),
        field_event("item.loaded", {"item_id": stray}, runid=world.run_id),
    )
    assert statuses(results) == ["accepted"] * 3
    names = {f"pouch/{pouch}", f"item/{parcel}", f"item/{stray}"}

    def seen(name: str) -> set[str]:
        return {event["subject"] for event in world.callers[name].feed()} & names

    assert seen("operator") == names
    assert seen("pharmacy") == {f"pouch/{pouch}"}
    assert seen("shop") == {f"item/{parcel}"}
    assert seen("nobody") == seen("dispensary") == set()
    ids = {name: f"evt_{result['id']}" for name, result in zip(("pouch", "parcel", "stray"), results, strict=True)}
    found = {
        (who, what): world.callers[who].event(ids[what]).status
        for who in ("operator", "pharmacy", "shop", "nobody")
        for what in ids
    }
    assert {key for key, status in found.items() if status == 200} == {
        ("operator", "pouch"), ("operator", "parcel"), ("operator", "stray"), ("pharmacy", "pouch"), ("shop", "parcel"),
    }  # fmt: skip
    assert set(found.values()) == {200, 404}
    for name in ("pharmacy", "shop"):
        world.ears[name].wait(lambda event: event["subject"] in names and "task." not in event["type"])
        assert {each.event["subject"] for each in world.ears[name].messages} & names == seen(name)


def test_what_a_scope_does_not_cover_is_left_out_and_a_link_says_where_it_is(world: World) -> None:
    pouches = {"pharmacy": fresh("P"), "dispensary": fresh("P")}
    for account, pouch in pouches.items():
        world.order(account, "medication", f"pouch/{pouch}", addressee="Mme Martin")
        who = {"handed_to": "patient", "label_matched": True, "identity": "document", "code_ok": True}
        results = world.phone.send(
            field_event("medication.picked_up", {"pouch_id": pouch, "seal_intact": True}, runid=world.run_id),
            field_event(
                "medication.delivered",
                {"pouch_id": pouch, "seal_intact": True, "stop_id": "st-118", **who},
                runid=world.run_id,
            ),
        )
        assert statuses(results) == ["accepted"] * 2

    def delivered(ear: str, pouch: str) -> dict[str, Any]:
        wanted = "fieldsvc.medication.delivered.v1"
        found = world.ears[ear].wait(lambda event: event["subject"] == f"pouch/{pouch}" and event["type"] == wanted)
        return found[0].event

    full = delivered("pharmacy", pouches["pharmacy"])
    assert set(full["data"]) >= HEALTH
    assert set(full["data"]["located"]) == WHERE
    assert "dataref" not in full
    without_health = delivered("dispensary", pouches["dispensary"])
    thin, operators = delivered("thin", pouches["pharmacy"]), delivered("operator", pouches["pharmacy"])
    assert thin["data"] == {}
    assert set(thin) == A_PUBLIC_EVENT | {"dataref"}
    for cut in (without_health, thin, operators):
        assert not HEALTH & set(cut["data"])
        assert cut["dataref"] == f"/v1/events/{cut['id']}"
    assert world.pharmacy.ask("GET", thin["dataref"]).json() == full
    assert world.nobody.ask("GET", thin["dataref"]).status == 404


def test_the_feed_gives_the_same_events_in_the_same_order_as_the_webhooks(world: World) -> None:
    items = [fresh("RK") for _ in range(6)]
    start = world.operator.ask("GET", "/v1/feed?limit=1000&types=none.none").json()["next"]
    for name in ("loaded", "out_for_delivery", "missing"):
        events = [field_event(f"item.{name}", {"item_id": item}, runid=world.run_id) for item in items]
        assert set(statuses(world.phone.send(*events))) == {"accepted"}
    got = world.ears["operator"].wait(lambda event: event["subject"].removeprefix("item/") in items, count=18)
    paged = [event for event in world.operator.feed(after=start, limit=5) if event["subject"][5:] in items]
    assert len(paged) == 18
    for item in items:
        pulled = [event for event in paged if event["subject"] == f"item/{item}"]
        assert pulled == [message.event for message in got if message.event["subject"] == f"item/{item}"]
        assert [int(event["sequence"]) for event in pulled] == [1, 2, 3]


def test_an_event_that_names_three_items_becomes_three_public_events_numbered_from_one(world: World) -> None:
    items = [fresh("RK") for _ in range(3)]
    sent = field_event(
        "item.delivered", {"item_ids": items, "to": "addressee", "stop_id": "st-120"}, runid=world.run_id
    )
    assert statuses(world.phone.send(sent)) == ["accepted"]
    for number, item in enumerate(items, start=1):
        (public,) = world.ears["operator"].about(f"item/{item}")
        assert public["id"] == f"evt_{sent['id']}_{number}"
        assert public["data"]["item_id"] == item
        assert public["sequence"].endswith("1")
        assert world.operator.event(public["id"]).json() == public
    assert world.operator.event(f"evt_{sent['id']}").status == 404
    assert world.operator.event(f"evt_{sent['id']}_4").status == 404


def test_a_late_event_that_changes_what_was_published_is_seen_as_a_superseding_event(world: World) -> None:
    pouch = fresh("P")
    world.order("pharmacy", "medication", f"pouch/{pouch}")
    who = {"handed_to": "patient", "label_matched": True, "identity": "document", "code_ok": True}
    data = {"pouch_id": pouch, "seal_intact": True, "stop_id": "st-118"}
    assert statuses(world.phone.send(field_event("medication.delivered", {**data, **who}))) == ["accepted"]
    before = world.ears["pharmacy"].wait(
        lambda event: event["subject"] == f"pouch/{pouch}" and "chain" in event["data"]
    )
    first = before[0].event
    assert first["data"]["chain"] == "held_for_review"
    assert "picked_up" in first["data"]["missing"]

    world.pharmacy.send(field_event("medication.released", {"pouch_id": pouch}, time=ago(hours=2), source="/pharmacy"))
    late = field_event("medication.picked_up", {"pouch_id": pouch, "seal_intact": True}, time=ago(hours=1))
    assert statuses(world.phone.send(late)) == ["accepted"]
    corrected = (
        world.ears["pharmacy"]
        .wait(
            lambda event: (
                event["subject"] == f"pouch/{pouch}"
                and event["type"] == first["type"]
                and event["data"]["chain"] == "complete"
            )
        )[0]
        .event
    )
    chain = [corrected]
    every = {each["id"]: each for each in world.pharmacy.feed() if each["subject"] == f"pouch/{pouch}"}
    while "supersedes" in chain[-1]:
        chain.append(every[chain[-1]["supersedes"]])
    assert chain[-1] == first
    assert corrected["time"] == first["time"]
    assert [int(each["sequence"]) for each in every.values()] == list(range(1, len(every) + 1))


def test_a_subscriber_may_send_what_its_role_allows_and_nothing_else(world: World) -> None:
    pouch = fresh("P")
    world.order("pharmacy", "medication", f"pouch/{pouch}")
    released = field_event("medication.released", {"pouch_id": pouch}, source="/pharmacy")
    taken = field_event("medication.picked_up", {"pouch_id": pouch, "seal_intact": True}, source="/pharmacy")
    answer = world.pharmacy.post(orjson.dumps([released, taken]))
    assert answer.json()["receipt"] is None
    first, second = answer.json()["results"]
    assert (first["status"], second["status"], second["reason"]) == ("accepted", "quarantined", "not_allowed")
    subjects = [event["type"] for event in world.pharmacy.feed() if event["subject"] == f"pouch/{pouch}"]
    assert subjects == ["fieldsvc.task.planned.v1", "fieldsvc.medication.released.v1"]


def test_a_subject_with_a_task_of_another_account_cannot_be_ordered(world: World) -> None:
    item = fresh("RK")
    world.order("shop", "item", f"item/{item}")
    world.account("rival", "order:item")
    body = {"service": "item", "subject": f"item/{item}", "delivery_point": "dp-118"}
    answer = world.rival.ask("POST", "/v1/tasks", body)
    assert (answer.status, answer.code) == (409, "subject_taken")
