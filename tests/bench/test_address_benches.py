"""The benchmarks of addresses and delivery points, as small as they get: lines in the form of the contract."""

from typing import Any

import pytest

from fieldsvc.bench import assignment, point_memory, suite

Lines = list[dict[str, Any]]


async def _lines(name: str) -> Lines:
    lines: Lines = []
    await suite.run(name, cycles=1, full=False, show=lines.append)
    for line in lines:
        assert line.keys() >= {"bench", "metric", "value", "ratio_to", "ratio", "conditions"}
        assert line["bench"] == name
        assert line["ratio_to"] in line["conditions"]
    return lines


async def test_assign_tells_the_right_round_and_the_speed_beside_the_nearest_address(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(assignment, "towns", lambda: {"generated": assignment.generated_rows()})
    monkeypatch.setattr(assignment, "LAYOUTS", {"whole_streets": assignment.in_whole_streets})
    lines = await _lines("assign")
    assert [line["metric"] for line in lines] == ["right_round_percent", "queries_per_s"] * 2
    assert all(line["conditions"]["nearest_percent"] < line["value"] for line in lines[::2])


async def test_points_tells_errors_moves_and_false_moves(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(point_memory, "PROOFS", (5,))
    monkeypatch.setattr(point_memory, "SIGMAS_M", (5.0,))
    monkeypatch.setattr(point_memory, "MOVED_M", (50.0,))
    lines = await _lines("points")
    assert [line["metric"] for line in lines] == [
        *["error_m_p50"] * 3,
        "move_noticed_after_proofs_p50",
        "false_moves_per_1000_points",
    ]
    assert all(line["ratio"] < 1 for line in lines[:3])
