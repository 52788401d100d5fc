"""One-time codes that become devices."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Offer:
    """What a code stands for."""

    carrier: str
    site: str
    round_id: str | None


async def issue(
    database: Database, ticket: str, secret_sha256: bytes, *, offer: Offer, created_by: str | None, expires_at: datetime
) -> None:
    """Keep a code: its ticket, and the hash of its secret."""
    async with database.acquire() as connection:
        await connection.execute(
            query("enrolment.issue"),
            ticket,
            secret_sha256,
            offer.carrier,
            offer.site,
            offer.round_id,
            created_by,
            expires_at,
        )


async def redeem(
    database: Database, ticket: str, *, is_right: Callable[[bytes], bool], token_sha256: bytes, passphrase: str
) -> tuple[str, Offer] | None:
    """Try a code; if it is right, make the device in the same transaction. A wrong try is counted, also when it fails."""
    async with database.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(query("enrolment.attempt"), ticket)
        if row is None or not is_right(row["secret_sha256"]):
            return None
        offer = Offer(row["carrier"], row["site"], row["round_id"])
        device_id = await connection.fetchval(
            query("device.enrol"), offer.carrier, offer.site, offer.round_id, token_sha256, passphrase
        )
        await connection.execute(query("enrolment.settle"), ticket, device_id)
        return str(device_id), offer


async def forget_old(database: Database) -> None:
    """Delete codes that ended more than a day ago."""
    async with database.acquire() as connection:
        await connection.execute(query("enrolment.forget_old"))
