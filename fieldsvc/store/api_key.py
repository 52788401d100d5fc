"""API keys of an account: several, each with a name and scopes of its own, kept as hashes."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from fieldsvc.store.database import Database
from sql import query

FIRST = "first"


@dataclass(frozen=True, slots=True)
class Key:
    """One key; `id` is `first` for the one that the account was made with."""

    id: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    last_used_on: date | None
    revoked_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """One key to keep."""

    id: str
    account: str
    name: str
    sha256: bytes
    scopes: Collection[str]
    created_by: str


async def create(database: Database, new: NewKey, *, most: int) -> bool:
    """Keep a key; False where the account has `most` of them."""
    values = (new.id, new.account, new.name, new.sha256, sorted(new.scopes), new.created_by, most)
    async with database.acquire() as connection:
        return await connection.fetchval(query("api_key.create"), *values) is not None


async def of_account(database: Database, account: str) -> list[Key]:
    """List the keys of an account, newest first, with those that were revoked in the last 30 days."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("api_key.of_account"), account)
    return [
        Key(
            row["id"],
            row["name"],
            tuple(sorted(row["scopes"])),
            row["created_at"],
            row["last_used_on"],
            row["revoked_at"],
        )
        for row in rows
    ]


async def revoke(database: Database, account: str, key_id: str) -> bool:
    """Refuse a key of an account from now on; False if it has no such live key."""
    async with database.acquire() as connection:
        if key_id == FIRST:
            return await connection.fetchval(query("api_key.revoke_first"), account) is not None
        return await connection.fetchval(query("api_key.revoke"), account, key_id) is not None


async def forget_revoked(database: Database, before: datetime) -> None:
    """Forget the keys that were revoked before a moment."""
    async with database.acquire() as connection:
        await connection.execute(query("api_key.forget_revoked"), before)
