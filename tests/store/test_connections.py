"""What a connection asks the server before the query that it was opened for."""

import asyncpg
import pytest

from fieldsvc.store.database import connect, open_database


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[frozenset[int]]:
    """The types that the server was asked about."""
    found: list[frozenset[int]] = []
    ask = asyncpg.Connection._introspect_types

    async def noted(connection, typeoids, *more):
        found.append(frozenset(typeoids))
        return await ask(connection, typeoids, *more)

    monkeypatch.setattr(asyncpg.Connection, "_introspect_types", noted)
    monkeypatch.setattr("fieldsvc.store.database._ASKED", {})
    return found


async def test_what_a_type_of_the_server_is_is_asked_once(database_url: str, asked: list[frozenset[int]]) -> None:
    for _ in range(2):
        connection, pool = await connect(database_url), await open_database(database_url, size=1)
        try:
            assert await connection.fetchval("select $1::int4range[]", []) == []
            async with pool.acquire() as other:
                assert await other.fetchval("select $1::int4range[]", [None]) == [None]
        finally:
            await connection.close()
            await pool.close()
    assert len(asked) == 1


async def test_a_type_of_one_database_is_asked_about_anew(database_url: str, asked: list[frozenset[int]]) -> None:
    for name in ("first", "second"):
        connection = await connect(database_url)
        try:
            await connection.execute(f"create type {name} as (said text)")
            assert await connection.fetchval(f"select row($1)::{name}", name) == (name,)
            assert await connection.fetchval(f"select array[row($1)::{name}]", name) == [(name,)]
        finally:
            await connection.close()
    assert len(asked) == 4
