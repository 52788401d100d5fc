"""Databases for tests: copied from a migrated template, and used again once they are as the template was.

A copy costs a thousand files, emptying the few tables that a test filled costs a hundredth of that.
"""

import asyncio
from datetime import UTC, datetime
from uuid import uuid4

import asyncpg
import orjson

from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store.database import migrate
from sql import migrations

_TEMPLATE = "fieldsvc_template"
# What is in the catalogue, in the order of its identities: a database that a test changed has another one.
_SHAPE = """
select md5(string_agg(line, '|' order by line)) from (
  select 'class ' || oid::text || relname::text || relkind::text || coalesce(reloptions::text, '') || coalesce(relacl::text, '')
    || relrowsecurity::text as line from pg_class where relnamespace = 'public'::regnamespace
  union all select 'column ' || attrelid::text || attname::text || atttypid::text || attnotnull::text || attisdropped::text from pg_attribute
    join pg_class on pg_class.oid = attrelid where relnamespace = 'public'::regnamespace
  union all select 'rule ' || pg_constraint.oid::text || conname::text || convalidated::text from pg_constraint
  union all select 'trigger ' || oid::text || tgenabled::text from pg_trigger
  union all select 'function ' || oid::text || xmin::text from pg_proc where pronamespace = 'public'::regnamespace
  union all select 'policy ' || oid::text || xmin::text from pg_policy
  union all select 'space ' || oid::text || nspname::text from pg_namespace where nspname !~ '^pg_'
  union all select 'setting ' || setconfig::text from pg_db_role_setting
    where setdatabase = (select oid from pg_database where datname = current_database())
) as lines
"""
_FILLED = """
select format('%I', relname) from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_relation_size(oid) > 0
"""
_EMPTY = """
do $$ begin
  perform set_config('session_replication_role', 'replica', true);  -- no trigger: the audit log refuses to be emptied
  execute (select 'truncate ' || string_agg(format('%I', relname), ', ') || ' restart identity cascade' from pg_class
    where relnamespace = 'public'::regnamespace and relkind = 'r' and pg_relation_size(oid) > 0);
  perform setval(format('%I', sequencename)::regclass, start_value, false) from pg_sequences
    where schemaname = 'public' and last_value is not null;
end $$
"""
_LEFT = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
_OTHERS = "select pg_terminate_backend(pid, 5000) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"


async def make_template(server_url: str) -> None:
    """Make the template: every migration, and the partitions of today, so that a service that starts makes none."""
    await _run(server_url, f"create database {_TEMPLATE}")
    connection = await asyncpg.connect(on(server_url, _TEMPLATE))
    try:
        assert len(await migrate(connection)) == len(migrations())
        await make_partitions(connection, datetime.now(UTC))
        shape = await connection.fetchval(_SHAPE)
        filled = [name for (name,) in await connection.fetch(_FILLED)]
        seeds = {name: await connection.fetchval(f"select json_agg(seed) from {name} as seed") for name in filled}
    finally:
        await connection.close()
    said = orjson.dumps({"shape": shape, "seeds": seeds}).decode().replace("'", "''")
    await _run(server_url, f"comment on database {_TEMPLATE} is '{said}'")


async def take(server_url: str) -> str:
    """Give the URL of a migrated database that nobody else uses: one that was given back, else a new copy."""
    name = f"t_{uuid4().hex}"
    connection = await asyncpg.connect(server_url)
    try:
        clean = await connection.fetchval("select datname from pg_database where datname like 'clean\\_%' limit 1")
        if clean is not None:
            await connection.execute(f"alter database {clean} rename to {name}")
        else:
            await connection.execute(f"create database {name} template {_TEMPLATE} strategy file_copy")
    finally:
        await connection.close()
    return on(server_url, name)


async def give_back(server_url: str, url: str) -> None:
    """Empty a database for the next test, or drop it where a test changed more than rows."""
    name = url.rsplit("/", 1)[1]
    connection = await asyncpg.connect(server_url)
    try:
        said = await connection.fetchval(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = $1", _TEMPLATE
        )
        try:
            again = await _emptied(url, **orjson.loads(said))
            if again:
                await connection.execute(f"alter database {name} rename to clean_{name}")
        except asyncpg.ObjectInUseError:  # a process of the test still runs, and may write
            again = False
        if not again:
            await connection.execute(f"drop database {name} with (force)")
    finally:
        await connection.close()


async def _emptied(url: str, *, shape: str, seeds: dict[str, str]) -> bool:
    """Empty a database and sow what migrations put there.

    False where its shape is no longer the template's, or where somebody came back who was cut off, and may write.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_OTHERS)
        if await connection.fetchval(_SHAPE) != shape:
            return False
        await connection.execute(_EMPTY)
        for name, rows in seeds.items():
            await connection.execute(
                f"insert into {name} select * from json_populate_recordset(null::{name}, $1)", rows
            )
        return not await connection.fetchval(_LEFT)
    finally:
        await connection.close()


def new_database(server_url: str) -> str:
    """Take a database outside any event loop; its URL."""
    return asyncio.run(take(server_url))


def drop_database(server_url: str, url: str) -> None:
    """Give a database back outside any event loop."""
    asyncio.run(give_back(server_url, url))


def on(server_url: str, name: str) -> str:
    """Name another database of the same server."""
    return f"{server_url.rsplit('/', 1)[0]}/{name}"


async def _run(url: str, statement: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(statement)
    finally:
        await connection.close()
