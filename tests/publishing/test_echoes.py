"""A receiver that answers with what it was sent: of what was sealed nothing stays in clear in any column."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from fieldsvc.journal.sealed import Opener
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replaying import Wanted
from fieldsvc.publishing.replays import Replays
from tests.replay_tools import count, ended, remember_ids

CANARY = "Zéphirine Lacanarie"
SEALED = {"personal": {"handed_to_name": CANARY}}
POUCHES = [f"pouch/P-{number}" for number in range(6)]


@pytest.fixture
async def echo() -> AsyncIterator[Any]:
    """Where what is posted comes back, with the status of `fails` for its subjects, and is kept in `got`."""

    class Echo:
        def __init__(self) -> None:
            self.got: list[bytes] = []
            self.fails: set[str] = set()
            self.url = ""

        async def take(self, request: web.Request) -> web.Response:
            body = await request.read()
            self.got.append(body)
            events = orjson.loads(body)
            names = {each["subject"] for each in (events if isinstance(events, list) else [events])}
            return web.Response(status=500 if names & self.fails else 200, body=body)

    made, app = Echo(), web.Application()
    app.router.add_post("/hook", made.take)
    async with TestServer(app) as server:
        made.url = str(server.make_url("/hook"))
        yield made


async def in_clear(database: Any, text: str) -> list[str]:
    """Name the tables in which a text lies in clear, also within bytes."""
    found = []
    for row in await database.pool.fetch("select tablename from pg_tables where schemaname = 'public'"):
        name = row["tablename"]
        sought = f"select count(*) from {name} t where strpos(t::text, $1) > 0 or strpos(t::text, $2) > 0"
        if await database.pool.fetchval(sought, text, text.encode().hex()):
            found.append(name)
    return found


async def bodies(database: Any, where: str = "true") -> set[bytes | None]:
    return {row["body_4k"] for row in await database.pool.fetch(f"select body_4k from attempt where {where}")}


@pytest.mark.parametrize("batch", [1, 10])
async def test_the_answer_to_an_event_with_sealed_parts_is_not_kept(endpoints, start, journal, echo, tools, batch: int):
    database = journal.database
    await endpoints.create(tools.account, echo.url, start="oldest", options={"batch": batch})
    echo.fails = {POUCHES[0]}  # this one is parked, what follows it comes from the backlog
    await journal.say_all(POUCHES * 2, type_="medication.delivered", sealed=SEALED)
    await start(0, 0.3, 0.3, 0.3)
    await tools.poll(lambda: count(database, "parked"))
    echo.fails = set()
    last = {f"evt_{each.removeprefix('evt_')}" for each in journal.ids[-6:]}
    await tools.poll(lambda: all(any(each.encode() in body for body in echo.got) for each in last))
    await tools.poll(lambda: count(database, "attempt where status = 200"))
    assert any(CANARY.encode() in body for body in echo.got)
    assert await bodies(database) == {None}
    assert await in_clear(database, CANARY) == []


async def test_the_answer_to_what_holds_nothing_sealed_is_kept(client, endpoints, start, journal, echo, tools):
    made, _secret = await endpoints.create(tools.account, echo.url, start="oldest")
    plain = await journal.say("item/RK1FR")
    sealed = await journal.say("pouch/P-1", type_="medication.delivered", sealed=SEALED)
    await start()
    await tools.poll(lambda: count(journal.database, "attempt having count(*) = 2"))
    log = await (await client.get(f"/v1/endpoints/{made.id}/attempts")).json()
    answers = {each["event_id"]: each["body"] for each in log["attempts"]}
    assert answers[sealed] is None
    assert plain in answers[plain]


@pytest.mark.parametrize("thin", [True, False])
async def test_the_answer_to_a_resent_event_is_kept_only_where_it_was_sent_without_its_sealed_parts(
    endpoints, replaying, journal, echo, tools, thin: bool
):
    made, _secret = await endpoints.create(tools.account, echo.url, start="oldest", thin=thin)
    sealed = await journal.say("pouch/P-1", type_="medication.delivered", sealed=SEALED)
    await remember_ids(journal.database)
    attempt = await replaying.resend(tools.account, made.id, sealed)
    assert (attempt.status, CANARY.encode() in echo.got[0]) == (200, not thin)
    assert (attempt.body is None) == (not thin)
    assert await in_clear(journal.database, CANARY) == []


async def test_the_answer_to_a_replayed_event_with_sealed_parts_is_not_kept(
    endpoints, replaying, reader, vault, journal, echo, tools
):
    database = journal.database
    made, _secret = await endpoints.create(tools.account, echo.url)
    await journal.say_all(POUCHES, type_="medication.delivered", sealed=SEALED)
    replay = await replaying.side(tools.account, made.id, Wanted("oldest", rate_per_s=1000))
    renderer = Renderer(Opener(database, vault))
    job = asyncio.create_task(
        Replays(database, reader, renderer=renderer, vault=vault, settings=tools.settings()).run()
    )
    await tools.poll(ended(replaying, replay, made))
    await tools.poll(lambda: count(database, "attempt having count(*) = 6"))
    await tools.stop(job)
    assert all(CANARY.encode() in body for body in echo.got)
    assert await bodies(database) == {None}
    assert await in_clear(database, CANARY) == []
