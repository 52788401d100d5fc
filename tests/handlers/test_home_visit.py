"""Visits: six facts, the person's own consent, and the alert."""

from typing import Any

import orjson
import pytest
from pydantic import ValidationError

from handlers.base import validated
from handlers.fields import HEALTH, PUBLIC, split
from handlers.home_visit import AlertFact, Completed, CompletedFact

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
    visit.order(details={"consent": ["feels_well", "has_slept"]})
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
