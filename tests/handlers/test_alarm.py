"""Alarms: raised, taken by the first who says so, and the same from any order of arrival."""

from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any
from uuid import UUID

import orjson
import pytest
from pydantic import ValidationError

from handlers.alarm import ACKNOWLEDGED, HANDLER, RAISED, Acknowledged, Raised
from handlers.base import validated
from handlers.fields import PERSONAL, split
from handlers.story import Actor, Event, Refused

ALARM = {"alarm_id": "a-1", "kind": "sos"}
TAKEN = {"alarm_id": "a-1"}


@pytest.fixture
def alarm(new_story: Any) -> Any:
    return new_story("alarm", "alarm/a-1")


def take(story: Any, minute: float, who: str, **more: Any) -> Any:
    event = story.event("alarm.acknowledged", TAKEN, minute, site="pantin", **more)
    return story.take(
        Event(**{name: getattr(event, name) for name in Event.__slots__} | {"actor": Actor("supervisor", None, who)})
    )


def row(decision: Any) -> tuple[Any, ...]:
    (write,) = decision.writes
    assert write.query == "alarm.save"
    return tuple(write.args)


def test_a_raise_is_said_at_once_and_written_for_the_screens(alarm: Any) -> None:
    located = {"stop_id": "st-118", "round_id": "T07", "run_id": "run-2026-11-21-T07"}
    event = alarm.event(
        "alarm.raised",
        {**ALARM, "carrier": "Camille", "run_id": "run-2026-11-21-T07"},
        3,
        site="pantin",
        located=located,
    )
    decision = alarm.take(event)
    (said,) = decision.public_events
    assert (said.type, said.data["kind"], said.data["located"]["stop_id"]) == ("alarm.raised", "sos", "st-118")
    assert row(decision)[:6] == ("a-1", "sos", "run-2026-11-21-T07", "pantin", "Camille", "st-118")
    assert row(decision)[6:] == (UUID(str(event.id)), event.occurred_at, None, None, 0, None, *[None] * 3)
    assert decision.new_state["now"] == {"state": "open"}


def test_the_first_to_take_an_alarm_has_it(alarm: Any) -> None:
    alarm.add("alarm.raised", ALARM, 0, site="pantin")
    first, second = take(alarm, 2, "acc_1"), take(alarm, 3, "acc_2")
    assert [each.type for each in first.public_events] == ["alarm.acknowledged"]
    assert second.public_events == []
    assert row(first)[9] == row(second)[9] == "acc_1"
    assert row(first)[8] == row(second)[8]
    assert alarm.body["now"] == {"state": "acknowledged"}


def test_an_acknowledgement_that_arrives_before_its_alarm_or_by_an_earlier_clock_counts(new_story: Any) -> None:
    for order in permutations([("alarm.raised", ALARM, 5), ("alarm.acknowledged", TAKEN, 3)]):
        story = new_story("alarm", "alarm/a-1")
        decisions = [story.add(kind, data, minute) for kind, data, minute in order]
        assert sorted(each.type for each in story.live.values()) == ["alarm.acknowledged", "alarm.raised"]
        assert row(decisions[-1])[8] is not None
        assert story.body["now"] == {"state": "acknowledged"}


def test_nothing_is_written_or_said_of_an_alarm_that_nobody_raised(alarm: Any) -> None:
    decision = alarm.add("alarm.acknowledged", TAKEN, 0)
    assert (decision.writes, decision.public_events) == ([], [])
    assert alarm.body["now"] == {"state": None}


def raise_at(story: Any, minute: float, place: str | None = None, **more: Any) -> Any:
    placed = {"fix": {"lat": 48.9, "lon": 2.1}} if place else {}
    data = {**ALARM, "carrier": more.pop("carrier", "Camille"), "kind": more.pop("kind", "sos")}
    event = story.event("alarm.raised", data, minute, **{"site": "pantin", **more}, located={"stop_id": place})
    return story.take(replace(event, data={**event.data, **placed}))


def test_an_alarm_raised_again_stays_one_with_its_first_time_and_its_newest_place(alarm: Any) -> None:
    first = row(raise_at(alarm, 0, "st-1"))
    again = row(raise_at(alarm, 4, "st-2", kind="fall"))
    assert (again[:2], again[5], again[7]) == (("a-1", "sos"), "st-2", first[7])
    assert again[6] != first[6]
    without_place = row(raise_at(alarm, 6))
    assert without_place == again
    assert [(each["kind"], each["located"]["stop_id"]) for each in alarm.said("alarm.raised")] == [("sos", "st-2")]
    assert row(raise_at(alarm, -2, "st-0"))[5:8] == (*again[5:7], first[7] - timedelta(minutes=2))
    assert len(alarm.said("alarm.raised")) == 1


