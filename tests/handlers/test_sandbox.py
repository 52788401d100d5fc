"""What is ordered in the sandbox is said by timers, as a carrier would say it."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest

from handlers import sandbox
from handlers.base import Handler, validated
from handlers.registry import discover
from handlers.story import Actor, Event, State

REGISTRY = discover()
ORDERED = [handler for handler in REGISTRY.handlers.values() if handler.takes_tasks]
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ID = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")


def order(handler: Handler, *, site: str | None = sandbox.SITE, kind: str = "task.planned", **more: Any) -> Event:
    subject = f"{handler.subject.partition('/')[0]}/SBX-1"
    task = {"task_id": "tsk_1", "service": handler.name, "subject": subject, "on": "2026-11-21", **more}
    return Event(ID, kind, subject, NOON, task, Actor("subscriber", "acc-1"), site=site)


def named(handler: Handler) -> str:
    return handler.name


@pytest.mark.parametrize("handler", ORDERED, ids=named)
def test_every_service_that_takes_tasks_plays_one_to_its_end_within_a_minute(handler: Handler) -> None:
    event = order(handler)
    plays = sandbox.plays(event, handler, now=NOON)[1:]
    told = [orjson.loads(write.args[4]) for write in plays]
    assert told
    assert all((write.args[3] - NOON).total_seconds() < 60 for write in plays)
    body = handler.decide(State(), event, NOON).new_state
    closed = []
    for number, (write, said) in enumerate(zip(plays, told, strict=True)):
        _, kind = REGISTRY.by_type[said["type"]]
        data = validated(kind.payload, orjson.dumps(said["data"]))
        assert handler.subjects_of(kind.name, data) == (event.subject,)
        played = Event(UUID(int=number), kind.name, event.subject, write.args[3], data, Actor("device"), site="sandbox")
        decision = handler.decide(State(orjson.loads(orjson.dumps(body))), played, NOON)
        body = decision.new_state
        closed += [each.args[1] for each in decision.writes if each.query == "task.close"]
    assert closed == ["done"]


def test_another_end_can_be_asked_for() -> None:
    event = order(REGISTRY.handlers["item"], details={"sandbox": "delivery_attempted"})
    plays = sandbox.plays(event, REGISTRY.handlers["item"], now=NOON)
    types = [orjson.loads(write.args[4])["type"] for write in plays[1:]]
    assert types[-1] == "item.delivery_attempted"
    assert "item.delivered" not in types


def test_a_cancelled_task_says_nothing_more_and_a_real_one_never_did() -> None:
    handler = REGISTRY.handlers["item"]
    (stopped,) = sandbox.plays(order(handler, kind="task.cancelled"), handler, now=NOON)
    assert stopped.query == "timer.stop_playing"
    assert sandbox.plays(order(handler, site="site-pantin"), handler, now=NOON) == []
    assert sandbox.plays(order(handler, site=None), handler, now=NOON) == []
