"""Retention under a clock of the test's own: fourteen months of data, and which days of it are left, exactly."""

import os
from collections import Counter
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from fieldsvc.errors import UserMistake
from fieldsvc.journal import holds, retention
from fieldsvc.journal.retention import HEALTH_SERVICES, How, ages, apply, purposes
from fieldsvc.store.database import Database, connect, open_database
from handlers.registry import Registry, has_health
from tests import databases

TODAY, FIRST = date(2028, 2, 15), date(2026, 12, 15)
EVENT_DAYS = int(os.environ.get("FIELDSVC_TEST_EVENT_DAYS", "100"))  # a table each; 428 are all of them
FILL = """
insert into event (day, shard, pos, id, part, kind, type, subject, occurred_at, received_at, public, sealed_sha256, chain)
select day, 0, n, gen_random_uuid(), 0, 'field', 't', 's', day, day, '{}', '{}', '\\x' from days, generate_series(1, 2) as n
where exists (select from pg_class where relname = 'event_' || to_char(day, 'YYYYMMDD'));
insert into sealed (purpose, month, event_id, part, person, key_id, nonce, ciphertext)
select purpose, case when purpose = 'personal' then date_trunc('month', day)::date else day::date end, gen_random_uuid(), 0, 'p',
  gen_random_uuid(), '\\x', '\\x' from days, unnest(array['personal', 'health', 'secret']) as purpose;
insert into receipt (device, no, at, previous, body, signature) select 'd', row_number() over (), day, '\\x', '\\x', '\\x' from days;
insert into kept_proof (subject, copy, handed_over_at, sealed) select 'item/' || day, 'operator', day, '\\x' from days;
insert into subject_head (subject, seq, touched_on) select service || '/' || day, 0, day from days, services;
insert into state (handler, subject, body, version) select service, service || '/' || day, '\\x', 1 from days, services;
insert into task (id, service, subject, day, requirements, sealed, event)
select service || day, service, service || '/' || day, day, '{}', '\\x', gen_random_uuid() from days, services;
"""


@pytest.fixture(scope="module")
def aged_url(postgres_url: str) -> Any:
    """A database with fourteen months of data; its shape differs from the template's, so it is dropped at the end."""
    url = databases.new_database(postgres_url)
    yield url
    databases.drop_database(postgres_url, url)


@pytest.fixture
async def aged(aged_url: str) -> AsyncIterator[Database]:
    opened = await open_database(aged_url, size=3)
    yield opened
    await opened.close()


async def fill(connection: asyncpg.Connection) -> None:
    await connection.fetchval("select make_days($1, $2)", FIRST, EVENT_DAYS)
    await connection.fetchval("select make_months($1, 16)", FIRST)
    await connection.execute(
        f"create temporary view days as select day from generate_series('{FIRST}'::date, '{TODAY}', interval '1 day') as day"
    )
    await connection.execute("create temporary view services as select unnest(array['home_visit', 'item']) as service")
    await connection.execute(FILL)


async def by_day(connection: asyncpg.Connection, table: str, day: str) -> Counter[date]:
    rows = await connection.fetch(f"select ({day})::date as day, count(*) as count from {table} group by 1")
    return Counter({row["day"]: row["count"] for row in rows})


def each_day(first: date, *, count: int = 1) -> Counter[date]:
    first = max(first, FIRST)
    return Counter({first + timedelta(days=n): count for n in range((TODAY - first).days + 1)})


def noon(day: date) -> datetime:
    return datetime.combine(day, time(12), UTC)


async def test_after_fourteen_months_exactly_the_days_within_each_limit_are_left(
    aged: Database, note: Callable[[str], None]
) -> None:
    async with aged.acquire() as connection:
        await fill(connection)
        over = {(age.purpose, age.table) for age in await ages(connection, noon(TODAY)) if age.over}
        assert {("journal", "event"), ("orders", "sealed_personal"), ("visits and medicines", "sealed_health")} <= over
        for today in (TODAY, TODAY + timedelta(days=1), date(2028, 3, 1)):
            began = datetime.now(UTC)
            gone = await apply(connection, noon(today))
            took_s = (datetime.now(UTC) - began).total_seconds()
            month = date(2027, 3, 1) if today.month == 3 else date(2027, 2, 1)
            ninety, year = today - timedelta(days=90), today - timedelta(days=365)
            events = {day: 2 for day in each_day(month) if day < FIRST + timedelta(days=EVENT_DAYS)}
            assert await by_day(connection, "event", "day") == events
            assert await by_day(connection, "receipt", "at") == each_day(month)
            months = await by_day(connection, "sealed_personal", "month")
            assert sum(months.values()) == each_day(month).total()
            assert min(months) == month
            assert await by_day(connection, "sealed_health", "month") == each_day(ninety)
            assert await by_day(connection, "sealed_secret", "month") == each_day(ninety)
            assert await by_day(connection, "kept_proof", "handed_over_at") == each_day(year)
            for table, day in (("state", "split_part(subject, '/', 2)"), ("task", "day")):
                which = "handler" if table == "state" else "service"
                assert await by_day(connection, f"{table} where {which} = 'home_visit'", day) == each_day(ninety)
                assert await by_day(connection, f"{table} where {which} = 'item'", day) == each_day(month)
            assert [age for age in await ages(connection, noon(today)) if age.over] == []
            note(f"retention: {sum(gone.values())} partitions and rows let go of in {took_s:.2f} s")
        partitions = await connection.fetchval(
            "select count(*) from pg_inherits where inhparent = 'event'::regclass and inhrelid::regclass::text < 'event_20270301'"
        )
        assert partitions == 0


