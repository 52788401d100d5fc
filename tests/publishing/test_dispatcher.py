"""The dispatcher on a real database with a real receiver: order, parking, breaker, crashes and hand-over."""

import asyncio
import time
from collections import Counter
from random import Random
from types import SimpleNamespace
from typing import Any

import pytest
from aiohttp import web

from fieldsvc.publishing.signing import BadSignature, verify
from fieldsvc.store.attempts import Search

SUBJECTS = [f"item/RK{number}FR" for number in range(12)]


async def count(database: Any, table: str) -> int:
    async with database.acquire() as connection:
        return int(await connection.fetchval(f"select count(*) from {table}") or 0)


async def cursors(database: Any) -> list[tuple[Any, ...]]:
    async with database.acquire() as connection:
        return [tuple(row) for row in await connection.fetch("select shard, day, pos from cursor order by shard")]


@pytest.fixture
async def endpoint(endpoints, journal, receiver, tools):
    made, secret = await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    return SimpleNamespace(id=made.id, secret=secret)


def all_arrived(receiver: Any, journal: Any) -> Any:
    return lambda: {got.id for got in receiver.acknowledged} >= set(journal.ids)


async def test_an_event_reaches_an_idle_endpoint_within_two_seconds_signed(endpoint, start, journal, receiver, tools):
    await start()
    await tools.poll(lambda: count(journal.database, "lane where owner is not null"))
    started = time.monotonic()
    name = await journal.say(SUBJECTS[0], public={"to": "mailbox"})
    await tools.poll(lambda: receiver.got)
    assert time.monotonic() - started < 2
    got = receiver.got[0]
    assert verify([endpoint.secret], got.headers, got.body, now=time.time()) == name
    assert got.headers["content-type"].startswith("application/cloudevents+json")
    with pytest.raises(BadSignature):
        verify([endpoint.secret], got.headers, got.body + b" ", now=time.time())


async def test_a_new_endpoint_starts_at_its_creation(endpoints, start, journal, receiver, tools):
    await journal.say(SUBJECTS[0])
    await endpoints.create(tools.account, receiver.url, types=["*"], start=None, thin=False)
    after = await journal.say(SUBJECTS[0])
    await start()
    await tools.poll(lambda: receiver.got)
    assert [got.id for got in receiver.got] == [after]


async def test_an_endpoint_gets_only_what_its_account_may_see_and_its_types_ask_for(
    endpoints, start, journal, receiver, tools
):
    await endpoints.create(tools.account, receiver.url, types=["item.*"], start="oldest", thin=False)
    await journal.say(SUBJECTS[0], account="acct-other")
    await journal.say(SUBJECTS[1], account=None)
    await journal.say(SUBJECTS[2], type_="run.started")
    wanted = await journal.say(SUBJECTS[3])
    await start()
    await tools.poll(lambda: receiver.got)
    assert [got.id for got in receiver.got] == [wanted]


async def test_subjects_stay_in_order_under_a_subscriber_that_fails_at_random(
    endpoint, start, journal, receiver, tools
):
    random = Random(7)
    receiver.answer = lambda _got: random.choice([204, 204, 204, 500, 500, 404])
    await journal.say_all([random.choice(SUBJECTS) for _ in range(300)])
    await start(0, *[0.03] * 30)
    await tools.poll(all_arrived(receiver, journal), within_s=40)
    receiver.assert_in_order_and_same()
    assert receiver.overlaps == 0
    assert all(sequence == list(range(1, len(sequence) + 1)) for sequence in receiver.sequences().values())
    await tools.poll(lambda: _nothing_waits(journal.database))


async def _nothing_waits(database: Any) -> bool:
    return not await count(database, "parked") and not await count(database, "lane_backlog")


