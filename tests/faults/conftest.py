"""What the fault tests share: a database that really writes to disk, processes that are not left behind, a ledger line."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from uuid import uuid4

import asyncpg
import pytest
import structlog

from fieldsvc import logs
from fieldsvc.store.database import Database, migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from tests.faults.children import Children
from tests.faults.oracle import Report, Verdict


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Leave out what faults make the service say."""
    before = structlog.get_config()
    logs.configure(level="critical", form="json")
    yield
    structlog.configure(**before)


@pytest.fixture(scope="module")
def durable_postgres() -> Iterator[EmbeddedPostgres]:
    """A server of this file's own, with its ordinary settings: fsync on."""
    folder = Path(tempfile.mkdtemp(prefix="fieldsvc-faults-"))
    server = EmbeddedPostgres(folder)
    try:
        asyncio.run(_migrated(server.acquire()))
        yield server
    finally:
        server.release()
        assert server.pid() is None
        shutil.rmtree(folder, ignore_errors=True)


async def _migrated(url: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        assert await connection.fetchval("show fsync") == "on"
        await migrate(connection)
        await connection.execute("create database desk")
    finally:
        await connection.close()


@pytest.fixture
async def durable_url(durable_postgres: EmbeddedPostgres) -> AsyncIterator[str]:
    """The URL of a migrated database of this test's own."""
    base, name = durable_postgres.acquire().rsplit("/", 1)[0], f"f_{uuid4().hex}"
    desk = await asyncpg.connect(f"{base}/desk")
    try:
        await desk.execute(f"create database {name} template fieldsvc")
        yield f"{base}/{name}"
        await desk.execute(f"drop database {name} with (force)")
    finally:
        await desk.close()


@pytest.fixture
async def durable_database(durable_url: str) -> AsyncIterator[Database]:
    """A pool on that database."""
    opened = await open_database(durable_url, size=8)
    try:
        yield opened
    finally:
        await opened.close()


@pytest.fixture
def report(note: Callable[[str], None]) -> Report:
    """Tell the ledger line of a run at its end."""

    def shown(name: str, verdict: Verdict) -> None:
        note(f"faults: {name}: {verdict.line}")

    return shown


@pytest.fixture
async def children() -> AsyncIterator[Children]:
    """Processes of this test; none outlives it."""
    made = Children()
    try:
        yield made
    finally:
        await made.end()
