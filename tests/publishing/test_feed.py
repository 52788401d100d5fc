"""The feed against the webhooks, its cursors, its filters and its stream."""

import asyncio
import base64
import re
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import uuid4

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as some

from fieldsvc.publishing import feed as feeds
from fieldsvc.publishing.feed import BadCursor, CursorCodec, CursorExpired
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.cloudevents import View
from sql import query

ALL = TypeFilter([])
SUBJECTS = [f"item/RK{number}FR" for number in range(12)]


async def read_all(feed, view, *, limit: int, types: TypeFilter = ALL) -> list[dict]:
    events, after = [], await feed.resolve("")
    while True:
        page = await feed.page(after, view, types=types, limit=limit)
        assert len(page.items) <= limit
        events += [orjson.loads(item.body) for item in page.items]
        after = await feed.resolve(feed.cursors.write(page.after))
        if page.at_end:
            return events


@pytest.mark.parametrize("limit", [1, 7, 100, 1000])
async def test_pages_of_any_size_hold_every_event_once_in_order(feed, journal, tools, limit: int):
    random = Random(limit)
    for _ in range(6):
        await journal.say_all([random.choice(SUBJECTS) for _ in range(40)])
    events = await read_all(feed, View(tools.account), limit=limit)
    assert sorted(event["id"] for event in events) == sorted(journal.ids)
    for subject in SUBJECTS:
        sequence = [int(event["sequence"]) for event in events if event["subject"] == subject]
        assert sequence == list(range(1, journal.sequences[subject] + 1))


async def test_the_feed_gives_the_bytes_and_the_order_that_the_webhook_gives(
    feed, endpoints, start, journal, receiver, tools
):
    await endpoints.create(tools.account, receiver.url, types=["item.*"], start="oldest", thin=False)
    for turn in range(5):
        await journal.say_all(SUBJECTS, type_="item.held" if turn % 2 else "run.started")
    await start()
    await tools.poll(lambda: len(receiver.got) == 24)
    page = await feed.page(await feed.resolve(""), View(tools.account), types=TypeFilter(["item.*"]), limit=1000)
    assert sorted(item.body for item in page.items) == sorted(got.body for got in receiver.got)
    pulled = [orjson.loads(item.body) for item in page.items]
    for subject in SUBJECTS:
        assert [event["id"] for event in pulled if event["subject"] == subject] == [
            got.id for got in receiver.got if got.subject == subject
        ]


async def test_the_cursor_moves_past_what_the_caller_may_not_see_also_on_an_empty_page(feed, journal, tools):
    start = await feed.resolve("")
    await journal.say_all(SUBJECTS, account="acct-other")
    page = await feed.page(start, View(tools.account), types=ALL, limit=100)
    assert page.items == []
    assert page.after != start
    seen = await journal.say(SUBJECTS[0])
    following = await feed.page(page.after, View(tools.account), types=ALL, limit=100)
    assert [orjson.loads(item.body)["id"] for item in following.items] == [seen]


async def test_one_call_looks_at_a_bounded_number_of_rows(feed, journal, tools, monkeypatch):
    monkeypatch.setattr(feeds, "MOST_SCANNED", 20)
    await journal.say_all(SUBJECTS * 5, account="acct-other")
    mine = await journal.say(SUBJECTS[0])
    after, calls, found = await feed.resolve(""), 0, []
    while not found:
        page = await feed.page(after, View(tools.account), types=ALL, limit=10)
        after, calls, found = page.after, calls + 1, page.items
        assert not page.at_end or found
    assert calls > 1
    assert orjson.loads(found[0].body)["id"] == mine


async def test_the_operator_sees_everything_and_a_stranger_nothing(feed, journal, tools):
    await journal.say_all(SUBJECTS, account="acct-other")
    await journal.say_all(SUBJECTS, account=None)
    assert len(await read_all(feed, View("op", operator=True), limit=100)) == 24
    assert await read_all(feed, View("acct-third"), limit=100) == []


