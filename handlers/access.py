"""Access: a carrier cannot serve a box, or its owner says that nobody does. One case a delivery point, closed by a person.

Whoever asks learns why, where the mail waits and until when, and by when there will be an answer; when that day passes
without one, somebody at the office is told. What was decided stands until its last day, or until it is decided anew.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from handlers import access_case as cases
from handlers.access_case import Case
from handlers.base import Handler
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    Day,
    Id,
    Note,
    Payload,
    PublicData,
    Text,
)
from handlers.story import (
    CARRIER,
    Decision,
    Event,
    EventType,
    Fact,
    Refused,
    Said,
    State,
    Tale,
    Write,
    public,
    timer,
    titled,
)

ASKERS = frozenset({"customer", "adviser", "member", "supervisor", "operator"})
JUDGES = frozenset({"supervisor", "operator", "adviser"})


class Point(Payload):
    delivery_point_id: Annotated[Id | None, PUBLIC] = None


class Refusal(Point):
    reason: Annotated[Literal["distance", "dangerous", "closed_gate", "no_box", "dog", "other"], OPERATIONAL]
    note: Annotated[Note | None, PERSONAL] = None
    mail_waits_at: Annotated[Text | None, PUBLIC] = None  # the office; the carrier's own site where none is named
    mail_waits_until: Annotated[Day | None, PUBLIC] = None


class Contact(Payload):
    """How the customer is told; the first that is there."""

    email: Annotated[Text | None, PERSONAL] = None
    mobile: Annotated[Text | None, PERSONAL] = None
    voice: Annotated[Text | None, PERSONAL] = None  # a number that is called
    lang: Annotated[Literal["fr", "en"], PERSONAL] = "fr"


class Asked(Point):
    """The customer's own words: my box is no longer served."""

    note: Annotated[Note | None, PERSONAL] = None
    contact: Contact | None = None


class Decided(Point):
    decision: Annotated[Literal["served_again", "box_to_move", "held_at_office", "not_served"], PUBLIC]
    reason: Annotated[Note, PERSONAL]
    until: Annotated[Day | None, PUBLIC] = None
    mail_waits_at: Annotated[Text | None, PUBLIC] = None


class AccessFact(PublicData):
    delivery_point_id: Annotated[str, PUBLIC]
    reason: Annotated[str | None, OPERATIONAL] = None
    opened_at: Annotated[str | None, PUBLIC] = None
    answer_due_at: Annotated[str | None, PUBLIC] = None
    mail_waits_at: Annotated[str | None, PUBLIC] = None
    mail_waits_until: Annotated[str | None, PUBLIC] = None


class DecidedFact(PublicData):
    delivery_point_id: Annotated[str, PUBLIC]
    decision: Annotated[str, PUBLIC]
    until: Annotated[str | None, PUBLIC] = None
    mail_waits_at: Annotated[str | None, PUBLIC] = None


POINT = {"delivery_point_id": "dp-118"}
REFUSED = EventType(
    cases.REFUSED,
    Refusal,
    titled("Accès impossible", "Access refused"),
    (
        {**POINT, "reason": "dog", "note": "Chien en liberté dans le jardin"},
        {**POINT, "reason": "closed_gate", "mail_waits_at": "Bondy", "mail_waits_until": "2026-12-06"},
    ),
    CARRIER,
)
ASKED = EventType(
    cases.ASKED,
    Asked,
    titled("Boîte signalée comme non desservie", "Box said to be unserved"),
    ({**POINT, "note": "Plus de courrier depuis trois semaines", "contact": {"email": "client@example.org"}},),
    ASKERS,
)
DECIDED = EventType(
    cases.DECIDED,
    Decided,
    titled("Accès tranché", "Access decided"),
    (
        {**POINT, "decision": "held_at_office", "reason": "La boîte n'est plus accessible", "until": "2026-12-20"},
        {**POINT, "decision": cases.SERVED_AGAIN, "reason": "Le portail est ouvert le matin"},
    ),
    JUDGES,
)
OVERDUE = "access.overdue"


class Access(Handler):
    name = "access"
    title = titled("Accès aux boîtes", "Access to boxes")
    subject = "access/{delivery_point_id}"
    facts_kept = 100
    events = (REFUSED, ASKED, DECIDED)
    publishes = (
        *public(AccessFact, REFUSED, ASKED),
        *public(DecidedFact, DECIDED),
        *public(
            AccessFact,
            EventType(OVERDUE, Point, titled("Réponse en retard", "Answer overdue"), (POINT,)),
            alert="attention",
            settled_by=(DECIDED.name,),
        ),
    )

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the delivery point: the payload's, else the one that intake located."""
        if not data.get("delivery_point_id"):
            raise Refused("no_delivery_point")
        return super().subjects_of(event_type, data)

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep with the fact the site that its envelope names."""
        return {**super().kept(event_type, subject, data), "_site": data.get("_site")}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, knowing whose site it is."""
        return super().decide(state, replace(event, data={**event.data, "_site": event.site}), now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Fold the facts into the case as it stands; say each with what was known of the case by then."""
        del now
        sites = {fact.data["_site"] for fact in facts if fact.by == "device" and fact.data.get("_site")}
        if new.by == "supervisor" and sites and new.data.get("_site") not in sites:
            raise Refused("not_allowed")
        case, said = None, list[Said]()
        for fact in facts:
            said += _overdue(case, fact)
            case = cases.after(case, fact)
            if case and fact.type in cases.SAID_BY_PEOPLE:
                said.append(Said(fact, fact.type, _shown(case, fact)))
        point = new.data["delivery_point_id"]
        write = Write("access_case.save", cases.row(point, case)) if case else Write("access_case.drop", (point,))
        return Tale(
            said,
            {"state": None if case is None else "decided" if case.decided else "open"},
            timers=[
                *timer(facts, "answer_due", case.due_at if case and not case.decided else None),
                *timer(facts, "lapsed", case.lapses_at if case else None),
            ],
            writes=[write, Write("sheet.touch_point", (point,)), *cases.notices(case, new)],
            answer=cases.described(case) if case and new.type in (REFUSED.name, ASKED.name) else None,
        )


def _overdue(case: Case | None, fact: Fact) -> list[Said]:
    """Say that a case is still open when its answer is due."""
    if fact.type != "timer.answer_due" or case is None or case.decided or fact.occurred_at < case.due_at:
        return []
    return [Said(fact, OVERDUE, cases.described(case))]


def _shown(case: Case, fact: Fact) -> dict[str, Any]:
    if fact.type != DECIDED.name:
        return cases.described(case)
    return {name: fact.data[name] for name in DecidedFact.model_fields if name in fact.data}


HANDLER = Access()
