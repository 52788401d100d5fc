"""Custody through real services: keys, pets, pouches and signed items go through random hands, and are told of in any order.

`pytest --hypothesis-profile=long tests/handlers/test_custody_machine.py` walks more than 100,000 steps.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from itertools import pairwise
from random import Random
from typing import Any
from uuid import uuid5

import orjson
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from handlers import corrections, item, key, medication, pet
from handlers.base import Handler, validated
from handlers.custody import HELD_FOR_REVIEW
from handlers.fields import format_time
from handlers.story import Actor, Event, Fact, SetTimer
from tests.handlers.conftest import MORNING, NAMES, Story, at

HELD = HELD_FOR_REVIEW.name
Move = tuple[str, str]  # from whom, to whom


@dataclass(frozen=True, repr=False)
class Thing:
    """What may happen to a thing, written down apart from the service: `ways` by type, the giver's own word in `words`."""

    handler: Handler
    subject: str
    start: str
    ways: Mapping[str, tuple[Move, ...]]
    bodies: Mapping[str, tuple[Mapping[str, Any], ...]]
    words: Mapping[str, Move] = field(default_factory=dict)
    last: frozenset[str] = frozenset()  # after one of these nothing of ours has the thing
    order: Mapping[str, Any] = field(default_factory=dict)
    opens: str | None = None  # what makes it such a thing; not taken back

    def __repr__(self) -> str:
        return self.handler.name

    @property
    def places(self) -> set[str]:
        return {self.start} | {place for ways in self.ways.values() for way in ways for place in way}


SIGNED: Mapping[str, Any] = {"signature": "a drawing"}
POUCH: Mapping[str, Any] = {"pouch_id": "P-1"}
ENVELOPE: Mapping[str, Any] = {"pouch_id": "P-2"}
TO: Mapping[str, Any] = {"label_matched": True, "identity": "document", "code_ok": True}
ITEM, KEY, PET = {"item_id": "RK1"}, {"key_id": "K-1"}, {"pet_id": "A-1"}
AT_DOOR = {**KEY, "identity": "document"}
REACHED = {**PET, "contacted_at": format_time(at(-30))}
THINGS = (
    Thing(
        medication.HANDLER,
        "pouch/P-1",
        "pharmacy",
        {
            "medication.picked_up": (("pharmacy", "carrier"),),
            "medication.delivered": (("carrier", "patient"),),
            "medication.passed_on": (("carrier", "carrier"),),
            "medication.received_back": (("carrier", "pharmacy"),),
        },
        {
            "medication.released": (POUCH,),
            "medication.picked_up": ({**POUCH, "seal_intact": True}, {**POUCH, "seal_intact": False}),
            "medication.delivered": (
                {**POUCH, **TO, "seal_intact": True, "handed_to": "patient"},
                {**POUCH, **TO, "seal_intact": True, "handed_to": "named_carer"},
            ),
            "medication.passed_on": ({**POUCH, "seal_intact": True},),
            "medication.returned": ({**POUCH, "reason": "absent"},),
            "medication.received_back": (POUCH,),
        },
        {"medication.released": ("pharmacy", "carrier"), "medication.returned": ("carrier", "pharmacy")},
        frozenset({"medication.delivered"}),
        {"details": {"may_receive": ["patient"]}},
    ),
    Thing(
        medication.HANDLER,
        "pouch/P-2",  # the envelope of a prescription, the other way round
        "patient",
        {
            "medication.prescription_taken": (("patient", "carrier"),),
            "medication.passed_on": (("carrier", "carrier"),),
            "medication.received_back": (("carrier", "pharmacy"),),
        },
        {
            "medication.prescription_taken": ({**ENVELOPE, "from_pouch_id": "P-1"},),
            "medication.passed_on": ({**ENVELOPE, "seal_intact": True},),
            "medication.returned": ({**ENVELOPE, "reason": "absent"},),
            "medication.received_back": (ENVELOPE,),
        },
        {"medication.returned": ("carrier", "pharmacy")},
        frozenset({"medication.received_back"}),
        opens="medication.prescription_taken",
    ),
    Thing(
        item.HANDLER,
        "item/RK1",
        "office",
        {
            "item.loaded": (("office", "carrier"),),
            "item.delivered": (("carrier", "addressee"),),
            "item.held": (("carrier", "office"), ("office", "office")),
            "item.collected": (("office", "addressee"),),
            "item.returned_to_sender": (("office", "sender"), ("carrier", "sender")),
        },
        {
            "item.loaded": (ITEM,),
            "item.delivered": ({**ITEM, "to": "addressee"}, {**ITEM, "to": "neighbour"}),
            "item.held": ({**ITEM, "office": "Bondy"},),
            "item.collected": (ITEM,),
            "item.returned_to_sender": ({**ITEM, "reason": "refused"},),
        },
        last=frozenset({"item.delivered", "item.collected", "item.returned_to_sender"}),
        order={"requirements": ["signature"]},
    ),
    Thing(
        key.HANDLER,
        "key/K-1",
        "person",
        {
            "key.collected": (("person", "carrier"), ("safe", "carrier")),
            "key.deposited": (("carrier", "safe"), ("person", "safe")),
            "key.returned": (("carrier", "person"), ("safe", "person")),
        },
        {
            "key.collected": (
                {**KEY, "from": "person"},
                {**KEY, "from": "person", **SIGNED},
                {**KEY, "from": "safe"},
                {**KEY, "from": "safe", "slot": "S-1"},
            ),
            "key.deposited": (KEY, {**KEY, "slot": "S-1"}, {**KEY, **SIGNED}),
            "key.returned": (
                {**AT_DOOR, "handed_to": "owner", **SIGNED},
                {**AT_DOOR, "handed_to": "owner"},
                {**AT_DOOR, "handed_to": "plumber", **SIGNED},
            ),
        },
        last=frozenset({"key.returned"}),
    ),
    Thing(
        pet.HANDLER,
        "pet/A-1",
        "person",
        {"pet.picked_up": (("person", "carrier"),), "pet.handed_over": (("carrier", "person"),)},
        {
            "pet.picked_up": (PET, {**PET, "code_ok": True}),
            "pet.handed_over": (
                {**REACHED, "handed_to": "owner", **SIGNED},
                {**REACHED, "handed_to": "owner"},
                {**REACHED, "handed_to": "vet", **SIGNED},
                {**PET, "handed_to": "owner", **SIGNED},
            ),
        },
        last=frozenset({"pet.handed_over"}),
    ),
)
MINUTES = st.integers(0, 1440)


