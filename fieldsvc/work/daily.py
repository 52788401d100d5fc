"""The daily job: the runs of today and tomorrow are planned as soon as their roster is known."""

import asyncio
from datetime import timedelta

from fieldsvc.errors import FieldsvcError
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS
from fieldsvc.work.runs import Runs

log = get_logger()
EVERY_S = 300.0


async def plan_days(runs: Runs) -> None:
    """Plan today and tomorrow, again every five minutes, until cancelled."""
    while True:
        for day in (runs.today(), runs.today() + timedelta(days=1)):
            try:
                planned = await runs.plan_day(day)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("day.not_planned", day=str(day), error=type(error).__name__)
            else:
                if planned:
                    log.info("day.planned", day=str(day), count=planned)
        await asyncio.sleep(EVERY_S)
