"""Cover as a problem: what a plan must keep, what the solver wins over the greedy plan, and how a plan is told."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fieldsvc.bench.cover_cases import Case, generated
from fieldsvc.work.cover_answer import Telling, pieces_of
from fieldsvc.work.cover_layout import lay
from fieldsvc.work.cover_model import Present, Problem, Rules, Uncovered, Work
from fieldsvc.work.cover_plan import Plan, faults, greedy, in_time, judge
from fieldsvc.work.cover_solver import solve
from geo.rounds import Round, Stop

H = 3_600.0
ORIGIN = datetime(2026, 3, 3, 7, tzinfo=UTC)


def street(name: str, count: int, north_m: float = 0.0) -> Round:
    """Make a round of doors 20 m apart along one straight street."""
    lat = 48.9 + north_m / 111_200
    stops = [Stop(f"{name}-{i}", lat, 2.4 + i * 20 / 73_100, delivery_point_id=f"{name}p{i}") for i in range(count)]
    return Round(name, (), tuple(stops))


def missing(name: str = "A", count: int = 120, *, tasks: tuple[Work, ...] = ()) -> Uncovered:
    return Uncovered(f"run-{name}", street(name, count), np.full(count, 17.0), np.full(count, 13.0), tasks)


def walker(name: str, north_m: float, *, hours: float = 5.0, tasks: tuple[Work, ...] = (), **more: Any) -> Present:
    at = np.linspace(60.0, hours * H, 100)
    return Present(f"run-{name}", street(name, 100, north_m), at, 0.0, hours * H, tasks, **more)


def pouch(stop: int, first: float, until: float, name: str = "t1") -> Work:
    return Work(name, "medication", stop, (first, until), frozenset({"pouches"}))


def best(problem: Problem) -> Plan:
    return solve(problem, limit_s=2.0).plan


def test_a_near_round_with_time_left_takes_the_whole_uncovered_one() -> None:
    problem = lay([missing()], [walker("B", 100.0), walker("C", 3_000.0)], Rules())
    plan = best(problem)
    assert [(each.run, each.stops[0], each.stops[-1]) for each in pieces_of(problem, plan)] == [(0, 0, 119)]
    outcome = judge(problem, plan)
    assert (outcome.stops_undone, outcome.blocks_undone, outcome.overtime_minutes) == (0, 0, 0.0)
    assert 60 < outcome.minutes < 105  # an hour of work, the way there, and the way back from the other end


def test_nobody_works_longer_than_the_cap_and_what_is_left_is_said() -> None:
    problem = lay([missing()], [walker("B", 100.0, hours=7.5)], Rules())
    plan = best(problem)
    assert judge(problem, plan).minutes <= 30.0
    told = Telling(problem, plan, ORIGIN, {"run-B": "Zoé"}).answer({"run-A": ["t9"]})
    left = [stop for line in told["undone"] for stop in line["stops"]]
    given = [stop for piece in told["pieces"] for stop in piece["stop_ids"]]
    assert sorted(left + given) == sorted(f"A-{i}" for i in range(120))
    assert {line["reason"] for line in told["undone"]} == {"no_time_left", "no_stop"}
    assert told["minutes_by_run"].keys() <= {"run-B"}


def test_timed_work_goes_first_to_who_is_qualified_and_in_time() -> None:
    tasks = (pouch(60, 2 * H, 3 * H),)
    able, unable = frozenset({"pouches"}), frozenset[str]()
    present = [walker("B", 100.0, hours=7.6, qualifications=unable), walker("C", 900.0, hours=7.2, qualifications=able)]
    problem = lay([missing(tasks=tasks)], present, Rules())
    plan = best(problem)
    assert in_time(problem, 0, plan)
    taken = next(each for each in pieces_of(problem, plan) if 60 in each.stops)
    assert problem.present[taken.run].run_id == "run-C"
    told = Telling(problem, plan, ORIGIN, {}).answer({})
    piece = next(each for each in told["pieces"] if each["to_run"] == "run-C")
    assert piece["critical"][0]["in_time"] is True
    assert "2026-03-03T09:00:00.000Z" <= piece["critical"][0]["expected_at"] <= "2026-03-03T10:00:00.000Z"
    assert all(each["qualifications_ok"] for each in told["pieces"])


def test_a_window_that_nobody_can_keep_is_said_with_its_reason_and_never_as_done() -> None:
    problem = lay([missing(tasks=(pouch(60, 2 * H, 3 * H),))], [walker("B", 100.0)], Rules())
    told = Telling(problem, best(problem), ORIGIN, {}).answer({})
    line = next(each for each in told["undone"] if each["tasks"] == ["t1"])
    assert (line["reason"], line["stops"]) == ("nobody_qualified", ["A-60"])
    assert line["windows"][0]["until"] == "2026-03-03T10:00:00.000Z"
    assert not any("A-60" in piece["stop_ids"] for piece in told["pieces"])


def test_what_is_taken_makes_no_window_of_the_own_round_late() -> None:
    own = (pouch(50, 2.4 * H, 2.6 * H, "own"),)
    at = float(np.linspace(60.0, 5 * H, 100)[50])
    present = [walker("B", 100.0, tasks=own, qualifications=frozenset({"pouches"}))]
    problem = lay([missing(tasks=(pouch(10, 0.0, 0.4 * H),))], present, Rules())
    plan = best(problem)
    before = sum(problem.choices[i].seconds for i in plan if problem.gaps[0][problem.choices[i].gap].at_s < at)
    assert before <= 2.6 * H - at + 1.0
    assert faults(problem, plan) == []


def test_a_person_who_is_visited_gets_the_carrier_who_knows_the_round() -> None:
    visit = Work("v1", "home_visit", 5, (0.0, 4 * H), frozenset({"visits"}))
    skilled = {"qualifications": frozenset({"visits"})}
    present = [walker("B", 100.0, **skilled), walker("C", 400.0, knows=frozenset({"A"}), **skilled)]
    problem = lay([missing(tasks=(visit,))], present, Rules())
    told = Telling(problem, best(problem), ORIGIN, {}).answer({})
    piece = next(each for each in told["pieces"] if "v1" in each["tasks"])
    assert (piece["to_run"], piece["known_face"], piece["critical"][0]["carrier"]) == ("run-C", True, "usual")


def test_nothing_is_proposed_before_now() -> None:
    problem = lay([missing()], [walker("B", 100.0)], Rules(now_s=4 * H))
    assert all(gap.at_s >= 4 * H for gaps in problem.gaps for gap in gaps)


def test_with_nobody_there_everything_is_undone_and_said() -> None:
    problem = lay([missing(tasks=(pouch(3, 0.0, H),))], [], Rules())
    told = Telling(problem, best(problem), ORIGIN, {}).answer({})
    assert told["pieces"] == []
    assert {name for line in told["undone"] for name in line["tasks"]} == {"t1"}
    assert sum(len(line["stops"]) for line in told["undone"]) == 120


@pytest.fixture(scope="module")
def town() -> Case:
    return generated(8, 3)


@settings(max_examples=5, deadline=None)
@given(absent=st.sets(st.integers(0, 7), min_size=1, max_size=3), hours=st.sampled_from((6.5, 8.0)))
def test_every_plan_keeps_the_rules_and_the_solver_is_never_worse_than_greedy(
    town: Case, absent: set[int], hours: float
) -> None:
    ids = [each.round_id for each in town.rounds]
    problem = town.without([ids[i] for i in absent], replace(Rules(), most_s=hours * H))
    first, found = greedy(problem), solve(problem, limit_s=0.2)
    assert faults(problem, first) == faults(problem, found.plan) == []
    assert judge(problem, found.plan).objective <= judge(problem, first).objective + 1e-6
    told = Telling(problem, found.plan, ORIGIN, {}).answer({})
    moved = [(each["run_id"], stop) for each in told["pieces"] for stop in each["stop_ids"]]
    left = [(each["run_id"], stop) for each in told["undone"] for stop in each["stops"]]
    every = [(each.run_id, stop.stop_id) for each in problem.uncovered for stop in each.round.stops]
    assert sorted(moved + left) == sorted(every)
