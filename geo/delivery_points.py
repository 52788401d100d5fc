"""What a delivery point is remembered by: where its letterbox and its door really are, as good proofs say.

A proof is the place of a phone at the moment of a scan or a service at the point, as whole metres east and north of the
planned place, with its day and nothing finer, and no word of who it was. At most 32 are kept, two a day, the newest ones;
which of a busy day stay is told by a checksum of the proof, so that the order in which they arrive changes nothing.

The learned place is the geometric median of the proofs (Weiszfeld, Tohoku Math. J. 43, 1937), sharpened by Tukey's biweight
(Beaton and Tukey, Technometrics 16, 1974): half of the proofs may lie elsewhere. It counts from four proofs of two days on.
A place moved when the newest proofs of three days or more agree with each other and not with all before them.
"""

import struct
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from itertools import groupby
from math import hypot, isfinite, sqrt
from statistics import median

from geo.errors import GeoError
from geo.positions import Plane, is_plausible

MOST, MOST_A_DAY = 32, 2
SHARP_M, REACH_M, REPLANNED_M = 20.0, 150.0, 30.0
FEWEST, FEWEST_DAYS, MOST_RADIUS_M, AGREEING = 4, 2, 15.0, 0.6
MOVED_DAYS, MOVED_M = 3, 12.0
QUIET_DAYS, QUIET_GAPS, SERVED_DAYS = 30, 6.0, 3
_HALF_LIFE_DAYS = 180.0
_STEPS, _STILL_M = 30, 0.05
_LEAST_SIGMA_M, _CUT_SIGMAS = 2.0, 4.7
_MEDIAN_OF_TWO, _NINETY = 1.1774, 2.1460  # of a two-dimensional normal distribution, in sigmas
_SMALL_SAMPLE, _MOVED_SIGMAS = 1.6, 5.0
_EPOCH, _VERSION = date(2020, 1, 1), 1
_HEAD, _PROOF, _DEGREE = struct.Struct(">BiiHhhhhHBBB"), struct.Struct(">HhhB"), 1e6
_LARGEST = 3_276.7


class BadMemory(GeoError):
    """These bytes are not the memory of a delivery point of this version."""


@dataclass(frozen=True, slots=True, order=True)
class Proof:
    """A good fix at a delivery point: the day, metres east and north of the planned place, and the phone's accuracy."""

    day: date
    east_m: int
    north_m: int
    accuracy_m: int

    def mark(self) -> int:
        """Give a number that tells proofs of a day apart, and favours none of them."""
        return zlib.crc32(_PROOF.pack(_day_no(self.day), self.east_m, self.north_m, self.accuracy_m))


@dataclass(frozen=True, slots=True)
class Learned:
    """A place in metres east and north of the planned one; nine times in ten the true one is within `radius_m`.

    `proofs` counts those that agree, on `days` days; `agreeing` is their share of all.
    """

    east_m: float
    north_m: float
    radius_m: float
    proofs: int
    days: int
    agreeing: float = 1.0

    @property
    def is_sure(self) -> bool:
        """Whether it may be used instead of the plan."""
        enough = self.proofs >= FEWEST and self.days >= FEWEST_DAYS and self.agreeing >= AGREEING
        return enough and self.radius_m <= MOST_RADIUS_M


@dataclass(frozen=True, slots=True)
class PointMemory:
    """What is remembered of one letterbox or door; `planned` is `(lat, lon)`, where its metres are counted from."""

    planned: tuple[float, float]
    proofs: tuple[Proof, ...] = ()
    learned: Learned | None = None
    moved_on: date | None = None
    moved_from: tuple[int, int] | None = None

    def place(self) -> tuple[float, float] | None:
        """Give `(lat, lon)` of the learned place, where it is sure."""
        known = self.learned
        return Plane(*self.planned).latlon(known.east_m, known.north_m) if known is not None and known.is_sure else None

    def to_bytes(self) -> bytes:
        """Write it in at most 248 bytes."""
        known, lat_lon = self.learned, [round(each * _DEGREE) for each in self.planned]
        place = (known.east_m, known.north_m, known.radius_m) if known is not None else (0.0, 0.0, 0.0)
        counts = (known.proofs, known.days) if known is not None else (0, 0)
        moved = (_day_no(self.moved_on) if self.moved_on is not None else 0, *(self.moved_from or (0, 0)))
        head = _HEAD.pack(_VERSION, *lat_lon, *moved, *(round(each * 10) for each in place), *counts, len(self.proofs))
        body = (_PROOF.pack(_day_no(each.day), each.east_m, each.north_m, each.accuracy_m) for each in self.proofs)
        return head + b"".join(body)

    @classmethod
    def from_bytes(cls, data: bytes) -> "PointMemory":
        """Read it again; raise BadMemory."""
        try:
            version, lat, lon, moved_no, *rest = _HEAD.unpack_from(data)
            count = rest.pop()
            if version != _VERSION or len(data) != _HEAD.size + count * _PROOF.size:
                raise BadMemory
            rows = _PROOF.iter_unpack(data[_HEAD.size :])
            proofs = tuple(Proof(_EPOCH + timedelta(days=day), *offset) for day, *offset in rows)
        except struct.error:
            raise BadMemory from None
        from_east, from_north, east, north, radius, agree, days = rest
        learned = Learned(east / 10, north / 10, radius / 10, agree, days, agree / count) if agree and count else None
        moved_on = _EPOCH + timedelta(days=moved_no) if moved_no else None
        moved_from = (from_east, from_north) if moved_no else None
        return cls((lat / _DEGREE, lon / _DEGREE), proofs, learned, moved_on, moved_from)


