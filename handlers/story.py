"""The words that services and the journal share: events, facts, and what a decision says, sets, writes and sends."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any
from uuid import UUID

from handlers.fields import Located, Payload, PublicData, format_time, parse_time

PREFIX, SUFFIX = "fieldsvc.", ".v1"
COMPUTED = frozenset(
    {"proof", "proof_state", "located", "chain", "missing"}
)  # said by the server: never taken from a payload
_PLACE = tuple(Located.model_fields)
CARRIER = frozenset({"device", "supervisor"})  # the carrier's phone, or a supervisor from paper


class Refused(Exception):
    """The service does not take this event; `code` is the stable reason."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail


@dataclass(frozen=True, slots=True)
class EventType:
    """One type of field event: its payload, who may say it, and examples that are its first tests."""

    name: str
    payload: type[Payload]
    title: Mapping[str, str]
    examples: tuple[Mapping[str, Any], ...]
    by: frozenset[str] = CARRIER
    keeps_fix: bool = False  # a proof, an alarm or a reported place
    place_field: str | None = None  # payload field with an address to be geocoded and placed on a round
    scanned: bool = False  # the subject was read from the thing itself, so the thing's planned stop locates it
    own_id: str | None = None  # payload field that gets the event's own id where the phone leaves it out
    names_carrier: bool = False  # `carrier` is whose phone it came from, whatever the phone says
    closes_task: bool = False  # what was ordered on the subject for that day is over: done, or tried and given up
    done_at: Callable[[Mapping[str, Any]], str | None] | None = None  # from public fields: `box`, `door`, None
    names_pictures: bool = (
        True  # fields called photo, signature, evidence hold hashes of what the phone puts at /v1/media
    )
    pictures_for_owner: Callable[[Mapping[str, Any]], bool] | None = None  # may who ordered it see them? None: yes
    expected: bool = False  # the things scanned are compared with those that the run expects
    about_event: str | None = (
        None  # payload field with a public event's id: `about` and its site and account are filled in
    )


@dataclass(frozen=True, slots=True)
class PublicType:
    """One type of public event and the classes of its fields."""

    name: str
    data: type[PublicData]
    title: Mapping[str, str]
    alert: str | None = (
        None  # attention, urgent: somebody at the office has to look; `level` in the data says otherwise
    )
    settled_by: tuple[str, ...] = ()  # types that end the alert; `key:type` only the one that was said with that key


def titled(fr: str, en: str) -> Mapping[str, str]:
    """Return a title in the two languages of the product."""
    return MappingProxyType({"fr": fr, "en": en})


def public(
    data: type[PublicData], *events: EventType, alert: str | None = None, settled_by: tuple[str, ...] = ()
) -> tuple[PublicType, ...]:
    """Publish field events under their own names and titles, with this model; all of them raise alerts, or none."""
    return tuple(PublicType(each.name, data, each.title, alert, settled_by) for each in events)


@dataclass(frozen=True, slots=True)
class Actor:
    """Who says it. `kind`: device, subscriber, supervisor, adviser, partner, customer, operator, server."""

    kind: str
    account: str | None = None
    entered_by: str | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """One field event or command, validated and located, for one of its subjects."""

    id: UUID
    type: str
    subject: str
    occurred_at: datetime
    data: Mapping[str, Any]
    actor: Actor
    site: str | None = None
    run: str | None = None
    located: Mapping[str, Any] | None = None
    placement: Mapping[str, Any] | None = None
    late_s: float | None = None  # from occurred_at to received_at
    clock_suspect: bool = False
    original: "Fact | None" = None  # of a correction: the event that it corrects, without its data
    main_part: int = 0  # part of its own public event's id (0 = no suffix)
    extra_part: int = 1  # first free part for further ones


@dataclass(frozen=True, slots=True, order=True)
class Fact:
    """What a subject's story keeps of an event; `at` is RFC 3339 UTC, so that text order is time order."""

    at: str
    id: str
    type: str = field(compare=False)
    data: Mapping[str, Any] = field(compare=False)
    by: str = field(compare=False, default="device")
    account: str | None = field(compare=False, default=None)
    run: str | None = field(compare=False, default=None)
    located: Mapping[str, Any] | None = field(compare=False, default=None)
    placement: Mapping[str, Any] | None = field(compare=False, default=None)
    late_s: float | None = field(compare=False, default=None)
    clock_suspect: bool = field(compare=False, default=False)

    @property
    def occurred_at(self) -> datetime:
        """The moment as an aware datetime."""
        return parse_time(self.at)


