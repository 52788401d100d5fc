"""Several events in one request: which ones, under which id, and what becomes of them when it fails."""

import asyncio
import time
from collections import Counter, defaultdict
from random import Random
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from aiohttp import web

from fieldsvc.journal.memory import shard_of
from fieldsvc.publishing.runs import batch_id
from fieldsvc.publishing.signing import verify

SUBJECTS = [f"item/RK{number}FR" for number in range(12)]


class Receiver:
    """A subscriber that takes batches and single events, and notes what it acknowledged."""

    def __init__(self) -> None:
        self.requests: list[tuple[dict[str, str], bytes, list[dict[str, Any]], bool]] = []
        self.answer: Any = lambda _events: 204
        self.open: Counter[str] = Counter()
        self.overlaps = 0
        self.url = ""
        self.runner: web.AppRunner | None = None

    async def start(self) -> None:
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app.router.add_post("/hook", self.take)
        self.runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self.runner.addresses[0][1]}/hook"

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        parsed = orjson.loads(body)
        events = parsed if isinstance(parsed, list) else [parsed]
        subjects = {event["subject"] for event in events}
        self.open.update(subjects)
        self.overlaps += any(self.open[subject] > 1 for subject in subjects)
        try:
            status = self.answer(events)
            status = await status if not isinstance(status, int) else status
        finally:
            self.open.subtract(subjects)
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.requests.append((headers, body, events, 200 <= status < 300))
        return web.Response(status=status)

    @property
    def acknowledged(self) -> list[str]:
        return [event["id"] for _headers, _body, events, ok in self.requests if ok for event in events]

    def assert_in_order(self) -> None:
        """Every subject in the order of its sequence, by first acknowledged occurrences; one request of a subject at a time."""
        seen, found = set(), defaultdict(list)
        for _headers, _body, events, ok in self.requests:
            for event in events if ok else []:
                if event["id"] not in seen:
                    seen.add(event["id"])
                    found[event["subject"]].append(int(event["sequence"]))
        assert all(sequence == sorted(sequence) for sequence in found.values())
        assert self.overlaps == 0

    def assert_ids_name_the_same_events(self) -> None:
        """One id, one list of events, whenever it was sent."""
        named = defaultdict(set)
        for headers, _body, events, _ok in self.requests:
            ids = tuple(event["id"] for event in events)
            name = headers["webhook-id"]
            named[name].add(ids)
            assert name == (ids[0] if len(ids) == 1 else batch_id(ids))
        assert all(len(each) == 1 for each in named.values())


@pytest.fixture
async def batches():
    subscriber = Receiver()
    await subscriber.start()
    yield subscriber
    assert subscriber.runner is not None
    await subscriber.runner.cleanup()


@pytest.fixture
async def endpoint(endpoints, journal, batches, tools):
    made, secret = await endpoints.create(tools.account, batches.url, types=[], start="oldest", thin=False)
    await options(journal, batch=100)
    return SimpleNamespace(id=made.id, secret=secret)


async def options(journal: Any, **values: Any) -> None:
    named = ", ".join(f"{name} = ${number}" for number, name in enumerate(values, start=1))
    async with journal.database.acquire() as connection:
        await connection.execute(f"update endpoint set {named}, version = version + 1", *values.values())


def all_arrived(batches: Receiver, journal: Any) -> Any:
    return lambda: set(batches.acknowledged) >= set(journal.ids)


async def test_a_backlog_goes_out_in_batches_signed_as_one_message_in_order(endpoint, start, journal, batches, tools):
    random = Random(5)
    await journal.say_all([random.choice(SUBJECTS) for _ in range(900)])
    await start()
    await tools.poll(all_arrived(batches, journal))
    batches.assert_in_order()
    batches.assert_ids_name_the_same_events()
    assert Counter(batches.acknowledged) == Counter(journal.ids)
    assert len(batches.requests) <= 24  # four shards, a hundred each
    for headers, body, events, _ok in batches.requests:
        assert verify([endpoint.secret], headers, body, now=time.time()) == headers["webhook-id"]
        kind = "cloudevents" if len(events) == 1 else "cloudevents-batch"
        assert headers["content-type"] == f"application/{kind}+json; charset=utf-8"