def remember_at(lat: float, lon: float) -> PointMemory:
    """Begin to remember a point that is planned there; the place is rounded to a millionth of a degree."""
    return PointMemory((round(lat * _DEGREE) / _DEGREE, round(lon * _DEGREE) / _DEGREE))


def proof_of(
    planned: tuple[float, float], lat: float, lon: float, *, accuracy_m: float | None, day: date
) -> Proof | None:
    """Make a proof of a fix; None for one that is not sharp (20 m), cannot be, or is 150 m or more from the plan."""
    if accuracy_m is None or not 0 < accuracy_m <= SHARP_M or not is_plausible(lat, lon) or day <= _EPOCH:
        return None
    if abs(lat - planned[0]) > 0.01 or abs(lon - planned[1]) > 0.1:
        return None
    east, north = Plane(*planned).xy(lat, lon)
    if not isfinite(east + north) or hypot(east, north) >= REACH_M:
        return None
    return Proof(day, round(east), round(north), max(round(accuracy_m), 1))


def planned_at(memory: PointMemory, lat: float, lon: float) -> PointMemory:
    """Count the metres from another planned place, where it is 30 m or more from the one before; proofs far from it go."""
    known = remember_at(lat, lon)
    if abs(lat - memory.planned[0]) > 0.01 or abs(lon - memory.planned[1]) > 0.1:
        return known
    east, north = (round(each) for each in Plane(*known.planned).xy(*memory.planned))
    if hypot(east, north) < REPLANNED_M:
        return memory
    moved = (replace(each, east_m=each.east_m + east, north_m=each.north_m + north) for each in memory.proofs)
    return learn(known, (each for each in moved if hypot(each.east_m, each.north_m) < REACH_M))


def learn(memory: PointMemory, proofs: Iterable[Proof]) -> PointMemory:
    """Take further proofs, in any order, and estimate anew; what is from before a move is not taken."""
    since = memory.moved_on or date.min
    every = [*memory.proofs, *(proof for proof in proofs if proof.day >= since)]
    kept = _kept(every)
    if kept == memory.proofs:
        return memory
    moved = _moved(kept, memory.learned)
    if moved is None:
        return replace(memory, proofs=kept, learned=estimate(kept))
    before, after = moved
    was = estimate(before)
    gone = (round(was.east_m), round(was.north_m)) if was is not None else (0, 0)
    return replace(memory, proofs=after, learned=estimate(after), moved_on=after[0].day, moved_from=gone)


def has_moved(memory: PointMemory, planned: tuple[float, float]) -> bool:
    """Tell whether the place moved and the plan, as it is now, does not say so yet."""
    place = memory.place()
    if memory.moved_on is None or place is None or memory.learned is None:
        return False
    return hypot(*Plane(*planned).xy(*place)) > max(MOVED_M, memory.learned.radius_m)


def estimate(proofs: Sequence[Proof]) -> Learned | None:
    """Estimate the place that proofs are of; None without any."""
    if not proofs:
        return None
    weights = _weights(proofs)
    places = [_place(proof) for proof in proofs]
    east, north = _geometric_median(places, weights)
    sigma = _sigma(places, (east, north))
    for _ in range(_STEPS):
        cut = _CUT_SIGMAS * sigma
        firm = [
            w * max(1 - (_apart(p, (east, north)) / cut) ** 2, 0.0) ** 2 for w, p in zip(weights, places, strict=True)
        ]
        moved = _mean(places, firm) if any(firm) else (east, north)
        step, (east, north) = _apart(moved, (east, north)), moved
        if step < _STILL_M:
            break
    agree = [proof for proof, p in zip(proofs, places, strict=True) if _apart(p, (east, north)) <= cut / 2 + 1]
    days = len({proof.day for proof in agree})
    spread = _NINETY * sigma / sqrt(max(min(days * sqrt(2), len(agree)), 1))
    radius = spread * (1 + _SMALL_SAMPLE / max(len(agree), 1)) + 1
    return Learned(east, north, min(radius, _LARGEST), len(agree), days, len(agree) / len(proofs))


def is_unserved(served: Sequence[date], *, neighbours: Sequence[date], on: date) -> bool:
    """Tell whether nobody serves a point any more though its neighbours are served.

    `served` are the days on which it was, as far as they are known. It is missed when it was quiet for 30 days and for six
    times its usual gap, while two or more neighbours on the round were served in the last half of that time; a point of
    which less than three days are known is never missed.
    """
    if len(served) < SERVED_DAYS:
        return False
    first, last = min(served), max(served)
    quiet = max(QUIET_DAYS, QUIET_GAPS * (last - first).days / (len(served) - 1))
    lately = on - timedelta(days=round(quiet / 2))
    return (on - last).days > quiet and sum(each >= lately for each in neighbours) >= 2


