"""`bench cover`: one to five absences of ten to forty rounds, the solver's plan beside the greedy one.

On the same laid-out problem, so both know the same blocks, gaps and costs; what differs is the choosing. Rounds come from the
simulated town and, with FIELDSVC_TEST_DATA, are laid out over the addresses of Bondy and Belfort. A carrier may work eight
hours, seven of them regular. The greedy plan is what the solver begins with, so a ratio above 1 cannot be.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from itertools import product
from statistics import median
from typing import Any

from fieldsvc.bench.cover_cases import Case, generated, over_addresses, real_towns
from fieldsvc.bench.lines import Show, rounded
from fieldsvc.work.cover_model import Problem, Rules
from fieldsvc.work.cover_plan import Outcome, faults, greedy, judge
from fieldsvc.work.cover_solver import solve

LIMIT_S = 5.0
SOME, ALL = ((10, 1), (20, 3), (40, 5)), tuple(product((10, 20, 40), (1, 2, 3, 4, 5)))
BONDY, BONDY_HAS = "bondy", 12  # so many rounds fill it
FIGURES = ("objective", "blocks_undone", "stops_undone", "specials_undone", "overtime_minutes", "minutes")
Make = Callable[[int, int], Case]


@dataclass(frozen=True, slots=True)
class Compared:
    """One day: what the solver's plan and the greedy one come to, how long each took, and how the solver ended."""

    problem: Problem
    solved: Outcome
    greedy: Outcome
    seconds: float
    greedy_seconds: float
    method: str


def compare(problem: Problem, *, limit_s: float = LIMIT_S) -> Compared:
    """Choose both ways on one problem; ValueError if a plan could not be told."""
    began = time.perf_counter()
    first = greedy(problem)
    between = time.perf_counter()
    found = solve(problem, limit_s=limit_s)
    ended = time.perf_counter()
    if wrong := [*faults(problem, first), *faults(problem, found.plan)]:
        raise ValueError(wrong[0])
    outcomes = judge(problem, found.plan), judge(problem, first)
    return Compared(problem, *outcomes, ended - between, between - began, found.method)


def lines(*, cycles: int, full: bool, limit_s: float = LIMIT_S) -> Iterator[dict[str, Any]]:
    """Write the figures of every town and size; `cycles` days each."""
    makers: dict[str, Make] = {"generated": generated}
    makers |= {name: partial(over_addresses, rows) for name, rows in real_towns().items()}
    for (town, make), (count, absences) in product(makers.items(), ALL if full else SOME):
        if town == BONDY and count > BONDY_HAS:
            continue
        days = []
        for seed in range(1, max(cycles, 1) + 1):
            case = make(count, seed)
            ids = [each.round_id for each in case.rounds]
            absent = [ids[(seed * 7 + k * len(ids) // absences) % len(ids)] for k in range(absences)]
            days.append(compare(case.without(absent, Rules()), limit_s=limit_s))
        yield from _lines(days, town=town, rounds=count, absences=absences, limit_s=limit_s)


def _lines(days: list[Compared], **conditions: Any) -> Iterator[dict[str, Any]]:
    """Write sums over days, so that a day without anything undone spoils no ratio."""
    sizes = {
        "days": len(days),
        "blocks": sum(len(each.problem.blocks) for each in days),
        "own_hours": round(median(run.own_s for each in days for run in each.problem.present) / 3_600, 1),
        "choices": sum(len(each.problem.choices) for each in days),
        "special_tasks": sum(each.solved.specials for each in days),
        "optimal": sum(each.method == "optimal" for each in days),
        "threads": 1,
    }
    for name in FIGURES:
        ours, theirs = (sum(float(asdict(each)[name]) for each in some) for some in _both(days))
        yield _line(name, ours, "greedy", theirs, {**conditions, **sizes})
    kept = [1 - sum(each.specials_undone for each in some) / max(sizes["special_tasks"], 1) for some in _both(days)]
    yield _line("critical_kept_percent", 100 * kept[0], "greedy", 100 * kept[1], {**conditions, **sizes})
    slowest = max(days, key=lambda each: each.seconds)
    yield _line("seconds_to_solve", slowest.seconds, "greedy", slowest.greedy_seconds, {**conditions, **sizes})


def _both(days: list[Compared]) -> tuple[list[Outcome], list[Outcome]]:
    return [each.solved for each in days], [each.greedy for each in days]


def _line(metric: str, value: float, name: str, other: float, conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": "cover",
        "metric": metric,
        "value": rounded(value),
        "ratio_to": name,
        "ratio": rounded(value / other) if other else None,
        "conditions": {**conditions, name: rounded(other)},
    }


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print the lines."""
    for line in lines(cycles=cycles, full=full):
        show(line)
