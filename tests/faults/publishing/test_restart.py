"""PostgreSQL is stopped at once (`-m immediate`) again and again under a dispatcher at work: everything arrives, in order.

Twice in the short form; `FIELDSVC_FAULT_CYCLES=20` (or more) is the long one.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from random import Random

import asyncpg
import pytest

from fieldsvc.store.database import Database, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from tests.faults.publishing.oracle import Report, Verdict, settled
from tests.faults.publishing.scene import (
    Pen,
    add_endpoint,
    books,
    dispatching,
    host,
    names_of,
    nothing_waits,
    pace_of,
    ready,
    until,
)

pytestmark = pytest.mark.fault
CYCLES, SEED, SPAN, IN_FLIGHT = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "2")), 20261125, 60, 12


@pytest.fixture
async def database(durable_postgres: EmbeddedPostgres) -> AsyncIterator[Database]:
    """A pool on a database of this test's own, made and dropped by connections that no restart cuts."""
    base = durable_postgres.acquire().rsplit("/", 1)[0]
    for statement in ("drop database if exists restarted", "create database restarted template fieldsvc"):
        await _desk(base, statement)
    opened = await open_database(f"{base}/restarted", size=8)
    yield opened
    await opened.close()


async def _desk(base: str, statement: str) -> None:
    desk = await asyncpg.connect(f"{base}/desk")
    try:
        await desk.execute(statement)
    finally:
        await desk.close()


async def test_a_database_stopped_at_once_under_load_costs_at_most_the_span_again(
    durable_postgres: EmbeddedPostgres, database: Database, report: Report
) -> None:
    rng, pen, vault = Random(SEED), Pen(database.url), await ready(database)
    async with host() as town:
        inboxes = [town.inbox("one"), town.inbox("batches")]
        for inbox, batch in zip(inboxes, (1, 10), strict=True):
            inbox.answer = lambda _inbox, _event: 500 if rng.random() < 0.05 else 204
            inbox.endpoint = await add_endpoint(database, vault, inbox.url, batch=batch)
        over = asyncio.Event()
        writing = asyncio.create_task(_write(pen, rng, over))
        async with dispatching(database, vault, 0, *[0.1] * 300, pace=pace_of(lease_s=4.0, span=SPAN)):
            for _ in range(CYCLES):
                heard = len(inboxes[0].got)
                await until(lambda heard=heard: len(inboxes[0].got) > heard + 50)
                await asyncio.sleep(rng.uniform(0, 0.3))
                await asyncio.to_thread(_restart, durable_postgres)
            over.set()
            await writing
            names = list(pen.written_at)
            await until(lambda: all(inbox.has(names) for inbox in inboxes))
            await until(lambda: nothing_waits(database))
        total = Verdict(0)
        for inbox in inboxes:
            found = await books(database, inbox.endpoint)
            total += settled(found.events, inbox.got, found.records, again=CYCLES * (SPAN + IN_FLIGHT))
    await pen.close()
    report(f"database stopped at once {CYCLES} times, {pen.interrupted} writes interrupted", total)
    assert total.faults == []


def _restart(server: EmbeddedPostgres) -> None:
    pid = server.pid()
    assert pid is not None
    os.kill(pid, signal.SIGQUIT)
    while server.pid() == pid:
        time.sleep(0.01)
    assert server.ensure_running()


async def _write(pen: Pen, rng: Random, over: asyncio.Event) -> None:
    while not over.is_set():
        await pen.say(*names_of(rng, rng.choice((1, 4, 10)), 15))
        await asyncio.sleep(0.02)
