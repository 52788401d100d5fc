"""Upkeep: partitions are made ahead, so that no event and no fix ever meets a missing one, and dropped when they are old.

Of the journal seven days and two months are made ahead. Of the progress of runs the last eight days, which a phone that was
away may still tell of, and eight ahead; what is older than 60 days is dropped. Tracks have partitions only as long as the
operator keeps them: with no day to keep, all that is left of earlier ones goes at once.
"""

import asyncio
from datetime import UTC, date, datetime, timedelta

import asyncpg

from fieldsvc.journal import retention
from fieldsvc.logs import get_logger
from fieldsvc.store import audit
from fieldsvc.store.database import DATABASE_ERRORS, Database
from sql import query

log = get_logger()
DAYS_AHEAD, MONTHS_AHEAD, EVERY_S = 7, 2, 3_600
PROGRESS_BACK, PROGRESS_AHEAD, PROGRESS_DAYS = 8, 8, 60
AUDIT_DAYS = 365  # who looked is kept longer than what they looked at, and leaves by whole months
END = date(9000, 1, 1)  # the driver makes `infinity` of the last date there is, which no text can be compared with


async def make_partitions(connection: asyncpg.Connection, now: datetime, *, keep_tracks_days: int = 0) -> int:
    """Make the missing partitions and drop what is too old; return how many were made."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=1)
    made = await connection.fetchval(query("upkeep.make_days"), first, DAYS_AHEAD + 2)
    made += await connection.fetchval(query("upkeep.make_months"), first, MONTHS_AHEAD + 1)
    made += await audit.keep_months(connection, first, MONTHS_AHEAD + 1, oldest=today - timedelta(days=AUDIT_DAYS))
    made += await _keep_progress(connection, today)
    await connection.execute(query("task.forget_keys"))
    return int(made + await _keep_tracks(connection, today, keep_tracks_days))


async def _keep_progress(connection: asyncpg.Connection, today: date) -> int:
    """Make days of progress; drop those before the last 60, with them where their runs were last, and settled alarms and alerts."""
    first, oldest = today - timedelta(days=PROGRESS_BACK), today - timedelta(days=PROGRESS_DAYS - 1)
    await connection.fetchval(query("upkeep.drop_days_of"), "progress", oldest)
    await connection.execute(query("run_state.forget_before"), oldest)
    await connection.execute(query("alarm.forget_before"), oldest)
    await connection.execute(query("alert.forget_before"), oldest)
    await connection.execute(query("silence.forget_before"), oldest)
    await connection.execute(query("hazard.forget_before"), oldest)
    await connection.execute(query("sheet.forget_before"), today - timedelta(days=2))
    count = PROGRESS_BACK + PROGRESS_AHEAD + 1
    return int(await connection.fetchval(query("upkeep.make_days_of"), "progress", first, count))


async def _keep_tracks(connection: asyncpg.Connection, today: date, days: int) -> int:
    """Drop days of tracks that are no longer kept; make those to be kept, and some ahead."""
    oldest = today - timedelta(days=days) if days else END
    await connection.fetchval(query("upkeep.drop_days_of"), "track", oldest)
    if not days:
        return 0
    return int(await connection.fetchval(query("upkeep.make_days_of"), "track", oldest, days + PROGRESS_AHEAD + 1))


async def keep_up(database: Database, *, keep_tracks_days: int = 0) -> None:
    """Make and drop partitions every hour, and once a day let go of everything that is too old, until cancelled."""
    applied_on = date.min
    while True:
        try:
            now = datetime.now(UTC)
            async with database.acquire() as connection:
                made = await make_partitions(connection, now, keep_tracks_days=keep_tracks_days)
                if applied_on < now.date():
                    for table, count in (await retention.apply(connection, now)).items():
                        log.info("retention.gone", table=table, count=count)
                    applied_on = now.date()
            if made:
                log.info("partitions.made", count=made)
        except (*DATABASE_ERRORS, asyncpg.InternalClientError) as error:
            log.warning("partitions.failed", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)
