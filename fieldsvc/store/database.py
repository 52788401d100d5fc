"""Connections to PostgreSQL: a bounded pool, and the migrations."""

import asyncio
import contextlib
import re
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol
from urllib.parse import urlsplit

import asyncpg

from fieldsvc.errors import UserMistake
from fieldsvc.store.viewer import Viewer
from sql import migrations

ACQUIRE_TIMEOUT_S, CLOSES_WITHIN_S, CONNECT_TIMEOUT_S, COMMAND_TIMEOUT_S = 10.0, 5.0, 10.0, 40.0
# A machine that lost its power says nothing: after as long without a sign of it (Linux; else as the system has it) it is gone.
_SILENT_S = 10
_SOCKET = {"TCP_USER_TIMEOUT": _SILENT_S * 1_000, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 2, "TCP_KEEPCNT": 3}
# The driver's InternalClientError is what a session says that was ended in the middle of a COPY.
_BROKEN = (OSError, EOFError, asyncpg.InterfaceError, asyncpg.InternalClientError)
_NEXT_HOST = (OSError, asyncpg.PostgresConnectionError, asyncpg.InternalClientError)
_NOT_NOW = (asyncpg.PostgresConnectionError, asyncpg.OperatorInterventionError, asyncpg.InsufficientResourcesError)
DATABASE_ERRORS = (*_BROKEN, asyncpg.PostgresError)
_SESSION = {
    "application_name": "fieldsvc",
    "timezone": "UTC",
    "statement_timeout": "30s",
    "idle_in_transaction_session_timeout": "5s",
    # By key and in key order is how this is read; the statistics of a table made today would say otherwise.
    "enable_bitmapscan": "off",
    "enable_sort": "off",
}
BY_KEY_ONLY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off", "jit": "off"}
_MIGRATION_LOCK = 7_118_025_001
_FIRST_OF_OTHERS = 16_384  # types below are those that every database has
_ASKED: dict[frozenset[int], Any] = {}


# What outlives a transaction in a session: settings, locks of the session, cursors, channels, tables of its own.
_STAYS = re.compile(
    r"(^|;)\s*(set\s+(?!local\b)|listen\b|prepare\b|declare\b|load\b)|advisory_lock(_shared)?\s*\(|set_config\s*\(|\btemp(orary)?\b",
    re.IGNORECASE,
)


@lru_cache(maxsize=4_096)
def _stays(statement: str) -> bool:
    """Tell whether a statement may leave something in its session."""
    return _STAYS.search(statement) is not None


class _Connection(asyncpg.Connection):
    """Does once what the driver does again and again: asks what PostgreSQL's own types are, and cleans what nobody changed.

    A session is cleaned when it goes back to the pool only if a statement may have left something in it: that is a round trip
    which costs as much as most queries.
    """

    _changed = False

    async def execute(self, query: str, *args: Any, timeout: float | None = None) -> str:  # noqa: ASYNC109 - the driver's
        """Run a statement."""
        self._changed = self._changed or _stays(query)
        return await super().execute(query, *args, timeout=timeout)

    async def _execute(self, query: str, *args: Any, **more: Any) -> Any:
        self._changed = self._changed or _stays(query)
        return await super()._execute(query, *args, **more)  # type: ignore[misc]  # not in the stubs

    def get_reset_query(self) -> str:
        """Return what cleans the session: nothing as long as nothing was left in it."""
        changed, self._changed = self._changed, False
        return super().get_reset_query() if changed else ""

    async def _introspect_types(self, typeoids: Iterable[int], timeout: float | None) -> Any:  # noqa: ASYNC109
        wanted = frozenset(typeoids)
        if wanted not in _ASKED:
            found = await super()._introspect_types(typeoids, timeout)  # type: ignore[misc]  # not in the stubs
            if max(wanted) >= _FIRST_OF_OTHERS:
                return found
            _ASKED[wanted] = found
        return _ASKED[wanted]