def located(fact: Fact) -> dict[str, Any]:
    """Return the fact's place as the `located` of public data; nothing where the place is not known."""
    known = {key: fact.located[key] for key in _PLACE if key in fact.located} if fact.located else {}
    return {"located": known} if known else {}


def shown(model: type[PublicData], fact: Fact) -> dict[str, Any]:
    """Return what a public model knows of the fact's payload, and the fact's place where the model has one."""
    names, has_place = _shown_names(model)
    data = {name: fact.data[name] for name in names if name in fact.data}
    return data | located(fact) if has_place else data


@lru_cache(maxsize=512)
def _shown_names(model: type[PublicData]) -> tuple[tuple[str, ...], bool]:
    """Return the fields that may come from a payload, and whether the model has a place."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return tuple(name for name in names if name not in COMPUTED), "located" in names


@dataclass(frozen=True, slots=True)
class Said:
    """Something public that follows from one fact. `key` tells two of one type from one fact apart."""

    fact: Fact
    type: str
    data: Mapping[str, Any]
    key: str = ""


@dataclass(frozen=True, slots=True)
class SetTimer:
    """At `due_at`, the event `timer.<kind>` comes to this subject; the same kind again replaces it."""

    kind: str
    due_at: datetime
    payload: Mapping[str, Any] = field(default_factory=dict)


UNSAID = frozenset({"at_risk", "handover_open", "late_start", "not_served", "too_long"})
"""Kinds of timers that ring because a phone has not said something by then: after an outage phones are heard first."""


@dataclass(frozen=True, slots=True)
class DropTimer:
    """Forget the timer of this kind."""

    kind: str


def timer(facts: Sequence[Fact], kind: str, due_at: datetime | None) -> list[SetTimer | DropTimer]:
    """Set the subject's timer of this kind, or drop it if nothing is due; nothing if it has fired for that moment."""
    if due_at is None:
        return [DropTimer(kind)]
    fired = any(fact.type == f"timer.{kind}" and fact.at >= format_time(due_at) for fact in facts)
    return [] if fired else [SetTimer(kind, due_at)]


@dataclass(frozen=True, slots=True)
class Sealed:
    """An argument of a write that is encrypted with the key of the subject's person before it is stored."""

    value: Any


@dataclass(frozen=True, slots=True)
class DigestOf:
    """An argument of a write that is stored as a keyed digest, so that a person is known again and not named."""

    person: str


@dataclass(frozen=True, slots=True)
class Write:
    """Run a named query of `sql/` in the same commit."""

    query: str
    args: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Command:
    """An event for another subject; it becomes a command of a later batch."""

    type: str
    subject: str
    data: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Tale:
    """What a service makes of the facts; `now_is` is the outcome that readers use (duty, custody, state)."""

    said: Sequence[Said] = ()
    now_is: Mapping[str, Any] = field(default_factory=dict)
    timers: Sequence[SetTimer | DropTimer] = ()
    writes: Sequence[Write] = ()
    commands: Sequence[Command] = ()
    warnings: Sequence[str] = ()
    answer: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class State:
    """What is known of a subject before the event; `body` is what the last decision left."""

    body: Mapping[str, Any] | None = None
    account: str | None = None
    person: str | None = None


@dataclass(frozen=True, slots=True)
class PublicEvent:
    """A public event to insert: `part` completes the field event's id."""

    part: int
    type: str
    occurred_at: datetime
    data: Mapping[str, Any]
    supersedes: str | None = None
    run: str | None = None  # of its fact; none: that of the event which is decided


@dataclass(frozen=True, slots=True)
class Decision:
    """Everything that one event changes, for one subject."""

    new_state: Mapping[str, Any]
    public_events: Sequence[PublicEvent] = ()
    timers: Sequence[SetTimer | DropTimer] = ()
    writes: Sequence[Write] = ()
    commands: Sequence[Command] = ()
    warnings: Sequence[str] = ()
    answer: Mapping[str, Any] | None = None
    account: str | None = None
    person: str | None = None
