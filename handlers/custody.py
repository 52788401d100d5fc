"""Custody: a thing is in exactly one place, and a hand-over has two sides.

A service declares the hand-overs of its things; `follow` walks the facts of one thing through them. A hand-over that must
have happened but was not said is *missing*: the thing is where the later fact says, and a person looks at it. A fact to
which no hand-over leads (delivered, and then delivered again) *breaks* the chain and moves nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from handlers.fields import PUBLIC, PublicData
from handlers.story import Fact, PublicType, Said

ChainWord = Literal["complete", "one_sided", "held_for_review"]


class Held(PublicData):
    """A chain that a person has to look at."""

    thing: Annotated[str, PUBLIC]
    reason: Annotated[str, PUBLIC]
    missing: Annotated[list[str] | None, PUBLIC] = None


HELD_FOR_REVIEW = PublicType(
    "custody.held_for_review", Held, {"fr": "Chaîne de remise à vérifier", "en": "Custody held for review"}
)


@dataclass(frozen=True, slots=True)
class Handover:
    """A move between two keepers. `given_by` is the giver's own fact; None where one fact bears both sides."""

    giver: str
    taker: str
    taken_by: str
    given_by: str | None = None


@dataclass(frozen=True, slots=True)
class Link:
    """What one fact is in the chain. `missing` and `unsaid` cover the thing's whole way since it last lay at its start."""

    missing: tuple[str, ...] = ()  # hand-overs of which neither side was said
    unsaid: tuple[str, ...] = ()  # givers' sides that were not said
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the thing is, and the link of each fact that moves it, by the fact's id."""

    place: str
    links: Mapping[str, Link]


@dataclass(slots=True)
class _Step:
    fact: Fact
    handover: Handover
    missing: str | None
    broken: bool = False
    given: bool = field(default=True)

    @property
    def takes(self) -> bool:
        return self.fact.type == self.handover.taken_by


def follow(facts: Sequence[Fact], handovers: Sequence[Handover], *, start: str) -> Chain:
    """Walk the facts, oldest first, from the place where such a thing begins."""
    place, steps, given = start, list[_Step](), set[Handover]()
    for fact in facts:
        options = [each for each in handovers if fact.type in (each.taken_by, each.given_by)]
        if not options:
            continue
        handover = next((each for each in options if each.giver == place), options[0])
        awaiting = _awaiting(steps, fact, handover) if place != handover.giver else None
        if awaiting:
            awaiting.given = True
            continue
        step = _step(fact, handover, place=place, handovers=handovers)
        steps.append(step)
        if step.broken:
            continue
        if step.takes:
            step.given = handover.given_by in (None, handover.taken_by) or handover in given
            given.discard(handover)
        else:
            given.add(handover)
        place = handover.taker if step.takes else handover.giver
    return Chain(place, _links(steps, start))


def _awaiting(steps: Sequence[_Step], fact: Fact, handover: Handover) -> _Step | None:
    """Return the step whose giver only now says what the taker said before."""
    if fact.type != handover.given_by:
        return None
    return next((step for step in reversed(steps) if step.handover == handover and not step.given), None)


def _step(fact: Fact, handover: Handover, *, place: str, handovers: Sequence[Handover]) -> _Step:
    if place == handover.giver:
        return _Step(fact, handover, None)
    bridge = next((each for each in handovers if (each.giver, each.taker) == (place, handover.giver)), None)
    return _Step(fact, handover, bridge.taken_by if bridge else None, broken=bridge is None)


def _links(steps: Sequence[_Step], start: str) -> dict[str, Link]:
    links: dict[str, Link] = {}
    missing, unsaid = list[str](), list[str]()
    for step in steps:
        if step.broken:
            links[step.fact.id] = Link(broken=True)
            continue
        if step.missing:
            missing.append(step.missing)
        if step.takes and not step.given and step.handover.given_by:
            unsaid.append(step.handover.given_by)
        links[step.fact.id] = Link(tuple(missing), tuple(unsaid))
        if step.takes and step.handover.taker == start:
            missing, unsaid = [], []
    return links


def review(fact: Fact, thing: str, link: Link, *, faults: Sequence[str] = ()) -> tuple[dict[str, Any], list[Said]]:
    """Judge one hand-over of `thing` ("pouch/P-1"): the public `chain` and `missing`, and the alert if it is held.

    `faults` are the service's own reasons to hold it; one that names something missing begins with `no_`.
    """
    absent = [fault.removeprefix("no_") for fault in faults if fault.startswith("no_")]
    missing = absent + [name.partition(".")[2] for name in (*link.missing, *link.unsaid)]
    named: dict[str, Any] = {"missing": missing} if missing else {}
    if not (link.broken or link.missing or faults):
        word: ChainWord = "one_sided" if link.unsaid else "complete"
        return {"chain": word} | named, []
    own = next((fault for fault in faults if not fault.startswith("no_")), "missing_link")
    alert = {"thing": thing, "reason": "custody_broken" if link.broken else own} | named
    return {"chain": "held_for_review"} | named, [Said(fact, HELD_FOR_REVIEW.name, alert, key=thing)]
