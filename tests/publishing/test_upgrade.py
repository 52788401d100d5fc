"""A store of the version before, with endpoints in the middle of their work, is brought up to date and goes on."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from fieldsvc.journal.memory import shard_of
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.publishing.keys import seal_key
from fieldsvc.publishing.signing import new_secret
from fieldsvc.store.attempts import Search
from fieldsvc.store.database import Database, migrate, open_database
from sql import migrations, query
from tests.databases import on

BEFORE = 22  # the last migration that knew no options, replays, streams and operational events
SHARD = shard_of("item/A")
FIRST, LAST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2999, 1, 1, tzinfo=UTC)


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """A store as the version before left it."""
    server, name = await asyncpg.connect(postgres_url), f"t_{uuid4().hex}"
    await server.execute(f"create database {name}")
    opened = await open_database(on(postgres_url, name), size=8)
    try:
        async with opened.acquire() as connection:
            await connection.execute(
                "create table migration (number integer primary key, name text not null, at timestamptz not null)"
            )
            for step in migrations()[:BEFORE]:
                await connection.execute(step.text)
                await connection.execute("insert into migration values ($1, $2, now())", step.number, step.name)
            await make_partitions(connection, datetime.now(UTC))
        yield opened
    finally:
        await opened.close()
        await server.execute(f"drop database {name} with (force)")
        await server.close()


async def test_endpoints_parked_subjects_backlogs_and_dead_letters_of_the_version_before_go_on_and_are_no_news(
    database: Database, vault: Vault, journal: Any, receiver: Any, endpoints: Any, start: Any, tools: Any
):
    said = await journal.say_all(["item/A"] * 4)
    async with database.acquire() as connection:
        await old_endpoint(connection, vault, "ep_old", receiver.url)
        await old_endpoint(connection, vault, "ep_off", receiver.url)
        await old_work(connection, given_up=said[0])
        assert len(await migrate(connection)) == len(migrations()) - BEFORE
        await make_partitions(connection, datetime.now(UTC))
        for news in ("told.news", "told.letters"):
            assert await connection.fetch(query(news), 100) == []
    assert (await endpoints.read(tools.account, "ep_off")).state == "disabled"
    assert [
        each.event_id for each in await endpoints.given_up(tools.account, "ep_old", before=(LAST, ""), limit=9)
    ] == said[:1]
    assert [each.behind for each in await endpoints.parked(tools.account, "ep_old", after="", limit=9)] == [1]
    found = await endpoints.attempts(tools.account, "ep_old", Search(since=FIRST, before=(LAST, "", 0)), limit=9)
    assert [(each.event_id, each.status) for each in found] == [(said[1], 500)]
    await start(0, 0.1, 0.1)
    await tools.poll(lambda: len(receiver.acknowledged) >= 3)
    assert [got.id for got in receiver.acknowledged] == said[1:]
    await endpoints.resume(tools.account, "ep_off")
    await tools.poll(lambda: [got.id for got in receiver.acknowledged] == [*said[1:], *said])
    assert await endpoints.parked(tools.account, "ep_old", after="", limit=9) == []


async def old_endpoint(connection: Any, vault: Vault, name: str, url: str) -> None:
    """Make an endpoint as the version before did."""
    await connection.execute(
        "insert into endpoint (id, account, url, types, created_at) values ($1, 'acct-one', $2, '{}', now())", name, url
    )
    sealed = seal_key(vault, name, new_secret())
    await connection.execute(
        "insert into endpoint_secret (endpoint, no, sealed, created_at) values ($1, 1, $2, now())", name, sealed
    )
    await connection.execute("insert into lane (endpoint, leased_until) values ($1, now())", name)
    await connection.execute(
        "insert into cursor select $1, shard, '-infinity', 0 from generate_series(0, 3) as shard", name
    )


async def old_work(connection: Any, *, given_up: str) -> None:
    """Let one endpoint have given up its first event, parked the second, the third behind it; let the other be disabled."""
    await connection.execute(
        "update endpoint set state = 'disabled', reason = 'gone', stopped_at = now() - interval '1 day' where id = 'ep_off'"
    )
    await connection.execute("update lane set opened_at = now() - interval '1 day' where endpoint = 'ep_off'")
    day = datetime.now(UTC).date()
    await connection.execute("update cursor set day = $1, pos = 3 where endpoint = 'ep_old' and shard = $2", day, SHARD)
    await connection.execute(
        "insert into parked values ('ep_old', 'item/A', $2, $1, 2, 1, now(), 'status 500', now())", day, SHARD
    )
    await connection.execute("insert into lane_backlog values ('ep_old', 'item/A', $1, 3, $2)", day, SHARD)
    await connection.execute(
        "insert into dead_letter values ('ep_old', $3, 'item/A', $2, $1, 1, now(), 'status 500', 10)",
        day,
        SHARD,
        given_up,
    )
    await connection.execute(
        "insert into attempt select $1, 'ep_old', 'evt_' || id, 1, now(), 500, 7, null, '' from event where pos = 2 and shard = $2",
        day, SHARD,
    )  # fmt: skip