async def test_a_failing_subject_parks_alone_while_the_others_flow(endpoint, start, journal, receiver, tools):
    poison = SUBJECTS[0]
    broken = True
    receiver.answer = lambda got: 500 if got.subject == poison and broken else 204
    for _ in range(20):
        await journal.say_all(SUBJECTS)
    await start(0, *[0.3] * 50)
    others = {name for name, subject in zip(journal.ids, SUBJECTS * 20, strict=True) if subject != poison}
    await tools.poll(lambda: {got.id for got in receiver.acknowledged} >= others)
    await tools.poll(lambda: count(journal.database, "lane_backlog where subject = 'item/RK0FR' having count(*) = 19"))
    assert await count(journal.database, "parked") == 1
    assert {got.id for got in receiver.got if got.subject == poison} == {journal.ids[0]}
    broken = False
    await tools.poll(all_arrived(receiver, journal))
    receiver.assert_in_order_and_same()
    await tools.poll(lambda: _nothing_waits(journal.database))


async def test_a_long_backlog_of_a_parked_subject_drains_in_order_while_new_events_come(
    endpoint, start, journal, receiver, tools
):
    broken = True
    receiver.answer = lambda _got: 500 if broken else 204
    await journal.say_all([SUBJECTS[0]] * 350)
    await start(0, *[0.05] * 200)
    await tools.poll(lambda: count(journal.database, "lane_backlog having count(*) = 349"))
    broken = False
    for _ in range(20):
        await journal.say(SUBJECTS[0])
    await tools.poll(all_arrived(receiver, journal))
    assert [got.sequence for got in receiver.acknowledged] == list(range(1, 371))


async def test_an_exhausted_schedule_is_recorded_and_the_subject_goes_on(endpoint, start, journal, receiver, tools):
    receiver.answer = lambda got: 400 if got.sequence == 2 else 204
    await journal.say_all([SUBJECTS[0]] * 4)
    await start(0, 0.02, 0.02)
    await tools.poll(lambda: [got.sequence for got in receiver.acknowledged] == [1, 3, 4])
    await tools.poll(lambda: count(journal.database, "dead_letter"))
    async with journal.database.acquire() as connection:
        row = await connection.fetchrow("select event_id, subject, reason, attempts from dead_letter")
    assert tuple(row) == (journal.ids[1], SUBJECTS[0], "status 400", 3)
    assert Counter(got.sequence for got in receiver.got)[2] == 3
    await tools.poll(lambda: _nothing_waits(journal.database))


async def test_an_endpoint_that_is_down_stops_its_cursor_and_goes_on_where_it_stood(
    endpoint, start, journal, receiver, tools
):
    await start(0, 0.2, 0.3, 0.4)
    await journal.say_all(SUBJECTS)
    await tools.poll(all_arrived(receiver, journal))
    await receiver.stop()
    await journal.say(SUBJECTS[0])
    await tools.poll(lambda: count(journal.database, "lane where opened_at is not null"))
    stood = await cursors(journal.database)
    await journal.say_all(SUBJECTS[1:] * 20)
    probes = await count(journal.database, "attempt")
    await tools.poll(lambda: _more_attempts(journal.database, probes + 2))
    assert await cursors(journal.database) == stood
    assert await count(journal.database, "parked") <= 3
    assert await count(journal.database, "lane_backlog") == 0
    await receiver.start()
    await tools.poll(all_arrived(receiver, journal))
    receiver.assert_in_order_and_same()
    assert await count(journal.database, "dead_letter") == 0
    await tools.poll(lambda: count(journal.database, "lane where opened_at is null"))


async def _more_attempts(database: Any, least: int) -> bool:
    return await count(database, "attempt") >= least


async def test_an_endpoint_that_answers_500_to_everything_is_probed_one_at_a_time_and_loses_nothing(
    endpoint, start, journal, receiver, tools
):
    broken, at_once = True, []
    receiver.delay_s = 0.01

    def answer(_got: Any) -> int:
        at_once.append(sum(receiver.open.values()))
        return 500 if broken else 204

    receiver.answer = answer
    await journal.say_all([f"pouch/P-{number}" for number in range(100)])
    await start(0, 30, 0.1, 0.1)
    await tools.poll(lambda: count(journal.database, "lane where opened_at is not null"))
    await tools.poll(lambda: not sum(receiver.open.values()))
    at_once.clear()
    await tools.poll(lambda: len(at_once) >= 8)
    assert set(at_once) == {1}
    assert await count(journal.database, "parked") < 20
    broken = False
    await tools.poll(lambda: count(journal.database, "lane where opened_at is null"))
    await tools.poll(lambda: len({got.id for got in receiver.acknowledged}) >= 80)
    assert await count(journal.database, "dead_letter") == 0


