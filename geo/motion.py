"""How a carrier moves along a round between two fixes: tables of chances by distance, and the figures of the model.

The figures were fitted on simulated runs over real streets (`fieldsvc bench locate` measures them on others).
"""

from dataclasses import dataclass
from functools import lru_cache
from math import exp, log

import numpy as np

from geo.positions import Array

REACH = 1_200
LADDER = 1.12
RUNGS = 92
STILL = RUNGS
SURE = 0.8
STILL_WITHIN, STANDING_WITHIN, STANDING_LEARNT = 2.5, 2.0, 0.15
PACE_LEARNT, PACE_MOVED_M, PACE_WITHIN_S = 0.04, 8.0, 90.0
PACE_LEAST, PACE_MOST = 0.4, 2.5
_FINE = 5
POOR_M = 25.0


@dataclass(frozen=True, slots=True)
class Model:
    """Chances and lengths of the filter; lengths in metres, times in seconds.

    `stay`, `back`, `skip` are chances of a step, `still_*` what differs while standing; `jump`, `off`, `return`, `astray` (back to where
    he surely was) are rates. `correlated_s`: how long phones err alike. `beside_m`: how far beside the line carriers walk.
    """

    stay: float = 0.13
    back: float = 0.08
    back_m: float = 23.0
    skip: float = 2e-3
    skip_m: float = 250.0
    still_share: float = 0.01
    still_stay: float = 0.6
    still_m: float = 5.0
    still_after: float = 9.0
    still_ahead: float = 0.65
    still_temper: float = 0.5
    jump_per_s: float = 2e-6
    off_per_s: float = 7e-4
    return_per_s: float = 0.15
    astray_per_s: float = 5e-4
    settled_s: float = 80.0
    return_ahead_m: float = 300.0
    return_behind_m: float = 80.0
    return_anywhere: float = 0.15
    off_density: float = 1 / 29_000
    reversed_share: float = 0.04
    correlated_s: float = 7.5
    beside_m: float = 8.0


@dataclass(frozen=True, slots=True)
class Tables:
    """`step[r][REACH + d]` = chance to be d places further after a fix interval of rung r; the ends are 0 (out of reach).

    `back[REACH + d]` = chance to come back to the line d places after the last place on it. Both add up to 1.
    """

    step: Array
    back: Array


def rung_of(way_m: float) -> int:
    """Find the row of `Tables.step` for the usual way between two fixes, in metres."""
    return min(max(round(log(max(way_m, 1e-3)) / log(LADDER)), 0), RUNGS - 1)


def way_of(rung: int) -> float:
    """Give the metres that a row stands for."""
    return float(LADDER**rung)


@lru_cache(maxsize=16)
def tables(model: Model, step_m: float) -> Tables:
    """Make the tables for places `step_m` apart.

    Forward: half an exponential and half a gamma of order 2, both of the mean way; back: an exponential of 23 m; skips: exponentials
    both ways, a quarter of them back. A carrier is anywhere within his place, so each is spread over two places.
    """
    d = np.arange(-REACH * _FINE, REACH * _FINE + 1, dtype=np.float64) * np.float64(step_m / _FINE)
    ahead, behind = np.maximum(d, 0.0), np.maximum(-d, 0.0)
    step = np.array([*(_walking(model, d, way_of(rung)) for rung in range(RUNGS)), _standing(model, d)])
    back_on = 0.5 * np.exp(-ahead / model.return_ahead_m) / model.return_ahead_m * (d >= 0)
    back_on += 0.5 * np.exp(-behind / model.return_behind_m) / model.return_behind_m * (d < 0)
    return Tables(step, _per_place(_whole(back_on)))


def _walking(model: Model, d: Array, way: float) -> Array:
    ahead, behind = np.maximum(d, 0.0), np.maximum(-d, 0.0)
    onward = 0.5 * np.exp(-ahead / way) / way + 0.5 * ahead * (2 / way) ** 2 * np.exp(-2 * ahead / way)
    back = np.exp(-behind / max(min(model.back_m, way + 3.0), 1.0))
    skips = np.exp(-np.abs(d) / (model.skip_m + way)) * np.where(d > 0, 0.75, 0.25)
    row = model.stay * _point(len(d)) + (1 - model.stay - model.back - model.skip) * _whole(onward * (d > 0))
    return _per_place(row + model.back * _whole(back * (d < 0)) + model.skip * _whole(skips))


def _standing(model: Model, d: Array) -> Array:
    skips = np.exp(-np.abs(d) / model.skip_m)
    near = np.exp(-np.abs(d) / model.still_m) * np.where(d > 0, model.still_ahead, 1 - model.still_ahead)
    skip = model.skip * model.still_share
    return _per_place(
        model.still_stay * _point(len(d)) + (1 - model.still_stay - skip) * _whole(near) + skip * _whole(skips)
    )


def _point(size: int) -> Array:
    found = np.zeros(size)
    found[size // 2] = 1.0
    return found


def _whole(weights: Array) -> Array:
    total = float(weights.sum())
    return weights / total if total > 0 else _point(len(weights))


def _per_place(fine: Array) -> Array:
    """Sum chances over places, wherever in its own place the carrier was: a triangle of two places' width."""
    ramp = np.minimum(np.arange(1, 2 * _FINE), np.arange(2 * _FINE - 1, 0, -1))
    found = np.convolve(fine, ramp, mode="same")[::_FINE]
    found = found / found.sum()
    found[0] = found[-1] = 0.0
    return np.asarray(found)


def stands_after_s(model: Model, sigma_m: float) -> float:
    """Say how long places have to stay together to be one: the poorer the fixes, the longer a slow walk looks like standing."""
    return model.still_after * sigma_m * max(1.0, sigma_m / POOR_M)


def chance(per_s: float, dt_s: float, *, most: float = 1.0) -> float:
    """Turn a rate into the chance over an interval."""
    return min(1 - exp(-per_s * max(dt_s, 0.0)), most)
