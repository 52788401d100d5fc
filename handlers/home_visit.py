"""Home visits: ordered for one person, attested by six facts, and told to her family as far as she consented.

Attested = who, whom, what, where, start and end are known; otherwise the visit is incomplete and says what is missing. The
consent is the visited person's own, dated, for each answer; she changes or stops it at any time, and what is said from then on
follows (handlers/visit_consent.py). The order's `details.consent` is `{given_on, answers: [names], until?, copy?, relatives?}`; its
`mandates` have an end date each.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from itertools import takewhile
from typing import Annotated, Any, Literal

from pydantic import Field

from handlers import alerting, tasks, visit_consent
from handlers.base import Handler
from handlers.fields import (
    HEALTH,
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    Day,
    Id,
    Located,
    Note,
    Payload,
    PublicData,
    Text,
    parse_time,
)
from handlers.ladder import Ladder, Step
from handlers.notice import notice
from handlers.order_forms import VisitOrder
from handlers.story import (
    CARRIER,
    EventType,
    Fact,
    PublicType,
    Refused,
    Said,
    Tale,
    Write,
    located,
    public,
    shown,
    timer,
    titled,
)

NEEDS = (
    "call_doctor", "call_family", "call_nurse", "cleaning", "company", "heating", "help_at_home", "meals", "other", "paperwork",
    "phone_repair", "repair", "shopping", "transport", "visit_again",
)  # fmt: skip
"""Neutral words for what somebody needs: what is noted of an elderly person is read by her too."""
Answer = bool | int | float | Note | list[Note]
OFFICE = CARRIER | {"operator", "server"}
TYPES: dict[str, tuple[type, ...]] = {"boolean": (bool,), "number": (int, float), "text": (str,), "choices": (list,)}


class Visit(Payload):
    visit_id: Annotated[Id, PUBLIC]


class Visited(Visit):
    visitor: Annotated[Literal["usual", "substitute"] | None, PUBLIC] = None  # as the sheet says: known to her, or not


class Completed(Visited):
    met: Annotated[Literal["person", "relative", "nobody"], PERSONAL]
    answers: Annotated[dict[Id, Answer], HEALTH] = Field(max_length=100)
    needs: Annotated[list[Note] | None, HEALTH] = Field(default=None, max_length=20, examples=[list(NEEDS)])
    urgent: Annotated[bool | None, HEALTH] = None
    presence: Annotated[Literal["tag", "signature", "code", "location"], PERSONAL]
    signature: Annotated[Text | None, PERSONAL] = None
    cannot_sign: Annotated[bool | None, HEALTH] = None
    note: Annotated[Note | None, HEALTH] = None
    form_version: Annotated[int | None, OPERATIONAL] = None
    copy_left: Annotated[bool | None, PERSONAL] = None  # her copy, on paper


class Missed(Visit):
    reason: Annotated[Literal["nobody", "absent", "refused", "no_access", "unsafe", "not_served", "other"], PERSONAL]


class Rescheduled(Visit):
    on: Annotated[Day, PUBLIC]
    window: tasks.Window | None = None
    reason: Annotated[Literal["uncovered", "delay", "asked", "missed", "other"] | None, PUBLIC] = None


class Alert(Visit):
    level: Annotated[Literal["attention", "urgent"], PUBLIC]
    reason: Annotated[Id, PERSONAL]


class ConsentChanged(Visit):
    """What her family may learn from now on; nothing more with no answers."""

    answers: Annotated[list[Id], HEALTH] = Field(max_length=100)
    given_on: Annotated[Day | None, PERSONAL] = None
    until: Annotated[Day | None, PERSONAL] = None
    relatives: Annotated[list[Note] | None, PERSONAL] = Field(default=None, max_length=visit_consent.MOST_RELATIVES)


class VisitFact(PublicData):
    visit_id: Annotated[str, PUBLIC]
    visitor: Annotated[str | None, PUBLIC] = None
    located: Located | None = None


class CompletedFact(VisitFact):
    attested: Annotated[bool, PUBLIC]
    missing: Annotated[list[str] | None, PUBLIC] = None
    facts: Annotated[dict[str, Any], HEALTH]
    flags: Annotated[list[str] | None, PUBLIC] = None


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


STARTED = _event("started", Visited, ("Visite commencée", "Home visit started"), by=CARRIER)
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
CONSENT = _event(
    "consent_changed",
    ConsentChanged,
    ("Consentement modifié", "Consent changed"),
    by=CARRIER | {"adviser", "operator"},
    answers=["feels_well"],
    given_on="2026-11-21",
)
SHOWN: dict[str, type[VisitFact]] = {
    STARTED.name: VisitFact,
    MISSED.name: MissedFact,
    RESCHEDULED.name: RescheduledFact,
    ALERT.name: AlertFact,
    CONSENT.name: VisitFact,
}
FACE = "timer.face"  # a confirmed cover says whether the usual carrier comes (sql: cover.tell_face)
VISITOR = PublicType("home_visit.visitor_changed", VisitFact, titled("Visiteur annoncé", "Visitor announced"))
ENDS = (STARTED.name, COMPLETED.name, MISSED.name, RESCHEDULED.name)
AT_RISK_BEFORE = timedelta(minutes=30)
DESK = Step("desk", 600.0)
SETTLES = (RESCHEDULED.name, "task.cancelled", *(f"window:{each}" for each in (*ENDS, alerting.RELIEVED)))


class HomeVisit(Handler):
    name = "home_visit"
    title = titled("Visites à domicile", "Home visits")
    subject = "visit/{visit_id}"
    takes_tasks = True
    issues_ids = True
    order = VisitOrder
    stories = (((STARTED.name, {"visit_id": "V-2041"}, "device", 0.0), (FACE, {"known_face": True}, "server", 1.0)),)
    events = (STARTED, COMPLETED, MISSED, RESCHEDULED, ALERT, CONSENT)
    publishes = (
        *public(VisitFact, STARTED, CONSENT),
        *public(CompletedFact, COMPLETED),
        *public(MissedFact, MISSED),
        *public(RescheduledFact, RESCHEDULED),
        *public(AlertFact, ALERT, alert="attention", settled_by=SETTLES),
        VISITOR,
    )

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say what happened; a visit is completed once, and an urgent one alerts, as does a danger to its window.

        Refused `consent_not_dated`, `mandate_ended`: nobody may order this.
        """
        del now
        if new.type == "task.planned":
            _check(new)
        said = [each for fact in facts for each in _said(facts, fact)] + list(_threatened(facts))
        state = next((each.type for each in reversed(said) if each.type in ENDS), "home_visit.ordered")
        due = _window_end(facts)
        timers = () if due is None else timer(facts, "at_risk", None if _begun(facts) else due - AT_RISK_BEFORE)
        return Tale(
            said,
            {"state": state.partition(".")[2]},
            timers=timers,
            writes=[*_moved(facts, new), *_told(facts, new)],
            warnings=list(_warnings(facts, new)),
        )

    def ladder(self, kind: str, level: str, facts: Sequence[Fact]) -> Ladder:
        """Of an urgent visit, her contacts are told one after the other, then the desk; of another, the desk."""
        contacts = _contacts(facts) if kind == ALERT.name and level == "urgent" else []
        return (*(Step(f"contact_{number}", 300.0) for number, _ in enumerate(contacts, start=1)), DESK)

    def reach(self, facts: Sequence[Fact], alert: alerting.Alert, who: str) -> Sequence[Write]:
        """Tell the contact whose turn it is."""
        order, contacts = _order(facts), _contacts(facts)
        number = int(who.removeprefix("contact_")) if who.startswith("contact_") else 0
        if order is None or not 1 <= number <= len(contacts):
            return ()
        visit_id = order.data["subject"].partition("/")[2]
        words = {"visit_id": visit_id, "raised_at": alert.raised_at, "alert_id": alert.id}
        return [notice(order, "alert_contact", contacts[number - 1], words, key=f"{alert.id} {alert.rung}")]


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    data = {"visit_id": fact.data["visit_id"]}
    if fact.type == COMPLETED.name:
        if not _repeats(facts, fact):
            missing, flags = _missing(facts, fact), _flags(facts, fact)
            named = ({"missing": missing} if missing else {}) | ({"flags": flags} if flags else {})
            named |= {"visitor": fact.data["visitor"]} if fact.data.get("visitor") else {}
            attested = {"attested": not missing, "facts": {} if flags else _allowed(facts, fact)} | named
            yield Said(fact, fact.type, data | attested | located(fact))
        if fact.data.get("urgent"):
            yield Said(fact, ALERT.name, data | {"level": "urgent", "reason": "urgent_need"}, key="urgent")
    elif fact.type == ALERT.name:
        yield Said(fact, fact.type, shown(AlertFact, fact), key=fact.data["reason"])
    elif fact.type == FACE:
        yield Said(fact, VISITOR.name, data | {"visitor": fact.data.get("visitor")})
    elif fact.type in SHOWN:
        yield Said(fact, fact.type, shown(SHOWN[fact.type], fact))


