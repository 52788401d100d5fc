"""Notices: queued by decisions, taken by whoever sends them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from uuid import UUID

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice whose turn has come; `attempts` counts this one too."""

    id: UUID
    key: str
    template: str
    way: str
    lang: str
    sealed: bytes | None
    attempts: int
    queued_at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many notices of a way are in a state, for a reason."""

    way: str
    state: str
    reason: str | None
    count: int


_FIELDS = tuple(each.name for each in fields(Notice))


async def take(database: Database, now: datetime, *, count: int, held_s: float) -> list[Notice]:
    """Take notices that are due; nobody else gets them for `held_s` seconds."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("notice.take"), now, count, held_s)
    taken = [Notice(*(row[name] for name in _FIELDS)) for row in rows]
    return sorted(taken, key=lambda each: (each.queued_at, each.key))


async def queue(
    database: Database, key: str, template: str, *, way: str, lang: str, due_at: datetime | None, sealed: bytes
) -> None:
    """Queue a notice beside the journal, once for its key."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.queue"), key, template, way, lang, due_at, sealed)


async def has(database: Database, key: str) -> bool:
    """Tell whether there is a notice with this key."""
    async with database.acquire() as connection:
        return bool(await connection.fetchval(query("notice.with_key"), key))


async def sent(database: Database, notice_id: UUID) -> None:
    """Note that a notice was sent; its address and words are forgotten."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.sent"), notice_id)


async def put_off(database: Database, notice: Notice, until: datetime, *, reason: str | None, attempts: int) -> None:
    """Try a notice again later."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.put_off"), notice.id, until, reason, attempts)


async def give_up(database: Database, notice_id: UUID, *, state: str, reason: str) -> None:
    """Keep a notice as `not_sent` or `failed`, with the reason."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.give_up"), notice_id, state, reason)


async def try_again(database: Database, ways: Sequence[str], since: datetime) -> None:
    """Queue again what nothing could send, of these ways and settled after a moment."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.try_again"), list(ways), since)


async def counted(database: Database) -> list[Count]:
    """Count notices by way, state and reason."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("notice.counted"))
    return [Count(row["way"], row["state"], row["reason"], row["count"]) for row in rows]


async def forget_before(database: Database, moment: datetime) -> None:
    """Forget what was settled before a moment."""
    async with database.acquire() as connection:
        await connection.execute(query("notice.forget_before"), moment)


async def members(database: Database, account: str) -> list[tuple[str, str]]:
    """Return the persons of a subscriber, by id and mail address."""
    async with database.acquire() as connection:
        return [(row["id"], row["email"]) for row in await connection.fetch(query("notice.members"), account)]
