"""Items: announced, taken out, handed over or left, held at the office, collected or returned.

One event may name N items: each is decided on its own. Items that the order wants signed are followed hand by hand. An item
that waits at the office has 15 days from its presentation; then it is returned by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from handlers import custody, item_ends, item_ids, tasks
from handlers import notice_code as notice_codes
from handlers.base import Handler
from handlers.custody import Chain, Handover
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    SECRET,
    Day,
    Id,
    Located,
    Payload,
    PublicData,
    Text,
    Time,
    parse_time,
)
from handlers.item_codes import REASONS
from handlers.media import ProofState
from handlers.proof import Evidence, ProofScore, lacking, weigh
from handlers.story import (
    CARRIER,
    DropTimer,
    EventType,
    Fact,
    Said,
    SetTimer,
    Tale,
    Write,
    public,
    shown,
    timer,
    titled,
)

KEPT_FOR = timedelta(days=15)
BACK_BY, SENT_BACK_WITHIN = "back_by", timedelta(days=30)
OFFICE = CARRIER | {"operator", "partner", "counter", "server"}
ENDS = ("delivered", "delivery_attempted", "collected", "returned_to_sender")  # a further try is a further task
HANDOVERS = (
    Handover("office", "carrier", "item.loaded"),
    Handover("carrier", "addressee", "item.delivered"),
    Handover("carrier", "office", "item.held"),
    Handover("office", "office", "item.held"),
    Handover("office", "addressee", "item.collected"),
    Handover("office", "sender", "item.returned_to_sender"),
    Handover("carrier", "sender", "item.returned_to_sender"),
)
# a neighbour's, the caretaker's and a safe place are elsewhere
DONE_AT = {"mailbox": "box", **dict.fromkeys(("addressee", "mandate_holder", "household"), "door")}
OWN_HANDS = ("addressee", "mandate_holder")  # who may take registered mail
SIGNING = (*OWN_HANDS, "household")
OTHERS = ("neighbour", "caretaker")  # whose name and signature are not the sender's
LONGEST_WAIT = timedelta(hours=6)


class Items(Payload):
    item_id: Annotated[Id | None, PUBLIC] = None
    item_ids: Annotated[list[Id] | None, PUBLIC] = Field(default=None, min_length=1, max_length=500)

    @model_validator(mode="after")
    def _names_one(self) -> Self:
        if self.item_id is None and self.item_ids is None:
            raise ValueError("item_id or item_ids is needed")
        return self


class Delivered(Items):
    to: Annotated[
        Literal["addressee", "mandate_holder", "household", "neighbour", "caretaker", "mailbox", "safe_place"], PUBLIC
    ]
    proof: Annotated[Evidence | None, PERSONAL] = None


class Attempted(Items):
    reason: Annotated[
        Literal["absent", "refused", "address_incomplete", "unknown_at_address", "no_access", "dog", "too_big", "closed",
                "deceased", "damaged", "weather", "unsafe"], OPERATIONAL
    ]  # fmt: skip
    next: Annotated[Literal["represent", "office_hold", "pickup_point", "return"], PUBLIC]
    on: Annotated[Day | None, PUBLIC] = None
    notice_code: Annotated[str | None, SECRET, Field(pattern=notice_codes.PATTERN)] = None


class Held(Items):
    office: Annotated[Text, PUBLIC]
    shelf: Annotated[Id | None, OPERATIONAL] = None
    until: Annotated[Time | Day | None, PUBLIC] = None


class Collected(Items):
    proof: Annotated[Evidence | None, PERSONAL] = None
    arrived_at: Annotated[Time | None, OPERATIONAL] = None  # when the customer's notice was scanned at the counter


class Returned(Items):
    reason: Annotated[Literal["not_collected", "refused", "address", "damaged", "sender_asked", "other"], PUBLIC]


class ItemFact(PublicData):
    item_id: Annotated[str, PUBLIC]
    to: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None
    detail: Annotated[str | None, OPERATIONAL] = None
    next: Annotated[str | None, PUBLIC] = None
    on: Annotated[str | None, PUBLIC] = None
    office: Annotated[str | None, PUBLIC] = None
    shelf: Annotated[str | None, OPERATIONAL] = None
    until: Annotated[str | None, PUBLIC] = None
    chain: Annotated[custody.ChainWord | None, PUBLIC] = None
    missing: Annotated[list[str] | None, PUBLIC] = None
    proof: ProofScore | None = None
    proof_state: Annotated[ProofState | None, PUBLIC] = None
    waited_s: Annotated[int | None, OPERATIONAL] = None
    located: Located | None = None


def _event(
    name: str, payload: type[Items], fr: str, *, by: frozenset[str] = OFFICE, door: bool = False, **example: Any
) -> EventType:
    en, ends = f"Item {name.replace('_', ' ')}", name in ENDS
    example = example if "item_ids" in example else {"item_id": "RK123456785FR", **example}
    handed_over, on_round = name == "delivered", door or name in ("loaded", "out_for_delivery")
    return EventType(
        *(f"item.{name}", payload, titled(fr, en), (example,), by),
        keeps_fix=handed_over, scanned=door, closes_task=ends, done_at=_done_at if handed_over else None,
        pictures_for_owner=_is_senders if handed_over else None, expected=on_round,
    )  # fmt: skip


def _is_senders(data: Mapping[str, Any]) -> bool:
    return data.get("to") not in OTHERS


def _done_at(said: Mapping[str, Any]) -> str | None:
    return DONE_AT.get(said.get("to", ""))


IDS = ["RK123456785FR", "LL456789015FR"]
ANNOUNCED = _event("announced", Items, "Objet annoncé", by=OFFICE | {"subscriber"})
LOADED = _event("loaded", Items, "Objet pris en charge", item_ids=IDS)
OUT = _event("out_for_delivery", Items, "Objet en cours de distribution", item_ids=IDS)
DELIVERED = _event("delivered", Delivered, "Objet distribué", by=CARRIER, door=True, item_ids=IDS, to="addressee")
ATTEMPTED = _event(
    "delivery_attempted", Attempted, "Objet présenté", by=CARRIER, door=True, reason="absent", next="office_hold"
)
HELD = _event("held", Held, "Objet en instance", office="Bondy", shelf="B-12", until="2026-12-06")
COLLECTED = _event("collected", Collected, "Objet retiré", proof={"signature": "sha256-of-a-drawing"})
RETURNED = _event("returned_to_sender", Returned, "Objet renvoyé à l'expéditeur", reason="not_collected")
MISSING = _event("missing", Items, "Objet manquant")
WAITS = ("office_hold", "pickup_point")
HELD_BACK = custody.HELD_FOR_REVIEW.name


class Item(Handler):
    name = "item"
    title = titled("Objets", "Items")
    subject = "item/{item_id}"
    takes_tasks = True
    events = (ANNOUNCED, LOADED, OUT, DELIVERED, ATTEMPTED, HELD, COLLECTED, RETURNED, MISSING)
    publishes = (
        *public(ItemFact, *(each for each in events if each is not MISSING)),
        *public(
            ItemFact, MISSING, alert="attention", settled_by=tuple(each.name for each in events if each is not MISSING)
        ),
        custody.HELD_FOR_REVIEW,
    )

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name one subject for each item."""
        if event_type in tasks.TYPES:
            return (data["subject"],)
        ids = [data["item_id"]] if data.get("item_id") else []
        return tuple(dict.fromkeys(f"item/{each}" for each in (*ids, *(data.get("item_ids") or ()))))

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Forget the other items of the event."""
        kept = super().kept(event_type, subject, data)
        return {name: value for name, value in kept.items() if name != "item_ids"}

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say every fact; follow the hands of a signed item; return what waited too long."""
        del now
        chain = custody.follow(facts, HANDOVERS, start="office") if _signed(facts) else None
        said = [each for fact in facts for each in _said(facts, fact, chain)]
        presented = any(fact.type in (HELD.name, ATTEMPTED.name) for fact in facts)
        timers = [*timer(facts, "return_due", return_at(facts)), *_back_by(facts)] if presented else ()
        state = next((each.type.removeprefix("item.") for each in reversed(said) if each.type != HELD_BACK), "ordered")
        now_is = {"state": state} | ({"place": chain.place} if chain else {})
        missing = _missing(facts, new, chain)
        warnings = [*_warnings(facts, new, chain), *(["missing_proof"] if missing else [])]
        answer = {"missing": missing} if missing else None
        told = [*item_ends.item_told(new, stands=new in facts), *_left_codes(new, stands=new in facts)]
        told += item_ends.told_delivered(facts, new)
        return Tale(said, now_is, timers=timers, writes=told, warnings=warnings, answer=answer)


