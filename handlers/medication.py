"""Medication: one sealed pouch, from the pharmacy's hands to those of a person named in the order.

The data knows the pouch and nothing of what is in it: the payloads have no free text. Public facts name the pouch, its seal
and its chain; who received it, and how, is health data of the account that ordered.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from handlers import custody, tasks
from handlers.alerting import RELIEVED, Alert, dangers
from handlers.base import Handler
from handlers.custody import Chain, Handover
from handlers.fields import HEALTH, OPERATIONAL, PERSONAL, PUBLIC, Id, Located, Payload, PublicData, Text
from handlers.ladder import Ladder, Step
from handlers.notice import notice
from handlers.order_forms import PouchOrder
from handlers.proof import ProofScore, weigh
from handlers.story import (
    CARRIER,
    Command,
    Decision,
    DropTimer,
    Event,
    EventType,
    Fact,
    Said,
    SetTimer,
    State,
    Tale,
    Write,
    public,
    shown,
    timer,
    titled,
)

HANDOVERS = (
    Handover("pharmacy", "carrier", "medication.picked_up", given_by="medication.released"),
    Handover("carrier", "carrier", "medication.passed_on"),
    Handover("carrier", "patient", "medication.delivered"),
    Handover("carrier", "pharmacy", "medication.received_back", given_by="medication.returned"),
)
ENVELOPE = (  # a prescription that the patient gives along
    Handover("patient", "carrier", "medication.prescription_taken"),
    Handover("carrier", "carrier", "medication.passed_on"),
    Handover("carrier", "pharmacy", "medication.received_back", given_by="medication.returned"),
)
ENDS = ("medication.delivered", "medication.returned", "medication.received_back")
PHARMACY = frozenset({"device", "subscriber", "partner"})
OFFICE = frozenset({"server", "supervisor", "operator"})
AT_RISK_BEFORE = timedelta(minutes=30)
MOST_TRIES = 3
FRIDGE_C = (2.0, 8.0)
AT_RISK_LADDER = (Step("desk", 600.0),)
STRANDED_LADDER = (Step("pharmacy", 0.0), Step("desk", 300.0))


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
    code_attempts: Annotated[int | None, HEALTH, Field(ge=1, le=99)] = None
    wants_pharmacist: Annotated[bool | None, HEALTH] = None
    prescription_pouch_id: Annotated[Id | None, HEALTH] = None


class Delivered(Handed, Sealed):
    signature: Annotated[Text | None, PERSONAL] = None


class Returned(Pouch):
    reason: Annotated[
        Literal["absent", "refused", "nobody_named", "label_mismatch", "seal_broken", "wrong_address", "too_late"],
        PERSONAL,
    ]


class PassedOn(Sealed):
    """Scanned by the carrier who takes the pouch over: from then on it is on that one's run."""


class PrescriptionTaken(Pouch):
    """The envelope that came with a delivery; said by the server."""

    from_pouch_id: Annotated[Id, OPERATIONAL]
    account: Annotated[Id | None, OPERATIONAL] = None


class Stranded(Pouch):
    reason: Annotated[Literal["pharmacy_closed", "still_with_carrier"], PUBLIC] = "pharmacy_closed"


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


class StrandedFact(PublicData):
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


PASSED_ON = _event("passed_on", PassedOn, "Médicaments passés à un autre facteur", seal_intact=True)
PRESCRIPTION = _event(
    "prescription_taken",
    PrescriptionTaken,
    "Ordonnance prise en charge",
    by=frozenset({"server"}),
    pouch_id="P-9001",
    from_pouch_id="P-5521",
)
STRANDED = _event(
    "stranded", Stranded, "Retour à la pharmacie impossible", by=CARRIER | OFFICE, reason="pharmacy_closed"
)


class Medication(Handler):
    name = "medication"
    title = titled("Portage de médicaments", "Medication")
    subject = "pouch/{pouch_id}"
    takes_tasks = True
    issues_ids = True
    discreet = True
    order = PouchOrder
    events = (RELEASED, PICKED_UP, DELIVERED, RETURNED, RECEIVED_BACK, AT_RISK, PASSED_ON, PRESCRIPTION, STRANDED)
    publishes = (
        *public(PouchFact, RELEASED, PICKED_UP, RETURNED, RECEIVED_BACK, PASSED_ON, PRESCRIPTION),
        *public(DeliveredFact, DELIVERED),
        *public(AtRiskFact, AT_RISK, alert="urgent", settled_by=(*ENDS, "task.cancelled", RELIEVED)),
        *public(StrandedFact, STRANDED, alert="urgent", settled_by=(DELIVERED.name, RECEIVED_BACK.name)),
        custody.HELD_FOR_REVIEW,
    )

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; the envelope of a prescription belongs to whom the pouch belonged to."""
        decision = super().decide(state, event, now)
        account = event.data.get("account") if event.type == PRESCRIPTION.name else None
        return replace(decision, account=account) if account else decision

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Walk the chain; what breaks it is held for review and not said."""
        del now
        chain = _chain(facts)
        said = [each for fact in facts for each in _said(facts, fact, chain)]
        said += _at_risk(facts)
        return Tale(
            said,
            {"place": chain.place},
            timers=_timers(facts),
            commands=list(_commands(facts, new, chain)),
            warnings=list(_warnings(facts, new, chain)),
        )

    def ladder(self, kind: str, level: str, facts: Sequence[Fact]) -> Ladder:
        """A threatened window goes to the desk; for a pouch that nobody takes back the pharmacy is called first, and at once."""
        del level, facts
        return {AT_RISK.name: AT_RISK_LADDER, STRANDED.name: STRANDED_LADDER}.get(kind, ())

    def reach(self, facts: Sequence[Fact], alert: Alert, who: str) -> Sequence[Write]:
        """Call the pharmacy that the order names, never the depot."""
        order = next((fact for fact in reversed(facts) if fact.type == "task.planned"), None)
        contact = ((order.data.get("details") or {}) if order else {}).get("pharmacy")
        if who != "pharmacy" or order is None or not isinstance(contact, Mapping):
            return ()
        pouch_id = order.data["subject"].partition("/")[2]
        words = {"pouch_id": pouch_id, "raised_at": alert.raised_at, "alert_id": alert.id}
        return [notice(order, "alert_pharmacy", contact, words, key=f"{alert.id} {alert.rung}")]


