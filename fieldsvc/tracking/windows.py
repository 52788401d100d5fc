"""Windows that a late run will miss: told as soon as nine forecasts in ten say so, and taken back when the run recovers.

The tasks are told by timers, set in one statement with the note that they were told, so that several processes and restarts
tell nothing twice. Looked at are runs at work with a window that ends within two hours: each costs one forecast a minute.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.hearing import Hearing
from fieldsvc.logs import get_logger
from fieldsvc.store import window_threat as store
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.window_threat import Windowed
from fieldsvc.tracking.eta import Forecasts
from handlers.fields import parse_time

log = get_logger()
EVERY_S = 60.0
AHEAD, SPARE, AFTER_THE_END = timedelta(hours=2), timedelta(minutes=3), timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Windows:
    """Watches over the windows of runs at work."""

    database: Database
    forecasts: Forecasts
    zone: tzinfo
    hearing: Hearing = field(default_factory=Hearing)

    async def run(self) -> None:
        """Look once a minute until cancelled, when phones have been heard for a while."""
        while True:
            try:
                if self.hearing.is_settled:
                    await self.look(datetime.now(UTC))
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("windows.not_watched", error=type(error).__name__)
            await asyncio.sleep(EVERY_S)

    async def look(self, now: datetime) -> None:
        """Tell the tasks whose window will be missed, those that will be served after all, and pouches left with a carrier."""
        today = now.astimezone(self.zone).date()
        for run_id in await store.runs(self.database, today, since=now, until=now + AHEAD):
            await self._look_at(run_id, now)
        await store.strand(self.database, today - timedelta(days=2), ended_before=now - AFTER_THE_END, at=now)
        await store.forget(self.database)

    async def _look_at(self, run_id: str, now: datetime) -> None:
        told = await self.forecasts.stops_of(run_id, site=None, now=now)
        late_at = (
            {stop["stop_id"]: parse_time(stop["eta_late_at"]) for stop in told["stops"] if stop["eta_late_at"]}
            if told
            else {}
        )
        missed, recovered = judged(await store.of_run(self.database, run_id), late_at)
        if missed:
            await store.threaten(self.database, run_id, missed, at=now)
        if recovered:
            await store.relieve(self.database, run_id, recovered, at=now)


def judged(tasks: Sequence[Windowed], late_at: Mapping[str, datetime]) -> tuple[list[str], list[str]]:
    """Say which tasks will be missed and which will not any more, by when the run is there in nine cases of ten.

    Between the two lie three minutes in which nothing is said.
    """
    known = [(task, late_at[task.stop_id]) for task in tasks if task.stop_id in late_at]
    missed = [task.task_id for task, late in known if not task.is_threatened and late > task.window_until]
    recovered = [task.task_id for task, late in known if task.is_threatened and late <= task.window_until - SPARE]
    return missed, recovered
