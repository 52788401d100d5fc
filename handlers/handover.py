"""Hand-over of what is carried, from one run to another or to the next carrier of the same run: two sides, each with its count.

What the giver counted and the taker counted are two facts, in any order. Where they differ, or one side says nothing for half
an hour, somebody has to look.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Payload, PublicData, Text
from handlers.story import CARRIER, EventType, Fact, PublicType, Refused, Said, Tale, public, timer, titled

ANSWERED_WITHIN = timedelta(minutes=30)
THINGS = ("items", "pouches", "keys")
Count = Annotated[int, OPERATIONAL, Field(ge=0, le=100_000)]


class Counts(BaseModel):
    """How many of each: signed items, pouches, keys."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    items: Count = 0
    pouches: Count = 0
    keys: Count = 0


class Side(Payload):
    """One side's count."""

    run_id: Annotated[Id | None, PUBLIC] = None
    counts: Counts


class Given(Side):
    """What the giver counted; without `to_run` it goes to the next carrier of the same run."""

    to_run: Annotated[Id | None, PUBLIC] = None
    to_carrier: Annotated[Text | None, PERSONAL] = None


class Taken(Side):
    """What the taker counted; without `from_run` it comes from the carrier before on the same run."""

    from_run: Annotated[Id | None, PUBLIC] = None


class SideFact(PublicData):
    """One side, as the operator's systems learn it."""

    run_id: Annotated[str, PUBLIC]
    from_run: Annotated[str, PUBLIC]
    to_run: Annotated[str, PUBLIC]
    counts: Annotated[dict[str, int], OPERATIONAL]


class DiffersFact(PublicData):
    """The two sides do not agree; a side that said nothing is left out."""

    run_id: Annotated[str, PUBLIC]
    from_run: Annotated[str, PUBLIC]
    to_run: Annotated[str, PUBLIC]
    given: Annotated[dict[str, int] | None, OPERATIONAL] = None
    taken: Annotated[dict[str, int] | None, OPERATIONAL] = None


RUN_ID = "run-2026-11-21-T07"
BY = CARRIER | {"operator"}
GIVEN = EventType(
    "run.handed_over",
    Given,
    titled("Chargement remis", "Load handed over"),
    ({"run_id": RUN_ID, "to_run": "run-2026-11-21-T08", "counts": {"items": 12, "pouches": 2, "keys": 0}},),
    BY,
)
TAKEN = EventType(
    "run.taken_over",
    Taken,
    titled("Chargement repris", "Load taken over"),
    ({"run_id": "run-2026-11-21-T08", "from_run": RUN_ID, "counts": {"items": 12, "pouches": 2, "keys": 0}},),
    BY,
)
DIFFERS = PublicType(
    "run.handover_differs",
    DiffersFact,
    titled("Remise de chargement à vérifier", "Hand-over does not add up"),
    alert="attention",
)
Way = tuple[str, str]


class Handovers(Handler):
    """Tells both runs of both sides; the run that gives says where they differ."""

    name = "handover"
    title = titled("Remises de chargement", "Hand-overs")
    subject = "run/{run_id}"
    sealed_state = False
    events = (GIVEN, TAKEN)
    publishes = (*public(SideFact, GIVEN, TAKEN), DIFFERS)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the run that gives, then the one that takes. Refused: an event that names no run."""
        if not data.get("run_id"):
            raise Refused("no_run")
        return tuple(dict.fromkeys(f"run/{each}" for each in _way(event_type, data)))

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep both runs and nobody's name: this state is not sealed."""
        kept = {name: value for name, value in super().kept(event_type, subject, data).items() if name != "to_carrier"}
        if event_type not in (GIVEN.name, TAKEN.name):
            return kept
        return {**kept, **dict(zip(("from_run", "to_run"), _way(event_type, data), strict=True))}

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say every side, and on the run that gives what does not add up."""
        del now
        own = new.data["run_id"]
        said = [Said(fact, fact.type, _side(fact)) for fact in facts if fact.type in (GIVEN.name, TAKEN.name)]
        pairs = list(_pairs(facts, own))
        waiting = [one for one, other in pairs if other is None]
        rung = [fact for fact in facts if fact.type == "timer.handover_open"]
        dues = [one.occurred_at + ANSWERED_WITHIN for one in waiting]
        due = min((due for due in dues if all(fact.occurred_at < due for fact in rung)), default=None)
        said += [each for pair in pairs for each in _differing(*pair, rung)]
        return Tale(said, {"open": len(waiting)}, timers=timer(facts, "handover_open", due) if pairs else ())


def _way(event_type: str, data: Mapping[str, Any]) -> Way:
    own = data["run_id"]
    if event_type == TAKEN.name:
        return data.get("from_run") or own, own
    return own, data.get("to_run") or own


def _side(fact: Fact) -> dict[str, Any]:
    return {**{name: fact.data[name] for name in ("run_id", "from_run", "to_run")}, "counts": _counts(fact)}


def _counts(fact: Fact) -> dict[str, int]:
    return {name: fact.data["counts"].get(name, 0) for name in THINGS}


def _pairs(facts: Sequence[Fact], own: str) -> Iterator[tuple[Fact, Fact | None]]:
    """Pair the sides of each way from this run, the first given with the first taken; None for a side that is not there."""
    ways: dict[str, tuple[list[Fact], list[Fact]]] = {}
    for fact in facts:
        if fact.type in (GIVEN.name, TAKEN.name) and fact.data["from_run"] == own:
            ways.setdefault(fact.data["to_run"], ([], []))[fact.type == TAKEN.name].append(fact)
    for given, taken in ways.values():
        for number in range(max(len(given), len(taken))):
            sides = [side[number] for side in (given, taken) if number < len(side)]
            yield (sides[0], sides[1]) if len(sides) > 1 else (sides[0], None)


def _differing(one: Fact, other: Fact | None, rung: Sequence[Fact]) -> Iterator[Said]:
    """Say a difference with the later side, a missing side with the timer that waited for it."""
    sides = {("taken" if fact.type == TAKEN.name else "given"): _counts(fact) for fact in (one, other) if fact}
    named = {name: one.data[name] for name in ("run_id", "from_run", "to_run")}
    if other is not None:
        if _counts(one) != _counts(other):
            yield Said(max(one, other), DIFFERS.name, named | sides)
        return
    waited = next((fact for fact in rung if fact.occurred_at >= one.occurred_at + ANSWERED_WITHIN), None)
    if waited is not None:
        yield Said(waited, DIFFERS.name, named | sides, key=one.id)


HANDLER = Handovers()