def _threatened(facts: Sequence[Fact]) -> Iterator[Said]:
    """Alert before the window is missed, also the one that it was put off to; urgently where nobody will come at all."""
    current = [fact for fact in facts if not _is_outdated(facts, fact)]
    begins = ("task.planned", RESCHEDULED.name)
    for fact in alerting.dangers(current, said="", begins=begins, ends=(STARTED.name, COMPLETED.name, MISSED.name)):
        reason = fact.data.get("reason", "window_ends")
        level = "urgent" if reason == "run_not_served" else "attention"
        said = {"visit_id": fact.data["visit_id"], "level": level, "reason": reason}
        yield Said(fact, ALERT.name, said, key="window")


def _is_outdated(facts: Sequence[Fact], fact: Fact) -> bool:
    """Tell whether a danger is to a day or a window that, as is known now, no longer stood when it was noticed."""
    if fact.type not in ("timer.at_risk", "timer.threatened"):
        return False
    plans = [each for each in facts if each < fact and each.type in ("task.planned", RESCHEDULED.name)]
    if fact.type == "timer.threatened":
        run = str(fact.data.get("run_id", ""))
        return bool(plans) and run.startswith("run-") and not run.startswith(f"run-{plans[-1].data['on']}-")
    until = _window_end(plans)
    return until is not None and until - AT_RISK_BEFORE > fact.occurred_at


