"""Items: announced, taken out, handed over or left, held at the office, collected or returned.

One event may name N items: each is decided on its own. Items that the order wants signed are followed hand by hand. An item
that waits at the office has 15 days from its presentation; then it is returned by itself.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from handlers import custody, item_ids, tasks
from handlers.base import Handler
from handlers.custody import Chain, Handover
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Day, Id, Located, Payload, PublicData, Text, Time
from handlers.proof import Evidence, ProofScore, is_whole, weigh
from handlers.story import CARRIER, EventType, Fact, Said, Tale, public, shown, timer, titled

KEPT_FOR = timedelta(days=15)
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
# what the carrier saw -> what is printed on the notice and said outside; the exact reason stays with the operator
PRINTED = {
    **dict.fromkeys(("absent", "refused", "too_big", "damaged"), None),
    **dict.fromkeys(("address_incomplete", "unknown_at_address", "deceased"), "address"),
    **dict.fromkeys(("no_access", "dog", "closed", "weather", "unsafe"), "no_access"),
}


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


class Held(Items):
    office: Annotated[Text, PUBLIC]
    shelf: Annotated[Id | None, OPERATIONAL] = None
    until: Annotated[Time | Day | None, PUBLIC] = None


class Collected(Items):
    proof: Annotated[Evidence | None, PERSONAL] = None


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
    located: Located | None = None


def _event(
    name: str, payload: type[Items], fr: str, *, by: frozenset[str] = OFFICE, door: bool = False, **example: Any
) -> EventType:
    en, ends = f"Item {name.replace('_', ' ')}", name in ENDS
    example = example if "item_ids" in example else {"item_id": "RK123456785FR", **example}
    keeps_fix, done_at = name == "delivered", _done_at if name == "delivered" else None
    return EventType(
        *(f"item.{name}", payload, titled(fr, en), (example,), by),
        keeps_fix=keeps_fix, scanned=door, closes_task=ends, done_at=done_at,
    )  # fmt: skip


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
    publishes = (*public(ItemFact, *events), custody.HELD_FOR_REVIEW)

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
        timers = timer(facts, "return_due", _return_at(facts)) if presented else ()
        state = next((each.type.removeprefix("item.") for each in reversed(said) if each.type != HELD_BACK), "ordered")
        now_is = {"state": state} | ({"place": chain.place} if chain else {})
        return Tale(said, now_is, timers=timers, warnings=list(_warnings(facts, new, chain)))


def _signed(facts: Sequence[Fact]) -> bool:
    wanted = {each for fact in facts if fact.type == "task.planned" for each in fact.data.get("requirements", ())}
    return bool(wanted & {"signature", "registered"})


def _said(facts: Sequence[Fact], fact: Fact, chain: Chain | None) -> Iterator[Said]:
    if fact.type == "timer.return_due" and _return_at([each for each in facts if each < fact]):
        yield Said(fact, RETURNED.name, {"item_id": fact.data["item_id"], "reason": "not_collected"})
    if not fact.type.startswith("item."):
        return
    data, alerts = _public(facts, fact), list[Said]()
    link = chain.links.get(fact.id) if chain else None
    if link:
        wrong = fact.type == DELIVERED.name and data["to"] not in ("addressee", "mandate_holder", "household")
        faults = ["not_signed_for"] if wrong else []
        judged, alerts = custody.review(fact, f"item/{data['item_id']}", link, faults=faults)
        data |= judged
    if link is None or not link.broken:
        yield Said(fact, fact.type, data)
    yield from alerts


def _public(facts: Sequence[Fact], fact: Fact) -> dict[str, Any]:
    data = shown(ItemFact, fact)
    if fact.type == ATTEMPTED.name:
        data |= {"reason": PRINTED[data["reason"]] or data["reason"], "detail": data["reason"]}
    if fact.type == DELIVERED.name:
        until = tasks.window_end(tasks.order_for(facts, fact))
        data["proof"] = weigh(fact, evidence=fact.data.get("proof") or {}, to=data["to"], until=until)
    return data


def _return_at(facts: Sequence[Fact]) -> datetime | None:
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


def _warnings(facts: Sequence[Fact], new: Fact, chain: Chain | None) -> Iterator[str]:
    item_id, link = new.data["item_id"], chain.links.get(new.id) if chain else None
    if item_ids.looks_like_s10(item_id) and not item_ids.is_s10(item_id):
        yield "check_digit"
    if link and link.broken:
        yield "custody_broken"
    if new.type != DELIVERED.name:
        return
    if not chain and any(fact.type == DELIVERED.name and fact < new for fact in facts):
        yield "already_delivered"
    evidence = new.data.get("proof") or {}
    whole = is_whole(evidence) if item_ids.is_registered(item_id) else not chain or evidence.get("signature")
    if not whole:
        yield "missing_proof"


HANDLER = Item()
