"""Delivery changes: asked by the customer, at the door or at the counter; in time, seen by the carrier, and done, or not.

The states and what leads to them are one table in `change_states.py`, the rules of products in `products.py`. This file says who may
say what, what is published of it, what stands on the sheet, and who is told. A redirection of all of somebody's mail needs a
person who was seen, the old address's agreement (the code of a letter, or a yes at the door), and five working days in which
anybody there can stop it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from handlers import change_states, changes
from handlers.base import Handler
from handlers.change_notices import answered, notices
from handlers.change_states import NAME, Change
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    SECRET,
    Day,
    Id,
    Note,
    Payload,
    PublicData,
    Text,
    Time,
    format_time,
)
from handlers.story import (
    EventType,
    Fact,
    PublicType,
    Said,
    Sealed,
    Tale,
    Write,
    timer,
    titled,
)

KindName = Literal[
    "other_date", "redirect_temporary", "redirect_permanent", "hold", "neighbour", "safe_place", "pickup_point",
    "second_presentation", "proxy",
]  # fmt: skip
AskedBy = Literal["customer", "adviser", "counter", "carrier", "supervisor"]
Identity = Literal["none", "door", "account", "substantial", "counter"]


class Contact(BaseModel):
    """A way to reach one person."""

    model_config = ConfigDict(extra="allow", frozen=True)
    email: Annotated[Text | None, PERSONAL] = None
    mobile: Annotated[Text | None, PERSONAL] = None
    voice: Annotated[Text | None, PERSONAL] = None  # a number that is called
    lang: Annotated[Literal["fr", "en"], PERSONAL] = "fr"


class Details(BaseModel):
    """What a kind of change needs beside its dates."""

    model_config = ConfigDict(extra="allow", frozen=True)
    neighbour: Annotated[Text | None, PERSONAL] = None
    place: Annotated[Note | None, PERSONAL] = None
    pickup_point: Annotated[Id | None, PERSONAL] = None
    proxy: Annotated[Text | None, PERSONAL] = None
    new_address: Annotated[Text | None, PERSONAL] = None
    names: Annotated[list[Text] | None, PERSONAL] = Field(default=None, min_length=1, max_length=20)
    contact: Contact | None = None


class About(Payload):
    """Which request, on which item or delivery point."""

    request_id: Annotated[Id | None, PUBLIC] = None  # of `requested`: the event's own id, unless it is given
    item_id: Annotated[Id | None, PUBLIC] = None
    delivery_point_id: Annotated[Id | None, PUBLIC] = None

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if (self.item_id is None) == (self.delivery_point_id is None):
            raise ValueError("item_id or delivery_point_id is needed")
        return self


class Requested(About):
    """What is asked. What stands under `details` is for the carrier and the office; the rest is what the office knew then."""

    kind: Annotated[KindName, PUBLIC]
    from_: Annotated[Day | None, PUBLIC] = Field(default=None, alias="from")
    to: Annotated[Day | None, PUBLIC] = None
    asked_by: Annotated[AskedBy, PUBLIC] = "carrier"
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server
    details: Annotated[Details | None, PERSONAL] = None
    identity: Annotated[Identity, OPERATIONAL] = "none"
    product: Annotated[Literal["registered", "signed", "ordinary", "pouch"], OPERATIONAL] = "ordinary"
    starts_at: Annotated[Time | None, OPERATIONAL] = None
    ends_at: Annotated[Time | None, OPERATIONAL] = None
    loaded_at: Annotated[Time | None, OPERATIONAL] = None
    ended: Annotated[str | None, OPERATIONAL] = Field(default=None, max_length=80)
    stops_away: Annotated[int | None, OPERATIONAL] = None
    cutoff_stops: Annotated[int, OPERATIONAL] = 5
    on_sheet: Annotated[bool, OPERATIONAL] = False
    risk: Annotated[Literal["low", "high"], OPERATIONAL] = "low"
    risk_reasons: Annotated[list[Id] | None, OPERATIONAL] = None
    target_hmac: Annotated[Id | None, OPERATIONAL] = None
    customer: Annotated[Id | None, OPERATIONAL] = None  # the account of a customer who was signed in
    stop_url: Annotated[Text | None, SECRET] = None
    own_url: Annotated[Text | None, SECRET] = None  # where who asked sees it and cancels it
    notify: Annotated[list[Contact] | None, PERSONAL] = None


class Edited(About):
    """What is asked instead, of the same kind; how sure the office is of who asks, and what it knew then."""

    from_: Annotated[Day | None, PUBLIC] = Field(default=None, alias="from")
    to: Annotated[Day | None, PUBLIC] = None
    details: Annotated[Details | None, PERSONAL] = None
    identity: Annotated[Identity, OPERATIONAL] = "none"
    ends_at: Annotated[Time | None, OPERATIONAL] = None
    stops_away: Annotated[int | None, OPERATIONAL] = None
    on_sheet: Annotated[bool, OPERATIONAL] = False


class Verified(About):
    """A proof that is offered: the code of the letter (its keyed digest), or an identity that somebody of the counter saw."""

    code_hmac: Annotated[Id | None, SECRET] = None
    identity: Annotated[Identity | None, OPERATIONAL] = None
    stops_away: Annotated[int | None, OPERATIONAL] = None


class CodeSent(About):
    """A code is on its way to the old address; only its keyed digest is known here."""

    code_hmac: Annotated[Id, SECRET]


class DoorChecked(About):
    """What was heard at the door of the old address, where the new one is never shown."""

    answer: Annotated[Literal["confirms", "no", "nobody", "unknown_name"], OPERATIONAL]
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server


class Ended(About):
    """It is to end; `reason` is one of a closed list."""

    reason: Annotated[Literal["asked", "not_me", "fraud", "mistake"], PUBLIC] = "asked"


class Message(About):
    """What who asked writes to the office, or the office to them. It changes no request."""

    by: Annotated[Literal["customer", "office"], PUBLIC]
    text: Annotated[Note, Field(min_length=1), PERSONAL]


class ChangeFact(PublicData):
    """What is said of a request. A new address, a neighbour and a person asked for are in none of it."""

    request_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    item_id: Annotated[str | None, PUBLIC] = None
    delivery_point_id: Annotated[str | None, PUBLIC] = None
    from_: Annotated[str | None, PUBLIC] = Field(default=None, alias="from")
    to: Annotated[str | None, PUBLIC] = None
    asked_by: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None
    instead: Annotated[str | None, PUBLIC] = None
    conflicts_with: Annotated[str | None, PUBLIC] = None
    answer: Annotated[str | None, OPERATIONAL] = None
    by: Annotated[str | None, PUBLIC] = None


REQUEST, ITEM = "DC-7K2M9QXT4H", "RK123456785FR"
_ON_POINT = {"request_id": REQUEST, "delivery_point_id": "dp-118"}


def _event(
    name: str, payload: type[About], fr: str, en: str, by: str, *examples: Mapping[str, Any], **more: Any
) -> EventType:
    return EventType(f"{NAME}.{name}", payload, titled(fr, en), examples, frozenset(by.split()), **more)


ASKED = _event(
    *("requested", Requested, "Changement de distribution demandé", "Delivery change asked for", "customer device"),
    {"request_id": REQUEST, "item_id": ITEM, "kind": "second_presentation", "from": "2026-11-24", "asked_by": "carrier"},
    {**_ON_POINT, "kind": "hold", "from": "2026-12-01", "to": "2026-12-15", "asked_by": "counter", "identity": "counter"},
    own_id="request_id", names_carrier=True,
)  # fmt: skip
EDITED = _event(
    *("edited", Edited, "Demande modifiée", "Request edited", "customer"),
    {"request_id": REQUEST, "item_id": ITEM, "from": "2026-11-25"},
    {"request_id": REQUEST, "item_id": ITEM, "details": {"neighbour": "M. Petit, 1er"}, "stops_away": 12, "on_sheet": True},
)  # fmt: skip
PROVED = _event(
    *("verified", Verified, "Demande vérifiée", "Request verified", "customer"),
    {**_ON_POINT, "code_hmac": "4f1a"}, {**_ON_POINT, "identity": "counter"},
)  # fmt: skip
CODE_SENT = _event(
    *("code_sent", CodeSent, "Code envoyé à l'ancienne adresse", "Code sent to the old address", "server"),
    {**_ON_POINT, "code_hmac": "4f1a"},
)  # fmt: skip
DOOR_CHECKED = _event(
    *("door_checked", DoorChecked, "Demande vérifiée à la porte", "Asked at the door", "device supervisor"),
    {**_ON_POINT, "answer": "confirms"}, {**_ON_POINT, "answer": "no"}, names_carrier=True,
)  # fmt: skip
CANCELLED = _event(
    "cancelled", Ended, "Demande annulée", "Request cancelled", "customer", {"request_id": REQUEST, "item_id": ITEM}
)
FROZEN = _event("frozen", Ended, "Demande bloquée", "Request frozen", "customer", {**_ON_POINT, "reason": "not_me"})
REVERSED = _event(
    "reversed", Ended, "Réexpédition annulée", "Redirection reversed", "customer", {**_ON_POINT, "reason": "fraud"}
)
WRITTEN = _event(
    *("message_written", Message, "Message écrit", "Message written", "customer"),
    {**_ON_POINT, "by": "customer", "text": "Le nom sur la boîte a changé."},
    {**_ON_POINT, "by": "office", "text": "Merci, nous l'avons noté."},
)
EVENTS = (ASKED, EDITED, PROVED, CODE_SENT, DOOR_CHECKED, CANCELLED, FROZEN, REVERSED, WRITTEN)
SAID_ALONE = {
    "accepted": titled("Demande acceptée", "Request accepted"),
    "on_sheet": titled("Demande transmise, pas encore vue", "Request sent, not seen yet"),
    "seen_by_carrier": titled("Demande vue par le facteur", "Request seen by the carrier"),
    "applied": titled("Demande appliquée", "Request applied"),
    "too_late": titled("Demande arrivée trop tard", "Request too late"),
    "refused": titled("Demande refusée", "Request refused"),
    "expired": titled("Demande expirée", "Request expired"),
}
STATE_WORDS = {each.name.partition(".")[2]: each.title for each in EVENTS} | SAID_ALONE


_NEIGHBOUR: dict[str, Any] = {
    "request_id": REQUEST,
    "item_id": ITEM,
    "kind": "neighbour",
    "asked_by": "customer",
    "on_sheet": True,
}
_MOVE: dict[str, Any] = {**_ON_POINT, "kind": "redirect_permanent", "asked_by": "counter", "identity": "counter"}
_DAY = 24 * 60.0
_Lines = list[tuple[str, Mapping[str, Any], str, float]]
_MOVED: _Lines = [
    (ASKED.name, _MOVE, "counter", 0.0), (CODE_SENT.name, {**_ON_POINT, "code_hmac": "4f1a"}, "server", _DAY),
    (PROVED.name, {**_ON_POINT, "code_hmac": "4f1a"}, "customer", 3 * _DAY), ("timer.wake", {}, "server", 12 * _DAY),
    (DOOR_CHECKED.name, {**_ON_POINT, "answer": "no"}, "device", 13 * _DAY),
    (REVERSED.name, {**_ON_POINT, "reason": "fraud"}, "supervisor", 14 * _DAY),
]  # fmt: skip
_UNSEEN: _Lines = [
    (ASKED.name, _NEIGHBOUR, "customer", 0.0), ("timer.ended", {"what": "delivered", "where": "mailbox"}, "server", 9.0),
]  # fmt: skip
_REGISTERED: _Lines = [(ASKED.name, {**_NEIGHBOUR, "product": "registered"}, "customer", 0.0)]
_EDITED: _Lines = [
    (ASKED.name, _NEIGHBOUR, "customer", 0.0),
    (EDITED.name, EDITED.examples[1], "customer", 5.0),
]
_CANCELLED: _Lines = [
    (ASKED.name, _NEIGHBOUR, "customer", 0.0),
    (WRITTEN.name, {"request_id": REQUEST, "item_id": ITEM, "by": "customer", "text": "2e étage"}, "customer", 5.0),
    (CANCELLED.name, {"request_id": REQUEST, "item_id": ITEM, "reason": "asked"}, "customer", 9.0),
]


class DeliveryChanges(Handler):
    name = NAME
    title = titled("Changements de distribution", "Delivery changes")
    subject = "item/{item_id}"  # or delivery_point/{delivery_point_id}
    events = EVENTS
    correctable = False  # what was said of a request is undone by a new word
    stories = (_MOVED, _UNSEEN, _REGISTERED, _EDITED, _CANCELLED)
    publishes = (
        *(
            PublicType(
                each.name,
                ChangeFact,
                each.title,
                *(("urgent", (REVERSED.name, CANCELLED.name)) if each is FROZEN else ()),
            )
            for each in EVENTS
        ),
        *(PublicType(f"{NAME}.{name}", ChangeFact, title) for name, title in SAID_ALONE.items()),
    )

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the item, or the delivery point."""
        del event_type
        kind = "item" if data.get("item_id") else "delivery_point"
        return (f"{kind}/{data[f'{kind}_id']}",)

    def own_id(self, subject: str) -> dict[str, str]:
        """Return the item's or the delivery point's id."""
        kind, _, name = subject.partition("/")
        return {f"{kind}_id": name}

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Tell every request of the subject; write those that the new fact changes, and tell who is to know."""
        del now
        after = changes.read(facts)
        before = {each.id: each for each in changes.read([fact for fact in facts if fact.id != new.id])}
        changed = [each for each in after if _outline(each) != _outline(before.get(each.id))]
        writes = [write for each in changed for write in _rows(each, before.get(each.id))]
        writes += [told for each in changed for told in notices(each, before.get(each.id), new, STATE_WORDS)]
        writes += _messages(after, facts, new)
        open_now = {each.id: each.state for each in after if each.holds_at(changes.moment_of(facts[-1]))}
        return Tale(
            [said for each in after for said in _said(each)] + [said for fact in facts for said in _heard(after, fact)],
            {"requests": open_now},
            timers=timer(facts, "wake", changes.next_due(after)),
            writes=writes,
            answer=_answer(after, new),
        )


def _outline(change: Change | None) -> tuple[Any, ...] | None:
    """Return what of a request others can see."""
    if change is None:
        return None
    steps = [(step.state, step.fact.at, step.reason, step.instead) for step in change.steps]
    return (steps, change.step, change.reminded, change.tries, change.identity, change.high_risk, change.edits)


def _said(change: Change) -> Iterator[Said]:
    names = ("kind", "item_id", "delivery_point_id", "from", "to", "asked_by")
    for step in change.steps:
        about = {"request_id": change.id, **{name: step.wish[name] for name in names if step.wish.get(name)}}
        more = {"reason": step.reason, "instead": step.instead, "conflicts_with": step.other}
        data = about | {name: value for name, value in more.items() if value}
        yield Said(step.fact, f"{NAME}.{step.name}", data, change.id)


def _heard(after: Sequence[Change], fact: Fact) -> Iterator[Said]:
    """Say that a code was sent, what was heard at the door and who wrote, of requests that are known."""
    change = next((each for each in after if each.id == fact.data.get("request_id")), None)
    if change is None or fact.type not in (CODE_SENT.name, DOOR_CHECKED.name, WRITTEN.name):
        return
    about = {
        "request_id": change.id,
        "kind": change.kind,
        change.subject.partition("/")[0] + "_id": change.subject.partition("/")[2],
    }
    at = replace(fact, at=format_time(changes.moment_of(fact)), late_s=None)
    more = {name: fact.data[name] for name in ("answer", "by") if name in fact.data}
    yield Said(at, fact.type, about | more, change.id)


def _answer(after: Sequence[Change], new: Fact) -> dict[str, Any] | None:
    change = next((each for each in after if each.id == new.data.get("request_id")), None)
    if change is None:
        return None
    step = change.steps[-1]
    named = {"reason": step.reason, "instead": step.instead, "conflicts_with": step.other}
    answer: dict[str, Any] = {"request_id": change.id, "state": change.state, "step": change.step, **named}
    if new.type == EDITED.name:
        answer |= {"declined": change.declined.get(new.id)}
    if new.type == PROVED.name and "code_hmac" in new.data:
        answer |= {"code_ok": change.code_ok, "tries_left": max(0, change_states.CODE_TRIES - change.tries)}
    return answer


def on_sheet(change: Change) -> bool:
    """Tell whether the carrier has something to do or to ask about it."""
    asks = change.known.redirects and change.step == "code_sent"
    return (
        asks
        or change.state in ("accepted", "on_sheet", "seen_by_carrier")
        or (change.state == "applied" and change.lasts)
    )


def _messages(after: Sequence[Change], facts: Sequence[Fact], new: Fact) -> Iterator[Write]:
    """Note since when who asked waits for an answer; of an answer, tell them that it is there."""
    change = next((each for each in after if each.id == new.data.get("request_id")), None)
    if change is None or new.type != WRITTEN.name:
        return
    waiting = changes.unanswered(facts, change.id)
    yield Write("request.message_waits", (change.id, changes.moment_of(waiting[0]) if waiting else None))
    if new.data["by"] == "office":
        yield from answered(change, new)


def _rows(change: Change, before: Change | None) -> Iterator[Write]:
    """Write a request as screens and sheets need it; new versions of the sheets if the carrier's part of it changed."""
    asked, step, shows = change.asked.data, change.steps[-1], on_sheet(change)
    then = (on_sheet(before), before.step, before.edits) if before else (False, change.step, change.edits)
    anew = (shows, change.step, change.edits) != then
    is_open = change.state in change_states.OPEN or shows or change.state == "frozen"
    steps = [[each.name, each.fact.at, each.reason, each.instead, each.other] for each in change.steps]
    yield Write(
        "request.save",
        (
            *(change.id, change.subject, change.kind, change.state, change.step, step.reason, step.instead, step.other),
            *(asked.get("asked_by"), change.identity, change.high_risk, list(asked.get("risk_reasons") or ())),
            *(changes.moment_of(change.asked), step.fact.occurred_at, asked.get("from"), asked.get("to")),
            *(
                change.moment("starts_at"),
                change.moment("ends_at"),
                change.came_to("applied") if change.lasts else None,
            ),
            *(change.last_came_to("accepted", "on_sheet"), change.cooled_at, asked.get("target_hmac")),
            *(None if is_open else step.fact.occurred_at, shows, anew and not change.lasts),
            *(
                ["|".join(each or "" for each in line) for line in steps],
                Sealed({"details": asked.get("details") or {}}),
                asked.get("customer") if change.asked.by != "device" else None,
            ),
        ),
    )
    if anew and change.lasts:
        yield Write("sheet.touch_point", (change.subject.partition("/")[2],))


HANDLER = DeliveryChanges()
