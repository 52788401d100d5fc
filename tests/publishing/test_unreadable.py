"""What cannot be opened or written is given up by name; nothing else waits for it."""

from collections.abc import AsyncIterator, Iterator
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestServer

from fieldsvc.metrics import Metrics
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.store.database import Database

DAMAGE = "update sealed set ciphertext = ciphertext || '\\x00'"
SECRET = "Mme Canari"


@pytest.fixture
async def account(journal: Any, tools: Any) -> str:
    await tools.add_account(journal.database, "acct-med", "health")
    return "acct-med"


@pytest.fixture
async def hook() -> AsyncIterator[Any]:
    """A receiver that takes single events and batches."""
    ids = set[str]()

    async def take(request: web.Request) -> web.Response:
        said = orjson.loads(await request.read())
        ids.update(event["id"] for event in (said if isinstance(said, list) else [said]))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server:
        yield SimpleNamespace(url=str(server.make_url("/hook")), ids=ids)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    with structlog.testing.capture_logs() as entries:
        yield entries


async def letters(database: Database) -> list[tuple[str, str]]:
    async with database.acquire() as connection:
        return [tuple(row) for row in await connection.fetch("select event_id, reason from dead_letter order by at")]


async def run(database: Database, text: str) -> Any:
    async with database.acquire() as connection:
        return await connection.fetch(text)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"batch": 10},
        {"mode": "parallel"},
        {"filter": {"data": {"name": {"$in": [SECRET]}}}},
        {"filter": {"data": {"n": {"$gt": 0}}}},
    ],
    ids=["plain", "batch", "parallel", "filter over what is damaged", "filter over another part"],
)
async def test_one_event_that_cannot_be_written_is_a_dead_letter_and_all_others_arrive(
    endpoints: Any, journal: Any, hook: Any, start: Any, tools: Any, account: str, logs: Any, options: dict[str, Any]
):
    await endpoints.create(account, hook.url, start="oldest", options=options)
    bad = await journal.say("item/A", account=account, sealed={"health": {"name": SECRET}})
    await run(journal.database, DAMAGE)
    good = await journal.say_all(
        ["item/A", *(f"item/B{n}" for n in range(10))], account=account, public={"n": 1, "name": SECRET}
    )
    await start()
    await tools.poll(lambda: hook.ids >= set(good))
    await tools.poll(lambda: letters(journal.database))
    assert await letters(journal.database) == [(bad, "unreadable")]
    assert bad not in hook.ids
    assert {each["evt_id"] for each in logs if each["event"] == "event.unreadable"} == {bad}
    assert not [each for each in logs if each["event"] == "lane.failed"]
    assert SECRET not in str(logs)


async def test_a_condition_that_fails_on_an_event_does_not_pass_it_over(
    endpoints: Any, journal: Any, receiver: Any, start: Any, tools: Any, account: str, monkeypatch: Any
):
    def broken(_condition: Any) -> Any:
        return lambda _event, _untold: 1 // 0

    monkeypatch.setattr("fieldsvc.publishing.filters.compiled", broken)
    await endpoints.create(account, receiver.url, start="oldest", options={"filter": {"data": {"n": {"$gt": 0}}}})
    said = await journal.say("item/A", account=account)
    await start()
    await tools.poll(lambda: said in {got.id for got in receiver.acknowledged})


async def test_a_backlog_with_an_event_that_cannot_be_written_goes_on_behind_it(
    endpoints: Any, journal: Any, receiver: Any, start: Any, tools: Any, account: str
):
    is_down = True
    receiver.answer = lambda got: 500 if is_down and got.subject == "item/A" else 204
    await endpoints.create(account, receiver.url, start="oldest")
    await journal.say_all(["item/A", "item/OK"], account=account)
    await start(0, *[0.1] * 99)
    await tools.poll(lambda: run(journal.database, "select from parked"))
    bad = await journal.say("item/A", account=account, sealed={"health": {"name": SECRET}})
    await journal.say("item/A", account=account)
    await tools.poll(lambda: run(journal.database, "select from lane_backlog having count(*) = 2"))
    await run(journal.database, DAMAGE)
    is_down = False
    await tools.poll(lambda: receiver.sequences().get("item/A") == [1, 3])
    await tools.poll(lambda: letters(journal.database))
    assert await letters(journal.database) == [(bad, "unreadable")]


