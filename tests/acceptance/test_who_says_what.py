"""Who may say what: subscribers by key, persons by session, and nobody about somebody else's things."""

from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, tokens
from tests.acceptance.conftest import SITE, World
from tests.acceptance.service import BATCH, Answer, field_event, fresh


def session_of(world: World, role: str, site: str | None = None) -> dict[str, str]:
    """Sign a person in; return the headers of their browser."""
    database = world.service.platform.database

    async def signed_in() -> str:
        made = await accounts.create_person(database, world.service.url, role, email=f"{role}@demo.invalid", site=site)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        return session

    session = world.service.call(signed_in())
    return {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session), "Content-Type": BATCH}


def post_as(world: World, headers: dict[str, str], *events: Any) -> Answer:
    return world.service.ask("POST", "/v1/events", orjson.dumps(events), headers=headers)


def test_a_supervisor_enters_from_paper_what_a_carrier_saw(world: World) -> None:
    headers, item = session_of(world, "supervisor", SITE), fresh("RK")
    event = field_event("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-121"}, runid=world.run_id)
    answer = post_as(world, headers, event)
    (result,) = answer.json()["results"]
    assert (result["status"], result["located"]["stop_id"]) == ("accepted", "st-121")
    assert answer.json()["receipt"] is None
    (public,) = world.ears["operator"].about(f"item/{item}")
    assert public["source"] == f"/fieldsvc/{SITE}"
    assert "supervisor" not in str(public)


@pytest.mark.parametrize("role", ["auditor", "adviser", "address_quality"])
def test_a_role_says_only_its_own_types(world: World, role: str) -> None:
    headers = session_of(world, role)
    event = field_event("item.delivered", {"item_id": fresh("RK"), "to": "mailbox"})
    (result,) = post_as(world, headers, event).json()["results"]
    assert (result["status"], result["reason"]) == ("quarantined", "not_allowed")


def test_an_address_report_that_is_in_doubt_is_decided_by_the_person_for_it(world: World) -> None:
    point = fresh("dp")
    data = {"delivery_point_id": point, "change": "deceased", "old_address": "1 rue A", "confidence": "seen"}
    (reported,) = world.phone.send(field_event("address_change.reported", data))
    assert reported["answer"]["decision"] == "review"
    judged = field_event("address_change.confirmed", {"delivery_point_id": point, "report_id": reported["id"]})
    (by_phone,) = world.phone.send(judged)
    assert by_phone["reason"] == "not_allowed"
    (by_person,) = post_as(world, session_of(world, "address_quality"), judged).json()["results"]
    assert by_person["status"] == "accepted"
    events = world.ears["operator"].about(f"delivery_point/{point}")
    assert [event["type"] for event in events] == ["fieldsvc.address_change.confirmed.v1"]


def test_an_account_says_nothing_about_the_things_of_another(world: World) -> None:
    pouch = fresh("P")
    world.order("pharmacy", "medication", f"pouch/{pouch}")
    event = field_event("medication.released", {"pouch_id": pouch})
    for account in (world.nobody, world.dispensary):
        (result,) = account.send(event)
        assert (result["status"], result["reason"]) == ("quarantined", "subject_taken")
    assert [each["type"] for each in world.pharmacy.feed() if each["subject"] == f"pouch/{pouch}"] == [
        "fieldsvc.task.planned.v1"
    ]
    assert world.pharmacy.send(event)[0]["status"] == "accepted"


def test_what_an_account_says_of_a_thing_that_nobody_ordered_does_not_make_it_its_own(world: World) -> None:
    item = fresh("RK")
    assert world.nobody.send(field_event("item.announced", {"item_id": item}))[0]["status"] == "accepted"
    assert {each["subject"] for each in world.nobody.feed()} & {f"item/{item}"} == set()
    world.order("shop", "item", f"item/{item}")
    assert world.phone.send(field_event("item.loaded", {"item_id": item}))[0]["status"] == "accepted"
    seen = [each["type"] for each in world.shop.feed() if each["subject"] == f"item/{item}"]
    assert seen == ["fieldsvc.task.planned.v1", "fieldsvc.item.loaded.v1"]


def test_metrics_are_for_this_machine_and_for_the_operator(world: World) -> None:
    assert world.service.ask("GET", "/metrics").status == 200
    from_elsewhere = {"X-Forwarded-For": "203.0.113.9"}
    assert world.service.ask("GET", "/metrics", headers=from_elsewhere).status == 401
    assert world.operator.ask("GET", "/metrics", headers=from_elsewhere).status == 200
    assert world.shop.ask("GET", "/metrics", headers=from_elsewhere).status == 403


def test_nobody_moves_the_duty_of_a_run_of_another_site(world: World) -> None:
    foreign = world.run_id  # of site-pantin; the stranger's phone is of the town
    before = _duty(world)
    strangers = session_of(world, "supervisor", world.town.carriers[0].site)
    for runid in (foreign, None, f"run-{world.day}-{world.town.carriers[0].round_id}"):
        event = field_event("run.paused", {"run_id": foreign}, runid=runid)
        (by_phone,) = world.stranger.send(event)
        (by_person,) = post_as(world, strangers, {**event, "id": field_event("x", {})["id"]}).json()["results"]
        assert (by_phone["reason"], by_person["reason"]) == ("not_allowed", "not_allowed")
    assert _duty(world) == before


def test_an_event_that_names_a_run_of_another_site_is_taken_without_it(world: World) -> None:
    data = {"item_id": fresh("RK"), "to": "mailbox", "stop_id": "st-118"}
    (result,) = world.stranger.send(field_event("item.delivered", data, runid=world.run_id))
    assert result["status"] == "accepted"
    assert result["located"]["run_id"] != world.run_id
    (kept,) = _rows(world, "select distinct run from event where id = $1", result["id"])
    assert kept["run"] != world.run_id


def test_nobody_speaks_of_a_delivery_point_of_another_site(world: World) -> None:
    data = {
        "change": "vacant",
        "old_address": "118 rue de l'Exemple",
        "confidence": "seen",
        "delivery_point_id": "dp-118",
    }
    report = field_event("address_change.reported", data)
    (by_phone,) = world.stranger.send(report)
    judged = field_event("address_change.confirmed", {"delivery_point_id": "dp-118"})
    strangers = session_of(world, "supervisor", world.town.carriers[0].site)
    (by_person,) = post_as(world, strangers, judged).json()["results"]
    assert (by_phone["reason"], by_person["reason"]) == ("not_allowed", "not_allowed")
    own = field_event("notebook.written", {"delivery_point_id": "dp-119", "kind": "dog", "text": ""})
    assert world.stranger.send(own)[0]["reason"] == "not_allowed"
    assert world.colleague.send({**own, "id": field_event("x", {})["id"]})[0]["status"] == "accepted"


def _duty(world: World) -> list[Any]:
    return [row["body"] for row in _rows(world, "select body from state where subject = $1", f"run/{world.run_id}")]


def _rows(world: World, statement: str, *args: Any) -> list[Any]:
    async def read() -> list[Any]:
        async with world.service.platform.database.acquire() as connection:
            return list(await connection.fetch(statement, *args))

    return world.service.call(read())
