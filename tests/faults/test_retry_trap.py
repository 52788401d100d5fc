"""A synchronous standby is away: nothing is acknowledged that only the primary has, however it is asked, and nothing is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from fieldsvc.bench.faults.children import until
from fieldsvc.errors import Unavailable
from fieldsvc.journal.submission import Outcome
from fieldsvc.store.database import Database, migrate, open_database
from tests.faults.pairs import WITHIN_S, Pair, pair_of
from tests.journal.conftest import Journal, open_journal, trial_registry

pytestmark = pytest.mark.fault


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    async with pair_of() as made:
        await migrate(made.desk)
        await made.follow()
        yield made


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
        url = await pair.promote()
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
