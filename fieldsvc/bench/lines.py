"""The form of a benchmark's result: one JSON object a line, each speed with its ratio to something of the same run."""

import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fieldsvc.bench.load import Load

Show = Callable[[Any], None]


@dataclass(frozen=True, slots=True)
class Against:
    """What a figure is compared with: a name, and its value in each cycle."""

    name: str
    values: Sequence[float]


def result(
    bench: str,
    metric: str,
    values: Sequence[float],
    against: Against,
    *,
    shape: str = "",
    loads: Sequence[Load] = (),
    **conditions: Any,
) -> dict[str, Any]:
    """Make a line: the median of the cycles, the median of their ratios, and the answer times of the middle cycle."""
    middle = middle_of(values)
    ratios = [value / other for value, other in zip(values, against.values, strict=True) if other]
    times = {}
    if loads:
        times = {
            "p50_ms": round(loads[middle].percentile_ms(0.5), 1),
            "p99_ms": round(loads[middle].percentile_ms(0.99), 1),
        }
    return {
        "bench": bench,
        "metric": metric,
        **({"shape": shape} if shape else {}),
        "value": rounded(statistics.median(values)),
        "ratio_to": against.name,
        "ratio": rounded(statistics.median(ratios)) if ratios else None,
        **times,
        "conditions": {
            **conditions,
            against.name: rounded(statistics.median(against.values)),
            "cycles": len(values),
            "cores": os.cpu_count(),
            "generator": "same machine",
            "fsync": "on",
        },
    }


def middle_of(values: Sequence[float]) -> int:
    """Return the place of the median (the upper one of an even number)."""
    return sorted(range(len(values)), key=values.__getitem__)[len(values) // 2]


def rounded(value: float) -> float:
    """Round to three figures, or to a whole number."""
    return round(value) if abs(value) >= 100 else float(f"{value:.3g}")
