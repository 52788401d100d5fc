"""What could not be taken, kept sealed until a person decides: look at it, try it again, or let it go."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.errors import NotFound
from fieldsvc.journal.sealed import Vault
from fieldsvc.store.database import Database
from sql import query

NEWEST = UUID(int=2**128 - 1)


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry; `body` is what was sent, only when asked for."""

    id: UUID
    at: datetime
    reason: str
    device: str | None
    site: str | None
    settled_as: str | None
    size: int = 0
    body: bytes = b""


class Quarantine:
    """The entries of a store."""

    def __init__(self, database: Database, vault: Vault) -> None:
        self._database = database
        self._vault = vault

    async def entries(self, *, settled_too: bool = False, before: UUID = NEWEST, limit: int = 100) -> list[Entry]:
        """List entries, newest first, without their bodies."""
        async with self._database.acquire() as connection:
            rows = await connection.fetch(query("quarantine.list"), settled_too, before, limit)
        return [_entry(row, size=row["size"]) for row in rows]

    async def counted(self, since: datetime) -> dict[str | None, int]:
        """Count by site what was kept aside since a moment, whatever became of it."""
        async with self._database.acquire() as connection:
            return {row["site"]: row["events"] for row in await connection.fetch(query("quarantine.counted"), since)}

    async def read(self, entry: UUID) -> Entry:
        """Open one entry. NotFound."""
        async with self._database.acquire() as connection:
            row = await connection.fetchrow(query("quarantine.read"), entry)
        if row is None:
            raise NotFound("There is no such entry in quarantine.")
        body = self._vault.open_secret(row["body"], context=f"quarantine|{row['id']}")
        return _entry(row, size=len(body), body=body)

    async def settle(self, entry: UUID, how: str) -> bool:
        """Note how an entry ended; False if it had ended before."""
        async with self._database.acquire() as connection:
            done: str = await connection.execute(query("quarantine.settle"), entry, how)
        return done.endswith(" 1")


def _entry(row: asyncpg.Record, **more: Any) -> Entry:
    return Entry(row["id"], row["at"], row["reason"], row["device"], row["site"], row["settled_as"], **more)
