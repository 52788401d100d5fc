"""PostgreSQL as far as the core uses it, in memory: transactions, row locks, commits, and everything that may go wrong with them.

Small and strict: a statement that is not here is an error, a transaction sees what was committed and what it wrote itself, a
commit is one step, and a row that another transaction holds is waited for. `test_store.py` runs the same random statements here
and on PostgreSQL. What goes wrong is the schedule's choice: see `Faults`.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager
from contextvars import copy_context
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any, Self

import asyncpg

from fieldsvc.journal.rows import EVENT_COLUMNS
from fieldsvc.journal.submission import SHARDS
from sql import catalogue
from tests.simulation.loop import MACHINE, Machine, Schedule, check

Key = tuple[Any, ...]
Values = dict[str, Any]
PUBLIC = tuple(name for name in EVENT_COLUMNS if name not in ("kind", "sealed_sha256", "chain"))
IDLE_S = 5.0  # idle_in_transaction_session_timeout


class Record(tuple[Any, ...]):  # noqa: SLOT001 - no slots in a tuple of any length
    """A row as the driver gives it."""

    names: tuple[str, ...]

    def __new__(cls, names: Iterable[str], values: Iterable[Any]) -> Self:
        made = super().__new__(cls, values)
        made.names = tuple(names)
        return made

    def __getitem__(self, at: Any) -> Any:
        return super().__getitem__(self.names.index(at) if isinstance(at, str) else at)

    def keys(self) -> tuple[str, ...]:
        return self.names

    def items(self) -> Iterator[tuple[str, Any]]:
        return zip(self.names, self, strict=True)


@dataclass(eq=False)
class Transaction:
    """What one transaction wrote and locked. A failed statement leaves it good for nothing but a rollback."""

    machine: Machine | None
    written: dict[str, dict[Key, Values | None]] = field(default_factory=dict)
    locks: list[Key] = field(default_factory=list)
    failed: bool = False
    over: bool = False
    committing: bool = False


@dataclass(frozen=True)
class Faults:
    """How often what goes wrong, in shares of one: a slow statement, a busy store, a lost connection, a commit of unknown outcome."""

    slow: float = 0.0
    busy: float = 0.0
    lost: float = 0.0
    unknown: float = 0.0
    connect: float = 0.0
    alone: float = 0.0  # committed here, and the wait for the standby was cancelled


class Store:
    """The tables, as committed."""

    def __init__(self, schedule: Schedule, faults: Faults) -> None:
        self.schedule = schedule
        self.faults = faults
        self.tables: dict[str, dict[Key, Values]] = {
            name: {}
            for name in (
                "event_id", "state", "subject_head", "timer", "device", "receipt", "quarantine", "endpoint", "lane", "cursor",
                "parked", "lane_backlog", "dead_letter", "dispatcher", "event", "shard",
            )
        }  # fmt: skip
        self.tables["shard"] = {(n,): {"id": n, "writer": None} for n in range(SHARDS)}
        self.rows: list[list[Values]] = [[] for _ in range(SHARDS)]  # of each shard, in the order of their places
        self.on_commit: list[Callable[[Transaction], None]] = []
        self.listeners: list[Connection] = []
        self.alone: list[Transaction] = []  # commits that no standby has
        self._holders: dict[Key, Transaction] = {}
        self._waiting: list[asyncio.Future[None]] = []
        self._connections: list[Connection] = []

    def now(self) -> datetime:
        return self.schedule.now()

    # transactions

    def get(self, tx: Transaction, table: str, key: Key) -> Values | None:
        """Return a row as a transaction sees it."""
        written = tx.written.get(table)
        if written is not None and key in written:
            return written[key]
        return self.tables[table].get(key)

    def all(self, tx: Transaction, table: str) -> list[tuple[Key, Values]]:
        """List the rows of a table as a transaction sees them, by key."""
        seen: dict[Key, Values | None] = {**self.tables[table], **tx.written.get(table, {})}
        return sorted(((key, row) for key, row in seen.items() if row is not None), key=lambda pair: repr(pair[0]))

    def put(self, tx: Transaction, table: str, key: Key, row: Values | None) -> None:
        tx.written.setdefault(table, {})[key] = row

    async def lock(self, tx: Transaction, key: Key, *, within_s: float = 5.0) -> None:
        """Hold a row until the end of the transaction; LockNotAvailableError when that takes too long."""
        while (holder := self._holders.get(key)) is not None and holder is not tx:
            waiter = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            try:
                async with asyncio.timeout(within_s):
                    await waiter
            except TimeoutError:
                raise asyncpg.LockNotAvailableError("canceling statement due to lock timeout") from None
            if tx.over:
                raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        self._holders[key] = tx
        tx.locks.append(key)

    def is_held(self, tx: Transaction, key: Key) -> bool:
        """Tell whether another transaction holds a row."""
        return self._holders.get(key, tx) is not tx

    def end(self, tx: Transaction, *, commit: bool) -> None:
        """End a transaction in one step, and let those go on that waited for it."""
        if tx.over:
            return
        tx.over = True
        if commit and not tx.failed:
            for act in self.on_commit:
                act(tx)
            for name, rows in tx.written.items():
                self._apply(name, rows)
        for key in tx.locks:
            self._holders.pop(key, None)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)

    def _apply(self, name: str, rows: dict[Key, Values | None]) -> None:
        table = self.tables[name]
        for key, row in rows.items():
            if row is None:
                table.pop(key, None)
                continue
            if name == "event":
                check(key not in table, f"two rows have the place {key}")
                behind = self.rows[row["shard"]]
                place = row["day"], row["pos"]
                check(
                    not behind or (behind[-1]["day"], behind[-1]["pos"]) < place, f"a row went before the newest: {key}"
                )
                behind.append(row)
            table[key] = row

    # connections

    async def connect(self) -> "Connection":
        """Open a connection for the machine that asks."""
        await self.pause()
        if self.schedule.goes_wrong(self.faults.connect):
            raise ConnectionRefusedError("the server is not there")
        made = Connection(self, MACHINE.get())
        self._connections.append(made)
        return made

    async def pause(self) -> None:
        """Let others go on; sometimes for long."""
        if self.schedule.goes_wrong(self.faults.slow):
            await asyncio.sleep(self.schedule.random.choice((0.01, 0.2, 1.0, 3.0)))
        else:
            await asyncio.sleep(0)

    def cut(self, machine: Machine) -> None:
        """End every session of a machine that died, a little later: nobody says goodbye for it."""
        for connection in self._connections:
            if connection.machine is machine and not connection.is_closed():
                connection.lose(after_s=self.schedule.random.choice((0.0, 0.5, 2.0)))

    def stands_still(self, machine: Machine) -> None:
        """End the open transactions of a machine that stands still, as the server does."""
        for connection in self._connections:
            if connection.machine is machine and connection.tx is not None:
                connection.lose(after_s=IDLE_S)

    def notify(self) -> None:
        """Wake who listens."""
        for connection in self.listeners:
            machine = connection.machine
            if not connection.is_closed() and connection.heard is not None and (machine is None or machine.alive):
                asyncio.get_running_loop().call_soon(connection.heard, context=connection.context)


class Connection:
    """One session."""

    def __init__(self, store: Store, machine: Machine | None) -> None:
        self.store = store
        self.machine = machine
        self.tx: Transaction | None = None
        self.heard: Callable[..., None] | None = None
        self.told: Callable[..., None] | None = None
        self.context: Any = None
        self._closed = False

    def is_closed(self) -> bool:
        return self._closed

    def terminate(self) -> None:
        """Close; the server learns of it a moment later."""
        self.lose(after_s=self.store.schedule.random.choice((0.0, 0.0, 0.3)))

    async def close(self) -> None:
        self.terminate()

    def lose(self, *, after_s: float, commit: bool = False) -> None:
        """Lose the connection; what it had begun ends after some seconds, and holds its locks until then."""
        self._closed = True
        tx, self.tx = self.tx, None
        if tx is None:
            return
        if tx.committing and not commit:
            commit = self.store.schedule.chance(0.5)
        tx.committing = False
        end = lambda: self.store.end(tx, commit=commit)  # noqa: E731
        if after_s:
            self.store.schedule.loop.later(after_s, end)
        else:
            end()

    async def execute(self, text: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the driver's
        match text:
            case "begin":
                await self._before()
                self.tx = self.tx or Transaction(self.machine)  # within one it is but a warning
                return "BEGIN"
            case "commit":
                return await self._commit()
            case "rollback":
                await self._before()
                tx, self.tx = self.tx, None
                if tx is not None:
                    self.store.end(tx, commit=False)
                return "ROLLBACK"
            case _ if text.startswith("notify "):
                await self._before()
                self.store.notify()
                return "NOTIFY"
        return f"DONE {len(await self.fetch(text, *args))}"

    async def fetch(self, text: str, *args: Any) -> list[Record]:
        name = _NAMES[text]
        return await self._within(lambda tx: STATEMENTS[name](self.store, tx, *args))

    async def fetchrow(self, text: str, *args: Any) -> Record | None:
        found = await self.fetch(text, *args)
        return found[0] if found else None

    async def fetchval(self, text: str, *args: Any) -> Any:
        row = await self.fetchrow(text, *args)
        return row[0] if row is not None else None

    async def executemany(self, text: str, many: Iterable[Sequence[Any]]) -> None:
        for args in many:
            await self.fetch(text, *args)

    async def copy_records_to_table(self, table: str, *, records: Iterable[Any], columns: Sequence[str] = ()) -> None:
        async def copy(tx: Transaction) -> list[Record]:
            for values in records:
                row = dict(zip(columns or _RECEIPT, values, strict=True))
                key = tuple(row[name] for name in _KEYS.get(table, ()))
                if self.store.get(tx, table, key) is not None if table in self.store.tables else False:
                    fault = asyncpg.UniqueViolationError(f"duplicate key in {table}")
                    fault.table_name = table
                    raise fault
                if table in self.store.tables:
                    self.store.put(tx, table, key, row)
            return []

        await self._within(copy)

    def transaction(self) -> Any:
        return self._transaction()

    @asynccontextmanager
    async def _transaction(self) -> AsyncIterator[None]:
        await self.execute("begin")
        try:
            yield
        except BaseException:
            with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                await self.execute("rollback")
            raise
        await self.execute("commit")

    async def add_listener(self, _channel: str, heard: Callable[..., None]) -> None:
        await self._before()
        self.heard, self.context = heard, copy_context()
        self.store.listeners.append(self)

    def add_log_listener(self, told: Callable[..., None]) -> None:
        self.told = told

    async def _before(self) -> None:
        self._check_open()
        await self.store.pause()
        self._check_open()

    def _check_open(self) -> None:
        if self._closed:
            raise asyncpg.InterfaceError("connection is closed")

    async def _within(self, act: Callable[[Transaction], Any]) -> list[Record]:
        """Run one statement, in the transaction or in one of its own."""
        await self._before()
        schedule, faults = self.store.schedule, self.store.faults
        if schedule.goes_wrong(faults.lost):
            self.lose(after_s=schedule.random.choice((0.0, 0.0, 1.0)))
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        tx = self.tx or Transaction(self.machine)
        if tx.failed:
            raise asyncpg.InFailedSQLTransactionError("current transaction is aborted")
        if self.tx is None:
            self.tx = tx
            try:
                return await self._statement(act, tx)
            finally:
                if self.tx is tx:
                    self.tx = None
                    self.store.end(tx, commit=True)
        return await self._statement(act, tx)

    async def _statement(self, act: Callable[[Transaction], Any], tx: Transaction) -> list[Record]:
        schedule, faults = self.store.schedule, self.store.faults
        try:
            if schedule.goes_wrong(faults.busy):
                raise schedule.random.choice(_BUSY)("not now")  # noqa: TRY301 - as the server does, within the statement
            found = act(tx)
            found = await found if asyncio.iscoroutine(found) else found
        except BaseException:
            tx.failed = True
            self._check_open()
            raise
        self._check_open()
        return list(found or ())

    async def _commit(self) -> str:
        """Commit; the answer may get lost, before or after it happened, or while it is still to happen."""
        self._check_open()
        tx = self.tx
        assert tx is not None
        tx.committing = True
        await self.store.pause()
        self._check_open()
        schedule = self.store.schedule
        if schedule.goes_wrong(self.store.faults.unknown):
            self.lose(after_s=schedule.random.choice((0.0, 0.7, 2.5)), commit=schedule.chance(0.5))
            raise asyncpg.ConnectionDoesNotExistError("connection was closed in the middle of operation")
        self.tx = None
        self.store.end(tx, commit=True)
        if self.told is None or not schedule.goes_wrong(self.store.faults.alone):
            self.store.alone.clear()  # what the standby has, it has with everything before
        else:
            self.store.alone.append(tx)
            self.told(self, SimpleNamespace(sqlstate="01000"))
        await self.store.pause()  # and the answer is on its way
        self._check_open()
        return "COMMIT"


class Database:
    """A pool of one machine."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self._idle: list[Connection] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[Connection]:
        while self._idle and self._idle[-1].is_closed():
            self._idle.pop()
        connection = self._idle.pop() if self._idle else await self.store.connect()
        try:
            yield connection
        finally:
            if connection.tx is not None:  # the driver resets a connection that comes back in a transaction
                connection.lose(after_s=0.0)
            if not connection.is_closed():
                self._idle.append(connection)


_BUSY = (
    asyncpg.DeadlockDetectedError,
    asyncpg.LockNotAvailableError,
    asyncpg.QueryCanceledError,
    asyncpg.DiskFullError,
    asyncpg.SerializationError,
)
_NAMES = {each.text: name for name, each in catalogue().items()}
_RECEIPT = ("device", "no", "at", "previous", "body", "signature")
_KEYS = {"event": ("day", "shard", "pos"), "receipt": ("device", "no")}
STATEMENTS: dict[str, Callable[..., Any]] = {}


def statement(name: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Say what a query of `sql/` does; it is given the store, the transaction, and the query's arguments."""
    assert name in catalogue(), name

    def said(act: Callable[..., Any]) -> Callable[..., Any]:
        STATEMENTS[name] = act
        return act

    return said


def records(names: str, found: Iterable[Values]) -> list[Record]:
    wanted = names.split()
    return [Record(wanted, [row[name] for name in wanted]) for row in found]
