"""Requests: delivery changes as they stand, and what has to be known of an item or an address to judge one."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any

import asyncpg

from fieldsvc.store.database import Database, Seen
from sql import query


@dataclass(frozen=True, slots=True)
class RequestRow:
    """One request; `steps` are `state|at|reason|instead|other`, oldest first, `sealed` opens to `{details}`."""

    id: str
    subject: str
    kind: str
    state: str
    step: str
    reason: str | None
    instead: str | None
    other: str | None
    asked_by: str | None
    identity: str
    high_risk: bool
    risk_reasons: list[str]
    asked_at: datetime
    state_at: datetime
    from_day: date | None
    to_day: date | None
    starts_at: datetime | None
    ends_at: datetime | None
    since: datetime | None
    cooled_at: datetime | None
    target_hmac: str | None
    closed_at: datetime | None
    on_sheet: bool
    steps: list[str]
    sealed: bytes
    letters: int
    customer: str | None


@dataclass(frozen=True, slots=True)
class KnownItem:
    """The newest task of an item, its address, and where its run is."""

    id: str
    subject: str
    service: str
    account: str | None
    day: date
    delivery_point: str | None
    round_id: str | None
    requirements: list[str]
    state: str
    loaded_at: datetime | None
    sealed: bytes
    address: str | None
    delivery_point_class: str | None
    postcode: str | None
    run_id: str | None
    run_state: str | None
    distance_along_m: float | None
    through_at: datetime | None
    site: str | None


@dataclass(frozen=True, slots=True)
class KnownPoint:
    """An address, and how many signed items are on their way to it."""

    id: str
    address: str | None
    delivery_point_class: str | None
    postcode: str | None
    round_id: str | None
    site: str | None
    signed_items: int


@dataclass(frozen=True, slots=True)
class SheetRow:
    """What stands on a sheet of a request."""

    id: str
    subject: str
    kind: str
    state: str
    step: str
    since: datetime | None
    sealed: bytes
    delivery_point: str | None


@dataclass(frozen=True, slots=True)
class OpenRequest:
    """What somebody who watches a run sees of a request: nothing of what is sealed."""

    id: str
    subject: str
    kind: str
    state: str
    step: str
    reason: str | None
    asked_at: datetime
    from_day: date | None
    to_day: date | None


@dataclass(frozen=True, slots=True)
class ContactRow:
    """A way to reach people of an address that was proved once."""

    sealed: bytes
    verified_at: datetime
    replaced_at: datetime | None


@dataclass(frozen=True, slots=True)
class DivertedItem:
    """An item whose work lay at an address while its mail was redirected, and what became of it."""

    subject: str
    day: date
    state: str
    state_at: datetime | None
    requirements: list[str]


@dataclass(frozen=True, slots=True)
class Addressed:
    """Work on an item: to which address, and, sealed, for whom."""

    subject: str
    day: date
    sealed: bytes
    address: str | None
    postcode: str | None
    site: str | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a list shows it: nothing of what is sealed."""

    id: str
    kind: str
    state: str
    reason: str | None
    asked_at: datetime
    state_at: datetime


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A request whose message waits for an answer, since when."""

    id: str
    kind: str
    message_at: datetime


@dataclass(frozen=True, slots=True)
class OverDays:
    """An item that lies at an office longer than it is kept; `kind` tells whether that was said of it already."""

    subject: str
    kind: str
    due_at: datetime


_ROW, _SHEET, _CONTACT, _DIVERTED = (
    tuple(each.name for each in fields(model)) for model in (RequestRow, SheetRow, ContactRow, DivertedItem)
)


async def read(seen: Seen, request_id: str) -> RequestRow | None:
    """Read one request."""
    async with seen.acquire() as connection:
        row = await connection.fetchrow(query("request.read"), request_id)
    return RequestRow(*(row[name] for name in _ROW)) if row else None


async def of_customer(seen: Seen, customer: str, *, limit: int) -> list[RequestRow]:
    """List what a customer asked for while signed in, newest first."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("request.of_customer"), customer, limit)
    return [RequestRow(*(row[name] for name in _ROW)) for row in rows]


async def unanswered(seen: Seen, *, limit: int) -> list[Unanswered]:
    """List the requests whose messages wait for an answer, the longest first."""
    async with seen.acquire() as connection:
        return [Unanswered(*row) for row in await connection.fetch(query("request.unanswered"), limit)]


async def held_of_item(database: Database, subject: str, but: str | None = None) -> list[str]:
    """List the kinds of the requests on an item that hold, but for one request."""
    async with database.acquire() as connection:
        return [row["kind"] for row in await connection.fetch(query("request.held_of_item"), subject, but)]


