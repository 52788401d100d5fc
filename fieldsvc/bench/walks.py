"""Simulated executions of a round, with the truth beside each fix: what the matcher is measured on. Pure, by seed.

A run lasts about four hours: along the line at the pace of its mode (foot 1.3 m/s, bike 3.5, van 10; each hop between two
corners or stops draws its own, one in twelve is a crawl), standing at three stops in four (heavy-tailed, scaled so that the
four hours are filled), 0-6 m off the line on the side that is served. In each run 2 stretches of 100-300 m are skipped, 2 of
40-150 m walked back and again, 2 detours go 120-300 m away from the line and back, and there is one break of 20-35 minutes.
A plan says in which order, and which way, the parts of the round are walked. How wrong the fixes are is in noise.py.

The truth: `along_m` is the place on the round where the carrier is; off the line by a detour, where it was left. `is_off`
= the true position is farther than 40 m from every part of the line. A fix within 40 m of *some* part, but not of the part
that the truth is at (on a detour beside another street, on the way from one part of the round to another) has no right
answer: `is_judged` is False there. The benchmark also tells its figures with these fixes counted.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from fieldsvc.bench.noise import TO_68_PERCENT, Flags, Noise, Rng, errors, taken
from geo.positions import Array, Fix
from geo.rounds import Round

__all__ = [
    "OFF_M", "PACE_MPS", "PLANS", "SAME_PASS_M", "START_AT", "TO_68_PERCENT", "Noise", "Walk",
    "distances_to_line", "errors", "legs_of", "nearest_places", "walk",
]  # fmt: skip

Leg = tuple[float, float]  # metres along the line, from and to: backwards when the second is smaller

START_AT = datetime(2026, 11, 21, 7, tzinfo=UTC)
PACE_MPS = {"foot": 1.3, "bike": 3.5, "van": 10.0}
PLANS = ("planned", "reversed", "swapped", "wrapped", "postponed", "block_backwards")
SHIFT_S = 4 * 3600.0
OFF_M, SAME_PASS_M = 40.0, 50.0
SKIPS, SKIP_M = 2, (100.0, 300.0)
BACKTRACKS, BACK_M = 2, (40.0, 150.0)
DETOURS, DETOUR_M, DETOUR_STAY_S = 2, (120.0, 300.0), (20.0, 180.0)
BREAK_S = (1200.0, 2100.0)
_SERVED_SHARE, _CRAWLS, _CRAWL = 0.75, 1 / 12, 0.35
_LATERAL_M = 6.0


@dataclass(frozen=True, eq=False)
class Walk:
    """The fixes of a run, and for each the truth: see the module. `stop` is the index of the stop being served, or -1."""

    fixes: list[Fix]
    along_m: Array
    is_off: Flags
    is_judged: Flags
    stop: npt.NDArray[np.int64]
    x: Array
    y: Array


@dataclass
class _Track:
    """The true run as it is made: one row a corner, as (seconds, x, y, along, stop or -1, whether it follows the line)."""

    at_s: float = 0.0
    rows: list[tuple[float, float, float, float, int, bool]] = field(default_factory=list)

    def add(
        self, place: tuple[float, float], after_s: float, along_m: float, *, stop: int = -1, on: bool = True
    ) -> None:
        self.at_s += after_s
        self.rows.append((self.at_s, *place, along_m, stop, on))


def walk(
    rnd: Round,
    *,
    seed: int,
    noise: Noise,
    every_s: float,
    plan: str = "planned",
    mode: str = "foot",
    detours: bool = True,
    alternate: bool = False,
) -> Walk:
    """Walk a round by a plan and take a fix every `every_s`; ValueError for an unknown plan or mode.

    `detours=False` leaves only the detours out; `alternate` serves either side by chance where the stops do not say a side
    (else the right one). Plans: `planned`; `reversed` the whole round; `swapped` two of its sixths;
    `wrapped` begun at 40 %; `postponed` three sixths to the end; `block_backwards` one sixth the other way round.
    """
    if mode not in PACE_MPS:
        raise ValueError(f"modes: {', '.join(PACE_MPS)}")
    rng = np.random.default_rng((seed, PLANS.index(plan) if plan in PLANS else 0))
    legs = legs_of(plan, rnd.length_m, rng)
    rows = np.array(_Carrier(rnd, rng, mode, alternate=alternate).live(legs, detours=detours))
    return _with_fixes(rnd, rows, np.random.default_rng((seed, 77)), noise, every_s)


def legs_of(plan: str, length_m: float, rng: Rng) -> list[Leg]:
    """Say which parts of a round are walked in which order and direction; ValueError for an unknown plan."""
    sixths = list(pairwise(np.linspace(0, length_m, 7).tolist()))
    if plan == "planned":
        return [(0.0, length_m)]
    if plan == "reversed":
        return [(length_m, 0.0)]
    if plan == "swapped":
        i, j = sorted(rng.choice(6, 2, replace=False).tolist())
        sixths[i], sixths[j] = sixths[j], sixths[i]
    elif plan == "wrapped":
        return [(0.4 * length_m, length_m), (0.0, 0.4 * length_m)]
    elif plan == "postponed":
        late = set(rng.choice(5, 3, replace=False).tolist())
        sixths = [sixths[i] for i in range(6) if i not in late] + [sixths[i] for i in sorted(late)]
    elif plan == "block_backwards":
        i = int(rng.integers(6))
        sixths[i] = sixths[i][::-1]
    else:
        raise ValueError(f"plans: {', '.join(PLANS)}")
    return _joined(sixths)


def _joined(legs: Sequence[Leg]) -> list[Leg]:
    """Make one leg of those that follow on each other."""
    found = [legs[0]]
    for start, end in legs[1:]:
        last = found[-1]
        if last[1] == start and (last[1] > last[0]) == (end > start):
            found[-1] = last[0], end
        else:
            found.append((start, end))
    return found


class _Carrier:
    """Somebody who walks legs of a round and lives through what a run brings."""

    def __init__(self, rnd: Round, rng: Rng, mode: str, *, alternate: bool) -> None:
        self.rnd, self.rng, self.pace_mps = rnd, rng, PACE_MPS[mode]
        self.x, self.y, self.cumulative = rnd.vertices
        self.stops_m = rnd.stop_distances_m
        self.track = _Track()
        self.lateral = _laterals(rnd, rng, alternate=alternate)
        self.dwells_s = np.where(
            rng.random(len(self.stops_m)) < _SERVED_SHARE, rng.lognormal(0, 0.9, len(self.stops_m)), 0
        )

    def live(self, legs: Sequence[Leg], *, detours: bool) -> list[tuple[float, float, float, float, int, bool]]:
        """Walk the legs; first without standing, to learn how much time is left for the stops."""
        legs = _skipped(legs, self.rng)
        events = sorted(self._events(legs, detours=detours))
        state = self.rng.bit_generator.state
        share, self.dwells_s = self.dwells_s, np.zeros_like(self.dwells_s)
        self._go(legs, events)
        idle_s = max(SHIFT_S - self.track.at_s, 2.0 * len(share))
        self.rng.bit_generator.state = state
        self.track, self.dwells_s = _Track(), share * idle_s / max(float(share.sum()), 1e-9)
        self._go(legs, events)
        return self.track.rows

    def _events(self, legs: Sequence[Leg], *, detours: bool) -> Iterator[tuple[float, str, float]]:
        """Say what happens after how many walked metres: (metres, what, how far or how long)."""
        walked_m = sum(abs(b - a) for a, b in legs)
        for name, many, size in (
            ("back", BACKTRACKS, BACK_M),
            ("detour", DETOURS if detours else 0, DETOUR_M),
            ("break", 1, BREAK_S),
        ):
            for _ in range(many):
                yield float(self.rng.uniform(0.05, 0.95)) * walked_m, name, float(self.rng.uniform(*size))

    def _go(self, legs: Sequence[Leg], events: Sequence[tuple[float, str, float]]) -> None:
        walked, due = 0.0, list(events)
        for number, (start, end) in enumerate(legs):
            if number:
                self._cross(legs[number - 1][1], start)
            here = start
            while due and due[0][0] <= walked + abs(end - start):
                metres, what, size = due.pop(0)
                there = start + np.sign(end - start) * (metres - walked)
                self._follow(here, there)
                here = there
                self._meet(what, size, here, towards=float(np.sign(end - start)))
            self._follow(here, end)
            walked += abs(end - start)

    def _meet(self, what: str, size: float, here: float, *, towards: float) -> None:
        if what == "back":
            behind = min(max(here - towards * size, 0.0), self.rnd.length_m)
            self._follow(here, behind, serve=False)
            self._follow(behind, here, serve=False)
        elif what == "detour":
            self._detour(here, size)
        else:
            self.track.add(self._place(here), size, here)

    def _place(self, along_m: float) -> tuple[float, float]:
        """Find where the carrier walks at a place of the line: aside of it, on the side of the next stop."""
        k = min(max(int(np.searchsorted(self.cumulative, along_m, side="right")) - 1, 0), len(self.x) - 2)
        long_m = max(self.cumulative[k + 1] - self.cumulative[k], 1e-9)
        ux, uy = (self.x[k + 1] - self.x[k]) / long_m, (self.y[k + 1] - self.y[k]) / long_m
        part = along_m - self.cumulative[k]
        aside = float(np.interp(along_m, self.stops_m, self.lateral)) if len(self.stops_m) else 0.0
        return float(self.x[k] + ux * part + uy * aside), float(self.y[k] + uy * part - ux * aside)

    def _follow(self, start: float, end: float, *, serve: bool = True) -> None:
        """Walk along the line, corner by corner and stop by stop, backwards when `end` is smaller."""
        low, high = min(start, end), max(start, end)
        here = start
        for along, stop in self._ahead(low, high, backwards=bool(end < start)):
            self._hop(here, along)
            here = along
            if stop >= 0 and serve and self.dwells_s[stop] > 0:
                self.track.add(self._place(along), 0.0, along, stop=stop)
                self.track.add(self._place(along), float(self.dwells_s[stop]), along, stop=stop)
                self.track.add(self._place(along), 0.0, along)
        self._hop(here, end)

    def _ahead(self, low: float, high: float, *, backwards: bool) -> list[tuple[float, int]]:
        corners = self.cumulative[(self.cumulative > low) & (self.cumulative < high)]
        served = np.flatnonzero((self.stops_m > low) & (self.stops_m <= high))
        both = [(float(m), -1) for m in corners] + [(float(self.stops_m[i]), int(i)) for i in served]
        return sorted(both, reverse=backwards)

    def _hop(self, start: float, end: float) -> None:
        self.track.add(self._place(end), abs(end - start) / self._pace(), end)

    def _pace(self) -> float:
        slow = _CRAWL if self.rng.random() < _CRAWLS else 1.0
        return float(self.pace_mps * slow * self.rng.lognormal(0, 0.2))

    def _detour(self, here: float, far_m: float) -> None:
        """Leave the line for a place that far away (beyond 60 m from every part of it, if there is one), and come back."""
        x, y = self._place(here)
        turns = self.rng.uniform(0, 2 * np.pi, 16)
        ends = np.column_stack((x + far_m * np.cos(turns), y + far_m * np.sin(turns)))
        free = distances_to_line(self.rnd, ends[:, 0], ends[:, 1])
        end = ends[int(np.argmax(free > 1.5 * OFF_M)) if (free > 1.5 * OFF_M).any() else int(np.argmax(free))]
        place = float(end[0]), float(end[1])
        pace = min(self.pace_mps, 3.5) * 0.9
        self.track.add((x, y), 0.0, here, on=False)
        self.track.add(place, far_m / pace, here, on=False)
        self.track.add(place, float(self.rng.uniform(*DETOUR_STAY_S)), here, on=False)
        self.track.add((x, y), far_m / pace, here, on=False)
        self.track.add((x, y), 0.0, here)

    def _cross(self, start: float, end: float) -> None:
        """Go straight from one part of the round to another."""
        here, there = self._place(start), self._place(end)
        apart = float(np.hypot(there[0] - here[0], there[1] - here[1]))
        self.track.add(here, 0.0, start, on=False)
        self.track.add(there, apart / self.pace_mps, start, on=False)
        self.track.add(there, 0.0, end)


def _laterals(rnd: Round, rng: Rng, *, alternate: bool) -> Array:
    """Say how far to the right of the line each stop is served: 0-6 m on its side."""
    by_chance = np.where(rng.random(len(rnd.stops)) < 0.5, -1.0, 1.0) if alternate else np.ones(len(rnd.stops))
    known = {"left": -1.0, "right": 1.0}
    sides = np.array([known.get(stop.side or "", chance) for stop, chance in zip(rnd.stops, by_chance, strict=True)])
    return np.asarray(sides * rng.uniform(0, _LATERAL_M, len(sides)))


def _skipped(legs: Sequence[Leg], rng: Rng) -> list[Leg]:
    """Cut stretches out of the legs; the carrier goes straight over from end to end."""
    found = list(legs)
    for _ in range(SKIPS):
        skip = float(rng.uniform(*SKIP_M))
        fits = [i for i, (a, b) in enumerate(found) if abs(b - a) > 3 * skip]
        if not fits:
            continue
        long_m = np.array([abs(found[i][1] - found[i][0]) for i in fits])
        i = fits[int(rng.choice(len(fits), p=long_m / long_m.sum()))]
        a, b = found[i]
        way = float(np.sign(b - a))
        cut = a + way * float(rng.uniform(0.1, 0.9)) * (abs(b - a) - skip)
        found[i : i + 1] = [(a, cut), (cut + way * skip, b)]
    return found


def _with_fixes(rnd: Round, rows: Array, rng: Rng, noise: Noise, every_s: float) -> Walk:
    at = np.arange(rng.uniform(0, every_s), rows[-1, 0], every_s)
    before = np.clip(np.searchsorted(rows[:, 0], at, side="right") - 1, 0, len(rows) - 2)
    x, y, along = (np.interp(at, rows[:, 0], rows[:, i]) for i in (1, 2, 3))
    follows = (rows[before, 5] > 0) | (rows[before + 1, 5] > 0)
    stop = np.where(rows[before, 4] == rows[before + 1, 4], rows[before, 4], -1).astype(np.int64)
    is_off = distances_to_line(rnd, x, y) > OFF_M
    is_judged = is_off | follows
    for i in np.flatnonzero(~follows).tolist():
        ends = float(rows[before[i], 3]), float(rows[min(before[i] + 2, len(rows) - 1), 3])
        along[i], is_known = _between(rnd, ends, float(x[i]), float(y[i]))
        is_judged[i] |= is_known
    seen = taken(rng, at, x, y, noise)
    lats, lons = _degrees(rnd, seen.x, seen.y)
    fixes = [
        Fix(lat, lon, START_AT + timedelta(seconds=second), *told)
        for lat, lon, second, told in zip(lats.tolist(), lons.tolist(), at.tolist(), seen.told, strict=True)
    ]
    return Walk(fixes, along, is_off, is_judged, stop, x, y)


def _between(rnd: Round, ends: Leg, x: float, y: float) -> tuple[float, bool]:
    """Say where somebody is who left the line at one place and comes back at the other, and whether that can be said.

    Over a skipped stretch it is the nearest place of the stretch, unless another of its places (50 m from it along the
    line) is as near within 10 m; between farther parts, and on a detour, the nearer end. Within 40 m only.
    """
    low, high = min(ends), max(ends)
    places = np.arange(low, high + 1, 2.0) if 0 < high - low <= SKIP_M[1] + 1 else np.array(ends)
    vertices = rnd.vertices
    off = np.hypot(np.interp(places, vertices[2], vertices[0]) - x, np.interp(places, vertices[2], vertices[1]) - y)
    best = int(np.argmin(off))
    rival = off[np.abs(places - places[best]) > SAME_PASS_M]
    return float(places[best]), bool(off[best] <= OFF_M and not (rival <= off[best] + 10).any())


def distances_to_line(rnd: Round, px: Array, py: Array) -> Array:
    """Measure the distance of each point to the nearest part of the line, in metres."""
    return nearest_places(rnd, px, py)[1]


def nearest_places(rnd: Round, px: Array, py: Array) -> tuple[Array, Array]:
    """Find the nearest place of the line for each point: (metres along, distance)."""
    x, y, cumulative = rnd.vertices
    dx, dy = np.diff(x), np.diff(y)
    squared = np.maximum(dx * dx + dy * dy, 1e-12)
    along, off = np.empty(len(px)), np.empty(len(px))
    for i, (u, v) in enumerate(zip(px.tolist(), py.tolist(), strict=True)):
        part = np.clip(((u - x[:-1]) * dx + (v - y[:-1]) * dy) / squared, 0.0, 1.0)
        far = np.hypot(x[:-1] + part * dx - u, y[:-1] + part * dy - v)
        k = int(np.argmin(far))
        along[i], off[i] = cumulative[k] + part[k] * (cumulative[k + 1] - cumulative[k]), far[k]
    return along, off


def _degrees(rnd: Round, x: Array, y: Array) -> tuple[Array, Array]:
    """Turn plane metres into degrees: simple steps on the plane's own arithmetic, within a millimetre."""
    plane = rnd.plane
    lat, lon = np.full(len(x), plane.lat), np.full(len(x), plane.lon)
    lat_m, lon_m = 111_200.0, 111_300.0 * np.cos(np.radians(plane.lat))
    for _ in range(6):
        at_x, at_y = plane.xy(lat, lon)
        lat, lon = lat + (y - at_y) / lat_m, lon + (x - at_x) / lon_m
    return lat, lon
