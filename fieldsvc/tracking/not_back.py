"""Who is not back, and what is left: the runs of today that were started and did not end, with their open work.

When each will be back is a forecast, made when it is asked for and not again for half a minute.
"""

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from datetime import time as day_time
from typing import Any

from fieldsvc.store import not_back as store
from fieldsvc.store.database import Database
from fieldsvc.store.not_back import OpenTask, OutRun
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.tracking.sight import status_of
from fieldsvc.tracking.timeline import TIMED_TASK
from fieldsvc.work.runs import Runs
from geo.visits import AHEAD
from handlers.fields import format_time
from handlers.registry import Registry

FORECAST_KEPT_S, FORECASTS_KEPT, AT_ONCE, PAGE_MOST = 30.0, 5_000, 2, 100


@dataclass(frozen=True, slots=True)
class Expected:
    """What a forecast says of a run: when it ends, between when and when, and how many stops lie ahead."""

    end_at: str | None
    early_at: str | None
    late_at: str | None
    stops_left: int


class NotBack:
    """Lists the runs of a site that are not back."""

    def __init__(
        self,
        database: Database,
        forecasts: Forecasts,
        runs: Runs,
        *,
        registry: Registry,
        hours: tuple[day_time, day_time] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`hours` are the local hours of duty, where runs keep to them: else nobody knows when a run should end."""
        self._database = database
        self._forecasts = forecasts
        self._runs = runs
        self._discreet = frozenset(name for name, each in registry.handlers.items() if each.discreet)
        self._hours = hours
        self._clock = clock
        self._known: dict[str, tuple[float, Expected]] = {}
        self._at_once = asyncio.Semaphore(AT_ONCE)

    async def page(self, site: str | None, *, after: str, limit: int) -> tuple[dict[str, Any], str | None]:
        """Tell who is not back, in the order of the runs' ids, and behind which of them the next page begins."""
        now, day, most = datetime.now(UTC), self._runs.today(), min(limit, PAGE_MOST)
        found = await store.runs(self._database, day, site=site, after=after, limit=most + 1)
        page = found[:most]
        tasks = await store.tasks(self._database, day, [each.now.round_id for each in page])
        expected = await asyncio.gather(*(self._expected(each.now.run_id, each.now.site) for each in page))
        told = [
            self._run(each, ahead, tasks.get(each.now.round_id, ()), now)
            for each, ahead in zip(page, expected, strict=True)
        ]
        return {"at": format_time(now), "runs": told}, page[-1].now.run_id if len(found) > most else None

    async def _expected(self, run_id: str, site: str) -> Expected:
        async with self._at_once:
            known = self._known.pop(run_id, None)
            if known is None or self._clock() - known[0] >= FORECAST_KEPT_S:
                told = await self._forecasts.stops_of(run_id, site=site)
                known = self._clock(), _read(told)
            self._known[run_id] = known
            while len(self._known) > FORECASTS_KEPT:
                del self._known[next(iter(self._known))]
            return known[1]

    def _run(self, each: OutRun, expected: Expected, tasks: Sequence[OpenTask], now: datetime) -> dict[str, Any]:
        run = each.now
        ends_at = datetime.combine(run.day, self._hours[1], self._runs.zone) if self._hours else None
        return {
            "run_id": run.run_id,
            "round_id": run.round_id,
            "name": each.name,
            "carrier": run.carrier,
            "state": run.state,
            "status": status_of(run.duty, run.status) if run.duty else None,
            "seen_at": _time(run.through_at) if run.duty else None,
            "expected_end_at": expected.end_at,
            "expected_early_at": expected.early_at,
            "expected_late_at": expected.late_at,
            "ends_at": _time(ends_at),
            "stops_left": expected.stops_left,
            "tasks_left": [self._task(task, now) for task in tasks],
            "things_out": each.things_out,
        }

    def _task(self, task: OpenTask, now: datetime) -> dict[str, Any]:
        first, until = task.window_from, task.window_until
        return {
            "task_id": task.id,
            "service": TIMED_TASK if task.service in self._discreet else task.service,
            "stop_id": task.stop_id,
            "address": task.address,
            "window": {"from": _time(first), "until": _time(until)} if first or until else None,
            "overdue": until is not None and until < now,
        }


def _read(told: Mapping[str, Any] | None) -> Expected:
    if told is None:
        return Expected(None, None, None, 0)
    ends = told["end_eta_at"], told["end_early_at"], told["end_late_at"]
    return Expected(*ends, sum(stop["state"] == AHEAD for stop in told["stops"]))


def _time(moment: datetime | None) -> str | None:
    return format_time(moment) if moment else None
