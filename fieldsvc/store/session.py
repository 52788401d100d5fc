"""Sign-in links and the sessions they become."""

from dataclasses import dataclass
from datetime import datetime

from fieldsvc.store import account
from fieldsvc.store.account import AccountRow
from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Link:
    """A sign-in link that can be used now."""

    account: AccountRow
    reusable: bool


@dataclass(frozen=True, slots=True)
class Signed:
    """Who is signed in, how strongly and when they proved it to a provider, and what is sealed of a customer.

    `organisation` and its site are those of the account that a person belongs to.
    """

    account: AccountRow
    acr: str | None
    proved_at: datetime | None
    sealed: bytes | None
    organisation: str | None = None
    organisation_site: str | None = None


async def add_link(
    database: Database, token_sha256: bytes, account_id: str, *, reusable: bool, expires_at: datetime | None
) -> None:
    """Keep a link by its hash; only a reusable one may be without end."""
    async with database.acquire() as connection:
        await connection.execute(query("session.add_link"), token_sha256, account_id, reusable, expires_at)


async def open_link(database: Database, token_sha256: bytes) -> Link | None:
    """Find whose link this is, without using it up."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("session.open_link"), token_sha256)
    return Link(account.from_row(row), row["reusable"]) if row else None


async def start(database: Database, link_sha256: bytes, session_sha256: bytes, *, expires_at: datetime) -> str | None:
    """Use a link and start a session in one transaction; return the account, or None if the link cannot be used."""
    async with database.acquire() as connection, connection.transaction():
        account_id = await connection.fetchval(query("session.use_link"), link_sha256)
        if account_id is None:
            return None
        found: str | None = await connection.fetchval(query("session.start"), session_sha256, account_id, expires_at)
        return found


async def begin(
    database: Database,
    session_sha256: bytes,
    account_id: str,
    *,
    expires_at: datetime,
    proof: tuple[str | None, datetime],
    sealed: bytes | None,
) -> str | None:
    """Start a session of somebody who proved who they are; `proof` is how strongly and when. None for a revoked account."""
    async with database.acquire() as connection:
        found: str | None = await connection.fetchval(
            query("session.begin"), session_sha256, account_id, expires_at, *proof, sealed
        )
    return found


async def sealed_of(database: Database, session_sha256: bytes) -> bytes | None:
    """Read what a live session keeps for the provider that it came from."""
    async with database.acquire() as connection:
        found: bytes | None = await connection.fetchval(query("session.sealed"), session_sha256)
    return found


async def find(database: Database, session_sha256: bytes) -> Signed | None:
    """Find the person of a live session."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("session.find"), session_sha256)
    if row is None:
        return None
    of = row["organisation"], row["organisation_site"]
    return Signed(account.from_row(row), row["acr"], row["proved_at"], row["sealed"], *of)


async def finish(database: Database, session_sha256: bytes) -> None:
    """End a session."""
    async with database.acquire() as connection:
        await connection.execute(query("session.finish"), session_sha256)


async def withdraw_reusable(database: Database) -> None:
    """Withdraw every link that could be used again."""
    async with database.acquire() as connection:
        await connection.execute(query("session.withdraw_reusable"))


async def forget_old(database: Database) -> None:
    """Delete what ended more than a day ago."""
    async with database.acquire() as connection:
        await connection.execute(query("session.forget_old"))
