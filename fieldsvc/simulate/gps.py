"""What a phone's GPS makes of where it is: errors that last, a heavy tail, street canyons, and a cold start. Pure.

Each axis has a first-order correlated error (about 45 s) whose scale drifts over minutes; between high walls it is tens of
metres, and the reported accuracy says so, roughly. The scales follow the lateral residuals of 14,651 hand-corrected vehicle
fixes (FCD Hof): p50 3.3, p90 11, p95 16, p99 36 m.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from fieldsvc.simulate.way import Place, shifted

STEP_S = 5.0
ERROR_LASTS_S, SCALE_LASTS_S = 45.0, 400.0
SIGMA_M, SIGMA_SPREAD = 5.0, 0.58
CANYONS_EACH_HOUR, CANYON_S = 0.35, (60.0, 300.0)
CANYON_ACCURACY_M = 50.0
TO_68_PERCENT = 1.515  # from the sigma of one axis to the radius that holds 68 % of the fixes
COLD_START_M = (90.0, 320.0)


@dataclass(frozen=True, slots=True)
class Fix:
    """What the GPS says: `at` in unix seconds, degrees WGS 84, accuracy as the radius of 68 %."""

    at: float
    lat: float
    lon: float
    accuracy_m: float
    speed_mps: float | None = None
    heading_deg: float | None = None


@dataclass(frozen=True, slots=True)
class Sky:
    """The errors of one shift, as (north_m, east_m, accuracy_m) each five seconds."""

    start_at: float
    errors: Sequence[tuple[float, float, float]]

    def fix(self, at: float, place: Place) -> Fix:
        """Take a fix at a true place."""
        step = min(max(int((at - self.start_at) / STEP_S), 0), len(self.errors) - 1)
        north_m, east_m, accuracy_m = self.errors[step]
        lat, lon = shifted(place, north_m=north_m, east_m=east_m)
        return Fix(at, round(lat, 6), round(lon, 6), accuracy_m)


def sky_over(start_at: float, end_at: float, rng: Random) -> Sky:
    """Make the errors of a shift."""
    keep, keep_scale = math.exp(-STEP_S / ERROR_LASTS_S), math.exp(-STEP_S / SCALE_LASTS_S)
    fresh, fresh_scale = math.sqrt(1 - keep**2), math.sqrt(1 - keep_scale**2)
    north, east, scale = rng.gauss(0, 1), rng.gauss(0, 1), rng.gauss(0, 1)
    canyons = canyons_between(start_at, end_at, rng)
    errors, at = [], start_at
    while at <= end_at + STEP_S:
        north, east = keep * north + rng.gauss(0, fresh), keep * east + rng.gauss(0, fresh)
        scale = keep_scale * scale + rng.gauss(0, fresh_scale)
        sigma, honesty = SIGMA_M * math.exp(SIGMA_SPREAD * scale), rng.lognormvariate(0, 0.15)
        if any(begin <= at < until for begin, until in canyons):
            sigma, honesty = CANYON_ACCURACY_M / TO_68_PERCENT, 1.0
        errors.append((north * sigma, east * sigma, round(max(3.0, sigma * TO_68_PERCENT * honesty), 1)))
        at += STEP_S
    return Sky(start_at, errors)


def canyons_between(start_at: float, end_at: float, rng: Random) -> list[tuple[float, float]]:
    """Return the stretches between high walls as (from, until)."""
    found, at = [], start_at
    while (at := at + rng.expovariate(CANYONS_EACH_HOUR / 3600)) < end_at:
        found.append((at, at + rng.uniform(*CANYON_S)))
    return found


def noisy(at: float, place: Place, rng: Random) -> Fix:
    """Take one fix on its own."""
    sigma = SIGMA_M * rng.lognormvariate(0, SIGMA_SPREAD)
    lat, lon = shifted(place, north_m=rng.gauss(0, sigma), east_m=rng.gauss(0, sigma))
    return Fix(at, round(lat, 6), round(lon, 6), round(max(3.0, sigma * TO_68_PERCENT), 1))


def cold(fix: Fix, rng: Random) -> Fix:
    """Make the first fix after the phone was asleep: hundreds of metres off, and it says so."""
    off_m, turn = rng.uniform(*COLD_START_M), rng.uniform(0, math.tau)
    lat, lon = shifted((fix.lat, fix.lon), north_m=off_m * math.cos(turn), east_m=off_m * math.sin(turn))
    return Fix(fix.at, round(lat, 6), round(lon, 6), round(off_m * rng.uniform(1.1, 1.8)))