def _wanted(facts: Sequence[Fact]) -> set[str]:
    return {each for fact in facts if fact.type == "task.planned" for each in fact.data.get("requirements", ())}


def _signed(facts: Sequence[Fact]) -> bool:
    return bool(_wanted(facts) & {"signature", "registered"})


def is_registered(facts: Sequence[Fact], item_id: str) -> bool:
    """Tell whether the item is registered mail: by its id, or because the order says so."""
    return item_ids.is_registered(item_id) or "registered" in _wanted(facts)


def _said(facts: Sequence[Fact], fact: Fact, chain: Chain | None) -> Iterator[Said]:
    if fact.type == "timer.return_due" and return_at([each for each in facts if each < fact]):
        yield Said(fact, RETURNED.name, {"item_id": fact.data["item_id"], "reason": "not_collected"})
    if not fact.type.startswith("item."):
        return
    if fact.type == RETURNED.name and days_ended([each for each in facts if each < fact]):
        return  # that it goes back was said when its days ended
    data, alerts = _public(facts, fact), list[Said]()
    link = chain.links.get(fact.id) if chain else None
    faults, thing = list(_faults(facts, fact, chain)), f"item/{data['item_id']}"
    if link:
        judged, alerts = custody.review(fact, thing, link, faults=faults)
        data |= judged
    elif faults:
        alerts = [Said(fact, HELD_BACK, {"thing": thing, "reason": faults[0]}, key=thing)]
    if link is None or not link.broken:
        yield Said(fact, fact.type, data)
    yield from alerts


