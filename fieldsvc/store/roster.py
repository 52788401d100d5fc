"""The roster: who walks which round on which day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from sql import query


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One round on one day; no carrier = nobody yet."""

    day: date
    round_id: str
    carrier: str | None
    qualifications: tuple[str, ...] = ()


async def put(database: Database, rows: Sequence[RosterRow]) -> None:
    """Take rows over in one transaction; the last row of a day and round counts."""
    unique = list({(row.day, row.round_id): row for row in rows}.values())
    async with database.acquire() as connection:
        await connection.execute(
            query("roster.put"),
            [row.day for row in unique],
            [row.round_id for row in unique],
            [row.carrier for row in unique],
            [" ".join(row.qualifications) for row in unique],
        )


async def rounds_of(database: Database, device: Device, day: date) -> list[str]:
    """List the rounds that a device's carrier walks on a day, the one to show first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("roster.rounds_of"), day, device.carrier, device.round_id, device.site)
    return [row["round_id"] for row in rows]
