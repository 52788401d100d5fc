"""Pictures and the facts that name them, as the database knows them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Picture:
    """One picture that is there. `sealed_key` is under the master key, and None once a fact's person holds it."""

    sha256: bytes
    object: str
    kept_sha256: bytes
    media_type: str
    size: int
    width: int
    height: int
    device: str
    sealed_key: bytes | None
    arrived_at: datetime


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fact that names a picture: where it was said, of which class the field is, whose order it belongs to."""

    site: str | None
    purpose: str
    shared: bool
    account: str | None


_FIELDS = tuple(field.name for field in fields(Picture))


async def read(database: Database, sha256: bytes) -> Picture | None:
    """Read what is known of a picture."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("media.read"), sha256)
    return Picture(*(row[name] for name in _FIELDS)) if row else None


async def keep(database: Database, picture: Picture) -> bool:
    """Keep a picture; False if one of this name is there."""
    values = [getattr(picture, name) for name in _FIELDS if name != "arrived_at"]
    async with database.acquire() as connection:
        return await connection.fetchval(query("media.keep"), *values) is not None


async def wants(database: Database, sha256: bytes) -> list[Wanted]:
    """List the facts that name a picture."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("media.wants"), sha256)
    return [Wanted(row["site"], row["purpose"], row["shared"], row["account"]) for row in rows]


async def of_events(database: Database, events: Sequence[UUID], *, site: str | None) -> list[tuple[UUID, str, bytes]]:
    """List the pictures that are there of what these events name, as (event, subject, SHA-256): of a site, or of any."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("media.of_events"), events, site)
    return [(row["event"], row["subject"], row["sha256"]) for row in rows]


async def forget(database: Database, *, before: datetime) -> list[str]:
    """Forget wants whose events are gone, and pictures from before a moment that nothing wants; the objects to be deleted."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("media.leave_with_events"))
        rows = await connection.fetch(query("media.unwanted"), before)
    return [row["object"] for row in rows]


async def unknown_objects(database: Database, names: Iterable[str]) -> list[str]:
    """Find which objects belong to no picture."""
    asked: Sequence[str] = list(names)
    async with database.acquire() as connection:
        known = {row["object"] for row in await connection.fetch(query("media.known_objects"), asked)}
    return [name for name in asked if name not in known]
