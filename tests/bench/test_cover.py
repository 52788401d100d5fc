"""The benchmark of cover: its lines, and that the solver's plan is worth its seconds."""

from collections.abc import Callable

from fieldsvc.bench.cover import compare, lines
from fieldsvc.bench.cover_cases import generated
from fieldsvc.work.cover_model import Rules


def test_the_solver_leaves_no_more_undone_than_greedy_on_a_bad_day(note: Callable[[str], None]) -> None:
    case = generated(10, 2)
    ids = [each.round_id for each in case.rounds]
    found = compare(case.without(ids[:3], Rules()), limit_s=1.5)
    ratio = found.solved.objective / found.greedy.objective
    note(f"cover: 3 of 10 rounds, {found.seconds:.1f} s: {ratio:.2f} of the greedy plan's cost ({found.method})")
    assert ratio <= 1.0 + 1e-9
    assert found.solved.specials_undone <= found.greedy.specials_undone


def test_a_line_says_its_conditions_and_its_ratio_to_greedy() -> None:
    first = next(iter(lines(cycles=1, full=False, limit_s=0.2)))
    assert (first["bench"], first["metric"], first["ratio_to"]) == ("cover", "objective", "greedy")
    assert first["conditions"]["rounds"] == 10
    assert 0.0 < first["ratio"] <= 1.0 + 1e-9
