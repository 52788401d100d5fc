"""Runs: one day's execution of a round. Its facts give the carrier's duty, and positions count only while on duty.

They also say whether the work of the run is in danger: `uncovered`, `late_start` (nobody began ten minutes after `starts_at`),
`run_not_served`. The write `task.threaten` then gives each open task with a window, or each open task of a run that will not be
served, a fact `timer.threatened {reason, task_id, run_id}`; `task.relieve` takes it back with `timer.relieved {…, withdrawn}`,
`withdrawn` where a late fact says that the danger never was. A quarter of an hour after its end a run is reconciled: the server
counts what was taken against where it is now, again whenever something that was missing turns up.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from handlers import custody
from handlers.base import Handler
from handlers.fields import (
    OPERATIONAL,
    PERSONAL,
    PUBLIC,
    Day,
    Id,
    Located,
    Payload,
    PublicData,
    Text,
    Time,
    parse_time,
)
from handlers.story import (
    CARRIER,
    Command,
    DropTimer,
    EventType,
    Fact,
    PublicType,
    Refused,
    Said,
    SetTimer,
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
LATE_AFTER, RECONCILED_AFTER = timedelta(minutes=10), timedelta(minutes=15)


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
    by_others: Annotated[bool | None, OPERATIONAL] = None  # other runs do all of it: nobody will start this one


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
PLANNED = _event(
    "planned",
    Planned,
    "Tournée prévue",
    round_id="T07",
    on="2026-11-21",
    starts_at="2026-11-21T06:30:00Z",
    ends_at="2026-11-21T23:00:00Z",
)
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
LATE = PublicType(
    "run.late", RunFact, titled("Tournée pas encore commencée", "Run not started yet"), alert="attention",
    settled_by=(STARTED.name, UNCOVERED.name, NOT_SERVED.name),
)  # fmt: skip
PLAIN = (STARTED, PAUSED, RESUMED, ENDED, PLANNED, UNCOVERED, COVERED, NOT_SERVED)
DUTIES = (STARTED.name, PAUSED.name, RESUMED.name, ENDED.name)
DANGERS = (UNCOVERED.name, NOT_SERVED.name, "timer.late_start", "timer.not_served")


class Runs(Handler):
    name = "run"
    title = titled("Tournées du jour", "Runs")
    subject = "run/{run_id}"
    sealed_state = False
    events = (*PLAIN, RECONCILED, MISMATCH)
    publishes = (
        *public(RunFact, *(each for each in PLAIN if each not in (UNCOVERED, NOT_SERVED))),
        *public(RunFact, UNCOVERED, alert="attention", settled_by=(COVERED.name, STARTED.name, NOT_SERVED.name)),
        *public(RunFact, NOT_SERVED, alert="urgent", settled_by=(COVERED.name, STARTED.name)),
        LATE,
        *public(ReconciledFact, RECONCILED),
        *public(MismatchFact, MISMATCH, alert="attention", settled_by=(ENDED.name,)),
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
        """Fold the facts into duty and danger; what was taken and is nowhere is missing; a run that never started was not served."""
        now_is, since = _duty(facts)
        known = {thing for fact in _reconciliations(facts) if fact < new for thing in _missing(fact)}
        missing = _missing(new) if new.type == RECONCILED.name else []
        lost = [thing.removeprefix("item/") for thing in missing if thing.startswith("item/") and thing not in known]
        return Tale(
            [each for fact in facts for each in _said(facts, fact)],
            {**now_is, **_suspected(facts)},
            timers=_timers(facts, new, now, state=now_is["state"]),
            writes=list(_writes(facts, new, now, state=(now_is["state"], since))),
            commands=[Command("item.missing", f"item/{each}", {"item_id": each}) for each in lost],
        )


def _writes(
    facts: Sequence[Fact], new: Fact, now: datetime, *, state: tuple[str | None, datetime | None]
) -> Iterator[Write]:
    run_id = new.data["run_id"]
    if new.type in (*DUTIES, PLANNED.name):
        yield Write("run.set_state", (run_id, state[0] or "planned", state[1]))
    if new.type in DANGERS or any(fact.type in DANGERS for fact in facts):
        danger = _danger(facts)
        told = ("task.threaten", (run_id, danger, now)) if danger else ("task.relieve", (run_id, new.occurred_at, now))
        yield Write(*told)
    if new.type == "timer.reconcile":
        yield Write("run.reconcile", (run_id, now))


def _timers(facts: Sequence[Fact], new: Fact, now: datetime, *, state: str | None) -> list[SetTimer | DropTimer]:
    """Set what rings; a run whose end is told late is counted a while after it is known: its phone has more to tell."""
    kinds = {fact.type for fact in facts} | {new.type}
    found: list[SetTimer | DropTimer] = []
    if PLANNED.name in kinds:
        found += timer(facts, "not_served", _ends_at(facts))
    if any(fact.data.get("starts_at") for fact in facts if fact.type == PLANNED.name):
        found += timer(facts, "late_start", _late_at(facts))
    if ENDED.name in kinds and new.type in DUTIES:
        ends = [fact.occurred_at for fact in facts if fact.type == ENDED.name]
        over = state == "ended" and bool(ends)
        found += timer(facts, "reconcile", max(ends[-1], now) + RECONCILED_AFTER if over else None)
    return found


def _late_at(facts: Sequence[Fact]) -> datetime | None:
    """Return when the run is late; None once anything of it was done, or it will not be served."""
    plans = [fact for fact in facts if fact.type == PLANNED.name and fact.data.get("starts_at")]
    done = any(fact.type in (*DUTIES, NOT_SERVED.name) for fact in facts) or _is_with_others(facts)
    if not plans or done:
        return None
    known = plans[-1].occurred_at + timedelta(milliseconds=1)  # a plan that comes too late makes it late only then
    return max(parse_time(plans[-1].data["starts_at"]) + LATE_AFTER, known)


def _is_with_others(facts: Sequence[Fact]) -> bool:
    """Tell whether other runs do all of it, as far as is known."""
    cover = [fact for fact in facts if fact.type in (UNCOVERED.name, COVERED.name)]
    return bool(cover and cover[-1].data.get("by_others"))


def _danger(facts: Sequence[Fact]) -> str | None:
    """Say why the work of the run is in danger as the facts stand; who begins or goes on takes every danger away."""
    uncovered = late = not_served = False
    for number, fact in enumerate(facts):
        if fact.type in (STARTED.name, RESUMED.name):
            uncovered = late = not_served = False
        elif fact.type in (UNCOVERED.name, COVERED.name):
            uncovered, not_served = fact.type == UNCOVERED.name, not_served and fact.type == UNCOVERED.name
            late = late and not fact.data.get("by_others")
        elif fact.type == PLANNED.name and fact.data.get("starts_at"):
            late = late and parse_time(fact.data["starts_at"]) + LATE_AFTER <= fact.occurred_at
        elif fact.type == "timer.late_start":
            late = late or _late_at(facts[:number]) is not None
        elif fact.type == NOT_SERVED.name or (fact.type == "timer.not_served" and _ends_at(facts[:number])):
            not_served = True
    return "run_not_served" if not_served else "uncovered" if uncovered else "late_start" if late else None


def _reconciliations(facts: Sequence[Fact]) -> list[Fact]:
    """Return what people counted, and the newest count of the server: it counts again when something turns up."""
    found = [fact for fact in facts if fact.type == RECONCILED.name]
    newest = next((fact for fact in reversed(found) if fact.by == "server"), None)
    return [fact for fact in found if fact.by != "server" or fact is newest]


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
    done = any(fact.type in (*DUTIES, NOT_SERVED.name) for fact in facts) or _is_with_others(facts)
    return parse_time(plans[-1]) if plans and not done else None


def _missing(fact: Fact) -> list[str]:
    found = {thing for name in ("delivered", "held", "brought_back") for thing in fact.data.get(name, ())}
    return sorted((set(fact.data.get("taken", ())) - found) | set(fact.data.get("missing", ())))


def _said(facts: Sequence[Fact], fact: Fact) -> Iterator[Said]:
    if fact.type == RECONCILED.name:
        counts = _reconciliations(facts)
        if fact not in counts:
            return
        yield Said(fact, fact.type, shown(ReconciledFact, fact) | {"missing": _missing(fact)})
        known = {thing for each in counts if each < fact for thing in _missing(each)}
        for thing in [each for each in _missing(fact) if each not in known]:
            alert = {"thing": thing, "reason": "not_brought_back"}
            yield Said(fact, custody.HELD_FOR_REVIEW.name, alert, key=thing)
    elif fact.type == MISMATCH.name:
        if _first_suspicions(facts)[fact.data["suspected_round_id"]].id == fact.id:
            yield Said(fact, fact.type, shown(MismatchFact, fact))
    elif fact.type == "timer.not_served":
        if _ends_at([each for each in facts if each < fact]):
            yield Said(fact, NOT_SERVED.name, {"run_id": fact.data["run_id"], "reason": "never_started"})
    elif fact.type == "timer.late_start":
        before = [each for each in facts if each < fact]
        late_at = _late_at(before)
        if late_at and late_at <= fact.occurred_at and _danger(before) is None:
            plan = next(each for each in reversed(before) if each.type == PLANNED.name and each.data.get("starts_at"))
            yield Said(fact, LATE.name, {"run_id": fact.data["run_id"], "starts_at": plan.data["starts_at"]})
    elif fact.type.startswith("run."):
        yield Said(fact, fact.type, shown(RunFact, fact))


HANDLER = Runs()
