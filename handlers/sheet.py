"""Sheets: the phone says which version of its plan of the day it shows; from then on what was asked is seen by the carrier."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Id, Payload, PublicData
from handlers.story import EventType, Fact, Refused, Said, Tale, Write, public, titled


class Seen(Payload):
    """The version shown, as the sheet names it."""

    run_id: Annotated[Id | None, PUBLIC] = None
    version: Annotated[int, OPERATIONAL] = Field(ge=0, le=2**53 - 1)


class SeenFact(PublicData):
    """What the operator's systems learn."""

    run_id: Annotated[str, PUBLIC]
    version: Annotated[int, OPERATIONAL]


SEEN = EventType(
    "sheet.seen",
    Seen,
    titled("Feuille de tournée vue", "Sheet seen"),
    ({"run_id": "run-2026-11-21-T07", "version": 3},),
    by=frozenset({"device"}),
)


class Sheet(Handler):
    """Says each version once, however often a phone repeats it."""

    name = "sheet"
    title = titled("Feuilles de tournée", "Sheets")
    subject = "run/{run_id}"
    sealed_state = False
    events = (SEEN,)
    publishes = public(SeenFact, SEEN)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the run; an event that names none is refused."""
        if not data.get("run_id"):
            raise Refused("no_run")
        return super().subjects_of(event_type, data)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say the first sight of each version, and mark the tasks of the one just shown as seen."""
        del now
        first: dict[int, Fact] = {}
        for fact in facts:
            if fact.type == SEEN.name:
                first.setdefault(fact.data["version"], fact)
        said = [
            Said(fact, SEEN.name, {"run_id": fact.data["run_id"], "version": version})
            for version, fact in first.items()
        ]
        run_id, version = new.data.get("run_id"), new.data.get("version")
        seen = (run_id, version, new.occurred_at)
        writes = (
            [Write("task.mark_seen", seen), Write("request.sheet_seen", seen)]
            if new in facts and new.type == SEEN.name
            else []
        )
        return Tale(said, {"version": max(first, default=None)}, writes=writes)


HANDLER = Sheet()
