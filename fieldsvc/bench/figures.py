"""What a run of matching was worth: answers beside the truth, and the figures of many runs together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

import numpy as np
import numpy.typing as npt

from fieldsvc.bench.noise import Flags
from fieldsvc.bench.walks import SAME_PASS_M, Walk, nearest_places
from geo.matching import AT_STOP, OFF_ROUND, ON_ROUND, Found, Match
from geo.positions import Array, Fix
from geo.rounds import Round

NEAR_LEG_M = 25.0
CLASSES = ((0.9, 1.01), (0.7, 0.9), (0.5, 0.7))


@dataclass(frozen=True, eq=False)
class Answers:
    """One answer a fix: metres along, whether it says on the round, off it, how sure, which stop; `given` where there is one."""

    along_m: Array
    is_on: Flags
    is_off: Flags
    confidence: Array
    stop: npt.NDArray[np.int64]
    given: Flags


@dataclass(frozen=True, eq=False)
class Run:
    """A walk and every answer to it."""

    walk: Walk
    corners_m: Array
    provisional: Answers
    confirmed: Answers
    nearest: Answers
    window: Answers


@dataclass(frozen=True, slots=True)
class Sure:
    """Of the answers that say so sure they are: their share of all, and the percentage that is right (None for none)."""

    share: float
    right: float | None


@dataclass(frozen=True, slots=True)
class Quality:
    """Percentages of the fixes on the round, but for the last line; None where there was nothing to count.

    `right_pass`: within 50 m along and said to be on the round; `right_pass_all` counts also the fixes that have no right
    answer. `leg` the same piece of line between two corners, or within 25 m. `stop`, `stop_1` of the fixes at a served stop:
    it, or one of its neighbours. `off_false` is the share of the fixes on the round that are called off it.
    """

    right_pass: float
    right_pass_all: float
    error_p50_m: float
    error_p95_m: float
    leg: float
    stop: float | None
    stop_1: float | None
    off_precision: float | None
    off_recall: float | None
    off_false: float
    sure_90: Sure
    sure_70: Sure
    sure_50: Sure


@dataclass(frozen=True, slots=True)
class Figures:
    """All figures of a line of the benchmark; `unjudged` is the share of fixes without a right answer."""

    runs: int
    fixes: int
    unjudged: float
    provisional: Quality
    confirmed: Quality
    nearest: float
    window: float
    fixes_per_s: float

    def as_row(self) -> dict[str, object]:
        """Give the figures as one flat object: `provisional_right_pass`, `confirmed_sure_90_right` and so on."""
        row: dict[str, object] = {}
        for name, value in asdict(self).items():
            row.update(_flat(name, value))
        return row


def _flat(name: str, value: object) -> dict[str, object]:
    if isinstance(value, dict):
        found: dict[str, object] = {}
        for inner, each in value.items():
            found.update(_flat(f"{name}_{inner}", each))
        return found
    return {name: round(value, 2) if isinstance(value, float) else value}


def provisional_of(rnd: Round, found: Sequence[Found]) -> Answers:
    """Take the provisional match of each fix."""
    return _answers(rnd, [one.provisional for one in found])


def confirmed_of(rnd: Round, fixes: Sequence[Fix], found: Sequence[Found]) -> Answers:
    """Take the confirmed match of each fix, found by its time among those that came later; the last ones have none."""
    by_time: dict[datetime, Match] = {one.confirmed.fixed_at: one.confirmed for one in found if one.confirmed}
    return _answers(rnd, [by_time.get(fix.fixed_at) for fix in fixes])


def _answers(rnd: Round, matches: Sequence[Match | None]) -> Answers:
    index = {stop.stop_id: i for i, stop in enumerate(rnd.stops)}
    return Answers(
        np.array([match.distance_along_m if match else np.nan for match in matches], dtype=np.float64),
        np.array([match is not None and match.status in {ON_ROUND, AT_STOP} for match in matches]),
        np.array([match is not None and match.status == OFF_ROUND for match in matches]),
        np.array([match.confidence if match else 0.0 for match in matches], dtype=np.float64),
        np.array([index.get(match.stop_id or "", -9) if match else -9 for match in matches]),
        np.array([match is not None for match in matches]),
    )


def nearest_of(rnd: Round, x: Array, y: Array) -> Answers:
    """Answer each fix with the nearest point of the line."""
    return _placed(nearest_places(rnd, x, y)[0])


def window_of(rnd: Round, x: Array, y: Array, *, step_m: float, sigma_m: float) -> Answers:
    """Answer each fix with the nearest point from 30 m behind the last one to 50 m and 2.5 usual steps ahead of it.

    What one writes first, knowing that a round has an order. While nothing in the window is near, the last answer stays
    and the window grows by 2.5 steps a fix.
    """
    along = np.arange(0.0, rnd.length_m, 2.0)
    vx, vy, cumulative = rnd.vertices
    lx, ly = np.interp(along, cumulative, vx), np.interp(along, cumulative, vy)
    ahead, reach, last = 2.5 * step_m, max(3.5 * sigma_m, 35.0), 0.0
    missed = 0
    found = np.empty(len(x))
    for i, (px, py) in enumerate(zip(x.tolist(), y.tolist(), strict=True)):
        low, high = np.searchsorted(along, (last - 30, last + 50 + (1 + missed) * ahead))
        off = np.hypot(lx[low:high] - px, ly[low:high] - py)
        missed += 1
        if len(off) and off.min() <= reach:
            missed = 0
            last = float(along[low + int(np.argmin(off))])
        found[i] = last
    return _placed(found)


def _placed(along: Array) -> Answers:
    yes = np.ones(len(along), dtype=np.bool_)
    return Answers(along, yes, ~yes, yes.astype(np.float64), np.full(len(along), -9), yes)


def figures_of(runs: Sequence[Run], seconds: float) -> Figures:
    """Add up runs; `seconds` is what matching them took."""
    many = sum(len(run.walk.fixes) for run in runs)
    judged = np.concatenate([run.walk.is_judged for run in runs])
    return Figures(
        len(runs),
        many,
        _percent(~judged),
        _quality(runs, "provisional"),
        _quality(runs, "confirmed"),
        _quality(runs, "nearest").right_pass,
        _quality(runs, "window").right_pass,
        many / max(seconds, 1e-9),
    )


def _quality(runs: Sequence[Run], name: str) -> Quality:
    given: list[Answers] = [getattr(run, name) for run in runs]
    walks = [run.walk for run in runs]
    known = np.concatenate([each.given for each in given])
    truth, stop = (np.concatenate([getattr(walk, what) for walk in walks])[known] for what in ("along_m", "stop"))
    is_off, judged = (
        np.concatenate([getattr(walk, what) for walk in walks])[known] for what in ("is_off", "is_judged")
    )
    along, sure, named, says_on, says_off = (
        np.concatenate([getattr(each, what) for each in given])[known]
        for what in ("along_m", "confidence", "stop", "is_on", "is_off")
    )
    legs = np.concatenate([_same_leg(run, each) for run, each in zip(runs, given, strict=True)])[known]
    error = np.abs(along - truth)
    on = judged & ~is_off
    right = says_on & ~is_off & (error <= SAME_PASS_M)
    serving = on & (stop >= 0)
    p50, p95 = np.percentile(error[on & says_on], [50, 95]).tolist() if (on & says_on).any() else (np.nan, np.nan)
    return Quality(
        _percent(right[on]),
        _percent(right[~is_off]),
        p50,
        p95,
        _percent(says_on[on] & (legs | (error <= NEAR_LEG_M))[on]),
        _percent_or_none((named == stop)[serving]),
        _percent_or_none((np.abs(named - stop) <= 1)[serving]),
        _percent_or_none(is_off[says_off & judged]),
        _percent_or_none(says_off[is_off]),
        _percent(says_off[on]),
        *(_sure(says_on & judged & (sure >= low) & (sure < high), right, judged) for low, high in CLASSES),
    )


def _sure(chosen: Flags, right: Flags, judged: Flags) -> Sure:
    return Sure(100.0 * float(chosen.sum()) / max(int(judged.sum()), 1), _percent_or_none(right[chosen]))


def _same_leg(run: Run, answers: Answers) -> Flags:
    found, true = (np.searchsorted(run.corners_m, along) for along in (answers.along_m, run.walk.along_m))
    return np.asarray(found == true)


def _percent(flags: Flags) -> float:
    return 100.0 * float(flags.mean()) if len(flags) else 0.0


def _percent_or_none(flags: Flags) -> float | None:
    return _percent(flags) if len(flags) else None
