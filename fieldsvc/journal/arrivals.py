"""What arrived today, counted by site as the journal grows: each row is read once, and then only what is new.

The newest minutes come first. What arrived between midnight and the first question is counted a piece at a time, so that no
answer waits for a whole day: until then the counts of the day are too low.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta, tzinfo
from typing import Any

from fieldsvc.journal.reader import Position, Reader
from fieldsvc.store.database import Database
from sql import query

MINUTES_KEPT, PIECE = 6, 25_000  # a piece: positions of a shard


@dataclass(slots=True)
class Arrived:
    """What arrived of one site today; `recent` counts (events, late ones) of the newest minutes."""

    last_at: datetime | None = None
    late: int = 0
    longest_late_s: float = 0.0
    recent: dict[datetime, tuple[int, int]] = field(default_factory=dict)

    def within(self, now: datetime, minutes: int) -> tuple[int, int]:
        """Count the events of the last minutes, and those of them that were late."""
        since = now - timedelta(minutes=minutes)
        found = [counts for minute, counts in self.recent.items() if minute > since]
        return sum(events for events, _ in found), sum(late for _, late in found)


class Arrivals:
    """Counts for one process; `of_today` reads on from where the last call ended."""

    def __init__(self, database: Database, reader: Reader, zone: tzinfo, *, late_s: float) -> None:
        self._database = database
        self._reader = reader
        self._zone = zone
        self._late_s = late_s
        self._lock = asyncio.Lock()
        self._midnight: datetime | None = None
        self._places: dict[int, Position] = {}
        self._behind: dict[int, tuple[Position, Position]] = {}
        self._sites: dict[str | None, Arrived] = {}

    async def of_today(self, now: datetime) -> dict[str | None, Arrived]:
        """Return what arrived since the local midnight, by site; None = of no site."""
        async with self._lock:
            midnight = self.midnight(now)
            if midnight != self._midnight:
                await self._begin(midnight, now)
            for shard, end in (await self._reader.ends()).items():
                await self._read(shard, self._places[shard], end)
                self._places[shard] = end
            for shard, (place, end) in list(self._behind.items()):
                await self._read_behind(shard, place, end)
            self._forget(now - timedelta(minutes=MINUTES_KEPT))
            return dict(self._sites)

    def midnight(self, now: datetime) -> datetime:
        """Return the local midnight before a moment."""
        return datetime.combine(now.astimezone(self._zone).date(), time(), self._zone).astimezone(UTC)

    async def _begin(self, midnight: datetime, now: datetime) -> None:
        first = await self._reader.at(midnight)
        self._places = await self._reader.at(max(midnight, now - timedelta(minutes=MINUTES_KEPT)))
        self._behind = {shard: (first[shard], place) for shard, place in self._places.items() if first[shard] < place}
        self._midnight, self._sites = midnight, defaultdict(Arrived)

    async def _read_behind(self, shard: int, place: Position, end: Position) -> None:
        """Read one piece; positions go on from day to day."""
        until = (end[0], min(end[1], place[1] + PIECE))
        await self._read(shard, place, until)
        self._behind[shard] = until, end
        if until == end:
            del self._behind[shard]

    async def _read(self, shard: int, place: Position, end: Position) -> None:
        if end <= place:
            return
        async with self._database.acquire() as connection:
            rows = await connection.fetch(query("event.arrived"), shard, *place, *end, self._late_s)
        self._take(rows)

    def _take(self, rows: Iterable[Any]) -> None:
        for row in rows:
            known = self._sites[row["site"]]
            known.last_at = max(known.last_at or row["last_at"], row["last_at"])
            known.late += row["late"]
            known.longest_late_s = max(known.longest_late_s, row["longest_s"])
            events, late = known.recent.get(row["minute"], (0, 0))
            known.recent[row["minute"]] = events + row["events"], late + row["late"]

    def _forget(self, before: datetime) -> None:
        for known in self._sites.values():
            known.recent = {minute: counts for minute, counts in known.recent.items() if minute >= before}
