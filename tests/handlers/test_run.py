"""Runs: duty from any order of arrival, and what was taken and is nowhere."""

from itertools import permutations
from typing import Any

import orjson
import pytest

from fieldsvc.store.live import duty_of
from handlers.run import HANDLER
from handlers.story import Command, DropTimer, Refused, SetTimer, Write

RUN_ID = "run-2026-11-21-T07"
RUN = {"run_id": RUN_ID}
HELD = "custody.held_for_review"


@pytest.fixture
def run(new_story: Any) -> Any:
    return new_story("run", f"run/{RUN_ID}")


def clock(minute: int) -> str:
    return f"2026-11-21T{8 + minute // 60:02d}:{minute % 60:02d}:00.000Z"


def test_duty_and_its_intervals_are_the_same_for_every_order_of_arrival(new_story: Any) -> None:
    marks = [("started", 0), ("paused", 30), ("resumed", 45), ("ended", 90)]
    for order in permutations(marks):
        run = new_story("run", f"run/{RUN_ID}")
        for word, minute in order:
            run.add(f"run.{word}", RUN, minute)
        assert run.body["now"] == {
            "duty": "off",
            "state": "ended",
            "mandate": False,
            "intervals": [[clock(0), clock(30)], [clock(45), clock(90)]],
        }
        assert [len(run.said(f"run.{word}")) for word, _ in marks] == [1, 1, 1, 1]


@pytest.mark.parametrize(
    ("word", "duty", "state"), [("started", "on", "started"), ("paused", "paused", "paused"), ("ended", "off", "ended")]
)
def test_each_fact_sets_the_runs_state_and_writes_it(run: Any, word: str, duty: str, state: str) -> None:
    run.add("run.started", RUN, 0)
    decision = run.add(f"run.{word}", RUN, 10)
    assert (run.body["now"]["duty"], run.body["now"]["state"]) == (duty, state)
    moment = run.event("x", {}, 10).occurred_at
    assert list(decision.writes) == [Write("run.set_state", (RUN_ID, state, moment))]


def test_a_mandate_is_no_duty_and_has_no_interval_in_which_positions_count(run: Any) -> None:
    run.add("run.started", {**RUN, "duty": "mandate"}, 0)
    assert run.body["now"] == {"duty": "mandate", "state": "started", "mandate": True, "intervals": []}
    run.add("run.paused", RUN, 10)
    assert (run.body["now"]["duty"], run.body["now"]["mandate"]) == ("paused", True)
    run.add("run.resumed", RUN, 20)
    assert run.body["now"]["duty"] == "mandate"


def test_the_hour_of_duty_ends_no_mandate_that_was_told_late(run: Any) -> None:
    run.add("run.started", RUN, 5, by="server")
    assert run.body["now"]["duty"] == "on"
    run.add("run.started", {**RUN, "duty": "mandate"}, 0)
    assert run.body["now"] == {"duty": "mandate", "state": "started", "mandate": True, "intervals": []}
    run.add("run.paused", RUN, 10)
    assert run.body["now"] == {"duty": "paused", "state": "paused", "mandate": True, "intervals": []}
    assert duty_of("paused", orjson.dumps(run.body)) is None
    run.add("run.ended", RUN, 20)
    run.add("run.started", RUN, 30, by="server")
    assert (run.body["now"]["duty"], run.body["now"]["mandate"]) == ("on", False)


def test_a_late_fact_does_not_set_an_ended_run_going_again(run: Any) -> None:
    run.add("run.started", RUN, 0)
    run.add("run.ended", RUN, 90)
    decision = run.add("run.paused", RUN, 30)
    assert decision.writes[0].args[1] == "ended"
    assert run.body["now"]["intervals"] == [[clock(0), clock(30)]]


def test_a_run_that_never_started_is_not_served_by_itself_until_a_late_phone_says_otherwise(run: Any) -> None:
    decision = run.add("run.planned", {**RUN, "ends_at": clock(300)}, 0, by="server")
    assert decision.timers == [SetTimer("not_served", run.event("x", {}, 300).occurred_at)]
    run.add("timer.not_served", {}, 300, by="server")
    assert run.said("run.not_served") == [{**RUN, "reason": "never_started"}]
    assert run.add("run.started", RUN, 15).timers == [DropTimer("not_served")]
    assert run.said("run.not_served") == []


def test_what_was_taken_and_is_nowhere_is_missing_alerts_and_tells_the_item(run: Any) -> None:
    data = {
        **RUN,
        "taken": ["pouch/P-1", "item/RK1", "item/RK2", "key/K-7"],
        "delivered": ["pouch/P-1"],
        "held": ["item/RK1"],
        "missing": ["key/K-7"],
    }
    decision = run.add("run.reconciled", data, 400)
    assert run.said("run.reconciled")[0]["missing"] == ["item/RK2", "key/K-7"]
    assert {each["thing"] for each in run.said(HELD)} == {"item/RK2", "key/K-7"}
    assert decision.commands == [Command("item.missing", "item/RK2", {"item_id": "RK2"})]


def test_a_day_that_adds_up_alerts_nobody(run: Any) -> None:
    decision = run.add("run.reconciled", {**RUN, "taken": ["pouch/P-1"], "brought_back": ["pouch/P-1"]}, 400)
    assert run.said(HELD) == []
    assert decision.commands == []


def test_the_unsealed_state_has_no_name_in_it(run: Any) -> None:
    run.add("run.planned", {**RUN, "carrier": "Awa Diallo", "helper": "Luc Petit"}, 0, by="server")
    assert not any(name in str(run.body) for name in ("Awa", "Luc"))
    assert "Awa" not in str([each.data for each in run.everything])
    assert HANDLER.sealed_state is False


def test_an_event_of_no_known_run_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        HANDLER.subjects_of("run.started", {})
    assert refused.value.code == "no_run"


def suspicion(round_id: str, minute: int, confidence: float = 0.98) -> dict[str, Any]:
    since = clock(minute).replace(".000Z", "Z")
    return {**RUN, "round_id": "T07", "suspected_round_id": round_id, "confidence": confidence, "since": since}


def test_that_a_run_seems_to_be_on_another_round_is_said_once_for_each_such_round(run: Any) -> None:
    run.add("run.started", RUN, 0)
    run.add("run.mismatch_suspected", suspicion("T12", 10), 25, by="server")
    again = run.add("run.mismatch_suspected", suspicion("T12", 10, 0.9), 26, by="server")
    assert again.public_events == []
    run.add("run.mismatch_suspected", suspicion("T03", 60), 75, by="server")
    assert [each["suspected_round_id"] for each in run.said("run.mismatch_suspected")] == ["T12", "T03"]
    assert run.said("run.mismatch_suspected")[0] == suspicion("T12", 10)
    assert run.body["now"]["mismatch"] == {"round_id": "T03", "since": suspicion("T03", 60)["since"]}
    assert run.body["now"]["duty"] == "on"


def test_only_the_server_may_say_that_a_run_seems_to_be_on_another_round() -> None:
    kind = next(each for each in HANDLER.events if each.name == "run.mismatch_suspected")
    assert kind.by == {"server"}
