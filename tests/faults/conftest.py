"""What the fault tests share: a database that really writes to disk, processes that are not left behind, a ledger line."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import orjson
import pytest
import structlog

from fieldsvc import logs
from fieldsvc.bench.faults.children import Child
from fieldsvc.bench.faults.nursery import Nursery
from fieldsvc.bench.faults.oracle import Report, Verdict
from fieldsvc.store.database import Database, migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres


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


@dataclass
class Workers(Nursery):
    """Processes of a test, writers of the journal among them."""

    async def worker(self, **order: Any) -> Child:
        """Start a writer process and wait until it is ready."""
        child = await self.start("-m", "tests.faults.worker", orjson.dumps(order).decode())
        assert await child.line() == "ready"
        return child


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Workers]:
    """Processes of this test; none outlives it."""
    made = Workers(folder=tmp_path)
    try:
        yield made
    finally:
        await made.end()
