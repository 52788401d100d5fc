import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from fieldsvc.journal.reader import ROWS_KEPT, START, Ring, Row, Tail, parse_evt_id
from fieldsvc.journal.submission import SHARDS, Submission
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.journal.writer import Writer
from fieldsvc.store.database import connect
from tests.journal.conftest import Journal


@pytest.fixture
async def tail(journal: Journal, database_url: str) -> AsyncIterator[Tail]:
    opened = Tail(journal.reader, lambda: connect(database_url))
    following = asyncio.create_task(opened.run())
    yield opened
    following.cancel()
    await asyncio.gather(following, return_exceptions=True)


async def test_ends_and_oldest_of_an_empty_journal_are_the_start(journal: Journal) -> None:
    assert await journal.reader.ends() == dict.fromkeys(range(SHARDS), START)
    assert await journal.reader.oldest() == dict.fromkeys(range(SHARDS), START)


async def test_a_cursor_walks_every_row_once_whatever_the_page(journal: Journal) -> None:
    await journal.send(*[journal.note(f"t{n % 7}", n) for n in range(60)])
    whole = [row.evt_id for row in await journal.rows()]
    for limit in (1, 7, 1000):
        seen = []
        for shard in range(SHARDS):
            position = START
            while page := await journal.reader.after(shard, position, limit=limit):
                seen += [row.evt_id for row in page]
                position = page[-1].position
        assert seen == whole


async def test_an_event_is_found_by_its_id(journal: Journal) -> None:
    event = journal.note("x+y")
    await journal.send(event)
    found = await journal.reader.event(f"evt_{event.id}_2")
    assert found is not None
    assert found.subject == "thing/y"
    assert await journal.reader.event(f"evt_{event.id}_9") is None
    assert await journal.reader.event(f"evt_{event.id}") is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "evt_",
        "evt_x",
        "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44_x",
        "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44",
        "evt_019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44_²",
    ],
)
def test_what_is_no_event_id_is_none(text: str) -> None:
    assert parse_evt_id(text) is None


async def test_the_tail_wakes_its_readers_at_a_commit(journal: Journal, tail: Tail) -> None:
    journal.writer._wake = tail
    ends = await journal.reader.ends()
    before = tail.version
    await journal.send(*[journal.note(f"t{n}", n) for n in range(8)])
    async with asyncio.timeout(30):
        while sum([len(await tail.recent(shard, ends[shard], limit=100)) for shard in range(SHARDS)]) < 8:
            await tail.wait(timeout_s=1, since=before)
            before = tail.version


async def test_the_tail_hears_commits_of_other_processes(journal: Journal, tail: Tail, second_journal: Journal) -> None:
    before = tail.version
    await second_journal.send(second_journal.note("a"))
    async with asyncio.timeout(30):
        await tail.wait(timeout_s=30, since=before)
    assert tail.version > before


async def test_what_the_ring_no_longer_has_comes_from_the_database(journal: Journal, tail: Tail) -> None:
    await journal.send(*[journal.note(f"t{n}", n) for n in range(12)])
    async with asyncio.timeout(30):
        while tail.version == 0:
            await tail.wait(timeout_s=1)
    found = sum([len(await tail.recent(shard, START, limit=100)) for shard in range(SHARDS)])
    assert found == 12


async def test_partitions_are_made_ahead_and_a_commit_after_midnight_finds_its_day(
    journal: Journal, database_url: str
) -> None:
    later = datetime.now(UTC) + timedelta(days=20)
    async with journal.database.acquire() as connection:
        assert await make_partitions(connection, later) > 0
        assert await make_partitions(connection, later) == 0
    writer = Writer(lambda: connect(database_url), journal.vault, journal.registry, clock=lambda: later)
    running = asyncio.create_task(writer.run())
    await writer.submit(Submission([journal.note("a")]))
    (row,) = await journal.rows()
    assert row.day == later.date()
    writer.stop()
    await running


async def test_a_day_never_goes_back_when_the_servers_clock_does(journal: Journal, database_url: str) -> None:
    await journal.send(journal.note("a", 1))
    writer = Writer(
        lambda: connect(database_url),
        journal.vault,
        journal.registry,
        clock=lambda: datetime.now(UTC) - timedelta(days=1),
    )
    running = asyncio.create_task(writer.run())
    await writer.submit(Submission([journal.note("a", 2)]))
    rows = await journal.rows()
    assert [row.subject_seq for row in sorted(rows, key=lambda row: row.position)] == [1, 2]
    assert len({row.day for row in rows}) == 1
    assert rows[0].day > date(2020, 1, 1)
    writer.stop()
    await running


async def test_a_full_range_of_old_rows_is_read_once_for_all_who_come_the_same_way(
    journal: Journal, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    await journal.send(*[journal.note("one subject", n) for n in range(5)])
    whole = await journal.rows()
    shard, read, asked = whole[0].shard, journal.reader.after, []

    async def counted(*place: Any, limit: int) -> list[Row]:
        asked.append(place)
        return await read(*place, limit=limit)

    monkeypatch.setattr(journal.reader, "after", counted)
    tail = Tail(journal.reader, lambda: connect(database_url))  # it does not follow: all rows are older than it
    for _ in range(2):
        assert await tail.recent(shard, START, limit=3) == whole[:3]
        assert await tail.recent(shard, whole[2].position, limit=3) == whole[3:]
    assert len(asked) == 3  # the second range may still grow


def test_the_newest_rows_are_kept_and_found_behind_any_place() -> None:
    day, now = date(2026, 11, 21), datetime(2026, 11, 21, tzinfo=UTC)
    rows = [
        Row(day, 0, pos, UUID(int=pos), 0, "t", "s", pos, None, None, None, now, now, b"{}")
        for pos in range(1, 2 * ROWS_KEPT + 11)
    ]
    ring = Ring(START, START)
    for first in range(0, len(rows), 1000):
        ring.add(rows[first : first + 1000])
    assert ROWS_KEPT <= len(ring.rows) <= 2 * ROWS_KEPT
    assert ring.after(ring.start, 2) == ring.rows[:2]
    assert ring.after(rows[-4].position, 10) == rows[-3:]
    assert ring.after(rows[-4].position, 2) == rows[-3:-1]
    assert ring.after(ring.end, 10) == []
