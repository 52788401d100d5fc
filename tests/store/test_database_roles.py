"""Who may do what in the database: the two roles of readers, and the login that makes them."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import uuid4

import asyncpg
import pytest

from fieldsvc.errors import UserMistake
from fieldsvc.store.database import Database, migrate, open_database
from fieldsvc.store.viewer import Viewer
from sql import migrations
from tests.databases import on

# Every table has a line: what the two readers may read of it ("" = nothing, "*" = every column), or it is closed to both.
READER = {
    "absence": "*",
    "access_case": "*",
    "account": "email id kind name",
    "address_report": "*",
    "alarm": "*",
    "alert": "*",
    "carrier_of_site": "*",
    "case_file": "*",
    "delivery_point": "address id round_id",
    "device": "carrier revoked_at site",
    "hazard": "*",
    "household": "*",
    "idea": "*",
    "report_cell": "*",
    "request": "*",
    "roster": "*",
    "round": "id mode name site version",
    "run": "*",
    "site": "id starts_at",
    "stop": "*",
    "subject_head": "*",
    "task": "*",
}
SUBSCRIBER = {
    "attempt": "*",
    "dead_letter": "*",
    "endpoint": "*",
    "event": "*",
    "lane": "*",
    "parked": "*",
    "replay": "*",
    "round": "id site",
    "run": "day id risk round_id",
    "subject_head": "*",
    "task": "*",
}
CLOSED = frozenset(
    """
    address api_key audit audit_end audit_head commune contact certificate cover_proposal cursor customer delivery_point_cursor delivery_point_memory desk
    dispatcher endpoint_secret enrolment erasure event_id idempotency instruction kept_proof lane_backlog learned_time legal_hold media
    media_want migration moved_point notebook notice notice_code person_key pilot progress progress_cursor quarantine receipt replay_cursor replay_event report_cursor report_month
    report_subject report_waiting run_state run_thing sealed session shard sheet_shown sign_in sign_in_answer sign_in_code silence_learned silent_stretch
    state stop_move store stream_lane timer told track tried unwanted_mail visit_relative window_threat
    """.split()
)
_GRANTED = """
select relation.relname as name, relation.relispartition as is_part, relation.relrowsecurity as has_walls,
  relation.relforcerowsecurity as is_forced, relation.relacl::text like '%=%' and relation.relacl::text ~ '[{,]=' as is_public,
  has_table_privilege($1, relation.oid, 'select') as whole,
  has_table_privilege($1, relation.oid, 'insert, update, delete, truncate, references, trigger') as writes,
  has_any_column_privilege($1, relation.oid, 'insert, update, references') as writes_columns,
  array(select attname::text from pg_attribute where attrelid = relation.oid and attnum > 0 and not attisdropped
    and has_column_privilege($1, relation.oid, attnum, 'select') order by attname) as columns,
  exists (select from pg_policy where polrelid = relation.oid and $1::regrole = any(polroles)) as has_policy
from pg_class as relation
where relation.relnamespace = 'public'::regnamespace and relation.relkind in ('r', 'p', 'v', 'm', 'f')
"""


async def test_every_table_says_who_may_read_it(database: Database) -> None:
    for role, expected in (("fieldsvc_reader", READER), ("fieldsvc_subscriber", SUBSCRIBER)):
        async with database.acquire() as connection:
            found = await connection.fetch(_GRANTED, role)
        shown = {row["name"]: "*" if row["whole"] else " ".join(row["columns"]) for row in found if row["columns"]}
        assert shown == expected
        assert not [row["name"] for row in found if row["writes"] or row["writes_columns"] or row["is_public"]]
        assert not [row["name"] for row in found if row["columns"] and not (row["has_walls"] and row["has_policy"])]
        assert not [row["name"] for row in found if row["is_forced"] or (row["is_part"] and row["columns"])]
        decided = {*READER, *SUBSCRIBER, *CLOSED}
        assert {row["name"] for row in found if not row["is_part"]} == decided, "a new table needs a line here"


async def test_readers_cannot_sign_in_and_have_no_power(database: Database) -> None:
    text = """select rolname, rolcanlogin or rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication as has_power,
      exists (select from pg_auth_members where member = pg_roles.oid) as is_member
    from pg_roles where rolname like 'fieldsvc\\_%' order by rolname"""
    async with database.acquire() as connection:
        found = [tuple(row) for row in await connection.fetch(text)]
    assert found == [("fieldsvc_reader", False, False), ("fieldsvc_subscriber", False, False)]


@asynccontextmanager
async def plain_login(postgres_url: str) -> AsyncIterator[tuple[asyncpg.Connection, str, str]]:
    """An ordinary login with an empty database of its own: (the administrator's connection, its name, its URL)."""
    name = f"u_{uuid4().hex[:12]}"
    admin = await asyncpg.connect(postgres_url)
    try:
        await admin.execute(f"create role {name} login password 'plain'")
        await admin.execute(f"create database {name} owner {name}")
        yield admin, name, re.sub("//[^@]*@", f"//{name}:plain@", on(postgres_url, name))
    finally:
        await admin.execute(f"drop database if exists {name} with (force)")
        await admin.execute(f"drop role {name}")
        await admin.close()


async def test_a_login_that_may_not_make_roles_is_told_what_to_ask_for_and_then_works(postgres_url: str) -> None:
    async with plain_login(postgres_url) as (admin, name, url):
        connection = await asyncpg.connect(url)
        try:
            with pytest.raises(UserMistake, match=f"grant fieldsvc_reader, fieldsvc_subscriber to {name}"):
                await migrate(connection)
            await admin.execute(f"grant fieldsvc_reader, fieldsvc_subscriber to {name}")
            assert (await migrate(connection))[-1] == migrations()[-1].name
        finally:
            await connection.close()
        database = await open_database(url, size=1)
        try:
            async with database.reading(Viewer("supervisor", site="north")) as reading:
                assert await reading.fetchval("select current_user") == "fieldsvc_reader"
                assert await reading.fetchval("select count(*) from alert") == 0
        finally:
            await database.close()


async def test_a_login_that_does_not_own_the_tables_is_refused(postgres_url: str, database_url: str) -> None:
    async with plain_login(postgres_url) as (_admin, name, url):
        owner = await asyncpg.connect(database_url)
        await owner.execute(f"grant all on schema public to {name}; grant all on all tables in schema public to {name}")
        guest = await asyncpg.connect(f"{url.rsplit('/', 1)[0]}/{database_url.rsplit('/', 1)[1]}")
        try:
            with pytest.raises(UserMistake, match="must own its tables"):
                await migrate(guest)
        finally:
            await guest.close()
            await owner.execute(f"drop owned by {name}")
            await owner.close()
