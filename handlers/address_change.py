"""Address changes: a carrier reports one, the server answers where it falls, a person confirms or rejects what is not sure.

Outside goes only the class of the delivery point: no address, no name, and no report of a death or from hearsay.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from handlers import tasks
from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Day, Id, Note, Payload, PublicData, Text
from handlers.story import EventType, Fact, Refused, Said, Tale, Write, public, titled

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


class Reported(Point):
    change: Annotated[Change, OPERATIONAL]
    addressee: Annotated[Text | None, PERSONAL] = None
    old_address: Annotated[Text | dict[str, Any], PERSONAL]
    new_address: Annotated[Text | dict[str, Any] | None, PERSONAL] = None
    effective_on: Annotated[Day | None, OPERATIONAL] = None
    evidence: Annotated[Text | list[Text] | None, PERSONAL] = None
    confidence: Annotated[Literal["seen", "told", "guessed"], OPERATIONAL]
    note: Annotated[Note | None, PERSONAL] = None


class Judged(Point):
    """What a person decides on one report, or on the newest one."""

    report_id: Annotated[str | None, OPERATIONAL] = None
    reason: Annotated[Note | None, PERSONAL] = None


class PointFact(PublicData):
    delivery_point_id: Annotated[str, PUBLIC]
    class_: Annotated[str | None, PUBLIC] = Field(default=None, alias="class")


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
    ({"delivery_point_id": "dp-118"},),
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

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Answer a report with its place and decision; let what is sure, or was confirmed, take effect."""
        del now
        said = [each for fact in facts for each in _said(facts, fact)]
        is_class, since = _effective(facts)
        before, _ = _effective([fact for fact in facts if fact.id != new.id])
        point = new.data["delivery_point_id"]
        answer = {**(new.placement or {}), "decision": _decision(new)} if new.type == REPORTED.name else None
        judged = {report.id for fact in facts if (report := _report(facts, fact)) and fact.type != REPORTED.name}
        review = [fact.id for fact in facts if fact.type == REPORTED.name and _decision(fact) == "review"]
        return Tale(
            said,
            {"class": is_class, "to_review": [each for each in review if each not in judged]},
            writes=[Write("delivery_point.set_class", (point, is_class, since))] if is_class != before else (),
            answer=answer,
        )


def _decision(report: Fact) -> Literal["accepted", "review"]:
    """Leave to a person what was not seen, every death, and a new address that is not placed beyond doubt."""
    if report.data["confidence"] != "seen" or report.data["change"] == "deceased":
        return "review"
    if report.data.get("new_address") is None:
        return "accepted"
    place = report.placement
    return "accepted" if place and (place.get("score") or 0) >= SURE and not place.get("ambiguous", True) else "review"


def _report(facts: Sequence[Fact], judged: Fact) -> Fact | None:
    """Return the report that a decision is about; its own if it is one."""
    reports = [fact for fact in facts if fact.type == REPORTED.name]
    if judged.type not in (CONFIRMED.name, REJECTED.name):
        return judged if judged.type == REPORTED.name else None
    wanted = judged.data.get("report_id")
    known = [fact for fact in reports if (fact.id == wanted if wanted else fact < judged)]
    return known[-1] if known else None


def _effective(facts: Sequence[Fact]) -> tuple[str | None, datetime | None]:
    """Return the class that holds now, and since when; what was rejected holds no more."""
    holding: dict[str, tuple[str, datetime]] = {}
    changed = None
    for fact in facts:
        report = _report(facts, fact)
        if report is None:
            continue
        changed = fact.occurred_at
        if fact.type == REJECTED.name:
            holding.pop(report.id, None)
        elif fact.type == CONFIRMED.name or _decision(fact) == "accepted":
            holding[report.id] = (CLASSES[report.data["change"]], fact.occurred_at)
    return max(holding.values(), key=lambda each: each[1]) if holding else (None, changed)


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    """Say the class and nothing else; a death and hearsay are not said before a person has confirmed them."""
    report = _report(facts, fact)
    if report is None:
        return
    quiet = report.data["confidence"] != "seen" or report.data["change"] == "deceased"
    if not quiet or fact.type == CONFIRMED.name:
        data = {"delivery_point_id": fact.data["delivery_point_id"], "class": CLASSES[report.data["change"]]}
        yield Said(fact, fact.type, data)


HANDLER = AddressChange()
