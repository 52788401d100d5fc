"""Cover: who does what of rounds that nobody walks today, as a supervisor confirmed it. What moves is told as `run.split`s.

What is left of a run goes on being in danger, and is told as not served; a run of which nothing is left is covered by others.
Everybody who is visited learns whether the usual carrier comes or a substitute.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Annotated

from pydantic import Field

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Day, Id, Payload, PublicData
from handlers.story import Command, EventType, Fact, Said, Tale, Write, public, shown, titled


class Given(Payload):
    """Stops of one run that another one does, and whether its carrier knows them."""

    run_id: Annotated[Id, OPERATIONAL]
    to_run: Annotated[Id, OPERATIONAL]
    stop_ids: Annotated[list[Id], OPERATIONAL] = Field(default_factory=list, max_length=5_000)
    known_face: Annotated[bool, OPERATIONAL] = False


class Confirmed(Payload):
    cover_id: Annotated[Id, PUBLIC]
    on: Annotated[Day, PUBLIC]
    pieces: Annotated[list[Given], OPERATIONAL] = Field(default_factory=list, max_length=2_000)
    covered: Annotated[list[Id], OPERATIONAL] = Field(default_factory=list, max_length=200)
    not_served: Annotated[list[Id], OPERATIONAL] = Field(default_factory=list, max_length=200)


class CoverFact(PublicData):
    """Which runs others do wholly, and which they do not."""

    cover_id: Annotated[str, PUBLIC]
    on: Annotated[str, PUBLIC]
    covered: Annotated[list[str], OPERATIONAL]
    not_served: Annotated[list[str], OPERATIONAL]


CONFIRMED = EventType(
    "cover.confirmed",
    Confirmed,
    titled("Remplacement confirmé", "Cover confirmed"),
    (
        {
            "cover_id": "cov_1",
            "on": "2026-11-21",
            "pieces": [{"run_id": "run-2026-11-21-T07", "to_run": "run-2026-11-21-T08", "stop_ids": ["st-118"]}],
            "covered": ["run-2026-11-21-T07"],
        },
    ),
    by=frozenset({"server"}),
)


class Cover(Handler):
    name = "cover"
    title = titled("Remplacements", "Cover")
    subject = "cover/{cover_id}"
    sealed_state = False
    correctable = False  # work was moved and people were told: another proposal moves it on
    events = (CONFIRMED,)
    publishes = public(CoverFact, CONFIRMED)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Tell each run how it stands, and everybody who is visited who comes."""
        said = [
            Said(fact, fact.type, {"covered": [], "not_served": []} | shown(CoverFact, fact))
            for fact in facts
            if fact.type == CONFIRMED.name
        ]
        return Tale(said, {}, writes=list(_faces(new, now)), commands=list(_commands(new)))


def _faces(new: Fact, now: datetime) -> Iterator[Write]:
    for piece in new.data.get("pieces", ()):
        face = "usual" if piece.get("known_face") else "substitute"
        yield Write("cover.tell_face", (piece["run_id"], piece["to_run"], list(piece.get("stop_ids", ())), face, now))


def _commands(new: Fact) -> Iterator[Command]:
    for run_id in new.data.get("covered", ()):
        yield Command("run.covered", f"run/{run_id}", {"run_id": run_id, "substitute": True, "by_others": True})
    for run_id in new.data.get("not_served", ()):
        yield Command("run.not_served", f"run/{run_id}", {"run_id": run_id, "reason": "absence"})


HANDLER = Cover()
