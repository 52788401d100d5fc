"""Windows of late runs: told once before they are missed, taken back when the run recovers; and pouches left with a carrier."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson

from fieldsvc.store import window_threat as store
from fieldsvc.store.database import Database
from fieldsvc.store.window_threat import Windowed
from fieldsvc.tracking.windows import judged

NOON = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DAY = date(2026, 11, 21)
RUN = "run-2026-11-21-T07"


def at(minute: float) -> datetime:
    return NOON + timedelta(minutes=minute)


def task(name: str, until: float, *, threatened: bool = False) -> Windowed:
    return Windowed(name, at(until), f"st-{name}", threatened)


def test_a_window_is_missed_when_the_late_forecast_is_and_recovers_only_with_some_minutes_to_spare() -> None:
    tasks = [
        task("a", 60), task("b", 60), task("c", 60, threatened=True), task("d", 60, threatened=True),
        task("e", 60, threatened=True), task("f", 60),
    ]  # fmt: skip
    late_at = {"st-a": at(61), "st-b": at(60), "st-c": at(59), "st-d": at(57), "st-e": at(70)}
    assert judged(tasks, late_at) == (["a"], ["d"])


async def prepared(database: Database, *, risk: str | None = None) -> None:
    async with database.acquire() as connection:
        await connection.execute("insert into site values ('pantin', now())")
        await connection.execute(
            "insert into round (id, site, mode, line, source, digest, changed_at) "
            "values ('T07', 'pantin', 'foot', '{}', 'file', ''::bytea, now())"
        )
        await connection.execute(
            "insert into run (id, day, round_id, site, state, state_at, risk, changed_at) "
            "values ($1, $2, 'T07', 'pantin', 'started', $3, $4, now())",
            *(RUN, DAY, at(-60), risk),
        )
        await connection.execute(
            "insert into task (id, service, subject, day, round_id, window_from, window_until, requirements, sealed, event) "
            "values ('tsk_1', 'medication', 'pouch/P-1', $1, 'T07', $2, $3, '{}', ''::bytea, gen_random_uuid())",
            *(DAY, at(0), at(60)),
        )


async def timers(database: Database) -> list[tuple[Any, ...]]:
    """Take what was set, as if it had fired."""
    async with database.acquire() as connection:
        rows = await connection.fetch("delete from timer returning handler, kind, subject, payload")
    return [(*row[:3], orjson.loads(row["payload"])["reason"]) for row in rows]


async def test_a_threat_is_told_once_however_often_it_is_seen_and_taken_back_once(database: Database) -> None:
    await prepared(database)
    assert await store.runs(database, DAY, since=NOON, until=at(120)) == [RUN]
    for _ in range(2):
        await store.threaten(database, RUN, ["tsk_1"], at=NOON)
    assert await timers(database) == [("medication", "threatened", "pouch/P-1", "delay")]
    await store.threaten(database, RUN, ["tsk_1"], at=at(1))
    assert await timers(database) == []
    for _ in range(2):
        await store.relieve(database, RUN, ["tsk_1"], at=at(5))
    assert await timers(database) == [("medication", "relieved", "pouch/P-1", "delay")]


async def test_a_run_that_is_in_danger_for_another_reason_is_not_relieved(database: Database) -> None:
    await prepared(database, risk="uncovered")
    await store.threaten(database, RUN, ["tsk_1"], at=NOON)
    await timers(database)
    await store.relieve(database, RUN, ["tsk_1"], at=at(5))
    assert await timers(database) == []


async def test_a_pouch_that_a_carrier_still_has_after_the_run_is_told_until_it_alerted(database: Database) -> None:
    await prepared(database)
    async with database.acquire() as connection:
        await connection.execute("update run set state = 'ended', state_at = $1", at(0))
        await connection.execute("insert into run_thing values ($1, 'pouch/P-1', 'carrier', now())", RUN)
    await store.strand(database, DAY, ended_before=at(-1), at=at(14))
    assert await timers(database) == []
    for _ in range(2):
        await store.strand(database, DAY, ended_before=at(1), at=at(16))
    assert await timers(database) == [("medication", "stranded", "pouch/P-1", "still_with_carrier")]
    async with database.acquire() as connection:
        await connection.execute(
            "insert into alert (id, type, level, service, subject, discreet, event, raised_at, changed_at) values "
            "('al_1', 'medication.stranded', 'urgent', 'medication', 'pouch/P-1', true, gen_random_uuid(), now(), now())"
        )
    await store.strand(database, DAY, ended_before=at(1), at=at(17))
    assert await timers(database) == []
