"""A partner's sandbox: orders play out by themselves, and nobody else is touched by them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from fieldsvc.access import accounts
from fieldsvc.journal.timers import Timers
from tests.acceptance.conftest import World
from tests.acceptance.service import Caller, field_event, fresh


@pytest.fixture(scope="module")
def partner(world: World) -> Caller:
    scopes = ["order:item", "order:medication", "health"]
    made = world.service.call(
        accounts.create_subscriber(world.service.platform.database, "Partner", scopes=scopes, is_sandbox=True)
    )
    return Caller(world.service, made["account_id"], made["api_key"])


def order(partner: Caller, **more: Any) -> Any:
    body = {"service": "item", "address": "12 rue du Moulin, 93500 Pantin", **more}
    return partner.ask("POST", "/v1/tasks", body)


def played(world: World, partner: Caller, subject: str) -> list[str]:
    """Let a minute pass at once, and return what the partner's feed says of a subject."""
    timers = Timers(world.service.platform.database, world.service.platform.commands)
    for minute in (1, 2):
        world.service.call(timers.fire(datetime.now(UTC) + timedelta(minutes=minute)))
    return [each["type"].split(".", 1)[1] for each in partner.feed() if each["subject"] == subject]


def test_an_order_of_a_sandbox_is_announced_loaded_and_delivered_and_only_its_partner_sees_it(
    world: World, partner: Caller
) -> None:
    made = order(partner)
    assert made.status == 201, made.body
    task = made.json()
    assert task["subject"].startswith("item/SBX-")
    assert task["placed"] is False
    assert played(world, partner, task["subject"]) == [
        "task.planned.v1", "item.announced.v1", "item.loaded.v1", "item.out_for_delivery.v1", "item.delivered.v1"
    ]  # fmt: skip
    assert partner.ask("GET", f"/v1/tasks/{task['task_id']}").json()["state"] == "done"
    assert not [each for each in world.operator.feed() if each["subject"] == task["subject"]]
    assert partner.feed()[-1]["data"]["located"]["method"] == "scan"


def test_a_sandbox_takes_no_real_thing_and_says_nothing_of_one(world: World, partner: Caller) -> None:
    refused = order(partner, subject=f"item/{fresh('RK')}")
    assert (refused.status, refused.code) == (422, "sandbox_subject")
    (result,) = partner.send(field_event("item.announced", {"item_id": fresh("RK")}))
    assert (result["status"], result["reason"]) == ("quarantined", "not_allowed")
    assert order(partner, address=None).status == 422


def test_a_cancelled_order_of_a_sandbox_stops_playing(world: World, partner: Caller) -> None:
    task = order(partner, subject=f"item/SBX-{fresh()}").json()
    assert partner.ask("DELETE", f"/v1/tasks/{task['task_id']}").status == 204
    assert played(world, partner, task["subject"]) == ["task.planned.v1", "task.cancelled.v1"]
