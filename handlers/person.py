"""Persons: what a subscriber has to forget. Of an erased person only the orderer's own reference is left, and since when.

The fact is the deed: the commit that says `person.erased` destroys every key of the person, and empties what waits to be sent
to them. An erasure that a restored copy of the store had forgotten is done before this is told, and only told again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import StringConstraints

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Id, Payload, PublicData
from handlers.story import (
    Actor,
    Decision,
    DigestOf,
    Event,
    EventType,
    Fact,
    Refused,
    Said,
    State,
    Tale,
    Write,
    public,
    titled,
)

Subject = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*/[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]


class Erased(Payload):
    person: Annotated[Id, PUBLIC]  # the reference of whoever ordered for the person; opaque to everyone else
    account: Annotated[Id | None, OPERATIONAL] = None  # whose reference it is; none: the operator's
    about: Annotated[Subject | None, OPERATIONAL] = (
        None  # an order that names no person: its subject, whose id is `person`
    )
    anew: Annotated[bool | None, OPERATIONAL] = None  # erased before, and something was sealed for them since
    replayed: Annotated[bool | None, OPERATIONAL] = None  # done already, when a restored store was opened


class ErasedFact(PublicData):
    person: Annotated[str, PUBLIC]
    since: Annotated[str, PUBLIC]


ERASED = EventType(
    "person.erased",
    Erased,
    titled("Personne effacée", "Person erased"),
    ({"person": "ref-77", "account": "acc-1"},),
    by=frozenset({"operator", "server"}),
)


class Person(Handler):
    name = "person"
    title = titled("Effacement de personnes", "Erasure of persons")
    subject = "person/{account}/{person}"  # as `tasks.person_of` names the person whose key seals what is about them
    facts_kept = 50
    sealed_state = False  # it names nobody, and outlives the person's key
    correctable = False  # what is erased stays so
    events = (ERASED,)
    publishes = public(ErasedFact, ERASED)

    def subjects_of(self, event_type: str, data: Mapping[str, Any]) -> tuple[str, ...]:
        """Name the person as the key of what is sealed about them does."""
        del event_type
        return (f"person/{data.get('account') or 'operator'}/{data['person']}",)

    def own_id(self, subject: str) -> dict[str, str]:
        """Return the reference, without the account whose it is."""
        return {"person": subject.rpartition("/")[2]}

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; the tombstone belongs to the account whose reference it is."""
        refuse_unless_own(event.data, event.actor)
        decision = super().decide(state, event, now)
        return replace(decision, account=event.data.get("account") or state.account)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say that the person is erased, since the first time; again only where there was something anew."""
        erased = [fact for fact in facts if fact.type == ERASED.name]
        firsts = [fact for fact in erased[1:] if fact.data.get("anew") or fact.data.get("replayed")]
        said = [
            Said(fact, fact.type, {"person": fact.data["person"], "since": fact.at}) for fact in [*erased[:1], *firsts]
        ]
        return Tale(said, {"erased": bool(said)}, writes=_deed(new, now) if new.type == ERASED.name else ())


def refuse_unless_own(data: Mapping[str, Any], actor: Actor) -> None:
    """Let the server alone say that it is done already, or done anew. Refused `not_allowed`."""
    if actor.kind != "server" and (data.get("anew") or data.get("replayed")):
        raise Refused("not_allowed")


def key_of(data: Mapping[str, Any]) -> str:
    """Name the key that an erasure destroys: that of an order's subject, or of a reference."""
    return data.get("about") or f"person/{data.get('account') or 'operator'}/{data['person']}"


def _deed(new: Fact, now: datetime) -> list[Write]:
    if new.data.get("replayed"):
        return []
    key = key_of({**new.data, "account": new.data.get("account")})
    erase = Write("erasure.destroy", (UUID(new.id), DigestOf(key), key, now))
    return [erase, *(Write(f"erasure.{name}", (key,)) for name in ("empty_notices", "forget_pictures", "renew_sheets"))]


HANDLER = Person()
