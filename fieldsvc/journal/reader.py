"""Reading the journal: by cursor, shard by shard, and the shared tail that wakes the readers of a process."""

import asyncio
import contextlib
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import asyncpg

from fieldsvc.journal.submission import SHARDS
from fieldsvc.logs import get_logger
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.viewer import Viewer
from handlers.base import evt_id
from sql import query

log = get_logger()
Position = tuple[date, int]
START: Position = (date.min, 0)
CHANNEL = "fieldsvc_journal"
POLL_S, COALESCE_S = 0.25, 0.02
ROWS_KEPT, CHUNK, RANGES_KEPT = 5_000, 1_000, 16
SLACK = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class Row:
    """One public event as stored. `public` is JSON: the clear parts by class, and which classes are sealed."""

    day: date
    shard: int
    pos: int
    event_id: UUID
    part: int
    type: str
    subject: str
    subject_seq: int
    account: str | None
    site: str | None
    run: str | None
    occurred_at: datetime
    received_at: datetime
    public: bytes

    @property
    def position(self) -> Position:
        """Where the row lies in its shard."""
        return self.day, self.pos

    @property
    def evt_id(self) -> str:
        """The public event's id."""
        return evt_id(self.event_id, self.part)


def _position(row: Row) -> Position:
    return row.day, row.pos


def parse_evt_id(text: str) -> tuple[UUID, int] | None:
    """Read `evt_<uuid>[_n]`; None for anything else."""
    name, _, part = text.removeprefix("evt_").partition("_")
    if (
        not text.startswith("evt_")
        or len(name) != 36
        or (part and not (part.isascii() and part.isdigit() and len(part) < 5))
    ):
        return None
    try:
        return UUID(name), int(part or 0)
    except ValueError:
        return None


def _just_before(row: asyncpg.Record) -> Position:
    if row["day"] is not None:
        return row["day"], row["pos"] - 1
    return (row["end_day"], row["end_pos"]) if row["end_day"] is not None else START


