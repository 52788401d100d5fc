"""Ideas: one vote a carrier, a decision of the own site, and nobody's name."""

from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import orjson
import pytest

from handlers.idea import HANDLER, voice
from handlers.story import Actor, Decision, Event, Refused, Sealed, State, Write

IDEA = {"idea_id": "i1"}
NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def submitted(story: Any, carrier: str = "Alex", **more: Any) -> Decision:
    return story.add("idea.submitted", {**IDEA, "text": "Des gants", "carrier": carrier}, **more)


def voted(story: Any, carrier: str, minute: float = 5) -> Decision:
    return story.add("idea.voted", {**IDEA, "carrier": carrier}, minute)


def row(decision: Decision) -> tuple[Any, ...]:
    (write,) = (each for each in decision.writes if each.query == "idea.save")
    return write.args


def test_a_carrier_has_one_vote_and_none_for_the_own_idea(new_story: Any) -> None:
    story = new_story("idea", "idea/i1")
    submitted(story)
    assert row(voted(story, "Bo"))[3] == 1
    again = voted(story, "Bo", 6)
    assert (row(again)[3], again.warnings, again.public_events) == (1, ["already_voted"], [])
    assert row(voted(story, "Alex", 7))[3] == 1
    assert row(voted(story, "Cam", 8))[3] == 2
    assert len(story.said("idea.voted")) == 2


def test_votes_that_come_before_the_idea_count_all_the_same(new_story: Any) -> None:
    story = new_story("idea", "idea/i1")
    assert voted(story, "Bo", 1).writes == [Write("idea.forget", ("i1",))]
    assert row(submitted(story, minute=2))[3] == 1


def test_the_status_and_the_answer_return_with_the_idea_to_the_voice_of_its_author(new_story: Any) -> None:
    story = new_story("idea", "idea/i1")
    submitted(story)
    decided = story.add("idea.decided", {**IDEA, "status": "accepted", "answer": "En mars"}, 60, by="operator")
    (sealed,) = (arg for arg in row(decided) if isinstance(arg, Sealed))
    assert sealed.value == {"text": "Des gants", "author": voice("i1", "Alex"), "answer": "En mars"}
    assert row(decided)[2] == "accepted"
    assert story.said("idea.decided") == [{**IDEA, "status": "accepted", "answer": "En mars"}]


def test_no_name_is_in_the_story_and_the_same_carrier_has_another_voice_in_another_idea(new_story: Any) -> None:
    story = new_story("idea", "idea/i1")
    submitted(story, "Alex Martin")
    voted(story, "Bo Durand")
    text = orjson.dumps(story.body).decode()
    assert "Martin" not in text
    assert "Durand" not in text
    assert voice("i1", "Alex") != voice("i2", "Alex")


def test_a_supervisor_of_another_site_decides_nothing() -> None:
    def event(kind: str, data: dict[str, Any], by: str, site: str) -> Event:
        return Event(uuid4(), kind, "idea/i1", NOON, {**IDEA, **data}, Actor(by), site=site)

    body = HANDLER.decide(
        State(), event("idea.submitted", {"text": "x", "carrier": "Alex"}, "device", "site-a"), NOON
    ).new_state
    with pytest.raises(Refused) as refused:
        HANDLER.decide(State(body), event("idea.decided", {"status": "done"}, "supervisor", "site-b"), NOON)
    assert refused.value.code == "not_allowed"
    own = HANDLER.decide(State(body), event("idea.decided", {"status": "done"}, "supervisor", "site-a"), NOON)
    assert own.new_state["now"] == {"status": "done", "votes": 0}


def test_an_idea_that_is_full_of_votes_takes_one_more_and_stays_as_it_is(new_story: Any) -> None:
    story = new_story("idea", "idea/i1")
    submitted(story)
    body = story.body
    full = {**body, "facts": body["facts"] * HANDLER.facts_kept}
    event = story.event("idea.voted", {**IDEA, "carrier": "Zoe"})
    decision = HANDLER.decide(State(full), event, NOON)
    assert (decision.new_state, decision.warnings) == (full, ["enough_votes"])
