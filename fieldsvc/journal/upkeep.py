"""Upkeep: partitions are made seven days and two months ahead, so that no event ever meets a missing one."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg

from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS, Database
from sql import query

log = get_logger()
DAYS_AHEAD, MONTHS_AHEAD, EVERY_S = 7, 2, 3_600


async def make_partitions(connection: asyncpg.Connection, now: datetime) -> int:
    """Make the missing partitions; return how many were made."""
    today = now.astimezone(UTC).date()
    first = today - timedelta(days=1)
    made = await connection.fetchval(query("upkeep.make_days"), first, DAYS_AHEAD + 2)
    made += await connection.fetchval(query("upkeep.make_months"), first, MONTHS_AHEAD + 1)
    return int(made)


async def keep_up(database: Database) -> None:
    """Make partitions every hour until cancelled."""
    while True:
        try:
            async with database.acquire() as connection:
                made = await make_partitions(connection, datetime.now(UTC))
            if made:
                log.info("partitions.made", count=made)
        except (*DATABASE_ERRORS, asyncpg.InternalClientError) as error:
            log.warning("partitions.failed", error=type(error).__name__)
        await asyncio.sleep(EVERY_S)
