"""Medication: one sealed pouch, from the pharmacy's hands to those of a person named in the order.

The data knows the pouch and nothing of what is in it: the payloads have no free text. Public facts name the pouch, its seal
and its chain; who received it, and how, is health data of the account that ordered.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel

from handlers import custody, tasks
from handlers.base import Handler
from handlers.custody import Chain, Handover
from handlers.fields import HEALTH, OPERATIONAL, PERSONAL, PUBLIC, Id, Located, Payload, PublicData, Text
from handlers.proof import ProofScore, weigh
from handlers.story import CARRIER, DropTimer, EventType, Fact, Said, SetTimer, Tale, public, shown, timer, titled

HANDOVERS = (
    Handover("pharmacy", "carrier", "medication.picked_up", given_by="medication.released"),
    Handover("carrier", "patient", "medication.delivered"),
    Handover("carrier", "pharmacy", "medication.received_back", given_by="medication.returned"),
)
ENDS = ("medication.delivered", "medication.returned", "medication.received_back")
PHARMACY = frozenset({"device", "subscriber", "partner"})
OFFICE = frozenset({"server", "supervisor", "operator"})
AT_RISK_BEFORE = timedelta(minutes=30)


class Temperature(BaseModel):
    min_c: Annotated[float, OPERATIONAL]
    max_c: Annotated[float, OPERATIONAL]


class Pouch(Payload):
    pouch_id: Annotated[Id, PUBLIC]


class Sealed(Pouch):
    seal_intact: Annotated[bool, PUBLIC]
    temperature: Temperature | None = None


class Handed(BaseModel):
    handed_to: Annotated[Literal["patient", "named_relative", "named_carer"], HEALTH]
    label_matched: Annotated[bool, HEALTH]
    identity: Annotated[Literal["document", "known_to_carrier"], HEALTH]
    code_ok: Annotated[bool | None, HEALTH] = None
    wants_pharmacist: Annotated[bool | None, HEALTH] = None
    prescription_pouch_id: Annotated[Id | None, HEALTH] = None


class Delivered(Handed, Sealed):
    signature: Annotated[Text | None, PERSONAL] = None


class Returned(Pouch):
    reason: Annotated[
        Literal["absent", "refused", "nobody_named", "label_mismatch", "seal_broken", "wrong_address", "too_late"],
        PERSONAL,
    ]


class AtRisk(Pouch):
    reason: Annotated[Literal["run_not_started", "run_not_served", "delay"], PUBLIC]


class PouchFact(PublicData):
    pouch_id: Annotated[str, PUBLIC]
    seal_intact: Annotated[bool | None, PUBLIC] = None
    temperature: Temperature | None = None
    reason: Annotated[str | None, PERSONAL] = None
    chain: Annotated[custody.ChainWord | None, PUBLIC] = None
    missing: Annotated[list[str] | None, PUBLIC] = None
    located: Located | None = None


class DeliveredFact(Handed, PouchFact):
    proof: ProofScore


class AtRiskFact(PublicData):
    pouch_id: Annotated[str, PUBLIC]
    reason: Annotated[str, PUBLIC]


def _event(name: str, payload: type[Pouch], fr: str, *, by: frozenset[str] = CARRIER, **example: Any) -> EventType:
    en, at_door = f"Medication {name.replace('_', ' ')}", name == "delivered"
    example, named = {"pouch_id": "P-5521", **example}, f"medication.{name}"
    ends = named in ENDS
    return EventType(
        *(named, payload, titled(fr, en), (example,), by),
        keeps_fix=at_door, scanned=at_door, closes_task=ends, done_at=_done_at if at_door else None,
    )  # fmt: skip


def _done_at(_said: Mapping[str, Any]) -> str:
    return "door"


RELEASED = _event("released", Pouch, "Médicaments remis par la pharmacie", by=PHARMACY)
PICKED_UP = _event("picked_up", Sealed, "Médicaments pris en charge", seal_intact=True)
WHOM: dict[str, Any] = {"handed_to": "patient", "label_matched": True, "identity": "known_to_carrier", "code_ok": True}
DELIVERED = _event("delivered", Delivered, "Médicaments remis", stop_id="st-118", seal_intact=True, **WHOM)
RETURNED = _event("returned", Returned, "Médicaments rapportés", reason="absent")
RECEIVED_BACK = _event("received_back", Pouch, "Retour reçu par la pharmacie", by=PHARMACY)
AT_RISK = _event("at_risk", AtRisk, "Remise de médicaments menacée", by=OFFICE, reason="delay")


class Medication(Handler):
    name = "medication"
    title = titled("Portage de médicaments", "Medication")
    subject = "pouch/{pouch_id}"
    takes_tasks = True
    issues_ids = True
    events = (RELEASED, PICKED_UP, DELIVERED, RETURNED, RECEIVED_BACK, AT_RISK)
    publishes = (
        *public(PouchFact, RELEASED, PICKED_UP, RETURNED, RECEIVED_BACK),
        *public(DeliveredFact, DELIVERED),
        *public(AtRiskFact, AT_RISK),
        custody.HELD_FOR_REVIEW,
    )

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Walk the chain; what breaks it is held for review and not said."""
        del now
        chain = custody.follow(facts, HANDOVERS, start="pharmacy")
        said = [each for fact in facts for each in _said(facts, fact, chain)]
        return Tale(said, {"place": chain.place}, timers=_timers(facts), warnings=list(_warnings(new, chain)))