async def at_step(database: Database, steps: Sequence[str], kinds: Sequence[str], *, limit: int) -> list[RequestRow]:
    """List the open requests of some kinds that wait for something, oldest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("request.at_step"), list(steps), list(kinds), limit)
    return [RequestRow(*(row[name] for name in _ROW)) for row in rows]


async def on_sheet(
    connection: asyncpg.Connection, run_id: str, points: Sequence[str], begins: datetime, ends: datetime
) -> list[SheetRow]:
    """List what stands on the sheet of a run, whose day begins and ends then, in the reader's own snapshot."""
    rows = await connection.fetch(query("request.on_sheet"), run_id, list(points), begins, ends)
    return [SheetRow(*(row[name] for name in _SHEET)) for row in rows]


async def subjects_of_run(database: Database, run_id: str) -> dict[str, tuple[str | None, str | None]]:
    """Map what a run carries and the doors that it serves to their (stop, address)."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("request.subjects_of_run"), run_id)
    return {row["subject"]: (row["stop_id"], row["address"]) for row in rows}


async def unfinished(seen: Seen, subjects: Sequence[str], day: date) -> list[OpenRequest]:
    """List the requests about these subjects that are not finished, oldest first; of those that hold, the ones of a day."""
    async with seen.acquire() as connection:
        return [OpenRequest(*row) for row in await connection.fetch(query("request.unfinished"), subjects, day)]


async def item(database: Database, subject: str) -> KnownItem | None:
    """Find what is known of an item by its newest task."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("request.item"), subject)
    if row is None:
        return None
    values: dict[str, Any] = {name: row[name] for name in row.keys()} | {"delivery_point_class": row["class"]}  # noqa: SIM118
    return KnownItem(**{each.name: values[each.name] for each in fields(KnownItem)})


async def point(database: Database, delivery_point: str) -> KnownPoint | None:
    """Find what is known of an address."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("request.point"), delivery_point)
    if row is None:
        return None
    head = row["id"], row["address"], row["class"], row["postcode"], row["round_id"], row["site"]
    return KnownPoint(*head, row["signed_items"])


async def asked_of_point(database: Database, subject: str, since: datetime, but: str) -> tuple[int, int]:
    """Count what was asked for a subject since a moment: (all, redirections), but for one request."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("request.of_point"), subject, since, but)
    return (row["asked"], row["redirects"]) if row else (0, 0)


async def led_to_target(database: Database, target_hmac: str, since: datetime, but_subject: str) -> int:
    """Count the other addresses whose redirections lead to the same place since a moment."""
    async with database.acquire() as connection:
        return int(await connection.fetchval(query("request.to_target"), target_hmac, since, but_subject))


async def held_at_point(database: Database, delivery_point: str, kinds: Sequence[str]) -> str | None:
    """Find a request for all the mail of an address, of these kinds, that holds now."""
    async with database.acquire() as connection:
        found: str | None = await connection.fetchval(query("request.held_at_point"), delivery_point, list(kinds))
    return found


async def letter_written(database: Database, request_id: str) -> None:
    """Count a letter with a code."""
    async with database.acquire() as connection:
        await connection.execute(query("request.letter_written"), request_id)


async def diverted(database: Database, delivery_point: str, first: date, last: date) -> list[DivertedItem]:
    """List the items of an address on these days."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("request.diverted"), delivery_point, first, last)
    return [DivertedItem(*(row[name] for name in _DIVERTED)) for row in rows]


async def contacts(database: Database, delivery_point: str, since: datetime) -> list[ContactRow]:
    """List the proved contacts of an address, also those that were replaced since a moment."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("request.contacts"), delivery_point, since)
    return [ContactRow(*(row[name] for name in _CONTACT)) for row in rows]


async def keep_contact(
    database: Database, delivery_point: str, digest: str, *, sealed: bytes, verified_at: datetime
) -> None:
    """Keep a proved contact; the one before it counts as replaced, and is told for another year."""
    async with database.acquire() as connection:
        await connection.execute(query("request.keep_contact"), delivery_point, digest, sealed, verified_at)


async def forget_before(database: Database, moment: datetime) -> None:
    """Forget what was closed, and the contacts that were replaced, before a moment."""
    async with database.acquire() as connection:
        await connection.execute(query("request.forget_before"), moment)


async def addressed(database: Database, postcode: str, since: date, *, limit: int) -> list[Addressed]:
    """Read the newest work on items that goes to a postcode, or to an address of which none is known."""
    async with database.acquire() as connection:
        return [Addressed(*row) for row in await connection.fetch(query("request.addressed"), postcode, since, limit)]


async def over_days(database: Database, site: str, until: datetime, *, limit: int) -> list[OverDays]:
    """List the items of a site that lie at its office longer than they are kept, or will by a moment."""
    async with database.acquire() as connection:
        return [OverDays(*row) for row in await connection.fetch(query("request.over_days"), site, until, limit)]


async def asked_about(database: Database, item_subject: str, point_subject: str) -> list[Asked]:
    """List what was asked for an item or for its address, newest first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("request.asked_about"), item_subject, point_subject)
    return [Asked(*row) for row in rows]
