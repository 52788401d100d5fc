"""The feed: the same events, ids and order per subject as the webhooks, pulled by cursor.

A cursor is opaque and signed: the store's epoch and the position in every shard. It moves past rows that the caller may not
see, so it always ends at the end. One that the kept rows no longer reach is refused, never silently moved.
"""

import asyncio
import base64
import binascii
import hashlib
import hmac
import struct
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from heapq import merge
from uuid import UUID

from fieldsvc.errors import BadRequest, FieldsvcError, Gone, NotFound
from fieldsvc.journal.reader import Position, Reader, Row, Tail, parse_evt_id
from fieldsvc.journal.sealed import Vault
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.store.viewer import EVERY_SITE, SUBSCRIBER, Viewer
from handlers.base import wire_type
from handlers.fields import parse_time

MOST_SCANNED = 10_000
CHUNK_MIN, CHUNK_MAX = 64, 1_000
STREAM_PAGE = 200
PING_S, RECHECK_S = 15.0, 0.9  # credentials are remembered for 4 s, and revocation acts within 5
_MAC_BYTES = 16
_PLACE = struct.Struct(">IQ")
_LATEST_MS = 253_370_764_800_000  # the year 9999; a UUID can say more

Positions = Mapping[int, Position]
Check = Callable[[], Awaitable[View]]


class BadCursor(BadRequest):
    """This is no cursor of the feed."""

    code = "bad_cursor"


class BadPlace(BadRequest):
    """A place in the feed is a time (RFC 3339) or the id of an event."""

    code = "bad_place"


class CursorExpired(Gone):
    """The events behind this cursor are no longer kept; `oldest` is the oldest cursor there is."""

    code = "cursor_expired"


class CursorCodec:
    """Writes and reads cursors of one store."""

    def __init__(self, key: bytes, epoch: UUID) -> None:
        self._key = key
        self._epoch = epoch.bytes

    def write(self, positions: Positions) -> str:
        """Write positions as a cursor."""
        places = b"".join(_PLACE.pack(day.toordinal(), pos) for _shard, (day, pos) in sorted(positions.items()))
        content = self._epoch + places
        return base64.urlsafe_b64encode(content + self._mac(content)).decode().rstrip("=")

    def read(self, text: str) -> dict[int, Position] | None:
        """Read a cursor; None if it is of another epoch of the store, BadCursor if it is none."""
        try:
            raw = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        except (ValueError, binascii.Error):
            raise BadCursor from None
        content, mac = raw[:-_MAC_BYTES], raw[-_MAC_BYTES:]
        if len(content) <= len(self._epoch) or not hmac.compare_digest(mac, self._mac(content)):
            raise BadCursor
        if not content.startswith(self._epoch):
            return None
        places = _PLACE.iter_unpack(content[len(self._epoch) :])
        return {shard: (date.fromordinal(day), pos) for shard, (day, pos) in enumerate(places)}

    def _mac(self, content: bytes) -> bytes:
        return hmac.digest(self._key, content, hashlib.sha256)[:_MAC_BYTES]


@dataclass(frozen=True, slots=True)
class Item:
    """One event of a page, and the cursor behind it."""

    type: str
    body: bytes
    after: Positions


@dataclass(frozen=True, slots=True)
class Page:
    """Some events and where to go on; `at_end` when nothing more was there, `scanned` how many rows were looked at."""

    items: list[Item]
    after: Positions
    at_end: bool
    scanned: int = 0


