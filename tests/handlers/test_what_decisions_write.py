"""What decisions write follows what holds now: after a correction, a late fact, or a plan that moved on."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from handlers.corrections import NAME as CORRECTED
from handlers.fields import format_time
from handlers.story import Actor, Decision, Event, Fact, Refused, SetTimer, Write

SITE, RUN = "site-pantin", "run-2026-11-21-T07"


def corrected(wrong: Event, *, replacement: Any = None) -> Event:
    """Correct an event as intake prepares it: with the site and the run of what is corrected."""
    said = {"corrects": str(wrong.id), "kind": "incorrect_data" if replacement else "did_not_occur", "reason": "other"}
    data = said | ({"replacement": replacement} if replacement else {})
    original = Fact(format_time(wrong.occurred_at), str(wrong.id), wrong.type, {}, wrong.actor.kind, run=wrong.run)
    at = wrong.occurred_at + timedelta(minutes=30)
    name = UUID(int=wrong.id.int ^ 1)
    who = Actor("device")
    return Event(name, CORRECTED, wrong.subject, at, data, who, site=wrong.site, run=wrong.run, original=original)


def written(decision: Decision, query: str) -> list[Sequence[Any]]:
    return [write.args for write in decision.writes if write.query == query]


HAZARD = {"hazard_id": "H-1", "kind": "ice", "point": {"lat": 48.9, "lon": 2.2}, "radius_m": 50.0}
HAZARD["until"] = "2026-11-22T12:00:00Z"


def test_a_corrected_hazard_stays_with_its_site_and_its_supervisor_may_still_end_it(new_story: Any) -> None:
    story = new_story("hazard", "hazard/H-1")
    wrong = story.event("hazard.reported", HAZARD, site=SITE)
    story.take(wrong)
    (row,) = written(story.take(corrected(wrong, replacement={**HAZARD, "kind": "works"})), "hazard.save")
    assert row[1:4] == ("works", "reported", SITE)
    ended = story.add("hazard.ended", {"hazard_id": "H-1"}, 60, by="supervisor", site=SITE)
    assert written(ended, "hazard.save")[0][2] == "ended"


def test_a_hazard_that_never_was_leaves_the_sheets(new_story: Any) -> None:
    story = new_story("hazard", "hazard/H-1")
    wrong = story.event("hazard.reported", HAZARD, site=SITE)
    story.take(wrong)
    story.add("hazard.confirmed", {"hazard_id": "H-1"}, 5, by="supervisor", site=SITE)
    assert story.take(corrected(wrong)).writes[0] == Write("hazard.forget", ("H-1",))


def test_a_corrected_idea_keeps_its_author(new_story: Any) -> None:
    story = new_story("idea", "idea/I-1")
    idea = {"idea_id": "I-1", "text": "Un local"}
    wrong = story.event("idea.submitted", {**idea, "carrier": "Ana"}, site=SITE)
    (before,) = written(story.take(wrong), "idea.save")
    (after,) = written(story.take(corrected(wrong, replacement=idea | {"text": "Un abri"})), "idea.save")
    assert after[1] == SITE
    assert after[-1].value == before[-1].value | {"text": "Un abri"}


@pytest.mark.parametrize(
    ("name", "subject", "kind"),
    [("alarm", "alarm/A", "alarm.raised"), ("run_change", RUN, "run.split"), ("cover", "cover/c", "cover.confirmed")],
)
def test_what_cannot_be_unsaid_is_not_corrected(new_story: Any, name: str, subject: str, kind: str) -> None:
    story = new_story(name, subject)
    wrong = Event(UUID(int=7), kind, subject, datetime(2026, 11, 21, 8, tzinfo=UTC), {}, Actor("server"))
    with pytest.raises(Refused, match="not_correctable"):
        story.take(corrected(wrong))


def test_a_run_that_did_not_start_is_planned_again(new_story: Any) -> None:
    story = new_story("run", f"run/{RUN}")
    wrong = story.event("run.started", {"run_id": RUN})
    story.take(wrong)
    assert written(story.take(corrected(wrong)), "run.set_state") == [(RUN, "planned", None)]


def test_a_sheet_that_was_not_seen_marks_nothing_again(new_story: Any) -> None:
    story = new_story("sheet", f"run/{RUN}")
    wrong = story.event("sheet.seen", {"run_id": RUN, "version": 3})
    assert written(story.take(wrong), "task.mark_seen")
    assert not story.take(corrected(wrong)).writes


def test_a_rating_of_a_service_does_not_become_one_of_a_delivery(new_story: Any) -> None:
    story = new_story("rating", "rating/R-1")
    rating = {"rating_id": "R-1", "about": "service/item", "score": 9}
    wrong = story.event("rating.given", rating)
    story.take(wrong)
    with pytest.raises(Refused, match="not_allowed"):
        story.take(corrected(wrong, replacement={**rating, "about": "item/RK123456785FR"}))


VISIT = {"visit_id": "V-1"}
WINDOW = {"from": "2026-11-21T10:00:00Z", "until": "2026-11-21T11:00:00Z"}
LATER = {"from": "2026-11-23T10:00:00Z", "until": "2026-11-23T11:00:00Z"}


def test_a_visit_put_off_is_put_back_when_that_was_wrong_and_moved_also_by_a_late_word(new_story: Any) -> None:
    story = new_story("home_visit", "visit/V-1")
    story.order(window=WINDOW)
    story.add("home_visit.alert", {**VISIT, "level": "attention", "reason": "door_open"}, 20)
    off = story.event("home_visit.rescheduled", {**VISIT, "on": "2026-11-23", "window": LATER}, 10)
    assert [row[4] for row in written(story.take(off), "task.plan")] == ["2026-11-23"]
    assert [row[4] for row in written(story.take(corrected(off)), "task.plan")] == ["2026-11-21"]


def test_the_window_that_a_visit_was_put_off_to_is_watched_and_the_old_one_no_more(new_story: Any) -> None:
    story = new_story("home_visit", "visit/V-1")
    story.order(window=WINDOW)
    story.add("home_visit.rescheduled", {**VISIT, "on": "2026-11-23", "window": LATER}, 10)
    stale = {**VISIT, "reason": "uncovered", "run_id": RUN}
    story.add("timer.threatened", stale, 30, by="server")
    assert story.said("home_visit.alert") == []
    story.add("timer.at_risk", VISIT, 2 * 24 * 60 + 150, by="server")
    assert [each["reason"] for each in story.said("home_visit.alert")] == ["window_ends"]


def test_each_side_of_a_hand_over_that_waits_rings_in_its_own_time(new_story: Any) -> None:
    story = new_story("handover", f"run/{RUN}")
    counts = {"run_id": RUN, "counts": {"items": 1}}

    def due(decision: Decision) -> list[datetime]:
        return [
            timer.due_at for timer in decision.timers if isinstance(timer, SetTimer) and timer.kind == "handover_open"
        ]

    first = story.event("run.handed_over", {**counts, "to_run": "run-2026-11-21-T08"}, 10)
    story.take(first)
    second = story.event("run.handed_over", {**counts, "to_run": "run-2026-11-21-T09"}, 0)
    assert due(story.take(second)) == [second.occurred_at + timedelta(minutes=30)]
    rung = story.add("timer.handover_open", {"run_id": RUN}, 30, by="server")
    assert due(rung) == [first.occurred_at + timedelta(minutes=30)]


def test_a_run_took_the_same_things_whatever_arrives_first(new_story: Any) -> None:
    story = new_story("pet", "pet/A-1")
    handed = {"pet_id": "A-1", "handed_to": "owner", "signature": "s"}
    assert written(story.add("pet.handed_over", handed, 30, run=RUN), "run_thing.move")[0][1] is None
    late = written(story.add("pet.picked_up", {"pet_id": "A-1", "code_ok": True}, 0, run=RUN), "run_thing.move")
    assert [row[:3] for row in late] == [("pet/A-1", RUN, "person")]


def test_an_alert_that_a_timer_raises_is_that_of_the_case_and_its_site(new_story: Any) -> None:
    story = new_story("trust", "case/C-1")
    case = {"case_id": "C-1", "event_id": "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e45", "text": "Rien reçu"}
    story.add("trust.dispute_opened", {**case, "about": "item/X", "about_site": SITE}, by="subscriber", account="acc-1")
    rung = story.add("timer.answer_due", {"case_id": "C-1"}, 8 * 24 * 60, by="server")
    assert [row[7] for row in written(rung, "alert.save")] == [SITE]