async def test_a_receiver_that_asks_for_time_with_429_gets_it(endpoint, start, journal, receiver, tools):
    times: list[float] = []

    def answer(_got: Any) -> web.Response | int:
        times.append(time.monotonic())
        return web.Response(status=429, headers={"Retry-After": "1"}) if len(times) == 1 else 204

    receiver.answer = answer
    await start(0, 0.01, 0.01)
    await journal.say(SUBJECTS[0])
    await tools.poll(lambda: times)
    await journal.say_all(SUBJECTS[1:4])
    await tools.poll(all_arrived(receiver, journal))
    assert times[1] - times[0] >= 1


async def test_410_disables_the_endpoint_and_keeps_what_it_did_not_take(
    endpoint, endpoints, start, journal, receiver, tools
):
    receiver.answer = lambda _got: 410
    await journal.say_all([SUBJECTS[0]] * 2)
    await start(0, 0.01, 0.01)
    await tools.poll(lambda: count(journal.database, "endpoint where state = 'disabled' and reason = 'gone'"))
    await tools.poll(lambda: count(journal.database, "lane where owner is null"))
    assert len(receiver.got) == 1
    receiver.answer = lambda _got: 204
    await endpoints.resume(tools.account, endpoint.id)
    await tools.poll(all_arrived(receiver, journal))
    assert [got.sequence for got in receiver.acknowledged] == [1, 2]


async def test_a_slow_head_is_parked_in_flight_and_not_sent_twice(endpoint, start, journal, receiver, tools):
    waiting = asyncio.Event()
    take = receiver._take

    async def answer(request: web.Request) -> web.Response:
        body = await request.text()
        if SUBJECTS[0] in body and '"n":1' in body:
            await waiting.wait()
        return await take(request)

    await receiver.stop()
    receiver._take = answer
    await receiver.start()
    async with journal.database.acquire() as connection:
        await connection.execute("update endpoint set url = $1", receiver.url)
    await journal.say_all([SUBJECTS[0], SUBJECTS[1], SUBJECTS[0]])
    await start(0, 5, slow_s=0.1)
    await tools.poll(lambda: count(journal.database, "parked where reason = 'slow'"))
    await tools.poll(lambda: count(journal.database, "lane_backlog"))
    assert [got.subject for got in receiver.got] == [SUBJECTS[1]]
    waiting.set()
    await tools.poll(all_arrived(receiver, journal))
    assert Counter(got.id for got in receiver.got) == Counter(journal.ids)
    receiver.assert_in_order_and_same()


async def test_a_rotated_key_signs_beside_the_old_one_under_load(endpoint, endpoints, start, journal, receiver, tools):
    await start()
    new = None
    for turn in range(10):
        await journal.say_all(SUBJECTS)
        if turn == 4:
            new = await endpoints.rotate(tools.account, endpoint.id)
    await tools.poll(all_arrived(receiver, journal))
    name = await journal.say(SUBJECTS[0])
    await tools.poll(lambda: any(got.id == name for got in receiver.got))
    for got in receiver.got:
        assert verify([endpoint.secret], got.headers, got.body, now=time.time()) == got.id
    assert new is not None
    last = receiver.got[-1]
    assert verify([new], last.headers, last.body, now=time.time()) == name
    assert len(last.headers["webhook-signature"].split(" ")) == 2


async def test_a_key_that_was_replaced_at_once_signs_no_more(endpoint, endpoints, start, journal, receiver, tools):
    new = await endpoints.rotate(tools.account, endpoint.id, overlap_s=0)
    await journal.say(SUBJECTS[0])
    await start()
    await tools.poll(lambda: receiver.got)
    got = receiver.got[0]
    assert verify([new], got.headers, got.body, now=time.time()) == got.id
    with pytest.raises(BadSignature):
        verify([endpoint.secret], got.headers, got.body, now=time.time())


