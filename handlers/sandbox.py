"""The sandbox: what a partner orders there plays out by itself within a minute, from the services' own examples.

A sandbox account is an account of the site `sandbox`. Its things bear ids of their own (`SBX-…`), its tasks are on no sheet, and
nobody else sees its events. What a carrier would say is said by durable timers, in the order in which the service declares its
types, up to the first that ends the task; `details.sandbox` of the task names another end (`delivery_attempted`).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import ClassVar, Protocol

import orjson

from handlers.story import Event, EventType, Write

SITE, PREFIX = "sandbox", "SBX-"
FIRST, LAST = timedelta(seconds=3), timedelta(seconds=45)
PLACE = {"stop_id": "st-118", "door_distance_m": 6.2, "confidence": 0.97, "method": "scan", "status": "at_stop"}


def is_own(subject: str) -> bool:
    """Tell whether a sandbox may use this subject."""
    return subject.partition("/")[2].startswith(PREFIX)


class Service(Protocol):
    """What the sandbox plays: a service's name, its types, and the subject's id as its payloads name it."""

    name: ClassVar[str]
    events: ClassVar[tuple[EventType, ...]]

    def own_id(self, subject: str) -> Mapping[str, str]:
        """Return the subject's id under the name that payloads have for it."""
        ...


def plays(event: Event, service: Service, *, now: datetime) -> list[Write]:
    """Write the timers that play a task which was ordered in the sandbox, and forget them with the task."""
    if event.site != SITE or not event.type.startswith("task."):
        return []
    forgotten = Write("timer.stop_playing", (service.name, event.subject))
    if event.type != "task.planned":
        return [forgotten]
    steps = script(service.events, outcome=(event.data.get("details") or {}).get("sandbox"))
    gap = (LAST - FIRST) / max(1, len(steps) - 1)
    own = service.own_id(event.subject)
    return [
        forgotten,
        *(
            Write(
                "timer.play", (service.name, event.subject, f"sandbox {n}", now + FIRST + n * gap, _payload(step, own))
            )
            for n, step in enumerate(steps)
        ),
    ]


def script(events: Sequence[EventType], outcome: object = None) -> list[EventType]:
    """Choose what a carrier says of one task: everything before the first end, and that end or the one asked for."""
    said = [each for each in events if "device" in each.by]
    ends = [each for each in said if each.closes_task]
    if not ends:
        return said
    chosen = next((each for each in ends if each.name.partition(".")[2] == outcome), ends[0])
    return [*said[: said.index(ends[0])], chosen]


def _payload(step: EventType, own: Mapping[str, str]) -> str:
    several = {f"{name}s" for name in own}
    data = {name: value for name, value in step.examples[0].items() if name not in several}
    return orjson.dumps(
        {"type": step.name, "data": {**data, **own}, "site": SITE, "by": "device", "located": PLACE}
    ).decode()
