"""A primary and its synchronous standby that change places."""

import asyncio
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg

from fieldsvc.bench.faults.children import until
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.store.embedded_cluster import Cluster
from fieldsvc.store.embedded_launch import find_installation

OPTIONS = {"wal_level": "replica", "max_wal_senders": "4", "wal_retrieve_retry_interval": "100ms"}
IN_STEP = "select count(*) from pg_stat_replication where sync_state = 'sync'"
COMMITTING = "select pid from pg_stat_activity where wait_event = 'SyncRep' and query = 'commit'"
WITHIN_S = 60.0


class Pair:
    """Two servers of one store; `url` is the primary's, `desk` a connection to it."""

    url: str
    desk: asyncpg.Connection

    def __init__(self, first: Path, second: Path) -> None:
        self._folders = {}
        self.primary, self.standby = (self._server(folder) for folder in (first, second))

    def _server(self, folder: Path) -> EmbeddedPostgres:
        made = EmbeddedPostgres(folder, options=OPTIONS)
        self._folders[made] = folder
        return made

    async def begin(self) -> None:
        """Start the first as the primary of whatever is in its folder."""
        self.url = await asyncio.to_thread(self.primary.acquire)
        self.desk = await asyncpg.connect(self.url)

    async def follow(self) -> None:
        """Make the standby anew from the living primary; from when it is in step, every commit waits for it."""
        await self.desk.execute("alter system set synchronous_standby_names = ''")
        await asyncio.to_thread(_copied, self._folders[self.primary], self._folders[self.standby], self.url)
        await asyncio.to_thread(self.standby.acquire)
        await asyncio.to_thread(self.standby.ensure_running)
        await self.desk.execute("alter system set synchronous_standby_names = '*'")
        await self.desk.execute("select pg_reload_conf()")
        await until(self.in_step, within_s=WITHIN_S, says="The standby never followed.")

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

    async def promote(self) -> str:
        """Kill the primary, make the standby the store, and return its URL: they have changed places."""
        await self.desk.close()
        await asyncio.to_thread(self.primary.kill)
        return await self.change_places()

    async def change_places(self) -> str:
        """Make the standby the store, whatever the primary does."""
        await asyncio.to_thread(self.standby.ensure_running)
        self.url = await asyncio.to_thread(self.standby.acquire)
        self.desk = await asyncpg.connect(self.url)
        await self.desk.fetchval("select pg_promote()")
        self.primary, self.standby = self.standby, self.primary
        return self.url

    async def end(self) -> None:
        for server in (self.standby, self.primary):
            await asyncio.to_thread(server.kill)
            await asyncio.to_thread(server.release)


@asynccontextmanager
async def pair_of(first: Path | None = None) -> AsyncIterator[Pair]:
    """Put a pair up, of what is in the first's folder if there is something; its standby is not there yet."""
    root = _folder()
    pair = Pair(first or root / "first", root / "second")
    try:
        await pair.begin()
        yield pair
        await pair.desk.close()
    finally:
        await pair.end()
        shutil.rmtree(root, ignore_errors=True)


def _folder() -> Path:
    made = Path(tempfile.mkdtemp(prefix="fieldsvc-pair-"))
    made.chmod(0o755)
    return made


def _copied(primary: Path, standby: Path, url: str) -> None:
    """Make the standby's data from the living primary's."""
    standby.mkdir(exist_ok=True)
    data = Cluster(standby).data
    shutil.rmtree(data, ignore_errors=True)
    shutil.copy(primary / "postgres.password", standby / "postgres.password")
    installation = find_installation(primary, primary / "postgres")
    installation.identity.own(standby)
    words = ["--checkpoint=fast", "--wal-method=stream", "--write-recovery-conf", f"--dbname={url}", f"--pgdata={data}"]
    installation.identity.run([installation.program("pg_basebackup"), *words])
