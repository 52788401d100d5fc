"""Runs in danger: uncovered, late, not served; what takes it back; and what was taken out, counted by the server."""

from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from handlers.run import LATE_AFTER, RECONCILED_AFTER
from handlers.story import DropTimer, SetTimer, Write
from tests.handlers.conftest import MORNING, at

RUN_ID = "run-2026-11-21-T07"
RUN = {"run_id": RUN_ID}
PLAN = {**RUN, "starts_at": "2026-11-21T08:00:00.000Z", "ends_at": "2026-11-21T23:00:00.000Z"}
NOW = MORNING + timedelta(hours=6)


@pytest.fixture
def run(new_story: Any) -> Any:
    return new_story("run", f"run/{RUN_ID}")


def told(decision: Any) -> list[tuple[Any, ...]]:
    """Return what a decision tells the tasks of the run: (query, reason or when it happened)."""
    return [(each.query, each.args[1]) for each in decision.writes if each.query in ("task.threaten", "task.relieve")]


def late(run: Any) -> Any:
    run.add("run.planned", PLAN, -60, by="server")
    return run.add("timer.late_start", {}, 10, by="server")


def test_a_planned_run_waits_ten_minutes_for_its_start(run: Any) -> None:
    decision = run.add("run.planned", PLAN, -60, by="server")
    assert SetTimer("late_start", at(0) + LATE_AFTER) in decision.timers
    decision = run.add("run.started", RUN, 3)
    assert DropTimer("late_start") in decision.timers
    assert told(decision) == []


def test_a_run_that_has_not_started_by_its_time_puts_its_work_at_risk_at_once_and_alerts(run: Any) -> None:
    run.add("run.planned", PLAN, -60, by="server")
    decision = run.take(run.event("timer.late_start", {}, 10, by="server"), NOW)
    assert Write("task.threaten", (RUN_ID, "late_start", NOW)) in decision.writes
    assert run.said("run.late") == [{**RUN, "starts_at": "2026-11-21T08:00:00Z"}]


def test_a_start_that_is_told_late_withdraws_the_danger_and_what_was_said(run: Any) -> None:
    late(run)
    decision = run.take(run.event("run.started", RUN, -2), NOW)
    assert Write("task.relieve", (RUN_ID, at(-2), NOW)) in decision.writes
    assert run.said("run.late") == []


def test_a_late_start_ends_the_danger_and_what_was_said_stays_true(run: Any) -> None:
    late(run)
    assert told(run.add("run.started", RUN, 25)) == [("task.relieve", at(25))]
    assert len(run.said("run.late")) == 1


def test_an_uncovered_run_is_in_danger_until_it_is_covered_and_then_late_until_it_starts(run: Any) -> None:
    run.add("run.planned", PLAN, -60, by="server")
    assert told(run.add("run.uncovered", RUN, -30, by="server")) == [("task.threaten", "uncovered")]
    assert told(run.add("timer.late_start", {}, 10, by="server")) == [("task.threaten", "uncovered")]
    assert run.said("run.late") == []
    assert told(run.add("run.covered", RUN, 20, by="server")) == [("task.threaten", "late_start")]
    assert told(run.add("run.started", RUN, 40)) == [("task.relieve", at(40))]


def test_cover_that_is_lost_on_the_way_is_a_danger_again(run: Any) -> None:
    run.add("run.planned", PLAN, -60, by="server")
    run.add("run.started", RUN, 0)
    assert told(run.add("run.uncovered", RUN, 90, by="server")) == [("task.threaten", "uncovered")]
    assert told(run.add("run.ended", RUN, 95)) == [("task.threaten", "uncovered")]


def test_what_will_not_be_served_is_told_to_every_task_and_a_start_takes_it_back(run: Any) -> None:
    run.add("run.planned", PLAN, -60, by="server")
    decision = run.add("run.not_served", {**RUN, "reason": "weather"}, -30, by="supervisor")
    assert told(decision) == [("task.threaten", "run_not_served")]
    assert DropTimer("late_start") in decision.timers
    assert told(run.add("run.started", RUN, 5)) == [("task.relieve", at(5))]


