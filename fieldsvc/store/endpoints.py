"""Endpoints of subscribers: where they are, what they want, their state and their signing keys."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import asyncpg
import orjson

from fieldsvc.store.database import Database, Seen
from sql import query

KEYS_KEPT = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a subscriber may ask for beside the URL, the types and the thin form.

    `mode` is subject or parallel; `batch` the most events of a request; `format` a name of the catalogue of formats; `filter` a
    condition over the event, None for none; `postcodes` are beginnings; no `sites` and no `postcodes` are all of them;
    `sealed_headers` hold headers and bearer as sealed JSON; `rate_per_s` events a second and `in_flight` requests at once, None
    for the service's own limits; `on_exhausted` is dead_letter or block; `schedule` the seconds between attempts, None for the
    service's own.
    """

    mode: str = "subject"
    batch: int = 1
    format: str = "cloudevents"
    filter: Mapping[str, Any] | None = None
    sites: Sequence[str] = ()
    postcodes: Sequence[str] = ()
    sealed_headers: bytes | None = None
    rate_per_s: float | None = None
    in_flight: int | None = None
    on_exhausted: str = "dead_letter"
    schedule: Sequence[float] | None = None
    description: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint(Options):
    """One endpoint; `state` is active, paused or disabled `since` a moment, `reason` says why it is not active."""

    id: str
    account: str
    url: str
    types: Sequence[str]
    thin: bool
    state: str
    reason: str | None
    version: int
    created_at: datetime
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class Config(Options):
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
    failing_since: datetime | None
    last_failed_at: datetime | None
    parked: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class ParkedSubject:
    """A subject that waits alone; `behind` counts the events behind its head, 1000 for as many or more."""

    subject: str
    since: datetime
    attempts: int
    reason: str
    next_at: datetime
    behind: int


@dataclass(frozen=True, slots=True)
class GivenUp:
    """A dead letter."""

    event_id: str
    subject: str
    at: datetime
    reason: str
    attempts: int


async def create(
    database: Database,
    endpoint: Endpoint,
    *,
    sealed_secret: bytes,
    start: Mapping[int, tuple[date, int]],
    most: int,
) -> bool:
    """Make an endpoint with its first key, its lane and the cursor of every shard; False if the account has `most` of them."""
    days, places = zip(*start.values(), strict=True)
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("endpoint.hold_account"), endpoint.account)
        if await connection.fetchval(query("endpoint.count"), endpoint.account) >= most:
            return False
        await connection.execute(query("endpoint.create"), endpoint.id, endpoint.account, *_changeable(endpoint))
        await connection.execute(query("endpoint.add_secret"), endpoint.id, sealed_secret)
        await connection.execute(query("cursor.start"), endpoint.id, list(start), list(days), list(places))
        await connection.execute(query("lane.add"), endpoint.id)
    return True


async def page(seen: Seen, account: str, *, after: str, limit: int) -> list[Endpoint]:
    """List an account's endpoints by id."""
    async with seen.acquire() as connection:
        return [
            Endpoint(**_values(row)) for row in await connection.fetch(query("endpoint.page"), account, after, limit)
        ]


async def read(seen: Seen, account: str, endpoint_id: str) -> Endpoint | None:
    """Find one endpoint of an account."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("endpoint.read"), account, endpoint_id)
    return Endpoint(**_values(row)) if row else None


async def health(seen: Seen, endpoint_id: str) -> Health:
    """Tell how an endpoint is doing."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("lane.health"), endpoint_id)
    return Health(*row) if row else Health(None, None, None, None, None, 0, 0)


async def change(database: Database, endpoint: Endpoint) -> Endpoint | None:
    """Write what may be changed of an endpoint as it was read and changed; None if another change came between."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(
            query("endpoint.change"), endpoint.account, endpoint.id, endpoint.version, *_changeable(endpoint)
        )
    return Endpoint(**_values(row)) if row else None


async def stop(database: Database, endpoint_id: str, *, state: str, reason: str) -> None:
    """Pause or disable an endpoint; a disabled one stays disabled."""
    async with database.acquire() as connection:
        await connection.execute(query("endpoint.stop"), endpoint_id, state, reason)


async def disable(database: Database, endpoint_id: str, *, epoch: int, reason: str) -> bool:
    """Disable an endpoint in the name of the owner of its lane; False, and nothing is done, if that epoch is over."""
    async with database.acquire() as connection, connection.transaction():
        if await connection.fetchval(query("lane.hold_epoch"), endpoint_id, epoch) is None:
            return False
        await connection.execute(query("endpoint.stop"), endpoint_id, "disabled", reason)
        return True


async def resume(database: Database, endpoint_id: str) -> None:
    """Make an endpoint active again and forget its breaker, in place of whoever owned its lane.

    Parked schedules have stood still since its breaker opened, or since it was stopped.
    """
    async with database.acquire() as connection, connection.transaction():
        opened_at = await connection.fetchval(query("lane.rest"), endpoint_id)  # the lane first, as its owner does
        await connection.execute(query("told.rest"), endpoint_id)
        row = await connection.fetchrow(query("endpoint.lock"), endpoint_id)
        moments = (opened_at, row["stopped_at"] if row is not None else None)
        stood: list[datetime] = [moment for moment in moments if moment is not None]
        if stood:
            await connection.execute(query("parked.shift"), endpoint_id, min(stood))
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


async def keys(database: Database, endpoint_id: str) -> list[tuple[datetime, datetime | None]]:
    """Tell of the live keys, newest first, when each was made and when it stops signing."""
    async with database.acquire() as connection:
        return [tuple(row) for row in await connection.fetch(query("endpoint.keys"), endpoint_id)]


async def configs(database: Database, endpoint_ids: Sequence[str]) -> dict[str, Config]:
    """Read what the owners of lanes must know."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("endpoint.configs"), list(endpoint_ids))
    return {row["id"]: Config(**_values(row)) for row in rows}


