"""Planned work: a task is decided by its service's handler, on the task's own subject.

`task.planned` opens it; `task.cancelled`, `task.expired` and the service's own events that say `closes_task` end it. The same
facts and the same writes serve every service that takes tasks; what was ordered is then among the facts that the service's
story is told from.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Note, Payload, PublicData, Text, Time, parse_time
from handlers.story import EventType, Fact, PublicType, Refused, Said, Sealed, Write

BY = frozenset({"subscriber", "adviser", "supervisor", "operator", "server"})


class Window(Payload):
    """When it must be done, both ends aware."""

    from_: Annotated[Time, PUBLIC] = Field(alias="from")
    until: Annotated[Time, PUBLIC]


class Task(Payload):
    """The body of a task. One of `delivery_point` and `address` says where."""

    task_id: Annotated[Id, PUBLIC]
    service: Annotated[Id, PUBLIC]
    subject: Annotated[str, PUBLIC]
    on: Annotated[str, PUBLIC] = Field(pattern=r"^\d{4}-\d\d-\d\d$")
    delivery_point: Annotated[Id | None, OPERATIONAL] = None
    address: Annotated[Text | dict[str, Any] | None, PERSONAL] = None
    addressee: Annotated[Text | dict[str, Any] | None, PERSONAL] = None
    person: Annotated[Id | None, OPERATIONAL] = None
    window: Window | None = None
    requirements: Annotated[list[Id], PUBLIC] = Field(default_factory=list, max_length=50)
    form: Annotated[dict[str, Any] | None, OPERATIONAL] = None
    mandates: Annotated[list[Any] | None, PERSONAL] = Field(default=None, max_length=50)
    contacts: Annotated[list[Any] | None, PERSONAL] = Field(default=None, max_length=50)
    notes: Annotated[Note | None, PERSONAL] = None
    order_ref: Annotated[Text | None, PUBLIC] = None
    details: Annotated[dict[str, Any] | None, PERSONAL] = None


class Closed(Payload):
    """Why a task ends undone."""

    task_id: Annotated[Id, PUBLIC]
    service: Annotated[Id, PUBLIC]
    subject: Annotated[str, PUBLIC]
    reason: Annotated[Id, PUBLIC] = "cancelled"


class TaskFact(PublicData):
    """What subscribers learn of a task."""

    task_id: Annotated[str, PUBLIC]
    service: Annotated[str | None, PUBLIC] = None
    on: Annotated[str | None, PUBLIC] = None
    window: Annotated[dict[str, Any] | None, PUBLIC] = None
    order_ref: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None


_EXAMPLE = {
    "task_id": "tsk_019a8f3e7c117d3a9a510c5d8c1f2e44",
    "service": "item",
    "subject": "item/RK123456785FR",
    "on": "2026-11-21",
    "delivery_point": "dp-118",
    "addressee": "Mme Martin",
}
EVENTS = (
    EventType("task.planned", Task, {"fr": "Mission prévue", "en": "Task planned"}, (_EXAMPLE,), by=BY),
    EventType(
        "task.cancelled",
        Closed,
        {"fr": "Mission annulée", "en": "Task cancelled"},
        ({"task_id": "tsk_019a8f3e7c117d3a9a510c5d8c1f2e44", "service": "item", "subject": "item/RK123456785FR"},),
        by=BY,
    ),
    EventType(
        "task.expired",
        Closed,
        {"fr": "Mission expirée", "en": "Task expired"},
        (
            {
                "task_id": "tsk_019a8f3e7c117d3a9a510c5d8c1f2e44",
                "service": "item",
                "subject": "item/RK123456785FR",
                "reason": "expired",
            },
        ),
        by=frozenset({"server"}),
    ),
)
PUBLISHES = tuple(PublicType(each.name, TaskFact, each.title) for each in EVENTS)
TYPES = frozenset(each.name for each in EVENTS)
Ending = tuple[str, datetime | None]  # planned, cancelled, expired or done; and since when it is over
_OPEN: Ending = ("planned", None)
_RUN_DAY = re.compile(r"run-(\d{4}-\d\d-\d\d)-")


def planned(facts: Sequence[Fact]) -> Fact | None:
    """Return the newest task that was ordered on this subject and not closed."""
    open_tasks: dict[str, Fact] = {}
    for fact in facts:
        if fact.type == "task.planned":
            open_tasks[fact.data["task_id"]] = fact
        elif fact.type in TYPES:
            open_tasks.pop(fact.data["task_id"], None)
    return next(reversed(open_tasks.values()), None)


def order_for(facts: Sequence[Fact], done: Fact) -> Fact | None:
    """Return the newest task of this subject that was not closed before `done` happened.

    When it was entered does not count: a shift is also replayed, or written down from paper, after the fact.
    """
    closed = {fact.data["task_id"] for fact in facts if fact.type in TYPES - {"task.planned"} and fact < done}
    orders = [fact for fact in facts if fact.type == "task.planned" and fact.data["task_id"] not in closed]
    return orders[-1] if orders else None


def window_end(order: Fact | None) -> datetime | None:
    """Return the end of the order's window."""
    window = order.data.get("window") if order else None
    return parse_time(window["until"]) if window else None


