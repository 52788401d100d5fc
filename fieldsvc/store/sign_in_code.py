"""Codes that a mail brings, and answers of a provider that were used."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Code:
    """One code: digests of its ticket, its address and itself."""

    ticket_sha256: bytes
    email_hmac: bytes
    code_hmac: bytes
    made_at: datetime
    expires_at: datetime
    tries: int


async def add(database: Database, code: Code, *, most: Sequence[tuple[int, timedelta]]) -> bool:
    """Keep a code, and forget old ones; False if its address had as many as it may, also of those asked for at once."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("sign_in_code.forget_old"), code.made_at)
        await connection.execute(query("sign_in_code.one_at_a_time"), code.email_hmac)
        for limit, within in most:
            made = await connection.fetchval(query("sign_in_code.made_since"), code.email_hmac, code.made_at - within)
            if made >= limit:
                return False
        await connection.execute(query("sign_in_code.add"), *astuple(code))
    return True


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