async def test_a_long_poll_answers_as_soon_as_something_comes(feed, journal, tools):
    async def check() -> View:
        return View(tools.account)

    after = await feed.resolve("")
    job = asyncio.create_task(feed.poll(after, check, types=ALL, limit=10, wait_s=20))
    name = await journal.say(SUBJECTS[0])
    page = await asyncio.wait_for(job, 5)
    assert [orjson.loads(item.body)["id"] for item in page.items] == [name]


async def test_a_long_poll_that_nothing_answers_ends_with_a_cursor(feed, journal, tools):
    async def check() -> View:
        return View(tools.account)

    page = await asyncio.wait_for(feed.poll(await feed.resolve(""), check, types=ALL, limit=10, wait_s=0.2), 5)
    assert page.items == []
    assert feed.cursors.write(page.after)


async def test_a_cursor_behind_dropped_rows_is_refused_with_the_oldest_one(feed, journal, tools, database):
    await journal.say_all([SUBJECTS[0]] * 5)
    first = await feed.page(await feed.resolve(""), View(tools.account), types=ALL, limit=1)
    cursor = feed.cursors.write(first.after)
    assert await feed.resolve(cursor) == first.after
    async with database.acquire() as connection:
        await connection.execute("delete from event where subject_seq < 4")
    with pytest.raises(CursorExpired) as refused:
        await feed.resolve(cursor)
    oldest = await feed.resolve(str(refused.value.extra["oldest"]))
    rest = await feed.page(oldest, View(tools.account), types=ALL, limit=10)
    assert [orjson.loads(item.body)["sequence"][-1] for item in rest.items] == ["4", "5"]


async def test_a_cursor_taken_from_an_empty_store_is_good_for_ever_after(feed, journal, tools):
    empty = feed.cursors.write(await feed.resolve(""))
    await journal.say_all(SUBJECTS)
    page = await feed.page(await feed.resolve(empty), View(tools.account), types=ALL, limit=100)
    assert len(page.items) == 12


async def test_a_cursor_of_another_epoch_is_refused_and_garbage_is_a_bad_request(feed, vault):
    foreign = CursorCodec(vault.derived_key("feed"), uuid4()).write(await feed.resolve(""))
    with pytest.raises(CursorExpired):
        await feed.resolve(foreign)
    forged = CursorCodec(bytes(32), vault.epoch).write(await feed.resolve(""))
    for text in (forged, "x", "AAAA", "é", "a" * 5000, base64.urlsafe_b64encode(bytes(80)).decode(), "\x00"):
        with pytest.raises(BadCursor):
            await feed.resolve(text)


@given(some.text(max_size=120))
def test_no_text_is_taken_for_a_cursor(text: str):
    with pytest.raises(BadCursor):
        CursorCodec(bytes(32), uuid4()).read(text)


async def test_a_stream_gives_cursors_as_ids_and_goes_on_behind_any_of_them(feed, journal, tools):
    async def check() -> View:
        return View(tools.account)

    await journal.say_all(SUBJECTS)
    stream = feed.stream(await feed.resolve(""), check, types=ALL)
    parts = [await anext(stream) for _ in range(6)]
    await stream.aclose()
    assert all(part.startswith(b"id: ") and part.endswith(b"\n\n") for part in parts)
    last = parts[-1].split(b"\n")[0].removeprefix(b"id: ").decode()
    rest = await feed.page(await feed.resolve(last), View(tools.account), types=ALL, limit=100)
    got = [orjson.loads(part.split(b"data: ")[1])["id"] for part in parts]
    assert sorted(got + [orjson.loads(item.body)["id"] for item in rest.items]) == sorted(journal.ids)


