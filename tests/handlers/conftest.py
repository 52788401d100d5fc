"""A teller: gives events to a service one after the other, and keeps what a subscriber would hold to be true."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson
import pytest

from handlers import tasks
from handlers.base import Handler, evt_id, validated
from handlers.registry import Registry, discover
from handlers.story import Actor, Decision, Event, PublicEvent, State

MORNING = datetime(2026, 11, 21, 8, 0, tzinfo=UTC)
NAMES = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
MODELS = {each.name: each.payload for each in tasks.EVENTS}


def at(minute: float) -> datetime:
    return MORNING + timedelta(minutes=minute)


@dataclass
class Story:
    """What one service knows of one subject, and the public events that still hold."""

    handler: Handler
    subject: str
    body: Mapping[str, Any] | None = None
    live: dict[str, PublicEvent] = field(default_factory=dict)
    everything: list[PublicEvent] = field(default_factory=list)
    count: int = 0

    def event(self, kind: str, data: Mapping[str, Any], minute: float = 0, **more: Any) -> Event:
        """Make an event of this subject; its payload is validated as intake does."""
        models = MODELS | {each.name: each.payload for each in self.handler.events}
        payload = validated(models[kind], orjson.dumps(data)) if kind in models else dict(data)
        self.count += 1
        by, account = more.pop("by", "device"), more.pop("account", None)
        name = more.pop("id", None) or uuid5(NAMES, f"{self.subject} {self.count}")
        return Event(name, kind, self.subject, at(minute), payload, Actor(by, account), **more)

    def take(self, event: Event, now: datetime = MORNING) -> Decision:
        decision = self.handler.decide(State(self.body), event, now)
        self.body = orjson.loads(orjson.dumps(decision.new_state))
        for public in decision.public_events:
            assert evt_id(event.id, public.part) not in self.live, "an id is given twice"
            if public.supersedes:
                del self.live[public.supersedes]
            if public.type != "event.corrected":
                self.live[evt_id(event.id, public.part)] = public
            self.everything.append(public)
        return decision

    def add(self, kind: str, data: Mapping[str, Any], minute: float = 0, **more: Any) -> Decision:
        return self.take(self.event(kind, data, minute, **more))

    def order(self, minute: float = -60, **details: Any) -> Decision:
        """Order the work of this subject."""
        task = {
            "task_id": "tsk_1",
            "service": self.handler.name,
            "subject": self.subject,
            "on": "2026-11-21",
            **details,
        }
        return self.add("task.planned", task, minute, by="subscriber", account="acc-1")

    def said(self, kind: str) -> list[Mapping[str, Any]]:
        """Return the data of the public events of a type that still hold, in order of time."""
        held = [each for each in self.live.values() if each.type == kind]
        return [each.data for each in sorted(held, key=lambda each: each.occurred_at)]

    def contents(self) -> list[tuple[str, str, bytes]]:
        """Return what holds, without ids."""
        return sorted(
            (each.type, each.occurred_at.isoformat(), orjson.dumps(each.data, option=orjson.OPT_SORT_KEYS))
            for each in self.live.values()
        )


def replay(handler: Handler, subject: str, events: Sequence[Event]) -> Story:
    story = Story(handler, subject)
    for event in events:
        story.take(replace(event, subject=subject))
    return story


@pytest.fixture(scope="session")
def registry() -> Registry:
    return discover()


@pytest.fixture(scope="session")
def new_story(registry: Registry) -> Any:
    """Begin a story: `new_story("item", "item/RK1")`."""
    return lambda name, subject: Story(registry.handlers[name], subject)


@pytest.fixture(scope="session")
def tell_again() -> Any:
    return replay


@pytest.fixture(scope="session")
def empty_story() -> type[Story]:
    return Story
