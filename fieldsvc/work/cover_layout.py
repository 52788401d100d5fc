"""Cover, laid out as a problem: which stops of uncovered rounds can be done in which gap of which present run, at what cost.

An uncovered round is cut into blocks of stops that follow each other, some half hour each, at its longest legs. A present run
has gaps: before its first stop, every forty minutes between two of its stops, and after its last. A block goes before or after
a run's own work, alone or with those that follow it; a single special task may also go between. A choice takes the time to
walk there, to serve, and to come back.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import inf, isfinite

import numpy as np

from fieldsvc.work.cover_model import (
    EXTRA_S,
    FACE_MINUTES,
    UNDONE_A_MINUTE,
    VISIT,
    Block,
    Choice,
    Gap,
    Place,
    Present,
    Problem,
    Rules,
    Special,
    Uncovered,
    grouped,
)
from geo.learned_times import PACE_MPS
from geo.positions import Plane

DETOUR = 1.3  # the way on streets, as a multiple of the straight one
GAP_S, WAIT_S, WAIT_AFTER_S = 2_400.0, 900.0, 7_200.0
RUNS_A_BLOCK, GAPS_A_TASK, BLOCKS_TOGETHER = 8, 12, 8


def lay(uncovered: Sequence[Uncovered], present: Sequence[Present], rules: Rules) -> Problem:
    """Lay the problem out."""
    plane = _plane_of(uncovered)
    blocks = [block for i, each in enumerate(uncovered) for block in _blocks(i, each, rules.block_s)]
    specials = [
        Special(block.of, work, number)
        for number, block in enumerate(blocks)
        for work in uncovered[block.of].tasks
        if work.is_special and block.first <= work.stop <= block.last
    ]
    gaps = [_gaps(each, plane, rules) for each in present]
    bench = _Bench(uncovered, present, rules, blocks, specials, gaps, plane)
    choices = [*bench.of_blocks(), *bench.of_specials()]
    return Problem(uncovered, present, rules, blocks, specials, gaps, choices)


def _plane_of(uncovered: Sequence[Uncovered]) -> Plane:
    stops = [stop for each in uncovered for stop in each.round.stops]
    if not stops:
        return Plane(0.0, 0.0)
    return Plane(float(np.median([s.lat for s in stops])), float(np.median([s.lon for s in stops])))


def _blocks(of: int, each: Uncovered, block_s: float) -> Iterator[Block]:
    """Cut a round into equal parts, each end at the longest leg nearby."""
    extra = np.zeros(len(each.leg_s))
    for work in each.tasks:
        extra[work.stop] += EXTRA_S.get(work.service, 0.0)
    taken = np.cumsum(each.leg_s + each.service_s + extra)
    if not len(taken):
        return
    parts = max(round(float(taken[-1]) / block_s), 1)
    cuts = {0, len(taken)}
    for part in range(1, parts):
        wanted = part * float(taken[-1]) / parts
        low, high = np.searchsorted(taken, (wanted - block_s / 5, wanted + block_s / 5))
        near = np.arange(max(int(low), 1), min(int(high) + 1, len(taken)))
        if len(near):
            cuts.add(int(near[np.argmax(each.leg_s[near])]))
    bounds = sorted(cuts)
    for first, end in pairwise(bounds):
        own_s = float((each.service_s + each.leg_s)[first:end].sum())
        ordinary = sum(work.weight for work in each.tasks if first <= work.stop < end and not work.is_special)
        yield Block(of, first, end - 1, UNDONE_A_MINUTE * own_s / 60.0 + ordinary)


def _gaps(each: Present, plane: Plane, rules: Rules) -> list[Gap]:
    """List the gaps of a run from now on; its own late windows bind nobody any more."""
    left = [i for i, at in enumerate(each.arrivals_s) if isfinite(at) and at >= rules.now_s]
    left.sort(key=lambda i: float(each.arrivals_s[i]))
    starts: list[int] = []
    for i in left:
        if not starts or each.arrivals_s[i] - each.arrivals_s[starts[-1]] >= GAP_S:
            starts.append(i)
    stops = each.round.stops
    at = [float(each.arrivals_s[i]) for i in starts]
    slacks = [
        min((slack for when, slack in _slacks(each) if first <= when < until), default=inf)
        for first, until in zip(at, [*at[1:], inf], strict=True)
    ]
    found = [
        Gap(when, _xy(plane, stops[i].lat, stops[i].lon), i, slack)
        for i, when, slack in zip(starts, at, slacks, strict=True)
    ]
    if stops:
        last = stops[left[-1]] if left else stops[-1]
        found.append(Gap(max(each.ends_s, rules.now_s), _xy(plane, last.lat, last.lon), None, inf))
    return found


def _slacks(each: Present) -> Iterator[tuple[float, float]]:
    for work in each.tasks:
        at = float(each.arrivals_s[work.stop])
        if work.window is not None and isfinite(at) and at <= work.window[1]:
            yield at, work.window[1] - at


@dataclass(frozen=True, slots=True)
class _Bench:
    """Where choices are made."""

    uncovered: Sequence[Uncovered]
    present: Sequence[Present]
    rules: Rules
    blocks: Sequence[Block]
    specials: Sequence[Special]
    gaps: Sequence[Sequence[Gap]]
    plane: Plane

    def of_blocks(self) -> Iterator[Choice]:
        """Offer each block, alone and with those that follow it, to the nearest runs, before and after their own work."""
        inside = grouped((special.block, i) for i, special in enumerate(self.specials))
        for number in range(len(self.blocks)):
            offers: list[list[Choice]] = []
            for run, gaps in enumerate(self.gaps):
                ends = sorted({k for k, gap in enumerate(gaps) if gap.before is None or k == 0})
                offers.append([each for k in ends for each in self._chains(number, run, k, inside)])
            nearest = sorted((each for each in offers if each), key=lambda some: min(one.seconds for one in some))
            timely = [some for some in nearest[RUNS_A_BLOCK:] if any(one.slacks for one in some)][: RUNS_A_BLOCK // 2]
            yield from (one for some in (*nearest[:RUNS_A_BLOCK], *timely) for one in some)

    def of_specials(self) -> Iterator[Choice]:
        """Offer each special task by itself to the gaps in which it is in time, the cheapest first."""
        for number in range(len(self.specials)):
            offers = (
                self._single(number, run, k)
                for run, gaps in enumerate(self.gaps)
                if self.specials[number].work.needs <= self.present[run].qualifications
                for k in range(len(gaps))
            )
            fitting = [each for each in offers if each and each.seconds <= self._most(each.run, each.gap)]
            fitting.sort(key=lambda each: each.seconds + 60.0 * FACE_MINUTES * each.strange_faces)
            yield from fitting[:GAPS_A_TASK]

    def _most(self, run: int, gap: int) -> float:
        room = self.rules.most_s - self.present[run].own_s
        return min([room, *(each.slack_s for each in self.gaps[run][gap:])])

    def _chains(self, number: int, run: int, gap: int, inside: Mapping[int, Sequence[int]]) -> Iterator[Choice]:
        """Walk from a block on through those that follow it, as far as the run has room, and come back from each."""
        here, walker, of = self.gaps[run][gap], self.present[run], self.blocks[number].of
        each, most_s, taken = self.uncovered[of], self._most(run, gap), tuple[int, ...]()
        slower = max(1.0, _pace(each.round.mode) / _pace(walker.round.mode))
        now_s, slacks = self._way_s(here.place, self._place(of, self.blocks[number].first), walker), dict[int, float]()
        for block in range(number, min(number + BLOCKS_TOGETHER, len(self.blocks))):
            if self.blocks[block].of != of or now_s > most_s:
                return
            waiting = grouped((self.specials[i].work.stop, i) for i in inside.get(block, ()))
            for stop in range(self.blocks[block].first, self.blocks[block].last + 1):
                now_s += float(each.leg_s[stop]) * slower if stop > self.blocks[number].first else 0.0
                now_s = self._serve(waiting.get(stop, ()), run, here.at_s, now_s, slacks)
                now_s += float(each.service_s[stop])
            taken = (*taken, block)
            seconds = now_s + self._way_s(self._place(of, self.blocks[block].last), here.place, walker)
            if seconds <= most_s:
                yield Choice(
                    taken, None, run, gap, seconds, dict(slacks), sum(self._is_strange(i, run) for i in slacks)
                )

    def _serve(self, waiting: Sequence[int], run: int, began_s: float, now_s: float, slacks: dict[int, float]) -> float:
        """Do the special tasks of a stop that this run may do, waiting a little for a window to open; note how late they may be."""
        for i in waiting:
            work = self.specials[i].work
            if not work.needs <= self.present[run].qualifications:
                continue
            first, until = work.window or (-inf, inf)
            wait_s = max(first - began_s - now_s, 0.0)
            if wait_s <= WAIT_S and began_s + now_s <= until:
                now_s += wait_s
                slacks[i] = until - began_s - now_s
            now_s += EXTRA_S.get(work.service, 0.0)
        return now_s

    def _single(self, number: int, run: int, gap: int) -> Choice | None:
        special, here, walker = self.specials[number], self.gaps[run][gap], self.present[run]
        work, place = special.work, self._place(special.of, special.work.stop)
        way_s = self._way_s(here.place, place, walker)
        wait_s = max((work.window[0] - here.at_s - way_s) if work.window else 0.0, 0.0)
        there_s = here.at_s + way_s + wait_s
        if wait_s > (WAIT_S if here.before is not None else WAIT_AFTER_S) or (work.window and there_s > work.window[1]):
            return None
        served_s = float(self.uncovered[special.of].service_s[work.stop]) + EXTRA_S.get(work.service, 0.0)
        slack = work.window[1] - there_s if work.window else inf
        seconds = 2 * way_s + wait_s + served_s
        return Choice((), number, run, gap, seconds, {number: slack}, self._is_strange(number, run))

    def _is_strange(self, special: int, run: int) -> int:
        """Tell whether a visited person would get someone who does not know the round."""
        one = self.specials[special]
        return int(
            one.work.service == VISIT and self.uncovered[one.of].round.round_id not in self.present[run].knows
        )  # fmt: skip

    def _place(self, of: int, stop: int) -> Place:
        one = self.uncovered[of].round.stops[stop]
        return _xy(self.plane, one.lat, one.lon)

    def _way_s(self, start: Place, end: Place, walker: Present) -> float:
        metres = DETOUR * float(np.hypot(end[0] - start[0], end[1] - start[1]))
        return metres / _pace(walker.round.mode)


def _pace(mode: str) -> float:
    return PACE_MPS.get(mode, PACE_MPS["foot"])


def _xy(plane: Plane, lat: float, lon: float) -> Place:
    x, y = plane.xy(lat, lon)
    return float(x), float(y)
