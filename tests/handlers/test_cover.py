"""A confirmed cover: runs that others do wholly, runs that they do not, and who comes to whoever is visited."""

from typing import Any

CONFIRMED = "cover.confirmed"
A, B, C = (f"run-2026-11-21-T0{number}" for number in (1, 2, 3))
COVER = {
    "cover_id": "cov_1",
    "on": "2026-11-21",
    "pieces": [
        {"run_id": A, "to_run": B, "stop_ids": ["st-1"], "known_face": True},
        {"run_id": C, "to_run": B, "stop_ids": ["st-9"]},
    ],
    "covered": [A],
    "not_served": [C],
}


def test_runs_are_told_how_they_stand_and_visits_who_comes(new_story: Any) -> None:
    decision = new_story("cover", "cover/cov_1").add(CONFIRMED, COVER, by="supervisor")
    assert [(each.type, each.subject, each.data.get("by_others")) for each in decision.commands] == [
        ("run.covered", f"run/{A}", True),
        ("run.not_served", f"run/{C}", None),
    ]
    assert [(write.query, *write.args[:4]) for write in decision.writes] == [
        ("cover.tell_face", A, B, ["st-1"], "usual"),
        ("cover.tell_face", C, B, ["st-9"], "substitute"),
    ]


def test_only_runs_go_out(new_story: Any) -> None:
    story = new_story("cover", "cover/cov_1")
    story.add(CONFIRMED, COVER, by="supervisor")
    assert story.said(CONFIRMED) == [{"cover_id": "cov_1", "on": "2026-11-21", "covered": [A], "not_served": [C]}]


def test_a_run_that_others_do_is_neither_late_nor_not_served(new_story: Any) -> None:
    run = new_story("run", f"run/{A}")
    plan = {"run_id": A, "starts_at": "2026-11-21T08:30:00Z", "ends_at": "2026-11-21T13:00:00Z"}
    run.add("run.planned", plan, by="server")
    run.add("run.uncovered", {"run_id": A, "reason": "absence"}, 1, by="server")
    run.add("run.covered", {"run_id": A, "substitute": True, "by_others": True}, 2, by="server")
    run.add("timer.late_start", {}, 40, by="server")
    run.add("timer.not_served", {}, 300, by="server")
    assert run.said("run.late") == run.said("run.not_served") == []


def test_a_visited_person_is_told_whether_the_usual_carrier_comes(new_story: Any) -> None:
    visit = new_story("home_visit", "visit/V-1")
    visit.order()
    visit.add("timer.face", {"visitor": "substitute", "task_id": "tsk_1"}, 5, by="server")
    assert visit.said("home_visit.visitor_changed") == [{"visit_id": "V-1", "visitor": "substitute"}]
