"""What a simulated phone makes of where it is: errors that last, an accuracy that may be wrong, speed and heading. Pure.

On each axis the error has a correlated part (first order, 30 s) of 60 % of the variance and a white part of the rest; sigma
is that of one axis, and the reported accuracy 1.515 sigma (the radius of 68 %), unless it is asked to be unknown or wrong.
`heavy` is made after the real tracks of Hof (tracks.py): errors that last longer, and bad spells of which the fix knows nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.positions import Array

Flags = npt.NDArray[np.bool_]
Rng = np.random.Generator
Told = tuple[float | None, float | None, float | None]  # accuracy, speed, heading

TO_68_PERCENT = 1.515
LASTING = ((0.6, 30.0),)  # share of the variance, seconds
HEAVY_LASTING = ((0.55, 25.0), (0.25, 300.0))
HEAVY_SHARE, HEAVY_TIMES, HEAVY_SPELL_S = 0.12, 4.4, 60.0
ACCURACIES = ("right", "unknown", "wrong", "modest")
_OUTLIER_TIMES = 5.0
_HEADING_FROM_MPS = 0.5


@dataclass(frozen=True, slots=True)
class Noise:
    """How wrong the fixes are, and what they say about it.

    `told`: `right` (1.515 sigma), `unknown` (None), `wrong` (half to twice, drifting), `modest` (a third). `outliers` is the
    share of fixes five times as wrong as they say, each by itself. `heavy`: an eighth of the time, a minute or so at once,
    errors are 4.4 times sigma, and all last longer. `with_motion` adds speed (0.3 m/s wrong) and heading (15 degrees).
    """

    sigma_m: float
    told: str = "right"
    outliers: float = 0.0
    heavy: bool = False
    with_motion: bool = False


@dataclass(frozen=True, eq=False)
class Taken:
    """Where the phone says it is, and what it says about that."""

    x: Array
    y: Array
    told: Sequence[Told]


def taken(rng: Rng, at: Array, x: Array, y: Array, noise: Noise) -> Taken:
    """Take fixes of true places (metres on a plane) at seconds `at`; ValueError for an unknown kind of accuracy."""
    error = errors(rng, at, noise.sigma_m, HEAVY_LASTING if noise.heavy else LASTING)
    error[rng.random(len(at)) < noise.outliers] *= _OUTLIER_TIMES
    if noise.heavy:
        error[_bad_spells(rng, at)] *= HEAVY_TIMES
    accuracy = _accuracy(rng, len(at), noise)
    speed, heading = _motion(rng, at, x, y)
    told: list[Told] = [(each, None, None) for each in accuracy]
    if noise.with_motion:
        pairs = zip(accuracy, speed.tolist(), heading.tolist(), strict=True)
        told = [(each, mps, degrees if mps >= _HEADING_FROM_MPS else None) for each, mps, degrees in pairs]
    return Taken(x + error[:, 0], y + error[:, 1], told)


def errors(rng: Rng, at: Array, sigma_m: float, lasting: Sequence[tuple[float, float]] = LASTING) -> Array:
    """Draw the error of each fix, n x 2 metres: correlated parts and a white one, together sigma on each axis."""
    white = 1.0 - sum(share for share, _ in lasting)
    found = rng.normal(0, sigma_m * white**0.5, (len(at), 2))
    for share, lasts_s in lasting:
        part = rng.normal(0, sigma_m * share**0.5, (len(at), 2))
        for i, keep in enumerate(np.exp(-np.diff(at) / lasts_s).tolist(), 1):
            part[i] = keep * part[i - 1] + (1 - keep * keep) ** 0.5 * part[i]
        found = found + part
    return np.asarray(found)


def correlation(gap_s: float, lasting: Sequence[tuple[float, float]] = LASTING) -> float:
    """Say how alike the errors of one axis are so many seconds apart."""
    return float(sum(share * np.exp(-gap_s / lasts_s) for share, lasts_s in lasting))


def _bad_spells(rng: Rng, at: Array) -> Flags:
    """Say which fixes are taken in a bad spell: they come by chance, an eighth of the time in all."""
    good_s = HEAVY_SPELL_S / HEAVY_SHARE - HEAVY_SPELL_S
    changes = np.cumsum(rng.exponential(np.resize([good_s, HEAVY_SPELL_S], 2_000)))
    return np.asarray(np.searchsorted(changes, at) % 2 == 1)


def _accuracy(rng: Rng, many: int, noise: Noise) -> list[float | None]:
    right = noise.sigma_m * TO_68_PERCENT
    if noise.told == "wrong":
        knots = np.arange(0, many + 40, 40)
        return list((right * 2.0 ** np.interp(np.arange(many), knots, rng.uniform(-1, 1, len(knots)))).tolist())
    known: dict[str, float | None] = {"right": right, "unknown": None, "modest": right / 3}
    if noise.told not in known:
        raise ValueError(f"told is one of: {', '.join(ACCURACIES)}")
    return [known[noise.told]] * many


def _motion(rng: Rng, at: Array, x: Array, y: Array) -> tuple[Array, Array]:
    step = np.maximum(np.diff(at, prepend=at[0] - 1), 1e-6)
    dx, dy = np.diff(x, prepend=x[0]), np.diff(y, prepend=y[0])
    speed = np.maximum(np.hypot(dx, dy) / step + rng.normal(0, 0.3, len(at)), 0.0)
    heading = (np.degrees(np.arctan2(dx, dy)) + rng.normal(0, 15, len(at))) % 360
    return speed, heading
