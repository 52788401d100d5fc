"""Endpoints of subscribers: where they are, what they want, their state and their signing keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fieldsvc.store.database import Database, Seen
from sql import query

KEYS_KEPT = 5


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One endpoint; `state` is active, paused or disabled, `reason` says why it is not active."""

    id: str
    account: str
    url: str
    types: Sequence[str]
    thin: bool
    state: str
    reason: str | None
    version: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Config:
    """What the owner of a lane must know of an endpoint, with the rights of its account now."""

    id: str
    account: str
    url: str
    types: Sequence[str]
    thin: bool
    state: str
    version: int
    scopes: Sequence[str]
    revoked: bool


@dataclass(frozen=True, slots=True)
class Health:
    """How an endpoint is doing."""

    opened_at: datetime | None
    probe_at: datetime | None
    held_until: datetime | None
    parked: int
    dead_letters: int


async def create(
    database: Database,
    endpoint: Endpoint,
    *,
    sealed_secret: bytes,
    start: Mapping[int, tuple[date, int]],
) -> None:
    """Make an endpoint with its first key, its lane and the cursor of every shard."""
    days, places = zip(*start.values(), strict=True)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(
            query("endpoint.create"), endpoint.id, endpoint.account, endpoint.url, list(endpoint.types), endpoint.thin
        )
        await connection.execute(query("endpoint.add_secret"), endpoint.id, sealed_secret)
        await connection.execute(query("cursor.start"), endpoint.id, list(start), list(days), list(places))
        await connection.execute(query("lane.add"), endpoint.id)


async def page(seen: Seen, account: str, *, after: str, limit: int) -> list[Endpoint]:
    """List an account's endpoints by id."""
    async with seen.acquire() as connection:
        return [Endpoint(*row) for row in await connection.fetch(query("endpoint.page"), account, after, limit)]


async def read(seen: Seen, account: str, endpoint_id: str) -> Endpoint | None:
    """Find one endpoint of an account."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("endpoint.read"), account, endpoint_id)
    return Endpoint(*row) if row else None


async def health(seen: Seen, endpoint_id: str) -> Health:
    """Tell how an endpoint is doing."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("lane.health"), endpoint_id)
    return Health(*row) if row else Health(None, None, None, 0, 0)


async def change(
    database: Database,
    account: str,
    endpoint_id: str,
    *,
    url: str | None,
    types: Sequence[str] | None,
    thin: bool | None,
) -> Endpoint | None:
    """Change what is given; None if there is no such endpoint."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("endpoint.change"), account, endpoint_id, url, types, thin)
    return Endpoint(*row) if row else None


async def stop(database: Database, endpoint_id: str, *, state: str, reason: str) -> None:
    """Pause or disable an endpoint; a disabled one stays disabled."""
    async with database.acquire() as connection:
        await connection.execute(query("endpoint.stop"), endpoint_id, state, reason)


async def resume(database: Database, endpoint_id: str) -> None:
    """Make an endpoint active again and forget its breaker; parked schedules have stood still while it was stopped."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("lane.rest"), endpoint_id)  # the lane first, as its owner does
        row = await connection.fetchrow(query("endpoint.lock"), endpoint_id)
        if row is not None and row["stopped_at"] is not None:
            await connection.execute(query("parked.shift"), endpoint_id, row["stopped_at"])
        await connection.execute(query("endpoint.resume"), endpoint_id)


async def remove(database: Database, account: str, endpoint_id: str) -> bool:
    """Delete an endpoint with everything that waits for it; False if there is none."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("lane.remove"), account, endpoint_id)  # the lane first, as its owner does
        return await connection.execute(query("endpoint.remove"), account, endpoint_id) == "DELETE 1"


async def rotate(database: Database, endpoint_id: str, sealed_secret: bytes, *, overlap_s: float) -> None:
    """Add a key; those so far sign for `overlap_s` more."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("endpoint.expire_secrets"), endpoint_id, overlap_s)
        await connection.execute(query("endpoint.add_secret"), endpoint_id, sealed_secret)
        await connection.execute(query("endpoint.trim_secrets"), endpoint_id, KEYS_KEPT)
        await connection.execute(query("endpoint.touch"), endpoint_id)


async def secrets(database: Database, endpoint_id: str) -> list[tuple[bytes, datetime | None]]:
    """Read the sealed live keys, newest first, and when each stops signing."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("endpoint.secrets"), endpoint_id)
    return [(bytes(row["sealed"]), row["expires_at"]) for row in rows]


async def configs(database: Database, endpoint_ids: Sequence[str]) -> dict[str, Config]:
    """Read what the owners of lanes must know."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("endpoint.configs"), list(endpoint_ids))
    return {row["id"]: Config(*row) for row in rows}
