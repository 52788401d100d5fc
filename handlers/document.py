"""Documents: a signed proof or report that is offered to a person's digital safe, with that person's consent only."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, StringConstraints

from handlers.base import Handler
from handlers.fields import OPERATIONAL, PERSONAL, PUBLIC, Day, Id, Payload, PublicData
from handlers.story import Decision, Event, EventType, Fact, Refused, Said, State, Tale, public, shown, titled

Digest = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Subject = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]*/[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$")]
ZONES = timedelta(hours=14)  # a day begins so much earlier somewhere


class Consent(BaseModel):
    """What the person agreed to, and for how long."""

    given_on: Annotated[Day, PERSONAL]
    until: Annotated[Day | None, PERSONAL] = None
    how: Annotated[Literal["paper", "online", "spoken"], PERSONAL]


class Deposited(Payload):
    document_id: Annotated[Id, PUBLIC]
    kind: Annotated[Literal["proof", "report"], PUBLIC]
    about: Annotated[Subject, PUBLIC]  # what it proves or reports: item/RK123456785FR
    evidence: Annotated[Digest, PERSONAL]  # SHA-256 of the signed document
    person: Annotated[Id, PERSONAL]  # whose safe it is, as the orderer names them
    safe: Annotated[Id, PUBLIC]  # where it is offered
    consent: Consent | None = None
    account: Annotated[Id | None, OPERATIONAL] = None  # of the orderer; none: the operator's own


class DepositedFact(PublicData):
    document_id: Annotated[str, PUBLIC]
    kind: Annotated[str, PUBLIC]
    about: Annotated[str, PUBLIC]
    evidence: Annotated[str, PERSONAL]
    person: Annotated[str, PERSONAL]
    safe: Annotated[str, PUBLIC]


_EXAMPLE = {
    "document_id": "D-3305",
    "kind": "proof",
    "about": "item/RK123456785FR",
    "evidence": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "person": "ref-77",
    "safe": "safe-1",
    "consent": {"given_on": "2026-03-02", "how": "paper"},
    "account": "acc-1",
}
DEPOSITED = EventType(
    "document.deposited",
    Deposited,
    titled("Document proposé au coffre numérique", "Document offered to the digital safe"),
    (_EXAMPLE,),
    by=frozenset({"adviser", "operator", "server", "supervisor"}),
    names_pictures=False,  # its evidence is the digest of a document that lies elsewhere
)


class Document(Handler):
    name = "document"
    title = titled("Coffre numérique", "Digital safe")
    subject = "document/{document_id}"
    facts_kept = 50
    events = (DEPOSITED,)
    publishes = public(DepositedFact, DEPOSITED)

    def decide(self, state: State, event: Event, now: datetime) -> Decision:
        """Decide as every service does; it belongs to the orderer, and is sealed with the key of the person whose safe it is."""
        decision, account = super().decide(state, event, now), event.data.get("account") or state.account
        person = event.data.get("person")
        key = f"person/{account or 'operator'}/{person}" if person else state.person
        return replace(decision, account=account, person=key)

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Say once for each safe that the document was offered there. Refused `no_consent`: the person did not agree, or not then."""
        del now
        if new.type == DEPOSITED.name and not _agreed(new):
            raise Refused("no_consent")
        offered = dict(_offered(facts))
        return Tale(
            [Said(fact, fact.type, shown(DepositedFact, fact)) for fact in offered.values()], {"safes": [*offered]}
        )


def _offered(facts: Sequence[Fact]) -> Iterator[tuple[str, Fact]]:
    """Name each safe with the first offer to it; the newest first, so that the first one is what stays in a dict."""
    for fact in reversed(facts):
        if fact.type == DEPOSITED.name and _agreed(fact):
            yield fact.data["safe"], fact


def _agreed(fact: Fact) -> bool:
    consent = fact.data.get("consent")
    if not consent:
        return False
    began = consent["given_on"] <= (fact.occurred_at + ZONES).date().isoformat()
    return began and (consent.get("until") or "9999-12-31") >= (fact.occurred_at - ZONES).date().isoformat()


HANDLER = Document()
