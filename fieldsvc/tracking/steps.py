"""From fixes to progress: pure. What is kept for the next fix are distances along the line, and nothing beside it."""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from fieldsvc.store.progress import Progress, RunState
from fieldsvc.work.rounds import RunPlan
from geo import Fix, Match, Matcher
from geo.errors import BadState, EmptyRound
from geo.matching import AHEAD_M, AT_STOP, ON_ROUND, SPEED_MPS, State, locate

THINNED = timedelta(seconds=10)
PRIOR = timedelta(minutes=10)


@dataclass(slots=True)
class Sifted:
    """The fixes of an upload that give progress, in the order of their times, and how many of the others there were."""

    kept: list[Fix] = field(default_factory=list)
    duplicate: int = 0
    thinned: int = 0


@dataclass(frozen=True, slots=True)
class Advance:
    """What an upload gives: progress for each fix, the run's newest, and how many fixes were older than that."""

    progress: Sequence[Progress]
    newest: RunState
    late: int


def sift(fixes: Iterable[Fix], known: Collection[datetime]) -> Sifted:
    """Drop the copies, and what is closer than ten seconds to a known moment or to an earlier fix of the same upload."""
    found = Sifted()
    moments, seen = sorted(known), set(known)
    for fix in sorted(fixes, key=lambda each: each.fixed_at):
        at = fix.fixed_at
        if at in seen:
            found.duplicate += 1
            continue
        seen.add(at)
        here = bisect_left(moments, at)
        if any(abs(at - near) < THINNED for near in moments[max(here - 1, 0) : here + 1]):
            found.thinned += 1
            continue
        moments.insert(here, at)
        found.kept.append(fix)
    return found


def advance(plan: RunPlan, known: RunState, fixes: Sequence[Fix], before: Iterable[Progress]) -> Advance:
    """Match fixes, in the order of their times, on from what is known.

    A fix that is not newer than that is late: it is placed by the progress around it and moves nothing.
    """
    matcher, state = matcher_of(plan), state_of(known, plan)
    places = [(each.at, each.distance_along_m) for each in before if each.distance_along_m is not None]
    progress: list[Progress] = []
    newest, late = known, 0
    for fix in fixes:
        is_late = known.through_at is not None and fix.fixed_at <= known.through_at
        try:
            if is_late:
                match: Match | None = _late(plan, fix, places)
            else:
                state, told = matcher.update(state, fix)
                match = told.provisional
        except EmptyRound:
            match = None
        found = _progress(fix.fixed_at, match)
        progress.append(found)
        if found.distance_along_m is not None:
            insort(places, (found.at, found.distance_along_m))
        if is_late:
            late += 1
        else:
            along = newest.distance_along_m if found.distance_along_m is None else found.distance_along_m
            newest = RunState(newest.matcher, found.at, along, found.status)
    return Advance(progress, replace(newest, matcher=stored(state, plan)), late)


def matcher_of(plan: RunPlan) -> Matcher:
    """Make the matcher of a run; it keeps no earlier matches, so that its state holds no offset from the line."""
    return Matcher(plan.round, plan.round.mode, lag_fixes=0)


def state_of(known: RunState, plan: RunPlan) -> State:
    """Read the matcher's state; a round that was changed since, or a form of another release, starts anew."""
    version, _, body = known.matcher.partition(b" ")
    if version != str(plan.round_version).encode():
        return State()
    try:
        return Matcher.state_from_bytes(body)
    except BadState:
        return State()


def stored(state: State, plan: RunPlan) -> bytes:
    """Write the matcher's state behind the version of the round that its distances are of."""
    return str(plan.round_version).encode() + b" " + state.to_bytes()


def _late(plan: RunPlan, fix: Fix, places: Sequence[tuple[datetime, float]]) -> Match:
    """Place a fix ahead of the last place known before it, less than ten minutes earlier; else on the whole round."""
    here = bisect_left(places, (fix.fixed_at, 0.0))
    if not here or fix.fixed_at - places[here - 1][0] >= PRIOR:
        return locate(plan.round, fix)
    at, along = places[here - 1]
    speed = SPEED_MPS.get(plan.round.mode, SPEED_MPS["foot"])
    return locate(plan.round, fix, along, ahead_m=speed * (fix.fixed_at - at).total_seconds() * 2 + AHEAD_M)


def _progress(at: datetime, match: Match | None) -> Progress:
    """Keep of a match how far along the line it is, to a decimetre; off the round nothing of the place."""
    status = match.status if match is not None else "unknown"
    on_line = match is not None and status in (ON_ROUND, AT_STOP)
    return Progress(at, round(match.distance_along_m, 1) if match is not None and on_line else None, status)