def _faults(facts: Sequence[Fact], fact: Fact, chain: Chain | None) -> Iterator[str]:
    """Say why a person must look at a delivery: it was left unsigned, or with somebody who may not take it."""
    if fact.type != DELIVERED.name:
        return
    to, registered = fact.data["to"], is_registered(facts, fact.data["item_id"])
    if chain and to not in SIGNING:
        yield "not_signed_for"
    elif registered and to not in OWN_HANDS:
        yield "not_to_addressee"


def _public(facts: Sequence[Fact], fact: Fact) -> dict[str, Any]:
    data = shown(ItemFact, fact)
    if fact.type == ATTEMPTED.name:
        data |= {"reason": REASONS[data["reason"]].printed, "detail": data["reason"]}
    if fact.type == HELD.name and "until" not in data and (due := return_at([each for each in facts if each <= fact])):
        data["until"] = due.date().isoformat()
    if fact.type == COLLECTED.name and (waited := _waited(fact)) is not None:
        data["waited_s"] = waited
    if fact.type == DELIVERED.name:
        until = tasks.window_end(tasks.order_for(facts, fact))
        data["proof"] = weigh(fact, evidence=fact.data.get("proof") or {}, to=data["to"], until=until)
    return data


def _back_by(facts: Sequence[Fact]) -> list[SetTimer | DropTimer]:
    """Remember an item whose days ended by themselves, until somebody takes it from its shelf and sends it back."""
    if not any(fact.type == "timer.return_due" for fact in facts):
        return []
    ended = days_ended(facts)
    return timer(facts, BACK_BY, ended.occurred_at + SENT_BACK_WITHIN if ended else None)


def days_ended(facts: Sequence[Fact]) -> Fact | None:
    """Return the fact with which an item's days ended by themselves, if nothing happened to it since; else None."""
    last = next((fact for fact in reversed(facts) if fact.type.startswith(("item.", "timer.return_due"))), None)
    if last is None or last.type != "timer.return_due":
        return None
    return last if return_at([fact for fact in facts if fact < last]) else None


def return_at(facts: Sequence[Fact]) -> datetime | None:
    """Return when the item goes back if nothing happens; None unless it waits at an office or a pick-up point."""
    presented, waits = None, False
    for fact in facts:
        if fact.type == ATTEMPTED.name:
            presented, waits = fact.occurred_at, fact.data["next"] in WAITS
        elif fact.type == HELD.name:
            presented, waits = presented or fact.occurred_at, True
        elif fact.type.startswith("item.") or fact.type == "timer.return_due":
            waits = False
    return presented + KEPT_FOR if presented and waits else None


def _waited(fact: Fact) -> int | None:
    """Return how long a customer waited at the counter, in seconds; None if nobody scanned, or not on the same visit."""
    arrived = fact.data.get("arrived_at")
    waited = fact.occurred_at - parse_time(arrived) if arrived else None
    return int(waited.total_seconds()) if waited is not None and timedelta() <= waited <= LONGEST_WAIT else None


def _warnings(facts: Sequence[Fact], new: Fact, chain: Chain | None) -> Iterator[str]:
    link = chain.links.get(new.id) if chain else None
    if item_ids.is_misread(new.data["item_id"]):
        yield "check_digit"
    if link and link.broken:
        yield "custody_broken"
    if not chain and new.type == DELIVERED.name:
        if any(fact.type == DELIVERED.name and fact < new for fact in facts):
            yield "already_delivered"
        if any(_faults(facts, new, chain)):
            yield "not_to_addressee"


def _left_codes(new: Fact, *, stands: bool) -> list[Write]:
    """Keep the code on the paper that was left, so that whoever holds it finds the item."""
    if new.type != ATTEMPTED.name or new.data["next"] not in WAITS:
        return []
    return notice_codes.writes(
        new.data.get("notice_code"), f"item/{new.data['item_id']}", new.occurred_at, stands=stands
    )


def _missing(facts: Sequence[Fact], new: Fact, chain: Chain | None) -> list[str]:
    """Name what the order or the kind of item asks for as proof and was not taken."""
    if new.type not in (DELIVERED.name, COLLECTED.name):
        return []
    evidence = new.data.get("proof") or {}
    if is_registered(facts, new.data["item_id"]):
        return lacking(evidence, to=new.data.get("to"))
    return ["signature"] if chain and not (evidence.get("signature") or evidence.get("code_ok")) else []


HANDLER = Item()
