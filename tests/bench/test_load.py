import time
from contextlib import nullcontext
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest

from fieldsvc.bench import fleet
from fieldsvc.bench.lines import Against, result
from fieldsvc.bench.load import Load, percentile, post, send_all
from fieldsvc.bench.service import started


async def test_a_benchmark_sends_to_this_machine_only() -> None:
    with pytest.raises(ValueError, match="this machine"):
        await send_all("http://192.0.2.1:80", [post("/v1/events", "token", b"[]")], connections=1)


async def test_requests_are_sent_once_each_and_no_faster_than_asked() -> None:
    async with started("fieldsvc.bench.receivers", "1") as process:
        began = time.perf_counter()
        load = await send_all(process.url, [post("/hook", "", b"{}")] * 11, connections=2, per_s=50.0)
    assert time.perf_counter() - began >= 0.2
    assert sorted(load.answered_at) == list(range(11))
    assert load.failed == []
    assert len(load.seconds) == 11


def test_a_percentile_is_a_value_that_was_measured() -> None:
    assert percentile([], 0.5) == 0.0
    assert percentile([3.0, 1.0, 2.0], 0.5) == 2.0
    assert percentile([3.0, 1.0, 2.0], 0.99) == 3.0


def test_a_line_gives_the_median_and_its_ratio_to_the_limit_of_the_same_cycle() -> None:
    loads = [Load([0.01] * 99 + [0.5]), Load([0.02]), Load([0.03])]
    limit = Against("copy_limit", [2000.0, 500.0, 125.0])
    line = result("ingest", "durable_events_per_s", [1000.0, 500.0, 250.0], limit, shape="single", loads=loads, a=1)
    assert line == {
        "bench": "ingest",
        "metric": "durable_events_per_s",
        "shape": "single",
        "value": 500,
        "ratio_to": "copy_limit",
        "ratio": 1.0,
        "p50_ms": 20.0,
        "p99_ms": 20.0,
        "conditions": line["conditions"],
    }
    assert line["conditions"].items() >= {"a": 1, "copy_limit": 500, "cycles": 3, "fsync": "on"}.items()


@dataclass
class _Window:
    multiple: float
    sustained: bool

    def lines(self) -> list[dict[str, Any]]:
        return [{"multiple": self.multiple}]


@pytest.mark.parametrize(
    ("holds", "tried", "highest"),
    [
        (0.04, [0.05, 1.0], 0.0),
        (0.25, [0.05, 0.1, 0.15, 0.2, 0.3, 1.0], 0.2),
        (1.0, [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 1.5], 1.0),
        (9.0, [0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0], 4.0),
    ],
)
async def test_a_whole_fleet_goes_up_until_a_rate_is_not_sustained_and_tries_the_real_one(
    monkeypatch: pytest.MonkeyPatch, holds: float, tried: list[float], highest: float
) -> None:
    async def window(_nation: object, multiple: float, _seconds: float) -> _Window:
        return _Window(multiple, multiple <= holds)

    async def duty(_nation: object) -> Load:
        return Load(seconds=[0.1], wall_s=1.0)

    monkeypatch.setattr(fleet, "_ready", lambda carriers: nullcontext(SimpleNamespace(carriers=carriers)))
    monkeypatch.setattr(fleet, "_go_on_duty", duty)
    monkeypatch.setattr(fleet, "_window", window)
    shown: list[dict[str, Any]] = []
    await fleet.run(cycles=1, full=True, show=shown.append)
    assert [line["multiple"] for line in shown if "multiple" in line] == tried
    assert shown[-1]["metric"] == "highest_multiple_sustained"
    assert shown[-1]["value"] == highest
