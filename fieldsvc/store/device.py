"""Devices: the phones that may send, and their receipts."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Device:
    """One enrolled phone. `lost_at`: out of its carrier's hands since then; what it captured before still counts."""

    id: str
    carrier: str
    site: str
    round_id: str | None
    passphrase: str | None
    enrolled_at: datetime
    revoked_at: datetime | None
    lost_at: datetime | None

    @property
    def device_id(self) -> str:
        """The id under its name in the contract."""
        return self.id


@dataclass(frozen=True, slots=True)
class Receipt:
    """One signed receipt; `previous` is the digest of the one before."""

    no: int
    at: datetime
    previous: bytes
    body: bytes
    signature: bytes


_FIELDS = tuple(field.name for field in fields(Device))


async def by_tokens(database: Database, tokens_sha256: Sequence[bytes]) -> dict[bytes, Device]:
    """Find the devices of tokens' hashes, also revoked ones."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("device.by_tokens"), tokens_sha256)
    return {token_sha256: Device(*row) for token_sha256, *row in rows}


async def by_id(database: Database, device_id: str) -> Device | None:
    """Find a device, also a revoked one."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("device.by_id"), device_id)
    return Device(*(row[name] for name in _FIELDS)) if row else None


async def enrol(
    database: Database, *, carrier: str, site: str, round_id: str | None, token_sha256: bytes, passphrase: str
) -> str:
    """Make a device and return its id."""
    async with database.acquire() as connection:
        return str(await connection.fetchval(query("device.enrol"), carrier, site, round_id, token_sha256, passphrase))


async def revoke(database: Database, device_id: str) -> bool:
    """Refuse a device from now on; False if there is none."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("device.revoke"), device_id) is not None


async def report_lost(database: Database, device_id: str, at: datetime) -> bool:
    """Note since when a device is lost; False if there is none."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("device.report_lost"), device_id, at) is not None


async def receipts(database: Database, device_id: str, *, after: int, limit: int) -> list[Receipt]:
    """Page through a device's receipts, oldest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("device.receipts"), device_id, after, limit)
    return [Receipt(row["no"], row["at"], row["previous"], row["body"], row["signature"]) for row in rows]
