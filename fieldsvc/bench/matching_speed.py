"""How many fixes a second one core matches, plain and compiled: whole runs, with matches made of them or the filter alone, and as they come."""

import time
from collections.abc import Callable, Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from fieldsvc.bench.courses import courses, data_folder
from fieldsvc.bench.lines import rounded
from fieldsvc.bench.noise import Noise
from fieldsvc.bench.walks import walk
from geo import Fix, Matcher, Round
from geo.compiled import warm

UPLOAD = 4
_TAKEN = 5
_ONLINE = 200


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
    yield from _online_speeds(rnd, walk(rnd, seed=seed, noise=Noise(10.0), every_s=30.0).fixes[:_ONLINE])


def _online_speeds(rnd: Round, fixes: Sequence[Fix]) -> Iterator[dict[str, Any]]:
    """Write a line for each engine: what a fix costs that comes in an upload of four, from stored state to stored state."""
    plain_us = 1e6 * _best_s(_online(rnd, fixes, "numpy")) / len(fixes)
    found = {"numpy": plain_us}
    if warm():
        found["compiled"] = 1e6 * _best_s(_online(rnd, fixes, "fast")) / len(fixes)
    for engine, value in found.items():
        conditions = {"engine": engine, "sigma_m": 10.0, "lag_fixes": 4, "every_s": 30.0, "upload": UPLOAD, "cores": 1}
        yield {
            "bench": "locate",
            "metric": "online_us_per_fix",
            "value": rounded(value),
            "ratio_to": "numpy",
            "ratio": rounded(value / plain_us),
            "conditions": {**conditions, "fixes": len(fixes), "numpy": rounded(plain_us)},
        }


def _replay(rnd: Round, fixes: Sequence[Fix], lag: int, engine: str) -> Callable[[], object]:
    matcher = Matcher(rnd, lag_fixes=lag, engine=engine)
    return lambda: matcher.replay(fixes)


def _filter_alone(rnd: Round, fixes: Sequence[Fix], lag: int) -> Callable[[], object]:
    """Leave out the making of matches."""
    from geo import fast  # noqa: PLC0415 - needs the extra

    matcher = Matcher(rnd, lag_fixes=lag)
    how = fast.How(matcher.model, lag, matcher.usual_mps, keeps=False)
    return lambda: fast.follow(rnd, how, matcher.start(), fixes)


def _online(rnd: Round, fixes: Sequence[Fix], engine: str) -> Callable[[], object]:
    """Take fixes as the service does: in uploads of four, each with a matcher of its own, the state read and written."""

    def take() -> None:
        state = Matcher(rnd, engine=engine).start().to_bytes()
        for i in range(0, len(fixes), UPLOAD):
            matcher = Matcher(rnd, engine=engine)
            state = matcher.follow(matcher.state_from_bytes(state), fixes[i : i + UPLOAD])[0].to_bytes()

    return take


def _best_s(work: Callable[[], object]) -> float:
    work()
    taken = []
    for _ in range(_TAKEN):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return min(taken)
