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

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import pairwise
from math import isfinite
from types import ModuleType

from geo.belief import Belief, Filter, Sight, Spot
from geo.compiled import compiled, loaded
from geo.course import cut
from geo.match import AT_STOP, FORWARD, OFF_ROUND, ON_ROUND, REVERSED, UNKNOWN, Found, Match
from geo.motion import REACH, Model
from geo.pace import paced, stands_still, stood
from geo.positions import Fix
from geo.rounds import Round
from geo.sight import Point, is_usable, points_of, seen_standing, sight_of_stop, sights_of
from geo.state import NO_DWELL, Dwell, Known, State, state_from_bytes
from geo.telling import OFF, Place, Teller

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
_LONG_AGO_S = 1e12
_FAST_FROM = 1_000
_MODEL = Model()


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

        `replay` and `follow` run compiled where the extra `fast` is installed: many times faster once it was compiled, the same
        answers. By itself a replay does so from 1,000 fixes on, and `follow` where `geo.compiled.warm` has made it ready;
        `engine` = "fast" (ImportError where it is not installed) or "numpy" decides.
        """
        self.round = rnd
        self.mode = mode
        self.lag_fixes = lag_fixes
        self.model = model or _MODEL
        self._teller = Teller(rnd)
        self._engine = engine
        self.usual_mps = _MOVING * SPEED_MPS.get(mode, SPEED_MPS["foot"])

    @cached_property
    def filter(self) -> Filter:
        """The filter in numpy, with the course of the round."""
        return Filter(self.round.course, self.model)

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

    def follow(self, state: State, fixes: Sequence[Fix]) -> tuple[State, list[Found]]:
        """Take some fixes in the order of `fixed_at`, each as `update` would; at once, where that runs compiled."""
        fast, found = self._ready(), []
        while fixes:
            run = self._run_of(state, fixes)
            if not run:
                state, one = self.update(state, fixes[0])
                found.append(one)
            elif fast is not None:
                state, told = self._followed(fast, state, fixes[:run])
                found += told
            else:
                state, told = self._taken(state, fixes[:run])
                found += told
            fixes = fixes[max(run, 1) :]
        return state, found

    def replay(self, fixes: Iterable[Fix]) -> list[Found]:
        """Match a whole run from its start: one Found per fix, in the order given; a fix out of time is late."""
        every, state = list(fixes), self.start()
        fast = self._compiled(len(every))
        if self._run_of(state, every) < len(every):
            return self._one_by_one(every)
        if fast is not None and every:
            return self._followed(fast, state, every, keeps=False)[1]
        return self._taken(state, every)[1]

    def anchor(self, state: State, stop_id: str, at: datetime) -> tuple[State, Found]:
        """Take a scan or a served stop: the carrier was at that stop, as good as surely; raise UnknownStop.

        One older than the newest fix changes what is believed now by how the carrier can have gone on from there.
        """
        along, moment = self.round.distance_of(stop_id), at.timestamp()
        sight = sight_of_stop(self.filter.course, along, _STOP_SIGMA_M)
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
        match = self._teller.told(Place(moment, along, 0.99), at, AT_STOP)
        return state, Found(replace(match, stop_id=stop_id), None)

    def at(self, distance_m: float, at: datetime) -> State:
        """Begin at a place along the round that is known from elsewhere."""
        sight = sight_of_stop(
            self.filter.course, min(max(distance_m, 0.0), self.filter.course.length_m), _PLACE_SIGMA_M
        )
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
            return loaded()
        except (ImportError, RuntimeError):  # not installed, not for this numpy, no folder to keep what was compiled
            if self._engine == "fast":
                raise
            return None

    def _ready(self) -> ModuleType | None:
        """Return the compiled filter where it is wanted, and ready: whoever takes fixes as they come does not wait for it."""
        if self._engine is None:
            return compiled()
        return loaded() if self._engine == "fast" else None

    def _run_of(self, state: State, fixes: Sequence[Fix]) -> int:
        """Count how many of the fixes are usable and each newer than the one before, from the first on; 0 where the state is not ours."""
        known = state.known
        if len(known) > max(self.lag_fixes, 1) or any(b.belief.at <= a.belief.at for a, b in pairwise(known)):
            return 0
        before, run = known[-1].belief.at if known else -_LONG_AGO_S, 0
        for fix in fixes:
            at = fix.fixed_at.timestamp()
            if at <= before or not is_usable(fix):
                break
            before, run = at, run + 1
        return run

    def _followed(
        self, fast: ModuleType, state: State, fixes: Sequence[Fix], *, keeps: bool = True
    ) -> tuple[State, list[Found]]:
        """Go on compiled, and make the matches of what was believed."""
        before = state.known[-1].belief.at if state.known else None
        if before is None or not self._knows(state.known[-1].belief):
            state = State()
        lag, held, tell = self.lag_fixes, len(state.known), self._teller.tell
        how = fast.How(self.model, lag, self.usual_mps, keeps=keeps)
        told = fast.follow(self.round, how, state, fixes, before=before)
        dwell, later_dwell, off_fixes, found = state.dwell, state.confirmed_dwell, state.off_fixes, []
        for k, fix in enumerate(fixes):
            place, evidence = told.now[k]
            off_fixes = off_fixes + 1 if place.off >= OFF else 0
            match, dwell = tell(place, fix.fixed_at, dwell, is_doubted=off_fixes == 1)
            confirmed, later = (None, told.later[k]) if lag else (match, None)
            at = k - lag
            if later is not None and (at >= 0 or not state.known[at + held].is_anchor):
                moment = fixes[at].fixed_at if at >= 0 else datetime.fromtimestamp(later.moment, UTC)
                confirmed, later_dwell = tell(later, moment, later_dwell)
            found.append(Found(match, confirmed, evidence))
        known = (*state.known, *told.known)[-max(lag, 1) :]
        return State(known, told.pace_mps, told.sure_m, off_fixes, told.standing, dwell, later_dwell), found

    def _taken(self, state: State, fixes: Sequence[Fix]) -> tuple[State, list[Found]]:
        """Go on by usable fixes in order of time, in numpy: all are looked at together."""
        points, found = points_of(self.filter.course, fixes, self.model), []
        before = state.known[-1].belief.at if state.known else points[0].at - _LONG_AGO_S if points else 0.0
        gaps = [after - at for at, after in pairwise([before, *(point.at for point in points)])]
        sights = sights_of(self.filter.course, points, gaps, self.model)
        for fix, point, sight in zip(fixes, points, sights, strict=True):
            state, one = self._take(state, fix, point, sight)
            found.append(one)
        return state, found

    def _knows(self, belief: Belief) -> bool:
        """Tell whether a belief is of this line: no code of it is beyond the last."""
        return not len(belief.codes) or int(belief.codes[-1]) <= 2 * cut(self.round.length_m)[1] + REACH

    def _seen(self, state: State, fix: Fix) -> tuple[Point, Sight]:
        (point,) = points_of(self.filter.course, [fix], self.model)
        before = [known.belief.at for known in state.known if known.belief.at <= point.at]
        gap_s = point.at - before[-1] if before else _LONG_AGO_S
        return point, sights_of(self.filter.course, [point], [gap_s], self.model)[0]

    def _way_m(self, state: State, dt_s: float) -> float:
        return (state.pace_mps or self.usual_mps) * dt_s

    def _take(self, state: State, fix: Fix, point: Point, sight: Sight) -> tuple[State, Found]:
        """Go on by one fix: believe, say what is believed now, and what is confirmed of an earlier fix."""
        before = state.known[-1].belief if state.known else None
        link, dt_s = None, 0.0
        if before is None or not self._knows(before):
            belief, evidence = self.filter.first(point.at, sight)
            state = State()
        else:
            dt_s = point.at - before.at
            is_still = stands_still(self.filter, state.standing, point)
            sight = seen_standing(sight, point, self.model) if is_still else sight
            way_m = self._way_m(state, dt_s)
            belief, link, evidence = self.filter.step(before, point.at, sight, way_m=way_m, is_still=is_still)
        spot = self.filter.spot(belief.codes, belief.mass)
        pace_mps, sure_m = paced(state, spot, belief.off, dt_s=dt_s, usual_mps=self.usual_mps)
        off_fixes = state.off_fixes + 1 if belief.off >= OFF else 0
        known = (*state.known, Known(belief, point.is_sharp, link=link, point=point))
        place = self._place(spot, known[-1], off=belief.off)
        match, dwell = self._teller.tell(place, fix.fixed_at, state.dwell, is_doubted=off_fixes == 1)
        confirmed, confirmed_dwell = self._confirmed(known, state.confirmed_dwell)
        standing = NO_DWELL if off_fixes else stood(self.filter, state.standing, spot.along_m, point)
        kept = known[-max(self.lag_fixes, 1) :]
        state = State(kept, pace_mps, sure_m, off_fixes, standing, dwell, confirmed_dwell)
        return state, Found(match, confirmed if self.lag_fixes else match, evidence)

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
        place = self._place(spot, first, off=chances[1])
        return self._teller.tell(place, datetime.fromtimestamp(first.belief.at, UTC), dwell)

    def _place(self, spot: Spot, known: Known, *, off: float) -> Place:
        """Say where that is; off the round the place is the last sure one, or the nearest, and the offset that from the nearest."""
        along, point, offset, course = spot.along_m, known.point, None, self.filter.course
        if off < OFF:
            offset = course.offset_m(along, point.x, point.y) if point else None
        else:
            if point:
                along, offset = course.nearest(point.x, point.y)
            if known.belief.back_to >= 0:
                along = self.filter.metres_of(known.belief.back_to)
        sigma_m = point.sigma_m if point else 0.0
        told = along, spot.confidence, spot.reversed, spot.others
        return Place(known.belief.at, *told, off, offset, sigma_m, known.is_sharp)

    def _late(self, state: State, fix: Fix, point: Point, sight: Sight) -> Match:
        """Place a fix that is not newer than what is known: by the same fix, else on from the one before it."""
        earlier = [known for known in state.known if known.belief.at <= point.at]
        if earlier and earlier[-1].belief.at == point.at:
            same = earlier[-1]._replace(point=point)
            spot = self.filter.spot(same.belief.codes, same.belief.mass)
            dwell = state.dwell if same.belief is state.known[-1].belief else Dwell()
            return self._teller.tell(self._place(spot, same, off=same.belief.off), fix.fixed_at, dwell)[0]
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
        place = self._place(spot, Known(belief, point.is_sharp, point=point), off=belief.off)
        return self._teller.tell(place, fix.fixed_at)[0]

    def _unusable(self, state: State, fix: Fix) -> Match:
        """Answer a fix that says nothing by the last sure place, with no confidence."""
        back_to = state.known[-1].belief.back_to if state.known else -1
        along = self.filter.metres_of(back_to) if back_to >= 0 else 0.0
        return self._teller.told(Place(fix.fixed_at.timestamp(), along, 0.0), fix.fixed_at, UNKNOWN)


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
