"""Hand-overs of a load: two sides with their counts, and what does not add up."""

from itertools import permutations
from typing import Any

import pytest

from handlers.handover import HANDLER
from handlers.story import DropTimer, Refused, SetTimer

A, B = "run-2026-11-21-T07", "run-2026-11-21-T08"
GIVEN = {"run_id": A, "to_run": B, "counts": {"items": 12, "pouches": 2}}
TAKEN = {"run_id": B, "from_run": A, "counts": {"items": 12, "pouches": 2, "keys": 0}}
COUNTS = {"items": 12, "pouches": 2, "keys": 0}


@pytest.fixture
def giver(new_story: Any) -> Any:
    return new_story("handover", f"run/{A}")


def test_both_sides_are_facts_of_both_runs_and_counts_that_agree_alert_nobody(new_story: Any) -> None:
    assert HANDLER.subjects_of("run.handed_over", GIVEN) == (f"run/{A}", f"run/{B}")
    assert HANDLER.subjects_of("run.taken_over", TAKEN) == (f"run/{A}", f"run/{B}")
    for run_id in (A, B):
        run = new_story("handover", f"run/{run_id}")
        run.add("run.handed_over", GIVEN, 0)
        run.add("run.taken_over", TAKEN, 5)
        side = {"run_id": run_id, "from_run": A, "to_run": B, "counts": COUNTS}
        assert run.said("run.handed_over") == run.said("run.taken_over") == [side]
        assert run.said("run.handover_differs") == []


def test_counts_that_differ_alert_on_the_run_that_gives_alone(new_story: Any) -> None:
    fewer = {**TAKEN, "counts": {"items": 11, "pouches": 2}}
    for run_id, alerts in ((A, 1), (B, 0)):
        run = new_story("handover", f"run/{run_id}")
        run.add("run.handed_over", GIVEN, 0)
        run.add("run.taken_over", fewer, 5)
        assert len(run.said("run.handover_differs")) == alerts
        if alerts:
            taken = {**COUNTS, "items": 11}
            named = {"run_id": A, "from_run": A, "to_run": B, "given": COUNTS, "taken": taken}
            assert run.said("run.handover_differs") == [named]
    assert next(each.alert for each in HANDLER.publishes if each.name == "run.handover_differs") == "attention"


def test_a_side_that_says_nothing_for_half_an_hour_alerts_until_it_does(giver: Any) -> None:
    decision = giver.add("run.handed_over", GIVEN, 0)
    assert list(decision.timers) == [SetTimer("handover_open", giver.event("x", {}, 30).occurred_at)]
    giver.add("timer.handover_open", {}, 30, by="server")
    assert giver.said("run.handover_differs") == [{"run_id": A, "from_run": A, "to_run": B, "given": COUNTS}]
    decision = giver.add("run.taken_over", TAKEN, 40)
    assert list(decision.timers) == [DropTimer("handover_open")]
    assert giver.said("run.handover_differs") == []


def test_the_next_carrier_of_the_same_run_takes_what_the_one_before_gave(giver: Any) -> None:
    giver.add("run.handed_over", {"run_id": A, "to_carrier": "Léo", "counts": {"keys": 1}}, 0)
    giver.add("run.taken_over", {"run_id": A, "counts": {"keys": 1}}, 3)
    assert giver.said("run.handover_differs") == []
    assert "Léo" not in str(giver.body)


def test_two_loads_of_one_way_are_paired_in_order_whatever_arrived_when(new_story: Any) -> None:
    facts = [
        ("run.handed_over", GIVEN, 0),
        ("run.taken_over", TAKEN, 5),
        ("run.handed_over", {**GIVEN, "counts": {"keys": 1}}, 60),
        ("run.taken_over", {**TAKEN, "counts": {"keys": 2}}, 65),
    ]
    for order in permutations(facts):
        run = new_story("handover", f"run/{A}")
        for fact in order:
            run.add(*fact)
        assert [each["taken"]["keys"] for each in run.said("run.handover_differs")] == [2]


def test_a_hand_over_of_no_known_run_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        HANDLER.subjects_of("run.handed_over", {"counts": {}})
    assert refused.value.code == "no_run"
