"""V15, V17, V20: every table and every query has a purpose, learned times are of no carrier, and the report counts what is over."""

import re
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import sql
from fieldsvc.journal import register, retention
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store.database import Database
from fieldsvc.web.reference.register_words import FRENCH, OF_CARRIERS, in_words
from sql import catalogue

CARRIER = re.compile(r"(^|_)(carrier|carriers|device|employee)(_|$)")
DURATION = re.compile(r"(^|_)(s|min|minutes|seconds|duration|took|waited|gap)$")
PARTITION = re.compile(r"_(\d{4,8}|\d{4}q\d|other|default)$")


async def columns(database: Database) -> dict[str, set[str]]:
    """Map each table of the schema, partitions aside, to its columns."""
    async with database.acquire() as connection:
        rows = await connection.fetch(
            "select table_name, column_name from information_schema.columns where table_schema = 'public'"
        )
    found: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if not PARTITION.search(row["table_name"]):
            found[row["table_name"]].add(row["column_name"])
    return found


async def test_every_table_has_a_purpose_or_is_said_to_be_about_nobody(database: Database) -> None:
    known, found = register.tables(), await columns(database)
    assert sorted(found.keys() - known.keys()) == [], (
        "name their purpose in fieldsvc/journal/register.py or retention.py"
    )
    assert sorted(known.keys() - found.keys()) == []
    impersonal = {table for table, names in known.items() if names & set(register.IMPERSONAL)}
    named = {table for table in impersonal if any(CARRIER.search(name) for name in found[table])}
    assert named == set(), "a table that names carriers is about somebody"


def test_every_query_has_a_purpose_of_the_register() -> None:
    names = {each.name for each in register.register()} | set(register.IMPERSONAL)
    assert {entry.name: entry.purpose for entry in catalogue().values() if entry.purpose not in names} == {}
    assert sum(register.queries().values()) == len(catalogue()) > 300


def test_a_file_of_queries_without_a_purpose_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    (tmp_path / "queries").mkdir()
    (tmp_path / "queries" / "run.sql").write_text("-- name: all\n-- Read all.\nselect id from run;\n")
    monkeypatch.setattr(sql, "files", lambda _name: tmp_path)
    with pytest.raises(ValueError, match=r"run\.sql: its first line names a purpose"):
        sql.catalogue.__wrapped__()


def test_no_statement_is_written_outside_the_files_that_declare_a_purpose() -> None:
    """Statements in code are those of connections and of tests of being there; data are read by named queries alone."""
    written = re.compile(r"""["'](select|insert into|update|delete from|with) [a-z_ ,.*()]*""")
    folder = Path(register.__file__).parents[1]
    tables = re.compile(
        r"\b(?:from|into|update|join) (" + "|".join(sorted(register.tables().keys() - {"migration"})) + r")\b"
    )
    found = [
        f"{path.relative_to(folder)}:{number}"
        for path in sorted(folder.rglob("*.py"))
        if "bench" not in path.parts and "simulate" not in path.parts
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if written.search(line) and tables.search(line)
    ]
    assert found == []


async def test_no_table_holds_a_carrier_beside_a_duration(database: Database) -> None:
    found = await columns(database)
    both = [
        table
        for table, names in found.items()
        if any(CARRIER.search(name) for name in names) and any(DURATION.search(name) for name in names)
    ]
    assert both == []
    learned = ("learned_time", "silent_stretch", "delivery_point_memory", "report_cell", "report_subject")
    assert [table for table in learned if any(CARRIER.search(name) or name == "run" for name in found[table])] == []
    proposals = next(kept for each in retention.purposes() for kept in each.tables if kept.table == "cover_proposal")
    assert (proposals.days, proposals.how) == (1, retention.How.ROWS), (
        "planned minutes of who stands in are gone in 48 h"
    )


async def test_the_report_counts_what_is_over_its_limit_and_nothing_is_after_retention(database: Database) -> None:
    now = datetime.now(UTC)
    old = [now.date() - timedelta(days=days) for days in (2, 380, 500)]
    async with database.acquire() as connection:
        await make_partitions(connection, now)
        await connection.execute("insert into site values ('pantin', now())")
        for day in old:
            await connection.execute(
                "insert into run (id, day, round_id, site, carrier) values ($1, $2, 'T07', 'pantin', 'Camille')",
                f"run-{day}-T07", day,
            )  # fmt: skip
            await connection.execute("insert into roster (day, round_id, carrier) values ($1, 'T07', 'Camille')", day)
        before = await register.report(connection, now)
        assert [_over(before, table) for table in ("run", "roster")] == [1, 1]
        assert _row(before, "run")["oldest"].startswith(old[-1].isoformat())
        assert before["over_limit"] == 2
        await retention.apply(connection, now)
        after = await register.report(connection, now)
    assert after["over_limit"] == 0
    assert _row(after, "run")["oldest"].startswith(old[1].isoformat())
    assert "0 rows are over their limit." in register.in_words(after)


async def test_the_report_names_for_each_purpose_why_what_for_whom_and_how_long(database: Database) -> None:
    async with database.acquire() as connection:
        found = await register.report(connection, datetime.now(UTC))
    for purpose in found["purposes"]:
        assert purpose["basis"]
        assert purpose["recipients"]
        assert purpose["tables"], purpose["purpose"]
        for row in purpose["tables"]:
            assert row["fields"], row
            assert row["limit"], row
    told = {(purpose["purpose"], row["table"]) for purpose in found["purposes"] for row in purpose["tables"]}
    assert told == {(each.name, kept.table) for each in register.register() for kept in each.tables}


def test_the_register_is_there_in_french_and_in_english() -> None:
    names = {each.name for each in register.register()}
    assert names == FRENCH.keys()
    assert names >= OF_CARRIERS
    for french, english in zip(in_words("fr"), in_words("en"), strict=True):
        assert french.limits
        assert [table for table, _ in french.limits] == [table for table, _ in english.limits]


def _row(report: Any, table: str) -> Any:
    return next(row for each in report["purposes"] for row in each["tables"] if row["table"] == table)


def _over(report: Any, table: str) -> int:
    return int(_row(report, table)["over"])
