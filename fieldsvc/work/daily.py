"""The daily job: runs are planned as soon as their roster is known, and kept to the hours of duty if there are any."""

import asyncio
from datetime import time, timedelta

from fieldsvc.errors import FieldsvcError
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS
from fieldsvc.work.runs import Runs

log = get_logger()
EVERY_S = 300.0


async def plan_days(runs: Runs, hours: tuple[time, time] | None = None) -> None:
    """Plan today and tomorrow, and keep today's runs to the hours of duty, again every five minutes, until cancelled."""
    while True:
        for day in (runs.today(), runs.today() + timedelta(days=1)):
            try:
                planned = await runs.plan_day(day)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("day.not_planned", day=str(day), error=type(error).__name__)
            else:
                if planned:
                    log.info("day.planned", day=str(day), count=planned)
        if hours is not None:
            await _keep_hours(runs, hours)
        await asyncio.sleep(EVERY_S)


async def _keep_hours(runs: Runs, hours: tuple[time, time]) -> None:
    try:
        said = await runs.keep_hours(hours)
    except (FieldsvcError, *DATABASE_ERRORS) as error:
        log.warning("day.hours_not_kept", error=type(error).__name__)
    else:
        if said:
            log.info("day.hours_kept", count=said)
