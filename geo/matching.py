"""Which place of the planned round a fix is at: the matcher, and the story of how it thinks.

A round passes the same street twice, turns round in every dead end and stands still for half of the time. The nearest point of its
line is the right pass less than half of the time; what tells the passes apart is the planned order. So the matcher does not ask
where a fix is. It asks how far along the round the carrier is, and holds a chance for every place of it.

**Places.** The line is cut into places 5 m apart (`geo.course`). A *belief* (`geo.belief`) is a chance for each of those that are not
hopeless, and one for being off the round altogether. Each place is there twice: on the way that was planned, and on the way back to
front, for a carrier who walks the round, or a part of it, the other way (`direction`).

**A fix comes.** First the belief is moved on (`geo.motion`): he stands, or goes on by about the pace of this run (learnt from it, begun
from that of the mode), seldom a little back, rarely he skips, almost never he is somewhere else. He may leave the round; then he is
expected back near the place that he left. Then the fix is looked at (`geo.sight`): places it lies near to gain, by a Gaussian as wide as
the phone's own accuracy and the width of a street; so do those whose direction is that of a phone in movement, and those on the side
of the street where the plan says that it serves. Phones err alike for some seconds, so a fix counts less the sooner it follows another,
and least where the carrier stands: a long break otherwise talks him over to the pass across the street. What is far from every place
speaks for being off the round. Product, normalised, the hopeless dropped: the new belief. This is the forward step of a hidden
Markov model on one coordinate; that it takes the product of all that was seen is what the greedy window, "nearest ahead of the last
place", lacks: once wrong it stays wrong, while here the true pass is kept at a low chance until the streets decide.

**What is told.** The 50 m of line that hold most of the belief are the place, their mass is the `confidence`, other stretches are the
`alternatives`. That is `provisional`. With `lag_fixes` more fixes the same is asked again of the earlier moment, by the backward
recursion over the kept beliefs: `confirmed`. A scan or a served stop is an anchor: it is believed as 98 % sure.

**What it is worth** is measured by `fieldsvc bench locate` on real streets with simulated carriers who skip, turn back, take detours and
breaks, beside the nearest point and the greedy window on the same fixes; tests hold floors under it. Its limits are honest ones: a
street walked out and back looks the same both ways round until its end, and with 50 m of noise the order alone decides, at times wrongly.

**Memory.** Everything is in `State`: immutable, at most 1,000 bytes, distances along the line and nothing beside it (`geo.state`).
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib import import_module
from itertools import pairwise
from math import hypot, isfinite
from types import ModuleType

from geo.belief import Belief, Filter, Sight, Spot
from geo.match import AT_STOP, FORWARD, OFF_ROUND, ON_ROUND, REVERSED, UNKNOWN, Found, Match
from geo.motion import (
    PACE_LEARNT,
    PACE_LEAST,
    PACE_MOST,
    PACE_MOVED_M,
    PACE_WITHIN_S,
    STANDING_LEARNT,
    STANDING_WITHIN,
    STILL_WITHIN,
    SURE,
    Model,
    stands_after_s,
)
from geo.positions import Fix
from geo.rounds import Round
from geo.sight import Point, is_usable, points_of, rows_of, seen_standing, sight_of_stop, sights_of
from geo.state import NO_DWELL, Dwell, Known, State, state_from_bytes

__all__ = [
    "AT_STOP",
    "FORWARD",
    "OFF_ROUND",
    "ON_ROUND",
    "REVERSED",
    "SPEED_MPS",
    "UNKNOWN",
    "Found",
    "Match",
    "Matcher",
    "locate",
]

SPEED_MPS = {"foot": 1.4, "bike": 3.5, "van": 8.0}
_MOVING = 0.8
_STOP_SIGMA_M = 15.0
_PLACE_SIGMA_M = 8.0
_STOP_IS_RIGHT = 0.98
_DWELL_M, _DWELL_S = 10.0, 15.0
_BESIDE_M = 15.0
_TOLD = 0.5
_OFF = 0.5
_LONG_AGO_S = 1e12
_FAST_FROM = 1_000


class Matcher:
    """Match the fixes of one run to its planned round; pure and reusable: all memory is in the state."""

    def __init__(
        self,
        rnd: Round,
        mode: str = "foot",
        lag_fixes: int = 4,
        *,
        engine: str | None = None,
        model: Model | None = None,
    ) -> None:
        """Raise EmptyRound when there is nothing to be placed on. An unknown mode counts as on foot.

        `replay` runs compiled where the extra `fast` is installed: many times faster once it was compiled, the same answers. By
        itself it does so from 1,000 fixes on; `engine` = "fast" (ImportError where it is not installed) or "numpy" decides.
        """
        self.round = rnd
        self.mode = mode
        self.lag_fixes = lag_fixes
        self.model = model or Model()
        self._course = rnd.course
        self.filter = Filter(self._course, self.model)
        self._stops: list[float] = rnd.stop_distances_m.tolist()
        self._engine = engine
        self.usual_mps = _MOVING * SPEED_MPS.get(mode, SPEED_MPS["foot"])

    def start(self) -> State:
        """Begin a run of which nothing is known yet."""
        return State()

    def update(self, state: State, fix: Fix) -> tuple[State, Found]:
        """Take one fix in the order of `fixed_at`.

        A fix that is not newer than the state is answered from what was known at its time and changes nothing: the same fix twice
        gives the same place. What is no real position, or known to 100 m only, is `unknown` and changes nothing.
        """
        if not is_usable(fix):
            return state, Found(self._unusable(state, fix), None)
        point, sight = self._seen(state, fix)
        if state.known and point.at <= state.known[-1].belief.at:
            return state, Found(self._late(state, fix, point, sight), None)
        return self._take(state, fix, point, sight)

    def replay(self, fixes: Iterable[Fix]) -> list[Found]:
        """Match a whole run from its start: one Found per fix, in the order given; a fix out of time is late."""
        every = list(fixes)
        points = points_of(self._course, [fix for fix in every if is_usable(fix)], self.model)
        gaps = [_LONG_AGO_S, *(after.at - before.at for before, after in pairwise(points))]
        if len(points) < len(every) or any(gap <= 0 for gap in gaps):
            return self._one_by_one(every)
        fast = self._compiled(len(points))
        if fast is not None and points:
            return self._replayed_fast(fast, every, points, gaps)
        state, found = self.start(), []
        for fix, point, sight in zip(every, points, sights_of(self._course, points, gaps, self.model), strict=True):
            state, one = self._take(state, fix, point, sight)
            found.append(one)
        return found

    def anchor(self, state: State, stop_id: str, at: datetime) -> tuple[State, Found]:
        """Take a scan or a served stop: the carrier was at that stop, as good as surely; raise UnknownStop.

        One older than the newest fix changes what is believed now by how the carrier can have gone on from there.
        """
        along, moment = self.round.distance_of(stop_id), at.timestamp()
        sight = sight_of_stop(self._course, along, _STOP_SIGMA_M)
        if state.known and moment < state.known[-1].belief.at:
            newest = state.known[-1]
            belief = self.filter.followed(
                newest.belief, self.filter.placed(moment, sight), way_m=self._way_m(state, newest.belief.at - moment)
            )
            state = replace(state, known=(*state.known[:-1], newest._replace(belief=belief, link=None)))
        else:
            before = state.known[-1].belief if state.known else None
            way_m = self._way_m(state, moment - before.at) if before else 0.0
            belief = self.filter.anchored(before, moment, sight, way_m=way_m, trust=_STOP_IS_RIGHT)
            kept = state.known if before is None or before.at < moment else state.known[:-1]
            known = (*kept, Known(belief, is_sharp=True, is_anchor=True))[-max(self.lag_fixes, 1) :]
            state = replace(state, known=known, sure_m=along, off_fixes=0, dwell=Dwell(along, moment))
        spot = Spot(along, 0.99, reversed=False)
        return state, Found(replace(self._on(spot, None, at), status=AT_STOP, stop_id=stop_id), None)

    def at(self, distance_m: float, at: datetime) -> State:
        """Begin at a place along the round that is known from elsewhere."""
        sight = sight_of_stop(self._course, min(max(distance_m, 0.0), self._course.length_m), _PLACE_SIGMA_M)
        return State((Known(self.filter.placed(at.timestamp(), sight), is_sharp=True),))

    def place(self, state: State, fix: Fix) -> Match:
        """Place one fix by a state and forget it; one fix alone may say `off_round`."""
        if not is_usable(fix):
            return self._unusable(state, fix)
        point, sight = self._seen(state, fix)
        return self._apart(state, fix, point, sight)

    @staticmethod
    def state_from_bytes(data: bytes) -> State:
        """Read what `State.to_bytes` wrote; raise BadState."""
        return state_from_bytes(data)

    def _one_by_one(self, fixes: Iterable[Fix]) -> list[Found]:
        state, found = self.start(), []
        for fix in fixes:
            state, one = self.update(state, fix)
            found.append(one)
        return found

    def _compiled(self, fixes: int) -> ModuleType | None:
        """Import the compiled filter where it is wanted; where it does not work and nobody insists, the plain one does."""
        if self._engine == "numpy" or (self._engine is None and fixes < _FAST_FROM):
            return None
        try:
            return import_module("geo.fast")
        except (ImportError, RuntimeError):  # not installed, not for this numpy, no folder to keep what was compiled
            if self._engine == "fast":
                raise
            return None

    def _replayed_fast(
        self, fast: ModuleType, fixes: Sequence[Fix], points: Sequence[Point], gaps: Sequence[float]
    ) -> list[Found]:
        """Make the matches of what the compiled filter believed."""
        rows = rows_of(points, gaps, self.model)
        trace = fast.trace(self.filter, rows, lag=self.lag_fixes, usual_mps=self.usual_mps)
        now, later = fast.spots_of(trace.now, trace.others), fast.spots_of(trace.later, trace.later_others)
        dwell, later_dwell, off_fixes, found = NO_DWELL, NO_DWELL, 0, []
        for i, (fix, point) in enumerate(zip(fixes, points, strict=True)):
            spot, known, evidence = now[i], fast.known_of(trace.now[i], point), float(trace.now[i, 5])
            match, dwell = self._told(spot, known, fix.fixed_at, dwell=dwell, off=known.belief.off)
            off_fixes = off_fixes + 1 if known.belief.off >= _OFF else 0
            if off_fixes == 1 and match.status == OFF_ROUND:
                match = replace(match, status=UNKNOWN)
            confirmed, at = (match, i) if not self.lag_fixes else (None, i - self.lag_fixes)
            if self.lag_fixes and at >= 0:
                known = fast.known_of(trace.later[at], points[at])
                confirmed, later_dwell = self._told(
                    later[at], known, fixes[at].fixed_at, dwell=later_dwell, off=known.belief.off
                )
            found.append(Found(match, confirmed, evidence))
        return found

    def _seen(self, state: State, fix: Fix) -> tuple[Point, Sight]:
        (point,) = points_of(self._course, [fix], self.model)
        before = [known.belief.at for known in state.known if known.belief.at <= point.at]
        gap_s = point.at - before[-1] if before else _LONG_AGO_S
        return point, sights_of(self._course, [point], [gap_s], self.model)[0]

    def _way_m(self, state: State, dt_s: float) -> float:
        return (state.pace_mps or self.usual_mps) * dt_s

    def _take(self, state: State, fix: Fix, point: Point, sight: Sight) -> tuple[State, Found]:
        """Go on by one fix: believe, say what is believed now, and what is confirmed of an earlier fix."""
        before = state.known[-1].belief if state.known else None
        link, dt_s = None, 0.0
        if before is None or not self.filter.knows(before):
            belief, evidence = self.filter.first(point.at, sight)
            state = State()
        else:
            dt_s = point.at - before.at
            is_still = self._is_still(state, point)
            sight = seen_standing(sight, point, self.model) if is_still else sight
            way_m = self._way_m(state, dt_s)
            belief, link, evidence = self.filter.step(before, point.at, sight, way_m=way_m, is_still=is_still)
        spot = self.filter.spot(belief.codes, belief.mass)
        pace_mps, sure_m = self._moved(state, spot, belief, dt_s=dt_s)
        off_fixes = state.off_fixes + 1 if belief.off >= _OFF else 0
        known = (*state.known, Known(belief, point.is_sharp, link=link, point=point))
        match, dwell = self._told(spot, known[-1], fix.fixed_at, dwell=state.dwell, off=belief.off)
        if off_fixes == 1 and match.status == OFF_ROUND:
            match = replace(match, status=UNKNOWN)
        confirmed, confirmed_dwell = self._confirmed(known, state.confirmed_dwell)
        standing = NO_DWELL if off_fixes else self._standing(state.standing, spot.along_m, point)
        kept = known[-max(self.lag_fixes, 1) :]
        state = State(kept, pace_mps, sure_m, off_fixes, standing, dwell, confirmed_dwell)
        return state, Found(match, confirmed if self.lag_fixes else match, evidence)

    def _is_still(self, state: State, point: Point) -> bool:
        """Tell whether a fix is where the carrier surely was just before: nobody gets to another pass without moving."""
        if state.standing.at_m < 0 or point.at - state.standing.since < stands_after_s(self.model, point.sigma_m):
            return False
        x, y = self._course.point(state.standing.at_m)
        return hypot(point.x - x, point.y - y) <= STILL_WITHIN * point.sigma_m

    def _standing(self, standing: Dwell, along_m: float, point: Point) -> Dwell:
        """Follow where the carrier stands, on whatever pass: as long as his places stay within the accuracy of the fixes."""
        x, y = self._course.point(standing.at_m)
        here_x, here_y = self._course.point(along_m)
        if standing.at_m < 0 or hypot(here_x - x, here_y - y) > STANDING_WITHIN * point.sigma_m:
            return Dwell(along_m, point.at)
        if abs(along_m - standing.at_m) > STANDING_WITHIN * point.sigma_m:
            return standing
        return Dwell(standing.at_m + STANDING_LEARNT * (along_m - standing.at_m), standing.since)

    def _moved(self, state: State, spot: Spot, belief: Belief, *, dt_s: float) -> tuple[float, float]:
        """Learn from a step between two sure places how fast this run is: (pace, the sure place or -1)."""
        if belief.off >= _OFF or spot.confidence < SURE:
            return state.pace_mps, -1.0
        pace = state.pace_mps or self.usual_mps
        if state.sure_m >= 0 and dt_s > 0:
            walked = (spot.along_m - state.sure_m) * (-1 if spot.reversed else 1)
            if walked > PACE_MOVED_M and dt_s < PACE_WITHIN_S:
                low, high = PACE_LEAST * self.usual_mps, PACE_MOST * self.usual_mps
                pace = min(max(pace + PACE_LEARNT * (min(walked / dt_s, 2 * high) - pace), low), high)
        return pace, spot.along_m

    def _confirmed(self, known: tuple[Known, ...], dwell: Dwell) -> tuple[Match | None, Dwell]:
        """Look at the fix `lag_fixes` earlier again, with what is known since: the backward recursion over the links."""
        if self.lag_fixes == 0 or len(known) <= self.lag_fixes or known[0].is_anchor:
            return None, dwell
        chances = known[-1].belief.mass, known[-1].belief.off
        for before, after in reversed(list(pairwise(known))):
            link = after.link or self.filter.link(
                before.belief, after.belief.at, after.belief.codes, rung=after.belief.rung
            )
            chances = self.filter.smoothed(before.belief, link, chances)
        first = known[0]
        spot = self.filter.spot(first.belief.codes, chances[0])
        return self._told(spot, first, datetime.fromtimestamp(first.belief.at, UTC), dwell=dwell, off=chances[1])

    def _told(self, spot: Spot, known: Known, at: datetime, *, dwell: Dwell, off: float) -> tuple[Match, Dwell]:
        """Say in a match what is believed; `at_stop` after 15 s within 10 m of one place beside a stop."""
        if off >= _OFF:
            return self._off(spot, known, at), Dwell()
        match = self._on(spot, known.point, at)
        moment, along = known.belief.at, spot.along_m
        if abs(along - dwell.at_m) >= _DWELL_M:
            return match, Dwell(along, moment)
        if moment - dwell.since >= _DWELL_S and match.stop_id is not None:
            sigma = known.point.sigma_m if known.point else 0.0
            if abs(self.round.distance_of(match.stop_id) - along) <= max(_BESIDE_M, sigma):
                match = replace(match, status=AT_STOP)
        return match, dwell

    def _on(self, spot: Spot, point: Point | None, at: datetime) -> Match:
        along, stops, length = spot.along_m, self._stops, self.round.length_m
        ahead = bisect_left(stops, along)
        near = (
            ahead - 1 if ahead and (ahead == len(stops) or along - stops[ahead - 1] <= stops[ahead] - along) else ahead
        )
        following = ahead - 1 if spot.reversed else ahead
        return Match(
            self.round.round_id,
            self.round.stops[near].stop_id if stops and spot.confidence >= _TOLD else None,
            self.round.stops[following].stop_id if 0 <= following < len(stops) else None,
            along,
            along / length if length else 0.0,
            self._course.offset_m(along, point.x, point.y) if point else None,
            spot.confidence,
            ON_ROUND,
            spot.others,
            at,
            REVERSED if spot.reversed else FORWARD,
        )

    def _off(self, spot: Spot, known: Known, at: datetime) -> Match:
        """Say that the carrier is off the round, or that nobody knows; the place is the last sure one, the offset to the nearest."""
        nearest = self._course.nearest(known.point.x, known.point.y) if known.point else None
        back_to = known.belief.back_to
        along = self.filter.metres_of(back_to) if back_to >= 0 else nearest[0] if nearest else spot.along_m
        match = self._on(spot._replace(along_m=along), None, at)
        status = OFF_ROUND if known.is_sharp else UNKNOWN
        return replace(match, status=status, stop_id=None, offset_m=nearest[1] if nearest else None)

    def _late(self, state: State, fix: Fix, point: Point, sight: Sight) -> Match:
        """Place a fix that is not newer than what is known: by the same fix, else on from the one before it."""
        earlier = [known for known in state.known if known.belief.at <= point.at]
        if earlier and earlier[-1].belief.at == point.at:
            same = earlier[-1]._replace(point=point)
            spot = self.filter.spot(same.belief.codes, same.belief.mass)
            dwell = state.dwell if same.belief is state.known[-1].belief else Dwell()
            return self._told(spot, same, fix.fixed_at, dwell=dwell, off=same.belief.off)[0]
        return self._apart(state, fix, point, sight)

    def _apart(self, state: State, fix: Fix, point: Point, sight: Sight) -> Match:
        """Place a fix on from the last one before it, and keep nothing."""
        earlier = [known for known in state.known if known.belief.at < point.at]
        if earlier:
            gap_s = point.at - earlier[-1].belief.at
            belief = self.filter.step(earlier[-1].belief, point.at, sight, way_m=self._way_m(state, gap_s))[0]
        else:
            belief = self.filter.first(point.at, sight)[0]
        spot = self.filter.spot(belief.codes, belief.mass)
        return self._told(
            spot, Known(belief, point.is_sharp, point=point), fix.fixed_at, dwell=Dwell(), off=belief.off
        )[0]

    def _unusable(self, state: State, fix: Fix) -> Match:
        """Answer a fix that says nothing by the last sure place, with no confidence."""
        back_to = state.known[-1].belief.back_to if state.known else -1
        spot = Spot(self.filter.metres_of(back_to) if back_to >= 0 else 0.0, 0.0, reversed=False)
        return replace(self._on(spot, None, fix.fixed_at), status=UNKNOWN)


def locate(
    rnd: Round, fix: Fix, after_distance_m: float | None = None, *, after_s: float = 60.0, mode: str = "foot"
) -> Match:
    """Place one fix on a round, without memory other than a distance along it that was known `after_s` seconds before.

    `after_distance_m=None`: nothing is known. Raise EmptyRound when there is nothing to be placed on.
    """
    matcher = Matcher(rnd, mode, lag_fixes=0)
    state = matcher.start()
    if after_distance_m is not None and isfinite(after_distance_m):
        state = matcher.at(
            after_distance_m,
            fix.fixed_at
            - timedelta(seconds=min(max(after_s, 0.001), _LONG_AGO_S / 1e6) if isfinite(after_s) else 60.0),
        )
    return matcher.place(state, fix)
