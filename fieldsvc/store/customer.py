"""Customers: found by digests of what they proved; what is known of them is sealed."""

from dataclasses import dataclass
from datetime import date

from fieldsvc.store.account import AccountRow
from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class CustomerRow:
    """What is kept of one customer: digests of the address and of (issuer, subject), and the address sealed."""

    account: str
    email_hmac: bytes | None
    identity_hmac: bytes | None
    sealed: bytes | None
    seen_on: date


async def by_email(database: Database, email_hmac: bytes) -> str | None:
    """Find a customer's account by their address, also a revoked one."""
    async with database.acquire() as connection:
        found: str | None = await connection.fetchval(query("customer.by_email"), email_hmac)
    return found


async def by_identity(database: Database, identity_hmac: bytes) -> str | None:
    """Find a customer's account by issuer and subject, also a revoked one."""
    async with database.acquire() as connection:
        found: str | None = await connection.fetchval(query("customer.by_identity"), identity_hmac)
    return found


async def create(database: Database, account: AccountRow, new: CustomerRow) -> bool:
    """Make a customer's account; False if the address or the identity is somebody's already."""
    async with database.acquire() as connection, connection.transaction():
        row = (account.id, account.kind, account.name, account.email, account.site, account.parent)
        await connection.execute(query("account.create"), *row, sorted(account.scopes), None)
        known = (new.account, new.email_hmac, new.identity_hmac, new.sealed, new.seen_on)
        if await connection.fetchval(query("customer.add"), *known) is None:
            await connection.execute(query("account.discard"), account.id)
            return False
    return True


async def identify(database: Database, account_id: str, identity_hmac: bytes) -> None:
    """Let a customer be found by issuer and subject too, unless they are by others."""
    async with database.acquire() as connection:
        await connection.execute(query("customer.identify"), account_id, identity_hmac)


async def seen(database: Database, account_id: str, day: date) -> None:
    """Note on which day a customer came."""
    async with database.acquire() as connection:
        await connection.execute(query("customer.seen"), account_id, day)


async def forget(database: Database, account_id: str) -> None:
    """Forget what is known of a customer."""
    async with database.acquire() as connection:
        await connection.execute(query("customer.forget"), account_id)
