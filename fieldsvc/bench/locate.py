"""`bench locate`: how many fixes are put on the right pass of a round, beside what one would write first.

Rounds on real streets (courses.py), simulated runs with their truth (walks.py), the matcher's provisional and confirmed
answers; the nearest point and a greedy forward window on the same fixes. One process, one core.

**Seeds.** Whoever tunes the matcher uses seeds below 1,000 (`TUNING`); this benchmark reports on seeds from 7,000
(`REPORTING`) and the tests on seeds from 9,000, so no figure comes from a run that a parameter was fitted to. Rounds and
walks both follow the seed. One line of figures for a case of your own:
`python -m fieldsvc.bench.locate --town maisons_laffitte --kind both_sides --sigma 10 --every 8.5 --runs 4 --seed 1`.
"""

import argparse
import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np

from fieldsvc.bench.courses import COUNTRY, KINDS, courses, data_folder
from fieldsvc.bench.figures import Figures, Run, confirmed_of, figures_of, nearest_of, provisional_of, window_of
from fieldsvc.bench.lines import Show, rounded
from fieldsvc.bench.matching_speed import speeds
from fieldsvc.bench.noise import ACCURACIES, HEAVY_LASTING, Noise, correlation
from fieldsvc.bench.tracks import NORMAL, correlations, lateral_errors_m, matched, movements, read_tracks, sigmas_m
from fieldsvc.bench.walks import PACE_MPS, PLANS, Walk, walk
from geo.matching import Found, Matcher
from geo.positions import Array
from geo.rounds import Round

TUNING, REPORTING = 0, 7_000
ROUNDS_AT_MOST = 5
_ALWAYS = frozenset(("town", "kind", "sigma_m", "every_s", "mode", "plan"))
_GAPS_S = (7.5, 15.0, 30.0, 60.0)


@dataclass(frozen=True, slots=True)
class Case:
    """One line of the benchmark: where, which kind of round, what noise, which plan of execution, what the matcher is told.

    `scans` is how many of the served stops of a run are scanned.
    """

    town: str = "grid"
    kind: str = "both_sides"
    sigma_m: float = 10.0
    every_s: float = 8.5
    mode: str = "foot"
    plan: str = "planned"
    detours: bool = True
    sided: bool = False
    lag_fixes: int = 4
    told: str = "right"
    outliers: float = 0.0
    heavy: bool = False
    with_motion: bool = False
    scans: int = 0

    def walk(self, rnd: Round, seed: int) -> Walk:
        """Walk a round under these conditions."""
        return walk(
            rnd,
            seed=seed,
            noise=Noise(self.sigma_m, self.told, self.outliers, self.heavy, self.with_motion),
            every_s=self.every_s,
            plan=self.plan,
            mode=self.mode,
            detours=self.detours,
            alternate=self.kind == "zigzag",
        )


def evaluate(kind: str = KINDS[0], *, runs: int = 4, seed: int = TUNING + 1, **conditions: Any) -> Figures:
    """Measure one case, whose other conditions are the fields of `Case`: `evaluate("zigzag", sigma_m=20.0, runs=2)`."""
    return measure(Case(kind=kind, **conditions), runs=runs, seed=seed)


def measure(case: Case, *, runs: int, seed: int, rounds: Sequence[Round] = ()) -> Figures:
    """Match simulated runs and add up what they were worth; at most five rounds, walked in turn.

    `rounds` in place of those of the case's town and kind. FileNotFoundError for a real town without `FIELDSVC_TEST_DATA`.
    """
    found, seconds = matched_runs(case, runs=runs, seed=seed, rounds=rounds)
    return figures_of(found, seconds)


def matched_runs(case: Case, *, runs: int, seed: int, rounds: Sequence[Round] = ()) -> tuple[list[Run], float]:
    """Walk and match; give the runs, for `figures_of` over several cases, and the seconds of processor time of the matching."""
    many = min(runs, ROUNDS_AT_MOST)
    rounds = rounds or courses(case.town, case.kind, count=many, seed=seed, sided=case.sided)
    done, seconds = [], 0.0
    for number in range(runs):
        rnd = rounds[number % len(rounds)]
        one, took_s = _matched(rnd, case.walk(rnd, seed * 1000 + number), case)
        done.append(one)
        seconds += took_s
    return done, seconds


