"""Databases for tests: copied from a migrated template, and used again once they are as the template was.

A copy costs a thousand files, emptying the few tables that a test filled costs a hundredth of that.
"""

import asyncio
import threading
from collections.abc import Coroutine
from concurrent.futures import Future
from datetime import UTC, datetime
from functools import cache
from typing import Any, TypeVar
from urllib.parse import urlsplit
from uuid import uuid4

import asyncpg
import orjson

from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store.database import migrate
from sql import migrations

T = TypeVar("T")
_TEMPLATE = "fieldsvc_template"
# A database in which a test changed more than rows answers with another line. Emptying a table writes to `pg_class` alone, which is
# read in full; of every other catalogue the rows are counted, and those younger than the template. An empty table that was analysed
# counts as changed: it is planned otherwise than one that never was.
_CATALOGUES = ("attrdef", "attribute", "constraint", "namespace", "policy", "proc", "trigger", "type")
_COUNTED = " union all ".join(
    f"select '{name} ' || count(*) || ' ' || count(*) filter (where age(xmin) < age($1::xid)) from pg_{name}"
    for name in _CATALOGUES
)
_SHAPE = f"""
select string_agg(line, '|' order by line) from (
  select 'classes ' || sum(hashtextextended(concat_ws(' ', oid, relname, relkind, reloptions, relacl, relrowsecurity, relkind = 'r' and reltuples = 0), 0))
    as line from pg_class where relnamespace = 'public'::regnamespace
  union all {_COUNTED}
  union all select 'setting ' || setconfig::text from pg_db_role_setting
    where setdatabase = (select oid from pg_database where datname = current_database())
) as lines
"""
# Asked of the file: to say how large a table is, PostgreSQL would first read all that it knows of it.
_FILLED = """
select format('%I', relname) from pg_class
where relnamespace = 'public'::regnamespace and relkind = 'r' and (pg_stat_file(pg_relation_filepath(oid))).size > 0
"""
_EMPTY = """
set session_replication_role = replica;  -- no trigger: the audit log refuses to be emptied
truncate {tables} restart identity cascade;
delete from pg_statistic where starelid in (select oid from pg_class where relnamespace = 'public'::regnamespace);
set session_replication_role = default;
select setval(format('%I', sequencename)::regclass, start_value, false) from pg_sequences
where schemaname = 'public' and last_value is not null
"""
_HERE = "pg_stat_get_activity(null) where datid = (select oid from pg_database where datname = current_database()) and pid <> pg_backend_pid()"
_LEFT = f"select count(*) from {_HERE}"
_OTHERS = f"select pg_terminate_backend(pid, 5000) from {_HERE}"


class _Keeper:
    """Keeps the databases of one server from a thread and a connection of its own.

    A connection costs PostgreSQL a process, and tests ask from many event loops, each of which would need its own.
    """

    def __init__(self, server_url: str) -> None:
        self._url = server_url
        self._connection: asyncpg.Connection | None = None
        self._turn = asyncio.Lock()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="databases", daemon=True)
        self._thread.start()

    def begin(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        return asyncio.run_coroutine_threadsafe(self._in_turn(work), self._loop)

    async def _in_turn(self, work: Coroutine[Any, Any, T]) -> T:
        async with self._turn:
            return await work

    async def make_template(self) -> None:
        server = await self._server()
        await _sign_in_quickly(server, urlsplit(self._url).password)
        await server.execute(f"create database {_TEMPLATE}")
        connection = await asyncpg.connect(on(self._url, _TEMPLATE))
        try:
            assert len(await migrate(connection)) == len(migrations())
            await make_partitions(connection, datetime.now(UTC))
            made = await connection.fetchval("select pg_current_xact_id()::xid")
            shape = await connection.fetchval(_SHAPE, made)
            filled = [name for (name,) in await connection.fetch(_FILLED)]
            seeds = {name: await connection.fetchval(f"select json_agg(seed) from {name} as seed") for name in filled}
        finally:
            await connection.close()
        said = orjson.dumps({"made": made, "shape": shape, "seeds": seeds}).decode().replace("'", "''")
        await server.execute(f"comment on database {_TEMPLATE} is '{said}'")

    async def take(self) -> str:
        name = f"t_{uuid4().hex}"
        server = await self._server()
        clean = await server.fetchval("select datname from pg_database where datname like 'clean\\_%' limit 1")
        if clean is not None:
            await server.execute(f"alter database {clean} rename to {name}")
        else:
            await server.execute(f"create database {name} template {_TEMPLATE} strategy file_copy")
        return on(self._url, name)

    async def give_back(self, url: str) -> None:
        name = url.rsplit("/", 1)[1]
        server = await self._server()
        said = await server.fetchval(
            "select shobj_description(oid, 'pg_database') from pg_database where datname = $1", _TEMPLATE
        )
        try:
            again = await _emptied(url, **orjson.loads(said))
            if again:
                await server.execute(f"alter database {name} rename to clean_{name}")
        except asyncpg.ObjectInUseError:  # a process of the test still runs, and may write
            again = False
        if not again:
            await server.execute(f"drop database {name} with (force)")

    async def _server(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._url)
        return self._connection

    def close(self) -> None:
        if self._connection is not None:
            self.begin(self._connection.close()).result()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


@cache
def _keeper(server_url: str) -> _Keeper:
    return _Keeper(server_url)


def make_template(server_url: str) -> None:
    """Make the template: every migration, and the partitions of today, so that a service that starts makes none."""
    keeper = _keeper(server_url)
    keeper.begin(keeper.make_template()).result()


def close(server_url: str) -> None:
    """Leave a server, which stops."""
    _keeper(server_url).close()


async def take(server_url: str) -> str:
    """Give the URL of a migrated database that nobody else uses: one that was given back, else a new copy."""
    keeper = _keeper(server_url)
    return await asyncio.wrap_future(keeper.begin(keeper.take()))


async def give_back(server_url: str, url: str) -> None:
    """Empty a database for the next test, or drop it where a test changed more than rows."""
    keeper = _keeper(server_url)
    await asyncio.wrap_future(keeper.begin(keeper.give_back(url)))


async def _sign_in_quickly(server: asyncpg.Connection, password: str | None) -> None:
    """Store the password with one round of hashing: tests open ten thousand connections, and nobody attacks them."""
    if server.get_server_version().major >= 16:
        await server.execute("set scram_iterations = 1")
    await server.execute(f"alter role current_user password '{password}'")


async def _emptied(url: str, *, made: int, shape: str, seeds: dict[str, str]) -> bool:
    """Empty a database and sow what migrations put there.

    False where its shape is no longer the template's, or where somebody came back who was cut off, and may write.
    """
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(_OTHERS)
        if await connection.fetchval(_SHAPE, made) != shape:
            return False
        filled = [name for (name,) in await connection.fetch(_FILLED)]
        await connection.execute(_EMPTY.format(tables=", ".join(filled)))
        for name, rows in seeds.items():
            await connection.execute(
                f"insert into {name} select * from json_populate_recordset(null::{name}, $1)",
                rows,
            )
        return not await connection.fetchval(_LEFT)
    finally:
        await connection.close()


def new_database(server_url: str) -> str:
    """Take a database outside any event loop; its URL."""
    keeper = _keeper(server_url)
    return keeper.begin(keeper.take()).result()


def drop_database(server_url: str, url: str) -> None:
    """Give a database back outside any event loop."""
    keeper = _keeper(server_url)
    keeper.begin(keeper.give_back(url)).result()


def on(server_url: str, name: str) -> str:
    """Name another database of the same server."""
    return f"{server_url.rsplit('/', 1)[0]}/{name}"
