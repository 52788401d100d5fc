"""A process that is told to stop ends in good order; one that is frozen while it holds the lock hinders nobody for long."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import orjson
import pytest

from fieldsvc.bench.faults.oracle import Report, follow, judge, read_journal, read_phones
from fieldsvc.bench.faults.scene import scene
from fieldsvc.errors import Unavailable
from fieldsvc.journal.reader import Reader
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.walking import FieldEvent
from fieldsvc.store.database import Database, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from tests.faults.conftest import Workers
from tests.journal.conftest import Journal, open_journal, trial_registry

pytestmark = pytest.mark.fault
FREED_WITHIN_S = 12.0  # 5 s idle in the transaction, then the longest wait for the lock and a request's own time
SHUTDOWN_S = 15.0  # the default of FIELDSVC_SHUTDOWN_TIMEOUT_S
WAITING = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
SUBJECTS = 40
STOPS = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "2"))  # more in the long form, by hand


def signal_of(number: int) -> dict[str, Any]:
    """Make what a phone says of a mailbox."""
    return {"object_id": f"o-{number}", "kind": "mailbox", "value": True}


async def write_on(journal: Journal, ledger: Ledger, over: asyncio.Event, taken: asyncio.Event) -> None:
    """Send note after note, each again until it is answered; set `taken` after each that is."""
    rng = Random(3)
    while not over.is_set():
        notes = [journal.note(f"s{rng.randrange(SUBJECTS)}", 1, at=journal.clock()) for _ in range(rng.choice((1, 5)))]
        for note in notes:
            ledger.generated("here", {"id": str(note.id), "type": note.type, "subject": note.subjects[0], "time": ""})
        ledger.sent("here", [str(note.id) for note in notes], first_time=len(notes))
        while True:
            try:
                outcome = await journal.send(*notes)
            except Unavailable:
                continue
            break
        ledger.acked("here", [{"id": each.id, "status": each.status} for each in outcome.results])
        taken.set()


@pytest.mark.parametrize("moment", ["before_commit", "in_copy"])
async def test_a_frozen_process_gives_its_shards_up_and_does_no_harm_when_it_goes_on(
    moment: str, children: Workers, durable_database: Database, tmp_path: Path, report: Report
) -> None:
    database, ledgers = durable_database, [tmp_path / "frozen.ledger", tmp_path / "here.ledger"]
    journal = await open_journal(database, database.url, trial_registry())
    over, done, taken = asyncio.Event(), asyncio.Event(), asyncio.Event()
    frozen = await children.worker(
        url=database.url, ledger=str(ledgers[0]), seed=1, seconds=11.0, subjects=SUBJECTS, stop_at=moment
    )
    following = asyncio.create_task(follow(Reader(database), over))
    with Ledger(ledgers[1]) as ledger:
        await frozen.say("go")
        assert await frozen.line() == "stopping"
        began = time.monotonic()
        writing = asyncio.create_task(write_on(journal, ledger, done, taken))
        await asyncio.wait_for(taken.wait(), 60)
        freed_s = time.monotonic() - began
        frozen.signal(signal.SIGCONT)
        told = orjson.loads(await frozen.line(within_s=40))
        assert await frozen.ended() == 0
        done.set()
        await asyncio.wait_for(writing, 30)
    await journal.stop()
    over.set()
    received = await asyncio.wait_for(following, 30)
    verdict = judge(await read_journal(database), received, phones=read_phones(*ledgers))
    report(f"frozen {moment} for {freed_s:.1f} s", verdict)
    assert verdict.faults == []
    assert len(verdict.phones.generated) == len(verdict.phones.held) == verdict.stored
    assert 4.0 < freed_s < FREED_WITHIN_S
    assert told["unavailable"] >= 1


@asynccontextmanager
async def shards_locked(url: str) -> AsyncIterator[asyncpg.Connection]:
    """Hold the lock of every shard, as a slow writer elsewhere would."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select id from shard order by id for no key update")
            yield connection
    finally:
        await connection.close()


async def waits_for_the_lock(url: str) -> None:
    """Wait until a session stands in line for a lock."""
    connection = await asyncpg.connect(url)
    try:
        async with asyncio.timeout(10):
            waiting = 0
            while not waiting:
                waiting = await connection.fetchval(WAITING)
    finally:
        await connection.close()


async def no_longer_listens(url: str) -> None:
    """Wait until new connections are refused."""
    port = int(url.rsplit(":", 1)[1])
    async with asyncio.timeout(10):
        while True:
            try:
                _, stream = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionRefusedError:
                return
            stream.close()
            await asyncio.sleep(0.01)


async def test_requests_in_flight_are_answered_when_the_service_is_told_to_stop(
    children: Workers, tmp_path: Path
) -> None:
    async with scene(children, tmp_path, seed=1) as town:
        await town.fleet.rest()
        server = EmbeddedPostgres(town.service.var_dir)
        url = await asyncio.to_thread(server.acquire)
        phone = town.fleet.phones[0]
        for number in range(20):
            phone.record(
                FieldEvent(time.time(), "object.signalled", f"object/o-{number}", signal_of(number)), run_id=None
            )
        async with shards_locked(url):
            sending = asyncio.create_task(phone.send())
            await waits_for_the_lock(url)
            stopping = asyncio.create_task(town.service.stop())
            await no_longer_listens(town.service.url)
            assert not sending.done()
        await asyncio.wait_for(sending, 10)
        status, took_s = await stopping
        assert (status, town.service.log().count("Traceback")) == (0, 0)
        assert took_s < SHUTDOWN_S
        assert phone.pending == 0
        database = await open_database(url, size=2)
        journal = await read_journal(database)
        await database.close()
        await asyncio.to_thread(server.release)
    assert read_phones(tmp_path / "phones.ledger").held <= set(journal.fields)


async def test_a_service_told_to_stop_while_phones_upload_ends_with_status_0_and_loses_nothing(
    children: Workers, tmp_path: Path, report: Report
) -> None:
    rng, took = Random(4), []
    async with scene(children, tmp_path, seed=4) as town:
        for _ in range(STOPS):
            await asyncio.sleep(rng.uniform(0.05, 1.0))
            status, took_s = await town.service.stop()
            assert status == 0, town.service.log()
            took.append(took_s)
            await town.service.start()
            await town.fleet.progress()
        verdict = await town.reckon()
    report(f"told to stop {STOPS} times, {max(took):.1f} s at most", verdict)
    assert verdict.faults == []
    assert verdict.stored == len(verdict.phones.generated)
    assert max(took) < SHUTDOWN_S
