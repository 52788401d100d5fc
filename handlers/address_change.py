"""Address changes: a carrier reports one, the server answers where it falls, a person confirms or rejects what is not sure.

What holds moves the delivery point, from its day on and in the same commit: `delivery_point.place` is told where the story
wants the point (its round, its letterbox, its written address), and puts it back where nothing holds any more.

Outside goes only the class of the delivery point: no address, no name, and no report of a death or from hearsay. A new address
leaves only where the mover said so, and only to an account that she named and that ordered something at this very point.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field

from handlers import placing, tasks
from handlers.base import Handler
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    Day,
    Id,
    Latitude,
    Longitude,
    Note,
    Payload,
    PublicData,
    Text,
    parse_time,
)
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

SURE = 0.9
CLASSES = {
    "moved": "moved",
    "vacant": "undeliverable",
    "deceased": "undeliverable",
    "wrong_number": "corrected",
    "renamed_street": "renamed",
    "mailbox_moved": "corrected",
    "name_missing": "undeliverable",
    "new_delivery_point": "created",
}
Change = Literal[
    "moved",
    "vacant",
    "deceased",
    "wrong_number",
    "renamed_street",
    "mailbox_moved",
    "name_missing",
    "new_delivery_point",
]
JUDGES = frozenset({"address_quality", "operator", "supervisor"})


class Point(Payload):
    delivery_point_id: Annotated[Id | None, PUBLIC] = None


class Consent(Payload):
    """The mover's own word, given that day, that these accounts may learn her new address."""

    by: Annotated[Text, PERSONAL] = Field(min_length=1)
    on: Annotated[Day, OPERATIONAL]
    how: Annotated[Literal["signed", "said_at_the_door", "letter", "online"], OPERATIONAL]
    to: Annotated[list[Id], OPERATIONAL] = Field(min_length=1, max_length=20)


class Place(Payload):
    """Where a person puts the point, instead of what the server proposed."""

    round_id: Annotated[Id, OPERATIONAL]
    after_stop_id: Annotated[Id | None, OPERATIONAL] = None
    before_stop_id: Annotated[Id | None, OPERATIONAL] = None
    lat: Annotated[Latitude, PERSONAL]
    lon: Annotated[Longitude, PERSONAL]
    normalised: Annotated[Text | None, PERSONAL] = None


class Reported(Point):
    change: Annotated[Change, OPERATIONAL]
    new_delivery_point_id: Annotated[Id | None, OPERATIONAL] = None  # of a new point; the server makes one otherwise
    addressee: Annotated[Text | None, PERSONAL] = None
    old_address: Annotated[Text | dict[str, Any], PERSONAL]
    new_address: Annotated[Text | dict[str, Any] | None, PERSONAL] = None
    effective_on: Annotated[Day | None, OPERATIONAL] = None
    evidence: Annotated[Text | list[Text] | None, PERSONAL] = None
    confidence: Annotated[Literal["seen", "told", "guessed"], OPERATIONAL]
    note: Annotated[Note | None, PERSONAL] = None
    consent: Consent | None = None


class Judged(Point):
    """What a person decides on one report, or on the newest one."""

    report_id: Annotated[str | None, OPERATIONAL] = None
    reason: Annotated[Note | None, PERSONAL] = None
    place: Place | None = None


class PointFact(PublicData):
    delivery_point_id: Annotated[str, PUBLIC]
    class_: Annotated[str | None, PUBLIC] = Field(default=None, alias="class")
    new_address: Annotated[Any, PERSONAL] = None  # only by the mover's recorded consent


_EXAMPLE = {
    "stop_id": "st-118",
    "delivery_point_id": "dp-118",
    "change": "moved",
    "addressee": "Mme Martin",
    "old_address": "3 rue des Lilas, 93140 Bondy",
    "new_address": "12 avenue Pasteur, 93140 Bondy",
    "confidence": "seen",
}
REPORTED = EventType(
    "address_change.reported",
    Reported,
    titled("Changement d'adresse signalé", "Address change reported"),
    (_EXAMPLE,),
    by=frozenset({"device", "supervisor", "operator"}),
    keeps_fix=True,
    place_field="new_address",
    closes_task=True,  # a check of this address that was ordered
)
CONFIRMED = EventType(
    "address_change.confirmed",
    Judged,
    titled("Changement d'adresse confirmé", "Address change confirmed"),
    (
        {"delivery_point_id": "dp-118"},
        {
            "delivery_point_id": "dp-118",
            "place": {"round_id": "T07", "after_stop_id": "st-117", "lat": 48.9, "lon": 2.48},
        },
    ),
    by=JUDGES,
)
REJECTED = EventType(
    "address_change.rejected",
    Judged,
    titled("Changement d'adresse rejeté", "Address change rejected"),
    ({"delivery_point_id": "dp-118", "reason": "the name is still on the box"},),
    by=JUDGES,
)


