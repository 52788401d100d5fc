"""The benchmark of expected times: lines in the form of the contract, and floors under what it says on seeds of its own."""

import random
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from fieldsvc.bench import eta, suite
from fieldsvc.bench.eta import Score, Scores, judge
from fieldsvc.bench.shifts import Beat, Habits


async def test_eta_tells_errors_beside_the_mean_speed_and_how_often_the_interval_held(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("FIELDSVC_TEST_DATA", raising=False)
    monkeypatch.setattr(eta, "DAYS", (0, 2))
    monkeypatch.setattr(eta, "STOPS", {"foot": 60, "bike": 60, "van": 30})
    lines: list[dict[str, Any]] = []
    await suite.run("eta", cycles=1, full=False, show=lines.append)
    assert {line["metric"] for line in lines} == {"mean_error_s"}
    assert {line["shape"].split(",")[0] for line in lines} == {"foot", "bike", "van", "no rests", "much alike"}
    for line in lines:
        assert line.keys() >= {"bench", "metric", "value", "ratio_to", "ratio", "conditions"}
        assert line["ratio_to"] in line["conditions"]
        assert 0 <= line["conditions"]["in_10_90_percent"] <= 100


def test_learned_rounds_are_forecast_better_than_new_ones_and_than_by_the_mean_speed(
    note: Callable[[str], None],
) -> None:
    scores: Scores = defaultdict(Score)
    for seed in range(700, 705):
        judge(Beat(random.Random(seed), "foot", 240, Habits(rests=0.5)), scores)
    for days in eta.DAYS:
        each = [scores[days, horizon] for horizon in eta.HORIZONS_S if scores[days, horizon].errors]
        held = sum(score.held for score in each) / sum(len(score.errors) for score in each)
        worst = max(sum(score.errors) / sum(score.naive) for score in each)
        note(
            f"eta: foot, {days} days learned: in the 10-90 % interval {100 * held:.0f} %, error over mean speed's {worst:.2f}"
        )
        assert 0.65 <= held <= 0.95, days
    far = [sum(scores[days, 10_800.0].errors) / len(scores[days, 10_800.0].errors) for days in (0, 20)]
    near = scores[20, 900.0]
    assert far[1] < far[0]
    assert sum(near.errors) < 0.95 * sum(near.naive)
