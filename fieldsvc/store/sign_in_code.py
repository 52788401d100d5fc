"""Codes that a mail brings, and answers of a provider that were used."""

from datetime import datetime

from fieldsvc.store.database import Database
from sql import query


async def made_since(database: Database, email_hmac: bytes, since: datetime) -> int:
    """Count the codes of an address."""
    async with database.acquire() as connection:
        found: int = await connection.fetchval(query("sign_in_code.made_since"), email_hmac, since)
    return found


async def add(
    database: Database,
    ticket_sha256: bytes,
    email_hmac: bytes,
    code_hmac: bytes,
    *,
    now: datetime,
    expires_at: datetime,
    tries: int,
) -> None:
    """Keep a code, and forget old ones."""
    async with database.acquire() as connection:
        await connection.execute(query("sign_in_code.forget_old"), now)
        await connection.execute(
            query("sign_in_code.add"), ticket_sha256, email_hmac, code_hmac, now, expires_at, tries
        )


async def take_try(database: Database, ticket_sha256: bytes, now: datetime) -> tuple[bytes, bytes] | None:
    """Take a try at a code: digests of its address and of the code; None if there is none, or no try is left."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("sign_in_code.try"), ticket_sha256, now)
    return (row["email_hmac"], row["code_hmac"]) if row else None


async def use(database: Database, ticket_sha256: bytes, now: datetime) -> bool:
    """Use a code up; False if somebody else just did."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("sign_in_code.use"), ticket_sha256, now) is not None


async def take_answer(database: Database, state_sha256: bytes, *, now: datetime, expires_at: datetime) -> bool:
    """Take a provider's answer; False if one with this state was taken before."""
    async with database.acquire() as connection:
        await connection.execute(query("sign_in_code.forget_answers"), now)
        return await connection.fetchval(query("sign_in_code.answer"), state_sha256, expires_at) is not None
