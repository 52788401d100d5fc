"""Home visits: ordered for one person, attested by six facts, and told to her family as far as she consented.

Attested = who, whom, what, where, start and end are known; otherwise the visit is incomplete and says what is missing.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from handlers import tasks
from handlers.base import Handler
from handlers.fields import HEALTH, PERSONAL, PUBLIC, Day, Id, Located, Note, Payload, PublicData, Text
from handlers.story import CARRIER, EventType, Fact, Said, Tale, located, public, shown, titled

Answer = bool | int | float | Note | list[Note]
OFFICE = CARRIER | {"operator", "server"}
TYPES: dict[str, tuple[type, ...]] = {"boolean": (bool,), "number": (int, float), "text": (str,), "choices": (list,)}


class Visit(Payload):
    visit_id: Annotated[Id, PUBLIC]


class Completed(Visit):
    met: Annotated[Literal["person", "relative", "nobody"], PERSONAL]
    answers: Annotated[dict[Id, Answer], HEALTH] = Field(max_length=100)
    needs: Annotated[list[Note] | None, HEALTH] = Field(default=None, max_length=20)
    urgent: Annotated[bool | None, HEALTH] = None
    presence: Annotated[Literal["tag", "signature", "code", "location"], PERSONAL]
    signature: Annotated[Text | None, PERSONAL] = None
    cannot_sign: Annotated[bool | None, HEALTH] = None
    note: Annotated[Note | None, HEALTH] = None


class Missed(Visit):
    reason: Annotated[Literal["nobody", "absent", "refused", "no_access", "unsafe", "not_served", "other"], PERSONAL]


class Rescheduled(Visit):
    on: Annotated[Day, PUBLIC]
    window: tasks.Window | None = None
    reason: Annotated[Literal["uncovered", "delay", "asked", "missed", "other"] | None, PUBLIC] = None


class Alert(Visit):
    level: Annotated[Literal["attention", "urgent"], PUBLIC]
    reason: Annotated[Id, PERSONAL]


class VisitFact(PublicData):
    visit_id: Annotated[str, PUBLIC]
    located: Located | None = None


class CompletedFact(VisitFact):
    attested: Annotated[bool, PUBLIC]
    missing: Annotated[list[str] | None, PUBLIC] = None
    facts: Annotated[dict[str, Any], HEALTH]


class MissedFact(VisitFact):
    reason: Annotated[str, PERSONAL]


class RescheduledFact(VisitFact):
    on: Annotated[str, PUBLIC]
    window: Annotated[dict[str, Any] | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None


class AlertFact(VisitFact):
    level: Annotated[str, PUBLIC]
    reason: Annotated[str, PERSONAL]


def _event(
    name: str, payload: type[Visit], title: tuple[str, str], *, by: frozenset[str] = OFFICE, **example: Any
) -> EventType:
    example, ends = {"visit_id": "V-2041", **example}, name in ("completed", "missed")
    return EventType(f"home_visit.{name}", payload, titled(*title), (example,), by, closes_task=ends)


STARTED = _event("started", Visit, ("Visite commencée", "Home visit started"), by=CARRIER)
COMPLETED = _event(
    "completed",
    Completed,
    ("Visite effectuée", "Home visit completed"),
    by=CARRIER,
    met="person",
    answers={"feels_well": True, "has_eaten": True},
    presence="tag",
    note="asks for a call on Friday",
)
MISSED = _event("missed", Missed, ("Visite non effectuée", "Home visit missed"), reason="absent")
RESCHEDULED = _event("rescheduled", Rescheduled, ("Visite reportée", "Home visit rescheduled"), on="2026-11-23")
ALERT = _event("alert", Alert, ("Alerte de visite", "Home visit alert"), level="attention", reason="door_open")
SHOWN: dict[str, type[VisitFact]] = {
    STARTED.name: VisitFact,
    MISSED.name: MissedFact,
    RESCHEDULED.name: RescheduledFact,
    ALERT.name: AlertFact,
}


class HomeVisit(Handler):
    name = "home_visit"
    title = titled("Visites à domicile", "Home visits")
    subject = "visit/{visit_id}"
    takes_tasks = True
    issues_ids = True
    events = (STARTED, COMPLETED, MISSED, RESCHEDULED, ALERT)
    publishes = (
        *public(VisitFact, STARTED),
        *public(CompletedFact, COMPLETED),
        *public(MissedFact, MISSED),
        *public(RescheduledFact, RESCHEDULED),
        *public(AlertFact, ALERT),
    )

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say what happened; a visit is completed once, and an urgent one alerts."""
        del now
        said = [each for fact in facts for each in _said(facts, fact)]
        state = next((each.type for each in reversed(said) if each.type != ALERT.name), "home_visit.ordered")
        return Tale(said, {"state": state.partition(".")[2]}, warnings=list(_warnings(facts, new)))


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    data = {"visit_id": fact.data["visit_id"]}
    if fact.type == COMPLETED.name:
        if not _repeats(facts, fact):
            missing = _missing(facts, fact)
            named = {"missing": missing} if missing else {}
            attested = {"attested": not missing, "facts": _allowed(facts, fact)} | named
            yield Said(fact, fact.type, data | attested | located(fact))
        if fact.data.get("urgent"):
            yield Said(fact, ALERT.name, data | {"level": "urgent", "reason": "urgent_need"})
    elif fact.type in SHOWN:
        yield Said(fact, fact.type, shown(SHOWN[fact.type], fact))


def _missing(facts: Sequence[Fact], done: Fact) -> list[str]:
    """Name what is not attested of the six: who, whom, what, where, start, end."""
    data = done.data
    shown = data["presence"] != "location" or bool((done.located or {}).get("stop_id"))
    signed = data["presence"] != "signature" or bool(data.get("signature") or data.get("cannot_sign"))
    attested = {
        "who": done.by == "device",
        "whom": data["met"] != "nobody",
        "what": bool(data["answers"]),
        "where": shown and signed,
        "start": any(fact.type == STARTED.name and fact < done for fact in facts),
        "end": not done.clock_suspect,
    }
    return [name for name, known in attested.items() if not known]


def _allowed(facts: Sequence[Fact], done: Fact) -> dict[str, Any]:
    """Cut the answers to those that the visited person lets her family know."""
    order = tasks.order_for(facts, done)
    consent = ((order.data.get("details") or {}) if order else {}).get("consent") or ()
    return {name: answer for name, answer in done.data["answers"].items() if name in consent}


def _repeats(facts: Sequence[Fact], done: Fact) -> bool:
    return any(fact.type == COMPLETED.name and fact < done for fact in facts)


def _warnings(facts: Sequence[Fact], new: Fact) -> Iterator[str]:
    if new.type != COMPLETED.name:
        return
    if _repeats(facts, new):
        yield "already_completed"
    order = tasks.order_for(facts, new)
    asked = ((order.data.get("form") or {}) if order else {}).get("questions") or {}
    if any(not isinstance(new.data["answers"].get(name), TYPES.get(kind, (object,))) for name, kind in asked.items()):
        yield "form_not_followed"
    if _missing(facts, new):
        yield "incomplete"


HANDLER = HomeVisit()