async def test_a_quiet_stream_pings_with_its_cursor_and_ends_when_the_caller_is_revoked(feed, tools, monkeypatch):
    from fieldsvc.errors import Revoked

    monkeypatch.setattr(feeds, "PING_S", 0.05)
    monkeypatch.setattr(feeds, "RECHECK_S", 0.05)
    calls = 0

    async def check() -> View:
        nonlocal calls
        calls += 1
        if calls > 4:
            raise Revoked
        return View(tools.account)

    stream = feed.stream(await feed.resolve(""), check, types=ALL)
    parts = [part async for part in stream]
    assert len(parts) >= 2
    assert all(part.startswith(b": ping\nid: ") for part in parts)


async def test_a_place_is_exact_where_rows_were_committed_in_another_order_than_received(
    feed, reader, journal, database
):
    await journal.say_all(SUBJECTS * 20)
    random, base = Random(5), datetime(2026, 11, 1, 12, tzinfo=UTC)
    rows = await database.pool.fetch("select shard, pos from event order by shard, pos")
    received = {}
    for row in rows:
        late = timedelta(seconds=random.choice([0, 0, 0, random.uniform(0, 90)]))
        received[row["shard"], row["pos"]] = base + timedelta(seconds=30 * row["pos"]) - late
    await database.pool.executemany(
        "update event set received_at = $3 where shard = $1 and pos = $2", [(*key, at) for key, at in received.items()]
    )
    await database.pool.execute("select make_days('2026-11-01', 1)")
    await database.pool.execute("update event set day = '2026-11-01'")
    for _ in range(60):
        moment = base + timedelta(seconds=random.uniform(-60, 30 * 90))
        found = await reader.at(moment)
        for shard in range(4):
            positions = [pos for (at_shard, pos), at in received.items() if at_shard == shard and at >= moment]
            last = max(pos for at_shard, pos in received if at_shard == shard)
            assert found[shard][1] == (min(positions) - 1 if positions else last), (shard, moment)


async def test_a_place_in_time_is_found_by_the_key_of_one_day_and_not_by_reading_it(journal, database):
    for _ in range(4):
        await journal.say_all(SUBJECTS * 40)
    days = "insert into event select day - n, shard, pos, gen_random_uuid(), part, kind, type, subject, subject_seq, account, site, run,"
    rest = " occurred_at, received_at - n * interval '1 day', public, sealed_sha256, chain from event, generate_series(1, 5) n where n <= 5"
    async with database.acquire() as connection:
        await connection.execute("select make_days((now() at time zone 'UTC')::date - 6, 6)")
        await connection.execute(days + rest)
        await connection.execute("update event set received_at = day + pos * interval '1 minute'")
        await connection.execute("vacuum analyze event")
        await connection.execute("set plan_cache_mode = force_generic_plan")
        await connection.execute(f"prepare place (date, timestamptz, timestamptz) as {query('event.place_at')}")
        plan = await connection.fetch(
            "explain (analyze, buffers off, timing off, summary off) execute place"
            " ((now() at time zone 'UTC')::date - 2, (now() at time zone 'UTC')::date - 2 + interval '8 hours',"
            " (now() at time zone 'UTC')::date - 2 + interval '7 hours 50 minutes')"
        )
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan on event" not in text, text
    removed = [int(number) for number in re.findall(r"Rows Removed by Filter: (\d+)", text)]
    assert sum(removed) < 60, text  # the ten minutes of slack, in four shards


async def test_a_wait_looks_at_a_bounded_number_of_rows_in_all(feed, journal, tools, monkeypatch):
    monkeypatch.setattr(feeds, "MOST_SCANNED", 30)

    async def check() -> View:
        return View(tools.account)

    job = asyncio.create_task(feed.poll(await feed.resolve(""), check, types=ALL, limit=10, wait_s=60))
    for _ in range(4):
        await journal.say_all(SUBJECTS, account="acct-other")
        await asyncio.sleep(0)
    page = await asyncio.wait_for(job, 20)
    assert page.items == []
