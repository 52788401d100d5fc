"""Alarms: a carrier asks for help, and somebody says that they have it. Taken at any time, on duty or not, with the place."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Located, Note, Payload, PublicData, Text
from handlers.story import CARRIER, Decision, Event, EventType, Fact, Said, State, Tale, Write, public, shown, titled


class Raised(Payload):
    alarm_id: Annotated[Id | None, PUBLIC] = None  # the event's own id, unless the phone gave one
    kind: Annotated[Literal["sos", "accident", "assault", "fall"], PUBLIC]
    run_id: Annotated[Id | None, OPERATIONAL] = None
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server
    note: Annotated[Note | None, PERSONAL] = None


class Acknowledged(Payload):
    alarm_id: Annotated[Id, PUBLIC]
    acknowledged_by: Annotated[Id | None, PERSONAL] = None  # who has it, where the envelope does not say


class RaisedFact(PublicData):
    alarm_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    run_id: Annotated[str | None, OPERATIONAL] = None
    located: Located | None = None


class AcknowledgedFact(PublicData):
    alarm_id: Annotated[str, PUBLIC]


ALARM_ID = "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"
RAISED = EventType(
    "alarm.raised",
    Raised,
    titled("Alarme donnée", "Alarm raised"),
    (
        {"alarm_id": ALARM_ID, "kind": "sos"},
        {"alarm_id": ALARM_ID, "kind": "fall", "run_id": "run-2026-11-21-T07", "note": "Chute de vélo"},
    ),
    CARRIER,
    keeps_fix=True,
    own_id="alarm_id",
    names_carrier=True,
)
ACKNOWLEDGED = EventType(
    "alarm.acknowledged",
    Acknowledged,
    titled("Alarme prise en compte", "Alarm acknowledged"),
    ({"alarm_id": ALARM_ID},),
    frozenset({"supervisor", "operator"}),
)


class Alarms(Handler):
    name = "alarm"
    title = titled("Alarmes", "Alarms")
    subject = "alarm/{alarm_id}"
    facts_kept = 50
    events = (RAISED, ACKNOWLEDGED)
    publishes = (*public(RaisedFact, RAISED), *public(AcknowledgedFact, ACKNOWLEDGED))

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep with the fact the site and the person that its envelope names."""
        return {**super().kept(event_type, subject, data), "_site": data.get("_site"), "_by": data.get("_by")}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, with what the envelope knows: whose site it is, and who acknowledges."""
        by = event.actor.entered_by or event.data.get("acknowledged_by") or event.actor.kind
        return super().decide(state, replace(event, data={**event.data, "_site": event.site, "_by": by}), now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say each raise, and the first acknowledgement once there is a raise; clocks differ, so either may seem earlier."""
        del new, now
        raised = next((fact for fact in facts if fact.type == RAISED.name), None)
        taken = next((fact for fact in facts if fact.type == ACKNOWLEDGED.name), None)
        state = None if raised is None else "open" if taken is None else "acknowledged"
        writes = [] if raised is None else [Write("alarm.save", _row(raised, taken))]
        return Tale(list(_said(facts, taken if raised else None)), {"state": state}, writes=writes)


def _said(facts: Sequence[Fact], taken: Fact | None) -> Iterator[Said]:
    for fact in facts:
        if fact.type == RAISED.name:
            yield Said(fact, fact.type, shown(RaisedFact, fact))
        elif fact is taken:
            yield Said(fact, fact.type, shown(AcknowledgedFact, fact))


def _row(raised: Fact, taken: Fact | None) -> tuple[Any, ...]:
    """Write the alarm as the screens need it; its place stays sealed in the journal, under the event's id."""
    data, stop_id = raised.data, (raised.located or {}).get("stop_id")
    head = data["alarm_id"], data["kind"], data.get("run_id") or raised.run, data["_site"], data.get("carrier"), stop_id
    taken_by = (taken.occurred_at, taken.data["_by"]) if taken is not None else (None, None)
    return (*head, UUID(raised.id), raised.occurred_at, *taken_by)


HANDLER = Alarms()
