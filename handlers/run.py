"""Runs: one day's execution of a round. Its facts give the carrier's duty, and positions count only while on duty."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from handlers import custody
from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Day, Id, Located, Payload, PublicData, Text, Time, parse_time
from handlers.story import (
    CARRIER,
    Command,
    EventType,
    Fact,
    Refused,
    Said,
    Tale,
    Write,
    public,
    shown,
    timer,
    titled,
)

Thing = Annotated[str, StringConstraints(pattern=r"^(item|pouch|key)/[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
Things = Annotated[list[Thing], OPERATIONAL]
OFFICE = frozenset({"server", "supervisor", "operator"})


class Run(Payload):
    run_id: Annotated[Id | None, PUBLIC] = None


class Started(Run):
    duty: Annotated[Literal["on", "mandate"], OPERATIONAL] = "on"  # a staff representative's mandate has no positions


class Planned(Run):
    round_id: Annotated[Id | None, OPERATIONAL] = None
    on: Annotated[Day | None, PUBLIC] = None
    starts_at: Annotated[Time | None, PUBLIC] = None
    ends_at: Annotated[Time | None, PUBLIC] = None
    carrier: Annotated[Text | None, PERSONAL] = None


class Served(Run):
    reason: Annotated[Literal["absence", "strike", "weather", "vehicle", "never_started", "other"] | None, PUBLIC] = (
        None
    )
    substitute: Annotated[bool | None, PUBLIC] = None


class Reconciled(Run):
    taken: Things = Field(default_factory=list, max_length=5000)
    delivered: Things = Field(default_factory=list, max_length=5000)
    held: Things = Field(default_factory=list, max_length=5000)
    brought_back: Things = Field(default_factory=list, max_length=5000)
    missing: Things = Field(default_factory=list, max_length=5000)


class MismatchSuspected(Run):
    """The fixes of a run fit another round than the one it was planned for; no place, and nobody's name."""

    round_id: Annotated[Id, OPERATIONAL]
    suspected_round_id: Annotated[Id, OPERATIONAL]
    confidence: Annotated[float, OPERATIONAL, Field(ge=0, le=1, allow_inf_nan=False)]
    since: Annotated[Time, OPERATIONAL]


class RunFact(PublicData):
    run_id: Annotated[str, PUBLIC]
    round_id: Annotated[str | None, OPERATIONAL] = None
    on: Annotated[str | None, PUBLIC] = None
    starts_at: Annotated[str | None, PUBLIC] = None
    ends_at: Annotated[str | None, PUBLIC] = None
    reason: Annotated[str | None, PUBLIC] = None
    substitute: Annotated[bool | None, PUBLIC] = None
    located: Located | None = None


class ReconciledFact(PublicData):
    run_id: Annotated[str, PUBLIC]
    taken: Annotated[list[str] | None, OPERATIONAL] = None
    delivered: Annotated[list[str] | None, OPERATIONAL] = None
    held: Annotated[list[str] | None, OPERATIONAL] = None
    brought_back: Annotated[list[str] | None, OPERATIONAL] = None
    missing: Annotated[list[str], OPERATIONAL]


class MismatchFact(PublicData):
    run_id: Annotated[str, PUBLIC]
    round_id: Annotated[str, OPERATIONAL]
    suspected_round_id: Annotated[str, OPERATIONAL]
    confidence: Annotated[float, OPERATIONAL]
    since: Annotated[str, OPERATIONAL]


RUN_ID = "run-2026-11-21-T07"


def _event(name: str, payload: type[Run], fr: str, *, by: frozenset[str] = OFFICE, **example: Any) -> EventType:
    en = f"Run {name.replace('_', ' ')}"
    return EventType(f"run.{name}", payload, titled(fr, en), ({"run_id": RUN_ID, **example},), by)


FIELD = CARRIER | {"operator"}
STARTED = _event("started", Started, "Tournée commencée", by=FIELD | {"server"})
PAUSED = _event("paused", Run, "Tournée en pause", by=FIELD)
RESUMED = _event("resumed", Run, "Tournée reprise", by=FIELD)
ENDED = _event("ended", Run, "Tournée terminée", by=FIELD | {"server"})
PLANNED = _event("planned", Planned, "Tournée prévue", round_id="T07", on="2026-11-21", ends_at="2026-11-21T13:00:00Z")
UNCOVERED = _event("uncovered", Served, "Tournée à découvert", reason="absence")
COVERED = _event("covered", Served, "Tournée couverte", substitute=True)
NOT_SERVED = _event("not_served", Served, "Tournée non assurée", reason="weather")
RECONCILED = _event(
    "reconciled",
    Reconciled,
    "Tournée rapprochée",
    by=FIELD | {"server"},
    taken=["pouch/P-5521"],
    delivered=["pouch/P-5521"],
)
MISMATCH = EventType(
    "run.mismatch_suspected",
    MismatchSuspected,
    titled("Autre tournée soupçonnée", "Run seems to be on another round"),
    (
        {
            "run_id": RUN_ID,
            "round_id": "T07",
            "suspected_round_id": "T12",
            "confidence": 0.98,
            "since": "2026-11-21T08:12:30.000Z",
        },
    ),
    frozenset({"server"}),
)
PLAIN = (STARTED, PAUSED, RESUMED, ENDED, PLANNED, UNCOVERED, COVERED, NOT_SERVED)
DUTIES = (STARTED.name, PAUSED.name, RESUMED.name, ENDED.name)


