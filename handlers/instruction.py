"""Instructions: what a supervisor wants the carrier of a run to know or do today, at a stop or on the whole way.

It is on the sheet from the next version on; one that was given in error is taken back with `event.corrected`.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Id, Note, Payload, PublicData
from handlers.story import EventType, Fact, Refused, Said, Sealed, Tale, Write, public, titled


class Given(Payload):
    run_id: Annotated[Id | None, PUBLIC] = None
    text: Annotated[Note, PERSONAL, Field(min_length=1)]


class GivenFact(PublicData):
    run_id: Annotated[str, PUBLIC]
    stop_id: Annotated[str | None, OPERATIONAL] = None


GIVEN = EventType(
    "instruction.given",
    Given,
    titled("Consigne donnée", "Instruction given"),
    ({"run_id": "run-2026-11-21-T07", "stop_id": "st-118", "text": "Passer par la cour, la rue est barrée"},),
    frozenset({"supervisor", "operator"}),
)


class Instructions(Handler):
    name = "instruction"
    title = titled("Consignes", "Instructions")
    subject = "run/{run_id}"
    facts_kept = 100
    events = (GIVEN,)
    publishes = public(GivenFact, GIVEN)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the run; an event that names none is refused."""
        if not data.get("run_id"):
            raise Refused("no_run")
        return super().subjects_of(event_type, data)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say that something was said; keep the words where the sheet finds them."""
        del now
        given = [fact for fact in facts if fact.type == GIVEN.name]
        run_id, names = new.data["run_id"], GivenFact.model_fields
        kept = Write("instruction.keep", (run_id, [UUID(fact.id) for fact in given]))
        rows = [Write("instruction.write", _row(new))] if new in given else []
        return Tale(
            [Said(fact, GIVEN.name, {name: fact.data[name] for name in names if name in fact.data}) for fact in given],
            {"count": len(given)},
            writes=[kept, *rows],
        )


def _row(given: Fact) -> tuple[Any, ...]:
    data = given.data
    return UUID(given.id), data["run_id"], data.get("stop_id"), given.occurred_at, Sealed({"text": data["text"]})


HANDLER = Instructions()