class AddressChange(Handler):
    name = "address_change"
    title = titled("Changements d'adresse", "Address changes")
    subject = "delivery_point/{delivery_point_id}"
    events = (REPORTED, CONFIRMED, REJECTED)
    publishes = public(PointFact, REPORTED, CONFIRMED, REJECTED)
    takes_tasks = True

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the delivery point: the payload's, else the one that intake located."""
        if event_type not in tasks.TYPES and not data.get("delivery_point_id"):
            raise Refused("no_delivery_point")
        return super().subjects_of(event_type, data)

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the fix of a moved letterbox whole, which is the reported place; of a judgement, whose it is."""
        kept, fix = super().kept(event_type, subject, data), data.get("fix")
        if event_type in (CONFIRMED.name, REJECTED.name):
            return {**kept, "_by": data.get("_by")}
        if data.get("change") == "mailbox_moved" and isinstance(fix, Mapping):
            return {**kept, "fix": {name: fix[name] for name in ("lat", "lon", "accuracy_m") if name in fix}}
        return kept

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, with who the envelope says entered a judgement."""
        if event.type in (CONFIRMED.name, REJECTED.name):
            event = replace(event, data={**event.data, "_by": event.actor.entered_by})
        return super().decide(state, event, now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Answer a report with its place and decision; let what is sure, or was confirmed, take effect from its day on."""
        del now
        said = [each for fact in facts for each in _said(facts, fact)]
        holding = _holding(facts)
        judged = {report.id for fact in facts if (report := _report(facts, fact)) and fact.type != REPORTED.name}
        review = [fact.id for fact in facts if fact.type == REPORTED.name and _decision(fact) == "review"]
        return Tale(
            said,
            {"class": _class(facts, holding)[0], "to_review": [each for each in review if each not in judged]},
            timers=timer(facts, "effective", _next_day(facts, holding)) if _waits(facts) else (),
            writes=() if new.type in tasks.TYPES else _writes(facts, new, holding),
            answer=_answer(facts, new),
        )


Holding = Mapping[str, placing.Held]  # by report id


def _decision(report: Fact) -> Literal["accepted", "review"]:
    """Leave to a person what was not seen, every death, and a new address that is not placed beyond doubt."""
    if report.data["confidence"] != "seen" or report.data["change"] == "deceased":
        return "review"
    if report.data.get("new_address") is None:
        return "accepted"
    place = report.placement
    return "accepted" if place and (place.get("score") or 0) >= SURE and not place.get("ambiguous", True) else "review"


def _answer(facts: Sequence[Fact], new: Fact) -> Mapping[str, Any] | None:
    if new.type == REPORTED.name:
        made = {"delivery_point_id": placing.new_point_of(new)} if new.data["change"] == "new_delivery_point" else {}
        return {**(new.placement or {}), "decision": _decision(new), **made}
    report = _report(facts, new)
    return {"placed": bool(placing.place_of(report, new))} if report and new.type == CONFIRMED.name else None


def _report(facts: Sequence[Fact], judged: Fact) -> Fact | None:
    """Return the report that a decision is about; its own if it is one."""
    reports = [fact for fact in facts if fact.type == REPORTED.name]
    if judged.type not in (CONFIRMED.name, REJECTED.name):
        return judged if judged.type == REPORTED.name else None
    wanted = judged.data.get("report_id")
    known = [fact for fact in reports if (fact.id == wanted if wanted else fact < judged)]
    return known[-1] if known else None


def _holding(facts: Sequence[Fact]) -> Holding:
    """Find the reports that hold, in the order in which they came to; what was rejected holds no more."""
    found: dict[str, placing.Held] = {}
    for fact in facts:
        report = _report(facts, fact)
        if report is None:
            continue
        found.pop(report.id, None) if fact.type != REPORTED.name else None
        if fact.type == CONFIRMED.name or (fact.type == REPORTED.name and _decision(fact) == "accepted"):
            found[report.id] = (report, fact)
    return found


def _class(facts: Sequence[Fact], holding: Holding) -> tuple[str | None, datetime | None]:
    """Return the class that holds for this point now, and since when."""
    held = [(CLASSES[report.data["change"]], by.occurred_at) for report, by in holding.values() if not _makes(report)]
    changed = [fact.occurred_at for fact in facts if _report(facts, fact)]
    return held[-1] if held else (None, changed[-1] if changed else None)


def _makes(report: Fact) -> bool:
    return report.data["change"] == "new_delivery_point" and bool(report.placement or report.data.get("new_address"))


def _writes(facts: Sequence[Fact], new: Fact, holding: Holding) -> list[Write]:
    """Say what the point is and where it is wanted, of every point that this story made as well; again changes nothing."""
    point = new.data["delivery_point_id"]
    reports = {fact.id: fact for fact in (*facts, new) if fact.type == REPORTED.name}
    made = {placing.new_point_of(each): each.id for each in reports.values() if _makes(each)}
    effective = [each for each in holding.values() if _is_due(each[0], facts)]
    is_class, since = _class(facts, holding)
    writes = [Write("delivery_point.set_class", (point, is_class, since or new.occurred_at))] if reports else []
    writes.append(placing.write_of(point, [each for each in effective if not _makes(each[0])], new))
    writes += [_noted(facts, report) for report in reports.values()]
    if new.type == REPORTED.name and new in facts:
        writes.append(
            Write("sheet.close_checks", (point, new.id, new.occurred_at))
        )  # what was ordered as a check of it
    for made_id, report_id in made.items():
        writes.append(placing.write_of(made_id, [each for each in effective if each[0].id == report_id], new))
        if report_id in holding:
            writes.append(Write("delivery_point.set_class", (made_id, "created", holding[report_id][1].occurred_at)))
    return writes


def _noted(facts: Sequence[Fact], report: Fact) -> Write:
    """Write a report down for those who judge it."""
    verdicts = [fact for fact in facts if fact.type != REPORTED.name and _report(facts, fact) == report]
    judged = verdicts[-1] if verdicts else None
    state = judged.type.rpartition(".")[2] if judged else "review" if _decision(report) == "review" else "accepted"
    data, place = report.data, report.placement or {}
    names = ("addressee", "old_address", "new_address", "evidence", "note", "consent", "fix")
    sealed = {name: data[name] for name in names if data.get(name) is not None} | {"placement": dict(place)}
    return Write(
        "address_report.put",
        (
            UUID(report.id), data["delivery_point_id"], report.occurred_at, state if report in facts else "withdrawn",
            data["change"], data["confidence"], data.get("effective_on"), place.get("round_id"), place.get("score"),
            Sealed(sealed), (judged.data.get("_by") or judged.by) if judged else None, judged.occurred_at if judged else None,
        ),
    )  # fmt: skip


def _is_due(report: Fact, facts: Sequence[Fact]) -> bool:
    """Tell whether the day of a change has come: something of the story, its timer at the latest, happened on it."""
    day = report.data.get("effective_on")
    return day is None or any(fact.at[:10] >= day for fact in facts)


def _waits(facts: Sequence[Fact]) -> bool:
    return any(fact.data.get("effective_on") for fact in facts if fact.type == REPORTED.name)


def _next_day(facts: Sequence[Fact], holding: Holding) -> datetime | None:
    days = [report.data["effective_on"] for report, _ in holding.values() if not _is_due(report, facts)]
    return parse_time(f"{min(days)}T00:00:00Z") if days else None


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    """Say the class and nothing else; a death and hearsay are not said before a person has confirmed them."""
    report = _report(facts, fact)
    if report is None:
        return
    quiet = report.data["confidence"] != "seen" or report.data["change"] == "deceased"
    if not quiet or fact.type == CONFIRMED.name:
        point = placing.new_point_of(report) if _makes(report) else fact.data["delivery_point_id"]
        data = {"delivery_point_id": point, "class": CLASSES[report.data["change"]]}
        yield Said(fact, fact.type, data | _by_consent(facts, report, fact))


def _by_consent(facts: Sequence[Fact], report: Fact, fact: Fact) -> dict[str, Any]:
    """Add the new address where the mover let this very account have it, and it holds."""
    consent, order = report.data.get("consent"), tasks.planned(facts) or tasks.order_for(facts, fact)
    if consent is None or order is None or order.account not in consent["to"] or report.data["change"] != "moved":
        return {}
    holds = _holding(facts).get(report.id)
    if holds is None or holds[1].id != fact.id or consent["on"] > fact.at[:10] or not report.data.get("new_address"):
        return {}
    return {"new_address": report.data["new_address"]}


HANDLER = AddressChange()
