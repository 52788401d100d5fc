"""Custody: a thing is in exactly one place, and a hand-over has two sides.

A service declares the hand-overs of its things; `follow` walks the facts of one thing through them. A hand-over that must
have happened but was not said is *missing*: the thing is where the later fact says, and a person looks at it. A fact to
which no hand-over leads (delivered, and then delivered again) *breaks* the chain and moves nothing. The other side of a
hand-over is a fact of its own, or a mark in the one fact that there is (a signature, a code); without it, it is one-sided.

A service whose things are fetched for somebody, and handed to persons whom the order names, is a `Carried`: it declares its
hand-overs and how long its things may be on the way.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Annotated, Any, ClassVar, Literal, TypeVar

from handlers import tasks
from handlers.base import Handler
from handlers.fields import PERSONAL, PUBLIC, Located, PublicData, parse_time
from handlers.story import Fact, PublicType, Said, Tale, shown, timer

Detail = TypeVar("Detail")
ChainWord = Literal["complete", "one_sided", "held_for_review"]


class Held(PublicData):
    """A chain that a person has to look at."""

    thing: Annotated[str, PUBLIC]
    reason: Annotated[str, PUBLIC]
    missing: Annotated[list[str] | None, PUBLIC] = None
    level: Annotated[Literal["attention", "urgent"] | None, PUBLIC] = None


HELD_FOR_REVIEW = PublicType(
    "custody.held_for_review",
    Held,
    {"fr": "Chaîne de remise à vérifier", "en": "Custody held for review"},
    alert="attention",
)


@dataclass(frozen=True, slots=True)
class Handover:
    """A move between two keepers. `given_by` is the giver's own fact; None where one fact bears both sides.

    `marks` are fields of the taking fact of which one shows the other side. `where` is a field and what it says of facts of
    this hand-over, where facts of one type bear several. `final`: the thing leaves our hands, so that the same said again,
    with nothing between, is no second way but a contradiction.
    """

    giver: str
    taker: str
    taken_by: str
    given_by: str | None = None
    marks: tuple[str, ...] = ()
    where: tuple[str, str] | None = None
    final: bool = False

    def fits(self, fact: Fact) -> bool:
        """Tell whether the fact may be a side of this hand-over."""
        named = self.where is None or fact.data.get(self.where[0]) == self.where[1]
        return fact.type in (self.taken_by, self.given_by) and named

    def unsaid(self, fact: Fact, *, given: bool) -> str | None:
        """Name the side that the taking fact leaves unsaid; None if both were."""
        if self.given_by not in (None, self.taken_by) and not given:
            return self.given_by
        if self.marks and not any(fact.data.get(mark) for mark in self.marks):
            return f"{self.taken_by}_{self.marks[0]}"
        return None


@dataclass(frozen=True, slots=True)
class Link:
    """What one fact is in the chain. `missing` and `unsaid` cover the thing's whole way since it last lay at its start."""

    missing: tuple[str, ...] = ()  # hand-overs of which neither side was said
    unsaid: tuple[str, ...] = ()  # sides that were not said
    broken: bool = False


@dataclass(frozen=True, slots=True)
class Chain:
    """Where the thing is, since when, and the link of each fact that moves it, by the fact's id."""

    place: str
    links: Mapping[str, Link]
    since: str | None = None


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
    place, since, brought, steps, given = start, None, False, list[_Step](), set[Handover]()
    for fact in facts:
        options = [each for each in handovers if each.fits(fact)]
        if not options:
            continue
        handover = _chosen(options, place, handovers)
        awaiting = _awaiting(steps, fact, handover) if place != handover.giver else None
        if awaiting:
            awaiting.given = True
            continue
        step = _step(fact, handover, place=place, handovers=handovers)
        step.broken = step.broken or (brought and handover.final and place != handover.giver)
        steps.append(step)
        if step.broken:
            continue
        moved = handover.taker if step.takes else handover.giver
        step.given = not step.takes or handover in given
        if step.takes or moved != place:
            since, brought, given = fact.at, step.takes and handover.final, set()
        if not step.takes:
            given.add(handover)
        place = moved
    return Chain(place, _links(steps, start), since)


