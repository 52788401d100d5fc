"""A synchronous standby is away: nothing is acknowledged that only the primary has, however it is asked, and nothing is lost."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import pytest

from fieldsvc.bench.faults.children import until
from fieldsvc.errors import Unavailable
from fieldsvc.journal.submission import Outcome
from fieldsvc.store.database import Database, migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.store.embedded_cluster import Cluster
from fieldsvc.store.embedded_launch import find_installation
from tests.journal.conftest import Journal, open_journal, trial_registry

pytestmark = pytest.mark.fault
OPTIONS = {"wal_level": "replica", "max_wal_senders": "4", "wal_retrieve_retry_interval": "100ms"}
IN_STEP = "select count(*) from pg_stat_replication where sync_state = 'sync'"
COMMITTING = "select pid from pg_stat_activity where wait_event = 'SyncRep' and query = 'commit'"
WITHIN_S = 60.0


@dataclass
class Pair:
    """A primary and its synchronous standby."""

    primary: EmbeddedPostgres
    standby: EmbeddedPostgres
    url: str
    desk: asyncpg.Connection

    async def in_step(self) -> bool:
        return bool(await self.desk.fetchval(IN_STEP))

    async def committing(self) -> list[int]:
        """Return the sessions that wait in a COMMIT for the standby."""
        return [row["pid"] for row in await self.desk.fetch(COMMITTING)]

    async def cancel_the_wait(self) -> None:
        """Cancel a COMMIT that waits, as the time limit of a client, or an operator, would."""
        await until(self.committing, within_s=WITHIN_S, says="No COMMIT waits for the standby.")
        for pid in await self.committing():
            await self.desk.execute("select pg_cancel_backend($1)", pid)

    async def promoted(self) -> str:
        """Kill the primary, make the standby the store, and return its URL."""
        await self.desk.close()
        await asyncio.to_thread(self.primary.kill)
        await asyncio.to_thread(self.standby.ensure_running)
        url = await asyncio.to_thread(self.standby.acquire)
        other = await asyncpg.connect(url)
        await other.fetchval("select pg_promote()")
        await other.close()
        return url


@pytest.fixture
def folders() -> Iterator[tuple[Path, Path]]:
    root = Path(tempfile.mkdtemp(prefix="fieldsvc-pair-"))
    root.chmod(0o755)
    yield root / "primary", root / "standby"
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture
async def pair(folders: tuple[Path, Path]) -> AsyncIterator[Pair]:
    primary, standby = (EmbeddedPostgres(folder, options=OPTIONS) for folder in folders)
    try:
        url = await asyncio.to_thread(primary.acquire)
        desk = await asyncpg.connect(url)
        await migrate(desk)
        await asyncio.to_thread(copied, *folders, url)
        await asyncio.to_thread(standby.acquire)
        await desk.execute("alter system set synchronous_standby_names = '*'")
        await desk.execute("select pg_reload_conf()")
        found = Pair(primary, standby, url, desk)
        await until(found.in_step, within_s=WITHIN_S, says="The standby never followed.")
        yield found
        await desk.close()
    finally:
        for server in (standby, primary):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.release)


def copied(primary: Path, standby: Path, url: str) -> None:
    """Make the standby's folder from the living primary."""
    standby.mkdir()
    shutil.copy(primary / "postgres.password", standby / "postgres.password")
    installation = find_installation(primary, primary / "postgres")
    installation.identity.own(standby)
    data = Cluster(standby).data
    words = ["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", f"--dbname={url}", f"--pgdata={data}"]
    installation.identity.run([installation.program("pg_basebackup"), *words])


@asynccontextmanager
async def writing(url: str) -> AsyncIterator[tuple[Database, Journal]]:
    """Write to a store, until the end of the block."""
    database = await open_database(url, size=2)
    journal = await open_journal(database, url, trial_registry())
    try:
        yield database, journal
    finally:
        journal.tasks[0].cancel()
        await asyncio.gather(*journal.tasks, return_exceptions=True)
        await database.close()


async def test_an_event_that_the_standby_lacks_is_never_acknowledged_and_sent_again_it_waits_for_the_standby(
    pair: Pair,
) -> None:
    async with writing(pair.url) as (_, journal):
        kept, trapped = journal.note("a", 1), journal.note("a", 2)
        assert statuses(await journal.send(kept)) == ["accepted"]
        await asyncio.to_thread(pair.standby.kill)
        first = asyncio.create_task(journal.send(trapped))
        await pair.cancel_the_wait()
        with pytest.raises(Unavailable):
            await first
        assert await pair.desk.fetchval("select count(*) from event_id where id = $1", trapped.id) == 1  # locally
        for _ in range(2):
            again = asyncio.create_task(journal.send(trapped))
            await pair.cancel_the_wait()
            with pytest.raises(Unavailable):
                await again
        last = asyncio.create_task(journal.send(trapped))
        await until(pair.committing, within_s=WITHIN_S, says="The repetition does not wait.")
        assert not last.done()
        last.cancel()
        url = await pair.promoted()
    async with writing(url) as (database, journal):
        assert await database.pool.fetchval("select count(*) from event_id where id = $1", kept.id) == 1
        assert await database.pool.fetchval("select count(*) from event_id where id = $1", trapped.id) == 0
        assert statuses(await journal.send(kept, trapped)) == ["duplicate", "accepted"]


async def test_what_waited_for_the_standby_is_acknowledged_when_it_is_back(pair: Pair) -> None:
    async with writing(pair.url) as (_, journal):
        await asyncio.to_thread(pair.standby.kill)
        event = journal.note("a", 1)
        first = asyncio.create_task(journal.send(event))
        await until(pair.committing, within_s=WITHIN_S, says="No COMMIT waits for the standby.")
        assert not first.done()
        await asyncio.to_thread(pair.standby.ensure_running)
        assert statuses(await asyncio.wait_for(first, WITHIN_S)) == ["accepted"]
        assert statuses(await journal.send(event)) == ["duplicate"]


def statuses(outcome: Outcome) -> list[str]:
    return [each.status for each in outcome.results]
