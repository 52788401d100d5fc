"""Floors under what `bench rounds` measures, on other seeds; with FIELDSVC_TEST_DATA on the streets of Saint-Germain."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from fieldsvc.bench import which_round
from fieldsvc.bench.which_round import Phone, Town, on_right_rounds, on_wrong_rounds, rightness, town_of, whole_run
from tests.sizes import sized

SEED = 9_000
Note = Callable[[str], None]


@pytest.fixture(scope="module")
def town() -> Town:
    return town_of(seed=SEED)


@pytest.mark.parametrize(
    ("sigma_m", "from_middle", "floors"),
    [
        (10.0, False, {1: 85, 10: 93, 40: 96}),
        (10.0, True, {1: 60, 10: 75, 40: 78}),
        (20.0, False, {1: 75, 10: 90, 40: 93}),
        (20.0, True, {1: 50, 10: 68, 40: 75}),
    ],
)
def test_the_right_round_is_named_among_its_neighbours(
    town: Town, note: Note, sigma_m: float, from_middle: bool, floors: dict[int, int]
) -> None:
    """Sixteen rounds; thirty with FIELDSVC_TEST_FULL=1."""
    tallies = rightness(town, sigma_m=sigma_m, from_middle=from_middle, runs=sized(16, 30), seed=SEED + 1)
    shown = ", ".join(f"{many}: {100 * each.right / each.runs:.0f} %" for many, each in tallies.items())
    where = "within the round" if from_middle else "from its start"
    note(f"rounds: right of {len(town.rounds)} in {town.streets.name}, sigma {sigma_m:.0f} m, {where}, after {shown}")
    for many, floor in floors.items():
        assert 100 * tallies[many].right / tallies[many].runs >= floor
        assert tallies[many].sure_and_wrong <= 2


def test_whoever_walks_another_round_is_noticed_with_its_name(town: Town, note: Note) -> None:
    found = on_wrong_rounds(town, sigma_m=10.0, runs=10, seed=SEED + 2)
    minutes = [each.after_min for true, each in found if each.after_min is not None and each.round_id == true]
    note(
        f"rounds: {len(minutes)} of {len(found)} on a wrong round noticed, after {np.median(minutes):.0f} min (median)"
    )
    assert len(minutes) >= 9
    assert np.median(minutes) <= 25


def test_nobody_on_the_right_round_is_suspected_whatever_the_plan_the_way_or_the_meal(town: Town, note: Note) -> None:
    alarms = on_right_rounds(town, sigma_m=15.0, runs=12, seed=SEED + 3)
    false = sum(each.after_min is not None for each in alarms)
    naive = sum(each.naive_min is not None for each in alarms)
    note(f"rounds: {false} false suspicions in {sum(each.hours for each in alarms):.0f} h; the ten-fixes rule: {naive}")
    assert false <= 1
    assert naive > false


def test_rounds_of_a_town_share_no_street_and_a_run_is_in_order(town: Town) -> None:
    assert len(town.rounds) >= 6
    assert len({each.round_id for each in town.rounds}) == len(town.rounds)
    middles = [{each.point_at(d) for d in np.arange(30.0, each.length_m, 200.0)} for each in town.rounds]
    assert sum(map(len, middles)) == len(set().union(*middles))
    fixes = whole_run(town, town.rounds[1], seed=SEED, phone=Phone(10.0, 30.0), plan="planned", mps=1.3)
    gaps = [(b.fixed_at - a.fixed_at).total_seconds() for a, b in pairwise(fixes)]
    assert min(gaps) == pytest.approx(30.0)
    assert max(gaps) == pytest.approx(30.0)


async def test_the_bench_prints_its_lines(monkeypatch: pytest.MonkeyPatch, town: Town) -> None:
    monkeypatch.setattr(which_round, "town_of", lambda: town)
    monkeypatch.setattr(which_round, "AFTER", (1, 3))
    lines: list[dict[str, Any]] = []
    monkeypatch.setattr(which_round, "RUNS", 1)
    await which_round.run(cycles=1, full=False, show=lines.append)
    metrics = [line["metric"] for line in lines]
    assert metrics.count("right_round_percent") == 8
    assert metrics.count("false_alarms_per_1000_h") == 2
    assert metrics[-1] == "fixes_per_s"
    for line in lines:
        assert line["bench"] == "rounds"
        assert line["ratio_to"] in line["conditions"]