@pytest.mark.parametrize(
    ("lost", "reason"),
    [("delete from event", "retention"), (DAMAGE, "unreadable"), ("update event set account = 'acct-one'", "changed")],
)
async def test_a_body_that_has_waited_and_cannot_be_written_again_says_why(
    endpoints: Any, journal: Any, receiver: Any, start: Any, tools: Any, account: str, lost: str, reason: str
):
    is_down = True
    receiver.answer = lambda _got: 500 if is_down else 204
    await endpoints.create(account, receiver.url, start="oldest")
    said = [await journal.say(f"item/{n}", account=account, sealed={"health": {"name": SECRET}}) for n in range(20)]
    await start(0, 30, 0.1, body_kept_s=0.0)
    await tools.poll(lambda: run(journal.database, "select from lane where opened_at is not null"))
    await run(journal.database, lost)
    await tools.poll(lambda: letters(journal.database))
    found = await letters(journal.database)
    assert {why for _name, why in found} == {reason}
    assert {name for name, _why in found} & set(said)


async def test_a_fault_of_the_store_while_writing_is_no_fault_of_the_event(
    database: Database, vault: Any, monkeypatch: Any
):
    async def away(*_about: Any) -> Any:
        raise OSError

    monkeypatch.setattr(Renderer, "bodies", away)
    renderer: Any = object.__new__(Renderer)
    with pytest.raises(OSError):  # noqa: PT011 - it has no words
        await renderer.readable([None], None)


async def test_an_endpoint_whose_key_cannot_be_opened_is_given_back_counted_and_keeps_everything(
    endpoints: Any, journal: Any, receiver: Any, start: Any, tools: Any, account: str, logs: Any
):
    endpoint, _ = await endpoints.create(account, receiver.url, start="oldest")
    await run(journal.database, "update endpoint_secret set sealed = sealed || '\\x00'")
    said = await journal.say("item/A", account=account)
    dispatcher, metrics = await start(), Metrics()
    dispatcher.show(metrics)
    await tools.poll(lambda: "fieldsvc_endpoint_keys_unreadable 1.0" in metrics.text().decode())
    free = "select from lane where owner is null and leased_until > now() + interval '30 seconds'"
    await tools.poll(lambda: run(journal.database, free))
    assert not dispatcher.owned
    assert [each["endpoint"] for each in logs if each["event"] == "endpoint.key_unreadable"] == [endpoint.id]
    await run(journal.database, "update endpoint_secret set sealed = substr(sealed, 1, length(sealed) - 1)")
    await run(journal.database, "update lane set leased_until = now()")  # as if the minute were over
    await tools.poll(lambda: [got.id for got in receiver.acknowledged] == [said])


async def test_the_feed_shows_a_row_thin_whose_sealed_parts_cannot_be_read(feed: Any, journal: Any, account: str):
    said = [await journal.say(f"item/{n}", account=account, sealed={"health": {"name": SECRET}}) for n in range(3)]
    await run(journal.database, f"{DAMAGE} where event_id = (select event_id from sealed order by event_id limit 1)")
    page = await feed.page(await feed.resolve(""), View(account, health=True), types=TypeFilter([]), limit=10)
    shown = {event["id"]: event for event in (orjson.loads(item.body) for item in page.items)}
    assert set(shown) == set(said)
    assert [SECRET in str(shown[name]["data"]) for name in said] == [False, True, True]
    assert shown[said[0]]["dataref"].endswith(said[0])