class Hands(RuleBasedStateMachine):
    """Facts happen, arrive when they will, are said twice, and are taken back or put right."""

    @initialize(data=st.data(), thing=st.sampled_from(THINGS), is_ordered=st.booleans())
    def something_is_said_of_a_thing(self, data: st.DataObject, thing: Thing, is_ordered: bool) -> None:
        self.thing = thing
        self.story = Story(thing.handler, thing.subject)
        self.on_the_way: list[Event] = []
        self.arrived: list[Event] = []
        self.due: dict[str, datetime] = {}
        if is_ordered or thing.handler is item.HANDLER:  # an item is followed only where its order says so
            self.ordered()
        kind = thing.opens or data.draw(st.sampled_from(sorted(thing.bodies)))
        self.arrive(self.story.event(kind, data.draw(st.sampled_from(thing.bodies[kind])), 60))

    def ordered(self) -> None:
        order = {
            "task_id": "tsk_1",
            "service": self.thing.handler.name,
            "subject": self.thing.subject,
            "on": "2026-11-21",
        }
        self.arrive(self.story.event("task.planned", {**order, **self.thing.order}, -600, by="subscriber", account="a"))

    def arrive(self, event: Event) -> None:
        decision = self.story.take(event)
        self.arrived.append(event)
        self.told = self.standing()
        for timer in decision.timers:
            self.due.pop(timer.kind, None)
            if isinstance(timer, SetTimer):
                self.due[timer.kind] = timer.due_at

    @rule(data=st.data(), minute=MINUTES, at_once=st.booleans())
    def a_side_says_something(self, data: st.DataObject, minute: int, *, at_once: bool) -> None:
        kind = data.draw(st.sampled_from(sorted(self.thing.bodies)))
        event = self.story.event(kind, data.draw(st.sampled_from(self.thing.bodies[kind])), minute)
        if at_once:
            self.arrive(event)
        else:
            self.on_the_way.append(event)

    @rule(data=st.data())
    def something_comes_at_last(self, data: st.DataObject) -> None:
        """What was on the way, a timer, or the order."""
        is_ordered = any(event.type == "task.planned" for event in self.arrived)
        waiting = [*range(len(self.on_the_way)), *sorted(self.due), *([] if is_ordered else [None])]
        chosen = data.draw(st.sampled_from(waiting)) if waiting else ""
        if isinstance(chosen, int):
            self.arrive(self.on_the_way.pop(chosen))
        elif chosen is None:
            self.ordered()
        elif chosen:
            due = self.due.pop(chosen)
            self.arrive(replace(self.story.event(f"timer.{chosen}", {}, by="server"), occurred_at=due))

    @rule(data=st.data(), after=st.integers(0, 3))
    def somebody_says_the_same_again(self, data: st.DataObject, after: int) -> None:
        event = data.draw(st.sampled_from(self.of_the_field()))
        when = (event.occurred_at - MORNING).total_seconds() / 60 + after
        self.arrive(self.story.event(event.type, event.data, when))

    @rule(data=st.data(), minute=st.none() | MINUTES)
    def somebody_corrects(self, data: st.DataObject, minute: int | None) -> None:
        event = data.draw(st.sampled_from(self.of_the_field()))
        if event.type == self.thing.opens:
            return
        said: dict[str, Any] = {"corrects": str(event.id), "kind": "did_not_occur"}
        if data.draw(st.booleans()):
            body = data.draw(st.sampled_from(self.thing.bodies[event.type]))
            said |= {"kind": "incorrect_data", "replacement": body}
            said |= {} if minute is None else {"occurred_at": format_time(at(minute))}
        self.story.count += 1
        payload = next(each.payload for each in self.thing.handler.events if each.name == event.type)
        clean = validated(corrections.payload_of(payload), orjson.dumps(said))
        original = Fact(format_time(event.occurred_at), str(event.id), event.type, {}, event.actor.kind)
        name, when = uuid5(NAMES, f"{self.thing.subject} {self.story.count}"), at(1500 + self.story.count)
        self.arrive(Event(name, corrections.NAME, self.thing.subject, when, clean, Actor("device"), original=original))

    def teardown(self) -> None:
        """Whatever arrived when, it comes out the same."""
        events = list(self.arrived)
        Random(len(events)).shuffle(events)
        events.sort(key=lambda event: event.type == corrections.NAME)  # a correction of what is not known is refused
        other = Story(self.thing.handler, self.thing.subject)
        for event in events:
            other.take(event)
        assert other.body is not None
        assert self.story.body is not None
        assert (other.body["facts"], other.body["now"]) == (self.story.body["facts"], self.story.body["now"])
        assert other.contents() == self.story.contents()

    def of_the_field(self) -> list[Event]:
        return [event for event in self.arrived if event.type in self.thing.bodies]

    def standing(self) -> list[tuple[Fact, Mapping[str, Any]]]:
        """Return what is public of hand-overs now: the facts in order of time, with what is said of each."""
        body = self.story.body or {}
        facts = {fact.id: fact for fact in corrections.applied([Fact(*row) for row in body["facts"]])}
        found = [
            (facts[name.partition(" ")[0]], self.story.live[known[0]])
            for name, known in body["published"].items()
            if name.partition(" ")[0] in facts
        ]
        told = [(fact, public.data) for fact, public in found if "chain" in public.data]
        return sorted(told, key=lambda pair: pair[0])

    @invariant()
    def it_is_in_one_place(self) -> None:
        now = (self.story.body or {}).get("now", {})
        assert now.get("place", self.thing.start) in self.thing.places

    @invariant()
    def it_leaves_our_hands_once_for_each_time_that_it_came_into_them(self) -> None:
        gone = [fact.type in self.thing.last for fact, _ in self.told]
        assert not any(one and other for one, other in pairwise(gone))
        if self.thing.start != "person":  # from these nothing comes back
            assert sum(gone) <= 1

    @invariant()
    def every_word_on_the_chain_is_justified(self) -> None:
        held = {each["thing"]: each for each in self.story.said(HELD)}
        for fact, data, walked in walk(self.thing, self.told):
            unsaid = {name.partition("_")[0] for name in data.get("missing", ())}
            assert "missing" not in data or data["missing"], fact
            if data["chain"] == "complete":
                assert not walked.gap, fact
                assert "missing" not in data, fact
            elif data["chain"] == "one_sided":
                assert not walked.gap, fact
                assert unsaid, fact
            else:
                assert walked.gap or self.at_fault(fact, data), fact
                assert self.thing.subject in held, fact

    @invariant()
    def what_lacks_its_other_side_says_so(self) -> None:
        for fact, data, walked in walk(self.thing, self.told):
            if walked.gap:
                names = {name.partition(".")[2] for name in self.thing.ways}
                assert names & set(data["missing"]), fact
            if walked.bare:
                assert data["chain"] != "complete", fact

    def at_fault(self, fact: Fact, data: Mapping[str, Any]) -> bool:
        """Tell whether the service has a reason of its own to hold this hand-over."""
        told = fact.data
        return (
            bool({"task", "contact"} & set(data.get("missing", ())))
            or told.get("seal_intact") is False
            or told.get("handed_to") in ("named_carer", "plumber", "vet")
            or told.get("to") == "neighbour"
        )


