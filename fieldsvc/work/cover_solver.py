"""Cover as a mixed-integer program, solved by HiGHS (https://highs.dev, MIT) from the greedy plan on.

A binary variable for each choice; for each special task what of it is undone; for each run its overtime. A choice may be late by what is before and beside it in its run: for the windows that it is
chosen for that is one row each, loose where it is not chosen. The solver is asked for one thread and a limit of time, and
what it finds is never worse than the greedy plan that it begins with.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import accumulate
from math import inf
from typing import Any

import highspy
import numpy as np

from fieldsvc.work.cover_model import OVERTIME_A_MINUTE, Problem, grouped
from fieldsvc.work.cover_plan import Plan, faults, greedy, judge, seconds_by_gap

GAP = 0.002  # relative, of the objective
SEED = 1


@dataclass(frozen=True, slots=True)
class Solved:
    """A plan and how it came about: `optimal` (within the gap), `time_limit`, or `greedy` where the solver found no better."""

    plan: Plan
    method: str
    seconds: float = 0.0


@dataclass
class _Rows:
    """Rows of a program as the solver takes them; variables are numbered."""

    costs: list[float] = field(default_factory=list)
    uppers: list[float] = field(default_factory=list)
    is_whole: list[bool] = field(default_factory=list)
    lows: list[float] = field(default_factory=list)
    highs: list[float] = field(default_factory=list)
    starts: list[int] = field(default_factory=lambda: [0])
    index: list[int] = field(default_factory=list)
    values: list[float] = field(default_factory=list)

    def variable(self, cost: float, *, upper: float = 1.0, whole: bool = False) -> int:
        self.costs.append(cost)
        self.uppers.append(upper)
        self.is_whole.append(whole)
        return len(self.costs) - 1

    def row(self, terms: Mapping[int, float], *, low: float = -inf, high: float = inf) -> None:
        self.index += terms.keys()
        self.values += terms.values()
        self.starts.append(len(self.index))
        self.lows.append(low)
        self.highs.append(high)


def solve(problem: Problem, *, limit_s: float) -> Solved:
    """Find a plan within a limit of time. It blocks: call it in a thread."""
    began = time.perf_counter()
    plan, method = _solve(problem, greedy(problem), limit_s)
    return Solved(plan, method, time.perf_counter() - began)


def _solve(problem: Problem, first: Plan, limit_s: float) -> tuple[Plan, str]:
    if not problem.choices:
        return first, "optimal"
    rows = _program(problem)
    solver = highspy.Highs()  # type: ignore[no-untyped-call]
    for name, value in _options(limit_s).items():
        solver.setOptionValue(name, value)
    solver.passModel(_model(rows))
    start = highspy.HighsSolution()
    start.col_value = _start(problem, first, len(rows.costs))
    solver.setSolution(start)
    solver.run()
    values = solver.getSolution().col_value
    if len(values) < len(problem.choices):
        return first, "greedy"
    plan = frozenset(i for i in range(len(problem.choices)) if values[i] > 0.5)
    if faults(problem, plan) or judge(problem, plan).objective > judge(problem, first).objective + 1e-6:
        return first, "greedy"
    is_best = solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    return plan, "optimal" if is_best else "time_limit"


def _options(limit_s: float) -> dict[str, Any]:
    return {
        "output_flag": False,
        "time_limit": float(limit_s),
        "threads": 1,
        "random_seed": SEED,
        "mip_rel_gap": GAP,
    }


def _program(problem: Problem) -> _Rows:
    rows = _Rows()
    for choice in problem.choices:
        won = sum(problem.blocks[block].value for block in choice.blocks)
        rows.variable(problem.cost(choice) - won, whole=True)
    for some in problem.of_block.values():
        rows.row(dict.fromkeys(some, 1.0), high=1.0)
    for number, special in enumerate(problem.specials):
        undone = rows.variable(special.work.weight)
        rows.row({undone: 1.0, **dict.fromkeys(problem.of_special.get(number, ()), 1.0)}, low=1.0)
    for run in range(len(problem.present)):
        if run in problem.of_run:
            _rows_of_run(problem, rows, run)
    return rows


def _rows_of_run(problem: Problem, rows: _Rows, run: int) -> None:
    """Keep one run's day, its own windows, and the windows that its choices are chosen for.

    What is taken up to each gap is a variable of its own, so that each row is short.
    """
    room_s, before = problem.room_s(run), None
    by_gap = grouped((problem.choices[i].gap, i) for i in problem.of_run[run])
    for number, gap in enumerate(problem.gaps[run]):
        mine = by_gap.get(number, [])
        until = rows.variable(0.0, upper=min(room_s, gap.slack_s))
        so_far: dict[int, float] = {} if before is None else {before: -1.0}
        rows.row({until: 1.0, **so_far, **{i: -problem.choices[i].seconds for i in mine}}, low=0.0, high=0.0)
        for i in mine:
            choice = problem.choices[i]
            slack_s = min(choice.slacks.values(), default=inf) + choice.seconds
            if slack_s < room_s:
                rows.row({until: 1.0, i: room_s - slack_s}, high=room_s)
        before = until
    overtime = rows.variable(OVERTIME_A_MINUTE / 60.0, upper=inf)
    rows.row({overtime: -1.0} | ({} if before is None else {before: 1.0}), high=problem.regular_s(run))


def _model(rows: _Rows) -> highspy.HighsLp:
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = len(rows.costs), len(rows.lows)
    lp.col_cost_, lp.col_lower_ = np.array(rows.costs), np.zeros(len(rows.costs))
    lp.col_upper_, lp.row_lower_, lp.row_upper_ = (np.array(each) for each in (rows.uppers, rows.lows, rows.highs))
    kinds = highspy.HighsVarType
    lp.integrality_ = [kinds.kInteger if whole else kinds.kContinuous for whole in rows.is_whole]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = np.array(rows.starts), np.array(rows.index)
    lp.a_matrix_.value_ = np.array(rows.values)
    return lp


def _start(problem: Problem, plan: Plan, count: int) -> list[float]:
    """Write the greedy plan as the solver's beginning: all in the order of the variables."""
    values = [float(i in plan) for i in range(len(problem.choices))]
    values += [float(not any(i in plan for i in problem.of_special.get(k, ()))) for k in range(len(problem.specials))]
    for run in range(len(problem.present)):
        if run in problem.of_run:
            taken = list(accumulate(seconds_by_gap(problem, run, plan)))
            values += [*taken, max(taken[-1] - problem.regular_s(run), 0.0)]
    return values[:count]
