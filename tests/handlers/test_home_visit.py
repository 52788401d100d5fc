"""Visits: six facts, the person's own consent, and the alert."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.fields import HEALTH, PUBLIC, split
from handlers.home_visit import AlertFact, Completed, CompletedFact
from handlers.story import Refused
from tests.handlers.conftest import at

VISIT = {"visit_id": "V-2041"}
REPORT = {
    **VISIT,
    "met": "person",
    "answers": {"feels_well": True, "has_eaten": False, "mood": "a little sad"},
    "presence": "tag",
    "note": "asks for a call on Friday",
}
COMPLETED, ALERT = "home_visit.completed", "home_visit.alert"


@pytest.fixture
def visit(new_story: Any) -> Any:
    return new_story("home_visit", "visit/V-2041")


def test_a_visit_with_its_six_facts_is_attested(visit: Any) -> None:
    visit.add("home_visit.started", VISIT, 1)
    visit.add(COMPLETED, REPORT, 20)
    assert visit.said(COMPLETED) == [{**VISIT, "attested": True, "facts": {}}]
    assert visit.body["now"] == {"state": "completed"}


@pytest.mark.parametrize(
    ("change", "missing"),
    [
        ({"met": "nobody"}, ["whom"]),
        ({"answers": {}}, ["what"]),
        ({"presence": "location"}, ["where"]),
        ({"presence": "signature"}, ["where"]),
        ({"met": "nobody", "answers": {}}, ["whom", "what"]),
    ],
)
def test_an_incomplete_visit_names_what_is_missing(visit: Any, change: dict[str, Any], missing: list[str]) -> None:
    visit.add("home_visit.started", VISIT, 1)
    decision = visit.add(COMPLETED, {**REPORT, **change}, 20)
    assert (visit.said(COMPLETED)[0]["attested"], visit.said(COMPLETED)[0]["missing"]) == (False, missing)
    assert decision.warnings == ["incomplete"]


def test_a_visit_from_paper_or_with_a_wrong_clock_is_not_attested(visit: Any) -> None:
    visit.add("home_visit.started", VISIT, 1)
    visit.add(COMPLETED, REPORT, 20, by="supervisor", clock_suspect=True)
    assert visit.said(COMPLETED)[0]["missing"] == ["who", "end"]


def test_a_late_start_completes_the_visit_and_supersedes(visit: Any) -> None:
    visit.add(COMPLETED, REPORT, 20)
    assert visit.said(COMPLETED)[0]["missing"] == ["start"]
    decision = visit.add("home_visit.started", VISIT, 1)
    assert any(each.type == COMPLETED and each.supersedes for each in decision.public_events)
    assert visit.said(COMPLETED)[0]["attested"] is True


def test_a_start_after_the_end_is_no_start(visit: Any) -> None:
    visit.add(COMPLETED, REPORT, 20)
    visit.add("home_visit.started", VISIT, 25)
    assert visit.said(COMPLETED)[0]["missing"] == ["start"]


def test_the_family_learns_only_the_answers_that_the_person_consented_to(visit: Any) -> None:
    visit.order(details={"consent": {"given_on": "2026-11-01", "answers": ["feels_well", "has_slept"]}})
    visit.add("home_visit.started", VISIT, 1)
    visit.add(COMPLETED, REPORT, 20)
    said = visit.said(COMPLETED)[0]
    assert said["facts"] == {"feels_well": True}
    assert split(CompletedFact, said)[HEALTH] == {"facts": {"feels_well": True}}
    assert b"sad" not in orjson.dumps([each.data for each in visit.everything])


def test_without_consent_no_answer_leaves(visit: Any) -> None:
    visit.order()
    visit.add(COMPLETED, REPORT, 20)
    assert visit.said(COMPLETED)[0]["facts"] == {}


def test_an_urgent_visit_alerts_at_once_and_says_no_reason_outside_the_account(visit: Any) -> None:
    decision = visit.add(COMPLETED, {**REPORT, "urgent": True, "needs": ["a doctor"]}, 20)
    assert [each.type for each in decision.public_events] == [COMPLETED, ALERT]
    assert visit.said(ALERT) == [{**VISIT, "level": "urgent", "reason": "urgent_need"}]
    assert split(AlertFact, visit.said(ALERT)[0])[PUBLIC] == {**VISIT, "level": "urgent"}


def test_a_second_report_of_a_visit_is_kept_and_not_said(visit: Any) -> None:
    visit.add(COMPLETED, REPORT, 20)
    decision = visit.add(COMPLETED, {**REPORT, "met": "relative"}, 30)
    assert decision.public_events == []
    assert "already_completed" in decision.warnings
    assert len(visit.body["facts"]) == 2


def test_missed_and_rescheduled_visits_are_said_before_the_new_day(visit: Any) -> None:
    visit.add("home_visit.rescheduled", {**VISIT, "on": "2026-11-23", "reason": "uncovered"}, 0, by="server")
    assert visit.said("home_visit.rescheduled") == [{**VISIT, "on": "2026-11-23", "reason": "uncovered"}]
    visit.add("home_visit.missed", {**VISIT, "reason": "nobody"}, 10)
    assert visit.body["now"] == {"state": "missed"}


def test_answers_that_do_not_follow_the_ordered_form_are_warned(visit: Any) -> None:
    visit.order(form={"form_id": "wellbeing", "version": 2, "questions": {"feels_well": "boolean", "mood": "number"}})
    assert "form_not_followed" in visit.add(COMPLETED, REPORT, 20).warnings


@pytest.mark.parametrize(
    "wrong",
    [{"note": "x" * 281}, {"met": "cat"}, {"presence": "guess"}, {"answers": {"a b": 1}}, {"answers": {"a": {}}}],
)
def test_what_the_schema_does_not_allow_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        validated(Completed, orjson.dumps({**REPORT, **wrong}))


WINDOW = {"from": "2026-11-21T10:00:00Z", "until": "2026-11-21T11:00:00Z"}
CONSENT = {"given_on": "2026-11-01", "answers": ["feels_well", "has_eaten"]}


def test_an_order_whose_consent_has_no_date_or_whose_mandate_is_over_is_refused(visit: Any) -> None:
    with pytest.raises(Refused, match="consent_not_dated"):
        visit.order(details={"consent": ["feels_well"]})
    with pytest.raises(Refused, match="consent_not_dated"):
        visit.order(details={"consent": {"given_on": "yesterday", "answers": ["feels_well"]}})
    with pytest.raises(Refused, match="mandate_ended"):
        visit.order(mandates=[{"kind": "guardianship", "holder": "A", "until": "2026-11-20"}])
    visit.order(mandates=[{"kind": "guardianship", "holder": "A", "until": "2026-11-21"}])


def test_what_is_said_after_she_stopped_it_is_withheld_and_what_was_said_before_stays(visit: Any) -> None:
    visit.order(details={"consent": CONSENT})
    visit.add("home_visit.started", VISIT, 1)
    visit.add("home_visit.consent_changed", {**VISIT, "answers": ["has_eaten"], "given_on": "2026-11-21"}, 5)
    visit.add(COMPLETED, REPORT, 20)
    assert visit.said(COMPLETED)[0]["facts"] == {"has_eaten": False}
    visit.add("home_visit.consent_changed", {**VISIT, "answers": []}, 30)
    assert visit.said(COMPLETED)[0]["facts"] == {"has_eaten": False}


@pytest.mark.parametrize("consent", [{**CONSENT, "until": "2026-11-20"}, {**CONSENT, "given_on": "2026-11-22"}])
def test_a_consent_counts_only_between_its_dates(visit: Any, consent: dict[str, Any]) -> None:
    visit.order(details={"consent": consent})
    visit.add(COMPLETED, REPORT, 20)
    assert visit.said(COMPLETED)[0]["facts"] == {}


def test_a_stop_that_arrives_late_takes_back_what_was_said_after_it(visit: Any) -> None:
    visit.order(details={"consent": CONSENT})
    visit.add("home_visit.started", VISIT, 1)
    visit.add(COMPLETED, REPORT, 20)
    decision = visit.add("home_visit.consent_changed", {**VISIT, "answers": []}, 10)
    assert visit.said(COMPLETED)[0]["facts"] == {}
    assert any(each.supersedes for each in decision.public_events if each.type == COMPLETED)


def test_a_mandate_that_ended_before_the_visit_is_flagged_and_nothing_is_told(visit: Any) -> None:
    visit.order(
        on="2026-11-19", details={"consent": CONSENT}, mandates=[{"kind": "guardianship", "until": "2026-11-20"}]
    )
    decision = visit.add(COMPLETED, REPORT, 20)
    assert "mandate_ended" in decision.warnings
    assert (visit.said(COMPLETED)[0]["flags"], visit.said(COMPLETED)[0]["facts"]) == (["mandate_ended"], {})


def test_a_visit_in_danger_alerts_before_its_window_and_urgently_where_nobody_will_come(visit: Any) -> None:
    visit.order(window=WINDOW)
    visit.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    assert visit.said(ALERT) == [{**VISIT, "level": "attention", "reason": "uncovered"}]
    other = type(visit)(visit.handler, visit.subject)
    other.order(window=WINDOW)
    other.add("timer.threatened", {"reason": "run_not_served"}, 5, by="server")
    assert other.said(ALERT)[0]["level"] == "urgent"


def test_half_an_hour_before_the_end_a_visit_that_has_not_begun_alerts_and_its_start_settles_it(visit: Any) -> None:
    (timer,) = [each for each in visit.order(window=WINDOW).timers if each.kind == "at_risk"]
    assert timer.due_at == at(150)
    visit.add("timer.at_risk", {}, 150, by="server")
    assert visit.said(ALERT)[0]["reason"] == "window_ends"
    visit.add("home_visit.started", VISIT, 155)
    assert [row[11] is not None for row in visit.body["alerts"].values()] == [True]


def test_a_visit_that_is_put_off_moves_its_task_and_its_danger(visit: Any) -> None:
    visit.order(window=WINDOW)
    visit.add("timer.threatened", {"reason": "uncovered"}, 5, by="server")
    later = {"from": "2026-11-27T10:00:00Z", "until": "2026-11-27T11:00:00Z"}
    put_off = {**VISIT, "on": "2026-11-27", "window": later, "reason": "uncovered"}
    decision = visit.add("home_visit.rescheduled", put_off, 10, by="supervisor")
    (moved,) = [write for write in decision.writes if write.query == "task.plan"]
    assert (moved.args[0], moved.args[4], moved.args[7]) == ("tsk_1", "2026-11-27", at(6 * 1440 + 180))
    assert [each.due_at for each in decision.timers if each.kind == "at_risk"] == [at(6 * 1440 + 150)]
    assert [row[11] is not None for row in visit.body["alerts"].values()] == [True]


def test_it_is_told_whether_her_usual_carrier_came_or_a_substitute(visit: Any) -> None:
    visit.add("home_visit.started", {**VISIT, "visitor": "substitute"}, 1)
    visit.add(COMPLETED, {**REPORT, "visitor": "substitute", "form_version": 3}, 20)
    assert visit.said("home_visit.started")[0]["visitor"] == "substitute"
    assert visit.said(COMPLETED)[0]["visitor"] == "substitute"
