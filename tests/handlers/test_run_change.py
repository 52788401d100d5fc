"""Changes of the day: what moves, on which runs it is said, and what is written once."""

from typing import Any

import pytest

from handlers.run_change import HANDLER
from handlers.story import Refused, Write

A, B = "run-2026-11-21-T07", "run-2026-11-21-T08"


def test_a_run_that_goes_to_another_carrier_is_written_and_said_without_a_name(new_story: Any) -> None:
    run = new_story("run_change", f"run/{A}")
    decision = run.add("run.reassigned", {"run_id": A, "to_carrier": "Léo Martin"}, by="supervisor")
    assert list(decision.writes) == [Write("run.reassign", (A, "Léo Martin"))]
    assert run.said("run.reassigned") == [{"run_id": A}]
    assert HANDLER.sealed_state is True


def test_a_split_is_said_on_both_runs_and_written_by_the_one_that_gives(new_story: Any) -> None:
    data = {"run_id": A, "to_run": B, "stop_ids": ["st-1", "st-2"], "task_ids": ["tsk_1"]}
    assert HANDLER.subjects_of("run.split", data) == (f"run/{A}", f"run/{B}")
    giver, taker = new_story("run_change", f"run/{A}"), new_story("run_change", f"run/{B}")
    written = giver.add("run.split", data, by="supervisor").writes
    assert [(each.query, each.args[:4]) for each in written] == [
        ("task.move_to_run", (A, B, ["tsk_1"], ["st-1", "st-2"]))
    ]
    assert taker.add("run.split", data, by="supervisor").writes == []
    said = {"from_run": A, "to_run": B, "stops": 2, "tasks": 1}
    assert giver.said("run.split") == [{"run_id": A, **said}]
    assert taker.said("run.split") == [{"run_id": B, **said}]


def test_a_run_gives_nothing_to_itself() -> None:
    with pytest.raises(Refused) as refused:
        HANDLER.subjects_of("run.split", {"run_id": A, "to_run": A})
    assert refused.value.code == "same_run"


def test_only_the_routes_of_supervisors_move_work() -> None:
    assert all(each.by == {"server"} for each in HANDLER.events)
