"""Disputes: a case with an answer due, an alert when it is late, and a close by a person of the site."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from handlers.fields import format_time
from handlers.story import Actor, Decision, DropTimer, Event, Refused, Sealed, SetTimer, State, Write
from handlers.trust import ANSWER_IN, CLOSED, HANDLER, OPENED, OVERDUE
from tests.handlers.conftest import MORNING

OPEN = {
    "case_id": "c1",
    "event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e45",
    "about": "item/RK123456785FR",
    "about_site": "site-pantin",
    "about_account": "acc-1",
    "text": "Rien reçu",
}
CLOSE = {"case_id": "c1", "outcome": "upheld", "reason": "Remis au 12"}
DUE = MORNING + ANSWER_IN
LATE_MINUTE = ANSWER_IN / timedelta(minutes=1)


def case(decision: Decision) -> tuple[Any, ...]:
    (write,) = (each for each in decision.writes if each.query == "case_file.save")
    return write.args


def opened(story: Any) -> Decision:
    return story.add(OPENED.name, OPEN, by="subscriber", account="acc-1")


def test_a_case_is_opened_for_the_account_and_site_of_what_it_is_about(new_story: Any) -> None:
    decision = opened(new_story("trust", "case/c1"))
    head, (sealed,) = case(decision)[:9], case(decision)[9:]
    times = (MORNING, DUE, None)
    assert head == ("c1", "dispute", OPEN["about"], "site-pantin", "acc-1", "open", *times)
    assert sealed == Sealed({"event_id": OPEN["event_id"], "text": "Rien reçu"})
    assert decision.account == "acc-1"
    assert decision.timers == [SetTimer("answer_due", DUE)]
    assert HANDLER.touches(OPENED.name, OPEN) == (OPEN["about"],)


def test_an_answer_that_is_late_raises_an_alert_that_the_close_settles(new_story: Any) -> None:
    story = new_story("trust", "case/c1")
    opened(story)
    late = story.add("timer.answer_due", {}, LATE_MINUTE, by="server")
    assert [each.type for each in late.public_events] == [OVERDUE.name]
    assert [each.query for each in late.writes if each.query == "alert.save"] == ["alert.save"]
    assert story.said(OVERDUE.name) == [{"case_id": "c1", "answer_due_at": format_time(DUE)}]
    closed = story.add(CLOSED.name, CLOSE, LATE_MINUTE + 5, by="operator")
    settled = next(each for each in closed.writes if each.query == "alert.save")
    assert settled.args[-4] is not None  # settled_at, before who it is assigned to


def test_a_close_in_time_drops_the_timer_and_a_second_close_changes_nothing(new_story: Any) -> None:
    story = new_story("trust", "case/c1")
    opened(story)
    closed = story.add(CLOSED.name, CLOSE, 60, by="adviser")
    assert closed.timers == [DropTimer("answer_due")]
    assert case(closed)[5] == "closed"
    again = story.add(CLOSED.name, {**CLOSE, "outcome": "rejected"}, 90, by="adviser")
    assert (again.warnings, again.public_events) == (["already_closed"], [])
    assert story.said(CLOSED.name) == [CLOSE]


def test_a_late_close_that_was_said_before_the_day_takes_the_alert_back(new_story: Any) -> None:
    story = new_story("trust", "case/c1")
    opened(story)
    story.add("timer.answer_due", {}, LATE_MINUTE, by="server")
    story.add(CLOSED.name, CLOSE, 60, by="operator")
    assert story.said(OVERDUE.name) == []


def test_a_supervisor_closes_the_cases_of_the_own_site_only() -> None:
    def event(kind: str, data: dict[str, Any], by: str, site: str | None) -> Event:
        return Event(uuid4(), kind, "case/c1", datetime(2026, 11, 21, 9, tzinfo=UTC), data, Actor(by), site=site)

    body = HANDLER.decide(State(), event(OPENED.name, OPEN, "adviser", None), MORNING).new_state
    with pytest.raises(Refused) as refused:
        HANDLER.decide(State(body), event(CLOSED.name, CLOSE, "supervisor", "site-bondy"), MORNING)
    assert refused.value.code == "not_allowed"
    HANDLER.decide(State(body), event(CLOSED.name, CLOSE, "supervisor", "site-pantin"), MORNING)


def test_a_case_about_nothing_that_is_known_is_refused_and_a_close_of_none_keeps_nothing(new_story: Any) -> None:
    with pytest.raises(Refused) as refused:
        HANDLER.subjects_of(OPENED.name, {name: value for name, value in OPEN.items() if name != "about"})
    assert refused.value.code == "unknown_event"
    decision = new_story("trust", "case/c1").add(CLOSED.name, CLOSE, by="operator")
    assert (decision.public_events, list(decision.writes)) == ([], [Write("case_file.forget", ("c1",))])
