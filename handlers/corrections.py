"""Corrections: what was said did not happen, or happened otherwise. Nothing is deleted: the story is told without it, or anew.

`event.corrected` is said of any event, by who said that one within a day, by a supervisor later. It is a fact of every subject
that the corrected event, or what replaces it, names; the newest correction of an event holds.
"""

from bisect import insort
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BeforeValidator, create_model

from handlers.fields import PERSONAL, PUBLIC, Note, Payload, PublicData, Time, format_time, parse_time
from handlers.story import Event, EventType, Fact, PublicType, Refused, titled

NAME = "event.corrected"
BY = frozenset({"device", "subscriber", "supervisor", "operator"})
Kind = Literal["did_not_occur", "incorrect_data"]
_SAID = ("corrects", "kind", "reason")
Reason = Literal["wrong_item", "wrong_place", "wrong_person", "wrong_time", "typing_error", "said_twice", "other"]


def _event_id(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not an event id")  # noqa: TRY004 - pydantic reads ValueError
    return str(UUID(value.removeprefix("evt_")))


class Corrected(Payload):
    """What does not hold, and what holds instead: `replacement` is the whole `data` of the corrected event."""

    corrects: Annotated[str, PUBLIC, BeforeValidator(_event_id)]
    kind: Annotated[Kind, PUBLIC]
    reason: Annotated[Reason, PUBLIC] = "other"
    note: Annotated[Note | None, PERSONAL] = None
    occurred_at: Annotated[Time | None, PUBLIC] = None  # when it really happened
    replacement: Any = None


class Correction(PublicData):
    """What was published does not hold."""

    corrects: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    reason: Annotated[str, PUBLIC]


TITLE = titled("Fait corrigé", "Fact corrected")
PUBLISHED = PublicType(NAME, Correction, TITLE)
EXAMPLES: tuple[Mapping[str, Any], ...] = (
    {"corrects": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", "kind": "did_not_occur", "reason": "said_twice"},
    {
        "corrects": "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
        "kind": "incorrect_data",
        "reason": "typing_error",
        "replacement": {"item_id": "RK123456785FR", "to": "neighbour"},
    },
)
EVENT = EventType(NAME, Corrected, TITLE, EXAMPLES, by=BY)


@lru_cache(maxsize=512)
def payload_of(payload: type[Payload]) -> type[Corrected]:
    """Return the payload of a correction of events with such data: the replacement is checked, and sealed, as theirs."""
    replacing: Any = payload
    return create_model(f"Corrected{payload.__name__}", __base__=Corrected, replacement=(replacing | None, None))


def fact_of(event: Event, replacement: Mapping[str, Any] | None) -> Fact:
    """Make a correction's fact for one subject; `replacement` is what its story keeps of the new data, if that names it.

    The fact has what a reader needs to tell the replaced event even where this story never had it.
    """
    original, data = (
        event.original,
        {"reason": "other", **{name: event.data[name] for name in _SAID if name in event.data}},
    )
    if original is None:
        raise Refused("unknown_event")
    if replacement is not None:
        at = event.data.get("occurred_at")
        whole = replace(original, data=dict(replacement), at=format_time(parse_time(at)) if at else original.at)
        data["replacement"] = {name: getattr(whole, name) for name in Fact.__slots__}
    by, account = event.actor.kind, event.actor.account
    return Fact(at=format_time(event.occurred_at), id=str(event.id), type=NAME, data=data, by=by, account=account)


def newest(facts: Sequence[Fact]) -> dict[str, Fact]:
    """Return the correction that holds for each corrected event, by that event's id; `facts` are in order of time."""
    return {fact.data["corrects"]: fact for fact in facts if fact.type == NAME}


def applied(facts: Sequence[Fact]) -> list[Fact]:
    """Return the facts that hold, oldest first: without what did not occur, and with what replaces what was incorrect."""
    held = newest(facts)
    told = [fact for fact in facts if fact.type != NAME and fact.id not in held]
    for correction in held.values():
        if "replacement" in correction.data:
            insort(told, Fact(**correction.data["replacement"]))
    return told


def about(known: Sequence[Fact], new: Fact) -> Fact:
    """Return the fact that a decision is about: the new one, or the one that it corrects, the first that is `known`.

    `known` are the facts that hold now, those that held before, and all; one that was taken back is corrected again from
    there, so that of two corrections the newest holds whichever arrives first. Refused `unknown_event`: this story does not
    have what is corrected.
    """
    if new.type != NAME:
        return next((fact for fact in known if fact.id == new.id), new)
    moved = (Fact(**fact.data["replacement"]) for fact in known if fact.type == NAME and "replacement" in fact.data)
    found = next((fact for fact in (*known, *moved) if fact.id == new.data["corrects"]), None)
    if found is None:
        raise Refused("unknown_event")
    return found
