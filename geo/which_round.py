"""Which of many planned rounds a carrier is on, from fixes; and when it is not the one that was assigned.

Each round that a fix may be on gets a filter of its own (`Matcher`), and its evidence is the sum of the logarithms of the
densities that the filter predicted for the fixes, in nats. A round that no fix came near needs no filter: for it every fix
was off the round, with one known density, and all sums are counted from there. That is also the sum of the hypothesis "on
none of these rounds", which is never left out: ranks add up to less than 1.

Two things keep the sums honest. A carrier stands still half of the time and the errors of a phone stay the same
meanwhile, so a fix counts only where some round moved on since the last one that did. And evidence fades (a fiftieth at
each fix that counts): what was walked hours ago does not hide where the carrier is now.

Two rounds that share a street and differ by its side tie, as they should; a scan at a stop that only one of them has
decides.

Being for ten minutes on another round is no mistake: carriers cross other rounds on their way, and eat there. `mismatch`
asks for a stretch of the other round in which the assigned one was out of reach, walked at the pace of serving it.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from math import hypot, log

import numpy as np

from geo.matching import AT_STOP, ON_ROUND, SPEED_MPS, Match, Matcher
from geo.positions import Fix, Plane
from geo.round_evidence import Candidate, Evidence, evidence_from_bytes
from geo.rounds import Round, nearest_on
from geo.sight import is_sharp, is_usable
from geo.state import State

OFF_NATS = -log(29_000.0)
_CELL_M = 125.0
_NEAR_LEAST_M, _NEAR_MOST_M = 35.0, 250.0
_MOST_ALIVE = 6
_FAR_BEHIND_NATS = 20.0
_FADES = 0.98
_MOVED_M, _PLACES_KEPT = 15.0, 6
_SCAN_ELSEWHERE = 0.01
_LEAST_NATS = -5.0
_UNKNOWN_ACCURACY_M = 20.0
_PIECE_M = 25.0
_STANDS_AT_MOST_S, _GAP_AT_MOST_S = 60.0, 300.0
_SERVED_M, _SERVING_PACE = 400.0, 0.6


@dataclass(frozen=True, slots=True)
class Suspected:
    """Another round that a run seems to be on: its probability, and the first fix that told so."""

    round_id: str
    confidence: float
    since: datetime


class RoundFinder:
    """Tells which of some hundred rounds fixes belong to; pure and reusable: all memory is in the evidence."""

    def __init__(self, rounds: Mapping[str, Round], matcher_of: Callable[[Round], Matcher]) -> None:
        self._rounds = rounds
        self._matcher_of = matcher_of
        self._matchers: dict[str, Matcher] = {}
        self._plane = _middle(rounds.values())
        self._cells = self._gridded()
        self._rounds_of_stop: defaultdict[str, set[str]] = defaultdict(set)
        for each in rounds.values():
            for stop in each.stops:
                self._rounds_of_stop[stop.stop_id].add(each.round_id)

    @classmethod
    def from_rounds(
        cls, rounds: Iterable[Round], *, matcher_of: Callable[[Round], Matcher] | None = None
    ) -> "RoundFinder":
        """Take rounds; one with neither a line nor stops is left out, of two with one id the later counts."""
        drawn = {each.round_id: each for each in rounds if each.drawn_line}
        return cls(drawn, matcher_of or (lambda each: Matcher(each, each.mode, lag_fixes=0)))

    def __len__(self) -> int:
        return len(self._rounds)

    def __contains__(self, round_id: str) -> bool:
        return round_id in self._rounds

    def start(self, assigned: str | None = None, *, known_nats: float = 0.0) -> Evidence:
        """Begin a run; `known_nats` is what spoke for its assigned round before. One that is not among the rounds stays."""
        if assigned is None or assigned not in self._rounds:
            return Evidence(assigned)
        return Evidence(assigned, candidates=(self._begun(assigned, known_nats),))

    def update(self, evidence: Evidence, fix: Fix) -> Evidence:
        """Take one fix in the order of `fixed_at`; a copy, an older one, or one that tells no place changes nothing."""
        if not is_usable(fix) or (evidence.at is not None and fix.fixed_at <= evidence.at):
            return evidence
        near = self.near(fix)
        known = evidence.candidates + tuple(
            self._begun(name) for name in near if all(name != each.round_id for each in evidence.candidates)
        )
        steps = [self._step(each, fix) for each in known]
        if not any(_moved(each, fix) for each in steps):
            waiting = tuple(_left(replace(each.before, state=each.state, is_on=each.is_on)) for each in steps)
            return replace(evidence, at=fix.fixed_at, candidates=_kept(waiting, evidence.assigned, near))
        own = next((each for each in steps if each.before.round_id == evidence.assigned), None)
        gap_s = (fix.fixed_at - evidence.at).total_seconds() if evidence.at else 0.0
        taken = _weighed(steps, fix, own, min(gap_s, _GAP_AT_MOST_S))
        return replace(
            evidence, at=fix.fixed_at, fixes=evidence.fixes + 1, candidates=_kept(taken, evidence.assigned, near)
        )

    def anchor(self, evidence: Evidence, stop_id: str, at: datetime) -> Evidence:
        """Take a scan at a stop: it speaks for the rounds that have the stop. An unknown stop changes nothing.

        One scan of a hundred is taken to be of another round's stop: what was sorted wrongly, or a favour.
        """
        having = self._rounds_of_stop.get(stop_id, set())
        if not having:
            return evidence
        known = {each.round_id: each for each in evidence.candidates}
        for name in having - known.keys():
            known[name] = self._begun(name)
        candidates = tuple(
            self._anchored(each, stop_id, at)
            if each.round_id in having
            else replace(each, nats=each.nats + log(_SCAN_ELSEWHERE))
            for each in known.values()
        )
        return replace(evidence, at=max(at, evidence.at or at), candidates=_kept(candidates, evidence.assigned))

    def replay(self, fixes: Iterable[Fix], *, assigned: str | None = None) -> Evidence:
        """Take all fixes of a run from its start."""
        evidence = self.start(assigned)
        for fix in fixes:
            evidence = self.update(evidence, fix)
        return evidence

    def near(self, fix: Fix) -> list[str]:
        """Name the rounds whose line is in reach of a fix (3.5 times its noise, 35 to 250 m), the nearest first."""
        reach = reach_m(fix)
        x, y = self._plane.xy(fix.lat, fix.lon)
        low_x, low_y = int((x - reach) // _CELL_M), int((y - reach) // _CELL_M)
        high_x, high_y = int((x + reach) // _CELL_M), int((y + reach) // _CELL_M)
        names = {
            name
            for i in range(low_x, high_x + 1)
            for j in range(low_y, high_y + 1)
            for name in self._cells.get((i, j), ())
        }
        off = {name: self._distance(name, fix) for name in names}
        return sorted((name for name in names if off[name] <= reach), key=lambda name: (off[name], name))[:_MOST_ALIVE]

    def mismatch(
        self, evidence: Evidence, *, lead_nats: float = 10.0, fixes: int = 10, serving_s: float = 600.0
    ) -> Suspected | None:
        """Name the other round that the run seems to be on; None while the assigned one may be right.

        The other one must lead by that many nats, over that many fixes with an accuracy of 40 m or better and the assigned
        round out of reach, which cover 400 m of its line in at least that many seconds, at no more than 0.6 of the speed of
        its mode: somebody who only passes is faster.
        """
        if evidence.assigned is None or evidence.assigned not in self._rounds:
            return None
        own = next((each.nats for each in evidence.candidates if each.round_id == evidence.assigned), 0.0)
        others = [each for each in evidence.candidates if each.round_id != evidence.assigned]
        best = max(others, key=lambda each: each.nats, default=None)
        if best is None or best.since is None or best.nats - max(own, 0.0) <= lead_nats:
            return None
        covered_m = len(best.pieces) * _PIECE_M
        pace = SPEED_MPS.get(self._rounds[best.round_id].mode, SPEED_MPS["foot"]) * _SERVING_PACE
        if best.alone_fixes < fixes or best.alone_s < serving_s or not _SERVED_M <= covered_m <= pace * best.alone_s:
            return None
        return Suspected(best.round_id, dict(evidence.ranking())[best.round_id], best.since)

    def evidence_from_bytes(self, data: bytes) -> Evidence:
        """Read what `Evidence.to_bytes` wrote, without the rounds that are gone; raise BadState."""
        return evidence_from_bytes(data, self._rounds)

    def _begun(self, name: str, nats: float = 0.0) -> Candidate:
        return Candidate(name, self._matcher(name).start(), nats)

    def _matcher(self, name: str) -> Matcher:
        if name not in self._matchers:
            self._matchers[name] = self._matcher_of(self._rounds[name])
        return self._matchers[name]

    def _step(self, candidate: Candidate, fix: Fix) -> "_Step":
        matcher = self._matcher(candidate.round_id)
        state, found = matcher.update(candidate.state, fix)
        match: Match | None = found.provisional
        is_on = match is not None and match.status in (ON_ROUND, AT_STOP)
        along = match.distance_along_m if match is not None and is_on else None
        return _Step(candidate, state, found.evidence - OFF_NATS, along, SPEED_MPS.get(matcher.mode, 1.4))

    def _anchored(self, candidate: Candidate, stop_id: str, at: datetime) -> Candidate:
        state, _found = self._matcher(candidate.round_id).anchor(candidate.state, stop_id, at)
        return replace(candidate, state=state)

    def _distance(self, name: str, fix: Fix) -> float:
        rnd = self._rounds[name]
        return nearest_on(rnd.vertices, *rnd.plane.xy(fix.lat, fix.lon))[1]

    def _gridded(self) -> Mapping[tuple[int, int], Sequence[str]]:
        """Note which rounds pass through or beside each cell of 125 m."""
        cells: defaultdict[tuple[int, int], set[str]] = defaultdict(set)
        for name, rnd in self._rounds.items():
            for x, y in _places(rnd, self._plane):
                cells[int(x // _CELL_M), int(y // _CELL_M)].add(name)
        return {cell: sorted(names) for cell, names in cells.items()}


def reach_m(fix: Fix) -> float:
    """Tell how far from a line a fix of its accuracy may still be on it."""
    sigma = hypot(max((fix.accuracy_m or _UNKNOWN_ACCURACY_M) / 1.515, 3.0), 5.0)
    return min(max(3.5 * sigma, _NEAR_LEAST_M), _NEAR_MOST_M)


@dataclass(frozen=True, slots=True)
class _Step:
    """What a fix did to one filter: `gain` in nats over a carrier on no round; no `along_m` = off the round."""

    before: Candidate
    state: State
    gain: float
    along_m: float | None
    speed_mps: float

    @property
    def is_on(self) -> bool:
        return self.along_m is not None


def _moved(step: _Step, fix: Fix) -> bool:
    """Tell whether a round that the fix is on moved on from the last places that counted, by more than its noise."""
    along = step.along_m
    return along is not None and all(abs(along - place) >= _moved_m(fix) for place in step.before.places)


def _moved_m(fix: Fix) -> float:
    return max(_MOVED_M, fix.accuracy_m or _UNKNOWN_ACCURACY_M)


def _weighed(steps: Sequence[_Step], fix: Fix, own: _Step | None, gap_s: float) -> tuple[Candidate, ...]:
    """Add what a fix that counts tells to every sum; where the assigned round leads, no other one is alone."""
    nats = {each.before.round_id: max(each.before.nats * _FADES + each.gain, _LEAST_NATS) for each in steps}
    own_nats = nats[own.before.round_id] if own is not None else 0.0
    found = []
    for step in steps:
        name = step.before.round_id
        candidate = replace(step.before, state=step.state, nats=nats[name], is_on=step.is_on)
        if own is not None and nats[name] <= own_nats:
            candidate = replace(
                candidate, alone_fixes=0, alone_s=0.0, pieces=frozenset(), since=None, last_alone_at=None
            )
        elif step.is_on and not (own is not None and own.is_on) and is_sharp(fix):
            candidate = _alone(candidate, step, fix, gap_s)
        else:
            candidate = replace(candidate, last_alone_at=None)
        if step.along_m is not None:
            candidate = replace(candidate, places=(*candidate.places, step.along_m)[-_PLACES_KEPT:])
        found.append(candidate)
    return tuple(found)


def _left(candidate: Candidate) -> Candidate:
    """End a stretch alone where the round is left."""
    return candidate if candidate.is_on else replace(candidate, last_alone_at=None)


def _alone(candidate: Candidate, step: _Step, fix: Fix, gap_s: float) -> Candidate:
    """Count a fix on new ground of a round that is alone there, and the time since the last such fix."""
    along = step.along_m or 0.0
    first = last = int(along // _PIECE_M)
    seconds = 0.0
    if candidate.last_alone_at is not None and candidate.places:
        way = abs(along - candidate.places[-1])
        seconds = min((fix.fixed_at - candidate.last_alone_at).total_seconds(), _STANDS_AT_MOST_S + gap_s)
        if way <= _moved_m(fix) + 1.5 * step.speed_mps * gap_s:
            first, last = sorted((first, int(candidate.places[-1] // _PIECE_M)))
    pieces = candidate.pieces | frozenset(range(first, last + 1))
    if len(pieces) == len(candidate.pieces):
        return candidate
    return replace(
        candidate,
        alone_fixes=candidate.alone_fixes + 1,
        alone_s=candidate.alone_s + seconds,
        pieces=pieces,
        since=candidate.since or fix.fixed_at,
        last_alone_at=fix.fixed_at,
    )


def _kept(candidates: Iterable[Candidate], assigned: str | None, near: Sequence[str] = ()) -> tuple[Candidate, ...]:
    """Keep the assigned round and the best others, at most six in all; not those out of reach that are far behind.

    One in reach stays, however far behind: its filter needs some fixes to find its place.
    """
    known = sorted(candidates, key=lambda each: (not each.is_on, each.round_id not in near, -each.nats, each.round_id))
    least = max(max((each.nats for each in known), default=0.0) - _FAR_BEHIND_NATS, _LEAST_NATS)
    left = [each for each in known if each.is_on or each.round_id in near or each.nats > least]
    others = [each for each in left if each.round_id != assigned]
    own = [each for each in known if each.round_id == assigned]
    return (*own, *others[: _MOST_ALIVE - len(own)])


def _middle(rounds: Iterable[Round]) -> Plane:
    places = [each.drawn_line[0] for each in rounds]
    if not places:
        return Plane(0.0, 0.0)
    lons, lats = zip(*places, strict=True)
    return Plane((min(lats) + max(lats)) / 2, (min(lons) + max(lons)) / 2)


def _places(rnd: Round, plane: Plane) -> Iterator[tuple[float, float]]:
    """Give places along a line, at most half a cell apart."""
    points = np.array(rnd.drawn_line)
    x, y = plane.xy(points[:, 1], points[:, 0])
    cumulative = np.concatenate(([0.0], np.cumsum(np.hypot(np.diff(x), np.diff(y)))))
    metres = np.union1d(np.arange(0.0, float(cumulative[-1]), _CELL_M / 2), cumulative)
    yield from zip(np.interp(metres, cumulative, x).tolist(), np.interp(metres, cumulative, y).tolist(), strict=True)
