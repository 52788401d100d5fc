"""The store of the simulation does what PostgreSQL does: the same random statements, in two sessions, say and leave the same."""

import asyncio
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from fieldsvc.journal.rows import EVENT_COLUMNS
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store.database import Database, connect
from sql import query
from tests.simulation import journal_statements, publishing_statements  # noqa: F401 - the store learns its queries
from tests.simulation.loop import START, Schedule
from tests.simulation.store import Connection, Faults, Store

DAY = date(2026, 11, 21)
NAMES, STEPS = ("a", "b", "c"), 160
OWNERS = (UUID(int=1), UUID(int=2))


def statements(random: Random) -> list[tuple[str, tuple[Any, ...]]]:
    """Make random statements of the journal and of publishing."""
    made: list[tuple[str, tuple[Any, ...]]] = []
    position = 0
    some_id = lambda: UUID(int=random.randrange(12))  # noqa: E731
    moment = lambda: START + timedelta(seconds=random.randrange(50))  # noqa: E731
    place = lambda: (DAY, random.randrange(6))  # noqa: E731
    for _ in range(STEPS):
        name, subject, position = random.choice(NAMES), random.choice(NAMES), position + 1
        ids = sorted({some_id() for _ in range(3)})
        day, pos = place()
        made.append(random.choice((
            ("event_id.remember", (ids, [DAY] * len(ids), [0] * len(ids), [position] * len(ids), [None] * len(ids), [b"h"] * len(ids), [START] * len(ids))),
            ("event_id.known", (ids,)), ("event_id.forget", (ids[:1],)),
            ("state.save", ([name], [subject], [None], [None], [None], [b"body%d" % position], [position])),
            ("state.load", ([name, "x"], [subject, "y"])),
            ("subject_head.save", ([subject], [position], [None], [name], DAY)), ("subject_head.load", ([subject, "z"],)),
            ("timer.set", ([UUID(int=100 + position)], [moment()], [name], ["ring"], [subject], [""], ['{"n": 1}'])),
            ("timer.drop", ([name], ["ring"], [subject])), ("timer.still_set", ([UUID(int=100 + n) for n in range(position)],)),
            ("timer.empty", ([UUID(int=100 + position - 2)],)), ("timer.due", (START + timedelta(seconds=30), 100, random.choice(([], ["ring"])))),
            ("parked.save", (["ep-1"], [subject], [0], [day], [pos], [1], [moment()], ["why"], [START])),
            ("parked.free", (["ep-1"], [subject])), ("parked.read", ("ep-1",)),
            ("lane_backlog.add", (["ep-1"], [subject], [day], [pos], [0])), ("lane_backlog.trim", (["ep-1"], [subject], [day], [pos])),
            ("lane_backlog.next", ("ep-1", subject, DAY, 1, 3)), ("parked.head", (DAY, 0, pos)),
            ("cursor.move", (["ep-1"], [random.choice((0, 1))], [0], [day], [pos])), ("cursor.read", ("ep-1",)),
            ("lane.claim", (random.choice(OWNERS), 0.0, 5)), ("lane.renew", (random.choice(OWNERS), ["ep-1"], [1], 0.0)),
            ("lane.release", (random.choice(OWNERS), ["ep-1"], [1], 0.0)), ("lane.hold", (random.choice(OWNERS), ["ep-1"], [1])),
            ("event.ends", ()), ("event.public_after", (0, DAY, pos, 3)), ("event.last_of_shard", (0,)),
        )))  # fmt: skip
    return made


def row(pos: int) -> tuple[Any, ...]:
    """Make a row of the journal."""
    kind = "public" if pos % 2 else "field"
    return (DAY, 0, pos, UUID(int=pos), 0, kind, "x.y", "a", pos, None, None, None, START, START, b"{}", [], b"c")


def plain(rows: Any) -> list[tuple[Any, ...]]:
    """Make what both drivers give comparable; order counts only where the statement says so."""
    return [tuple(bytes(each) if isinstance(each, memoryview) else each for each in one) for one in rows]


@pytest.fixture
async def real(database: Database, database_url: str) -> Any:
    connection = await connect(database_url)
    now = datetime.now(UTC)
    await make_partitions(connection, START)
    await connection.execute(
        "insert into account (id, kind, name, scopes, created_at) values ('acct', 'subscriber', 'acct', '{}', now())"
    )
    await connection.execute(
        "insert into endpoint (id, account, url, types, thin, created_at) values ('ep-1', 'acct', 'https://x.example/', '{}', false, $1)",
        now,
    )
    await connection.execute("insert into lane (endpoint, leased_until) values ('ep-1', now())")
    await connection.execute(
        "insert into cursor (endpoint, shard, day, pos) select 'ep-1', n, '2000-01-01', 0 from generate_series(0, 3) n"
    )
    yield connection
    await connection.close()


def made_up(schedule: Schedule) -> Store:
    store = Store(schedule, Faults())
    store.tables["endpoint"][("ep-1",)] = {"id": "ep-1", "state": "active", "version": 1}
    store.tables["lane"][("ep-1",)] = {
        "endpoint": "ep-1", "epoch": 0, "owner": None, "leased_until": schedule.now(), "opened_at": None, "probe_at": None,
        "step": 0, "held_until": None, "failing_since": None, "last_failed_at": None, "warned": 0,
    }  # fmt: skip
    for shard in range(4):
        store.tables["cursor"][("ep-1", shard)] = {
            "endpoint": "ep-1",
            "shard": shard,
            "day": date(2000, 1, 1),
            "pos": 0,
        }
    return store


async def replayed(connection: Any, random: Random, *, copied: list[int]) -> list[Any]:
    """Run random statements in transactions, some of which are rolled back or fail; give what each said."""
    said: list[Any] = []
    steps = iter(statements(random))
    for number in range(STEPS // 4):
        await connection.execute("begin")
        try:
            if random.random() < 0.4:
                copied.append(copied[-1] + random.choice((0, 1, 1)))
                await connection.copy_records_to_table("event", records=[row(copied[-1])], columns=EVENT_COLUMNS)
            for _ in range(4):
                name, args = next(steps)
                found = plain(await connection.fetch(query(name), *args))
                ordered = name in ("event.public_after", "lane_backlog.next", "cursor.read")
                said.append((number, name, found if ordered else sorted(found, key=repr)))
        except asyncpg.UniqueViolationError as fault:
            said.append((number, "duplicate", fault.table_name and fault.table_name.split("_")[0]))
        commit = random.random() < 0.7
        await connection.execute("commit" if commit else "rollback")
        said.append((number, commit))
    return said


@pytest.mark.parametrize("seed", range(6))
async def test_the_same_statements_say_the_same_here_and_on_postgresql(real: Any, seed: int) -> None:
    schedule = Schedule(seed)
    store, told = made_up(schedule), []

    async def pretend() -> None:
        told.extend(await replayed(Connection(store, None), Random(seed), copied=[1]))

    await asyncio.to_thread(schedule.run, pretend())
    said = await replayed(real, Random(seed), copied=[1])
    assert len(said) == len(told)
    for here, there in zip(told, said, strict=True):
        assert here == there