class Runs(Handler):
    name = "run"
    title = titled("Tournées du jour", "Runs")
    subject = "run/{run_id}"
    sealed_state = False
    events = (*PLAIN, RECONCILED, MISMATCH)
    publishes = (
        *public(RunFact, *PLAIN),
        *public(ReconciledFact, RECONCILED),
        *public(MismatchFact, MISMATCH),
        custody.HELD_FOR_REVIEW,
    )

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the run; an event that names none is refused."""
        if not data.get("run_id"):
            raise Refused("no_run")
        return super().subjects_of(event_type, data)

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep no name: this state is not sealed."""
        kept = super().kept(event_type, subject, data)
        return {name: value for name, value in kept.items() if name != "carrier"}

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Fold the facts into duty; what was taken and is nowhere is missing; a run that never started was not served."""
        del now
        missing = _missing(new) if new.type == RECONCILED.name else []
        lost = [thing.removeprefix("item/") for thing in missing if thing.startswith("item/")]
        now_is, since = _duty(facts)
        changes = new.type in (*DUTIES, PLANNED.name) and now_is["state"] is not None
        run_id = new.data["run_id"]
        return Tale(
            [each for fact in facts for each in _said(facts, fact)],
            {**now_is, **_suspected(facts)},
            timers=timer(facts, "not_served", _ends_at(facts))
            if any(fact.type == PLANNED.name for fact in facts)
            else (),
            writes=[Write("run.set_state", (run_id, now_is["state"], since))] if changes else (),
            commands=[Command("item.missing", f"item/{each}", {"item_id": each}) for each in lost],
        )


def _duty(facts: Sequence[Fact]) -> tuple[dict[str, Any], datetime | None]:
    """Return duty, state, whether it is a mandate, and the intervals in which positions count; and since when it holds."""
    duty, state, mandate, since = "off", None, False, None
    intervals: list[list[str | None]] = []
    for fact in facts:
        if fact.type == PLANNED.name and state is None:
            state, since = "planned", fact.occurred_at
        if fact.type not in DUTIES or (state == "ended" and fact.type in (PAUSED.name, RESUMED.name)):
            continue
        if fact.type == STARTED.name and fact.by == "server" and state in ("started", "paused"):
            continue  # the hour of duty begins nothing that a person began before it, and ends no mandate
        if fact.type == STARTED.name:
            mandate = fact.data.get("duty") == "mandate"
        goes = fact.type in (STARTED.name, RESUMED.name)
        before, duty = (
            duty,
            ("mandate" if mandate else "on") if goes else "paused" if fact.type == PAUSED.name else "off",
        )
        state, since = "started" if goes else fact.type.removeprefix("run."), fact.occurred_at
        if before == "on" and duty != "on":
            intervals[-1][1] = fact.at
        elif duty == "on" and before != "on":
            intervals.append([fact.at, None])
    return {"duty": duty, "state": state, "mandate": mandate, "intervals": intervals}, since


def _first_suspicions(facts: Iterable[Fact]) -> dict[str, Fact]:
    """Find for each other round that was suspected the first time: several processes may notice the same."""
    first: dict[str, Fact] = {}
    for fact in facts:
        if fact.type == MISMATCH.name:
            first.setdefault(fact.data["suspected_round_id"], fact)
    return first


def _suspected(facts: Sequence[Fact]) -> dict[str, Any]:
    """Return the other round that was suspected last, for the screens; nothing where none was."""
    found = list(_first_suspicions(facts).items())
    return {"mismatch": {"round_id": found[-1][0], "since": found[-1][1].data["since"]}} if found else {}


def _ends_at(facts: Sequence[Fact]) -> datetime | None:
    """Return when the run counts as not served; None once anything of it was done or said."""
    plans = [fact.data["ends_at"] for fact in facts if fact.type == PLANNED.name and fact.data.get("ends_at")]
    done = any(fact.type in (*DUTIES, NOT_SERVED.name) for fact in facts)
    return parse_time(plans[-1]) if plans and not done else None


def _missing(fact: Fact) -> list[str]:
    found = {thing for name in ("delivered", "held", "brought_back") for thing in fact.data.get(name, ())}
    return sorted((set(fact.data.get("taken", ())) - found) | set(fact.data.get("missing", ())))


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    if fact.type == RECONCILED.name:
        yield Said(fact, fact.type, shown(ReconciledFact, fact) | {"missing": _missing(fact)})
        for thing in _missing(fact):
            alert = {"thing": thing, "reason": "not_brought_back"}
            yield Said(fact, custody.HELD_FOR_REVIEW.name, alert, key=thing)
    elif fact.type == MISMATCH.name:
        if _first_suspicions(facts)[fact.data["suspected_round_id"]].id == fact.id:
            yield Said(fact, fact.type, shown(MismatchFact, fact))
    elif fact.type == "timer.not_served":
        if _ends_at([each for each in facts if each < fact]):
            yield Said(fact, NOT_SERVED.name, {"run_id": fact.data["run_id"], "reason": "never_started"})
    elif fact.type.startswith("run."):
        yield Said(fact, fact.type, shown(RunFact, fact))


HANDLER = Runs()
