"""What the owner of an endpoint's lane reads and writes: lease, cursors, parked subjects, backlog, dead letters.

Everything that changes together is saved together, in one transaction that first holds the lanes which are still this
owner's: who lost a lane can write nothing for it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.store.database import DATABASE_ERRORS, Database
from sql import query

Place = tuple[date, int]
Breaker = tuple[datetime | None, datetime | None, int, datetime | None, datetime | None, datetime | None, int]
Record = asyncpg.Record
STORE_FAULTS = DATABASE_ERRORS


@dataclass(frozen=True, slots=True)
class Lease:
    """A lane that is ours under an epoch, and how its breaker stood."""

    endpoint: str
    epoch: int
    opened_at: datetime | None
    probe_at: datetime | None
    step: int
    held_until: datetime | None
    failing_since: datetime | None = None
    last_failed_at: datetime | None = None
    warned: int = 0


@dataclass(frozen=True, slots=True)
class ParkedRow:
    """A subject that waits alone: its head, the failures so far, and how many events are behind it."""

    subject: str
    shard: int
    head: Place
    attempts: int
    next_at: datetime
    reason: str
    since: datetime
    behind: int = 0


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """An event that was given up."""

    event_id: str
    subject: str
    shard: int
    place: Place
    reason: str
    attempts: int


@dataclass(slots=True)
class Changes:
    """What one lane has to save; `passed` counts the acknowledged events that its cursors now cover.

    `breaker` is opened_at, probe_at, step, held_until, failing_since, last_failed_at, warned.
    """

    endpoint: str
    epoch: int
    cursors: dict[int, Place] = field(default_factory=dict)
    parked: list[ParkedRow] = field(default_factory=list)
    freed: list[tuple[str, Place]] = field(default_factory=list)
    backlog: list[tuple[str, int, Place]] = field(default_factory=list)
    dead: list[DeadLetter] = field(default_factory=list)
    breaker: Breaker | None = None
    passed: int = 0


async def claim(database: Database, owner: UUID, *, lease_s: float, most: int) -> list[Lease]:
    """Take free lanes, each with its next epoch."""
    async with database.acquire() as connection:
        return [Lease(*row) for row in await connection.fetch(query("lane.claim"), owner, lease_s, most)]


async def renew(database: Database, owner: UUID, lanes: Mapping[str, int], *, lease_s: float) -> set[str]:
    """Keep lanes, endpoint -> epoch; return those that are still ours."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("lane.renew"), owner, list(lanes), list(lanes.values()), lease_s)
    return {row["endpoint"] for row in rows}


async def release(database: Database, owner: UUID, lanes: Mapping[str, int], *, after_s: float = 0.0) -> None:
    """Give lanes up; they are free after some seconds."""
    async with database.acquire() as connection:
        await connection.execute(query("lane.release"), owner, list(lanes), list(lanes.values()), after_s)


async def share(database: Database, owner: UUID, *, seen_s: float) -> int:
    """Say that an owner is there; return how many lanes are its fair share among those seen within some seconds."""
    async with database.acquire() as connection:
        await connection.execute(query("dispatcher.here"), owner)
        row = (await connection.fetch(query("dispatcher.count"), seen_s))[0]
    return -(-int(row["lanes"]) // max(1, int(row["dispatchers"])))


async def leave(database: Database, owner: UUID) -> None:
    """Say that an owner is no longer there."""
    async with database.acquire() as connection:
        await connection.execute(query("dispatcher.gone"), owner)


async def read(database: Database, endpoint: str) -> tuple[dict[int, Place], list[ParkedRow]]:
    """Read where an endpoint stands: cursors per shard, and its parked subjects."""
    async with database.acquire() as connection:
        cursors = await connection.fetch(query("cursor.read"), endpoint)
        parked = await connection.fetch(query("parked.read"), endpoint)
    rows = [ParkedRow(row["subject"], row["shard"], (row["day"], row["pos"]), *row[4:]) for row in parked]
    return {row["shard"]: (row["day"], row["pos"]) for row in cursors}, rows


async def event_at(database: Database, shard: int, place: Place) -> Record:
    """Read one public row of the journal; all but its place is null where retention was faster."""
    async with database.acquire() as connection:
        return (await connection.fetch(query("parked.head"), place[0], shard, place[1]))[0]


async def backlog(database: Database, endpoint: str, *, subject: str, after: Place, limit: int) -> Sequence[Record]:
    """Read the next public rows that wait behind a parked subject; all but its place is null where retention was faster."""
    async with database.acquire() as connection:
        return await connection.fetch(query("lane_backlog.next"), endpoint, subject, *after, limit)


async def save(database: Database, owner: UUID, changes: Sequence[Changes]) -> set[str]:
    """Save the changes of lanes in one transaction; return the endpoints whose lanes are still ours, and only they are saved."""
    lanes = [each.endpoint for each in changes], [each.epoch for each in changes]
    async with database.acquire() as connection, connection.transaction():
        held = {row["endpoint"] for row in await connection.fetch(query("lane.hold"), owner, *lanes)}
        kept = [each for each in changes if each.endpoint in held]
        for name, rows in _statements(kept):
            if rows:
                await connection.execute(query(name), *map(list, zip(*rows, strict=True)))
    return held


def _statements(kept: Sequence[Changes]) -> list[tuple[str, list[tuple[Any, ...]]]]:
    trims = [(c.endpoint, row.subject, *row.head) for c in kept for row in c.parked]
    trims += [(c.endpoint, subject, *place) for c in kept for subject, place in c.freed]
    backlog_rows = [(c.endpoint, subject, *place, shard) for c in kept for subject, shard, place in c.backlog]
    freed = [(c.endpoint, subject) for c in kept for subject, _place in c.freed]
    cursors = [(c.endpoint, c.epoch, shard, *place) for c in kept for shard, place in c.cursors.items()]
    breakers = [(c.endpoint, c.epoch, *c.breaker) for c in kept if c.breaker is not None]
    return [
        ("lane_backlog.add", backlog_rows),
        ("parked.save", [_parked(c.endpoint, row) for c in kept for row in c.parked]),
        ("lane_backlog.trim", trims),
        ("parked.free", freed),
        ("dead_letter.add", [_dead(c.endpoint, row) for c in kept for row in c.dead]),
        ("cursor.move", cursors),
        ("lane.save_breakers", breakers),
    ]


def _parked(endpoint: str, row: ParkedRow) -> tuple[Any, ...]:
    return (endpoint, row.subject, row.shard, *row.head, row.attempts, row.next_at, row.reason, row.since)


def _dead(endpoint: str, row: DeadLetter) -> tuple[Any, ...]:
    return (endpoint, row.event_id, row.subject, row.shard, *row.place, row.reason, row.attempts)
