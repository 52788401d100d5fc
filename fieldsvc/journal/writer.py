"""The writer: the one road into the journal.

A process has one writer, and the writer has one connection. Requests wait in a queue; whenever the previous transaction is
through, the writer takes what has gathered (at most 1,000 events or 1 MiB) and runs one transaction for all of it:

1. It locks the rows of `shard` that the batch touches, in order. Whoever holds them is alone on those shards until commit,
   whatever process it lives in. If another process wrote a shard last, what this one remembers of it is read again.
2. It remembers the ids. An id that was known is a duplicate or a conflict, and its answer still waits for this commit: the
   lock has written to the log, so the commit is flushed (and replicated, where that is on) before anyone is told anything.
3. It decides, in the order of arrival: each service tells its subject's story again with the new fact in its place.
4. It inserts the rows, and with them everything that follows: states, timers, tasks, quarantine, receipts.
5. It commits. Only then it answers, remembers, and wakes the readers. The committed rows are the queue of every
   subscriber; there is nothing else that could be lost.

What can go wrong, and what is answered:
- a fault in a service's rules: that event goes to quarantine, the rest of the batch commits;
- a value that the database refuses: the batch is rolled back and halved until the one event is found, and kept aside;
- a lock that takes too long, a full disk, a deadlock, a lost connection: 503 for the batch, the phones send it again;
- a connection lost at COMMIT: nobody knows whether it happened. The writer takes the locks again on a new connection, which
  waits for the old transaction to end, and looks whether its rows are there;
- a wait for the standby that is cancelled at COMMIT: the server only warns. 503: what comes again locks, and so waits anew.
Any abort clears the memory, for what it says may not have happened.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Protocol

import asyncpg

from fieldsvc.errors import FieldsvcError, TooMany, Unavailable
from fieldsvc.ids import uuid7
from fieldsvc.journal.batch import Batch
from fieldsvc.journal.memory import Memory
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import Incoming, Outcome, Rejected, Result, Submission
from fieldsvc.logs import get_logger
from handlers.registry import Registry
from sql import query

log = get_logger()
BATCH_EVENTS, BATCH_BYTES = 1_000, 1_048_576
RETRY_AFTER_S = 2
FROZEN_S = 5.0
POISON = "not_storable"
_LOST = (asyncpg.PostgresConnectionError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, EOFError)
_GONE = (asyncpg.PostgresConnectionError, asyncpg.InternalClientError, OSError, EOFError)  # never the fault of a value
_BUSY = (
    asyncpg.LockNotAvailableError,
    asyncpg.DeadlockDetectedError,
    asyncpg.SerializationError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.QueryCanceledError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    TimeoutError,
)


class Wake(Protocol):
    """Told after each commit."""

    def committed(self) -> None:
        """Wake the readers."""


class Waiting:
    """One request in the queue."""

    __slots__ = ("answer", "sent")

    def __init__(self, sent: Submission) -> None:
        self.sent = sent
        self.answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def resolve(self, outcome: Outcome) -> None:
        """Answer, unless the caller went away."""
        if not self.answer.done():
            self.answer.set_result(outcome)

    def fail(self, error: FieldsvcError) -> None:
        """Answer with an error, unless the caller went away."""
        if not self.answer.done():
            self.answer.set_exception(error)


class Writer:
    """A queue and the task that drains it into the journal."""

    def __init__(
        self,
        connect: Callable[[], Awaitable[asyncpg.Connection]],
        vault: Vault,
        registry: Registry,
        *,
        wake: Wake | None = None,
        queue_events: int = 20_000,
        queue_events_per_device: int = 2_000,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """`connect` opens a connection of the writer's own; `clock` is the server's."""
        self._connect = connect
        self._vault = vault
        self._registry = registry
        self._wake = wake
        self._limit, self._device_limit = queue_events, queue_events_per_device
        self._clock = clock
        self._id = uuid7()
        self._memory = Memory()
        self._queue: deque[Waiting] = deque()
        self._queued: Counter[str | None] = Counter()
        self._work = asyncio.Event()
        self._connection: asyncpg.Connection | None = None
        self._stopping = False
        self._warned = False

    @property
    def waiting(self) -> int:
        """Events in the queue."""
        return self._queued.total()

    @property
    def is_connected(self) -> bool:
        """Whether the last transaction found the database."""
        return self._connection is not None and not self._connection.is_closed()

    async def submit(self, sent: Submission) -> Outcome:
        """Queue a request and wait until it is committed.

        Unavailable (503) when the queue is full or the database cannot take it; TooMany (429) when this device alone has
        too much in the queue. Either way nothing of it is lost that was not refused: the whole request can be sent again.
        """
        count = max(1, len(sent.items))
        if self._stopping or self.waiting + count > self._limit:
            raise Unavailable(retry_after_s=RETRY_AFTER_S)
        if sent.device is not None and self._queued[sent.device] + count > self._device_limit:
            raise TooMany(retry_after_s=RETRY_AFTER_S)
        waiting = Waiting(sent)
        self._queue.append(waiting)
        self._queued[sent.device] += count
        self._work.set()
        return await waiting.answer

    async def run(self) -> None:
        """Drain the queue until cancelled, or until `stop` and the queue is empty."""
        try:
            while not (self._stopping and not self._queue):
                await self._work.wait()
                self._work.clear()
                while self._queue:
                    await self._process(self._take())
        finally:
            for waiting in self._queue:
                waiting.fail(Unavailable(retry_after_s=RETRY_AFTER_S))
            await self._disconnect()

    def stop(self) -> None:
        """Take nothing more; `run` ends once everything in the queue is committed."""
        self._stopping = True
        self._work.set()

    def _take(self) -> list[Waiting]:
        taken: list[Waiting] = []
        events = size = 0
        while self._queue:
            sent = self._queue[0].sent
            if taken and (events + len(sent.items) > BATCH_EVENTS or size + sent.size > BATCH_BYTES):
                break
            events, size = events + len(sent.items), size + sent.size
            taken.append(self._queue.popleft())
            self._queued[sent.device] -= max(1, len(sent.items))
            if not self._queued[sent.device]:
                del self._queued[sent.device]
        return taken

    async def _process(self, taken: Sequence[Waiting]) -> None:
        try:
            outcomes = await self._commit([waiting.sent for waiting in taken])
        except FieldsvcError as error:
            for waiting in taken:
                waiting.fail(error)
        except asyncio.CancelledError:
            for waiting in taken:
                waiting.fail(Unavailable(retry_after_s=RETRY_AFTER_S))
            raise
        except Exception:
            log.exception("journal.failed")
            self._memory.forget()
            await self._disconnect()
            for waiting in taken:
                waiting.fail(Unavailable(retry_after_s=RETRY_AFTER_S))
        else:
            for waiting, outcome in zip(taken, outcomes, strict=True):
                waiting.resolve(outcome)
            if self._wake is not None:
                self._wake.committed()

    async def _commit(self, submissions: Sequence[Submission]) -> list[Outcome]:
        """Commit requests in one transaction; Unavailable when it must be sent again."""
        try:
            return await self._transaction(submissions, with_receipts=True)
        except _BUSY as error:
            log.warning("journal.busy", error=type(error).__name__)
            if isinstance(error, asyncpg.LockNotAvailableError):
                await self._end_frozen()
            raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
        except FieldsvcError:
            raise
        except Exception as error:  # noqa: BLE001 - SQLSTATE 22 and 23, a value that cannot be written, a fault of ours
            return await self._bisect(submissions, error)

    async def _end_frozen(self) -> None:
        """End the session of a writer that was frozen in the middle of a COPY: the server would wait for it for ever."""
        try:
            connection = await self._connected()
            ended = await connection.fetch(query("shard.end_frozen"), FROZEN_S)
        except (*_LOST, asyncpg.PostgresError, FieldsvcError):
            return
        if ended:
            log.warning("journal.frozen_ended", count=len(ended))

    async def _transaction(self, submissions: Sequence[Submission], *, with_receipts: bool) -> list[Outcome]:
        connection = await self._connected()
        now = self._clock()
        batch = Batch(self._vault, self._registry, self._memory, self._id, now, submissions, with_receipts)
        try:
            await connection.execute("begin")
            await batch.run(connection)
        except BaseException as error:
            self._memory.forget()
            await self._roll_back(connection)
            if isinstance(error, asyncpg.UniqueViolationError) and (error.table_name or "").startswith("event"):
                log.warning("journal.fenced", table=error.table_name)
                raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
            if isinstance(error, _GONE) or (isinstance(error, Exception) and connection.is_closed()):
                await self._disconnect()
                log.warning("journal.connection_lost", error=type(error).__name__)
                raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
            raise
        try:
            await self._end(connection)
        except _LOST as error:
            self._memory.forget()
            await self._disconnect()
            if not await self._happened(batch):
                raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
            return batch.outcomes
        except BaseException:
            self._memory.forget()
            await self._disconnect()
            raise
        batch.keep()
        return batch.outcomes

    async def _end(self, connection: asyncpg.Connection) -> None:
        """Commit. Unavailable when the server only warns that the wait for a standby was cancelled: this one alone has it."""
        self._warned = False
        await connection.execute("commit")
        if self._warned:
            log.warning("journal.not_replicated")
            raise Unavailable(retry_after_s=RETRY_AFTER_S)

    def _heard(self, _connection: object, said: asyncpg.PostgresLogMessage) -> None:
        """Note a warning of the server, which is all that a cancelled wait for a standby leaves; a notice is none."""
        self._warned = self._warned or said.sqlstate != "00000"

    async def _roll_back(self, connection: asyncpg.Connection) -> None:
        """Roll back; a connection that cannot is given up, so that nothing of this ends in a later commit."""
        try:
            await connection.execute("rollback", timeout=2)
        except Exception:  # noqa: BLE001 - whatever it is, the connection is of no more use
            await self._disconnect()

    async def _happened(self, batch: Batch) -> bool:
        """Find out whether a commit of unknown outcome took place: lock its shards again, then look for its very rows.

        Its ids would prove nothing: another process may meanwhile have stored some of them.
        """
        log.warning("journal.outcome_unknown", count=len(batch.fresh))
        traces = batch.traces()
        connection = await self._connected()
        try:
            await connection.execute("begin")
            await connection.fetch(query("shard.lock"), sorted(traces))
            found = [
                await connection.fetchrow(query("event.chain_of_shard"), shard, end.day, end.pos - 1, 1)
                for shard, end in traces.items()
            ]
            await self._end(connection)
        except (*_LOST, asyncpg.PostgresError) as error:
            await self._disconnect()
            raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
        except BaseException:
            await self._disconnect()
            raise
        chains = [row["chain"] if row is not None else b"" for row in found]
        return bool(traces) and chains == [end.chain for end in traces.values()]

    async def _bisect(self, submissions: Sequence[Submission], error: Exception) -> list[Outcome]:
        """Commit what can be committed, event by event if need be, and keep the poison aside; receipts come last."""
        log.warning("journal.bisected", error=type(error).__name__, count=sum(len(sent.items) for sent in submissions))
        flat = [(number, item) for number, sent in enumerate(submissions) for item in sent.items]
        told: dict[int, Result] = {}
        await self._settle(submissions, flat, told)
        outcomes = await self._transaction([_without_poison(sent, told) for sent in submissions], with_receipts=True)
        return [
            Outcome(
                [told.get(id(item), result) for item, result in zip(sent.items, outcome.results, strict=True)],
                outcome.receipt,
            )
            for sent, outcome in zip(submissions, outcomes, strict=True)
        ]

    async def _settle(
        self,
        submissions: Sequence[Submission],
        flat: Sequence[tuple[int, Incoming | Rejected]],
        told: dict[int, Result],
    ) -> None:
        """Commit a part of a batch that was rolled back, halving it until what fails is one event."""
        parts = [replace(submissions[number], items=[item]) for number, item in flat]
        try:
            outcomes = await self._transaction(parts, with_receipts=False)
        except _BUSY as error:
            raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
        except FieldsvcError:
            raise
        except Exception:
            if len(flat) > 1:
                middle = len(flat) // 2
                await self._settle(submissions, flat[:middle], told)
                await self._settle(submissions, flat[middle:], told)
                return
            _number, item = flat[0]
            log.exception("journal.poison_isolated")
            if isinstance(item, Rejected):
                raise
            told[id(item)] = Result(str(item.id), "quarantined" if item.raw else "refused", POISON)
        else:
            told |= {id(item): outcome.results[0] for (_n, item), outcome in zip(flat, outcomes, strict=True)}

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._memory.forget()
            self._id = uuid7()
            try:
                self._connection = await self._connect()
                self._connection.add_log_listener(self._heard)
            except (*_LOST, asyncpg.PostgresError, TimeoutError) as error:
                raise Unavailable(retry_after_s=RETRY_AFTER_S) from error
        return self._connection

    async def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.terminate()


def _without_poison(sent: Submission, told: Mapping[int, Result]) -> Submission:
    """Return the request with its poison as something to be kept aside."""
    items = [
        Rejected(str(item.id), POISON, item.raw)
        if isinstance(item, Incoming) and told[id(item)].reason == POISON
        else item
        for item in sent.items
    ]
    return replace(sent, items=items)