async def test_a_single_event_does_not_wait_for_company(endpoint, start, journal, batches, tools):
    await start()
    await tools.poll(lambda: _count(journal.database, "lane where owner is not null"))
    name = await journal.say(SUBJECTS[0])
    await tools.poll(lambda: batches.requests, within_s=5)
    assert batches.requests[0][0]["webhook-id"] == name
    assert batches.requests[0][0]["content-type"].startswith("application/cloudevents+json")


async def test_a_batch_holds_at_most_256_kib(endpoint, start, journal, batches, tools):
    await journal.say_all([SUBJECTS[0]] * 12, public={"note": "x" * 60_000})
    await start()
    await tools.poll(all_arrived(batches, journal))
    batches.assert_in_order()
    assert {len(body) for _headers, body, _events, _ok in batches.requests if len(body) > 256 * 1024} == set()
    assert Counter(len(events) for _headers, _body, events, _ok in batches.requests) == {4: 3}


async def test_a_batch_that_fails_is_sent_one_by_one_and_only_the_poison_is_parked(
    endpoint, start, journal, batches, tools
):
    poison = SUBJECTS[0]
    batches.answer = lambda events: 500 if any(event["subject"] == poison for event in events) else 204
    for _ in range(5):
        await journal.say_all(SUBJECTS)
    others = {name for name, subject in zip(journal.ids, SUBJECTS * 5, strict=True) if subject != poison}
    await start(0, 60)
    await tools.poll(lambda: set(batches.acknowledged) >= others)
    await tools.poll(lambda: _count(journal.database, "lane_backlog having count(*) = 4"))
    assert await _count(journal.database, "parked") == 1
    await journal.say_all(SUBJECTS[1:] * 30)
    await tools.poll(lambda: set(batches.acknowledged) >= set(journal.ids[60:]))
    batches.assert_in_order()
    batches.assert_ids_name_the_same_events()
    failed = [events for _headers, _body, events, ok in batches.requests if not ok]
    assert sorted(len(events) > 1 for events in failed) == [False, True]
    assert failed[1][0]["id"] == journal.ids[0]


async def test_order_and_ids_hold_under_failures_and_crashes(endpoint, start, crash, journal, batches, tools):
    random = Random(11)
    batches.answer = lambda _events: random.choice([204, 204, 204, 500])
    for _ in range(5):
        await journal.say_all([random.choice(SUBJECTS) for _ in range(150)])
        dispatcher = await start(0, *[0.02] * 60, lease_s=0.6, span=120)
        seen = len(batches.acknowledged)
        await tools.poll(lambda seen=seen: len(batches.acknowledged) >= seen + 60)
        await crash(dispatcher)
    await start(0, *[0.02] * 60, lease_s=0.6, span=120)
    await tools.poll(all_arrived(batches, journal), within_s=40)
    batches.open.clear()
    again = len(batches.acknowledged) - len(set(batches.acknowledged))
    assert again <= 5 * 120
    batches.overlaps = 0  # what a killed process had under way may overlap with what its successor sends
    batches.assert_in_order()
    batches.assert_ids_name_the_same_events()


async def test_a_batch_that_came_too_soon_is_sent_again_as_it_was(endpoint, start, journal, batches, tools):
    answers = iter([429])
    batches.answer = lambda _events: next(answers, 204)
    await journal.say_all([SUBJECTS[0]] * 50)
    await start(0, *[0.05] * 20)
    await tools.poll(all_arrived(batches, journal))
    assert [headers["webhook-id"] for headers, _body, _events, _ok in batches.requests] == [batch_id(journal.ids)] * 2
    assert batches.requests[0][1] == batches.requests[1][1]


