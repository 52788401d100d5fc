"""How a carrier walks a sheet: pace, dwell, skips, breaks, detours, and what the phone's GPS makes of it. Pure."""

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from fieldsvc.simulate.ids import seeded

METRES_PER_DEGREE = 111_195.0
PACE_MPS = {"foot": 1.3, "bike": 3.4, "van": 6.5}
GPS_SIGMA_M = 8.0
MOVING_EVERY_S, STILL_EVERY_S = 30.0, 300.0
LOADING_S = (480.0, 900.0)
TASK_DWELL_S = {"item": (30, 90), "medication": (90, 240), "home_visit": (600, 1500), "address_change": (15, 60)}

Sheet = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Fix:
    """What the GPS says: `at` in unix seconds, degrees WGS 84."""

    at: float
    lat: float
    lon: float
    accuracy_m: float


@dataclass(frozen=True, slots=True)
class Visit:
    """One stop as it was served, `arrive_at` and `leave_at` in unix seconds."""

    stop: Mapping[str, Any]
    arrive_at: float
    leave_at: float


@dataclass(frozen=True, slots=True)
class FieldEvent:
    """What the carrier does on the phone at `at`; `type` without prefix and suffix."""

    at: float
    type: str
    subject: str
    data: Mapping[str, Any]
    fix: Fix | None = None
    stop_id: str | None = None


@dataclass(frozen=True)
class Walk:
    """A whole shift: the true track as (at, lat, lon) in order of time, the visits, and the breaks as (from, until)."""

    start_at: float
    leave_site_at: float
    end_at: float
    track: Sequence[tuple[float, float, float]]
    visits: Sequence[Visit]
    breaks: Sequence[tuple[float, float]]

    def position(self, at: float) -> tuple[float, float]:
        """Return the true (lat, lon) at a moment; before the start and after the end, where the carrier stands."""
        after = bisect_right(self.track, at, key=lambda point: point[0])
        if after in (0, len(self.track)):
            return self.track[min(after, len(self.track) - 1)][1:]
        (t0, lat0, lon0), (t1, lat1, lon1) = self.track[after - 1], self.track[after]
        share = (at - t0) / (t1 - t0) if t1 > t0 else 0.0
        return lat0 + (lat1 - lat0) * share, lon0 + (lon1 - lon0) * share

    def fix(self, at: float, rng: Random) -> Fix:
        """Take one noisy fix at a moment."""
        return noisy(at, self.position(at), rng)


def noisy(at: float, place: tuple[float, float], rng: Random) -> Fix:
    """Add GPS noise of `GPS_SIGMA_M` on each axis."""
    lat, lon = shifted(place, north_m=rng.gauss(0, GPS_SIGMA_M), east_m=rng.gauss(0, GPS_SIGMA_M))
    return Fix(at, round(lat, 6), round(lon, 6), round(rng.uniform(5, 14), 1))


def shifted(place: tuple[float, float], *, north_m: float, east_m: float) -> tuple[float, float]:
    """Move (lat, lon) by metres."""
    lat, lon = place
    return lat + north_m / METRES_PER_DEGREE, lon + east_m / (METRES_PER_DEGREE * math.cos(math.radians(lat)))


def distance_m(a: tuple[float, float], b: tuple[float, float]) -> float:
    """Measure between two (lat, lon) that are near each other."""
    east = (b[1] - a[1]) * math.cos(math.radians(a[0]))
    return math.hypot(b[0] - a[0], east) * METRES_PER_DEGREE


def walk(sheet: Sheet, *, seed: int, mode: str, start_at: float) -> Walk:
    """Walk the sheet's stops in order from the first point of its line; `start_at` in unix seconds.

    What happens at a stop depends on the seed, the run and the stop alone, so another version of the sheet changes only
    what it says. ValueError when the sheet has no stop.
    """
    stops = sheet["stops"]
    if not stops:
        raise ValueError("the sheet has no stop")
    rng = seeded("walk", seed, sheet["run_id"])
    pace = PACE_MPS.get(mode, PACE_MPS["foot"]) * rng.uniform(0.9, 1.1)
    at = start_at + rng.uniform(*LOADING_S)
    leave_site_at = at
    place = (sheet["line"][0][1], sheet["line"][0][0]) if sheet.get("line") else (stops[0]["lat"], stops[0]["lon"])
    track = [(start_at, *place), (at, *place)]
    visits: list[Visit] = []
    breaks: list[tuple[float, float]] = []
    pause_after = {
        round(len(stops) * rng.uniform(0.4, 0.6)),
        *([round(len(stops) * 0.8)] if rng.random() < 0.3 else []),
    }
    for number, stop in enumerate(stops):
        own = seeded("stop", seed, sheet["run_id"], stop["stop_id"])
        if not stop["tasks"] and own.random() < 0.03:
            continue
        for leg_end in legs(place, (stop["lat"], stop["lon"]), own):
            at += distance_m(place, leg_end) / pace
            place = leg_end
            track.append((at, *place))
        leave_at = at + dwell_s(stop, own)
        visits.append(Visit(stop, at, leave_at))
        at = leave_at
        track.append((at, *place))
        if number in pause_after:
            until = at + own.uniform(600, 1500)
            breaks.append((at + 5, until))
            at = until + 5
            track.append((at, *place))
    return Walk(start_at, leave_site_at, at + rng.uniform(300, 900), track, visits, breaks)


def legs(place: tuple[float, float], goal: tuple[float, float], rng: Random) -> Iterator[tuple[float, float]]:
    """Yield the points to walk to: the goal, and now and then a detour of 30 to 120 m first."""
    if rng.random() < 0.01:
        yield shifted(place, north_m=rng.choice((-1, 1)) * rng.uniform(30, 120), east_m=rng.uniform(-40, 40))
    yield goal


def dwell_s(stop: Mapping[str, Any], rng: Random) -> float:
    """Return how long a stop takes: mostly a few seconds, at most 40, and longer for its tasks."""
    plain = min(40.0, 1 + rng.expovariate(1 / 6))
    return plain + sum(rng.uniform(*TASK_DWELL_S.get(task["service"], (20, 60))) for task in stop["tasks"])


def fixes(shift: Walk, *, seed: int) -> Iterator[Fix]:
    """Yield the phone's fixes in order of time: one per 30 s moving, 5 min still, none in a break."""
    rng = seeded("gps", seed, shift.start_at)
    at, last, last_at = shift.start_at, (0.0, 0.0), -math.inf
    while at <= shift.end_at:
        if not any(start <= at <= until for start, until in shift.breaks):
            place = shift.position(at)
            if place != last or at - last_at >= STILL_EVERY_S:
                yield noisy(at, place, rng)
                last, last_at = place, at
        at += MOVING_EVERY_S


def merge(*streams: Iterator[Fix] | Iterator[FieldEvent]) -> Iterator[Fix | FieldEvent]:
    """Merge sorted streams into one sorted timeline."""
    return heapq.merge(*streams, key=lambda moment: moment.at)


def dead_zones(*, seed: int, device: str, start_at: float, span_s: float) -> list[tuple[float, float]]:
    """Return the stretches without network as (from, until), in order, within the span: minutes mostly, now and then hours."""
    rng = seeded("dead zone", seed, device)
    starts = sorted(rng.uniform(0, span_s) for _ in range(rng.choice((0, 1, 2, 3))))
    zones = [
        (start_at + s, start_at + s + (rng.uniform(3600, 7200) if rng.random() < 0.1 else rng.uniform(120, 1500)))
        for s in starts
    ]
    merged: list[tuple[float, float]] = []
    for begin, until in zones:
        end = min(until, start_at + span_s)
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