def _chosen(options: Sequence[Handover], place: str, handovers: Sequence[Handover]) -> Handover:
    """Choose what the fact is: a move from where the thing is, else one to which a single unsaid hand-over leads."""
    here = next((each for each in options if each.giver == place), None)
    return here or next((each for each in options if _bridge(place, each.giver, handovers)), options[0])


def _bridge(place: str, giver: str, handovers: Sequence[Handover]) -> Handover | None:
    return next((each for each in handovers if (each.giver, each.taker) == (place, giver)), None)


def _awaiting(steps: Sequence[_Step], fact: Fact, handover: Handover) -> _Step | None:
    """Return the step whose giver only now says what the taker said before."""
    if fact.type != handover.given_by:
        return None
    last = next((step for step in reversed(steps) if step.handover == handover and step.takes), None)
    return last if last and not (last.given or last.broken) else None


def _step(fact: Fact, handover: Handover, *, place: str, handovers: Sequence[Handover]) -> _Step:
    if place == handover.giver:
        return _Step(fact, handover, None)
    bridge = _bridge(place, handover.giver, handovers)
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
        side = step.handover.unsaid(step.fact, given=step.given) if step.takes else None
        if side:
            unsaid.append(side)
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


def ordered(order: Fact | None, name: str, kind: type[Detail] | tuple[type[Detail], ...], default: Detail) -> Detail:
    """Return a detail of the order; the default where it has none of that kind."""
    value = (order.data.get("details") or {}).get(name) if order else None
    return value if isinstance(value, kind) else default


class Carried(Handler):
    """A service that carries a thing for somebody; key and pet are such."""

    takes_tasks = True
    issues_ids = True
    handovers: ClassVar[tuple[Handover, ...]]
    start: ClassVar[str]
    model: ClassVar[type["CarriedFact"]]
    longest: ClassVar[timedelta]  # with the carrier, before a person is told
    too_long: ClassVar[str]  # the reason that is given then

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        """Walk the chain; what breaks it is held for review and not said, and so is what stays with the carrier."""
        del now
        chain = follow(facts, self.handovers, start=self.start)
        link = chain.links.get(new.id)
        due = parse_time(chain.since) + self.limit(facts) if chain.place == "carrier" and chain.since else None
        return Tale(
            [each for fact in facts for each in self._said(facts, fact, chain)],
            {"place": chain.place},
            timers=timer(facts, "too_long", due),
            warnings=["custody_broken"] if link and link.broken else [],
        )

    def limit(self, facts: Sequence[Fact]) -> timedelta:
        """Return how long the thing may stay with the carrier."""
        del facts
        return self.longest

    def faults(self, fact: Fact, order: Fact | None) -> Iterator[str]:
        """Say why a person must look at a hand-over although its links are all there: no order, or not whom it names."""
        if order is None:
            yield "no_task"
            return
        if "handed_to" in fact.data and fact.data["handed_to"] not in ordered(order, "may_receive", list, ["owner"]):
            yield "not_named_in_order"

    def _said(self, facts: Sequence[Fact], fact: Fact, chain: Chain) -> Iterator[Said]:
        thing = f"{self.subject.partition('/')[0]}/{fact.data.get(self._id)}"
        if link := chain.links.get(fact.id):
            faults = list(self.faults(fact, tasks.order_for(facts, fact)))
            judged, alerts = review(fact, thing, link, faults=faults)
            if not link.broken:
                yield Said(fact, fact.type, shown(self.model, fact) | judged)
            yield from alerts
        elif fact.type == "timer.too_long":
            before = follow([each for each in facts if each < fact], self.handovers, start=self.start)
            out = before.place == "carrier" and before.since is not None
            if out and parse_time(str(before.since)) + self.limit(facts) <= fact.occurred_at:
                held = {"thing": thing, "reason": self.too_long, "level": "urgent"}
                yield Said(fact, HELD_FOR_REVIEW.name, held, key=thing)

    @property
    def _id(self) -> str:
        return self.subject.partition("{")[2].rstrip("}")


class CarriedFact(PublicData):
    """What is said of every hand-over of a thing; the service adds the thing's id."""

    handed_to: Annotated[str | None, PERSONAL] = None
    chain: Annotated[ChainWord | None, PUBLIC] = None
    missing: Annotated[list[str] | None, PUBLIC] = None
    located: Located | None = None
