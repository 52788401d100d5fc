"""What a subscriber may choose for an endpoint: no order, a block instead of dead letters, its own schedule and headers."""

import asyncio
import time
from collections import Counter
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web

from fieldsvc.publishing.keys import seal_headers
from fieldsvc.publishing.signing import verify

HOT = "item/RK0FR"


@pytest.fixture
async def endpoint(endpoints, journal, receiver, tools):
    made, secret = await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    return SimpleNamespace(id=made.id, secret=secret)


@pytest.fixture
def choose(journal):
    async def change(**values: Any) -> None:
        named = ", ".join(f"{name} = ${number}" for number, name in enumerate(values, start=1))
        async with journal.database.acquire() as connection:
            await connection.execute(f"update endpoint set {named}, version = version + 1", *values.values())

    return change


@pytest.fixture
def rows(journal):
    async def read(statement: str) -> list[tuple[Any, ...]]:
        async with journal.database.acquire() as connection:
            return [tuple(row) for row in await connection.fetch(statement)]

    return read


def all_arrived(receiver: Any, journal: Any) -> Any:
    return lambda: {got.id for got in receiver.acknowledged} >= set(journal.ids)


async def test_in_mode_parallel_events_of_one_subject_overlap(endpoint, choose, start, journal, receiver, tools):
    await choose(mode="parallel")
    together = asyncio.Event()
    take = receiver._take

    async def wait_for_company(request: web.Request) -> web.Response:
        waiting.append(request)
        if len(waiting) == 4:
            together.set()
        await together.wait()
        return await take(request)

    waiting: list[web.Request] = []
    await receiver.stop()
    receiver._take = wait_for_company
    await receiver.start()
    await journal.say_all([HOT] * 4)
    await start()
    await tools.poll(all_arrived(receiver, journal))
    assert Counter(got.id for got in receiver.got) == Counter(journal.ids)


async def test_in_mode_parallel_a_failing_event_parks_alone_and_its_subject_goes_on(
    endpoint, choose, start, journal, receiver, rows, tools
):
    await choose(mode="parallel")
    broken = True
    receiver.answer = lambda got: 500 if got.sequence == 2 and broken else 204
    await journal.say_all([HOT] * 6)
    await start(0, *[0.2] * 60)
    await tools.poll(lambda: len(receiver.acknowledged) == 5)
    await tools.poll(lambda: rows("select from parked"))
    assert await rows("select subject, attempts > 0 from parked") == [(f"{HOT} {journal.ids[1]}", True)]
    assert await rows("select from lane_backlog") == []
    broken = False
    await tools.poll(all_arrived(receiver, journal))
    assert {got.headers["webhook-id"] for got in receiver.got} == set(journal.ids)
    await tools.poll(lambda: _none(rows, "select from parked"))


async def test_what_mode_parallel_parked_comes_before_newer_events_of_its_subject_in_mode_subject(
    endpoint, choose, start, journal, receiver, rows, tools
):
    await choose(mode="parallel")
    broken = True
    receiver.answer = lambda got: 500 if broken and got.sequence in {2, 3} else 204
    await journal.say_all([HOT] * 4)
    await start(0, *[0.5] * 60)
    await tools.poll(lambda: rows("select from parked having count(*) = 2"))
    await tools.poll(lambda: len(receiver.acknowledged) == 2)
    await choose(mode="subject")
    await tools.poll(lambda: rows(f"select from parked where subject = '{HOT}'"))
    await journal.say_all([HOT] * 2)
    broken = False
    await tools.poll(all_arrived(receiver, journal))
    seen = list(dict.fromkeys(got.sequence for got in receiver.acknowledged))
    assert [sequence for sequence in seen if sequence not in {1, 4}] == [2, 3, 5, 6]
    await tools.poll(lambda: _none(rows, "select from parked"))


async def test_parked_subjects_that_hang_take_half_of_the_requests_at_once(
    endpoint, choose, start, journal, receiver, rows, tools
):
    await choose(in_flight=4)
    released, hangs = asyncio.Event(), False
    take, bad = receiver._take, [f"item/BAD{number}" for number in range(6)]
    hanging: set[str] = set()

    async def taking(request: web.Request) -> web.Response:
        subject = orjson.loads(await request.read())["subject"]
        if hangs and subject in bad:
            hanging.add(subject)
            await released.wait()
        return await take(request)

    receiver.answer = lambda got: 500 if not hangs and got.subject in bad else 204
    await receiver.stop()
    receiver._take = taking
    await receiver.start()
    await start(0, *[1.0] * 50)
    for number, name in enumerate(bad, start=1):  # beside good ones: the breaker stays closed
        await journal.say_all([name, *(f"item/GOOD{number}{part}" for part in "abcd")])
        await tools.poll(lambda number=number: rows(f"select from parked having count(*) = {number}"))
    hangs = True
    await tools.poll(lambda: len(hanging) == 2)
    for _ in range(5):
        name = await journal.say(HOT)
        await tools.poll(lambda name=name: name in {got.id for got in receiver.acknowledged}, within_s=10)
    assert len(hanging) == 2
    released.set()
    await tools.poll(all_arrived(receiver, journal))