def _kept(proofs: Iterable[Proof]) -> tuple[Proof, ...]:
    """Keep two proofs a day and 32 in all, the newest, oldest first; which of a day is told by their marks."""
    newest = sorted(proofs, key=lambda each: (each.day, each.mark(), each), reverse=True)
    found = [each for _, group in groupby(newest, key=lambda each: each.day) for each in list(group)[:MOST_A_DAY]]
    return tuple(reversed(found[:MOST]))


def _moved(proofs: Sequence[Proof], known: Learned | None) -> tuple[tuple[Proof, ...], tuple[Proof, ...]] | None:
    """Cut the proofs where the place moved: those before and those after; None where it did not.

    Looked for only when the newest days are away from what was known. The cut that leaves the least distance of the proofs
    from their two places is judged: both sides must agree within themselves and be farther apart than chance.
    """
    days = sorted({proof.day for proof in proofs})
    if len(days) < MOVED_DAYS + FEWEST_DAYS:
        return None
    newest = [each for each in proofs if each.day >= days[-MOVED_DAYS]]
    if known is not None and _apart(_middle(newest), (known.east_m, known.north_m)) < MOVED_M / 2:
        return None
    best: tuple[float, tuple[Proof, ...], tuple[Proof, ...]] | None = None
    for day in days[FEWEST_DAYS : len(days) - MOVED_DAYS + 1]:
        before = tuple(each for each in proofs if each.day < day)
        after = tuple(each for each in proofs if each.day >= day)
        if min(len(before), len(after)) <= FEWEST:
            continue
        off = _total_off(before) + _total_off(after)
        if best is None or off < best[0]:
            best = off, before, after
    if best is None or not _are_apart(best[1], best[2]):
        return None
    was, now = _middle(best[1]), _middle(best[2])
    nearer = (each.day for each in best[2] if _apart(_place(each), now) < _apart(_place(each), was))
    since = next(nearer, best[2][0].day)
    return best[1], tuple(each for each in best[2] if each.day >= since)


def _are_apart(before: Sequence[Proof], after: Sequence[Proof]) -> bool:
    was, now = estimate(before), estimate(after)
    if was is None or now is None or min(was.agreeing, now.agreeing) < AGREEING or now.days < MOVED_DAYS:
        return False
    places = [[_place(each) for each in part] for part in (before, after)]
    centres = (was.east_m, was.north_m), (now.east_m, now.north_m)
    sigma = max(_sigma(part, centre) for part, centre in zip(places, centres, strict=True))
    chance = _MOVED_SIGMAS * sigma * sqrt(1 / was.days + 1 / now.days)
    astray = sum(_apart(each, centres[0]) < _apart(each, centres[1]) for each in places[1])
    return _apart(*centres) > max(MOVED_M, chance) and astray <= len(after) / 4


def _total_off(proofs: Sequence[Proof]) -> float:
    middle = _middle(proofs)
    return sum(_apart(_place(each), middle) for each in proofs)


def _middle(proofs: Sequence[Proof]) -> tuple[float, float]:
    return median(each.east_m for each in proofs), median(each.north_m for each in proofs)


def _place(proof: Proof) -> tuple[float, float]:
    return float(proof.east_m), float(proof.north_m)


def _weights(proofs: Sequence[Proof]) -> list[float]:
    """Weigh by accuracy, by age against the newest, and proofs of one day together little more than one."""
    newest, of_day = max(proof.day for proof in proofs), Counter(proof.day for proof in proofs)
    return [
        0.5 ** ((newest - proof.day).days / _HALF_LIFE_DAYS) / max(proof.accuracy_m, 4) / sqrt(of_day[proof.day])
        for proof in proofs
    ]


def _geometric_median(places: Sequence[tuple[float, float]], weights: Sequence[float]) -> tuple[float, float]:
    here = _mean(places, weights)
    for _ in range(_STEPS):
        pull = [w / max(_apart(p, here), 0.5) for w, p in zip(weights, places, strict=True)]
        moved = _mean(places, pull)
        step, here = _apart(moved, here), moved
        if step < _STILL_M:
            break
    return here


def _sigma(places: Sequence[tuple[float, float]], centre: tuple[float, float]) -> float:
    """Estimate the spread an axis from the median distance, which outliers do not move."""
    return max(median(_apart(p, centre) for p in places) / _MEDIAN_OF_TWO, _LEAST_SIGMA_M)


def _mean(places: Sequence[tuple[float, float]], weights: Sequence[float]) -> tuple[float, float]:
    total = sum(weights)
    east = sum(w * p[0] for w, p in zip(weights, places, strict=True)) / total
    return east, sum(w * p[1] for w, p in zip(weights, places, strict=True)) / total


def _apart(a: tuple[float, float], b: tuple[float, float]) -> float:
    return hypot(a[0] - b[0], a[1] - b[1])


def _day_no(day: date) -> int:
    return (day - _EPOCH).days
