"""What a finished run teaches: how long its stops and legs took, and how often its own forecasts would have held."""

from dataclasses import replace
from datetime import datetime, timedelta

from geo.eta import NOTHING_SPECIAL, Today, forecast, pauses_of
from geo.learned_times import NOTHING, Figure, Learned, Profile, band_of, day_of, profile_of, with_day
from geo.rounds import Round
from geo.visits import AHEAD, PASSED, Course, StopVisit

_CHECKPOINTS = (0.2, 0.4, 0.6, 0.8)
_HORIZONS_S = (900.0, 3_600.0, 10_800.0)
_KEPT_MOST = 100.0


def learn(rnd: Round, learned: Learned, course: Course, today: Today = NOTHING_SPECIAL) -> Learned | None:
    """Take a finished run in: its times, and how far off the forecasts would have been; None where it was seen too badly."""
    profile = profile_of(rnd, learned)
    day = day_of(course, profile, pauses_of(course, today))
    moved = with_day(rnd, learned, day)
    if moved is None or not learned.days:
        return moved
    return replace(moved, kept=_judged(rnd, learned, course, profile=profile, today=today))


def _judged(rnd: Round, learned: Learned, course: Course, *, profile: Profile, today: Today) -> tuple[Figure, ...]:
    """Forecast a finished day from some moments of it, and note how often the truth was in the interval."""
    kept = list(learned.kept)
    bare = replace(learned, kept=(NOTHING,) * len(learned.kept))
    times = [visit.arrived_at or visit.passed_at for visit in course.visits]
    done = sorted(at for at in times if at is not None)
    by_id = {visit.stop_id: at for visit, at in zip(course.visits, times, strict=True) if at is not None}
    for share in _CHECKPOINTS:
        now = done[int(share * (len(done) - 1))]
        told = dict(
            forecast(rnd, _as_of(rnd, course, now), bare, now=now, today=_before(today, now), profile=profile).arrivals
        )
        for horizon in _HORIZONS_S:
            at = now + timedelta(seconds=horizon)
            near = min(told, key=lambda each: abs((by_id.get(each, now) - at).total_seconds()), default=None)
            if near is None or near not in by_id or abs((by_id[near] - at).total_seconds()) > 0.3 * horizon:
                continue
            held = told[near].early_at <= by_id[near] <= told[near].late_at
            kept[band_of(horizon)] = kept[band_of(horizon)].moved(float(held), most=_KEPT_MOST)
    return tuple(kept)


def _before(today: Today, now: datetime) -> Today:
    return replace(
        today, paused=False, pauses=tuple((first, min(until, now)) for first, until in today.pauses if first < now)
    )


def _as_of(rnd: Round, course: Course, now: datetime) -> Course:
    """Give what was known of a run at an earlier moment."""
    visits, last = [], (course.began_at, 0.0)
    for i, visit in enumerate(course.visits):
        at = visit.arrived_at or visit.passed_at
        if at is None or at > now:
            visits.append(StopVisit(visit.stop_id, AHEAD))
            continue
        gone = visit.departed_at is None or visit.departed_at <= now
        visits.append(visit if gone or visit.state == PASSED else replace(visit, departed_at=None))
        if last[0] is None or at >= last[0]:
            last = at, float(rnd.stop_distances_m[i])
    return Course(tuple(visits), course.began_at, now, last[1])
