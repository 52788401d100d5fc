import subprocess
import sys

import asyncpg
import pytest

from fieldsvc.store.database import Database
from sql import catalogue, migrations, query
from sql.check import problems


def test_every_file_keeps_the_form() -> None:
    assert problems() == []


async def test_every_query_is_valid_against_the_schema(database: Database) -> None:
    async with database.acquire() as connection:
        for entry in catalogue().values():
            if entry.text.startswith("create temporary table"):
                await connection.execute(entry.text.replace("on commit drop", ""))
        for name, entry in sorted(catalogue().items()):
            try:
                await connection.prepare(entry.text)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{name}: {error}")


async def test_the_journal_is_read_by_its_key_and_only_on_the_days_that_count(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        statement = query("event.public_after")
        await connection.execute(f"prepare tail (smallint, date, bigint, integer) as {statement}")
        plan = await connection.fetch("explain execute tail (1::smallint, (now() at time zone 'UTC')::date, 5, 1000)")
    text = "\n".join(row[0] for row in plan)
    assert "Subplans Removed" in text, text
    assert "Seq Scan" not in text, text
    walked = [line for line in text.splitlines() if "Filter" in line and "pos" in line]
    assert not walked, text  # the cursor's day is not read from its beginning


async def test_a_run_is_found_among_the_events_of_every_day_by_its_name(database: Database) -> None:
    async with database.acquire() as connection:
        await connection.execute("set plan_cache_mode = force_generic_plan")
        types = "text, date, date, timestamptz, uuid, smallint, integer"
        await connection.execute(f"prepare told ({types}) as {query('event.of_run')}")
        given = "'run-x', current_date - 1, current_date + 1, now(), gen_random_uuid(), 0::smallint, 101"
        plan = await connection.fetch(f"explain execute told ({given})")
    text = "\n".join(row[0] for row in plan)
    assert "Seq Scan" not in text, text
    assert "Index Cond: ((run = $1)" in text, text


def test_the_check_says_what_is_wrong_by_its_exit_status() -> None:
    done = subprocess.run([sys.executable, "-m", "sql.check"], capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (0, b"")


def test_migrations_are_numbered_and_titled() -> None:
    assert [step.number for step in migrations()] == list(range(1, len(migrations()) + 1))
    assert all(len(step.title) > 10 for step in migrations())


def test_an_unknown_query_is_an_error_at_once() -> None:
    with pytest.raises(KeyError):
        query("event.no_such_query")