class Reader:
    """Queries over the public rows."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def after(self, shard: int, position: Position, *, limit: int = CHUNK) -> list[Row]:
        """Read the public rows of a shard behind a position, in order."""
        async with self._database.acquire() as connection:
            found = await connection.fetch(query("event.public_after"), shard, *position, limit)
        return [Row(*row) for row in found]

    async def ends(self) -> dict[int, Position]:
        """Return the newest committed position of every shard; START for an empty one."""
        return {shard: position or START for shard, position in (await self._positions("event.ends")).items()}

    async def oldest(self) -> dict[int, Position]:
        """Return, for every shard, the position just before its oldest row."""
        found = await self._positions("event.oldest")
        return {shard: (position[0], position[1] - 1) if position else START for shard, position in found.items()}

    async def at(self, moment: datetime) -> dict[int, Position]:
        """Return, for every shard, the position just before its first row received at or after a moment; the newest if none was.

        The place is exact where no row waited longer than ten minutes between being received and being committed.
        """
        day = moment.astimezone(UTC).date()
        async with self._database.acquire() as connection:
            found = await connection.fetch(query("event.place_at"), day, moment, moment - SLACK)
        return {row["shard"]: _just_before(row) for row in found}

    async def event(self, name: str, viewer: Viewer | None = None) -> Row | None:
        """Find one public event by its id; for a `viewer` only one that they may see."""
        parsed = parse_evt_id(name)
        if parsed is None:
            return None
        async with self._database.acquire() as connection:
            known = await connection.fetch(query("event_id.known"), [parsed[0]])
        if not known:
            return None
        async with (self._database.seen_by(viewer) if viewer else self._database).acquire() as connection:
            row = await connection.fetchrow(query("event.public_by_id"), *parsed, known[0]["day"])
        return Row(*row) if row else None

    async def _positions(self, name: str) -> dict[int, Position | None]:
        async with self._database.acquire() as connection:
            found = await connection.fetch(query(name))
        return {row["shard"]: (row["day"], row["pos"]) if row["day"] else None for row in found}


@dataclass(slots=True)
class Ring:
    """The newest public rows of one shard: everything behind `start`."""

    start: Position
    end: Position
    rows: list[Row] = field(default_factory=list)

    def add(self, found: list[Row]) -> None:
        """Append rows, letting the oldest go, many at a time."""
        self.rows.extend(found)
        self.end = found[-1].position
        if len(self.rows) > 2 * ROWS_KEPT:
            self.start = self.rows[-ROWS_KEPT - 1].position
            del self.rows[:-ROWS_KEPT]

    def after(self, position: Position, limit: int) -> list[Row]:
        """Return rows behind a position that is not before `start`."""
        first = bisect_right(self.rows, position, key=_position)
        return self.rows[first : first + limit]


class Tail:
    """Reads the end of every shard once for all readers of this process, and wakes them."""

    def __init__(self, reader: Reader, connect: Callable[[], Awaitable[asyncpg.Connection]]) -> None:
        """`connect` opens a connection of the tail's own, for NOTIFY and LISTEN."""
        self._reader = reader
        self._connect = connect
        self._rings: dict[int, Ring] = {}
        self._ranges: dict[tuple[int, Position, int], list[Row]] = {}
        self._poke = asyncio.Event()
        self._moved = asyncio.Event()
        self._notify = False
        self.version = 0

    def committed(self) -> None:
        """Say that this process committed something."""
        self._notify = True
        self._poke.set()

    async def wait(self, *, timeout_s: float, since: int | None = None) -> None:
        """Wait until rows arrive, or arrived since version `since`; at most `timeout_s`."""
        if since is not None and self.version != since:
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout_s):
                await self._moved.wait()

    async def recent(self, shard: int, position: Position, *, limit: int) -> list[Row]:
        """Return public rows behind a position: from memory when they are there, else from the database."""
        ring = self._rings.get(shard)
        if ring is None or position < ring.start:
            return await self._older(shard, position, limit)
        return ring.after(position, limit)

    async def _older(self, shard: int, position: Position, limit: int) -> list[Row]:
        """Read from the database; a full range never changes, so it is kept for those who come the same way soon after."""
        place = shard, position, limit
        found = self._ranges.get(place)
        if found is None:
            found = await self._reader.after(shard, position, limit=limit)
            if len(found) == limit:
                self._ranges[place] = found
                if len(self._ranges) > RANGES_KEPT:
                    del self._ranges[next(iter(self._ranges))]
        return found

    async def run(self) -> None:
        """Follow the journal until cancelled. Faults are logged and tried again."""
        while True:
            try:
                await self._follow()
            except (*DATABASE_ERRORS, asyncpg.InternalClientError) as error:
                log.warning("tail.interrupted", error=type(error).__name__)
                await asyncio.sleep(POLL_S)

    async def _follow(self) -> None:
        connection = await self._connect()
        try:
            await connection.add_listener(CHANNEL, self._heard)
            if not self._rings:
                self._rings = {shard: Ring(end, end) for shard, end in (await self._reader.ends()).items()}
            while True:
                if await self._read():
                    self._announce()
                if self._notify:
                    self._notify = False
                    await connection.execute(f"notify {CHANNEL}")
                    await asyncio.sleep(COALESCE_S)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(
                        POLL_S
                    ):  # and no wait_for, which can swallow a cancellation (Python 3.11)
                        await self._poke.wait()
                self._poke.clear()
        finally:
            connection.terminate()

    async def _read(self) -> bool:
        moved = False
        for shard in range(SHARDS):
            ring = self._rings[shard]
            while found := await self._reader.after(shard, ring.end, limit=CHUNK):
                ring.add(found)
                moved = True
                if len(found) < CHUNK:
                    break
        return moved

    def _announce(self) -> None:
        self.version += 1
        moved, self._moved = self._moved, asyncio.Event()
        moved.set()

    def _heard(self, *_details: Any) -> None:
        self._poke.set()
