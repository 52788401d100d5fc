"""Wrong tries, by a keyed digest of who tries or of what is tried."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from fieldsvc.store.database import Database
from sql import query

KEPT = timedelta(days=1)


async def begin(
    database: Database, digests: Sequence[bytes], most: Sequence[int], *, now: datetime, since: datetime
) -> bool:
    """Count a try of each; False, and none is counted, if one of them had as many as it may since a moment."""
    async with database.acquire() as connection:
        await connection.execute(query("tried.forget_old"), now - KEPT)
        rows = await connection.fetch(query("tried.begin"), digests, most, now, since)
        if len(rows) < len(digests):
            await connection.execute(query("tried.take_back"), [row["digest"] for row in rows])
    return len(rows) == len(digests)


async def take_back(database: Database, digests: Sequence[bytes]) -> None:
    """Count a try of each no more."""
    async with database.acquire() as connection:
        await connection.execute(query("tried.take_back"), digests)


async def too_many(database: Database, digests: Sequence[bytes], most: Sequence[int], *, since: datetime) -> bool:
    """Tell whether one of them had as many as it may since a moment."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(query("tried.too_many"), digests, most, since))
