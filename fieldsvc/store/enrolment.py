"""One-time codes that become devices."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Offer:
    """What a code stands for."""

    carrier: str
    site: str
    round_id: str | None
    replaces: str | None = None  # the phone that is lost from the moment the code is used


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
            offer.replaces,
        )


async def redeem(
    database: Database, ticket: str, *, is_right: Callable[[bytes], bool], token_sha256: bytes, passphrase: str
) -> tuple[str, Offer] | None:
    """Try a code; if it is right, make the device, and lose the one it replaces, in the same transaction.

    A wrong try is counted, also when it fails.
    """
    async with database.acquire() as connection, connection.transaction():
        row = await connection.fetchrow(query("enrolment.attempt"), ticket)
        if row is None or not is_right(row["secret_sha256"]):
            return None
        offer = Offer(row["carrier"], row["site"], row["round_id"], row["replaces"])
        device_id = await connection.fetchval(
            query("device.enrol"), offer.carrier, offer.site, offer.round_id, token_sha256, passphrase
        )
        await connection.execute(query("enrolment.settle"), ticket, device_id)
        if offer.replaces is not None:
            await connection.execute(query("device.report_lost"), offer.replaces, datetime.now(UTC))
        return str(device_id), offer


async def forget_old(database: Database) -> None:
    """Delete codes that ended more than a day ago."""
    async with database.acquire() as connection:
        await connection.execute(query("enrolment.forget_old"))
