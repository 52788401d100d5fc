"""The benches of age, growth and an outage once, as small as they get: real services, real databases."""

from types import ModuleType
from typing import Any

import pytest

from fieldsvc.bench import age, growth, outage, suite
from fieldsvc.bench.ingest import Shape
from fieldsvc.bench.service import Process

Lines = list[dict[str, Any]]


async def _at_once(_process: Process) -> None:
    """Wait for nothing: what is left over from before is in the figures."""


async def _lines(name: str, module: ModuleType, sizes: dict[str, Any], patch: pytest.MonkeyPatch) -> Lines:
    for size, value in sizes.items():
        patch.setattr(module, size, value)
    lines: Lines = []
    await suite.run(name, cycles=1, full=False, show=lines.append)
    assert all(line["bench"] == name and line["ratio_to"] in line["conditions"] for line in lines)
    return lines


async def test_age_tells_start_days_ingest_and_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"DAYS": 2, "AGES": {1: 2}, "RUNS": 20, "LOOKS": 2, "PAGES": 2, "POLLS": 2, "PAGE": 100, "idle": _at_once}
    shapes = {"SHAPES": (Shape("few", 5, 2, 20),), "WARM": (Shape("warm", 5, 1, 5),)}
    lines = await _lines("age", age, sizes | shapes, monkeypatch)
    metrics = ["start_until_an_upload_is_answered_s", "day_of_one_round_p95_ms", "durable_events_per_s"]
    metrics += ["caught_up_poll_p50_ms", "page_of_1000_p50_ms"]
    assert [line["metric"] for line in lines] == metrics
    assert lines[0]["conditions"]["journal_rows"] == 12_800
    assert all(line["value"] > 0 for line in lines)


async def test_growth_tells_the_cost_with_carriers_endpoints_and_backlog(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = {"TIMES": (1,), "CARRIERS": 20, "EVENTS": 40, "FIXED": 20, "PUBLISHED": 60, "BEHIND": 40}
    sizes["idle"] = _at_once
    lines = await _lines("growth", growth, sizes, monkeypatch)
    assert [line["shape"] for line in lines] == ["carriers_x1", "carriers_x1", "endpoints_x1", "events_behind_x1"]
    assert all(line["value"] > 0 for line in lines)


async def test_an_outage_drains_behind_what_happens_now_and_all_of_it_arrives_once_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = {"PHONES": 10, "FRESH_PHONES": 10, "KEPT_EVENTS": 20, "A_REQUEST": 10, "ALONE_S": 0.3, "FRESH_PER_S": 20.0}
    lines = await _lines("outage", outage, sizes, monkeypatch)
    assert [line["metric"] for line in lines] == ["fresh_answer_p99_ms", "fresh_answered_to_received_p99_ms"]
    assert all(line["conditions"]["kept_events"] == 200 for line in lines)


def test_what_came_in_the_wrong_order_twice_or_not_at_all_is_no_figure() -> None:
    queues = outage.Queues(places={"a": ("item", 0), "b": ("item", 1)})

    def arrived(*names: str) -> outage.Drain:
        return outage.Drain(arrivals=[(0, name, 0.0) for name in names])

    outage.check(arrived("a", "b"), queues)
    for names, words in ((("b", "a"), "wrong order"), (("a",), "not whole"), (("a", "b", "b"), "twice")):
        with pytest.raises(RuntimeError, match=words):
            outage.check(arrived(*names), queues)
