"""Accounts: organisations with an API key, and persons with a role."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime

import asyncpg

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Colleague:
    """Somebody who watches: a supervisor of a site, or an operator of one or of all."""

    id: str
    role: str
    name: str
    email: str | None
    site: str | None


@dataclass(frozen=True, slots=True)
class AccountRow:
    """One account; `kind` is `subscriber` or the role of a person; `parent` is the account that a person belongs to."""

    id: str
    kind: str
    name: str
    email: str | None
    site: str | None
    parent: str | None
    scopes: frozenset[str]
    revoked_at: datetime | None = None


def from_row(row: asyncpg.Record) -> AccountRow:
    """Read an account from a database row."""
    return AccountRow(
        id=row["id"],
        kind=row["kind"],
        name=row["name"],
        email=row["email"],
        site=row["site"],
        parent=row["parent"],
        scopes=frozenset(row["scopes"]),
        revoked_at=row["revoked_at"],
    )


async def by_api_key(database: Database, api_key_sha256: bytes) -> AccountRow | None:
    """Find the account of a key's hash, also a revoked one; its scopes are those of the key. The day of its use is noted."""
    today = datetime.now(UTC).date()
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("account.by_api_key"), api_key_sha256)
        if row and row["revoked_at"] is None and row["used_on"] != today:
            await connection.execute(query("api_key.used"), api_key_sha256, today)
    return from_row(row) if row else None


async def by_id(database: Database, account_id: str) -> AccountRow | None:
    """Find an account, also a revoked one."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("account.by_id"), account_id)
    return from_row(row) if row else None


async def find_person(
    database: Database, kind: str, email: str, *, site: str | None, parent: str | None
) -> AccountRow | None:
    """Find the live account of a person in one role."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("account.person"), kind, email, site, parent)
    return from_row(row) if row else None


async def sandbox_of(database: Database, account_id: str) -> AccountRow | None:
    """Find the live sandbox of an account."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("account.sandbox_of"), account_id)
    return from_row(row) if row else None


async def was_revoked(database: Database, kind: str, email: str) -> bool:
    """Tell whether somebody of a role was refused, and has no live account since."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(query("account.was_revoked"), kind, email))


async def create(database: Database, new: AccountRow, *, api_key_sha256: bytes | None = None) -> None:
    """Make an account."""
    async with database.acquire() as connection:
        await connection.execute(
            query("account.create"),
            new.id,
            new.kind,
            new.name,
            new.email,
            new.site,
            new.parent,
            sorted(new.scopes),
            api_key_sha256,
        )


async def revoke(database: Database, account_id: str) -> list[str]:
    """Refuse an account and its persons from now on; return the ids that it changed."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("account.revoke"), account_id)]


async def names(database: Database, account_ids: Collection[str]) -> dict[str, str]:
    """Tell what accounts are called, also revoked ones."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("account.names"), sorted(account_ids))
    return {row["id"]: row["name"] for row in rows}


async def colleagues(database: Database, site: str | None) -> list[Colleague]:
    """List who watches over a site, with the operators of every one; of every site for None."""
    async with database.acquire() as connection:
        return [Colleague(*row) for row in await connection.fetch(query("account.colleagues"), site)]