@dataclass
class Walked:
    """What a walk through the standing hand-overs found on the way since the thing last lay at its start."""

    gap: bool = False  # no way leads from where it was
    bare: bool = False  # this hand-over needs a giver's word or a mark, and has none


def walk(
    thing: Thing, told: Sequence[tuple[Fact, Mapping[str, Any]]]
) -> Iterator[tuple[Fact, Mapping[str, Any], Walked]]:
    """Walk through the hand-overs as a reader of the public events would, knowing only the ways."""
    places, gap = {thing.start}, False
    for fact, data in told:
        word = thing.words.get(fact.type)
        ways = [word] if word else [way for way in thing.ways[fact.type] if allows(fact, way)]
        here = [way for way in ways if way[0] in places]
        gap = gap or not here
        yield fact, data, Walked(gap, bare=thing.handler in (key.HANDLER, pet.HANDLER) and not marked(fact))
        places = {way[0] if word else way[1] for way in here or ways}
        if places == {thing.start} and not word:
            gap = False


def allows(fact: Fact, way: Move) -> bool:
    return "from" not in fact.data or fact.data["from"] == way[0]


def marked(fact: Fact) -> bool:
    return any(fact.data.get(name) for name in ("signature", "code_ok", "slot"))


TestHands = Hands.TestCase
