"""How a carrier lives through a sheet: along the planned line, to the doors, with breaks and detours. Pure."""

import heapq
import math
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

from fieldsvc.simulate.gps import Fix, Sky, cold, sky_over
from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.people import DOG, WALKING_MPS, Person, dwell_s, home_of, order_of_work, own_rng, person
from fieldsvc.simulate.way import Place, Sheet, Way, between, distance_m, offset_m, shifted

MOVING_EVERY_S, STILL_EVERY_S, STILL_M = 30.0, 300.0, 5.0
LOADING_S, UNLOADING_S = (480.0, 900.0), (240.0, 540.0)
COMMUTE_S = 1500.0
FROM_THE_VAN_M = 6.0
FENCE = 0.5
ACROSS_M = 80.0
FORGOT, DETOURS = 0.006, 2


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
    """A whole shift: the true track as (at, lat, lon) in order of time, from home and back; visits, breaks as (from, until)."""

    start_at: float
    leave_site_at: float
    back_at: float
    end_at: float
    track: Sequence[tuple[float, float, float]]
    visits: Sequence[Visit]
    breaks: Sequence[tuple[float, float]]
    length_m: float
    sky: Sky

    def position(self, at: float) -> Place:
        """Return the true (lat, lon) at a moment; before the first and after the last one, where the carrier stands."""
        after = bisect_right(self.track, at, key=lambda point: point[0])
        if after in (0, len(self.track)):
            return self.track[min(after, len(self.track) - 1)][1:]
        (t0, *a), (t1, *b) = self.track[after - 1], self.track[after]
        return between((a[0], a[1]), (b[0], b[1]), (at - t0) / (t1 - t0) if t1 > t0 else 0.0)

    def motion(self, at: float) -> tuple[float, float]:
        """Return speed in m/s and heading in degrees, over the last four seconds."""
        north_m, east_m = offset_m(self.position(at - 4), self.position(at))
        return math.hypot(north_m, east_m) / 4, math.degrees(math.atan2(east_m, north_m)) % 360

    def fix(self, at: float) -> Fix:
        """Take the phone's fix of a moment."""
        return self.sky.fix(at, self.position(at))

    def is_paused(self, at: float) -> bool:
        """Say whether a moment lies in a break."""
        return any(start <= at <= until for start, until in self.breaks)


@dataclass(slots=True)
class Feet:
    """Where the carrier is while the shift is lived: a moment, a place, and how far along the line."""

    way: Way
    who: Person
    at: float
    place: Place
    started_at: float
    along_m: float = 0.0
    track: list[tuple[float, float, float]] = field(default_factory=list)

    def stand(self, seconds: float) -> None:
        """Stay where one is."""
        self.at += seconds
        self.track.append((self.at, *self.place))

    def go(self, place: Place, speed_mps: float) -> None:
        """Go straight to a place."""
        self.at += distance_m(self.place, place) / speed_mps
        self.place = place
        self.track.append((self.at, *place))

    def speed_to(self, metres: float) -> float:
        """Return the speed of the hop to a place on the line."""
        hours = (self.at - self.started_at) / 3600
        return self.who.speed_mps(max(abs(metres - self.along_m), 1.0), along_m=self.along_m, hours=hours)

    def follow(self, metres: float) -> None:
        """Go along the planned line; where that is far round, straight, by a passage."""
        speed, goal = self.speed_to(metres), self.way.at(metres)
        if abs(metres - self.along_m) > 3 * distance_m(self.place, goal) + 60:
            self.go(goal, speed)
        else:
            for _, corner in self.way.from_to(self.along_m, metres):
                self.go(corner, speed)
        self.along_m = metres

    def reach(self, door: Place, metres: float) -> None:
        """Go to a door: along the line, then up to it; on foot and by bike from door to door where they are near."""
        hop_m = abs(metres - self.along_m)
        if self.who.mode != "van" and hop_m < ACROSS_M and hop_m <= 1.3 * distance_m(self.place, door) + 25:
            self.go(door, self.speed_to(metres))
            self.along_m = metres
            return
        self.follow(metres)
        if self.who.mode != "van" or distance_m(self.place, door) > FROM_THE_VAN_M:
            self.go(door, WALKING_MPS)

    def leave(self) -> None:
        """Go back to the van, if there is one."""
        if self.who.mode == "van":
            self.go(self.way.at(self.along_m), WALKING_MPS)


def walk(sheet: Sheet, *, seed: int, mode: str, start_at: float) -> Walk:
    """Live through the stops of a sheet, from home to the site, along the line, and back; `start_at` in unix seconds.

    What happens at a stop depends on the seed, the run and the stop alone, so another version of the sheet changes only
    what it says. ValueError when the sheet has no stop.
    """
    if not sheet["stops"]:
        raise ValueError("the sheet has no stop")
    rng = seeded("walk", seed, sheet["run_id"])
    way = Way(sheet)
    feet = Feet(way, person(mode, rng), start_at, way.at(0.0), start_at)
    home = home_of(feet.place, rng)
    feet.track += [(start_at - COMMUTE_S, *home), (start_at - 60, *feet.place), (start_at, *feet.place)]
    feet.stand(rng.uniform(*LOADING_S))
    leave_site_at = feet.at
    order = order_of_work(sheet, seed=seed, rng=rng)
    visits, breaks = served(sheet, order, feet, seed=seed, rng=rng)
    feet.go(way.at(0.0), feet.who.return_mps())
    back_at = feet.at
    feet.stand(rng.uniform(*UNLOADING_S))
    end_at = feet.at
    feet.track += [(end_at + 60, *feet.place), (end_at + COMMUTE_S, *home)]
    sky = sky_over(start_at - COMMUTE_S, end_at + COMMUTE_S, rng)
    return Walk(start_at, leave_site_at, back_at, end_at, feet.track, visits, breaks, way.length_m, sky)