def _chain(facts: Sequence[Fact]) -> Chain:
    if any(fact.type == PRESCRIPTION.name for fact in facts):
        return custody.follow(facts, ENVELOPE, start="patient")
    return custody.follow(facts, HANDOVERS, start="pharmacy")


def _said(facts: Sequence[Fact], fact: Fact, chain: Chain) -> Iterator[Said]:
    if fact.type in ("timer.stranded", STRANDED.name):
        if _carried(facts, fact):
            usual = "pharmacy_closed" if fact.type == STRANDED.name else "still_with_carrier"
            reason = fact.data.get("reason", usual)
            yield Said(fact, STRANDED.name, {"pouch_id": fact.data["pouch_id"], "reason": reason})
    elif link := chain.links.get(fact.id):
        order = tasks.order_for(facts, fact)
        faults = [*_faults(fact, order), *_unscanned(facts, fact)]
        judged, alerts = custody.review(fact, f"pouch/{fact.data['pouch_id']}", link, faults=faults)
        if not link.broken:
            yield Said(fact, fact.type, _public(fact, order) | judged)
        yield from alerts
    elif fact.type in (RELEASED.name, RETURNED.name):  # said after the taker's side, so it moves nothing
        yield Said(fact, fact.type, _public(fact, None))


def _at_risk(facts: Sequence[Fact]) -> Iterator[Said]:
    for fact in dangers(facts, said=AT_RISK.name, begins=(RELEASED.name, PICKED_UP.name), ends=ENDS):
        data = {"pouch_id": fact.data["pouch_id"], "reason": fact.data.get("reason", "window_ends")}
        yield Said(fact, AT_RISK.name, data)


def _carried(facts: Sequence[Fact], fact: Fact) -> bool:
    """Tell whether a carrier had the pouch at the time of a fact."""
    return _chain([each for each in facts if each < fact]).place == "carrier"


def _unscanned(facts: Sequence[Fact], fact: Fact) -> Iterator[str]:
    """Say that the pouch came from another carrier's run to this one although nobody scanned it over."""
    moves = (PICKED_UP.name, PASSED_ON.name, PRESCRIPTION.name)
    had = [each.run for each in facts if each < fact and each.type in moves and each.run]
    if had and fact.type in (DELIVERED.name, RETURNED.name) and fact.run not in (None, had[-1]):
        yield "unscanned_between_carriers"


def _commands(facts: Sequence[Fact], new: Fact, chain: Chain) -> Iterator[Command]:
    """Open the custody of the prescription that was given along."""
    envelope, link = new.data.get("prescription_pouch_id"), chain.links.get(new.id)
    if new.type != DELIVERED.name or not envelope or envelope == new.data["pouch_id"] or (link and link.broken):
        return
    order = tasks.order_for(facts, new)
    data = {"pouch_id": envelope, "from_pouch_id": new.data["pouch_id"]}
    data |= {"account": order.account} if order and order.account else {}
    yield Command(PRESCRIPTION.name, f"pouch/{envelope}", data)


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
    if fact.type == PICKED_UP.name and _too_warm(data, ordered):
        yield _too_warm(data, ordered)
    if fact.type == DELIVERED.name:
        named = (ordered.get("details") or {}).get("may_receive") or ["patient"]
        checks = {
            "no_task": order,
            "label_mismatch": data["label_matched"],
            "not_named_in_order": data["handed_to"] in named,
            "too_many_code_attempts": not (data.get("code_ok") and data.get("code_attempts", 1) > MOST_TRIES),
        }
        yield from (fault for fault, right in checks.items() if not right)


def _too_warm(data: Mapping[str, Any], ordered: Mapping[str, Any]) -> str:
    """Say why goods for the fridge may not travel like this: no qualified box, or it was not cold; nothing if they may."""
    if "fridge" not in ordered.get("requirements", ()):
        return ""
    box = data.get("temperature")
    if not box:
        return "cold_box_missing"
    return "" if FRIDGE_C[0] <= box["min_c"] <= box["max_c"] <= FRIDGE_C[1] else "temperature_out_of_range"


def _settled(facts: Sequence[Fact]) -> bool:
    moves = [fact.type for fact in facts if fact.type in (*ENDS, RELEASED.name, PICKED_UP.name)]
    return bool(moves) and moves[-1] in ENDS


def _timers(facts: Sequence[Fact]) -> Sequence[SetTimer | DropTimer]:
    if not any(fact.type == "task.planned" and fact.data.get("window") for fact in facts):
        return ()
    until = tasks.window_end(tasks.planned(facts))
    return timer(facts, "at_risk", None if until is None or _settled(facts) else until - AT_RISK_BEFORE)


def _warnings(facts: Sequence[Fact], new: Fact, chain: Chain) -> Iterator[str]:
    link = chain.links.get(new.id)
    if link and link.broken:
        yield "custody_broken"
    order = tasks.order_for(facts, new)
    if new.type == PICKED_UP.name and order and _too_warm(new.data, order.data):
        yield "refuse_at_pick_up"
    if new.type == DELIVERED.name and not (new.data.get("code_ok") or new.data.get("signature")):
        yield "missing_proof"


HANDLER = Medication()