def said(facts: Sequence[Fact], closing: Collection[str] = ()) -> list[Said]:
    """Say every task fact of the story; that a task expired only while it holds: a phone may tell later what was done."""
    names = TaskFact.model_fields
    ends = endings(facts, closing)
    return [
        Said(fact, fact.type, {key: value for key, value in fact.data.items() if key in names}, fact.data["task_id"])
        for fact in facts
        if fact.type in TYPES and (fact.type != "task.expired" or ends.get(fact.data["task_id"], _OPEN)[0] == "expired")
    ]


def writes(
    before: Sequence[Fact], after: Sequence[Fact], new: Fact, *, subject: str, closing: Collection[str] = ()
) -> list[Write]:
    """Write the task row that the new fact makes, and the ends of tasks that come out different with it.

    `before` and `after` are the facts without and with it; `closing` are the types of the service's events that end a task.
    """
    rows = [Write("task.plan", _row(new, subject))] if new.type == "task.planned" else []
    was = endings(before, closing)
    changed = {task_id: end for task_id, end in endings(after, closing).items() if end != was.get(task_id, _OPEN)}
    ends = [Write("task.close", (task_id, *end)) for task_id, end in changed.items()]
    knew, knows = identities(before, closing), identities(after, closing)
    seen = [each for each in sorted(knew.keys() | knows.keys()) if knew.get(each) != knows.get(each)]
    return [*rows, *ends, *(Write("sheet.set_identity", (each, *knows.get(each, (None, None)))) for each in seen)]


def identities(facts: Sequence[Fact], closing: Collection[str]) -> dict[str, tuple[datetime, str | None]]:
    """Say of which tasks the addressee showed the carrier a document: when, and on which run; the newest counts."""
    orders = {fact.data["task_id"]: fact for fact in facts if fact.type == "task.planned"}
    days = {name: order.data["on"] for name, order in orders.items()}
    deeds = [fact for fact in facts if fact.type in closing and _showed_document(fact.data)]
    return {name: (deed.occurred_at, deed.run) for deed in deeds for name in _meant(list(orders.values()), days, deed)}


def _showed_document(data: Mapping[str, Any]) -> bool:
    """Tell whether the addressee took it and was identified by a document, not because the carrier knew them."""
    proof = data.get("proof")
    identity = (proof if isinstance(proof, Mapping) else data).get("identity")
    took = (data.get("to") or data.get("handed_to")) in ("addressee", "patient")
    return took and (isinstance(identity, Mapping) or identity == "document")


def endings(facts: Sequence[Fact], closing: Collection[str]) -> dict[str, Ending]:
    """Say how each task of the subject stands, by what happened first: whatever arrived when, it comes out the same."""
    ordered: dict[str, Fact] = {}
    for fact in facts:
        if fact.type == "task.planned":
            ordered.setdefault(fact.data["task_id"], fact)
    days = {fact.data["task_id"]: fact.data["on"] for fact in facts if fact.type == "task.planned"}
    found = dict.fromkeys(ordered, _OPEN)
    for fact in facts:
        if fact.type in closing:
            left = [order for name, order in ordered.items() if found[name][0] in ("planned", "done")]
            ended, state = _meant(left, days, fact), "done"
        elif fact.type in TYPES and fact.type != "task.planned":
            ended, state = [fact.data["task_id"]], fact.type.removeprefix("task.")
        else:
            continue
        found |= {name: (state, fact.occurred_at) for name in ended if found.get(name) == _OPEN}
    return found


def _meant(orders: Sequence[Fact], days: Mapping[str, str], deed: Fact) -> list[str]:
    """Name the tasks that a deed ends: of those ordered before it the ones of its day or earlier, else all of them.

    With none ordered before, those of its day that were entered later: a shift is also written down after the fact.
    """
    day = _day(deed)
    before = [order for order in orders if order < deed]
    due = [order for order in before or orders if days[order.data["task_id"]] <= day]
    return [order.data["task_id"] for order in due or before]


def _day(deed: Fact) -> str:
    """Return the local day of the deed's run, else its date."""
    named = _RUN_DAY.match(deed.run or "")
    return named[1] if named else deed.at[:10]


def check(facts: Sequence[Fact], new: Fact) -> None:
    """Refuse a task on a subject of another account, and the end of a task that is not open."""
    if new.type == "task.planned":
        others = {fact.account for fact in facts if fact.type == "task.planned"} - {new.account}
        if others:
            raise Refused("subject_taken")
    elif new.type in TYPES:
        ids = {fact.data["task_id"] for fact in facts if fact.type == "task.planned"}
        if new.data["task_id"] not in ids:
            raise Refused("unknown_task")


def person_of(fact: Fact, *, subject: str) -> str:
    """Name the person whose key seals what belongs to this task: the orderer's own reference, else the subject."""
    reference = fact.data.get("person")
    return f"person/{fact.account or 'operator'}/{reference}" if reference else subject


def replanned(order: Fact) -> Write:
    """Write the task of an order again, as a service's decision changed it: another day, another window."""
    return Write("task.plan", _row(order, order.data["subject"]))


def _row(new: Fact, subject: str) -> tuple[Any, ...]:
    data: Mapping[str, Any] = new.data
    window = data.get("window") or {}
    names = ("address", "addressee", "person", "form", "mandates", "contacts", "notes", "details")
    sealed = {key: data[key] for key in names if key in data}
    return (
        data["task_id"],
        data["service"],
        subject,
        new.account,
        data["on"],
        data.get("delivery_point"),
        parse_time(window["from"]) if window else None,
        parse_time(window["until"]) if window else None,
        list(data.get("requirements", [])),
        data.get("order_ref"),
        Sealed(sealed),
        UUID(new.id),
    )
