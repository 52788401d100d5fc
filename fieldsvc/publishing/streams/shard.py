"""One shard on its way to the broker: batches in the order of the journal, each right behind the one before it.

What was stored is the broker's to say: this goes on behind the broker's last message, whatever PostgreSQL remembers, and every
batch names the message that it follows. So a batch is stored once or not at all, whoever else tries, and however often.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from fieldsvc.journal.reader import Position, Reader, Row, Tail
from fieldsvc.logs import get_logger
from fieldsvc.publishing.streams.broker import Broker, IdsKnown, Overtaken, StreamLimits
from fieldsvc.publishing.streams.messages import Message, message_of
from fieldsvc.publishing.streams.resuming import Diverged, Resume, decide
from fieldsvc.store import streams
from fieldsvc.store.database import DATABASE_ERRORS, Database
from fieldsvc.store.streams import Acknowledged
from handlers.base import evt_id

log = get_logger()


@dataclass(frozen=True, slots=True)
class StreamPace:
    """How much at once, and how often what, in seconds."""

    batch: int = 1_000  # the server's limit
    batch_bytes: int = 4_194_304
    lease_s: float = 8.0
    margin_s: float = 2.0
    look_s: float = 1.0
    save_s: float = 0.1
    check_s: float = 5.0
    answer_s: float = 5.0
    held_s: float = 10.0
    back_off_s: tuple[float, float] = (0.25, 5.0)
    late_after_s: float = 60.0


@dataclass(frozen=True, slots=True)
class StreamTools:
    """What every shard works with."""

    database: Database
    reader: Reader
    tail: Tail
    epoch: UUID
    limits: StreamLimits
    pace: StreamPace


class Shard:
    """The publisher of one shard under one lease."""

    def __init__(self, shard: int, lease: int, tools: StreamTools) -> None:
        self.shard, self.lease = shard, lease
        self.lease_ends = 0.0
        self.held: str | None = None
        self.published = 0
        self.unsaved: Acknowledged | None = None
        self._tools = tools
        self._place: Position | None = None
        self._sequence = 0
        self._made_at = ""
        self._known_for = 0

    async def run(self, broker: Broker) -> None:
        """Publish until cancelled. BrokerFault ends it; everything else is tried again."""
        while True:
            try:
                await self._follow(broker)
            except Overtaken:
                log.warning("stream.overtaken", shard=self.shard)
                await asyncio.sleep(self._tools.pace.save_s)
            except IdsKnown:
                await self._wait_for_ids()
            except Diverged as error:
                if self.held != error.reason:
                    log.error("stream.held", shard=self.shard, reason=error.reason)  # noqa: TRY400 - the trace says nothing
                self.held = error.reason
                await asyncio.sleep(self._tools.pace.held_s)
            except DATABASE_ERRORS as error:
                log.warning("stream.store_fault", shard=self.shard, error=type(error).__name__)
                await asyncio.sleep(self._tools.pace.look_s)

    async def waiting_s(self) -> float:
        """Tell for how long the oldest event waits that the broker does not have; 0 if none does."""
        if self._place is None:
            known = await streams.acknowledged(self._tools.database, self.shard)
            place = known.place if known else (await self._tools.reader.oldest())[self.shard]
        else:
            place = self._place
        rows = await self._tools.tail.recent(self.shard, place, limit=1)
        return max(0.0, (datetime.now(UTC) - rows[0].received_at).total_seconds()) if rows else 0.0

    async def _follow(self, broker: Broker) -> None:
        place = await self._resume(broker)
        tools, looked_at = self._tools, time.monotonic()
        while True:
            version = tools.tail.version
            rows = await tools.tail.recent(self.shard, place, limit=tools.pace.batch)
            if time.monotonic() >= self.lease_ends:
                await asyncio.sleep(tools.pace.save_s)
            elif rows:
                place = await self._send(broker, rows)
            elif time.monotonic() - looked_at >= tools.pace.check_s:
                place, looked_at = await self._resume(broker), time.monotonic()
            else:
                await tools.tail.wait(timeout_s=min(1.0, tools.pace.check_s), since=version)

    async def _send(self, broker: Broker, rows: Sequence[Row]) -> Position:
        messages = self._cut(rows, most_bytes=broker.most_bytes)
        self._sequence = await broker.publish(self.shard, messages, after=self._sequence)
        self._place = rows[len(messages) - 1].position
        self._known_for = 0
        self.published += len(messages)
        self.unsaved = Acknowledged(self._tools.epoch, self._place, self._sequence, self._made_at)
        return self._place

    def _cut(self, rows: Sequence[Row], *, most_bytes: int) -> list[Message]:
        """Write as many rows as go into one batch, at least one."""
        messages: list[Message] = []
        left = self._tools.pace.batch_bytes
        for row in rows:
            message = message_of(row, self._tools.epoch, most_bytes=most_bytes)
            left -= len(message.body)
            if messages and left < 0:
                break
            messages.append(message)
        return messages

    async def _resume(self, broker: Broker) -> Position:
        """Find out where to go on, as the broker and the journal have it now. Diverged if they cannot be of one store."""
        last = await broker.last(self.shard)
        stream = await broker.state()
        known = await streams.acknowledged(self._tools.database, self.shard)
        found = decide(last, known, stream, epoch=self._tools.epoch)
        if found.check and last is not None:
            await self._check(found, last.evt_id, known)
        place = found.place if found.place is not None else await self._start(known)
        if place != self._place or self.held:
            await self._tell(found, place)
        self.held = None
        self._place, self._sequence, self._made_at = place, last.sequence if last else 0, stream.made_at
        return place

    async def _check(self, found: Resume, name: str, known: Acknowledged | None) -> None:
        """Refuse a message that the journal does not have where it says; one that retention let go of is fine."""
        tools, place = self._tools, found.place
        if place is None:
            return
        row = await streams.event_at(tools.database, self.shard, place)
        if row is not None:
            if evt_id(*row) != name:
                raise Diverged("journal_differs")
        elif known is None or known.store_epoch != tools.epoch or known.place < place:
            raise Diverged("ahead_of_journal")

    async def _start(self, known: Acknowledged | None) -> Position:
        """Return the place before the oldest row that the stream would still keep, or that it never got."""
        tools = self._tools
        oldest = (await tools.reader.oldest())[self.shard]
        if tools.limits.keep is None:
            return oldest
        since = datetime.now(UTC) - tools.limits.keep
        kept = await streams.before_first_since(tools.database, self.shard, since)
        kept = kept or (await tools.reader.ends())[self.shard]
        return max(oldest, min(kept, known.place) if known else kept)

    async def _tell(self, found: Resume, place: Position) -> None:
        oldest = (await self._tools.reader.oldest())[self.shard]
        log.info("stream.resumed", shard=self.shard, reason=found.why, day=place[0].isoformat(), pos=place[1])
        if place < oldest and place[1] < oldest[1]:
            log.error("stream.rows_gone", shard=self.shard, day=oldest[0].isoformat())

    async def _wait_for_ids(self) -> None:
        """Wait, longer each time: ids of messages that are no longer there are known until the window ends."""
        self._known_for += 1
        if self._known_for == 1:
            log.warning("stream.ids_known", shard=self.shard)
        first, longest = self._tools.pace.back_off_s
        await asyncio.sleep(min(longest, first * 2 ** min(self._known_for, 10)))
