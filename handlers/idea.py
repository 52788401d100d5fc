"""Ideas: a carrier proposes, colleagues vote, and a decision returns to whoever had the idea.

Who proposed and who voted is known here only by a voice: a digest for this one idea, so that nobody votes twice and the author
finds the own idea again. One vote a carrier, whatever phone; the author's own does not count.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any, Literal

from handlers.base import Handler
from handlers.fields import PERSONAL, PUBLIC, Id, Note, Payload, PublicData, Text
from handlers.story import (
    CARRIER,
    Decision,
    Event,
    EventType,
    Fact,
    Refused,
    Said,
    Sealed,
    State,
    Tale,
    Write,
    public,
    titled,
)

JUDGES = frozenset({"supervisor", "operator"})
STATUSES = ("submitted", "considered", "accepted", "declined", "done")
KEPT_FREE = 100  # of the facts that are kept, for decisions and corrections; votes beyond change nothing any more


class Voice(Payload):
    idea_id: Annotated[Id | None, PUBLIC] = None  # of a new idea the event's own id
    carrier: Annotated[Text | None, PERSONAL] = None  # filled by the server; the story keeps a digest


class Submitted(Voice):
    text: Annotated[Text, PERSONAL]


class Decided(Payload):
    idea_id: Annotated[Id, PUBLIC]
    status: Annotated[Literal["considered", "accepted", "declined", "done"], PUBLIC]
    answer: Annotated[Note | None, PERSONAL] = None


class IdeaFact(PublicData):
    idea_id: Annotated[str, PUBLIC]
    status: Annotated[str | None, PUBLIC] = None
    answer: Annotated[str | None, PERSONAL] = None


IDEA_ID = "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44"
SUBMITTED = EventType(
    "idea.submitted",
    Submitted,
    titled("Idée proposée", "Idea submitted"),
    ({"idea_id": IDEA_ID, "text": "Un local à vélos couvert derrière l'établissement"},),
    CARRIER,
    own_id="idea_id",
    names_carrier=True,
)
VOTED = EventType(
    "idea.voted",
    Voice,
    titled("Idée soutenue", "Idea voted for"),
    ({"idea_id": IDEA_ID},),
    CARRIER,
    names_carrier=True,
)
DECIDED = EventType(
    "idea.decided",
    Decided,
    titled("Idée tranchée", "Idea decided"),
    ({"idea_id": IDEA_ID, "status": "accepted", "answer": "Commandé, posé en mars"},),
    JUDGES,
)


def voice(idea_id: str, person: str) -> str:
    """Digest who speaks, for one idea: the same person has another voice in another one."""
    return hashlib.sha256(f"{idea_id}\n{person}".encode()).hexdigest()[:32]


class Ideas(Handler):
    name = "idea"
    title = titled("Boîte à idées", "Ideas")
    subject = "idea/{idea_id}"
    facts_kept = 2_000
    events = (SUBMITTED, VOTED, DECIDED)
    publishes = public(IdeaFact, *events)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the idea; a vote for none is refused."""
        if not data.get("idea_id"):
            raise Refused("no_subject")
        return super().subjects_of(event_type, data)

    def kept(self, event_type: str, subject: str, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """Keep the voice instead of the name, and the site that the envelope names."""
        kept = dict(super().kept(event_type, subject, data))
        person = kept.pop("carrier", None) or data.get("_by")
        more = {"_voice": voice(subject.partition("/")[2], person)} if person else {}
        return {**kept, **more, "_site": data.get("_site")}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does, with what the envelope knows: whose site it is, and who entered it."""
        if event.type == VOTED.name and state.body and len(state.body["facts"]) >= self.facts_kept - KEPT_FREE:
            return Decision(state.body, warnings=["enough_votes"])
        known = {"_site": event.site, "_by": event.actor.entered_by}
        return super().decide(state, replace(event, data={**event.data, **known}), now)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say an idea once, each voice's first vote, and every decision of its own site or the operator."""
        del now
        idea = next((fact for fact in facts if fact.type == SUBMITTED.name), None)
        if idea and new.type == DECIDED.name and not _may_decide(new, idea):
            raise Refused("not_allowed")
        voices: dict[str, Fact] = {}
        for fact in facts:
            if fact.type == VOTED.name:
                voices.setdefault(fact.data.get("_voice", fact.id), fact)
        if idea:
            voices.pop(idea.data.get("_voice", ""), None)
        decided = [fact for fact in facts if fact.type == DECIDED.name and (idea is None or _may_decide(fact, idea))]
        held = sorted([*([idea] if idea else []), *voices.values(), *decided])
        idea_id, status = new.data["idea_id"], decided[-1].data["status"] if decided else "submitted"
        row = _row(idea, status, votes=len(voices), decided=decided[-1] if decided else None) if idea else None
        write = Write("idea.save", row) if row else Write("idea.forget", (idea_id,))
        return Tale(
            [Said(fact, fact.type, _public(fact)) for fact in held],
            {"status": status if idea else None, "votes": len(voices)},
            writes=[write],
            warnings=["already_voted"] if new.type == VOTED.name and new not in held else [],
        )


def _may_decide(fact: Fact, idea: Fact) -> bool:
    return fact.by != "supervisor" or fact.data.get("_site") == idea.data.get("_site")


def _public(fact: Fact) -> dict[str, Any]:
    return {name: fact.data[name] for name in ("idea_id", "status", "answer") if fact.data.get(name) is not None}


def _row(idea: Fact, status: str, *, votes: int, decided: Fact | None) -> tuple[Any, ...]:
    """Write the idea as it is listed: its words, its answer and its author's voice are sealed."""
    sealed = {"text": idea.data["text"], "author": idea.data.get("_voice")}
    sealed |= {"answer": decided.data.get("answer")} if decided else {}
    decided_at = decided.occurred_at if decided else None
    head = idea.data["idea_id"], idea.data.get("_site"), status, votes
    return (*head, idea.occurred_at, decided_at, Sealed(sealed))


HANDLER = Ideas()
