"""How many fixes a second one core matches: plain and compiled, with matches made of them or the filter alone."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from typing import Any

from fieldsvc.bench.courses import courses, data_folder
from fieldsvc.bench.lines import rounded
from fieldsvc.bench.noise import Noise
from fieldsvc.bench.walks import walk
from geo import Fix, Matcher, Round
from geo.sight import points_of, rows_of

_TAKEN = 5


def speeds(*, seed: int) -> Iterator[dict[str, Any]]:
    """Write a line for each engine, noise and lag: the best of five, in processor time, beside the plain one of the same fixes."""
    rnd = courses("maisons_laffitte" if data_folder() else "grid", "both_sides", count=1, seed=seed)[0]
    for sigma_m in (10.0, 20.0):
        fixes = walk(rnd, seed=seed, noise=Noise(sigma_m), every_s=8.5).fixes
        for lag in (0, 4):
            plain = len(fixes) / _best_s(_replay(rnd, fixes, lag, "numpy"))
            found = {"numpy": plain}
            if find_spec("numba"):
                found["compiled"] = len(fixes) / _best_s(_replay(rnd, fixes, lag, "fast"))
                found["compiled_filter_alone"] = len(fixes) / _best_s(_filter_alone(rnd, fixes, lag))
            for engine, value in found.items():
                conditions = {"engine": engine, "sigma_m": sigma_m, "lag_fixes": lag, "every_s": 8.5, "cores": 1}
                yield {
                    "bench": "locate",
                    "metric": "matched_fixes_per_s",
                    "value": rounded(value),
                    "ratio_to": "numpy",
                    "ratio": rounded(value / plain),
                    "conditions": {**conditions, "fixes": len(fixes), "numpy": rounded(plain)},
                }


def _replay(rnd: Round, fixes: Sequence[Fix], lag: int, engine: str) -> Callable[[], object]:
    matcher = Matcher(rnd, lag_fixes=lag, engine=engine)
    return lambda: matcher.replay(fixes)


def _filter_alone(rnd: Round, fixes: Sequence[Fix], lag: int) -> Callable[[], object]:
    """Leave out what prepares the fixes and makes matches."""
    from geo import fast  # noqa: PLC0415 - needs the extra

    matcher = Matcher(rnd, lag_fixes=lag)
    points = points_of(rnd.course, fixes, matcher.model)
    rows = rows_of(points, [1e12, *(b.at - a.at for a, b in pairwise(points))], matcher.model)
    return lambda: fast.trace(matcher.filter, rows, lag=lag, usual_mps=matcher.usual_mps)


def _best_s(work: Callable[[], object]) -> float:
    work()
    taken = []
    for _ in range(_TAKEN):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)
