"""The daily job: runs are planned as soon as their roster is known, and kept to the hours of duty; old tasks come to an end."""

import asyncio
from collections.abc import Awaitable
from datetime import time, timedelta

from fieldsvc.errors import FieldsvcError
from fieldsvc.journal.hearing import Hearing
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS
from fieldsvc.work.runs import Runs

log = get_logger()
EVERY_S = 300.0
KEPT = timedelta(days=35)  # who was away, which stops moved, what runs took out


async def plan_days(runs: Runs, hours: tuple[time, time] | None = None, *, hearing: Hearing | None = None) -> None:
    """Plan today and tomorrow, keep today's runs to the hours of duty, and end what was not done, every five minutes.

    What was not done, and by whom, is only judged when phones have been heard for a while.
    """
    while True:
        for day in (runs.today(), runs.today() + timedelta(days=1)):
            try:
                planned = await runs.plan_day(day)
            except (FieldsvcError, *DATABASE_ERRORS) as error:
                log.warning("day.not_planned", day=str(day), error=type(error).__name__)
            else:
                if planned:
                    log.info("day.planned", day=str(day), count=planned)
        if hearing is None or hearing.is_settled:
            if hours is not None:
                await _done("hours_kept", runs.keep_hours(hours))
            await _done("tasks_expired", runs.expire_tasks())
        await _done("forgotten", runs.forget_before(runs.today() - KEPT))
        await asyncio.sleep(EVERY_S)


async def _done(name: str, work: Awaitable[int]) -> None:
    try:
        count = await work
    except (FieldsvcError, *DATABASE_ERRORS) as error:
        log.warning("day.not_done", type=name, error=type(error).__name__)
    else:
        if count:
            log.info("day.done", type=name, count=count)
