"""Hazards: a carrier warns of a place, a supervisor confirms it, and every sheet whose line crosses it shows it until it ends.

One pair of eyes is not enough to send every colleague round the block: a carrier's report waits for a supervisor, and alerts
one. What a supervisor reports stands at once. The earliest of its `until` and `hazard.ended` ends it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from math import cos, radians
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from handlers.base import Handler
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    Id,
    Latitude,
    Longitude,
    Note,
    Payload,
    PublicData,
    Time,
    parse_time,
)
from handlers.story import (
    CARRIER,
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

JUDGES = frozenset({"supervisor", "operator"})
DEGREE_M = 110_500.0  # a little less than the shortest degree of latitude, so that the box is never too small
Kind = Literal["dog", "ice", "works", "flood", "fallen_tree", "traffic", "violence", "other"]


class Point(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    lat: Latitude
    lon: Longitude


class Reported(Payload):
    hazard_id: Annotated[Id | None, PUBLIC] = None  # the event's own id, unless the phone gave one
    kind: Annotated[Kind, OPERATIONAL]
    point: Annotated[Point, OPERATIONAL]
    radius_m: Annotated[float, OPERATIONAL, Field(ge=1, le=5_000, allow_inf_nan=False)]
    note: Annotated[Note | None, PERSONAL] = None
    until: Annotated[Time, OPERATIONAL]


class Judged(Payload):
    hazard_id: Annotated[Id, PUBLIC]
    until: Annotated[Time | None, OPERATIONAL] = None  # instead of the reporter's
    note: Annotated[Note | None, PERSONAL] = None


class Ended(Payload):
    hazard_id: Annotated[Id, PUBLIC]
    reason: Annotated[Literal["over", "unfounded"], OPERATIONAL] = "over"


class HazardFact(PublicData):
    hazard_id: Annotated[str, PUBLIC]
    kind: Annotated[str | None, OPERATIONAL] = None
    point: Annotated[dict[str, float] | None, OPERATIONAL] = None
    radius_m: Annotated[float | None, OPERATIONAL] = None
    until: Annotated[str | None, OPERATIONAL] = None
    reason: Annotated[str | None, OPERATIONAL] = None


HAZARD_ID = "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"
REPORTED = EventType(
    "hazard.reported",
    Reported,
    titled("Danger signalé", "Hazard reported"),
    (
        {
            "hazard_id": HAZARD_ID,
            "kind": "ice",
            "point": {"lat": 48.93781, "lon": 2.16091},
            "radius_m": 80.0,
            "note": "Trottoir verglacé devant l'école",
            "until": "2026-11-22T12:00:00Z",
        },
    ),
    CARRIER | {"operator"},
    own_id="hazard_id",
)
CONFIRMED = EventType(
    "hazard.confirmed",
    Judged,
    titled("Danger confirmé", "Hazard confirmed"),
    ({"hazard_id": HAZARD_ID}, {"hazard_id": HAZARD_ID, "until": "2026-11-24T12:00:00Z"}),
    JUDGES,
)
ENDED = EventType(
    "hazard.ended",
    Ended,
    titled("Danger levé", "Hazard ended"),
    ({"hazard_id": HAZARD_ID, "reason": "over"},),
    JUDGES,
)


class Hazards(Handler):
    name = "hazard"
    title = titled("Dangers", "Hazards")
    subject = "hazard/{hazard_id}"
    facts_kept = 50
    events = (REPORTED, CONFIRMED, ENDED)
    publishes = (
        *public(HazardFact, REPORTED, alert="attention", settled_by=(CONFIRMED.name, ENDED.name)),
        *public(HazardFact, CONFIRMED, ENDED),
    )

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep with the fact the site that its envelope names."""
        return {**super().kept(event_type, subject, data), "_site": data.get("_site")}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, knowing whose site it is."""
        return super().decide(state, replace(event, data={**event.data, "_site": event.site}), now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say the report and what became of it; refuse what another site says of it. Not on a sheet after its time."""
        del now
        first = _first(facts)
        if first is None:
            gone = Write("hazard.forget", (new.data["hazard_id"],))
            return Tale([], {"state": None}, timers=timer(facts, "over", None), writes=[gone])
        if not _may_say(new, first):
            raise Refused("not_allowed")
        facts = [fact for fact in facts if _may_say(fact, first)]
        state, until = _state(facts, first)
        return Tale(
            [each for fact in facts for each in _said(facts, first, fact)],
            {"state": state},
            timers=timer(facts, "over", None if state == "ended" else until),
            writes=[Write("hazard.save", _row(first, state=state, until=until, note=_note(facts)))],
        )


def _first(facts: Sequence[Fact]) -> Fact | None:
    return next((fact for fact in facts if fact.type == REPORTED.name), None)


def _may_say(fact: Fact, first: Fact) -> bool:
    return fact.by != "supervisor" or fact.data.get("_site") == first.data.get("_site")


def _confirms(fact: Fact) -> bool:
    return fact.type == CONFIRMED.name or (fact.type == REPORTED.name and fact.by in JUDGES)


def _until(facts: Sequence[Fact], first: Fact) -> datetime:
    told = [fact.data["until"] for fact in facts if fact.type == CONFIRMED.name and fact.data.get("until")]
    return parse_time(told[-1] if told else first.data["until"])


def _state(facts: Sequence[Fact], first: Fact) -> tuple[str, datetime]:
    """Say how the hazard stands, and until when it does."""
    until = _until(facts, first)
    rung = any(fact.type == "timer.over" and fact.occurred_at >= until for fact in facts)
    if rung or any(fact.type == ENDED.name for fact in facts):
        return "ended", until
    return ("confirmed" if any(_confirms(fact) for fact in facts) else "reported"), until


def _note(facts: Sequence[Fact]) -> str | None:
    """The newest note of the report and its confirmations."""
    notes = [fact.data["note"] for fact in facts if fact.type != ENDED.name and fact.data.get("note")]
    return notes[-1] if notes else None


def _said(facts: Sequence[Fact], first: Fact, fact: Fact) -> Iterator[Said]:
    """Say each step once: the first report, the first confirmation, and the first end."""
    whole = {name: first.data[name] for name in ("hazard_id", "kind", "point", "radius_m", "until")}
    if fact.id == first.id:
        yield Said(fact, REPORTED.name, whole)
    if _confirms(fact) and next(each for each in facts if _confirms(each)).id == fact.id:
        yield Said(fact, CONFIRMED.name, {**whole, **({"until": until} if (until := fact.data.get("until")) else {})})
    ends = [each for each in facts if each.type == ENDED.name or _is_over(facts, first, each)]
    if ends and ends[0].id == fact.id:
        yield Said(fact, ENDED.name, {"hazard_id": first.data["hazard_id"], "reason": fact.data.get("reason", "until")})


def _is_over(facts: Sequence[Fact], first: Fact, fact: Fact) -> bool:
    return fact.type == "timer.over" and fact.occurred_at >= _until(facts, first)


def _row(first: Fact, *, state: str, until: datetime, note: str | None) -> tuple[Any, ...]:
    """Write the hazard as the sheets find it: with the box around its circle."""
    data, lat, lon = first.data, first.data["point"]["lat"], first.data["point"]["lon"]
    north = data["radius_m"] / DEGREE_M
    east = north / max(0.01, cos(radians(min(89.0, abs(lat) + north))))
    head = data["hazard_id"], data["kind"], state, data.get("_site"), lat, lon, data["radius_m"]
    area = lon - east, lat - north, lon + east, lat + north
    return (*head, *area, until, first.occurred_at, Sealed({"note": note} if note else {}))


HANDLER = Hazards()