class Feed:
    """Pages and streams of public events for one view each."""

    def __init__(self, reader: Reader, tail: Tail, *, vault: Vault, renderer: Renderer) -> None:
        self._reader = reader
        self._tail = tail
        self._renderer = renderer
        self.cursors = CursorCodec(vault.derived_key("feed"), vault.epoch)

    async def resolve(self, cursor: str) -> Positions:
        """Return the positions of a cursor, of the oldest kept row when it is empty.

        BadCursor for garbage, CursorExpired (with `oldest`) if rows behind it are gone or it is of another epoch.
        """
        oldest = await self._reader.oldest()
        if not cursor:
            return oldest
        positions = self.cursors.read(cursor)
        if positions is None or any(is_past(place, positions[shard]) for shard, place in oldest.items()):
            raise CursorExpired(oldest=self.cursors.write(oldest))
        return positions

    async def seek(self, place: str, view: View) -> Positions:
        """Return the positions just before the first event recorded at or after a time, or just before an event by its id.

        Of the other shards they are those of the moment at which that event was recorded. A time that is still to come is the
        end. BadPlace for neither, NotFound for an event that the view does not see, CursorExpired (with `oldest`) for what is no
        longer kept.
        """
        if place.startswith("evt_"):
            return await self._before_event(place, view)
        try:
            moment = parse_time(place)
        except ValueError:
            raise BadPlace from None
        await self._check_kept(moment)
        return await self._reader.at(moment)

    async def find(self, place: str, view: View) -> Positions:
        """Return the positions of "oldest", of a time or event as `seek` does, or of a cursor as `resolve` does."""
        if place == "oldest":
            return await self.resolve("")
        if parse_evt_id(place) is not None or ":" in place:  # which no cursor has
            return await self.seek(place, view)
        return await self.resolve(place)

    async def _before_event(self, name: str, view: View) -> Positions:
        row = await self._reader.event(name, viewer_of_view(view))
        if row is not None and view.sees(row):
            return {**await self._reader.at(row.received_at), row.shard: (row.day, row.pos - 1)}
        parsed = parse_evt_id(name)
        if parsed is not None and parsed[0].version == 7:
            await self._check_kept(_made_at(parsed[0]))
        raise NotFound

    async def _check_kept(self, moment: datetime) -> None:
        """Refuse a moment of a day that retention has taken. The journal leaves by whole days, so the day decides."""
        oldest = await self._reader.oldest()
        kept = [place for place in oldest.values() if place[0] > date.min]
        if kept and moment.date() < min(kept)[0] and any(pos > 0 for _day, pos in kept):
            raise CursorExpired(oldest=self.cursors.write(oldest))

    async def page(self, after: Positions, view: View, *, types: TypeFilter, limit: int, fresh: bool = True) -> Page:
        """Read on from positions: at most `limit` events, and at most 10,000 rows looked at.

        `fresh` reads the database, and so sees every commit before the call; else the shared tail is enough.
        """
        read = self._reader.after if fresh else self._tail.recent
        places, items, scanned, at_end = dict(after), list[Item](), 0, False
        chunk = max(
            CHUNK_MIN, min(CHUNK_MAX, limit // len(places) + CHUNK_MIN)
        )  # a page takes about as many of each shard
        while len(items) < limit and scanned < MOST_SCANNED and not at_end:
            batches = [await read(shard, place, limit=chunk) for shard, place in places.items()]
            found = list[tuple[Row, Positions]]()
            for row in merge(*batches, key=lambda row: row.received_at):
                if len(items) + len(found) == limit or scanned == MOST_SCANNED:
                    break
                scanned += 1
                places[row.shard] = row.position
                if view.sees(row) and types.matches(row.type):
                    found.append((row, dict(places)))
            bodies = await self._renderer.shown([row for row, _after in found], view)
            items += [
                Item(wire_type(row.type), body, at) for (row, at), body in zip(found, bodies, strict=True) if body
            ]
            through = len(items) < limit and scanned < MOST_SCANNED
            at_end = through and all(len(batch) < chunk for batch in batches)
        return Page(items, places, at_end, scanned)

    async def poll(self, after: Positions, check: Check, *, types: TypeFilter, limit: int, wait_s: float) -> Page:
        """Read a page; with nothing to give, wait up to `wait_s` for something. `check` says again and again who looks."""
        deadline, view, fresh, scanned = time.monotonic() + wait_s, await check(), True, 0
        while True:
            version = self._tail.version
            page = await self.page(after, view, types=types, limit=limit, fresh=fresh)
            left_s, scanned = deadline - time.monotonic(), scanned + page.scanned
            if page.items or left_s <= 0 or not page.at_end or scanned >= MOST_SCANNED:
                return page
            after, fresh = page.after, False
            await self._tail.wait(timeout_s=min(left_s, RECHECK_S), since=version)
            view = await check()

    async def stream(self, after: Positions, check: Check, *, types: TypeFilter) -> AsyncIterator[bytes]:
        """Yield server-sent events for ever, with a ping after 15 quiet seconds; ends when `check` refuses."""
        checked_at = spoke_at = 0.0
        view, fresh = await check(), True
        while True:
            version = self._tail.version
            if time.monotonic() - checked_at >= RECHECK_S:
                try:
                    view, checked_at = await check(), time.monotonic()
                except FieldsvcError:
                    return
            page = await self.page(after, view, types=types, limit=STREAM_PAGE, fresh=fresh)
            after, fresh = page.after, fresh and not page.at_end
            for item in page.items:
                yield b"id: %s\nevent: %s\ndata: %s\n\n" % (self._id(item.after), item.type.encode(), item.body)
            if page.items:
                spoke_at = time.monotonic()
            elif time.monotonic() - spoke_at >= PING_S or not spoke_at:
                yield b": ping\nid: %s\n\n" % self._id(after)
                spoke_at = time.monotonic()
            if page.at_end:
                await self._tail.wait(timeout_s=RECHECK_S, since=version)
            else:
                await asyncio.sleep(0)

    def _id(self, after: Positions) -> bytes:
        return self.cursors.write(after).encode()


def viewer_of_view(view: View) -> Viewer:
    """Say for whom the account of a view reads, as the database is told."""
    return Viewer(SUBSCRIBER, view.account, EVERY_SITE if view.operator else None)


def _made_at(event_id: UUID) -> datetime:
    """Read the moment in a UUIDv7."""
    return datetime.fromtimestamp(min(event_id.int >> 80, _LATEST_MS) / 1000, UTC)


def is_past(oldest: Position, position: Position) -> bool:
    """Tell whether rows behind a position were dropped; positions of a shard never start again."""
    return position < oldest and position[1] < oldest[1]
