"""Two processes write the same subjects while one reader follows by cursor; and a fence taken away is noticed."""

import asyncio
from pathlib import Path

import orjson
import pytest

from fieldsvc.bench.faults.oracle import Report, Verdict, follow, judge, read_journal, read_phones
from fieldsvc.journal.reader import Reader
from fieldsvc.store.database import Database
from tests.faults.conftest import Workers
from tests.journal.conftest import open_journal, trial_registry

pytestmark = pytest.mark.fault
SECONDS = {"locked": 8.0, "free": 4.0, "unlocked": 5.0}


async def race(children: Workers, database: Database, folder: Path, *, how: str) -> tuple[Verdict, int]:
    """Let two processes write while one reader follows; return the verdict, and how often the fence was hit."""
    journal = await open_journal(database, database.url, trial_registry())
    await journal.stop()  # it has made the store's keys, which the processes share
    ledgers = [folder / f"{seed}.ledger" for seed in (1, 2)]
    over = asyncio.Event()
    workers = [
        await children.worker(url=database.url, ledger=str(path), seed=seed, seconds=SECONDS[how], how=how)
        for seed, path in enumerate(ledgers, start=1)
    ]
    following = asyncio.create_task(follow(Reader(database), over))
    for worker in workers:
        await worker.say("go")
    told = [orjson.loads(await worker.line(within_s=40)) for worker in workers]
    assert [await worker.ended() for worker in workers] == [0, 0]
    over.set()
    received = await asyncio.wait_for(following, 30)
    journalled = await read_journal(database, chained=how != "free")
    return judge(journalled, received, phones=read_phones(*ledgers)), sum(each.get("fenced", 0) for each in told)


async def test_two_processes_on_the_same_subjects_lose_and_invert_nothing(
    children: Workers, durable_database: Database, tmp_path: Path, report: Report
) -> None:
    verdict, fenced = await race(children, durable_database, tmp_path, how="locked")
    report("two writers", verdict)
    assert verdict.faults == []
    assert fenced == 0
    assert len(verdict.phones.generated) == len(verdict.phones.held) == verdict.stored
    assert verdict.made_here == 0
    assert verdict.published == verdict.received > 500


async def test_positions_of_free_transactions_are_caught_losing_events(
    children: Workers, durable_database: Database, tmp_path: Path, report: Report
) -> None:
    async with durable_database.acquire() as connection:
        await connection.execute("create sequence free_position")
    verdict, _ = await race(children, durable_database, tmp_path, how="free")
    report("two writers, planted: no lock and positions of a sequence", verdict)
    assert verdict.lost > 0
    assert any("never received" in fault for fault in verdict.faults)


async def test_our_own_writer_without_its_lock_is_noticed(
    children: Workers, durable_database: Database, tmp_path: Path, report: Report
) -> None:
    verdict, fenced = await race(children, durable_database, tmp_path, how="unlocked")
    report(f"two writers, planted: the lock taken out, fenced {fenced} times", verdict)
    assert fenced > 0 or verdict.faults
