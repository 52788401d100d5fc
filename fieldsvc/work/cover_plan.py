"""What a plan of cover takes and leaves, by the clock; and the greedy plan, which is what a careful dispatcher would do.

A plan is a set of choices of a problem. In a gap the single tasks come first, by the end of their windows, then the blocks in
their order; nothing depends on that where a plan fits: every choice in a gap is counted as if it came last.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import inf

from fieldsvc.work.cover_model import OVERTIME_A_MINUTE, Problem

Plan = frozenset[int]
_HAIR_S = 0.5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a plan costs in minutes, all told, and what of it is undone, special, beyond the regular day."""

    objective: float
    minutes: float
    overtime_minutes: float
    blocks_undone: int
    stops_undone: int
    specials_undone: int
    specials: int
    strange_faces: int


def seconds_by_gap(problem: Problem, run: int, chosen: Iterable[int]) -> list[float]:
    """Say what one run's choices take in each of its gaps."""
    taken = [0.0] * len(problem.gaps[run])
    for choice in (problem.choices[i] for i in chosen):
        if choice.run == run:
            taken[choice.gap] += choice.seconds
    return taken


def fits(problem: Problem, run: int, mine: Collection[int]) -> bool:
    """Tell whether one run's choices keep its day, its own windows, and the windows that they are chosen for."""
    taken = seconds_by_gap(problem, run, mine)
    if sum(taken) > problem.room_s(run) + _HAIR_S:
        return False
    late, until = 0.0, []
    for gap, seconds in zip(problem.gaps[run], taken, strict=True):
        late += seconds
        until.append(late)
        if late > gap.slack_s + _HAIR_S:
            return False
    return all(
        until[choice.gap] - choice.seconds <= min(choice.slacks.values(), default=inf) + _HAIR_S
        for choice in (problem.choices[i] for i in mine)
    )


def faults(problem: Problem, plan: Plan) -> list[str]:
    """List in sentences what is wrong with a plan; nothing for one that can be told."""
    found = [
        f"Block {number} goes {len(plan.intersection(some))} times."
        for number, some in problem.of_block.items()
        if len(plan.intersection(some)) > 1
    ]
    return found + [
        f"Run {each.run_id} is too long, or late."
        for run, each in enumerate(problem.present)
        if not fits(problem, run, _of_run(problem, run, plan))
    ]


def judge(problem: Problem, plan: Plan) -> Outcome:
    """Count a plan."""
    cost = sum(problem.cost(problem.choices[i]) for i in plan)
    minutes = overtime = 0.0
    for run in range(len(problem.present)):
        seconds = sum(seconds_by_gap(problem, run, _of_run(problem, run, plan)))
        minutes += seconds / 60.0
        overtime += max(seconds - problem.regular_s(run), 0.0) / 60.0
    done = _done(problem, plan)
    undone = [block for number, block in enumerate(problem.blocks) if number not in done]
    missed = [each for number, each in enumerate(problem.specials) if not in_time(problem, number, plan)]
    left = sum(block.value for block in undone) + sum(each.work.weight for each in missed)
    return Outcome(
        cost + OVERTIME_A_MINUTE * overtime + left,
        minutes,
        overtime,
        len(undone),
        sum(block.last - block.first + 1 for block in undone),
        len(missed),
        len(problem.specials),
        sum(problem.choices[i].strange_faces for i in plan),
    )


def in_time(problem: Problem, special: int, plan: Plan) -> bool:
    """Tell whether a plan does a special task in time, by who may."""
    return not plan.isdisjoint(problem.of_special.get(special, ()))


def _done(problem: Problem, plan: Iterable[int]) -> set[int]:
    return {block for i in plan for block in problem.choices[i].blocks}


def greedy(problem: Problem) -> Plan:
    """Choose one after the other what costs least and still fits: blocks with special work first, by the ends of windows.

    Then the special work that is left by itself, then the other blocks, the most valuable first. A block goes to a gap by
    itself, or lengthens what that gap has already.
    """
    timed, plan = _first_ends(problem), set[int]()
    for number in sorted(timed, key=lambda n: (timed[n], n)):
        _take(problem, plan, list(_moves(problem, plan, number)))
    ends = [(each.work.window[1] if each.work.window else inf, k) for k, each in enumerate(problem.specials)]
    for _, special in sorted(ends):
        if not in_time(problem, special, frozenset(plan)):
            some = [(i, None) for i in problem.of_special.get(special, ()) if not problem.choices[i].blocks]
            _take(problem, plan, some)
    left = set(range(len(problem.blocks))) - _done(problem, plan)
    for number in sorted(left, key=lambda n: (-problem.blocks[n].value, n)):
        _take(problem, plan, list(_moves(problem, plan, number)))
    return frozenset(plan)


def _first_ends(problem: Problem) -> Mapping[int, float]:
    found: dict[int, float] = {}
    for each in problem.specials:
        end = each.work.window[1] if each.work.window else inf
        found[each.block] = min(found.get(each.block, inf), end)
    return found


Move = tuple[int, int | None]  # a choice, and the one that it replaces


def _moves(problem: Problem, plan: set[int], number: int) -> Iterator[Move]:
    """List how one more block can be taken: by itself, or before or behind what a gap has already."""
    for i in problem.of_block.get(number, ()):
        choice = problem.choices[i]
        if len(choice.blocks) == 1:
            yield i, None
            continue
        for end, rest in ((choice.blocks[0], choice.blocks[1:]), (choice.blocks[-1], choice.blocks[:-1])):
            known = problem.at.get((choice.run, choice.gap, rest))
            if end == number and known in plan:
                yield i, known


def _take(problem: Problem, plan: set[int], moves: Sequence[Move]) -> None:
    """Make the cheapest of some moves that fits, if it costs less than leaving it."""
    best, least = None, 0.0
    for move in moves:
        cost = _marginal(problem, plan, move)
        if cost < least and fits(problem, problem.choices[move[0]].run, _after(problem, plan, move)):
            best, least = move, cost
    if best is not None:
        plan.add(best[0])
        plan.discard(-1 if best[1] is None else best[1])


def _marginal(problem: Problem, plan: set[int], move: Move) -> float:
    """Say by how much a move makes the plan worse; below 0 it is worth making."""
    choice, gone = problem.choices[move[0]], problem.choices[move[1]] if move[1] is not None else None
    before = sum(seconds_by_gap(problem, choice.run, plan))
    after = before + choice.seconds - (gone.seconds if gone else 0.0)
    regular_s = problem.regular_s(choice.run)
    over = max(after - regular_s, 0.0) - max(before - regular_s, 0.0)
    blocks = set(choice.blocks) - set(gone.blocks if gone else ())
    others = frozenset(plan - {move[1]})
    kept = [k for k in (gone.slacks if gone else ()) if k not in choice.slacks and not in_time(problem, k, others)]
    fresh = [k for k in choice.slacks if not in_time(problem, k, frozenset(plan))]
    won = sum(problem.blocks[n].value for n in blocks) + sum(problem.specials[k].work.weight for k in fresh)
    won -= sum(problem.specials[k].work.weight for k in kept)
    return problem.cost(choice) - (problem.cost(gone) if gone else 0.0) + OVERTIME_A_MINUTE * over / 60.0 - won


def _after(problem: Problem, plan: set[int], move: Move) -> list[int]:
    run = problem.choices[move[0]].run
    return [*(i for i in plan if problem.choices[i].run == run and i != move[1]), move[0]]


def _of_run(problem: Problem, run: int, plan: Plan) -> list[int]:
    return sorted(plan.intersection(problem.of_run.get(run, ())))
