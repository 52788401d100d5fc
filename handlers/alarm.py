"""Alarms: a carrier asks for help, and somebody says that they have it. Taken at any time, on duty or not, with the place.

The screens of the site show one at once; if nobody takes it within a minute of its arrival, the duty desk is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from handlers import alerting
from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Located, Note, Payload, PublicData, Text, parse_time
from handlers.ladder import Climb, Step, climb
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
    located,
    public,
    shown,
    titled,
)

LADDER = (Step("desk", 60.0),)  # the screens of the site have it from the first second
RUNG = f"timer.{alerting.RUNG}.alarm.raised"
_ANY_SITE = frozenset({"operator", "server"})


class Raised(Payload):
    alarm_id: Annotated[Id | None, PUBLIC] = None  # the event's own id, unless the phone gave one
    kind: Annotated[Literal["sos", "accident", "assault", "fall"], PUBLIC]
    run_id: Annotated[Id | None, OPERATIONAL] = None
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server
    note: Annotated[Note | None, PERSONAL] = None


class Acknowledged(Payload):
    alarm_id: Annotated[Id, PUBLIC]
    acknowledged_by: Annotated[Id | None, PERSONAL] = None  # who has it, where the envelope does not say
    comment: Annotated[Note | None, PERSONAL] = None


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
    correctable = False  # whoever held the phone may have been made to say so: somebody takes it, and asks
    events = (RAISED, ACKNOWLEDGED)
    publishes = (*public(RaisedFact, RAISED), *public(AcknowledgedFact, ACKNOWLEDGED))

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep with the fact the site and the person that its envelope names, and whether it has a place."""
        more = {"_site": data.get("_site"), "_by": data.get("_by")}
        return {**super().kept(event_type, subject, data), **more, "_placed": data.get("fix") is not None}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, with what the envelope knows: whose site it is, and who acknowledges."""
        by = event.actor.entered_by or event.data.get("acknowledged_by") or event.actor.kind
        known = replace(event, data={**event.data, "_site": event.site, "_by": by})
        return super().decide(replace(state, body=_thinned(state.body, self.facts_kept)), known, now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say an alarm once, when it was first raised and where it was last, and the first acknowledgement of its site.

        Clocks differ, so either may seem earlier. Refused `not_allowed`: raised again from another site or by another
        carrier, or acknowledged from another site.
        """
        del now
        _check(facts, new)
        known = _read(facts)
        if known is None:
            return Tale([], {"state": None})
        raised, taken = known.raised, known.taken
        said = [Said(raised, raised.type, {**shown(RaisedFact, raised), **located(known.placed)})]
        said += [Said(taken, taken.type, shown(AcknowledgedFact, taken))] if taken is not None else []
        state = "open" if taken is None else "acknowledged"
        way = _climbed(facts, known)
        timer = alerting.rung_timer(RAISED.name, raised.data["alarm_id"], way.next_at, way.next_rung)
        return Tale(said, {"state": state}, timers=[timer], writes=[*_writes(facts, new, known, way)])


@dataclass(frozen=True, slots=True)
class _Known:
    """The facts that an alarm is told from: the first raise, the one with the newest place, the first with a name."""

    raised: Fact
    placed: Fact
    named: Fact
    taken: Fact | None


def _read(facts: Sequence[Fact]) -> _Known | None:
    """Read what is known of an alarm that somebody raised; of acknowledgements the first that counts."""
    raises = [fact for fact in facts if fact.type == RAISED.name]
    if not raises:
        return None
    first, site = raises[0], raises[0].data["_site"]
    placed = next((fact for fact in reversed(raises) if fact.data.get("_placed")), first)
    named = next((fact for fact in raises if fact.data.get("carrier")), first)
    taken = (fact for fact in facts if fact.type == ACKNOWLEDGED.name and _may_take(fact, site))
    return _Known(first, placed, named, next(taken, None))


def _climbed(facts: Sequence[Fact], known: _Known) -> Climb:
    """Climb from when an alarm was first known: one that a phone tells late has its minute too."""
    begun = min(parse_time(alerting.known_at(fact)) for fact in facts if fact.type == RAISED.name)
    rungs = alerting.rungs_of(facts).get(known.raised.data["alarm_id"], ())
    return climb(LADDER, begun=begun, rungs=rungs, stopped_at=known.taken.at if known.taken else None)


def _writes(facts: Sequence[Fact], new: Fact, known: _Known, way: Climb) -> Iterator[Write]:
    """Note the alarm for the screens; call the desk on its rung, and tell it what the call brought, while nobody has it."""
    alarm_id, raised = known.raised.data["alarm_id"], known.raised
    given = alerting.assignment(facts, alarm_id, known.taken)
    to_take = (
        given.to,
        parse_time(given.at) if given.at else None,
        UUID(given.comment_event) if given.comment_event else None,
    )
    yield Write("alarm.save", (*_row(known), way.rung, LADDER[way.rung - 1].who if way.rung else None, *to_take))
    if known.taken is not None:
        return
    if new.type == RUNG and _climbed([fact for fact in facts if fact.id != new.id], known).rung < way.rung:
        yield alerting.call_desk("alarm", f"alarm/{alarm_id}", alarm_id)
    if new.type == alerting.DESK:
        run = raised.data.get("run_id") or raised.run
        words = alerting.words_of(alarm_id, raised.data["kind"], level="urgent", run=run, raised_at=raised.at)
        yield from alerting.desk_notice(new, words)


def _check(facts: Sequence[Fact], new: Fact) -> None:
    """Refuse what would take an alarm away from its carrier or from those who watch over its site."""
    known = _read([fact for fact in facts if fact.id != new.id])
    if known is None:
        return
    site, carriers = known.raised.data["_site"], {known.named.data.get("carrier"), new.data.get("carrier")}
    is_elsewhere = new.type == RAISED.name and (new.data["_site"] != site or len(carriers - {None}) > 1)
    if is_elsewhere or (new.type == ACKNOWLEDGED.name and not _may_take(new, site)):
        raise Refused("not_allowed")


def _may_take(fact: Fact, site: str | None) -> bool:
    return fact.by in _ANY_SITE or fact.data["_site"] in (None, site)


def _thinned(body: Mapping[str, Any] | None, most: int) -> Mapping[str, Any] | None:
    """Make room for one more fact: the oldest goes, but never one of those that the alarm is told from."""
    if body is None or len(body["facts"]) < most:
        return body
    known = _read([Fact(*row) for row in body["facts"]])
    kept = {fact.id for fact in (known.raised, known.placed, known.named, known.taken) if fact} if known else set()
    kept |= {row[1] for row in body["facts"] if row[2] == alerting.ASSIGNED}
    kept |= {row[1] for row in body["facts"] if row[2].startswith("timer.")}
    gone = next(number for number, row in enumerate(body["facts"]) if row[1] not in kept)
    return {**body, "facts": [*body["facts"][:gone], *body["facts"][gone + 1 :]]}


def _row(known: _Known) -> tuple[Any, ...]:
    """Write the alarm as the screens need it; its place stays sealed in the journal, under its event's id."""
    data, taken = known.raised.data, known.taken
    run, carrier = data.get("run_id") or known.raised.run, known.named.data.get("carrier")
    stop_id = (known.placed.located or {}).get("stop_id")
    taken_by = (taken.occurred_at, taken.data["_by"]) if taken is not None else (None, None)
    head = data["alarm_id"], data["kind"], run, data["_site"], carrier, stop_id
    return (*head, UUID(known.placed.id), known.raised.occurred_at, *taken_by)


HANDLER = Alarms()