def test_an_alarm_that_is_raised_where_it_was_is_said_once(alarm: Any) -> None:
    assert [len(raise_at(alarm, minute, "st-1").public_events) for minute in range(4)] == [1, 0, 0, 0]


@pytest.mark.parametrize("minute", [-5, 5])
def test_nobody_else_can_raise_an_alarm_again_earlier_or_later(alarm: Any, minute: float) -> None:
    raise_at(alarm, 0, "st-1")
    body = alarm.body
    for other in ({"site": "loin"}, {"site": None}, {"carrier": "Dominique"}):
        with pytest.raises(Refused) as refusal:
            raise_at(alarm, minute, "st-9", **other)
        assert refusal.value.code == "not_allowed"
    assert alarm.body == body
    assert row(raise_at(alarm, minute, "st-2"))[3:5] == ("pantin", "Camille")


def test_a_raise_that_names_nobody_leaves_the_carrier_as_it_was(alarm: Any) -> None:
    raise_at(alarm, 0)
    assert row(raise_at(alarm, -5, carrier=None))[4] == "Camille"
    with pytest.raises(Refused):
        raise_at(alarm, -6, carrier="Dominique")


def test_an_alarm_is_taken_on_its_own_site_and_by_the_operator(new_story: Any) -> None:
    story = new_story("alarm", "alarm/a-1")
    raise_at(story, 0)
    with pytest.raises(Refused) as refusal:
        story.add("alarm.acknowledged", TAKEN, 1, by="supervisor", site="loin")
    assert (refusal.value.code, story.body["now"]) == ("not_allowed", {"state": "open"})
    for by, site in (("operator", "loin"), ("server", "loin"), ("supervisor", "pantin"), ("supervisor", None)):
        story = new_story("alarm", "alarm/a-1")
        raise_at(story, 0)
        assert row(story.add("alarm.acknowledged", TAKEN, 1, by=by, site=site))[9] == by


def test_an_acknowledgement_of_another_site_that_came_first_does_not_count(alarm: Any) -> None:
    alarm.add("alarm.acknowledged", TAKEN, -1, by="supervisor", site="loin")
    assert row(raise_at(alarm, 0))[8:10] == (None, None)
    assert alarm.body["now"] == {"state": "open"}


def test_an_alarm_that_goes_on_keeps_its_first_time_and_who_has_it(alarm: Any) -> None:
    first = row(raise_at(alarm, 0, "st-1"))
    take(alarm, 1, "acc_1")
    for number in range(3 * HANDLER.facts_kept):
        last = row(raise_at(alarm, 2 + number, "st-2"))
    assert (last[7], last[9], last[5]) == (first[7], "acc_1", "st-2")
    assert len(alarm.body["facts"]) == HANDLER.facts_kept
    assert len(alarm.said("alarm.raised")) == 1
    with pytest.raises(Refused):
        raise_at(alarm, -5, site="loin")


def test_an_alarm_that_was_taken_on_paper_says_who_took_it(alarm: Any) -> None:
    alarm.add("alarm.raised", ALARM, 0)
    decision = alarm.add("alarm.acknowledged", {**TAKEN, "acknowledged_by": "acc_7"}, 1, by="operator")
    assert row(decision)[9] == "acc_7"


def test_name_note_and_place_are_sealed_and_never_published(alarm: Any) -> None:
    data = {**ALARM, "carrier": "Camille", "note": "derrière la mairie", "fix": {"lat": 48.9, "lon": 2.1}}
    sealed = split(Raised, data)[PERSONAL]
    assert sealed.keys() == {"carrier", "note", "fix"}
    decision = alarm.take(alarm.event("alarm.raised", data, 0, site="pantin"))
    told = orjson.dumps([dict(each.data) for each in decision.public_events]).decode()
    assert not any(word in told for word in ("Camille", "mairie", "48.9"))
    assert "48.9" not in orjson.dumps(alarm.body).decode()


def test_the_server_names_the_alarm_and_whose_phone_it_was() -> None:
    assert (RAISED.own_id, RAISED.names_carrier, RAISED.keeps_fix) == ("alarm_id", True, True)
    assert ACKNOWLEDGED.by == {"supervisor", "operator"}
    assert HANDLER.sealed_state


@pytest.mark.parametrize(
    "wrong",
    [{}, {"kind": "drone"}, {"kind": None}, {"kind": "sos", "note": "x" * 281}, {"kind": "sos", "alarm_id": "../x"}],
)
def test_what_is_no_alarm_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Raised, orjson.dumps(wrong))
    with pytest.raises(ValidationError):
        validated(Acknowledged, b"{}")
