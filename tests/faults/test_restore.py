"""Back to a moment before it went wrong: phones bring what came after it, and who was erased since stays erased."""

import asyncio
import shutil
from datetime import datetime
from pathlib import Path

import asyncpg
import orjson
import pytest

from fieldsvc.bench.faults.children import Children, until
from fieldsvc.bench.faults.oracle import Journalled, judge, read_journal, read_phones
from fieldsvc.bench.faults.scene import Scene, scene
from fieldsvc.store.database import open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.store.embedded_cluster import Cluster
from fieldsvc.store.embedded_launch import EmbeddedPostgresError, Installation, find_installation

pytestmark = pytest.mark.fault
WITHIN_S = 60.0
SOMEBODY = "select person from person_key where wrapped is not null and destroyed_at is null order by person limit 1"
THEIR_KEY = "select wrapped from person_key where person = $1"


class Store:
    """The embedded server of a town, with an archive beside it, that can be set back to a moment."""

    def __init__(self, folder: Path) -> None:
        self.var, self.archive, self.base = folder / "var", folder / "archive", folder / "base"
        self.var.mkdir()
        self.archive.mkdir()
        self.installation: Installation = find_installation(self.var, Cluster(self.var).data)
        self.installation.identity.own(self.archive)
        self.url = ""
        self._server: EmbeddedPostgres | None = None

    def start(self, **options: str) -> None:
        settings = {"wal_level": "replica", "max_wal_senders": "4", **options}
        self._server = EmbeddedPostgres(self.var, options=settings)
        self.url = self._server.acquire()

    def stop(self) -> None:
        if self._server is not None:
            self._server.release()

    def back_up(self) -> None:
        words = ["--checkpoint=fast", "--wal-method=stream", f"--dbname={self.url}", f"--pgdata={self.base}"]
        self.installation.identity.run([self.installation.program("pg_basebackup"), *words])

    def verify(self, backup: Path) -> None:
        self.installation.identity.run([self.installation.program("pg_verifybackup"), backup])

    def set_back(self, moment: datetime) -> None:
        """Put the backup in place, and replay the archive up to a moment."""
        data = Cluster(self.var).data
        data.rename(self.var.parent / "lost")
        shutil.copytree(self.base, data, symlinks=True)
        (data / "recovery.signal").touch()
        data.chmod(0o700)
        self.installation.identity.own(data)
        target = {"recovery_target_time": moment.isoformat(), "recovery_target_action": "promote"}
        self.start(restore_command=f"cp {self.archive}/%f %p", **target)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    made = Store(tmp_path)
    made.start(archive_mode="on", archive_command=f"cp %p {made.archive}/%f")
    return made


async def worked(town: Scene, url: str) -> set[str]:
    """Let the phones work for a while, and come to rest; return what the service said that it has."""
    town.fleet.at_work.set()
    await town.fleet.progress(within_s=WITHIN_S)
    await town.fleet.pause()
    await town.drain(url)
    return read_phones(town.folder / "phones.ledger").held


async def said(town: Scene, *words: str) -> dict[str, object]:
    """Run a command on the store; return what it says."""
    env = {"FIELDSVC_VAR_DIR": str(town.service.var_dir)}
    child = await town.service.children.start("-m", "fieldsvc", *words, "--json", env=env)
    line = await child.line(within_s=WITHIN_S)
    assert await child.ended() == 0, line
    found: dict[str, object] = orjson.loads(line)
    return found


async def archived(desk: asyncpg.Connection) -> None:
    """Wait until everything so far is in the archive."""
    file = await desk.fetchval("select pg_walfile_name(pg_switch_wal())")

    async def is_there() -> bool:
        return bool(await desk.fetchval("select last_archived_wal >= $1 from pg_stat_archiver", file))

    await until(is_there, within_s=WITHIN_S, says="The log was not archived.")


async def promoted(url: str) -> asyncpg.Connection:
    """Connect to the restored store once it takes writes."""
    desk = await asyncpg.connect(url)

    async def is_open() -> bool:
        return not await desk.fetchval("select pg_is_in_recovery()")

    await until(is_open, within_s=WITHIN_S, says="The recovery did not end.")
    return desk


async def journalled(url: str) -> Journalled:
    database = await open_database(url, size=1)
    try:
        return await read_journal(database)
    finally:
        await database.close()


async def test_a_store_set_back_to_a_moment_gets_everything_later_from_the_phones_and_erases_again(
    children: Children, store: Store, tmp_path: Path
) -> None:
    async with scene(children, tmp_path, seed=9, pause_s=0.1) as town:
        try:
            await asyncio.to_thread(store.back_up)
            await asyncio.to_thread(store.verify, store.base)
            before = await worked(town, store.url)
            desk = await asyncpg.connect(store.url)
            moment, somebody = await desk.fetchval("select clock_timestamp()"), await desk.fetchval(SOMEBODY)
            later = await worked(town, store.url) - before
            await said(town, "person", "erase", somebody)
            await archived(desk)
            await desk.close()
            assert (await town.service.stop())[0] == 0
            await asyncio.to_thread(store.stop)

            await asyncio.to_thread(store.set_back, moment)
            desk = await promoted(store.url)
            stored = set((await journalled(store.url)).fields)
            assert before <= stored
            assert later
            assert not later & stored
            assert await desk.fetchval(THEIR_KEY, somebody) is not None  # the backup knows them
            told = await said(town, "restored")
            assert await desk.fetchval(THEIR_KEY, somebody) is None
            assert str(await desk.fetchval("select epoch from store")) == told["epoch"]
            await desk.close()

            await town.service.start()
            town.fleet.at_work.set()
            await town.fleet.progress(within_s=WITHIN_S)
            await town.fleet.pause()
            await town.fleet.flush()
            journal = await journalled(store.url)
            verdict = judge(journal, journal.public, phones=read_phones(tmp_path / "phones.ledger"))
            assert verdict.faults == []
            assert later <= set(journal.fields)
            assert town.fleet.ledger.counts().sent_again >= len(later)
            assert town.fleet.rude == []
        finally:
            await asyncio.to_thread(store.stop)


async def test_a_backup_with_one_byte_changed_or_a_file_cut_short_is_refused(store: Store) -> None:
    try:
        store.back_up()
        store.verify(store.base)
        victim = max(
            (path for path in (store.base / "base").rglob("*") if path.is_file()), key=lambda path: path.stat().st_size
        )
        whole = victim.read_bytes()
        for spoiled in (bytes([whole[0] ^ 1]) + whole[1:], whole[:-1]):
            victim.write_bytes(spoiled)
            with pytest.raises(EmbeddedPostgresError):
                store.verify(store.base)
        victim.write_bytes(whole)
        store.verify(store.base)
    finally:
        store.stop()
