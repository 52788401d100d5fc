"""From fixes to progress: pure. What is kept for the next fix are distances along the line, and nothing beside it."""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import zip_longest

from fieldsvc.store.progress import Progress, RunState
from fieldsvc.work.rounds import RunPlan
from geo import Fix, Match, Matcher
from geo.errors import BadState, EmptyRound
from geo.match import Found
from geo.matching import AT_STOP, ON_ROUND
from geo.state import State

LAG_FIXES = 4
CORRECTED_M = 25.0
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
    """What an upload gives: progress for each fix, the run's newest, how many fixes were older than that, and what it corrects.

    `corrected` are moments of earlier uploads, which the fixes since have shown to be elsewhere.
    """

    progress: Sequence[Progress]
    newest: RunState
    late: int
    corrected: Sequence[Progress] = ()


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

    A fix that is not newer than that is late: it is placed by the progress around it and moves nothing. Each of the others also
    confirms the place of the fix four before it, or corrects it.
    """
    matcher, state = matcher_of(plan), state_of(known, plan)
    earlier = {each.at: each for each in before}
    places = sorted((each.at, each.distance_along_m) for each in earlier.values() if each.distance_along_m is not None)
    progress: dict[datetime, Progress] = {}
    corrected: list[Progress] = []
    late = 0 if known.through_at is None else bisect_right(fixes, known.through_at, key=_moment)
    for fix in fixes[:late]:
        found = _progress(fix.fixed_at, _late(matcher, fix, places) if matcher else None)
        progress[found.at] = found
        if found.distance_along_m is not None:
            insort(places, (found.at, found.distance_along_m))
    told: Sequence[Found] = ()
    if matcher is not None:
        state, told = matcher.follow(state, fixes[late:])
    newest = known
    for fix, one in zip_longest(fixes[late:], told):
        found = _progress(fix.fixed_at, one.provisional if one else None)
        progress[found.at] = found
        along = newest.distance_along_m if found.distance_along_m is None else found.distance_along_m
        newest = RunState(newest.matcher, found.at, along, found.status)
        if one is not None and one.confirmed is not None:
            sure = _progress(one.confirmed.fixed_at, one.confirmed)
            if sure.at in progress:
                progress[sure.at] = sure
            elif sure.at in earlier and _is_elsewhere(earlier[sure.at], sure):
                corrected.append(sure)
    return Advance(list(progress.values()), replace(newest, matcher=stored(state, plan)), late, corrected)


def _moment(fix: Fix) -> datetime:
    return fix.fixed_at


def _is_elsewhere(told: Progress, sure: Progress) -> bool:
    """Tell whether a place has to be corrected: on the line or not, or by more than 25 m along it."""
    if told.distance_along_m is None or sure.distance_along_m is None:
        return told.distance_along_m is not sure.distance_along_m
    return abs(told.distance_along_m - sure.distance_along_m) > CORRECTED_M


def matcher_of(plan: RunPlan) -> Matcher | None:
    """Make the matcher of a run, compiled where that is ready; None for a round of nothing."""
    try:
        return Matcher(plan.round, plan.round.mode, LAG_FIXES)
    except EmptyRound:
        return None


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


def _late(matcher: Matcher, fix: Fix, places: Sequence[tuple[datetime, float]]) -> Match:
    """Place a fix on from the last place known before it, less than ten minutes earlier; else on the whole round."""
    here = bisect_left(places, (fix.fixed_at, 0.0))
    if not here or fix.fixed_at - places[here - 1][0] >= PRIOR:
        return matcher.place(matcher.start(), fix)
    at, along = places[here - 1]
    return matcher.place(matcher.at(along, at), fix)


def _progress(at: datetime, match: Match | None) -> Progress:
    """Keep of a match how far along the line it is, to a decimetre; off the round nothing of the place."""
    status = match.status if match is not None else "unknown"
    on_line = match is not None and status in (ON_ROUND, AT_STOP)
    return Progress(at, round(match.distance_along_m, 1) if match is not None and on_line else None, status)
