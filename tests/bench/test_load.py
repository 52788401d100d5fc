import pytest

from fieldsvc.bench.ingest import SHAPES, _line
from fieldsvc.bench.load import Load, send_all


async def test_a_benchmark_sends_to_this_machine_only() -> None:
    with pytest.raises(ValueError, match="this machine"):
        await send_all("http://192.0.2.1:80", "token", [b"[]"], connections=1)


def test_a_line_gives_the_median_and_its_ratio_to_the_limit_of_the_same_cycle() -> None:
    loads = [Load([0.01] * 99 + [0.5], [], wall) for wall in (1.0, 2.0, 4.0)]
    shape = SHAPES[0]
    line = _line(shape, [2.0 * shape.events, 1.0 * shape.events, 0.5 * shape.events], loads, cpu_us=5.0)
    assert (line["value"], line["ratio"]) == (shape.events // 2, 0.5)
    assert (line["p50_ms"], line["p99_ms"]) == (10.0, 500.0)
