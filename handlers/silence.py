"""Silence: a run on duty that nothing was heard of for longer than its round is used to. Said by the server, to the operator."""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Id, Payload, PublicData, Time
from handlers.story import EventType, Fact, Said, Tale, public, shown, titled

RUN_ID = "run-2026-11-21-T07"


class Began(Payload):
    run_id: Annotated[Id, PUBLIC]
    since: Annotated[Time, OPERATIONAL]
    patience_s: Annotated[float, OPERATIONAL, Field(ge=0, le=86_400, allow_inf_nan=False)]


class Ended(Payload):
    run_id: Annotated[Id, PUBLIC]


class BeganFact(PublicData):
    run_id: Annotated[str, PUBLIC]
    since: Annotated[str, OPERATIONAL]
    patience_s: Annotated[float, OPERATIONAL]


class EndedFact(PublicData):
    run_id: Annotated[str, PUBLIC]


BEGAN = EventType(
    "silence.began",
    Began,
    titled("Tournée silencieuse", "Run fell silent"),
    ({"run_id": RUN_ID, "since": "2026-11-21T09:12:00Z", "patience_s": 900.0},),
    frozenset({"server"}),
)
ENDED = EventType(
    "silence.ended",
    Ended,
    titled("Tournée entendue à nouveau", "Run heard again"),
    ({"run_id": RUN_ID},),
    frozenset({"server"}),
)


class Silence(Handler):
    """Says a silence once until it ends, whichever process notices it."""

    name = "silence"
    title = titled("Silence d'une tournée", "Silence of a run")
    subject = "run/{run_id}"
    sealed_state = False
    facts_kept = 100
    events = (BEGAN, ENDED)
    publishes = (*public(BeganFact, BEGAN, alert="attention", settled_by=(ENDED.name,)), *public(EndedFact, ENDED))

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say each beginning that ends no silence, and each end that ends one."""
        del new, now
        said: list[Said] = []
        silent = False
        for fact in facts:
            if fact.type in (BEGAN.name, ENDED.name) and silent != (fact.type == BEGAN.name):
                silent = fact.type == BEGAN.name
                said.append(Said(fact, fact.type, shown(BeganFact if silent else EndedFact, fact)))
        return Tale(said, {"silent": silent})


HANDLER = Silence()
