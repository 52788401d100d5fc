"""Ratings: how likely somebody is to recommend a service, 0 to 10, after having received it or worked with it.

A customer rates a thing that was brought or done (through the system that ordered it, or an adviser); a carrier rates a service
from the phone, as feedback on its pilot. A carrier rates no delivery, and nobody rates a carrier.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from pydantic import Field, StringConstraints

from handlers.base import Handler
from handlers.fields import PERSONAL, PUBLIC, Id, Note, Payload, PublicData
from handlers.story import Decision, Event, EventType, Fact, Refused, Said, State, Tale, public, titled

CUSTOMERS = frozenset({"subscriber", "customer", "adviser", "member"})
About = Annotated[
    str,
    StringConstraints(pattern=r"^(service|item|visit|pouch|key|pet|meter)/[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"),
]


class Given(Payload):
    rating_id: Annotated[Id | None, PUBLIC] = None  # the event's own id, unless there is one
    about: Annotated[About, PUBLIC]
    score: Annotated[int, PUBLIC, Field(ge=0, le=10)]
    comment: Annotated[Note | None, PERSONAL] = None


class GivenFact(PublicData):
    rating_id: Annotated[str, PUBLIC]
    about: Annotated[str, PUBLIC]
    score: Annotated[int, PUBLIC]
    comment: Annotated[str | None, PERSONAL] = None
    said_by: Annotated[str, PUBLIC]  # customer, carrier


RATING_ID = "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"
GIVEN = EventType(
    "rating.given",
    Given,
    titled("Note donnée", "Rating given"),
    (
        {"rating_id": RATING_ID, "about": "service/medication", "score": 9, "comment": "Les casiers sont pratiques"},
        {"rating_id": RATING_ID, "about": "item/RK123456785FR", "score": 10},
    ),
    CUSTOMERS | {"device"},
    own_id="rating_id",
)


class Ratings(Handler):
    name = "rating"
    title = titled("Notes", "Ratings")
    subject = "rating/{rating_id}"
    facts_kept = 50
    events = (GIVEN,)
    publishes = public(GivenFact, GIVEN)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the rating."""
        if not data.get("rating_id"):
            raise Refused("no_subject")
        return super().subjects_of(event_type, data)

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; a rating belongs to the account through which it came."""
        decision = super().decide(state, event, now)
        return replace(decision, account=event.actor.account) if event.type == GIVEN.name else decision

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say the newest rating of this id, and no other. Refused `not_allowed`: a carrier who rates more than a service."""
        del now
        if new in facts and new.type == GIVEN.name and new.by == "device" and not _is_of_service(new.data):
            raise Refused("not_allowed")
        given = [fact for fact in facts if fact.type == GIVEN.name]
        said = [Said(fact, fact.type, _public(fact)) for fact in given[-1:]]
        return Tale(said, {"score": given[-1].data["score"] if given else None})


def _is_of_service(data: Mapping[str, Any]) -> bool:
    return str(data["about"]).startswith("service/")


def _public(fact: Fact) -> dict[str, Any]:
    names = ("rating_id", "about", "score", "comment")
    said = {name: fact.data[name] for name in names if fact.data.get(name) is not None}
    return said | {"said_by": "carrier" if fact.by == "device" else "customer"}


HANDLER = Ratings()