class Source(Protocol):
    """What queries that only read are asked of: the database itself, or what a viewer may see of it."""

    def acquire(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Borrow a connection."""


class Database:
    """A pool whose `acquire` never waits for ever."""

    def __init__(self, pool: asyncpg.Pool, url: str) -> None:
        self.pool = pool
        self.url = url

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection; TimeoutError after ten seconds."""
        async with self.pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection:
            yield connection  # type: ignore[misc]  # the proxy has the connection's methods

    @asynccontextmanager
    async def reading(self, viewer: Viewer) -> AsyncIterator[asyncpg.Connection]:
        """Borrow a connection that sees what a viewer may see, in one read-only transaction.

        Whatever ends the block, the transaction takes role and settings with it; nobody else can be given them.
        """
        async with self.acquire() as connection:
            try:
                await connection.execute(viewer.opening)
                yield connection
            finally:
                await connection.execute("rollback")

    def seen_by(self, viewer: Viewer) -> "Seen":
        """Return what a viewer may see of this database, for the queries that outsiders ask."""
        return Seen(self, viewer)

    async def close(self) -> None:
        """Close every connection; one that is still in use after five seconds is cut."""
        try:
            async with asyncio.timeout(CLOSES_WITHIN_S):
                await self.pool.close()
        except TimeoutError:
            self.pool.terminate()


@dataclass(frozen=True, slots=True)
class Seen:
    """A database as one viewer sees it."""

    database: Database
    viewer: Viewer

    def acquire(self) -> AbstractAsyncContextManager[asyncpg.Connection]:
        """Borrow a connection that sees what the viewer may see, for a moment: nothing else is awaited meanwhile."""
        return self.database.reading(self.viewer)


def is_unreachable(error: Exception) -> bool:
    """Tell whether the database is not there, or not now: the same request can be sent again."""
    return isinstance(error, (*_BROKEN, *_NOT_NOW)) and not isinstance(error, ValueError)  # that is a value it refuses


async def open_database(url: str, *, size: int = 8) -> Database:
    """Open a pool of at most `size` connections to a server of version 15 or newer."""
    pool = await asyncpg.create_pool(  # type: ignore[call-overload]  # the stubs name every option of `connect`
        url,
        min_size=1,
        max_size=size,
        command_timeout=30,
        server_settings=_SESSION,
        connection_class=_Connection,
        connect=_opened,
    )
    return Database(pool, url)


async def connect(url: str, **settings: str) -> asyncpg.Connection:
    """Open one connection outside the pool; `settings` are further session settings.

    What takes longer than a statement may is given up here too: a server that stands still says nothing of it.
    """
    limit_s = None if "statement_timeout" in settings else COMMAND_TIMEOUT_S
    session = {**_SESSION, **settings}
    return await _opened(url, command_timeout=limit_s, server_settings=session, connection_class=_Connection)


async def _opened(url: str, **options: Any) -> asyncpg.Connection:
    """Connect to the first host of a URL that answers in its share of the time, and is what `target_session_attrs` asks for."""
    *others, last = hosts = _hosts(url)
    options["timeout"] = CONNECT_TIMEOUT_S / len(hosts)
    for host in others:
        with contextlib.suppress(*_NEXT_HOST):
            return _noticing_silence(await asyncpg.connect(host, **options))
    return _noticing_silence(await asyncpg.connect(last, **options))


def _hosts(url: str) -> list[str]:
    """Write a URL of several hosts as one of each: the driver's own way gives all of the time to the first that is silent."""
    parts = urlsplit(url)
    if "," not in parts.netloc:
        return [url]
    user, at, places = parts.netloc.rpartition("@")
    return [parts._replace(netloc=f"{user}{at}{place}").geturl() for place in places.split(",")]


def _noticing_silence(connection: asyncpg.Connection) -> asyncpg.Connection:
    found = connection._transport.get_extra_info("socket")  # type: ignore[attr-defined]  # noqa: SLF001 - shown in no other way
    if found is not None and found.family != socket.AF_UNIX:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _SOCKET.items():
            if (option := getattr(socket, name, None)) is not None:
                found.setsockopt(socket.IPPROTO_TCP, option, value)
    return connection


async def migrate(connection: asyncpg.Connection) -> list[str]:
    """Apply the migrations that are missing, one transaction each; return their names. Two at once wait for each other.

    UserMistake where this user may not do what one of them does, or does not own the tables.
    """
    applied = []
    await connection.execute("select pg_advisory_lock($1)", _MIGRATION_LOCK)
    try:
        await connection.execute(
            "create table if not exists migration (number integer primary key, name text not null, at timestamptz not null)"
        )
        done = {row["number"] for row in await connection.fetch("select number from migration")}
        for step in migrations():
            if step.number not in done:
                async with connection.transaction():
                    await connection.execute(step.text)
                    await connection.execute("insert into migration values ($1, $2, now())", step.number, step.name)
                applied.append(step.name)
        if await connection.fetchval("select row_security_active('task')"):
            raise UserMistake("The database user of the service must own its tables, or belong to the role that does.")
    except asyncpg.InsufficientPrivilegeError as error:
        raise UserMistake(f"The database is not ready: {error.args[0]}") from None
    finally:
        await connection.execute("select pg_advisory_unlock($1)", _MIGRATION_LOCK)
    return applied
