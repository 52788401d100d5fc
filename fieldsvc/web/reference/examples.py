"""Examples of public events that cannot drift: the services tell them, from the examples that their own types carry.

Each service gets the examples of its types as one story, a minute apart and after an order; then the same story arriving in
reverse, which is where corrections and alerts come from; then each example alone, with its timers ringing when nothing else
happens. The first event of each public type is its example.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.cloudevents import Opened, View, render
from handlers import tasks
from handlers.base import Handler, validated, wire_type
from handlers.fields import OPERATIONAL, PUBLIC, SEALED_CLASSES, FieldClass, Payload, format_time, split
from handlers.registry import Registry
from handlers.story import Actor, Event, PublicEvent, Refused, SetTimer, State

RUN_ID, STOP_ID, SITE, ACCOUNT = "run-2026-11-21-T07", "st-118", "site-pantin", "acc-1"
MORNING = datetime(2026, 11, 21, 9, 42, 17, tzinfo=UTC)
EVENT_ID = "019a8f3e-7c11-7d3a-9a51-{:012x}"
PLACE: Mapping[str, Any] = {
    "stop_id": STOP_ID,
    "door_distance_m": 8.2,
    "confidence": 0.97,
    "status": "at_stop",
    "round_id": "T07",
    "run_id": RUN_ID,
    "delivery_point_id": "dp-118",
    "distance_along_m": 4210.5,
    "offset_m": None,
}
FIX = {"lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0, "fixed_at": "2026-11-21T09:42:12Z"}
OWNER = View(ACCOUNT, health=True)
RINGS = 4
Step = tuple[str, type[Payload], Mapping[str, Any], bool]  # type, payload model, data, whether a scan locates it


def field_example(name: str, subject: str, data: Mapping[str, Any]) -> dict[str, Any]:
    """Write a field event as a phone sends it."""
    return {
        "specversion": "1.0",
        "id": EVENT_ID.format(0x0C5D8C1F2E44),
        "source": "/devices/d-0042",
        "type": wire_type(name),
        "subject": subject,
        "time": format_time(MORNING),
        "runid": RUN_ID,
        "data": {"fix": FIX, **data},
    }


@dataclass(frozen=True, slots=True)
class Example:
    """A public event as it is stored, with its parts, and what was said of its subject before it."""

    row: Row
    parts: Opened
    earlier: Sequence[tuple[Row, Opened]]


def public_rows(registry: Registry) -> dict[str, Example]:
    """Return one public event for each type that a story of examples reaches."""
    found: dict[str, Example] = {}
    for stories in (_in_order, _in_reverse, _alone):
        for handler in registry.handlers.values():
            for events in stories(handler):
                before: dict[str, list[tuple[Row, Opened]]] = {}
                for row, parts in _told(handler, registry, events):
                    earlier = before.setdefault(row.subject, [])
                    found.setdefault(row.type, Example(row, parts, tuple(earlier)))
                    earlier.append((row, parts))
    return found


def public_examples(registry: Registry, view: View = OWNER) -> dict[str, dict[str, Any]]:
    """Return those events as subscribers receive them; by default as their own account does."""
    return shown_to(view, public_rows(registry))


def shown_to(view: View, rows: Mapping[str, Example]) -> dict[str, dict[str, Any]]:
    """Write examples as a view may see them."""
    return {name: orjson.loads(render(each.row, each.parts, view)) for name, each in rows.items()}


def subject_of(handler: Handler, name: str, data: Mapping[str, Any]) -> str:
    """Name the subject of an example."""
    return handler.subjects_of(name, data)[0]


def _in_order(handler: Handler) -> Iterator[Sequence[Event | None]]:
    yield [_event(handler, step, number) for number, step in enumerate(_steps(handler))]
    for story in handler.stories:
        subject = subject_of(handler, story[0][0], story[0][1])
        yield [_said(subject, number, *each) for number, each in enumerate(story)]


def _in_reverse(handler: Handler) -> Iterator[Sequence[Event | None]]:
    for story in _in_order(handler):
        yield story[::-1]


def _alone(handler: Handler) -> Iterator[Sequence[Event | None]]:
    """Yield each example alone, after the order if there are orders; None stands for waiting until a timer rings."""
    for story in _in_order(handler):
        for event in story:
            yield [*(story[:1] if handler.takes_tasks and event is not story[0] else []), event, *[None] * RINGS]


def _told(
    handler: Handler, registry: Registry, events: Sequence[Event | None]
) -> Iterator[tuple[Row, dict[str, dict[str, Any]]]]:
    """Tell a story as its events arrive, each at its own time."""
    states: dict[str, State] = {}
    heads: dict[str, int] = {}
    due: dict[tuple[str, str], SetTimer] = {}
    for number, each in enumerate(events):
        event = each or _rung(due, number)
        if event is None:
            return
        try:
            decision = handler.decide(states.get(event.subject, State()), event, MORNING + timedelta(hours=2))
        except Refused:
            continue
        states[event.subject] = State(orjson.loads(orjson.dumps(decision.new_state)))
        for timer in decision.timers:
            due.pop((event.subject, timer.kind), None)
            if isinstance(timer, SetTimer):
                due[event.subject, timer.kind] = timer
        for public in decision.public_events:
            heads[event.subject] = heads.get(event.subject, 0) + 1
            parts = split(registry.public[public.type].data, public.data)
            opened = {each.value: parts[each] for each in SEALED_CLASSES if each in parts}
            yield _row(event, public, parts, sequence=heads[event.subject]), opened


def _rung(due: dict[tuple[str, str], SetTimer], number: int) -> Event | None:
    """Ring the timer that is due first; None without any."""
    if not due:
        return None
    subject, kind = min(due, key=lambda name: (due[name].due_at, name))
    timer = due.pop((subject, kind))
    return Event(
        id=UUID(EVENT_ID.format(100 + number)),
        type=f"timer.{kind}",
        subject=subject,
        occurred_at=timer.due_at,
        data=timer.payload,
        actor=Actor("server"),
        site=SITE,
    )


def _steps(handler: Handler) -> Sequence[Step]:
    each = [(kind.name, kind.payload, kind.examples[0], kind.scanned) for kind in handler.events]
    if not handler.takes_tasks:
        return each
    subject = subject_of(handler, each[0][0], each[0][2])
    orders = [
        (kind.name, kind.payload, {**kind.examples[0], "service": handler.name, "subject": subject}, False)
        for kind in tasks.EVENTS
    ]
    return [orders[0], *each, *orders[1:]]


def _event(handler: Handler, step: Step, number: int) -> Event:
    name, payload, example, scanned = step
    data = validated(payload, orjson.dumps(dict(example)))
    ordered = name in tasks.TYPES
    subjects = handler.subjects_of(name, data)
    several = len(subjects) > 1
    return Event(
        id=UUID(EVENT_ID.format(number + 1)),
        type=name,
        subject=subjects[0],
        occurred_at=MORNING + timedelta(minutes=number),
        data=data,
        actor=Actor("subscriber", ACCOUNT) if ordered else Actor("device"),
        site=SITE,
        run=None if ordered else RUN_ID,
        located=None if ordered else {**PLACE, "method": "scan" if scanned else "stop"},
        late_s=3.0,
        main_part=1 if several else 0,
        extra_part=len(subjects) + 1 if several else 1,
    )


def _said(subject: str, number: int, name: str, data: Mapping[str, Any], by: str, minutes: float) -> Event:
    """Make an event of a story that a service tells of itself."""
    at = MORNING + timedelta(minutes=minutes)
    return Event(UUID(EVENT_ID.format(number + 1)), name, subject, at, data, Actor(by), site=SITE, extra_part=1)


def _row(event: Event, public: PublicEvent, parts: Mapping[FieldClass, Mapping[str, Any]], *, sequence: int) -> Row:
    sealed = [each.value for each in SEALED_CLASSES if each in parts]
    content: dict[str, Any] = {"public": parts.get(PUBLIC, {}), "operational": parts.get(OPERATIONAL, {})}
    content |= {"supersedes": public.supersedes} if public.supersedes else {}
    content |= {"sealed": sealed} if sealed else {}
    return Row(
        day=MORNING.date(),
        shard=0,
        pos=sequence,
        event_id=event.id,
        part=public.part,
        type=public.type,
        subject=event.subject,
        subject_seq=sequence,
        account=ACCOUNT,
        site=SITE,
        run=event.run,
        occurred_at=public.occurred_at,
        received_at=event.occurred_at + timedelta(seconds=3),
        public=orjson.dumps(content),
    )
