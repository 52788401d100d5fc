"""Replays: what was asked for, how far each has come, and who works at it; and how a live cursor is moved.

Whoever moves a live cursor takes the lane's row first, as its owner does, and gives it a new epoch in the same transaction:
what the owner still saves counts for nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.errors import Conflict, NotFound
from fieldsvc.store.database import DATABASE_ERRORS, Database, Seen
from fieldsvc.store.lanes import Place
from sql import query

STORE_FAULTS = DATABASE_ERRORS
Places = Mapping[int, Place]
MOST_OPEN, LIST_SLICE, FORGET_SLICE = 10, 1000, 5000
Record = asyncpg.Record


@dataclass(frozen=True, slots=True)
class Replay:
    """One replay as its subscriber sees it; `waits_for` says what a running one waits for, None if nothing."""

    id: str
    endpoint: str
    mode: str
    state: str
    starts: str | None
    ends: str | None
    types: Sequence[str]
    only_failed: bool
    rate_per_s: float | None
    sent: int
    failed: int
    skipped: int
    created_at: datetime
    ended_at: datetime | None
    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A replay to be recorded; `starts` and `ends` as they were asked for."""

    id: str
    endpoint: str
    mode: str
    state: str = "running"
    starts: str | None = None
    ends: str | None = None
    types: Sequence[str] = ()
    only_failed: bool = False
    rate_per_s: float | None = None


@dataclass(frozen=True, slots=True)
class Lease:
    """A replay that is ours under an epoch, with its counts so far."""

    id: str
    endpoint: str
    epoch: int
    types: Sequence[str]
    listed: bool
    rate_per_s: float | None
    sent: int
    failed: int
    skipped: int


@dataclass(slots=True)
class Progress:
    """What an owner has to save: whole counts, the cursors that moved, the events that arrived; `done` when all of it is through."""

    replay: str
    endpoint: str
    epoch: int
    sent: int
    failed: int
    skipped: int
    cursors: dict[int, Place] = field(default_factory=dict)
    delivered: list[str] = field(default_factory=list)
    done: bool = False


async def add_window(database: Database, asked: Asked, *, start: Places, end: Places) -> None:
    """Record a replay of what lies between places; with `only_failed`, its owner lists what failed of it.

    NotFound without the endpoint, Conflict if too many of its replays have not ended.
    """
    async with database.acquire() as connection, connection.transaction():
        await _hold_room(connection, asked.endpoint)
        await _add(connection, asked, listed=asked.only_failed)
        await _add_cursors(connection, asked.id, start, end)


async def recover(database: Database, asked: Asked, since: datetime, *, start: Places, end: Places) -> tuple[int, int]:
    """Record a replay of the dead letters since a moment, and make subjects parked since then due; return how many of each.

    Errors are those of `add_window`.
    """
    async with database.acquire() as connection, connection.transaction():
        await _hold_room(connection, asked.endpoint)
        await _add(connection, asked, listed=True, since=since)
        await _add_cursors(connection, asked.id, start, end)
        due = await connection.execute(query("replay.make_due"), asked.endpoint, since)
        await connection.execute(query("endpoint.touch"), asked.endpoint)  # its owner lets go, and reads them again
        dead: int = await connection.fetchval(query("replay.dead"), asked.endpoint, since)
    return dead, _count(due)


async def list_some(database: Database, replay_id: str, epoch: int, *, limit: int = LIST_SLICE) -> bool | None:
    """Make the next slice of a replay's list; tell whether there is more of it, None if the replay is not ours or stands.

    What was given up or tried after the replay was asked for is not of it.
    """
    async with database.acquire() as connection, connection.transaction():
        held = await connection.fetchrow(query("replay.hold_list"), replay_id, epoch)
        if held is None or held["lists"] is None:
            return None if held is None else False
        last = await _list_slice(connection, replay_id, held, limit)
        if last is not None:
            lists, at, name = held["lists"], last["at"], last["event_id"]
        else:
            lists, at, name = ("refused" if _lists_refused(held) else None), held["list_at"], ""
        await connection.execute(query("replay.mark_list"), replay_id, lists, at, name)
    return lists is not None


