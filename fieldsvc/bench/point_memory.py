"""`bench points`: how near the truth the learned place of a letterbox is, when a move is noticed, and how often for nothing.

Proofs are simulated: one to three a day, with a normal error on each axis, that the phone reports as it is; one in ten 50 m
off; or three in ten of one day at a wrong spot 60 m away. Errors of different days are independent here; those of a real
phone under the same walls are less so, and the learned place is then less exact than these figures.
"""

import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import cos, hypot, sin, tau
from typing import Any

import numpy as np

from fieldsvc.bench.lines import Show, rounded
from geo.delivery_points import PointMemory, Proof, learn, remember_at

FIRST, PLACE, PLAN_OFF_M = date(2026, 1, 5), (48.9, 2.48), 25.0
OUTLIERS, OUTLIER_M, WRONG_SPOT, WRONG_SPOT_M = 0.1, 50.0, 0.3, 60.0
HABITS, SIGMAS_M, PROOFS = ("clean", "outliers", "wrong_spot"), (5.0, 10.0), (5, 10, 30)
MOVED_M, WATCHED, NEVER = (30.0, 50.0), 40, 999
REPORTING = 7_000
Spot = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Errors:
    """What learned places were worth: metres off, the share within their radius, of those sure, and moves seen in vain."""

    median_m: float
    p90_m: float
    within_radius: float
    sure: float
    false_moves: float


def proofs_at(
    rng: np.random.Generator, spot: Spot, *, count: int, sigma_m: float, habit: str, since: date = FIRST
) -> list[Proof]:
    """Simulate proofs at a spot, in metres from the plan, in the order of their days."""
    found: list[Proof] = []
    wrong = round(count * WRONG_SPOT) if habit == "wrong_spot" else 0
    day, turn = since, rng.uniform(0, tau)
    while len(found) < count - wrong:
        for _ in range(min(int(rng.integers(1, 4)), count - wrong - len(found))):
            off = OUTLIER_M if habit == "outliers" and rng.random() < OUTLIERS else 0.0
            found.append(_proof(rng, _beside(spot, off, rng.uniform(0, tau)), sigma_m, day))
        day += timedelta(days=1)
    away, one_day = _beside(spot, WRONG_SPOT_M, turn), found[len(found) // 2].day
    found += [_proof(rng, away, sigma_m, one_day) for _ in range(wrong)]
    return sorted(found, key=lambda proof: proof.day)


def _proof(rng: np.random.Generator, spot: Spot, sigma_m: float, day: date) -> Proof:
    east, north = spot[0] + rng.normal(0, sigma_m), spot[1] + rng.normal(0, sigma_m)
    return Proof(day, round(east), round(north), max(round(1.515 * sigma_m), 1))


def _beside(spot: Spot, metres: float, turn: float) -> Spot:
    return spot[0] + metres * cos(turn), spot[1] + metres * sin(turn)


def _taught(proofs: Sequence[Proof], memory: PointMemory | None = None) -> PointMemory:
    memory = memory or remember_at(*PLACE)
    for proof in proofs:
        memory = learn(memory, [proof])
    return memory


def learned_errors(*, sigma_m: float, habit: str, count: int, points: int, seed: int) -> Errors:
    """Learn points whose planned place is 25 m off, proof by proof."""
    rng, off, within, sure, moved = np.random.default_rng(seed), [], 0, 0, 0
    for _ in range(points):
        spot = _beside((0.0, 0.0), PLAN_OFF_M, rng.uniform(0, tau))
        memory = _taught(proofs_at(rng, spot, count=count, sigma_m=sigma_m, habit=habit))
        known = memory.learned
        if known is None:
            continue
        off.append(hypot(known.east_m - spot[0], known.north_m - spot[1]))
        within += off[-1] <= known.radius_m
        sure += known.is_sure
        moved += memory.moved_on is not None
    p90 = statistics.quantiles(off, n=10)[-1]
    return Errors(statistics.median(off), p90, within / points, sure / points, moved / points)


def noticed_after(*, sigma_m: float, moved_m: float, points: int, seed: int) -> list[int]:
    """Count, for boxes that move after 20 proofs, how many proofs at the new place it takes to notice; NEVER within 40."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(points):
        memory = _taught(proofs_at(rng, (0.0, 0.0), count=20, sigma_m=sigma_m, habit="outliers"))
        memory = PointMemory(memory.planned, memory.proofs, memory.learned)
        spot = _beside((0.0, 0.0), moved_m, rng.uniform(0, tau))
        since = FIRST + timedelta(days=60)
        later = proofs_at(rng, spot, count=WATCHED, sigma_m=sigma_m, habit="outliers", since=since)
        found.append(NEVER)
        for number, proof in enumerate(later, 1):
            memory = learn(memory, [proof])
            if memory.moved_on is not None:
                found[-1] = number
                break
    return found


def false_moves(*, sigma_m: float, count: int, points: int, seed: int) -> float:
    """Count the points, of a thousand, of which a move was seen that never was, in so many proofs."""
    rng = np.random.default_rng(seed)
    spots = (proofs_at(rng, (0.0, 0.0), count=count, sigma_m=sigma_m, habit="outliers") for _ in range(points))
    return 1_000 * sum(_taught(proofs).moved_on is not None for proofs in spots) / points


def lines(*, full: bool, seed: int = REPORTING) -> Iterator[dict[str, Any]]:
    """Write the figures; ten times as many points with `full`."""
    points = 1_000 if full else 100
    for sigma_m in SIGMAS_M:
        for habit in HABITS:
            for count in PROOFS:
                got = learned_errors(sigma_m=sigma_m, habit=habit, count=count, points=points, seed=seed)
                shares = {
                    "p90_m": rounded(got.p90_m),
                    "within_radius": got.within_radius,
                    "sure": got.sure,
                    "false_moves": got.false_moves,
                }
                told = {
                    "sigma_m": sigma_m,
                    "habit": habit,
                    "proofs": count,
                    "points": points,
                    "planned_m": PLAN_OFF_M,
                    **shares,
                }
                yield _line("error_m_p50", got.median_m, ("planned_m", PLAN_OFF_M), told)
        for moved_m in MOVED_M:
            after = noticed_after(sigma_m=sigma_m, moved_m=moved_m, points=points, seed=seed)
            told = {
                "sigma_m": sigma_m,
                "moved_m": moved_m,
                "points": points,
                "never": after.count(NEVER) / points,
                "fewest": 5,
            }
            yield _line("move_noticed_after_proofs_p50", statistics.median(after), ("fewest", 5.0), told)
        vain = false_moves(sigma_m=sigma_m, count=60, points=points, seed=seed)
        told = {"sigma_m": sigma_m, "proofs": 60, "points": points, "per": 1_000}
        yield _line("false_moves_per_1000_points", vain, ("per", 1_000.0), told)


def _line(metric: str, value: float, against: tuple[str, float], conditions: dict[str, Any]) -> dict[str, Any]:
    ratio = rounded(value / against[1])
    return {
        "bench": "points",
        "metric": metric,
        "value": rounded(value),
        "ratio_to": against[0],
        "ratio": ratio,
        "conditions": conditions,
    }


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Print the lines."""
    del cycles
    for line in lines(full=full):
        show(line)
