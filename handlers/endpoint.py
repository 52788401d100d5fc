"""Endpoints: what a subscriber has to know of its own webhooks. Said by the server, to the account whose endpoint it is.

The server reads what is to be told from its records, and may read it twice; each thing is told once. What an attempt on one of
these events comes to is not told, or it would never end.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Id, Payload, PublicData, Time, format_time, parse_time
from handlers.story import Decision, Event, EventType, Fact, Said, State, Tale, public, shown, titled

Percent = Literal[50, 70, 90]
Stopped = Literal["gone", "failing"]
Behind = Literal["unacknowledged", "retention"]
Over = Literal["open", "lag"]
Code = Annotated[str, StringConstraints(max_length=64)]  # status 503, connect, timeout
Subject = Annotated[str, StringConstraints(max_length=200)]
Count = Annotated[int, Field(ge=0, le=2**53 - 1)]
_ID, _ACCOUNT = "ep_019a8f3e7c117d3a9a510c5d8c1f2e44", "acc-1"
_BASE = {"endpoint_id": _ID, "account": _ACCOUNT}
_SERVER = frozenset({"server"})


class Told(Payload):
    """What every one of them says: which endpoint, and whose it is."""

    endpoint_id: Annotated[Id, PUBLIC]
    account: Annotated[Id, OPERATIONAL]


class Degraded(Told):
    percent: Annotated[Percent, PUBLIC]  # of the time after which it is disabled
    failing_since: Annotated[Time, PUBLIC]
    disabled_at: Annotated[Time, PUBLIC]  # if nothing succeeds until then


class Open(Told):
    since: Annotated[Time, PUBLIC]
    error: Annotated[Code | None, PUBLIC] = None


class Recovered(Told):
    after: Annotated[Over, PUBLIC]
    since: Annotated[Time, PUBLIC]


class Disabled(Told):
    reason: Annotated[Stopped, PUBLIC]  # gone: it answered 410
    since: Annotated[Time, PUBLIC]


class Exhausted(Told):
    event_id: Annotated[Id | None, PUBLIC] = None  # none: only how many more there were
    about: Annotated[Subject | None, PUBLIC] = None
    reason: Annotated[Code | None, PUBLIC] = None
    attempts: Annotated[Count, PUBLIC] = 0
    since: Annotated[Time, PUBLIC]
    more: Annotated[Count, PUBLIC] = 0  # given up as well, and not told one by one


class Lag(Told):
    reason: Annotated[Behind, PUBLIC]
    since: Annotated[Time, PUBLIC]  # when the oldest event that it has not acknowledged was received
    dropped_at: Annotated[Time | None, PUBLIC] = None  # retention: when events go that it has not read


class EndpointFact(PublicData):
    endpoint_id: Annotated[str, PUBLIC]


class DegradedFact(EndpointFact):
    percent: Annotated[int, PUBLIC]
    failing_since: Annotated[str, PUBLIC]
    disabled_at: Annotated[str, PUBLIC]


class OpenFact(EndpointFact):
    since: Annotated[str, PUBLIC]
    error: Annotated[str | None, PUBLIC] = None


class RecoveredFact(EndpointFact):
    after: Annotated[str, PUBLIC]
    since: Annotated[str, PUBLIC]


class DisabledFact(EndpointFact):
    reason: Annotated[str, PUBLIC]
    since: Annotated[str, PUBLIC]


class ExhaustedFact(EndpointFact):
    event_id: Annotated[str | None, PUBLIC] = None
    about: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None
    attempts: Annotated[int, PUBLIC] = 0
    since: Annotated[str, PUBLIC]
    more: Annotated[int, PUBLIC] = 0


class LagFact(EndpointFact):
    reason: Annotated[str, PUBLIC]
    since: Annotated[str, PUBLIC]
    dropped_at: Annotated[str | None, PUBLIC] = None


DEGRADED = EventType(
    "endpoint.degraded",
    Degraded,
    titled("Point d'accès en échec", "Endpoint keeps failing"),
    ({**_BASE, "percent": 50, "failing_since": "2026-11-19T09:00:00Z", "disabled_at": "2026-11-24T09:00:00Z"},),
    _SERVER,
)
OPEN = EventType(
    "endpoint.open",
    Open,
    titled("Point d'accès suspendu", "Endpoint held back"),
    ({**_BASE, "since": "2026-11-21T09:00:00Z", "error": "status 503"},),
    _SERVER,
)
RECOVERED = EventType(
    "endpoint.recovered",
    Recovered,
    titled("Point d'accès rétabli", "Endpoint recovered"),
    ({**_BASE, "after": "open", "since": "2026-11-21T09:00:00Z"},),
    _SERVER,
)
DISABLED = EventType(
    "endpoint.disabled",
    Disabled,
    titled("Point d'accès désactivé", "Endpoint disabled"),
    ({**_BASE, "reason": "failing", "since": "2026-11-21T09:00:00Z"},),
    _SERVER,
)
EXHAUSTED = EventType(
    "attempt.exhausted",
    Exhausted,
    titled("Envoi abandonné", "Event given up"),
    (
        {
            **_BASE,
            "event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
            "about": "item/RK123456785FR",
            "reason": "status 500",
            "attempts": 10,
            "since": "2026-11-21T09:00:00Z",
        },
        {**_BASE, "since": "2026-11-21T09:00:00Z", "more": 1200},
    ),
    _SERVER,
)
LAG = EventType(
    "lag.high",
    Lag,
    titled("Retard d'un point d'accès", "Endpoint is behind"),
    (
        {**_BASE, "reason": "unacknowledged", "since": "2026-11-21T09:00:00Z"},
        {**_BASE, "reason": "retention", "since": "2025-10-21T09:00:00Z", "dropped_at": "2026-11-28T00:00:00Z"},
    ),
    _SERVER,
)
_FACTS: Mapping[str, type[PublicData]] = {
    DEGRADED.name: DegradedFact,
    OPEN.name: OpenFact,
    RECOVERED.name: RecoveredFact,
    DISABLED.name: DisabledFact,
    EXHAUSTED.name: ExhaustedFact,
    LAG.name: LagFact,
}
_TIMES = frozenset({"failing_since", "disabled_at", "since", "dropped_at"})
_ONCE_FOR = ("after", "reason", "percent", "failing_since", "since", "event_id", "dropped_at")


class Endpoint(Handler):
    """Says each thing once, whichever process reads it from the records."""

    name = "endpoint"
    title = titled("Points d'accès des abonnés", "Endpoints of subscribers")
    subject = "endpoint/{endpoint_id}"
    sealed_state = False
    facts_kept = 200
    correctable = False
    events = (DEGRADED, OPEN, RECOVERED, DISABLED, EXHAUSTED, LAG)
    publishes = tuple(said for each in events for said in public(_FACTS[each.name], each))

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; what is said belongs to the account whose endpoint it is."""
        return replace(super().decide(state, event, now), account=event.data.get("account") or state.account)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say what was not said before; of a lag its beginning, and its end."""
        del new, now
        said: list[Said] = []
        known: set[tuple[Any, ...]] = set()
        behind = False
        for fact in facts:
            once = (fact.type, *(fact.data.get(name) for name in _ONCE_FOR))
            if fact.type not in _FACTS or once in known:
                continue
            known.add(once)
            turn = _turn(fact)
            if turn is not None:
                if turn == behind:
                    continue
                behind = turn
            said.append(Said(fact, fact.type, _written(shown(_FACTS[fact.type], fact))))
        return Tale(said, {"behind": behind})


def _turn(fact: Fact) -> bool | None:
    """Tell whether a fact begins or ends a lag; None of any other."""
    if fact.type == LAG.name and fact.data["reason"] == "unacknowledged":
        return True
    return False if fact.type == RECOVERED.name and fact.data["after"] == "lag" else None


def _written(data: Mapping[str, Any]) -> dict[str, Any]:
    """Write every time to the millisecond, as those of the envelope."""
    return {name: format_time(parse_time(value)) if name in _TIMES and value else value for name, value in data.items()}


HANDLER = Endpoint()
