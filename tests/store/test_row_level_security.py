"""The second wall: what outsiders read is theirs, also where a query forgets to ask for it."""

import asyncio
import contextlib
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import asyncpg
import pytest

from fieldsvc.store import task as tasks
from fieldsvc.store.database import Database, open_database
from fieldsvc.store.viewer import NOBODY, Viewer
from handlers import sandbox
from tests.sizes import sized
from tests.store.readers import EVENTS, READS, SIDES, TODAY, VIEWERS, Read, fill

READERS = ("fieldsvc_reader", "fieldsvc_subscriber")
CASES = [pytest.param(read, kind, id=f"{read.name} as {kind}") for read in READS for kind in read.viewers]


@pytest.fixture
async def world(database: Database) -> Database:
    """A database with two of everything."""
    async with database.acquire() as connection:
        await fill(connection)
    return database


async def seen(database: Database, viewer: Viewer, text: str, args: list[object]) -> list[str]:
    async with database.reading(viewer) as connection:
        return [repr(row) for row in await connection.fetch(text, *args)]


async def owned(database: Database, text: str, args: list[object]) -> list[str]:
    async with database.acquire() as connection:
        return [repr(row) for row in await connection.fetch(text, *args)]


async def test_without_its_condition_no_query_shows_a_foreign_row(world: Database) -> None:
    for read in READS:
        for kind in read.viewers:
            for side, other in (SIDES, SIDES[::-1]):
                about = f"{read.name} as {kind} of the {side}"
                args, viewer = list(read.args(side)), VIEWERS[kind](side)
                before = await seen(world, viewer, read.text, args)
                rows = await seen(world, viewer, read.mutant(side), args)
                assert before, f"{about} does not see what is its own"
                assert rows == before, f"{about} sees more without the condition"
                assert not any(other in row for row in rows), about
                assert len(await owned(world, read.mutant(side), args)) > len(rows), f"{about}: nothing was taken away"


async def test_who_is_nobody_sees_nothing(world: Database) -> None:
    for read in READS:
        for kind in read.viewers:
            role = VIEWERS[kind]("north").role
            for viewer in (Viewer(role), Viewer(role, "", "", "", ""), *([] if role == "subscriber" else [NOBODY])):
                for text in (read.text, read.mutant("north")):
                    assert await seen(world, viewer, text, list(read.args("north"))) == [], (viewer, read.name)
    for role in READERS:
        async with world.acquire() as connection, connection.transaction():
            await connection.execute(f"set local role {role}")
            for table in await connection.fetch(_READABLE, role):
                assert await connection.fetchval(f"select count(*) from {table[0]}") == 0, (role, table)


_READABLE = (
    "select oid::regclass::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') \
and has_any_column_privilege($1, oid, 'select')"
)


async def plan(connection: asyncpg.Connection, read: Read, side: str) -> list[str]:
    await connection.execute("set local enable_seqscan = off")
    return [row[0].strip() for row in await connection.fetch(f"explain (costs off) {read.text}", *read.args(side))]


async def test_plans_still_use_the_indexes(world: Database) -> None:
    for read in READS:
        for kind in read.viewers:
            async with world.acquire() as connection, connection.transaction():
                before = await plan(connection, read, "north")
            async with world.reading(VIEWERS[kind]("north")) as connection:
                after = await plan(connection, read, "north")
            assert tables(before, "Index") <= tables(after, "Index"), (read.name, kind, after)
            assert tables(after, "Seq") <= tables(before, "Seq") | {"alarm"}, (read.name, kind, after)  # which are few


def tables(plan: list[str], how: str) -> set[str]:
    return set(re.findall(rf"{how}(?: Only)? Scan.* on (\S+)", "\n".join(plan)))