def _check(order: Fact) -> None:
    consent, on = (order.data.get("details") or {}).get("consent"), order.data["on"]
    if consent and not (isinstance(consent, Mapping) and _is_day(consent.get("given_on"))):
        raise Refused("consent_not_dated")
    if any(until < on for until in _mandate_ends(order)):
        raise Refused("mandate_ended")


def _is_day(text: object) -> bool:
    try:
        return isinstance(text, str) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _mandate_ends(order: Fact) -> list[str]:
    mandates = [each for each in order.data.get("mandates") or () if isinstance(each, Mapping)]
    return [each["until"] for each in mandates if _is_day(each.get("until"))]


def _order(facts: Sequence[Fact]) -> Fact | None:
    return next((fact for fact in reversed(facts) if fact.type == "task.planned"), None)


def _contacts(facts: Sequence[Fact]) -> list[dict[str, Any]]:
    """Return how her contacts can be told, in her order."""
    order = _order(facts)
    named = [each for each in (order.data.get("contacts") or () if order else ()) if isinstance(each, Mapping)]
    ways = [{"email": each.get("email"), "mobile": each.get("mobile") or each.get("phone")} for each in named]
    return [way for way in ways if any(way.values())]


def _begun(facts: Sequence[Fact]) -> bool:
    moves = [fact.type for fact in facts if fact.type in (STARTED.name, COMPLETED.name, MISSED.name)]
    return bool(moves) or tasks.planned(facts) is None


def _window_end(facts: Sequence[Fact]) -> datetime | None:
    """Return the end of the window as it is now: of the newest order, or of the day it was put off to."""
    ends = [
        parse_time(window["until"]) if (window := fact.data.get("window")) else None
        for fact in facts
        if fact.type in ("task.planned", RESCHEDULED.name)
    ]
    return ends[-1] if ends else None


def _moved(facts: Sequence[Fact], new: Fact) -> Iterator[Write]:
    """Put the open task on the day and window that it was put off to."""
    order = tasks.planned(facts)
    if new.type == RESCHEDULED.name and order is not None:
        since = [fact for fact in facts if order < fact and fact.type in ENDS]
        moves = list(takewhile(lambda fact: fact.type == RESCHEDULED.name, since))
        put_off = {"on": moves[-1].data["on"], "window": moves[-1].data.get("window")} if moves else {}
        yield tasks.replanned(replace(order, data={**order.data, **put_off}))


def _told(facts: Sequence[Fact], new: Fact) -> Iterator[Write]:
    """Note who may follow this visit, and tell them of a danger to it while there is time."""
    yield from visit_consent.writes(facts, new.data["visit_id"])
    if new in [said.fact for said in _threatened(facts)]:
        yield from visit_consent.warned(facts, new)


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


def _flags(facts: Sequence[Fact], done: Fact) -> list[str]:
    """Say what a person has to look at: somebody acts for her without a right to any more."""
    order = tasks.order_for(facts, done)
    return ["mandate_ended"] if order and any(until < done.at[:10] for until in _mandate_ends(order)) else []


def _allowed(facts: Sequence[Fact], done: Fact) -> dict[str, Any]:
    """Cut the answers to those that the visited person lets her family know at that time."""
    consent = visit_consent.consent_at(facts, tasks.order_for(facts, done), done)
    return {name: answer for name, answer in done.data["answers"].items() if name in consent.get("answers", ())}


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
    version = ((order.data.get("form") or {}) if order else {}).get("version")
    if version is not None and new.data.get("form_version", version) != version:
        yield "form_version_differs"
    if _flags(facts, new):
        yield "mandate_ended"
    if _missing(facts, new):
        yield "incomplete"
    if set(new.data.get("needs") or ()) - set(NEEDS):
        yield "words_not_neutral"


HANDLER = HomeVisit()