async def test_with_one_request_at_a_time_parked_subjects_and_others_take_turns(
    endpoint, choose, start, journal, receiver, rows, tools
):
    await choose(in_flight=1)
    receiver.answer = lambda got: 204 if got.subject == HOT else 500
    bad = ["item/BAD1", "item/BAD2"]
    await start(0, *[0.001] * 100_000)
    await journal.say_all(bad)
    await tools.poll(lambda: rows("select from parked having count(*) = 2"))
    names = await journal.say_all([HOT] * 30)
    await tools.poll(lambda: len(receiver.acknowledged) == len(names))
    good = [number for number, got in enumerate(receiver.got) if got.subject == HOT]
    between = [after - before - 1 for before, after in pairwise(good)]
    assert max(between) == 1
    await tools.poll(lambda: len(receiver.got) > good[-1] + 2)


async def test_in_mode_parallel_a_kill_loses_nothing_and_a_dead_letter_names_the_subject(
    endpoint, choose, start, crash, journal, receiver, rows, tools
):
    await choose(mode="parallel")
    receiver.answer = lambda got: 400 if got.sequence % 10 == 0 else 204
    await journal.say_all([HOT] * 100)
    dispatcher = await start(0, 0.3, lease_s=0.6, span=30)
    await tools.poll(lambda: len(receiver.acknowledged) > 30)
    await crash(dispatcher)
    await start(0, 0.3, lease_s=0.6, span=30)
    wanted = {name for number, name in enumerate(journal.ids, start=1) if number % 10}
    await tools.poll(lambda: {got.id for got in receiver.acknowledged} == wanted)
    await tools.poll(lambda: rows("select from dead_letter having count(*) = 10"))
    assert await rows("select distinct subject, reason, attempts from dead_letter") == [(HOT, "status 400", 2)]
    assert len(receiver.acknowledged) - len(wanted) <= 30


async def test_an_endpoint_that_blocks_waits_at_the_head_for_ever_and_says_so_once(
    endpoint, choose, start, journal, receiver, rows, tools
):
    await choose(on_exhausted="block")
    broken = True
    receiver.answer = lambda got: 500 if got.sequence == 1 and broken else 204
    await journal.say_all([HOT] * 3)
    dispatcher = await start(0, 0.02, 0.02)
    told: list[str] = []
    lane = await _lane(dispatcher, tools)
    lane._state.following._tell_exhausted = lambda entry, **_about: told.append(entry.evt_id)
    await tools.poll(lambda: len(receiver.got) >= 8)
    assert {got.id for got in receiver.got} == {journal.ids[0]}
    assert told in ([], journal.ids[:1])  # the schedule may have been used up before the test listened
    assert await rows("select from dead_letter") == []
    broken = False
    await tools.poll(all_arrived(receiver, journal))
    assert [got.sequence for got in receiver.acknowledged] == [1, 2, 3]


async def test_an_endpoint_has_its_own_schedule(endpoint, choose, start, journal, receiver, rows, tools):
    await choose(schedule=[0.0, 0.01])
    receiver.answer = lambda _got: 500
    await journal.say(HOT)
    await start(0, 3600)
    await tools.poll(lambda: rows("select from dead_letter where attempts = 2"))
    assert len(receiver.got) == 2


@pytest.mark.parametrize("status", [400, 422])
async def test_a_receiver_that_wants_no_retry_gets_none(endpoint, start, journal, receiver, rows, tools, status: int):
    def answer(got: Any) -> web.Response | int:
        return web.Response(status=status, headers={"webhook-retry": "false"}) if got.sequence == 1 else 204

    receiver.answer = answer
    await journal.say_all([HOT] * 2)
    await start(0, 3600)
    await tools.poll(lambda: len(receiver.acknowledged) == 1)
    await tools.poll(lambda: rows("select from dead_letter"))
    assert await rows("select event_id, attempts, reason from dead_letter") == [
        (journal.ids[0], 1, f"status {status}, no retry wanted")
    ]
    assert [got.sequence for got in receiver.got] == [1, 2]


async def test_headers_and_bearer_of_the_endpoint_are_sent_and_cannot_replace_ours(
    endpoint, choose, start, journal, receiver, vault, tools
):
    theirs = {
        "Authorization": "Bearer abc", "X-Team": "dépôt", "Webhook-Id": "theirs", "WEBHOOK-SIGNATURE": "v1,x",
        "Content-Type": "text/plain", "content-length": "3", "Host": "elsewhere", "Transfer-Encoding": "chunked",
    }  # fmt: skip
    await choose(sealed_headers=seal_headers(vault, endpoint.id, theirs))
    name = await journal.say(HOT)
    await start()
    await tools.poll(lambda: receiver.acknowledged)
    got = receiver.got[0]
    assert verify([endpoint.secret], got.headers, got.body, now=time.time()) == name
    assert got.headers["authorization"] == "Bearer abc"
    assert got.headers["x-team"]
    assert got.headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert got.headers["host"].startswith("127.0.0.1")
    assert "transfer-encoding" not in got.headers


async def _none(rows: Any, statement: str) -> bool:
    return not await rows(statement)


async def _lane(dispatcher: Any, tools: Any) -> Any:
    await tools.poll(lambda: any(lane._state for lane in dispatcher._lanes.values()))
    return next(iter(dispatcher._lanes.values()))