def _matched(rnd: Round, walked: Walk, case: Case) -> tuple[Run, float]:
    matcher = Matcher(rnd, mode=case.mode, lag_fixes=case.lag_fixes)
    began = time.process_time()
    found = _with_scans(matcher, walked, case.scans) if case.scans else matcher.replay(walked.fixes)
    took_s = time.process_time() - began
    x, y = plane_of(rnd, walked)
    return Run(
        walked,
        rnd.vertices[2],
        provisional_of(rnd, found),
        confirmed_of(rnd, walked.fixes, found),
        nearest_of(rnd, x, y),
        window_of(rnd, x, y, step_m=PACE_MPS[case.mode] * case.every_s, sigma_m=case.sigma_m),
    ), took_s


def _with_scans(matcher: Matcher, walked: Walk, many: int) -> list[Found]:
    """Match fix by fix; scan so many stops, evenly spread over those that are served while a fix is taken."""
    served = np.flatnonzero((walked.stop >= 0) & (walked.stop != np.roll(walked.stop, 1)))
    scanned = set(served[np.linspace(0, len(served) - 1, min(many, len(served))).astype(int)].tolist())
    state, found = matcher.start(), []
    for i, fix in enumerate(walked.fixes):
        state, one = matcher.update(state, fix)
        found.append(one)
        if i in scanned:
            stop = matcher.round.stops[walked.stop[i]]
            state, _ = matcher.anchor(state, stop.stop_id, fix.fixed_at + timedelta(seconds=1))
    return found