async def rewind(database: Database, asked: Asked, *, to: Places) -> bool:
    """Move the live cursor back where it is newer than some places, and free what stands parked behind; tell if it moved."""
    async with database.acquire() as connection, connection.transaction():
        await _fence(connection, asked.endpoint)
        moved = [
            row["shard"] for row in await connection.fetch(query("replay.move_back"), asked.endpoint, *_columns(to))
        ]
        freed = await connection.fetch(query("replay.free_behind"), asked.endpoint, moved)
        await connection.execute(query("replay.drop_backlog"), asked.endpoint, [row["subject"] for row in freed])
        await connection.execute(query("replay.take_back"), asked.endpoint, moved)
        await connection.execute(query("endpoint.touch"), asked.endpoint)
        await _add(connection, asked)
    return bool(moved)


async def skip(database: Database, asked: Asked, *, to: Places) -> tuple[dict[int, Place], int] | None:
    """Move the live cursor of a stopped endpoint on to some places, let go of what is parked, and resume it.

    Return where it stood, and how many events were parked; None if the endpoint is active.
    """
    async with database.acquire() as connection, connection.transaction():
        await _fence(connection, asked.endpoint)
        row = await connection.fetchrow(query("endpoint.lock"), asked.endpoint)
        if row is None or row["state"] == "active":
            return None
        stood = {
            each["shard"]: (each["day"], each["pos"])
            for each in await connection.fetch(query("cursor.read"), asked.endpoint)
        }
        await connection.execute(query("replay.move_on"), asked.endpoint, *_columns(to))
        parked: int = await connection.fetchval(query("replay.free_all"), asked.endpoint)
        await connection.execute(query("lane.rest"), asked.endpoint)
        await connection.execute(query("endpoint.resume"), asked.endpoint)
        await _add(connection, asked, skipped=parked)
    return stood, parked


async def set_skipped(database: Database, replay_id: str, events: int) -> None:
    """Say how many events a skip passed."""
    async with database.acquire() as connection:
        await connection.execute(query("replay.set_skipped"), replay_id, events)


async def passed(database: Database, shard: int, start: Place, end: Place, *, account: str | None) -> Sequence[Record]:
    """Count public events behind one place up to another by type, account and site; `account` None counts every account's."""
    async with database.acquire() as connection:
        return await connection.fetch(query("replay.passed"), shard, *start, *end, account)


async def page(seen: Seen, endpoint: str, *, before: str, limit: int) -> list[Replay]:
    """List an endpoint's replays, newest first, before an id."""
    async with seen.acquire() as connection:
        return [Replay(*row) for row in await connection.fetch(query("replay.page"), endpoint, before, limit)]


async def settle(database: Database, endpoint: str, replay_id: str, *, state: str, was: Sequence[str]) -> bool:
    """Give a replay that is in one of some states another one; tell if it was."""
    async with database.acquire() as connection:
        return bool(await connection.fetch(query("replay.settle"), endpoint, replay_id, state, list(was)))


async def claim(database: Database, owner: UUID, *, lease_s: float, most: int, of_account: int) -> list[Lease]:
    """Take replays that may run and that nobody works at, each with its next epoch; of accounts with the fewest at work first.

    At most `of_account` of one account are at work. An account's first is taken also beyond `most`.
    """
    async with database.acquire() as connection:
        rows = await connection.fetch(query("replay.claim"), owner, lease_s, most, of_account)
    return [Lease(*row) for row in rows]


async def renew(database: Database, owner: UUID, replays: Mapping[str, int], *, lease_s: float) -> set[str]:
    """Keep replays, id -> epoch; return those that are still ours and may still run."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("replay.renew"), owner, list(replays), list(replays.values()), lease_s)
    return {row["id"] for row in rows}


async def release(database: Database, owner: UUID, replay_id: str, epoch: int) -> None:
    """Give a replay up."""
    async with database.acquire() as connection:
        await connection.execute(query("replay.release"), owner, replay_id, epoch)


async def cursors(database: Database, replay_id: str) -> dict[int, tuple[Place, Place]]:
    """Read where a replay stands and ends in every shard."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("replay.cursors"), replay_id)
    return {row["shard"]: ((row["day"], row["pos"]), (row["end_day"], row["end_pos"])) for row in rows}


