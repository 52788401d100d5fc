"""Households: who proved that they live at a delivery point, and what they tell their carriers; written by decisions."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

import asyncpg

from fieldsvc.store.access_case import CaseRow, case_of
from fieldsvc.store.database import Database, Seen
from sql import query


@dataclass(frozen=True, slots=True)
class HouseholdRow:
    """One household of an account; `sealed` holds what it tells."""

    id: str
    delivery_point_id: str
    account: str
    letter_id: str
    state: str
    tries: int
    asked_at: datetime
    proved_at: datetime | None
    touched_at: datetime
    sealed: bytes


@dataclass(frozen=True, slots=True)
class ToldRow:
    """What a proved household tells the carriers of its delivery point."""

    delivery_point_id: str
    touched_at: datetime
    sealed: bytes


_COLUMNS = tuple(field.name for field in fields(HouseholdRow))


async def of_account(seen: Seen, account: str) -> list[HouseholdRow]:
    """List the households of an account that it did not leave."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("household.of_account"), account)
    return [HouseholdRow(*(row[name] for name in _COLUMNS)) for row in rows]


async def of_points(connection: asyncpg.Connection, points: Sequence[str]) -> list[ToldRow]:
    """Read what the proved households of delivery points tell, at the moment of a sheet."""
    return [ToldRow(*row) for row in await connection.fetch(query("household.of_points"), list(points))]


async def asked_since(database: Database, account: str, delivery_point: str, since: datetime) -> tuple[int, int]:
    """Count the letters asked for since a moment: by an account, and to a delivery point."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("household.asked_since"), account, delivery_point, since)
    return (row["by_account"], row["at_point"]) if row else (0, 0)


async def access_case(seen: Seen, delivery_point: str) -> CaseRow | None:
    """Read the case of a delivery point, for who lives there."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("household.access_case"), delivery_point)
    return case_of(row) if row else None