async def postcodes(database: Database, wanted: Sequence[tuple[str, str | None]]) -> dict[tuple[str, str | None], str]:
    """Find the postcodes of (subject, delivery point that the event names or None); what is not known is left out."""
    subjects, points = zip(*wanted, strict=True)
    async with database.acquire() as connection:
        rows = await connection.fetch(query("endpoint.postcodes"), list(subjects), list(points))
    return {(row["subject"], row["point"]): row["postcode"] for row in rows if row["postcode"] is not None}


async def parked_page(seen: Seen, endpoint_id: str, *, after: str, limit: int) -> list[ParkedSubject]:
    """List parked subjects by name."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("parked.page"), endpoint_id, after, limit)
    async with seen.database.acquire() as connection:
        counted = await connection.fetch(query("lane_backlog.behind"), endpoint_id, [row["subject"] for row in rows])
    behind = {row["subject"]: row["behind"] for row in counted}
    return [
        ParkedSubject(
            row["subject"], row["since"], row["attempts"], row["reason"], row["next_at"], behind[row["subject"]]
        )
        for row in rows
    ]


async def given_up_page(seen: Seen, endpoint_id: str, *, before: tuple[datetime, str], limit: int) -> list[GivenUp]:
    """List dead letters, newest first."""
    async with seen.acquire() as connection:
        return [GivenUp(*row) for row in await connection.fetch(query("dead_letter.page"), endpoint_id, *before, limit)]


async def cursors(database: Database, endpoint_id: str) -> dict[int, tuple[date, int]]:
    """Read where an endpoint stands in every shard."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("cursor.read"), endpoint_id)
    return {row["shard"]: (row["day"], row["pos"]) for row in rows}


async def waiting(
    database: Database, account: str, *, shard: int, place: tuple[date, int], limit: int
) -> list[asyncpg.Record]:
    """Read an account's own public rows behind a place of a shard."""
    async with database.acquire() as connection:
        found: list[asyncpg.Record] = await connection.fetch(query("endpoint.waiting"), account, shard, *place, limit)
    return found


async def behind(database: Database, endpoint_id: str) -> int:
    """Count what waits behind the parked subjects of an endpoint, 100,000 for as many or more."""
    async with database.acquire() as connection:
        found: int = await connection.fetchval(query("lane_backlog.count"), endpoint_id)
    return found


async def oldest_parked(database: Database, endpoint_id: str) -> datetime | None:
    """Tell when the oldest event was received at which a parked subject stands."""
    async with database.acquire() as connection:
        found: datetime | None = await connection.fetchval(query("endpoint.oldest_parked"), endpoint_id)
    return found


def _changeable(endpoint: Endpoint) -> tuple[Any, ...]:
    condition = None if endpoint.filter is None else orjson.dumps(endpoint.filter).decode()
    schedule = None if endpoint.schedule is None else list(endpoint.schedule)
    return (
        endpoint.url, list(endpoint.types), endpoint.thin, endpoint.mode, endpoint.batch, endpoint.format, condition,
        list(endpoint.sites), list(endpoint.postcodes), endpoint.sealed_headers, endpoint.rate_per_s, endpoint.in_flight,
        endpoint.on_exhausted, schedule, endpoint.description,
    )  # fmt: skip


def _values(row: asyncpg.Record) -> dict[str, Any]:
    condition = row["filter"]
    return dict(row) | {"filter": None if condition is None else orjson.loads(condition)}


@dataclass(frozen=True, slots=True)
class FailingEndpoint:
    """An endpoint that somebody should look at: paused, disabled, open (its breaker) or failing; since when, and why."""

    endpoint_id: str
    account: str
    state: str
    since: datetime | None
    why: str | None


async def failing(database: Database, *, limit: int) -> list[FailingEndpoint]:
    """List the endpoints of every account that somebody should look at, the longest first."""
    async with database.acquire() as connection:
        return [FailingEndpoint(*row) for row in await connection.fetch(query("endpoint.failing"), limit)]
