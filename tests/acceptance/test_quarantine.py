"""What waits in quarantine: an operator looks, tries again, or lets it go."""

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc import admin
from fieldsvc.access import enrolment
from fieldsvc.journal.timers import command_of
from tests.acceptance.conftest import SITE, World
from tests.acceptance.service import field_event, fresh
from tests.acceptance.test_who_says_what import session_of


def told(world: World, action: str, entry: str | None = None, *, settled_too: bool = False) -> list[dict[str, Any]]:
    platform = world.service.platform
    return world.service.call(admin.quarantine(platform, action, entry, settled_too=settled_too))


def set_lost(world: World, device_id: str, *, lost: bool) -> None:
    platform = world.service.platform

    async def change() -> None:
        if lost:
            await enrolment.report_lost(platform.database, device_id, lost_at=datetime.now(UTC) - timedelta(hours=1))
        else:
            async with platform.database.acquire() as connection:
                await connection.execute("update device set lost_at = null where id = $1", device_id)
        platform.access.forget()

    world.service.call(change())


def test_what_a_lost_phone_said_is_kept_and_taken_once_it_is_found(world: World) -> None:
    phone = world.device("found-again", "Lou Essai", SITE, "T07")
    before = {entry["id"] for entry in told(world, "list")}
    set_lost(world, phone.name, lost=True)
    item = fresh("RK")
    event = field_event("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-118"}, runid=world.run_id)
    (kept,) = phone.send(event)
    assert (kept["status"], kept["reason"]) == ("quarantined", "device_lost")
    (entry,) = [each for each in told(world, "list") if each["id"] not in before]
    (shown,) = told(world, "show", entry["id"])
    assert item in shown["body"]
    assert item not in str(entry)
    (still,) = told(world, "retry", entry["id"])
    assert still["status"] == "quarantined"
    set_lost(world, phone.name, lost=False)
    (again,) = told(world, "retry", entry["id"])
    assert again["status"] == "accepted"
    (public,) = world.ears["operator"].about(f"item/{item}")
    assert public["data"]["located"]["stop_id"] == "st-118"
    (settled,) = [each for each in told(world, "list", settled_too=True) if each["id"] == entry["id"]]
    assert settled["settled_as"] == "retried"
    assert phone.send(event)[0]["status"] == "duplicate"


def test_an_entry_can_be_let_go_once(world: World) -> None:
    (kept,) = world.phone.send(field_event("no.such_type", {}))
    assert kept["reason"] == "unknown_type"
    entry = told(world, "list")[0]
    assert told(world, "discard", entry["id"]) == [{"id": entry["id"], "discarded": True}]
    assert told(world, "discard", entry["id"]) == [{"id": entry["id"], "discarded": False}]
    assert entry["id"] not in {each["id"] for each in told(world, "list")}


def test_what_a_person_could_not_say_is_kept_too(world: World) -> None:
    event = field_event("item.delivered", {"item_id": fresh("RK"), "to": "mailbox"})
    before = {entry["id"] for entry in told(world, "list")}
    world.service.ask("POST", "/v1/events", orjson.dumps([event]), headers=session_of(world, "auditor"))
    (entry,) = [each for each in told(world, "list") if each["id"] not in before]
    assert (entry["reason"], entry["device"]) == ("not_allowed", None)


def test_a_timer_that_failed_can_be_made_a_command_again(world: World) -> None:
    said = {
        "timer": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
        "handler": "item",
        "kind": "return_due",
        "subject": "item/X1",
        "due_at": "2026-11-21T09:00:00.000Z",
        "payload": {},
    }
    command = command_of(world.service.platform.commands, said)
    assert (command.type, command.subjects, str(command.timer)) == ("timer.return_due", ("item/X1",), said["timer"])
    assert str(command.id) == said["timer"]


def test_a_fault_of_ours_on_the_way_costs_that_event_a_detour_and_the_phone_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_args: Any, **_more: Any) -> None:
        raise ZeroDivisionError

    item = fresh("RK")
    event = field_event("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-118"}, runid=world.run_id)
    monkeypatch.setattr("fieldsvc.intake.location._at_stop", broken)
    bad, good = world.phone.send(
        event, field_event("object.signalled", {"object_id": "o1", "kind": "lock", "value": True})
    )
    assert (bad["status"], bad["reason"], good["status"]) == ("quarantined", "intake_failed", "accepted")
    monkeypatch.undo()
    entry = next(each for each in told(world, "list") if each["reason"] == "intake_failed")
    (again,) = told(world, "retry", entry["id"])
    assert again["status"] == "accepted"