async def listed(database: Database, replay_id: str, shard: int, *, after: Place, limit: int) -> Sequence[Record]:
    """Read the next public rows that a replay lists; all but its place is null where retention was faster."""
    async with database.acquire() as connection:
        return await connection.fetch(query("replay.next"), replay_id, shard, *after, limit)


async def save(database: Database, owner: UUID, progress: Progress) -> bool:
    """Save how far a replay has come in one transaction; False, and no progress saved, if it is not ours now or has ended."""
    counts = progress.sent, progress.failed, progress.skipped
    async with database.acquire() as connection, connection.transaction():
        if progress.delivered:  # also of one that is lost; and first, as whoever deletes the endpoint does
            await connection.execute(query("replay.delivered"), progress.endpoint, progress.delivered)
        if not await connection.fetch(query("replay.save"), owner, progress.replay, progress.epoch, *counts):
            return False
        if progress.cursors:
            await connection.execute(query("replay.move"), progress.replay, *_columns(progress.cursors))
        if progress.done:
            await connection.execute(query("replay.end"), progress.replay)
    return True


async def delivered(database: Database, endpoint: str, event_id: str) -> None:
    """Take an event that arrived after all out of the dead letters."""
    async with database.acquire() as connection:
        await connection.execute(query("replay.delivered"), endpoint, [event_id])


async def forget(database: Database, *, days: int) -> None:
    """Forget replays that ended some days ago."""
    async with database.acquire() as connection:
        await connection.execute(query("replay.forget"), days)


async def forget_lists(database: Database) -> bool:
    """Forget some of what ended replays listed; tell whether there may be more."""
    async with database.acquire() as connection:
        return _count(await connection.execute(query("replay.forget_lists"), FORGET_SLICE)) == FORGET_SLICE


async def _fence(connection: asyncpg.Connection, endpoint: str) -> None:
    if not await connection.fetch(query("replay.fence"), endpoint):
        raise NotFound


async def _hold_room(connection: asyncpg.Connection, endpoint: str) -> None:
    """Hold the lane until the end of the transaction; whoever adds a replay waits here, so that the count holds."""
    if not await connection.fetch(query("replay.hold_lane"), endpoint):
        raise NotFound
    if await connection.fetchval(query("replay.open"), endpoint) >= MOST_OPEN:
        raise Conflict("An endpoint has at most ten replays that have not ended.")


async def _list_slice(connection: asyncpg.Connection, replay_id: str, held: Record, limit: int) -> Record | None:
    """List a slice; return the place of its last one, None if it was not full."""
    endpoint, place = held["endpoint"], (held["list_at"], held["list_event"])
    if held["lists"] == "dead":
        last = await connection.fetchrow(
            query("replay.list_dead"), replay_id, endpoint, *place, held["list_since"], limit
        )
        return last if last is not None and last["read"] == limit else None
    found = await connection.fetch(query("replay.failed_slice"), replay_id, endpoint, *place, limit)
    await connection.execute("set local enable_bitmapscan = on")  # the index of batches knows no other way
    await connection.execute(query("replay.list_refused"), replay_id, endpoint, [row["event_id"] for row in found])
    return found[-1] if len(found) == limit else None


def _lists_refused(held: Record) -> bool:
    return held["lists"] == "dead" and held["list_since"] is None


async def _add(
    connection: asyncpg.Connection,
    asked: Asked,
    *,
    listed: bool = False,
    since: datetime | None = None,
    skipped: int = 0,
) -> None:
    await connection.execute(
        query("replay.add"), asked.id, asked.endpoint, asked.mode, asked.state, asked.starts, asked.ends,
        list(asked.types), asked.only_failed, listed, asked.rate_per_s, skipped, since,
    )  # fmt: skip


async def _add_cursors(connection: asyncpg.Connection, replay_id: str, start: Places, end: Places) -> None:
    ends = [end[shard] for shard in start]
    days, places = [day for day, _pos in ends], [pos for _day, pos in ends]
    await connection.execute(query("replay.add_cursors"), replay_id, *_columns(start), days, places)


def _columns(places: Places) -> tuple[list[Any], list[Any], list[Any]]:
    return list(places), [day for day, _pos in places.values()], [pos for _day, pos in places.values()]


def _count(status: str) -> int:
    return int(status.rsplit(" ", 1)[1])