async def test_a_batch_that_always_comes_too_soon_is_taken_apart(endpoint, start, journal, batches, tools):
    batches.answer = lambda events: 429 if len(events) > 1 else 204
    await journal.say_all([SUBJECTS[0]] * 4)
    await start(0, *[0.05] * 20)
    await tools.poll(all_arrived(batches, journal), within_s=30)
    assert [len(events) for _headers, _body, events, _ok in batches.requests] == [4, 4, 1, 1, 1, 1]
    batches.assert_in_order()
    batches.assert_ids_name_the_same_events()


async def test_an_id_names_the_same_events_when_other_types_are_wanted_while_nobody_knows_of_a_batch(
    endpoint, start, crash, journal, batches, tools
):
    async def hang() -> int:
        await asyncio.sleep(60)
        return 204

    batches.answer = lambda _events: hang()
    await options(journal, batch=2)
    names = [await journal.say(SUBJECTS[0], type_=f"item.{end}") for end in ("delivered", "refused", "delivered")]
    dispatcher = await start(lease_s=0.6)
    await tools.poll(lambda: batches.open[SUBJECTS[0]])
    await options(journal, types=["item.delivered"])
    await crash(dispatcher)
    batches.open.clear()
    batches.answer = lambda _events: 204
    await start(lease_s=0.6)
    await tools.poll(lambda: batches.acknowledged)
    headers, _body, events, _ok = batches.requests[-1]
    assert [event["id"] for event in events] == [names[0], names[2]]
    assert headers["webhook-id"] == batch_id([names[0], names[2]]) != batch_id(names[:2])


async def test_a_batch_that_hangs_does_not_hold_up_other_subjects_of_its_shard(
    endpoint, start, journal, batches, tools
):
    released = asyncio.Event()
    other = next(name for number in range(99) if shard_of(name := f"item/O{number}") == shard_of(SUBJECTS[0]))

    def answer(events: list[dict[str, Any]]) -> Any:
        return hang() if events[0]["subject"] == SUBJECTS[0] else 204

    async def hang() -> int:
        await released.wait()
        return 204

    batches.answer = answer
    await journal.say_all([SUBJECTS[0]] * 3)
    await start(slow_s=0.2)
    await tools.poll(lambda: batches.open[SUBJECTS[0]])
    names = await journal.say_all([other] * 2)
    await tools.poll(lambda: batches.acknowledged == names)
    released.set()
    await tools.poll(all_arrived(batches, journal))
    batches.assert_in_order()
    assert Counter(batches.acknowledged) == Counter(journal.ids)


async def test_in_mode_parallel_batches_need_no_order_and_nothing_is_lost(endpoint, start, journal, batches, tools):
    random = Random(2)
    await options(journal, mode="parallel")
    batches.answer = lambda events: 500 if len(events) > 1 and random.random() < 0.3 else 204
    await journal.say_all([random.choice(SUBJECTS[:2]) for _ in range(600)])
    await start(0, *[0.02] * 20)
    await tools.poll(all_arrived(batches, journal))
    batches.assert_ids_name_the_same_events()


async def test_an_endpoint_that_is_down_is_probed_with_one_event_at_a_time(endpoint, start, journal, batches, tools):
    broken = True
    batches.answer = lambda _events: 500 if broken else 204
    await journal.say_all([f"pouch/P-{number}" for number in range(300)])
    await start(0, 30, 0.1, 0.1)
    await tools.poll(lambda: _count(journal.database, "lane where opened_at is not null"))
    seen = len(batches.requests)
    await tools.poll(lambda: len(batches.requests) >= seen + 5)
    assert {len(events) for _headers, _body, events, _ok in batches.requests[-3:]} == {1}
    broken = False
    await tools.poll(lambda: _count(journal.database, "lane where opened_at is null"))
    await tools.poll(lambda: len(set(batches.acknowledged)) >= 270)
    assert await _count(journal.database, "dead_letter") == 0


async def _count(database: Any, table: str) -> int:
    async with database.acquire() as connection:
        return int(await connection.fetchval(f"select count(*) from {table}") or 0)