async def test_a_purpose_under_a_legal_hold_stands_still_until_it_is_ended(aged: Database) -> None:
    old = datetime(2020, 1, 1, tzinfo=UTC)
    async with aged.acquire() as connection:
        await connection.execute(
            "insert into kept_proof (subject, copy, handed_over_at, sealed) values ('item/1', 'sender', $1, '')", old
        )
        held = await holds.put(
            aged, uuid4(), purpose="proofs of registered mail", person=None, reference="TJ Bobigny 26/1"
        )
        assert "kept_proof" not in await apply(connection, noon(TODAY))
        await holds.end(aged, held)
        with pytest.raises(UserMistake):
            await holds.end(aged, held)
        assert await apply(connection, noon(TODAY)) == {"kept_proof": 1}
    for mistake in (
        {"purpose": None, "person": None},
        {"purpose": "journal", "person": "item/1"},
        {"purpose": "no such", "person": None},
        {"purpose": "rounds", "person": None},
    ):
        with pytest.raises(UserMistake):
            await holds.put(aged, uuid4(), reference="x", **mistake)
    with pytest.raises(UserMistake, match="file"):
        await holds.put(aged, uuid4(), purpose="journal", person=None, reference=None)


async def test_an_endpoint_that_has_not_read_what_leaves_within_a_week_is_named(aged: Database) -> None:
    today = date(2028, 2, 23)  # on the first of March a whole month leaves: to its last day
    oldest = retention.first_day_kept(today)
    assert retention.first_day_kept(today + timedelta(days=7)) > oldest + timedelta(days=1)
    behind = oldest - timedelta(days=1)
    async with aged.acquire() as connection:
        await connection.fetchval("select make_days($1, 4)", behind)
        await connection.execute(
            "insert into event (day, shard, pos, id, part, kind, type, subject, occurred_at, received_at, public, sealed_sha256, chain)"
            " values ($1, 1, 5, gen_random_uuid(), 0, 'public', 't', 's', now(), now(), '{}', '{}', '')",
            oldest + timedelta(days=1),
        )
        for name, pos in (("ep_late", 4), ("ep_through", 5)):
            await connection.execute(
                "insert into endpoint (id, account, url, types, created_at) values ($1, 'a', 'u', '{}', now())", name
            )
            day = oldest + timedelta(days=1) if name == "ep_through" else behind
            await connection.execute(
                "insert into cursor (endpoint, shard, day, pos) values ($1, 1, $2, $3)", name, day, pos
            )
        with capture_logs() as said:
            await apply(connection, noon(today))
    warned = [(each["endpoint"], each["day"]) for each in said if each["event"] == "retention.near_cursor"]
    assert warned == [("ep_late", behind.isoformat())]


async def test_a_reader_that_holds_a_table_is_not_waited_for_and_the_next_run_drops_its_days(
    aged: Database, aged_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "LOCK_TIMEOUT", "50ms")
    reader = await connect(aged_url)
    async with aged.acquire() as connection:
        await connection.fetchval("select make_days($1, 1)", FIRST - timedelta(days=60))
        await reader.execute("begin")
        await reader.fetch("select count(*) from event")
        with capture_logs() as said:
            assert "event" not in await apply(connection, noon(TODAY))
        assert ("retention.waits", "event") in {(each["event"], each.get("table")) for each in said}
        await reader.execute("rollback")
        await reader.close()
        assert (await apply(connection, noon(FIRST + timedelta(days=500))))["event"] >= 1


async def test_every_purpose_says_why_for_whom_and_how_long_and_its_tables_are_there(
    aged: Database, registry: Registry
) -> None:
    assert len({purpose.name for purpose in purposes()}) == len(purposes())
    for purpose in purposes():
        assert purpose.basis
        assert purpose.recipients
        for kept in purpose.tables:
            assert kept.fields
            assert (kept.days > 0) != (kept.months > 0)
            assert kept.how in How
    async with aged.acquire() as connection:
        found = await ages(connection, noon(TODAY))
    assert len(found) == sum(len(purpose.tables) for purpose in purposes())
    assert {name for name, handler in registry.handlers.items() if has_health(handler)} == set(HEALTH_SERVICES)


async def test_a_table_too_large_to_be_looked_through_in_a_requests_time_is_looked_through_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    slowly = retention.Kept("shard", (), "case when pg_sleep(0.4) is not null then now() end", days=1)
    monkeypatch.setattr(retention, "purposes", lambda: (retention.Purpose("slow", "", (), (slowly,)),))
    async with database.acquire() as connection:
        await connection.execute("set statement_timeout = '250ms'")
        assert await apply(connection, datetime.now(UTC)) == {}
        assert await connection.fetchval("show statement_timeout") == "250ms"
