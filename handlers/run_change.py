"""Changes of the day: a run goes to another carrier, or part of its work to another run. Decided on both runs in one commit."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Payload, PublicData, Text
from handlers.story import EventType, Fact, Refused, Said, Tale, Write, public, titled

MOST = 2_000
BY = frozenset({"server"})  # by POST /v1/runs/…, which checks who asks and what can be moved


class Reassigned(Payload):
    """Who walks the run from now on."""

    run_id: Annotated[Id, PUBLIC]
    to_carrier: Annotated[Text, PERSONAL]


class Split(Payload):
    """What of a run another run of the same day does from now on: stops with their open work, or single tasks."""

    run_id: Annotated[Id, PUBLIC]
    to_run: Annotated[Id, PUBLIC]
    stop_ids: Annotated[list[Id], OPERATIONAL] = Field(default_factory=list, max_length=MOST)
    task_ids: Annotated[list[Id], OPERATIONAL] = Field(default_factory=list, max_length=MOST)


class ReassignedFact(PublicData):
    """That another carrier walks it; nobody's name."""

    run_id: Annotated[str, PUBLIC]


class SplitFact(PublicData):
    """Which run gave and which took, and how much."""

    run_id: Annotated[str, PUBLIC]
    from_run: Annotated[str, PUBLIC]
    to_run: Annotated[str, PUBLIC]
    stops: Annotated[int, OPERATIONAL]
    tasks: Annotated[int, OPERATIONAL]  # named one by one; those of the stops are not counted


RUN_ID = "run-2026-11-21-T07"
REASSIGNED = EventType(
    "run.reassigned",
    Reassigned,
    titled("Tournée confiée à un autre facteur", "Run given to another carrier"),
    ({"run_id": RUN_ID, "to_carrier": "Léo"},),
    BY,
)
SPLIT = EventType(
    "run.split",
    Split,
    titled("Tournée partagée", "Run split"),
    ({"run_id": RUN_ID, "to_run": "run-2026-11-21-T08", "stop_ids": ["st-118", "st-119"]},),
    BY,
)


class RunChanges(Handler):
    """Writes what moves; of a split, the run that gives does."""

    name = "run_change"
    title = titled("Changements du jour", "Changes of the day")
    subject = "run/{run_id}"
    correctable = False  # what moved is moved back, never unsaid
    events = (REASSIGNED, SPLIT)
    publishes = (*public(ReassignedFact, REASSIGNED), *public(SplitFact, SPLIT))

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the run, and of a split also the run that takes. Refused: the same run twice."""
        if event_type == SPLIT.name and data["to_run"] == data["run_id"]:
            raise Refused("same_run")
        taker = (f"run/{data['to_run']}",) if event_type == SPLIT.name else ()
        return (*super().subjects_of(event_type, data), *taker)

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep which run gave: `run_id` becomes the story's own."""
        return {**super().kept(event_type, subject, data), "from_run": data.get("run_id")}

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say each change on every run that it is about."""
        return Tale([each for fact in facts for each in _said(fact)], {}, writes=list(_writes(new, now)))


def _said(fact: Fact) -> Iterator[Said]:
    if fact.type == REASSIGNED.name:
        yield Said(fact, fact.type, {"run_id": fact.data["run_id"]})
    elif fact.type == SPLIT.name:
        named = {name: fact.data[name] for name in ("run_id", "from_run", "to_run")}
        yield Said(fact, fact.type, {**named, **{each: len(_listed(fact, each)) for each in ("stops", "tasks")}})


def _writes(new: Fact, now: datetime) -> Iterator[Write]:
    run_id = new.data["run_id"]
    if new.type == REASSIGNED.name:
        yield Write("run.reassign", (run_id, new.data["to_carrier"]))
    elif new.type == SPLIT.name and new.data["from_run"] == run_id:
        yield Write("task.move_to_run", (run_id, new.data["to_run"], _listed(new, "tasks"), _listed(new, "stops"), now))


def _listed(fact: Fact, what: str) -> list[str]:
    return list(fact.data.get(f"{what[:-1]}_ids", ()))


HANDLER = RunChanges()
