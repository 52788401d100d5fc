"""Carriers are people: how fast each one goes, how long a door takes, what is put off, and what comes in between. Pure."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from fieldsvc.simulate.ids import seeded
from fieldsvc.simulate.way import Place, Sheet, shifted

WALKING_MPS = 1.25
TASK_DWELL_S = {"item": (30, 90), "medication": (90, 240), "home_visit": (600, 1500), "address_change": (15, 60)}
PLAIN_S = 9.0
SKIPPED, DOG, POSTPONED = 0.015, 0.008, 0.015
CHAT, CHAT_S = 0.035, (25.0, 150.0)
STAIRS, STAIRS_S = 0.35, (15.0, 60.0)
STREETS_SWAPPED = 0.4
HILL_M = 900.0

Stop = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Person:
    """One carrier on one day: a pace of one's own, hills, legs that tire, and a home beside the round."""

    mode: str
    pace: float
    hill: float
    tires: float

    def speed_mps(self, hop_m: float, *, along_m: float, hours: float) -> float:
        """Return the speed over a hop: a van or a bike that stops at each box crawls, and drives on a long one."""
        usual = {"bike": 3.9 * hop_m / (hop_m + 14), "van": 13.0 * hop_m / (hop_m + 75)}.get(self.mode, WALKING_MPS)
        slope = 1.0 if self.mode == "van" else 1 + self.hill * math.sin(along_m / HILL_M)
        return max(0.6, usual * self.pace * slope * (1 - self.tires * hours))

    def return_mps(self) -> float:
        """Return the speed of the way back to the site."""
        return {"bike": 4.2, "van": 9.0}.get(self.mode, 1.45) * self.pace


def person(mode: str, rng: Random) -> Person:
    """Make a carrier."""
    return Person(mode, rng.uniform(0.88, 1.12), rng.uniform(0.04, 0.16), rng.uniform(0.0, 0.02))


def home_of(site: Place, rng: Random) -> Place:
    """Return where a carrier comes from in the morning: some kilometres from the site."""
    turn, away_m = rng.uniform(0, math.tau), rng.uniform(800, 3000)
    return shifted(site, north_m=away_m * math.cos(turn), east_m=away_m * math.sin(turn))


def own_rng(seed: int, sheet: Sheet, stop: Stop) -> Random:
    """Return the chance of one stop: it depends on the seed, the run and the stop alone."""
    return seeded("stop", seed, sheet["run_id"], stop["stop_id"])


def order_of_work(sheet: Sheet, *, seed: int, rng: Random) -> list[int]:
    """Return the indices of the stops in the order in which they are served.

    Planned order, but some plain stops are left out, some are put off and come a few stops later, and on some days two
    neighbouring streets are walked the other way round.
    """
    order = swapped_streets(sheet["stops"], rng)
    late: list[tuple[int, int]] = []
    found = []
    for position, index in enumerate(order):
        stop = sheet["stops"][index]
        draw = 1.0 if stop["tasks"] else own_rng(seed, sheet, stop).random()
        if SKIPPED <= draw < SKIPPED + POSTPONED:
            late.append((position + 3 + int(9 * (draw - SKIPPED) / POSTPONED), index))
        elif draw >= SKIPPED:
            found.append(index)
        found += [each for due, each in late if due <= position]
        late = [(due, each) for due, each in late if due > position]
    return found + [each for _, each in late]


def swapped_streets(stops: Sequence[Stop], rng: Random) -> list[int]:
    """Return the planned order, on some days with two neighbouring streets exchanged."""
    streets = list(streets_of(stops))
    if len(streets) > 4 and rng.random() < STREETS_SWAPPED:
        first = rng.randrange(1, len(streets) - 2)
        streets[first], streets[first + 1] = streets[first + 1], streets[first]
    return [index for street in streets for index in street]


def streets_of(stops: Sequence[Stop]) -> Iterator[list[int]]:
    """Cut the stops into streets, by the words of their addresses; 25 stops at most."""
    street: list[int] = []
    name = None
    for index, stop in enumerate(stops):
        own = str(stop.get("address") or "").partition(",")[0].lstrip("0123456789 ").removeprefix("bis ")
        if street and (own != name or len(street) >= 25):
            yield street
            street = []
        street.append(index)
        name = own
    if street:
        yield street


def dwell_s(stop: Stop, mode: str, rng: Random) -> float:
    """Return how long a stop takes: mostly some seconds, at most 40; longer for a chat, and for its tasks and their stairs."""
    plain = min(40.0, 1 + rng.expovariate(1 / PLAIN_S))
    if rng.random() < CHAT and not stop["tasks"]:
        plain += rng.uniform(*CHAT_S)
    stairs = rng.uniform(*STAIRS_S) if stop["tasks"] and mode != "van" and rng.random() < STAIRS else 0.0
    return plain + stairs + sum(rng.uniform(*TASK_DWELL_S.get(task["service"], (20, 60))) for task in stop["tasks"])