async def test_a_paused_endpoint_gets_nothing_until_it_is_resumed(endpoint, endpoints, start, journal, receiver, tools):
    await start()
    await tools.poll(lambda: count(journal.database, "lane where owner is not null"))
    await endpoints.pause(tools.account, endpoint.id)
    await tools.poll(lambda: count(journal.database, "lane where owner is null"))
    await journal.say_all(SUBJECTS)
    other, _ = await endpoints.create(tools.account, receiver.url, types=[], start=None, thin=False)
    marker = await journal.say("item/marker")  # the second endpoint gets this one; the paused one gets nothing
    await tools.poll(lambda: receiver.got)
    assert [got.id for got in receiver.got] == [marker]
    await endpoints.remove(tools.account, other.id)
    await endpoints.resume(tools.account, endpoint.id)
    await tools.poll(all_arrived(receiver, journal))


async def test_a_revoked_account_gets_nothing_any_more(endpoint, start, journal, receiver, tools):
    await start()
    await journal.say(SUBJECTS[0])
    await tools.poll(lambda: receiver.got)
    async with journal.database.acquire() as connection:
        await connection.execute("update account set revoked_at = now()")
    started = time.monotonic()
    await tools.poll(lambda: count(journal.database, "lane where owner is null"))
    assert time.monotonic() - started < 5
    await journal.say(SUBJECTS[0])
    await tools.poll(lambda: count(journal.database, "lane where leased_until < now() and owner is null"))
    assert len(receiver.got) == 1


async def test_a_deleted_endpoint_leaves_nothing_behind(endpoint, endpoints, start, journal, receiver, tools):
    receiver.answer = lambda _got: 500
    await journal.say_all([SUBJECTS[0]] * 3)
    dispatcher = await start(0, 60)
    await tools.poll(lambda: count(journal.database, "lane_backlog"))
    await endpoints.remove(tools.account, endpoint.id)
    await tools.poll(lambda: not dispatcher.owned)
    for table in ("endpoint", "endpoint_secret", "lane", "cursor", "parked", "lane_backlog"):
        assert await count(journal.database, table) == 0, table


async def test_the_log_of_attempts_says_what_happened(endpoint, endpoints, start, journal, receiver, tools):
    answers = iter([web.Response(status=500, body=b"x" * 9000), web.Response(status=204)])
    receiver.answer = lambda _got: next(answers)
    await journal.say(SUBJECTS[0])
    await start(0, 0.01)
    await tools.poll(lambda: _more_attempts(journal.database, 2))
    from datetime import UTC, datetime

    search = Search(since=datetime(2000, 1, 1, tzinfo=UTC), before=(datetime(2999, 1, 1, tzinfo=UTC), "", 0))
    found = await endpoints.attempts(tools.account, endpoint.id, search, limit=10)
    assert [(each.n, each.status, len(each.body)) for each in found] == [(2, 204, 0), (1, 500, 4096)]
    assert {each.event_id for each in found} == set(journal.ids)


async def test_what_waits_in_memory_when_its_person_is_erased_goes_out_as_erased(
    endpoint, start, journal, receiver, tools
):
    broken, asked = True, []

    def answer(got: Any) -> int:
        asked.append(got)
        return 500 if broken else 204

    receiver.answer, receiver.delay_s = answer, 0.01
    await journal.say_all([f"pouch/P-{number}" for number in range(100)], sealed={"personal": {"name": "Lacanarie"}})
    await start(0, 30, 0.1, 0.1, body_kept_s=0.0)
    await tools.poll(lambda: count(journal.database, "lane where opened_at is not null"))
    async with journal.database.acquire() as connection:
        await connection.execute("update person_key set wrapped = null, destroyed_at = now()")
    asked.clear()
    await tools.poll(lambda: len(asked) >= 3)  # what was on its way has been answered
    broken = False
    await tools.poll(lambda: len({got.id for got in receiver.acknowledged}) >= 80)
    assert not [got.id for got in receiver.acknowledged if b"Lacanarie" in got.body]
    assert all(b'"erased":true' in got.body for got in receiver.acknowledged)
