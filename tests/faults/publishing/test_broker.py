"""Webhooks and the stream sink on one journal while the broker is killed, and at last emptied: neither hinders the other."""

import asyncio
import contextlib
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from fieldsvc.jobs import ended
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.publishing.streams.broker import StreamLimits
from fieldsvc.publishing.streams.shard import StreamTools
from fieldsvc.publishing.streams.streams import Streams
from fieldsvc.store.database import Database, connect
from tests.faults.publishing.oracle import Report, Verdict, settled
from tests.faults.publishing.scene import (
    Pen,
    add_endpoint,
    books,
    dispatching,
    host,
    names_of,
    nothing_waits,
    ready,
    until,
)
from tests.publishing.streams.conftest import QUICK, Nats, assert_whole
from tests.sizes import sized

pytestmark = pytest.mark.fault
SEED, KILLS = 20261126, sized(2, 20)


async def test_a_broker_killed_and_emptied_loses_nothing_and_no_endpoint_notices(
    database: Database, tmp_path: Path, report: Report
) -> None:
    rng, pen, vault, broker = Random(SEED), Pen(database.url), await ready(database), Nats(tmp_path)
    await broker.start()
    try:
        async with host() as town:
            inboxes = [town.inbox(name) for name in ("well", "moody", "batches")]
            inboxes[1].answer = lambda _inbox, _event: 500 if rng.random() < 0.1 else 204
            for inbox, batch in zip(inboxes, (1, 1, 20), strict=True):
                inbox.endpoint = await add_endpoint(database, vault, inbox.url, batch=batch)
            async with dispatching(database, vault, 0, *[0.1] * 100), streaming(database, vault.epoch, broker) as sink:
                for kill in range(KILLS):
                    await _say(pen, rng, 10)
                    seen = sink.published
                    await until(lambda seen=seen: sink.published > seen)
                    broker.kill()
                    await _say(pen, rng, 10)
                    if kill == KILLS - 1:
                        broker.empty()
                    await until(
                        lambda: all(inbox.has(list(pen.written_at)) for inbox in inboxes)
                    )  # with no broker there
                    await broker.start()
                await until(lambda: _holds(broker, len(pen.written_at)))
                await until(lambda: nothing_waits(database))
        late_s = max(each.at - pen.written_at[each.event.id] for each in inboxes[0].got)
        assert_whole(await broker.stored(), list(pen.written_at))
    finally:
        broker.kill()
        await pen.close()
    total = Verdict(0)
    for inbox in inboxes:
        found = await books(database, inbox.endpoint)
        total += settled(found.events, inbox.got, found.records, again=0)
    report(f"broker killed {KILLS} times and emptied, the stream whole; a webhook's worst {late_s:.2f} s", total)
    assert total.faults == []
    assert late_s < 10


@contextlib.asynccontextmanager
async def streaming(database: Database, epoch: object, broker: Nats):
    """Publish to the broker, following the journal, until the end of the block."""
    reader = Reader(database)
    tail = Tail(reader, lambda: connect(database.url))
    limits = StreamLimits(duplicate_window=timedelta(seconds=0.5))
    sink = Streams([broker.url], StreamTools(database, reader, tail, epoch, limits, QUICK))  # type: ignore[arg-type]
    jobs = [asyncio.create_task(tail.run()), asyncio.create_task(sink.run())]
    try:
        yield sink
    finally:
        await ended(jobs)


async def _say(pen: Pen, rng: Random, turns: int) -> None:
    for _ in range(turns):
        await pen.say(*names_of(rng, rng.choice((1, 4, 10)), 15))
        await asyncio.sleep(0.02)


async def _holds(broker: Nats, count: int) -> bool:
    return await broker.count() >= count
