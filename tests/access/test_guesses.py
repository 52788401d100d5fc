"""Guesses at what is secret end, in however many processes and at however many places they are made."""

import asyncio
from datetime import timedelta

from fieldsvc.access.guesses import Guesses
from fieldsvc.errors import TooMany
from fieldsvc.store.database import Database

KEY, MOST = bytes(range(32)), {"source": 3, "number": 5}


def process(database: Database, window: timedelta = timedelta(minutes=10)) -> Guesses:
    """Stand in for one process; it knows nothing but the database."""
    return Guesses(database, KEY, MOST, window)


async def taken(guesses: Guesses, **tried: str) -> bool:
    try:
        await guesses.begin(tried)
    except TooMany:
        return False
    return True


async def test_many_at_once_in_several_processes_are_no_more_than_one_after_the_other(database: Database) -> None:
    several = [process(database) for _ in range(4)]
    tries = [taken(several[each % 4], source=f"place {each}", number="LL1") for each in range(40)]
    assert sum(await asyncio.gather(*tries)) == MOST["number"]
    assert not await taken(process(database), source="elsewhere", number="LL1")  # as after a restart
    assert await process(database).too_many({"number": "LL1"})
    assert not await process(database).too_many({"number": "LL2"})


async def test_a_refused_try_counts_for_nobody_and_a_right_one_is_taken_back(database: Database) -> None:
    guesses = process(database)
    for _ in range(3):
        assert await taken(guesses, source="a", number="LL1")
    for _ in range(9):
        assert not await taken(guesses, source="a", number="LL2")
    for _ in range(20):
        assert await taken(guesses, source="b", number="LL2")
        await guesses.right({"source": "b", "number": "LL2"})
    for _ in range(2):
        assert await taken(guesses, source="b", number="LL1")
    assert not await taken(guesses, source="b", number="LL1")  # five of this number, from two places


async def test_who_waited_may_try_again_and_what_is_old_is_deleted(database: Database) -> None:
    guesses = process(database)
    while await taken(guesses, source="a"):
        pass
    async with database.acquire() as connection:
        await connection.execute("update tried set since = since - interval '11 minutes'")
    assert await taken(guesses, source="a")
    async with database.acquire() as connection:
        await connection.execute("update tried set since = since - interval '2 days'")
        assert await taken(guesses, source="b")
        assert await connection.fetchval("select count(*) from tried") == 1


async def test_neither_who_tries_nor_what_is_tried_can_be_read(database: Database) -> None:
    await taken(process(database), source="203.0.113.9", number="LL456789015FR")
    async with database.acquire() as connection:
        kept = await connection.fetchval("select string_agg(tried::text, ' ') from tried")
    assert "203.0" not in kept
    assert "LL4" not in kept


async def test_who_guesses_nothing_is_not_counted(database: Database) -> None:
    await process(database).begin({})
    await process(database).right({})
    async with database.acquire() as connection:
        assert await connection.fetchval("select count(*) from tried") == 0
