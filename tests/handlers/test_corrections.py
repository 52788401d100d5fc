"""What was said did not happen, or happened otherwise: the story is told as if it had been said so at once."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid5

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import corrections
from handlers.base import Handler, _fact_of, evt_id, validated
from handlers.fields import FieldClass, format_time, split
from handlers.registry import discover
from handlers.story import Actor, Event, EventType, Fact, Refused, State
from tests.sizes import sized

REGISTRY = discover()
CORRECTED = [handler for handler in REGISTRY.handlers.values() if handler.correctable]
TYPES = [(handler, each) for handler, each in REGISTRY.by_type.values() if handler.correctable]
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
SPACE = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")


def named(value: Any) -> str:
    return value[1].name if isinstance(value, tuple) else value.name


def event_of(handler: Handler, each: EventType, example: Mapping[str, Any], number: int = 0) -> Event:
    data = validated(each.payload, orjson.dumps(example))
    subject = handler.subjects_of(each.name, data)[0]
    return Event(uuid5(SPACE, f"{each.name} {number}"), each.name, subject, NOON, data, Actor(min(each.by)))


def correction_of(event: Event, each: EventType, subject: str = "", **said: Any) -> Event:
    data = {"corrects": str(event.id), "kind": "did_not_occur", "reason": "said_twice", **said}
    clean = validated(corrections.payload_of(each.payload), orjson.dumps(data))
    original = Fact(format_time(event.occurred_at), str(event.id), event.type, {}, event.actor.kind, run=event.run)
    name, at = uuid5(SPACE, f"correction of {event.id} {said}"), event.occurred_at + timedelta(hours=1)
    where = subject or event.subject
    return Event(name, corrections.NAME, where, at, clean, Actor("device"), original=original)


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_what_did_not_occur_is_withdrawn_in_every_service(case: tuple[Handler, EventType], empty_story: Any) -> None:
    handler, each = case
    event = event_of(handler, each, each.examples[0])
    story = empty_story(handler, event.subject)
    story.take(event)
    said = dict(story.live)
    decision = story.take(correction_of(event, each))
    assert story.contents() == []
    withdrawn = [public for public in decision.public_events if public.type == corrections.NAME]
    assert sorted(public.data["corrects"] for public in withdrawn) == sorted(said)
    assert all(public.data["reason"] == "said_twice" for public in withdrawn)
    assert not decision.commands
    assert not decision.warnings


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_a_replacement_by_the_same_data_publishes_nothing(case: tuple[Handler, EventType], empty_story: Any) -> None:
    handler, each = case
    event = event_of(handler, each, each.examples[0])
    story = empty_story(handler, event.subject)
    story.take(event)
    same = correction_of(event, each, kind="incorrect_data", replacement=each.examples[0])
    assert not story.take(same).public_events


def test_a_replacement_is_published_in_place_of_what_it_corrects(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    handler, each = REGISTRY.by_type["item.delivered"]
    event = event_of(handler, each, {"item_id": "LL456789015FR", "to": "addressee"})
    story.take(event)
    (before,) = story.live
    told = {"item_id": "LL456789015FR", "to": "neighbour"}
    (public,) = story.take(correction_of(event, each, kind="incorrect_data", replacement=told)).public_events
    assert public.supersedes == before == evt_id(event.id, 0)
    assert public.data["to"] == "neighbour"
    assert [data["to"] for data in story.said("item.delivered")] == ["neighbour"]


def test_the_item_that_was_meant_gets_the_fact_and_the_other_one_loses_it(new_story: Any) -> None:
    said, meant = new_story("item", "item/LL456789015FR"), new_story("item", "item/RK123456785FR")
    handler, each = REGISTRY.by_type["item.delivered"]
    event = event_of(handler, each, {"item_id": "LL456789015FR", "to": "mailbox"})
    said.take(event)
    told = {"item_id": "RK123456785FR", "to": "mailbox"}
    change = {"kind": "incorrect_data", "reason": "wrong_item", "replacement": told}
    for story in (said, meant):
        story.take(correction_of(event, each, story.subject, **change))
    assert said.contents() == []
    (data,) = meant.said("item.delivered")
    assert data["item_id"] == "RK123456785FR"
    assert [each.occurred_at for each in meant.live.values() if each.type == "item.delivered"] == [NOON]


def test_the_newest_correction_holds_and_the_original_can_be_restored(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    handler, each = REGISTRY.by_type["item.delivered"]
    data = {"item_id": "LL456789015FR", "to": "mailbox"}
    event = event_of(handler, each, data)
    story.take(event)
    story.take(correction_of(event, each))
    assert story.contents() == []
    again = correction_of(event, each, kind="incorrect_data", replacement=data)
    story.take(
        Event(**{name: getattr(again, name) for name in Event.__slots__} | {"occurred_at": NOON + timedelta(hours=2)})
    )
    assert [each["to"] for each in story.said("item.delivered")] == ["mailbox"]


def test_a_corrected_time_moves_the_fact(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    handler, each = REGISTRY.by_type["item.delivered"]
    data = {"item_id": "LL456789015FR", "to": "mailbox"}
    event = event_of(handler, each, data)
    story.take(event)
    moved = {"kind": "incorrect_data", "replacement": data, "occurred_at": "2026-11-21T09:30:00Z"}
    story.take(correction_of(event, each, **moved))
    assert [public.occurred_at for public in story.live.values()] == [datetime(2026, 11, 21, 9, 30, tzinfo=UTC)]


def test_a_task_closed_by_a_mistake_is_open_again(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    story.order()
    handler, each = REGISTRY.by_type["item.delivered"]
    event = event_of(handler, each, {"item_id": "LL456789015FR", "to": "mailbox"})
    closed = [write.args[:2] for write in story.take(event).writes if write.query == "task.close"]
    opened = [write.args[:2] for write in story.take(correction_of(event, each)).writes if write.query == "task.close"]
    assert (closed, opened) == ([("tsk_1", "done")], [("tsk_1", "planned")])


def test_what_the_story_does_not_have_cannot_be_withdrawn(new_story: Any) -> None:
    story = new_story("item", "item/LL456789015FR")
    handler, each = REGISTRY.by_type["item.delivered"]
    event = event_of(handler, each, {"item_id": "LL456789015FR", "to": "mailbox"})
    with pytest.raises(Refused, match="unknown_event"):
        handler.decide(State(story.body), correction_of(event, each), NOON)


def test_a_service_may_take_no_corrections(empty_story: Any) -> None:
    handler, each = REGISTRY.by_type["delivery_change.cancelled"]
    event = event_of(handler, each, each.examples[0])
    with pytest.raises(Refused, match="not_correctable"):
        empty_story(handler, event.subject).take(correction_of(event, each))


@pytest.mark.parametrize("case", TYPES, ids=named)
def test_a_replacement_is_classed_like_the_data_that_it_replaces(case: tuple[Handler, EventType]) -> None:
    _, each = case
    own = split(each.payload, each.examples[0])
    parts = split(corrections.payload_of(each.payload), {"replacement": each.examples[0], "note": "N"})
    assert parts.pop(FieldClass.PERSONAL) == {"note": "N"} | (
        {"replacement": own.pop(FieldClass.PERSONAL)} if FieldClass.PERSONAL in own else {}
    )
    assert {name: part["replacement"] for name, part in parts.items()} == own


@pytest.mark.parametrize("handler", CORRECTED, ids=named)
@settings(max_examples=sized(25, 250), deadline=None)
@given(data=st.data())
def test_corrected_days_reach_one_state_in_any_order(handler: Handler, empty_story: Any, data: st.DataObject) -> None:
    first = handler.events[0]
    subject = event_of(handler, first, first.examples[0]).subject
    events: list[Event] = []
    for number, each in enumerate(data.draw(st.lists(st.sampled_from(handler.events), min_size=1, max_size=5))):
        event = event_of(handler, each, each.examples[0], number)
        at = NOON + timedelta(minutes=data.draw(st.integers(0, 30)))
        events.append(
            Event(**{name: getattr(event, name) for name in Event.__slots__} | {"occurred_at": at, "subject": subject})
        )
    wrong = data.draw(st.lists(st.sampled_from(events), max_size=3, unique_by=lambda each: each.id))
    told = {each.name: each for each in handler.events}
    corrected = [
        correction_of(
            event,
            told[event.type],
            **({"kind": "incorrect_data", "replacement": event.data} if data.draw(st.booleans()) else {}),
        )
        for event in wrong
    ]
    stories = []
    for order in (events, data.draw(st.permutations(events))):
        story = empty_story(handler, subject)
        for event in (*order, *corrected):
            try:
                story.take(event)
            except Refused:
                return  # a service may refuse by what it knows already; the conformance suite holds that to itself
        stories.append(story)
    assert stories[0].contents() == stories[1].contents()
    assert stories[0].body["now"] == stories[1].body["now"]


def test_facts_are_made_the_same_way_for_an_event_and_for_its_replacement() -> None:
    handler, each = REGISTRY.by_type["item.delivered"]
    event = event_of(handler, each, {"item_id": "LL456789015FR", "to": "mailbox"})
    fact = _fact_of(event, handler.kept(event.type, event.subject, event.data))
    change = correction_of(event, each, kind="incorrect_data", replacement=event.data)
    correction = corrections.fact_of(change, handler.kept(event.type, event.subject, event.data))
    (told,) = corrections.applied([fact, correction])
    assert (told.at, told.id, told.type, told.data, told.by) == (fact.at, fact.id, fact.type, fact.data, fact.by)