def served(
    sheet: Sheet, order: Sequence[int], feet: Feet, *, seed: int, rng: Random
) -> tuple[list[Visit], list[tuple[float, float]]]:
    """Serve the stops in the order of the day; return the visits and the breaks."""
    visits: list[Visit] = []
    breaks: list[tuple[float, float]] = []
    many = len(order)
    pauses = {round(many * rng.uniform(0.4, 0.6)), *([round(many * 0.8)] if rng.random() < 0.3 else [])}
    detours = {rng.randrange(many) for _ in range(DETOURS)}
    for number, index in enumerate(order):
        stop = sheet["stops"][index]
        own = own_rng(seed, sheet, stop)
        metres, door = where_served(stop, feet.way, feet.way.stops_m[index])
        feet.reach(door, metres)
        if own.random() > 1 - DOG and not stop["tasks"]:
            feet.stand(own.uniform(15, 60))
        else:
            arrive_at = feet.at
            feet.stand(dwell_s(stop, feet.who.mode, own))
            visits.append(Visit(stop, arrive_at, feet.at))
        feet.leave()
        if own.random() < FORGOT:
            go_back(feet, own)
        if number in detours:
            detour(feet, own)
        if number in pauses:
            begun = feet.at
            feet.stand(own.uniform(610, 1510))
            breaks.append((begun + 5, feet.at - 5))
    return visits, breaks


def where_served(stop: Mapping[str, Any], way: Way, stop_m: float) -> tuple[float, Place]:
    """Return where a stop is served, as metres along the line and place: its door for a task, else its letterbox.

    Where the plan names no letterbox it hangs at the fence, between the street and the door.
    """
    door = (stop["lat"], stop["lon"])
    if stop["tasks"]:
        return stop_m, door
    if stop.get("box_at"):
        lon, lat = stop["box_at"]
        return way.beside((lat, lon), stop_m), (lat, lon)
    return stop_m, between(way.at(stop_m), door, FENCE)


def go_back(feet: Feet, rng: Random) -> None:
    """Go back some fifty metres for something forgotten, and come again."""
    here = feet.along_m
    feet.follow(max(0.0, here - rng.uniform(30, 70)))
    feet.stand(rng.uniform(5, 25))
    feet.follow(here)


def detour(feet: Feet, rng: Random) -> None:
    """Leave the round for a moment, and come back to the same place."""
    place = feet.place
    north_m, east_m = (rng.choice((-1, 1)) * rng.uniform(45, 200) for _ in range(2))
    feet.go(shifted(place, north_m=north_m, east_m=east_m), WALKING_MPS * feet.who.pace)
    feet.stand(rng.uniform(20, 180))
    feet.go(place, WALKING_MPS * feet.who.pace)


def fixes(shift: Walk, *, seed: int, off_duty: bool = False, in_breaks: bool = False) -> Iterator[Fix]:
    """Yield the phone's fixes in order of time: one per 30 s moving, 5 min still; the first is a cold one.

    `off_duty` also before the start and after the end, `in_breaks` also in a break: as apps do that know nothing of duty.
    """
    rng = seeded("gps", seed, shift.start_at)
    at, end_at = shift.start_at, shift.end_at
    if off_duty:
        at, end_at = at - COMMUTE_S, end_at + COMMUTE_S
    last, last_at, number = (0.0, 0.0), -math.inf, 0
    while at <= end_at:
        place = shift.position(at)
        due = distance_m(place, last) > STILL_M or at - last_at >= STILL_EVERY_S
        if due and (in_breaks or not shift.is_paused(at)):
            found = taken(shift, at, rng)
            yield found if number else cold(found, rng)
            last, last_at, number = place, at, number + 1
        at += MOVING_EVERY_S


def taken(shift: Walk, at: float, rng: Random) -> Fix:
    """Take a fix with speed and heading; a phone that hardly moves knows no heading."""
    speed_mps, heading_deg = shift.motion(at)
    found = shift.fix(at)
    speed_mps = max(0.0, speed_mps + rng.gauss(0, 0.15))
    heading = round((heading_deg + rng.gauss(0, 8)) % 360, 1) if speed_mps > 0.5 else None
    return Fix(at, found.lat, found.lon, found.accuracy_m, round(speed_mps, 2), heading)


def merge(*streams: Iterator[Fix] | Iterator[FieldEvent]) -> Iterator[Fix | FieldEvent]:
    """Merge sorted streams into one sorted timeline."""
    return heapq.merge(*streams, key=lambda moment: moment.at)