def test_a_run_without_a_known_start_is_never_late(run: Any) -> None:
    decision = run.add("run.planned", {**RUN, "ends_at": PLAN["ends_at"]}, -60, by="server")
    assert [each.kind for each in decision.timers] == ["not_served"]


def test_a_start_that_is_planned_later_ends_the_danger_until_then(run: Any) -> None:
    late(run)
    decision = run.add("run.planned", {**PLAN, "starts_at": "2026-11-21T10:00:00.000Z"}, 20, by="server")
    assert told(decision) == [("task.relieve", at(20))]
    assert SetTimer("late_start", at(120) + LATE_AFTER) in decision.timers


def test_paper_entered_the_day_after_makes_a_run_as_if_it_had_been_told_in_time(run: Any) -> None:
    late(run)
    run.add("timer.not_served", {}, 900, by="server")
    assert run.said("run.not_served") == [{**RUN, "reason": "never_started"}]
    paper = {**RUN, "recorded_from": "paper"}
    run.add("run.ended", paper, 300, by="supervisor")
    decision = run.add("run.started", paper, 0, by="supervisor")
    assert run.said("run.not_served") == []
    assert run.said("run.late") == []
    assert told(decision) == [("task.relieve", at(0))]
    assert (run.body["now"]["state"], run.body["now"]["duty"]) == ("ended", "off")


def test_the_danger_is_the_same_for_every_order_of_arrival(new_story: Any) -> None:
    facts = [
        ("run.planned", PLAN, -60, "server"), ("run.uncovered", RUN, -30, "server"), ("timer.late_start", {}, 10, "server"),
        ("run.covered", RUN, 20, "server"), ("run.started", RUN, 40, "device"),
    ]  # fmt: skip
    ends = set()
    for order in permutations(facts):
        run = new_story("run", f"run/{RUN_ID}")
        for kind, data, minute, by in order:
            run.add(kind, data, minute, by=by)
        ends.add((tuple(map(str, run.contents())), run.body["now"]["state"]))
    assert len(ends) == 1


def counted(**places: list[str]) -> dict[str, Any]:
    taken = sorted(thing for things in places.values() for thing in things)
    return {**RUN, "taken": taken, "delivered": [], "held": [], "brought_back": [], "missing": [], **places}


def test_a_quarter_of_an_hour_after_its_end_the_run_is_counted(run: Any) -> None:
    run.add("run.started", RUN, 0)
    decision = run.add("run.ended", RUN, 300)
    assert list(decision.timers) == [SetTimer("reconcile", at(300) + RECONCILED_AFTER)]
    told_late = run.take(run.event("run.paused", RUN, 200), at(400))
    assert list(told_late.timers) == [SetTimer("reconcile", at(400) + RECONCILED_AFTER)]
    decision = run.take(run.event("timer.reconcile", {}, 315, by="server"), NOW)
    assert list(decision.writes) == [Write("run.reconcile", (RUN_ID, NOW))]
    assert list(run.add("run.started", RUN, 320).timers) == [DropTimer("reconcile")]


def test_what_turns_up_is_counted_again_and_the_alert_is_taken_back(run: Any) -> None:
    run.add("run.reconciled", counted(missing=["item/RK1", "pouch/P-1"]), 315, by="server")
    decision = run.add("run.reconciled", counted(missing=["pouch/P-1"], delivered=["item/RK1"]), 400, by="server")
    assert [each["missing"] for each in run.said("run.reconciled")] == [["pouch/P-1"]]
    assert [each["thing"] for each in run.said("custody.held_for_review")] == ["pouch/P-1"]
    assert decision.commands == []


def test_what_a_person_counted_stays_beside_the_servers_count_and_one_thing_alerts_once(run: Any) -> None:
    run.add("run.reconciled", counted(missing=["pouch/P-1"]), 310, by="device")
    run.add("run.reconciled", counted(missing=["pouch/P-1"]), 315, by="server")
    assert len(run.said("run.reconciled")) == 2
    assert len(run.said("custody.held_for_review")) == 1
