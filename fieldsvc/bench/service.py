"""The service under test: a process of its own, in a folder of its own, with an embedded PostgreSQL (fsync on)."""

import asyncio
import contextlib
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import asyncpg

from fieldsvc import logs
from fieldsvc.platform import Platform, open_platform
from fieldsvc.process import database_url
from fieldsvc.settings import Settings, without_settings

Kit = TypeVar("Kit")
STARTS_WITHIN_S, IDLES_WITHIN_S, IDLE_CPU_S = 120.0, 30.0, 0.1


@dataclass(frozen=True, slots=True)
class Process:
    """A server that listens."""

    url: str
    pid: int

    def cpu_s(self) -> float:
        """Return its processor time so far, over all threads; 0 where the system does not tell."""
        total = 0.0
        for thread in Path(f"/proc/{self.pid}/task").glob("*/schedstat"):
            with contextlib.suppress(OSError):
                total += int(thread.read_text().split()[0]) / 1e9
        return total


@dataclass(frozen=True, slots=True)
class Site(Generic[Kit]):
    """The running service, its database, and what was prepared for the benchmark."""

    service: Process
    database_url: str
    kit: Kit


@dataclass(frozen=True, slots=True)
class Store(Generic[Kit]):
    """A database that was prepared, and the settings of a service that is started on it."""

    database_url: str
    kit: Kit
    settings: Mapping[str, str]

    def serving(self) -> AbstractAsyncContextManager[Process]:
        """Start a service on it."""
        return started("fieldsvc", "serve", "--port", "0", settings=self.settings)


@asynccontextmanager
async def running(
    prepare: Callable[[Platform], Awaitable[Kit]], *, timezone: str = "Europe/Paris", **settings: str
) -> AsyncIterator[Site[Kit]]:
    """Start a service on an empty database, after `prepare` filled it; `settings` are further ones of the service.

    The service gets none of the caller's FIELDSVC_* settings but how fixes are matched; a benchmark never touches another database.
    """
    async with founded(prepare, timezone=timezone, **settings) as store, store.serving() as service:
        await idle(service)
        yield Site(service, store.database_url, store.kit)


@asynccontextmanager
async def founded(
    prepare: Callable[[Platform], Awaitable[Kit]], *, timezone: str = "Europe/Paris", **settings: str
) -> AsyncIterator[Store[Kit]]:
    """Make a database that `prepare` fills, on which services are started as `running` does."""
    with tempfile.TemporaryDirectory(prefix="fieldsvc-bench-") as folder:
        logs.configure(level="error")
        own = Settings(var_dir=Path(folder), database_url=None, master_key=None, timezone=timezone, log_level="error")
        environment = {
            "VAR_DIR": folder,
            "LOG_LEVEL": "error",
            "TIMEZONE": timezone,
            "RATE_LIMITS": "false",
            **settings,
        }
        async with database_url(own) as url:
            async with open_platform(own, url) as platform:
                kit = await prepare(platform)
            yield Store(url, kit, environment)


async def check_stored(database_url: str, table: str, expected: int) -> None:
    """Refuse to go on unless a table has as many rows as were sent: what was not stored is no figure. RuntimeError."""
    connection = await asyncpg.connect(database_url)
    try:
        found = await connection.fetchval(f"select count(*) from {table}")  # noqa: S608 - a name of our own
    finally:
        await connection.close()
    if found != expected:
        raise RuntimeError(f"{expected} were sent and {found} stored in {table}: this measures nothing")


@asynccontextmanager
async def started(module: str, *words: str, settings: Mapping[str, str] | None = None) -> AsyncIterator[Process]:
    """Run a module as a process that prints `listening URL` as its first line; end it with SIGTERM."""
    given = {f"FIELDSVC_{name.upper()}": value for name, value in (settings or {}).items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", module, *words, env={**without_settings(), **given}, stdout=asyncio.subprocess.PIPE
    )
    try:
        yield Process(await _address(process), process.pid)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        await process.wait()


async def idle(process: Process) -> None:
    """Wait until a server has done what it does at its start: a second with almost no processor time; at most half a minute."""
    before = process.cpu_s()
    for _ in range(int(IDLES_WITHIN_S)):
        await asyncio.sleep(1.0)
        now = process.cpu_s()
        if now - before < IDLE_CPU_S:
            return
        before = now


async def _address(process: asyncio.subprocess.Process) -> str:
    if process.stdout is None:
        raise RuntimeError("the process has no output")
    line = await asyncio.wait_for(process.stdout.readline(), STARTS_WITHIN_S)
    name, _, address = line.decode().strip().partition(" ")
    if name != "listening":
        raise RuntimeError(f"a server of the benchmark did not start: {line!r}")
    return address