def _said(facts: Sequence[Fact], fact: Fact, chain: Chain) -> Iterator[Said]:
    if fact.type in ("timer.at_risk", AT_RISK.name):
        if not _settled([each for each in facts if each < fact]):
            reason = fact.data.get("reason", "window_ends")
            yield Said(fact, AT_RISK.name, {"pouch_id": fact.data["pouch_id"], "reason": reason})
    elif link := chain.links.get(fact.id):
        order = tasks.order_for(facts, fact)
        judged, alerts = custody.review(fact, f"pouch/{fact.data['pouch_id']}", link, faults=list(_faults(fact, order)))
        if not link.broken:
            yield Said(fact, fact.type, _public(fact, order) | judged)
        yield from alerts
    elif fact.type in (RELEASED.name, RETURNED.name):  # said after the taker's side, so it moves nothing
        yield Said(fact, fact.type, _public(fact, None))


def _public(fact: Fact, order: Fact | None) -> dict[str, Any]:
    delivered = fact.type == DELIVERED.name
    model = DeliveredFact if delivered else PouchFact
    data = shown(model, fact)
    if delivered:
        data["proof"] = weigh(fact, evidence=fact.data, until=tasks.window_end(order))
    return data


def _faults(fact: Fact, order: Fact | None) -> Iterator[str]:
    """Say why a person must look at this hand-over although its links are all there."""
    data, ordered = fact.data, order.data if order else {}
    if data.get("seal_intact") is False:
        yield "seal_broken"
    if fact.type == PICKED_UP.name and "fridge" in ordered.get("requirements", ()) and not data.get("temperature"):
        yield "cold_box_missing"
    if fact.type == DELIVERED.name:
        named = (ordered.get("details") or {}).get("may_receive", [data["handed_to"]])
        checks = {
            "no_task": order,
            "label_mismatch": data["label_matched"],
            "not_named_in_order": data["handed_to"] in named,
        }
        yield from (fault for fault, right in checks.items() if not right)


def _settled(facts: Sequence[Fact]) -> bool:
    moves = [fact.type for fact in facts if fact.type in (*ENDS, RELEASED.name, PICKED_UP.name)]
    return bool(moves) and moves[-1] in ENDS


def _timers(facts: Sequence[Fact]) -> Sequence[SetTimer | DropTimer]:
    if not any(fact.type == "task.planned" and fact.data.get("window") for fact in facts):
        return ()
    until = tasks.window_end(tasks.planned(facts))
    return timer(facts, "at_risk", None if until is None or _settled(facts) else until - AT_RISK_BEFORE)


def _warnings(new: Fact, chain: Chain) -> Iterator[str]:
    link = chain.links.get(new.id)
    if link and link.broken:
        yield "custody_broken"
    if new.type == DELIVERED.name and not (new.data.get("code_ok") or new.data.get("signature")):
        yield "missing_proof"


HANDLER = Medication()
