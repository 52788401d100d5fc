"""Where a carrier probably is along a round, and how that changes with each fix: the filter itself, on numpy arrays.

A *place* is one of the n places of a course. A *code* is a place with a direction: place p walked forwards is code p; walked
backwards it is `mirror + (n - 1 - p)`, so that codes grow along the way that is walked in both, and no step leads from one to the other.
"""

from dataclasses import dataclass, field
from math import log
from typing import NamedTuple

import numpy as np

from geo.course import Course, Ints
from geo.motion import REACH, STILL, Model, Tables, chance, rung_of, tables
from geo.positions import Array

KEPT = 1e-7
PLACES_KEPT = 400
WINDOW_M = 50.0
SURE_TO_RETURN_TO = 0.5
OUT_OF_REACH = 1e-4
AWAY = 0.5
FIRST_WAY_M = 300.0
FIRST_NEAR, FIRST_REVERSED = 0.7, 0.06
_FOLLOWS = 1e-3
_HARDLY = 1e-12
_WEIGHED = 0.95
GOES_ON = 30
FIRST_OFF = 0.1
NO_CODES: Ints = np.zeros(0, dtype=np.int64)
NO_MASS: Array = np.zeros(0)


class Belief(NamedTuple):
    """Chances at one moment (unix seconds): of each code, and of being off the round; they add up to 1.

    `back_to` is the last code that was sure: where a carrier off the round is expected again; -1 = none yet. `rung` is the row of the
    motion tables that led here.
    """

    at: float
    codes: Ints
    mass: Array
    off: float
    back_to: int = -1
    rung: int = 0
    top: int = -1
    since: float = 0.0


class Sight(NamedTuple):
    """What a fix says of the places near it: `density` per m² of seeing it from each place, walked forwards and backwards."""

    places: Ints
    density: Array
    reversed_density: Array


class Link(NamedTuple):
    """How one belief led to the next: what smoothing needs."""

    steps: Array
    returns: Array
    likely: Array
    prior: Array
    prior_off: float
    jump: float
    leave: float
    come: float
    anywhere: float
    astray: float