@dataclass
class Crowd:
    """Reads of random viewers over a narrow pool: some fail, are given up, or run out of time, beside the service's own."""

    narrow: Database
    rng: random.Random = field(default_factory=lambda: random.Random(6))
    ended: Counter[str] = field(default_factory=Counter)
    gate: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(32))
    text: str = READS[0].mutant("north")

    async def one(self, number: int) -> None:
        async with self.gate:
            if number % 10 == 0:
                await self._own()
                return
            fate = ("refused", "cancelled", "late")[number // 40 % 3] if number % 40 == 1 else "read"
            with contextlib.nullcontext() if fate == "read" else pytest.raises(_FATES[fate]):
                async with asyncio.timeout(self.rng.uniform(0, 0.03) if fate == "cancelled" else None):
                    await self._read(fate)
            self.ended[fate] += 1

    async def _own(self) -> None:
        async with self.narrow.acquire() as connection:
            assert await connection.fetchrow(_WHO) == (True, None, None, None), "a viewer outlived the transaction"
            assert len(await connection.fetch(self.text, "")) == 4
        self.ended["own"] += 1

    async def _read(self, fate: str) -> None:
        kind, side = self.rng.choice(("subscriber", "supervisor", "nobody")), self.rng.choice(SIDES)
        own = {"subscriber": [f"task-own-{side}"], "supervisor": [f"task-office-{side}"]}.get(kind, [])
        async with self.narrow.reading(VIEWERS[kind](side) if own else NOBODY) as connection:
            assert [row["id"] for row in await connection.fetch(self.text, "")] == own
            if fate == "refused":
                await connection.execute("update task set state = 'done'")
            elif fate != "read":
                await connection.execute(f"set local statement_timeout = {2 if fate == 'late' else 0}")
                await connection.execute("select pg_sleep(1)")


_FATES = {
    "refused": asyncpg.ReadOnlySQLTransactionError,
    "cancelled": TimeoutError,
    "late": asyncpg.QueryCanceledError,
}


async def test_interleaved_reads_over_four_connections_leak_nothing(
    world: Database, note: Callable[[str], None]
) -> None:
    """The long form is ten thousand of them."""
    reads = sized(3_000, 10_000)
    crowd, began = Crowd(await open_database(world.url, size=4)), time.perf_counter()
    try:
        async with asyncio.TaskGroup() as group:
            for number in range(reads):
                group.create_task(crowd.one(number))
        async with crowd.narrow.acquire() as connection:
            assert await connection.fetchval(_IDLE) == 0
    finally:
        await crowd.narrow.close()
    assert set(crowd.ended) == {"own", "read", *_FATES}
    ways, took_s = (
        ", ".join(f"{each} {count:,}" for each, count in sorted(crowd.ended.items())),
        time.perf_counter() - began,
    )
    note(f"readers: {reads:,} interleaved reads over 4 connections, 0 leaks, in {took_s:.1f} s ({ways})")


_IDLE = """select count(*) from pg_stat_activity
where datname = current_database() and state like 'idle in transaction%'"""
_WHO = """select session_user = current_user, nullif(current_setting('app.role', true), ''),
nullif(current_setting('app.account', true), ''), nullif(current_setting('app.site', true), '')"""


async def test_a_value_is_never_anything_but_a_value(world: Database) -> None:
    for odd in ("'; reset role; select '", "\\", "é'\"\u20ac", "\x41", "\n", "*' or true --"):
        async with world.reading(Viewer("supervisor", odd, odd, odd, odd)) as connection:
            row = await connection.fetchrow(
                "select current_user, viewer('account'), viewer('site'), viewer('reference')"
            )
            assert row == ("fieldsvc_reader", odd, odd, odd)
            assert await connection.fetchval("select count(*) from task") == 0


async def test_a_reader_cannot_write_nor_read_what_is_closed(world: Database) -> None:
    for kind, role in (("supervisor", "fieldsvc_reader"), ("subscriber", "fieldsvc_subscriber")):
        for statement in (
            "select token_sha256 from device",
            "select wrapped from person_key",
            "select line from round",
            f"select * from event_{TODAY:%Y%m%d}",
            "select site_of_point('x') from state",
        ):
            async with world.reading(VIEWERS[kind]("north")) as connection:
                assert await connection.fetchval("select current_user") == role
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(statement)
        async with world.reading(VIEWERS[kind]("north")) as connection:
            with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
                await connection.execute("delete from task")


async def test_the_scope_operator_sees_the_events_of_all_but_not_of_sandboxes(world: Database) -> None:
    async with world.acquire() as connection:
        await connection.execute("update event set site = $1 where id = $2", sandbox.SITE, EVENTS["south"])
    text = "select id from event where kind = 'public' order by id"
    both, one = list(EVENTS.values()), [EVENTS["north"]]
    for viewer, seen_by in (
        (Viewer("subscriber", "acc-south", "*"), both),
        (Viewer("subscriber", "acc-x", "*"), one),
        (Viewer("subscriber", "acc-x"), []),
    ):
        async with world.reading(viewer) as connection:
            assert [row["id"] for row in await connection.fetch(text)] == seen_by


async def test_what_the_second_wall_costs(world: Database, note: Callable[[str], None]) -> None:
    """The same task 400 times with and without, in turn."""
    seen_by, took = world.seen_by(VIEWERS["subscriber"]("north")), ([], [])
    for number in range(800):
        began = time.perf_counter()
        found = await tasks.read(seen_by if number % 2 else world, "task-own-north")
        took[number % 2].append(time.perf_counter() - began)
        assert found is not None
    without, with_wall = (statistics.median(each) * 1000 for each in took)
    note(f"readers: a task read {without:.2f} ms, behind the wall {with_wall:.2f} ms ({with_wall / without:.1f} x)")
    assert with_wall < 20
