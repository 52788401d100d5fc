"""Disputes: "marked delivered, not received". A case with what the proof says in words, answered by a person by a day.

The server names the thing, the site and the account of the disputed event; who disputes names the event and says what is wrong.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import StringConstraints

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Payload, PublicData, Text, format_time
from handlers.notice import notice
from handlers.story import (
    Decision,
    Event,
    EventType,
    Fact,
    Refused,
    Said,
    Sealed,
    State,
    Tale,
    Write,
    public,
    timer,
    titled,
)

ANSWER_IN = timedelta(days=7)
PLAINTIFFS = frozenset({"subscriber", "customer", "member", "adviser", "supervisor", "operator"})
JUDGES = frozenset({"supervisor", "adviser", "operator"})
KIND = "dispute"
OUTCOMES = {
    "upheld": titled("vous aviez raison", "you were right"),
    "rejected": titled("la remise est confirmée", "the delivery is confirmed"),
    "settled": titled("une solution a été trouvée", "a solution was found"),
    "withdrawn": titled("la contestation est retirée", "the dispute was withdrawn"),
}
EventName = Annotated[str, StringConstraints(pattern=r"^evt_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_[0-9]{1,4})?$")]


class Case(Payload):
    case_id: Annotated[Id | None, PUBLIC] = None  # of a new case the event's own id


class Contact(Payload):
    """How who disputes is told; the first that is there."""

    email: Annotated[Text | None, PERSONAL] = None
    mobile: Annotated[Text | None, PERSONAL] = None
    lang: Annotated[Literal["fr", "en"], PERSONAL] = "fr"


class Opened(Case):
    event_id: Annotated[EventName, PUBLIC]  # the public event that is disputed
    text: Annotated[Text, PERSONAL]
    about: Annotated[Text | None, PUBLIC] = None  # its subject, filled by the server, as are the two below
    about_site: Annotated[Id | None, OPERATIONAL] = None
    about_account: Annotated[Id | None, OPERATIONAL] = None
    contact: Contact | None = None


class Closed(Case):
    outcome: Annotated[Literal["upheld", "rejected", "settled", "withdrawn"], PUBLIC]
    reason: Annotated[Text, PERSONAL]


class OpenedFact(PublicData):
    case_id: Annotated[str, PUBLIC]
    event_id: Annotated[str, PUBLIC]
    about: Annotated[str, PUBLIC]
    answer_due_at: Annotated[str, PUBLIC]
    text: Annotated[str, PERSONAL]


class OverdueFact(PublicData):
    case_id: Annotated[str, PUBLIC]
    answer_due_at: Annotated[str, PUBLIC]


class ClosedFact(PublicData):
    case_id: Annotated[str, PUBLIC]
    outcome: Annotated[str, PUBLIC]
    reason: Annotated[str, PERSONAL]


CASE_ID = "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"
OPENED = EventType(
    "trust.dispute_opened",
    Opened,
    titled("Contestation ouverte", "Dispute opened"),
    (
        {
            "case_id": CASE_ID,
            "event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e45",
            "about": "item/RK123456785FR",
            "text": "Marqué distribué, rien reçu",
        },
    ),
    PLAINTIFFS,
    own_id="case_id",
    about_event="event_id",
)
CLOSED = EventType(
    "trust.dispute_closed",
    Closed,
    titled("Contestation close", "Dispute closed"),
    ({"case_id": CASE_ID, "outcome": "upheld", "reason": "Remis par erreur au 12, rapporté le lendemain"},),
    JUDGES,
)
OVERDUE = EventType(
    "trust.dispute_overdue", Case, titled("Réponse en retard", "Answer overdue"), ({"case_id": CASE_ID},)
)


class Trust(Handler):
    name = "trust"
    title = titled("Contestations", "Disputes")
    subject = "case/{case_id}"
    facts_kept = 50
    events = (OPENED, CLOSED)
    publishes = (
        *public(OpenedFact, OPENED),
        *public(ClosedFact, CLOSED),
        *public(OverdueFact, OVERDUE, alert="attention", settled_by=(CLOSED.name,)),
    )

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the case; one about an event that the server does not know for the plaintiff is refused."""
        if not data.get("case_id"):
            raise Refused("no_subject")
        if event_type == OPENED.name and not data.get("about"):
            raise Refused("unknown_event")
        return super().subjects_of(event_type, data)

    def touches(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the thing that the case is about."""
        return (data["about"],) if event_type == OPENED.name else ()

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep with the fact the site that its envelope names; of a new case, that of what it is about."""
        site = data.get("about_site") or data.get("_site")
        return {**super().kept(event_type, subject, data), "_site": site}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, knowing whose site it is; a case belongs to the account of what it is about."""
        decision = super().decide(state, replace(event, data={**event.data, "_site": event.site}), now)
        account = event.data.get("about_account") or event.actor.account
        return replace(decision, account=account) if event.type == OPENED.name else decision

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say a case when it was opened first, when its answer was due and there was none, and when it was closed first."""
        del now
        opened = next((fact for fact in facts if fact.type == OPENED.name), None)
        if opened is None:
            return Tale([], {"state": None}, writes=[Write("case_file.forget", (new.data["case_id"],))])
        if new.type == CLOSED.name and not _may_close(new, opened):
            raise Refused("not_allowed")
        closed = next((fact for fact in facts if fact.type == CLOSED.name and _may_close(fact, opened)), None)
        due_at = opened.occurred_at + ANSWER_IN
        rung = next((fact for fact in facts if fact.type == "timer.answer_due"), None)
        overdue = rung if rung and (closed is None or rung < closed) else None
        held = sorted(fact for fact in (opened, overdue, closed) if fact)
        return Tale(
            [_said(fact, opened, due_at) for fact in held],
            {"state": "closed" if closed else "open"},
            timers=timer(facts, "answer_due", None if closed else due_at),
            writes=[Write("case_file.save", _row(opened, closed, due_at)), *_notices(opened, closed, new, due_at)],
            warnings=["already_closed"] if new.type == CLOSED.name and new != closed else [],
        )


def _may_close(fact: Fact, opened: Fact) -> bool:
    return fact.by != "supervisor" or fact.data.get("_site") == opened.data.get("about_site")


def _said(fact: Fact, opened: Fact, due_at: datetime) -> Said:
    data = {"case_id": opened.data["case_id"]}
    if fact.type == CLOSED.name:
        return Said(fact, CLOSED.name, data | {name: fact.data[name] for name in ("outcome", "reason")})
    data |= {"answer_due_at": format_time(due_at)}
    if fact.type == OPENED.name:
        return Said(fact, OPENED.name, data | {name: fact.data[name] for name in ("event_id", "about", "text")})
    return Said(fact, OVERDUE.name, data)


def _notices(opened: Fact, closed: Fact | None, new: Fact, due_at: datetime) -> list[Write]:
    """Tell who disputes that there is a case, and what came of it; once each."""
    contact = opened.data.get("contact")
    if not contact or new not in (opened, closed):
        return []
    lang = contact.get("lang", "fr")
    words = {"case_id": opened.data["case_id"], "about": opened.data["about"].partition("/")[2]}
    if new == opened:
        words |= {"due": due_at.date().isoformat()}
        return [notice(new, "dispute_opened", contact, words, lang=lang)]
    words |= {"outcome": OUTCOMES[new.data["outcome"]][lang], "reason": new.data["reason"]}
    return [notice(new, "dispute_closed", contact, words, lang=lang)]


def _row(opened: Fact, closed: Fact | None, due_at: datetime) -> tuple[Any, ...]:
    """Write the case as it is listed; what was said and answered is sealed."""
    data = opened.data
    sealed = {"event_id": data["event_id"], "text": data["text"]}
    sealed |= {name: closed.data[name] for name in ("outcome", "reason")} if closed else {}
    head = data["case_id"], KIND, data["about"], data.get("about_site"), data.get("about_account") or opened.account
    times = opened.occurred_at, due_at, closed.occurred_at if closed else None
    return (*head, "closed" if closed else "open", *times, Sealed(sealed))


HANDLER = Trust()
