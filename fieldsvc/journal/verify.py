"""Check the journal offline: positions increase, every row links to the one before, sealed parts match their digests."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import date
from uuid import UUID

import asyncpg

from fieldsvc.journal import rows
from fieldsvc.journal.submission import SHARDS
from fieldsvc.store.database import Database
from sql import query

CHUNK = 2_000


@dataclass(slots=True)
class Report:
    """What was checked and what is wrong, one sentence each."""

    rows: int = 0
    faults: list[str] = field(default_factory=list)
    heads: dict[int, str] = field(default_factory=dict)


async def verify_journal(database: Database) -> Report:
    """Walk every shard from its first row. The first row kept anchors the chain after a day was dropped."""
    report = Report()
    for shard in range(SHARDS):
        position, previous = (date.min, 0), None
        while chunk := await _read(database, shard, position):
            for row in chunk:
                report.rows += 1
                previous = _check(row, previous, report)
                position = (row["day"], row["pos"])
        report.heads[shard] = previous.hex() if previous else ""
    return report


async def _read(database: Database, shard: int, position: tuple[date, int]) -> list[asyncpg.Record]:
    async with database.acquire() as connection:
        return await connection.fetch(query("event.chain_of_shard"), shard, *position, CHUNK)


def _check(row: asyncpg.Record, previous: bytes | None, report: Report) -> bytes:
    values = tuple(row)
    if previous is None:
        previous = rows.CHAIN_START if row["pos"] == 1 else None
    if previous is not None and rows.chained(previous, values[:14], values[14], values[15]) != row["chain"]:
        report.faults.append(
            f"Shard {row['shard']}, {row['day']} position {row['pos']}: the row does not fit the chain."
        )
    chain: bytes = row["chain"]
    return chain


async def known_ids(database: Database, ids: Collection[UUID]) -> set[UUID]:
    """Tell which of these field events the journal has."""
    async with database.acquire() as connection:
        found = await connection.fetch(query("event_id.known"), list(ids))
    return {UUID(int=row["id"].int) for row in found}
