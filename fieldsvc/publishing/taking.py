"""Reading the journal for one endpoint: rows in order, as far as there is room, cut to what it wants, and written out."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import inf

from fieldsvc.journal.reader import Position, Row
from fieldsvc.publishing.entries import Entry, parallel_key
from fieldsvc.publishing.filters import EventFilter
from fieldsvc.publishing.formats.catalogue import FORMATS, Needs
from fieldsvc.publishing.progress import After, Progress
from fieldsvc.publishing.rendering import may_hold_sealed
from fieldsvc.publishing.runs import Runs
from fieldsvc.publishing.tools import Tools
from fieldsvc.store import lanes
from fieldsvc.store.endpoints import Config
from fieldsvc.store.lanes import Record


@dataclass(slots=True)
class _Ahead:
    """Rows that were read and not yet taken, each with whether it is wanted."""

    rows: list[Row]
    wanted: list[bool]
    at: int = 0


@dataclass(slots=True)
class _Place:
    """Where the reading of a shard stands: what was read ahead, and where nothing was found."""

    ahead: _Ahead | None = None
    dry_version: int = -1
    dry_at: float = 0.0


class Taking:
    """Fills the queues of one endpoint from the journal and from the backlogs of its parked subjects."""

    def __init__(self, config: Config, progress: Progress, runs: Runs | None, *, tools: Tools) -> None:
        """With `runs` events are sent in batches."""
        self._config = config
        self._progress = progress
        self._runs = runs
        self._tools = tools
        self._limits = tools.limits
        self._format = FORMATS[config.format]
        self._filter = EventFilter.of(config, renderer=tools.renderer, database=tools.database)
        self._places = {shard: _Place() for shard in progress.shards}
        self._turn = 0
        self.has_more = True

    async def take_in(self, *, is_closed: bool) -> None:
        """Read the journal as far as there is room, each time from another shard on; `has_more` says whether more is there."""
        shards = list(self._places)
        self._turn = (self._turn + 1) % len(shards)
        self.has_more = False
        for shard in shards[self._turn :] + shards[: self._turn]:
            room = self._progress.room()
            has_some = self._progress.has_ready or (self._runs is not None and self._runs.has_any)
            if room <= 0 or (has_some and (room < self._limits.least_room or not is_closed)):
                self.has_more = True
                return
            self.has_more = await self._take_in_shard(shard, room) or self.has_more

    async def load_head(self, subject: str) -> Entry:
        """Read the head of a parked subject; its body is empty where retention was faster."""
        parked = self._progress.parked[subject]
        record = await lanes.event_at(self._tools.database, parked.shard, parked.head)
        return (await self._entries(subject, [record]))[0]

    async def render_anew(self, entry: Entry) -> None:
        """Write a body again; an empty one where retention was faster."""
        record = await lanes.event_at(self._tools.database, entry.shard, entry.position)
        anew = (await self._entries(entry.subject, [record]))[0]
        entry.body, entry.rendered_at, entry.missing = anew.body, anew.rendered_at, anew.missing

    async def refill(self, subject: str) -> After:
        """Read on in the backlog of a parked subject; what is unsaved must be saved before."""
        head, seen = self._progress.parked[subject].head, self._progress.deferred(subject)
        await self._tools.save()
        limit = self._limits.backlog_rows
        records = await lanes.backlog(self._tools.database, self._config.id, subject=subject, after=head, limit=limit)
        entries = await self._entries(subject, records)
        whole = len(entries) < limit
        return self._progress.refilled(subject, entries, whole=whole, seen=seen, now=datetime.now(UTC))

    async def _take_in_shard(self, shard: int, room: int) -> bool:
        place, progress = self._places[shard], self._progress
        ahead = place.ahead
        if ahead is None:
            rows = await self._read(shard, place, progress.shards[shard].read)
            ahead = _Ahead(rows, await self._filter.matching(rows))
        taken = _within(ahead, room)
        rows, wanted = ahead.rows[ahead.at : taken], ahead.wanted[ahead.at : taken]
        visible = [row for row, is_wanted in zip(rows, wanted, strict=True) if is_wanted]
        entries = iter(await self._written(visible))
        add = progress.add if self._runs is None else self._runs.add
        for row, is_wanted in zip(rows, wanted, strict=True):
            if is_wanted:
                add(next(entries))
            else:
                progress.pass_over(shard, row.position)
        ahead.at = taken
        place.ahead = ahead if taken < len(ahead.rows) else None
        return place.ahead is not None or len(ahead.rows) == self._limits.read_rows

    async def _read(self, shard: int, place: _Place, position: Position) -> list[Row]:
        """Read the journal; not again within a second where nothing was found and the tail has not moved."""
        version, now = self._tools.tail.version, time.monotonic()
        if place.dry_version == version and now - place.dry_at < self._limits.longest_sleep_s:
            return []
        rows = await self._tools.tail.recent(shard, position, limit=self._limits.read_rows)
        if not rows:
            place.dry_version, place.dry_at = version, now
        return rows

    async def _written(self, rows: Sequence[Row]) -> list[Entry]:
        if not rows:
            return []
        bodies = await self._tools.renderer.readable(rows, self._filter.view, self._config.format)
        now, parallel = time.monotonic(), self._config.mode == "parallel"
        entries = []
        for row, body in zip(rows, bodies, strict=True):
            name = row.evt_id
            key = parallel_key(row.subject, name) if parallel else row.subject
            at = now if body and self._may_change(row) else inf
            missing = "" if body else "unreadable"
            sealed = may_hold_sealed(row, self._filter.view, self._config.format)
            entry = Entry(row.shard, row.position, key, name, body, rendered_at=at, missing=missing, is_sealed=sealed)
            entries.append(entry)
        return entries

    def _may_change(self, row: Row) -> bool:
        """Whether somebody may be erased in a body that was written."""
        return self._format.needs is not Needs.NOTHING or b'"sealed"' in row.public

    async def _entries(self, subject: str, records: Sequence[Record]) -> list[Entry]:
        """Render rows of the backlog; one that retention took, or that may no longer be sent there, has no body."""
        rows = [Row(*record) for record in records if record["id"] is not None]
        named = {row.position: row.evt_id for row in rows}
        rendered = {each.position: each for each in await self._written([*filter(self._filter.may_be_sent, rows)])}
        entries = []
        for record in records:
            place = record["day"], record["pos"]
            gone = f"gone-{record['shard']}-{place[0]}-{place[1]}"
            name, missing = named.get(place, gone), "changed" if place in named else "retention"
            nothing = Entry(record["shard"], place, subject, name, b"", rendered_at=inf, missing=missing)
            entry = rendered.get(place, nothing)
            entry.subject = subject  # it may have been parked in another mode
            entries.append(entry)
        return entries


def _within(ahead: _Ahead, room: int) -> int:
    """Return the place behind as many wanted rows as there is room for."""
    for index in range(ahead.at, len(ahead.rows)):
        if ahead.wanted[index]:
            if room == 0:
                return index
            room -= 1
    return len(ahead.rows)
