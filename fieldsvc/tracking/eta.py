"""When a run was at its stops, and when it will be at the others: computed when asked, from progress that exists anyway.

Nothing of it is kept. What may be seen is what may be seen of the run's way: nobody's arrival is forecast off duty.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from itertools import pairwise
from typing import Any

import orjson

from fieldsvc.logs import get_logger
from fieldsvc.store import learned_time as store
from fieldsvc.store.database import Database
from fieldsvc.store.learned_time import OpenWork, Row, RunTimes
from fieldsvc.store.live import duty_of
from fieldsvc.tracking.sight import status_of
from fieldsvc.work.rounds import RoundStore
from geo.errors import BadState, EmptyRound
from geo.eta import Estimate, Forecast, Today, forecast
from geo.learned_times import Learned
from geo.matching import AT_STOP
from geo.rounds import Round
from geo.visits import AHEAD, Course, Sighting, StopVisit, course_of
from handlers.fields import format_time, parse_time

log = get_logger()
ROWS_MOST, STOPS_MOST = 20_000, 5_000
NO_WORK = OpenWork(0, None)


@dataclass(frozen=True, slots=True)
class Told:
    """What the database knows of a run and its round."""

    run: RunTimes
    rows: Sequence[Row]
    learned: bytes
    work: Mapping[str, OpenWork]


class Forecasts:
    """Tells of one run at a time."""

    def __init__(
        self, database: Database, rounds: RoundStore, zone: tzinfo, *, hours: tuple[time, time] | None = None
    ) -> None:
        """`hours` are the local hours of duty, where runs keep to them."""
        self._database = database
        self._rounds = rounds
        self._zone = zone
        self._hours = hours

    async def stops_of(self, run_id: str, *, site: str | None, now: datetime | None = None) -> dict[str, Any] | None:
        """Tell when a run was at each stop, and when it is expected at the others; None for a run out of reach."""
        run = await store.run(self._database, run_id, site=site)
        known = await self._rounds.known_round(run.round_id) if run else None
        if run is None or known is None:
            return None
        told = Told(
            run,
            await store.rows_of(self._database, run.day, run_id, limit=ROWS_MOST),
            await store.read(self._database, run.round_id),
            await store.open_work(self._database, run.day, run.round_id),
        )
        moment = now or datetime.now(UTC)
        planned_at = datetime.combine(run.day, self._hours[0], self._zone) if self._hours else None
        return await asyncio.to_thread(_told, known.stored.round, told, now=moment, planned_at=planned_at)


def _told(planned: Round, told: Told, *, now: datetime, planned_at: datetime | None) -> dict[str, Any]:
    run = told.run
    duty = duty_of(run.state, run.body)
    try:
        course = course_of(planned, sightings(planned, told.rows), ended=run.state == "ended")
        expected = Forecast()
        if duty is not None or run.state == "planned":
            today = today_of(run.body, now, started=duty is not None, paused=duty == "paused", planned_at=planned_at)
            expected = forecast(planned, course, known(told.learned), now=now, today=today)
    except EmptyRound:
        course, expected = Course(()), Forecast()
    arrivals = _shown(course, expected, told.work)
    end = max([expected.end, *arrivals.values()], key=lambda each: each.at) if expected.end else None
    seen = duty is not None or run.state == "ended"
    return {
        "run_id": run.run_id,
        "round_id": run.round_id,
        "state": run.state,
        "at": format_time(now),
        "seen_at": _time(run.through_at) if seen else None,
        "distance_along_m": run.distance_along_m if seen else None,
        "status": status_of(duty, run.status) if duty else None,
        "end_eta_at": _time(end.at) if end else None,
        "end_early_at": _time(end.early_at) if end else None,
        "end_late_at": _time(end.late_at) if end else None,
        "skipped_candidates": sum(visit.skipped_candidate for visit in course.visits),
        "skipped_with_open_tasks": sum(
            visit.skipped_candidate and visit.stop_id in told.work for visit in course.visits
        ),
        "stops": [
            _stop(planned, i, visit, arrivals.get(visit.stop_id), work=told.work.get(visit.stop_id, NO_WORK))
            for i, visit in enumerate(course.visits[:STOPS_MOST])
        ],
    }


def _shown(course: Course, expected: Forecast, work: Mapping[str, OpenWork]) -> dict[str, Estimate]:
    """Leave out when a stop is expected that was jumped over and has nothing open: it was probably skipped for good."""
    skipped = {visit.stop_id for visit in course.visits if visit.skipped_candidate and visit.stop_id not in work}
    return {stop_id: each for stop_id, each in expected.arrivals if stop_id not in skipped}


def _stop(planned: Round, i: int, visit: StopVisit, eta: Estimate | None, *, work: OpenWork) -> dict[str, Any]:
    stop, until = planned.stops[i], work.window_until
    return {
        "stop_id": stop.stop_id,
        "sequence": stop.sequence if stop.sequence is not None else i + 1,
        "address": stop.address,
        "state": visit.state,
        "arrived_at": _time(visit.arrived_at),
        "departed_at": _time(visit.departed_at),
        "passed_at": _time(visit.passed_at),
        "open_tasks": work.tasks,
        **({"stop_range": list(visit.stop_range)} if visit.stop_range else {}),
        **({"out_of_order": True} if visit.out_of_order else {}),
        **({"skipped_candidate": True} if visit.skipped_candidate else {}),
        "eta_at": _time(eta.at) if eta else None,
        "eta_early_at": _time(eta.early_at) if eta else None,
        "eta_late_at": _time(eta.late_at) if eta else None,
        **({"window_until": _time(until), "late": _late(eta, until)} if until and visit.state == AHEAD else {}),
    }


def _late(eta: Estimate | None, until: datetime) -> str | None:
    """Say whether a window will be missed: `likely` by the median, `possible` by the 90th percentile."""
    if eta is None:
        return None
    return "likely" if eta.at > until else "possible" if eta.late_at > until else None


def sightings(planned: Round, rows: Sequence[Row]) -> list[Sighting]:
    """Read progress as places; a row exactly at one stop is one that a scan or a served stop left there.

    The ends of the line say nothing: what lies beyond them is put there.
    """
    metres, ends = [round(float(each), 1) for each in planned.stop_distances_m], (0.0, round(planned.length_m, 1))
    times = Counter(metres)
    exact = {each: i for i, each in enumerate(metres) if times[each] == 1 and each not in ends}
    found = []
    for row in rows:
        stop = exact.get(row.distance_along_m) if row.status == AT_STOP and row.distance_along_m is not None else None
        stop_id = planned.stops[stop].stop_id if stop is not None else None
        found.append(Sighting(row.at, row.distance_along_m, row.status, stop_id=stop_id))
    return found


def today_of(
    body: bytes | None,
    now: datetime,
    *,
    started: bool = True,
    paused: bool = False,
    planned_at: datetime | None = None,
) -> Today:
    """Read from what the journal decided when a run began and paused; before it began, when it is planned to."""
    state: dict[str, Any] = orjson.loads(body) if body else {}
    spans = [(parse_time(first), parse_time(until) if until else now) for first, until in _intervals(state)]
    if not started or not spans:
        return Today(starts_at=_planned_start(state) or planned_at, started=False)
    pauses = [(before[1], after[0]) for before, after in pairwise(spans)]
    if paused and spans[-1][1] < now:
        pauses.append((spans[-1][1], now))
    return Today(spans[0][0], started=True, paused=paused, pauses=tuple(pauses))


def known(body: bytes) -> Learned:
    """Read what was learned of a round; what another release wrote counts as nothing."""
    if not body:
        return Learned()
    try:
        return Learned.from_bytes(body)
    except BadState:
        log.warning("times.not_read")
        return Learned()


def _intervals(state: Mapping[str, Any]) -> Sequence[tuple[str, str | None]]:
    found: Sequence[tuple[str, str | None]] = state.get("now", {}).get("intervals", ())
    return found


def _planned_start(state: Mapping[str, Any]) -> datetime | None:
    told = [row[3].get("starts_at") for row in state.get("facts", ()) if row[2] == "run.planned"]
    return next((parse_time(each) for each in reversed(told) if each), None)


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