class Spot(NamedTuple):
    """The 50 m of line that hold most of a belief: metres along, chance, whether walked backwards, and up to three others."""

    along_m: float
    confidence: float
    reversed: bool
    others: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class Filter:
    """The Bayes filter of one course; pure."""

    course: Course
    model: Model = field(default_factory=Model)

    @property
    def tables(self) -> Tables:
        """The motion tables for this course's step."""
        return tables(self.model, self.course.step_m)

    @property
    def mirror(self) -> int:
        """The first code of the round walked backwards."""
        return self.course.places + REACH + 1

    def places_of(self, codes: Ints) -> Ints:
        """Turn codes into places."""
        return np.where(codes < self.course.places, codes, self.course.places - 1 - (codes - self.mirror))

    def first(self, at: float, sight: Sight) -> tuple[Belief, float]:
        """Begin with a fix: near the start of the round, or anywhere on it; return the belief and the evidence in nats."""
        n, step = self.course.places, self.course.step_m
        codes, density = self._both_ways(sight)
        walked = np.where(codes < n, codes, codes - self.mirror) * step
        near = (1 - np.exp(-step / FIRST_WAY_M)) * np.exp(-walked / FIRST_WAY_M)
        prior = (1 - FIRST_OFF) * ((1 - FIRST_NEAR) / n + FIRST_NEAR * near)
        prior *= np.where(codes < n, 1 - FIRST_REVERSED, FIRST_REVERSED)
        belief, evidence, _ = self._belief(at, codes, prior * density, FIRST_OFF * self.model.off_density)
        return belief, evidence

    def step(
        self, before: Belief, at: float, sight: Sight, *, way_m: float, is_still: bool = False
    ) -> tuple[Belief, Link, float]:
        """Go on to the next fix; `way_m` is the usual way in that time. Returns the belief, its link and the evidence in nats."""
        rung = STILL if is_still else rung_of(way_m)
        codes, density = sight.places, sight.density
        link = self.link(before, at, codes, rung=rung)
        if self._may_be_reversed(before, link):
            codes, density = self._both_ways(sight)
            link = self.link(before, at, codes, rung=rung)
        belief, evidence, kept = self._belief(
            at, codes, link.prior * density, link.prior_off * self.model.off_density, before, rung=rung
        )
        if len(kept) != len(codes):
            link = link._replace(
                steps=link.steps[:, kept],
                returns=link.returns[kept],
                likely=link.likely[kept],
                prior=link.prior[kept],
            )
        return belief, link, evidence

    def link(self, before: Belief, at: float, codes: Ints, *, rung: int) -> Link:
        """Foresee the chances of codes at a later moment."""
        model, table = self.model, self.tables
        dt_s = at - before.at
        leave = chance(model.off_per_s, dt_s, most=0.3)
        come = chance(model.return_per_s, dt_s, most=0.6)
        jump = chance(model.jump_per_s * (model.still_share if rung == STILL else 1.0), dt_s, most=0.2)
        steps = np.take(table.step[rung], codes - before.codes[:, None] + REACH, mode="clip")
        anywhere = model.return_anywhere if before.back_to >= 0 else 1.0
        returns = np.take(table.back, codes - before.back_to + REACH, mode="clip")
        share = (jump * (1.0 - before.off) + before.off * come * anywhere) / self.course.places
        likely = self._likely(before, codes)
        flat = share * likely
        prior = (1 - leave - jump) * (before.mass @ steps) + flat
        astray = chance(model.astray_per_s, dt_s, most=0.2) if before.back_to >= 0 else 0.0
        prior += (before.off * come * (1 - anywhere) + (1.0 - before.off) * astray) * returns
        prior_off = (1.0 - before.off) * leave + before.off * (1 - come)
        return Link(steps, returns, likely, prior, prior_off, jump, leave, come, anywhere, astray)

    def smoothed(self, before: Belief, link: Link, after: tuple[Array, float]) -> tuple[Array, float]:
        """Take one step back: the chances before a link, knowing those after it."""
        mass, off = after
        ratio = mass / link.prior
        ratio_off = off / link.prior_off
        flat = float(ratio @ link.likely) / self.course.places
        returned = float(link.returns @ ratio)
        held = (
            (1 - link.leave - link.jump) * (link.steps @ ratio)
            + link.jump * flat
            + link.astray * returned
            + link.leave * ratio_off
        )
        back = (1 - link.anywhere) * returned + link.anywhere * flat
        found, gone = before.mass * held, before.off * (link.come * back + (1 - link.come) * ratio_off)
        total = float(found.sum()) + gone
        return found / total, gone / total

    def placed(self, at: float, sight: Sight) -> Belief:
        """Believe that the carrier is where a sight says, whatever was known."""
        codes, density = self._both_ways(sight)
        share = self.model.reversed_share
        mass = density * np.where(codes < self.course.places, 1 - share, share)
        mass = mass / mass.sum()
        top = int(codes[mass.argmax()])
        return Belief(at, codes, mass, 0.0, top, 0, top, at)

    def anchored(self, before: Belief | None, at: float, sight: Sight, *, way_m: float, trust: float) -> Belief:
        """Go on to a stop that was scanned or served: with that trust he is there, else somewhere as before."""
        if before is None:
            return self.placed(at, sight)
        codes, density = self._both_ways(sight)
        link = self.link(before, at, codes, rung=rung_of(way_m))
        mass = link.prior * density
        if not float(mass.sum()) > 0:  # nothing leads there: off the round at this very moment
            return self.placed(at, sight)
        return self._mixed(Belief(at, codes, mass / mass.sum(), 0.0), before, share=trust)

    def followed(self, now: Belief, anchor: Belief, *, way_m: float) -> Belief:
        """Weigh what is believed now by how it can have followed from an earlier place; start from there if it hardly can."""
        prior = self.link(anchor, now.at, now.codes, rung=rung_of(way_m)).prior
        weights = now.mass * prior
        if float(weights.sum()) * 2 * self.course.places > _FOLLOWS:
            return self._mixed(Belief(now.at, now.codes, weights / weights.sum(), 0.0), now, share=_WEIGHED)
        middle, reach = (
            int(self.places_of(anchor.codes[[int(anchor.mass.argmax())]])[0]),
            2 * int(way_m / self.course.step_m) + 20,
        )
        places = np.arange(max(middle - reach, 0), min(middle + reach + 1, self.course.places))
        codes, _ = self._both_ways(Sight(places, np.ones(len(places)), np.ones(len(places))))
        prior = np.maximum(self.link(anchor, now.at, codes, rung=rung_of(way_m)).prior, _HARDLY)
        kept = np.sort(np.argsort(-prior, kind="stable")[:PLACES_KEPT])
        return self._mixed(Belief(now.at, codes[kept], prior[kept] / prior[kept].sum(), 0.0), now, share=_WEIGHED)

    def metres_of(self, code: int) -> float:
        """Give the metres along the line of a code."""
        place = code if code < self.course.places else self.course.places - 1 - (code - self.mirror)
        return min(max(place, 0) * self.course.step_m, self.course.length_m)

    def _mixed(self, one: Belief, other: Belief, *, share: float) -> Belief:
        """Mix two beliefs of the moment of the first; the last sure place is the most probable one of the mixture."""
        codes, at = np.unique(np.concatenate((one.codes, other.codes)), return_inverse=True)
        weights = np.concatenate((one.mass * share, other.mass * (1 - share)))
        mass = np.bincount(at, weights=weights).astype(np.float64)
        off = one.off * share + other.off * (1 - share)
        top = int(codes[mass.argmax()]) if len(mass) else other.back_to
        return Belief(one.at, codes, mass, off, top, other.rung, top, one.at)

    def spot(self, codes: Ints, mass: Array) -> Spot:
        """Find the window of 50 m with most mass; nowhere gives confidence 0."""
        n = self.course.places
        if not len(codes):
            return Spot(0.0, 0.0, reversed=False)
        places, weights = codes, mass
        is_mixed = codes[-1] >= n
        if is_mixed:
            places = self.places_of(codes)
            order = np.argsort(places, kind="stable")
            places, weights = places[order], mass[order]
        low, high, heavy, sums = _windows(places, weights, int(WINDOW_M / self.course.step_m))
        best = int(heavy.argmax())
        found = self._middle(places, weights, slice(int(low[best]), int(high[best])))
        confidence = min(float(heavy[best]), 1.0)
        others: tuple[tuple[float, float], ...] = ()
        if sums - confidence > 0.01:
            others = self._others(places, weights, low=low, high=high, heavy=heavy, best=best)
        is_reversed = bool(is_mixed and float(mass[codes >= n].sum()) > 0.5 * sums)
        return Spot(found, confidence, is_reversed, others)

    def _others(
        self, places: Ints, weights: Array, *, low: Ints, high: Ints, heavy: Array, best: int
    ) -> tuple[tuple[float, float], ...]:
        """List up to three more windows apart from the best and from each other, above one per cent."""
        found: list[tuple[float, float]] = []
        free = np.ones(len(heavy), dtype=bool)
        apart = int(WINDOW_M / self.course.step_m)
        for _ in range(3):
            free &= np.abs(places - places[low[best]]) > apart
            if not free.any():
                break
            best = int(np.where(free, heavy, 0.0).argmax())
            if heavy[best] < 0.01:
                break
            found.append((self._middle(places, weights, slice(int(low[best]), int(high[best]))), float(heavy[best])))
        return tuple(found)

    def _middle(self, places: Ints, weights: Array, part: slice) -> float:
        inside = weights[part]
        return min(float(places[part] @ inside) / float(inside.sum()) * self.course.step_m, self.course.length_m)

    def _likely(self, before: Belief, codes: Ints) -> Array:
        """Say which way the round is walked on after a jump: mostly as before."""
        n, turns = self.course.places, self.model.reversed_share
        backwards = 0.0
        if len(before.codes) and before.codes[-1] >= n:
            backwards = float(before.mass[before.codes >= n].sum()) / max(1.0 - before.off, KEPT)
        share = turns + (1 - 2 * turns) * min(backwards, 1.0)
        return np.where(codes < n, 1 - share, share)

    def _may_be_reversed(self, before: Belief, link: Link) -> bool:
        """Tell whether places walked backwards are looked at: where some are held already, or no step explains the fix."""
        if len(before.codes) and before.codes[-1] >= self.course.places:
            return True
        return before.off > AWAY or not len(link.prior) or float(link.prior.max()) < OUT_OF_REACH

    def _both_ways(self, sight: Sight) -> tuple[Ints, Array]:
        codes = np.concatenate((sight.places, self.mirror + (self.course.places - 1 - sight.places[::-1])))
        return codes, np.concatenate((sight.density, sight.reversed_density[::-1]))

    def _belief(
        self, at: float, codes: Ints, weights: Array, weight_off: float, before: Belief | None = None, *, rung: int = 0
    ) -> tuple[Belief, float, Ints]:
        total = float(weights.sum()) + weight_off
        least = KEPT * total
        if len(weights) > PLACES_KEPT:
            least = max(least, float(np.partition(weights, -PLACES_KEPT)[-PLACES_KEPT]))
        kept = np.flatnonzero(weights >= least)
        codes, mass = codes[kept], weights[kept]
        size = float(mass.sum()) + weight_off
        mass, off = mass / size, weight_off / size
        return (
            self._settled(Belief(at, codes, mass, off, before.back_to if before else -1, rung), before),
            log(total),
            kept,
        )

    def _settled(self, belief: Belief, before: Belief | None) -> Belief:
        """Say where a carrier who leaves the round is expected again: where he surely was for some time, or where he first was."""
        mass = belief.mass
        top = int(mass.argmax()) if len(mass) else 0
        if not len(mass) or float(mass[max(top - 5, 0) : top + 6].sum()) < SURE_TO_RETURN_TO:
            return belief
        code = int(belief.codes[top])
        goes_on = before is not None and abs(code - before.top) <= GOES_ON
        since = before.since if before is not None and goes_on else belief.at
        settled = belief.at - since >= self.model.settled_s or belief.back_to < 0
        return belief._replace(back_to=code if settled else belief.back_to, top=code, since=since)


def _windows(places: Ints, weights: Array, width: int) -> tuple[Ints, Ints, Array, float]:
    sums = np.concatenate(([0.0], np.cumsum(weights)))
    low = np.arange(len(places))
    high = np.searchsorted(places, places + width, side="right")
    return low, high, sums[high] - sums[low], float(sums[-1])