def plane_of(rnd: Round, walked: Walk) -> tuple[Array, Array]:
    """Put the fixes of a walk on the plane of its round."""
    lats, lons = np.array([fix.lat for fix in walked.fixes]), np.array([fix.lon for fix in walked.fixes])
    return rnd.plane.xy(lats, lons)


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print the lines of every case: `cycles` runs each, or with `full` all noises and plans, ten runs each."""
    for number, case in enumerate(cases(full=full)):
        for line in lines_of(case, runs=10 if full else max(1, cycles), seed=REPORTING + number):
            show(line)
    for line in speeds(seed=REPORTING):
        show(line)
    folder = data_folder()
    if folder is not None:
        for line in lines_of_tracks(folder):
            show(line)


def cases(*, full: bool) -> Iterator[Case]:
    """List what is measured; on generated towns where there is no real data."""
    real = data_folder() is not None
    town, other, country = ("maisons_laffitte", "st_ger", "lozere") if real else ("grid", "comb", None)
    for sigma_m in (5.0, 10.0, 20.0, 50.0):
        yield Case(town, sigma_m=sigma_m)
    yield from (Case(town, every_s=every_s) for every_s in ((30.0, 60.0) if full else (30.0,)))
    yield Case(town, mode="bike")
    for sigma_m in (5.0, 10.0, 20.0, 50.0) if full else (10.0, 20.0):
        yield Case(town, "zigzag", sigma_m=sigma_m)
    for plan in PLANS[1:]:
        yield Case(other, plan=plan, detours=False)
    if country:
        yield from (Case(country, kind, mode="van") for kind in (KINDS if full else KINDS[:1]))
    if full:
        yield from _more_cases(real=real)


def _more_cases(*, real: bool) -> Iterator[Case]:
    yield from (Case(town, kind, sigma_m=s) for town in ("grid", "comb") for kind in KINDS for s in (10.0, 20.0))
    yield from (Case("grid", sigma_m=s, every_s=60.0) for s in (10.0, 20.0))
    yield from (Case("grid", every_s=every_s, mode="bike") for every_s in (30.0, 120.0))
    for kind in KINDS:
        usual = Case("grid", kind)
        yield from (replace(usual, told=told) for told in ("unknown", "wrong", "modest"))
        yield replace(usual, heavy=True, sigma_m=5.0)
        yield replace(usual, outliers=0.02)
        yield replace(usual, sided=True, with_motion=True)
        yield replace(usual, scans=30)
    yield Case("grid", plan="reversed", detours=False, scans=30)
    if real:
        yield from (Case(town, kind, sigma_m=s) for town in ("st_ger", "bondy") for kind in KINDS for s in (10.0, 20.0))
        yield from (Case("hautes_alpes", kind, every_s=e, mode="van") for kind in KINDS for e in (8.5, 30.0))


def lines_of(case: Case, *, runs: int, seed: int) -> Iterator[dict[str, Any]]:
    """Write the lines of a case: right pass, both ways, beside both simple ways; the rest of its figures; the speed."""
    found = measure(case, runs=runs, seed=seed)
    usual = asdict(Case())
    unusual = {name: value for name, value in asdict(case).items() if value != usual[name] or name in _ALWAYS}
    conditions = {**unusual, "runs": found.runs, "fixes": found.fixes, "seed": seed, "cores": 1}
    for name, quality in (("provisional", found.provisional), ("confirmed", found.confirmed)):
        for other, value in (("nearest_point", found.nearest), ("forward_window", found.window)):
            yield _line(f"right_pass_{name}_percent", quality.right_pass, other, value, conditions)
    row = {k: v for k, v in found.as_row().items() if k not in {"runs", "fixes", "fixes_per_s", "nearest", "window"}}
    yield _line("fixes_per_s", found.fixes_per_s, "needed_per_s", 10_000, {**conditions, "figures": row})


def lines_of_tracks(folder: Path) -> Iterator[dict[str, Any]]:
    """Write what real tracks give: their errors beside normal ones, their matching, how delivery agents move."""
    tracks = read_tracks(folder / "traces_hof")
    errors = lateral_errors_m(tracks)
    conditions: dict[str, Any] = {"tracks": len(tracks), "fixes": len(errors), "source": "traces_hof"}
    sigmas = sigmas_m(errors)
    for percentile, sigma_m in sigmas.items():
        normal_m = NORMAL[percentile] * sigmas[50]
        yield _line(
            f"lateral_error_p{percentile}_m",
            sigma_m * NORMAL[percentile],
            "normal_of_same_median",
            normal_m,
            conditions,
        )
    for gap_s, alike in zip(_GAPS_S, correlations(tracks, _GAPS_S), strict=True):
        more = {**conditions, "simulated_heavy": rounded(correlation(gap_s, HEAVY_LASTING))}
        yield _line(f"lateral_error_correlation_{gap_s:g}_s", alike, "simulated", correlation(gap_s), more)
    found = matched(tracks)
    row = {name: rounded(value) for name, value in asdict(found).items()}
    yield _line("real_tracks_right_percent", found.provisional, "nearest_point", found.nearest, {**conditions, **row})
    for label, moves in movements(folder / "traces_agents" / "trajectories.zip").items():
        simulated = PACE_MPS["foot" if label == "OnFoot" else "van"]
        said = {"label": label, "source": "traces_agents", **{k: rounded(v) for k, v in asdict(moves).items()}}
        yield _line("agents_speed_p90_mps", moves.speed_p90_mps, "simulated_pace_mps", simulated, said)


def _line(metric: str, value: float, against: str, other: float, conditions: dict[str, Any]) -> dict[str, Any]:
    return {
        "bench": "locate",
        "metric": metric,
        "value": rounded(value),
        "ratio_to": against,
        "ratio": rounded(value / other) if other else None,
        "conditions": {**conditions, against: rounded(other)},
    }


def main(arguments: Sequence[str]) -> None:
    """Measure one case from the command line and print its figures as one object."""
    parser = argparse.ArgumentParser(prog="fieldsvc.bench.locate", description=main.__doc__)
    parser.add_argument("--town", default="grid")
    parser.add_argument("--kind", default=KINDS[0], choices=KINDS)
    parser.add_argument("--sigma", type=float, default=10.0)
    parser.add_argument("--every", type=float, default=8.5)
    parser.add_argument("--plan", default=PLANS[0], choices=PLANS)
    parser.add_argument("--mode", choices=tuple(PACE_MPS))
    parser.add_argument("--runs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=TUNING + 1)
    parser.add_argument("--lag", type=int, default=4)
    parser.add_argument("--told", default="right", choices=ACCURACIES)
    parser.add_argument("--outliers", type=float, default=0.0)
    parser.add_argument("--heavy", action="store_true", help="bad spells, as in real tracks")
    parser.add_argument("--scans", type=int, default=0)
    parser.add_argument("--motion", action="store_true", help="fixes with speed and heading")
    parser.add_argument("--sided", action="store_true", help="stops at the side that is served, and saying so")
    parser.add_argument("--no-detours", action="store_true")
    args = parser.parse_args(arguments)
    case = Case(
        args.town,
        args.kind,
        args.sigma,
        args.every,
        args.mode or ("van" if args.town in COUNTRY else "foot"),
        args.plan,
        not args.no_detours,
        args.sided,
        args.lag,
        args.told,
        args.outliers,
        args.heavy,
        args.motion,
        args.scans,
    )
    found = measure(case, runs=args.runs, seed=args.seed)
    print(json.dumps(found.as_row()))  # noqa: T201 - the figures are what it is called for


if __name__ == "__main__":
    main(sys.argv[1:])
