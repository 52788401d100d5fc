"""Persons: what a subscriber has to forget. Of an erased person only the orderer's own reference is left, and since when."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated, Any

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PUBLIC, Id, Payload, PublicData
from handlers.story import Decision, Event, EventType, Fact, Said, State, Tale, public, titled


class Erased(Payload):
    person: Annotated[Id, PUBLIC]  # the reference of whoever ordered for the person; opaque to everyone else
    account: Annotated[Id | None, OPERATIONAL] = None  # whose reference it is; none: the operator's


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
        decision = super().decide(state, event, now)
        return replace(decision, account=event.data.get("account") or state.account)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say once that the person is erased, since the first time."""
        del new, now
        erased = [fact for fact in facts if fact.type == ERASED.name][:1]
        said = [Said(fact, fact.type, {"person": fact.data["person"], "since": fact.at}) for fact in erased]
        return Tale(said, {"erased": bool(said)})


HANDLER = Person()
