"""Codes of paper notices, by their digest."""

from datetime import datetime

from fieldsvc.store.database import Database
from sql import query


async def items(database: Database, digest: bytes, since: datetime) -> list[str]:
    """List the subjects of the notice with this code, if it was left since then."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("notice_code.items"), digest, since)
    return [row["subject"] for row in rows]
