"""Who owns an endpoint, and what a crash, a sleep or a neighbour may cost."""

from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime
from random import Random
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest

from fieldsvc.store import lanes
from fieldsvc.store.lanes import Changes, DeadLetter, ParkedRow

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


async def test_a_killed_dispatcher_sends_at_most_the_span_again_with_the_same_ids_and_bodies(
    endpoint, start, crash, journal, receiver, tools
):
    random = Random(3)
    receiver.answer = lambda _got: 204 if random.random() < 0.9 else 500
    span, kills = 40, 8
    for kill in range(kills):
        await journal.say_all([random.choice(SUBJECTS) for _ in range(60)])
        dispatcher = await start(0, *[0.02] * 40, lease_s=0.6, span=span)
        seen = len(receiver.got)
        await tools.poll(lambda seen=seen: len(receiver.got) >= seen + 25)
        await crash(dispatcher)
        assert kill < kills
    await start(0, *[0.02] * 40, lease_s=0.6, span=span)
    await tools.poll(all_arrived(receiver, journal), within_s=30)
    receiver.assert_in_order_and_same()
    again = len(receiver.acknowledged) - len({got.id for got in receiver.acknowledged})
    assert again <= kills * (span + 8)
    assert await count(journal.database, "dead_letter") == 0


async def test_parked_subjects_survive_a_kill(endpoint, start, crash, journal, receiver, tools):
    receiver.answer = lambda got: 500 if got.subject == SUBJECTS[0] else 204
    await journal.say_all([SUBJECTS[0], SUBJECTS[1], SUBJECTS[0]])
    dispatcher = await start(0, 3600, lease_s=0.4)
    await tools.poll(lambda: count(journal.database, "lane_backlog"))
    await crash(dispatcher)
    before = len(receiver.got)
    await start(0, 3600, lease_s=0.4)
    name = await journal.say(SUBJECTS[1])
    await tools.poll(lambda: any(got.id == name for got in receiver.got))
    assert {got.subject for got in receiver.got[before:]} == {SUBJECTS[1]}  # the parked head is not due


async def test_a_dispatcher_that_stops_finishes_and_the_next_one_repeats_nothing(
    endpoint, start, journal, receiver, tools
):
    receiver.delay_s = 0.01
    await journal.say_all(SUBJECTS * 10)
    dispatcher = await start()
    await tools.poll(lambda: len(receiver.got) > 30)
    await dispatcher.stop()
    assert await count(journal.database, "lane where owner is null and leased_until <= now()") == 1
    await start()
    await tools.poll(all_arrived(receiver, journal))
    assert Counter(got.id for got in receiver.got) == Counter(journal.ids)
    receiver.assert_in_order_and_same()


async def test_two_dispatchers_never_own_one_endpoint_and_hand_it_over(
    endpoint, start, crash, journal, receiver, tools
):
    first = await start(lease_s=1.0)
    await tools.poll(lambda: first.owned)
    second = await start(lease_s=1.0)
    for _ in range(5):
        await journal.say_all(SUBJECTS)
        await tools.poll(all_arrived(receiver, journal))
        assert len(first.owned) + len(second.owned) == 1
    assert Counter(got.id for got in receiver.got) == Counter(journal.ids)
    await crash(first)
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: second.owned)
    await tools.poll(all_arrived(receiver, journal))
    receiver.assert_in_order_and_same()


async def test_an_owner_that_slept_past_its_lease_can_save_nothing(endpoint, start, journal, receiver, tools):
    database = journal.database
    sleeper = await start(lease_s=1.0)
    await tools.poll(lambda: sleeper.owned)
    stale = next(iter(sleeper._lanes.values())).epoch
    async with database.acquire() as connection:  # as if it had been stopped, and its lease had run out
        await connection.execute("update lane set leased_until = now() - interval '1 second'")
    await lanes.claim(database, owner := uuid4(), lease_s=60, most=10)
    before = await cursors(database)
    day = before[0][1].replace(year=2030)
    now = datetime.now(UTC)
    moved = Changes(endpoint.id, stale, cursors=dict.fromkeys(range(4), (day, 99)))
    moved.parked = [ParkedRow(SUBJECTS[0], 0, (day, 1), 1, now, "status 500", now)]
    moved.backlog = [(SUBJECTS[0], 0, (day, 2))]
    moved.dead = [DeadLetter("evt_x", SUBJECTS[0], 0, (day, 3), "status 500", 9)]
    moved.breaker = (now, now, 3, now, now, now, 50)
    assert await lanes.save(database, sleeper.owner, [moved]) == set()
    assert await lanes.save(database, owner, [moved]) == set()  # the right owner with a stale epoch neither
    assert await cursors(database) == before
    for table in ("parked", "lane_backlog", "dead_letter", "lane where opened_at is not null"):
        assert await count(database, table) == 0, table
    await tools.poll(lambda: not sleeper.owned)
    moved.epoch = stale + 1
    assert await lanes.save(database, owner, [moved]) == {endpoint.id}
    assert await cursors(database) != before


async def test_one_dead_endpoint_does_not_slow_the_others(endpoints, start, journal, receiver, tools):
    dead = tools.receiver()
    await dead.start()
    await dead.stop()
    for _ in range(5):
        await endpoints.create(tools.account, dead.url, types=[], start="oldest", thin=False)
    await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    await start(0, 0.05, 0.1)
    await journal.say_all(SUBJECTS * 5)
    await tools.poll(all_arrived(receiver, journal), within_s=5)
    assert Counter(got.id for got in receiver.got) == Counter(journal.ids)


async def test_an_event_that_retention_took_before_it_was_sent_is_recorded(endpoint, start, journal, receiver, tools):
    broken = True
    receiver.answer = lambda _got: 500 if broken else 204
    await journal.say_all([SUBJECTS[0]] * 3)
    await start(0, *[0.1] * 99)
    await tools.poll(lambda: count(journal.database, "lane_backlog having count(*) = 2"))
    async with journal.database.acquire() as connection:
        await connection.execute("delete from event where subject_seq in (1, 2)")
    await tools.poll(lambda: count(journal.database, "dead_letter where reason = 'retention' having count(*) = 2"))
    broken = False
    await tools.poll(lambda: receiver.acknowledged)
    assert [got.sequence for got in receiver.acknowledged] == [3]


async def test_saves_that_fail_at_random_lose_nothing_and_invert_nothing(
    endpoint, start, journal, receiver, tools, monkeypatch
):
    random, save = Random(11), lanes.save

    async def fragile(*args: Any) -> set[str]:
        if random.random() < 0.3:
            raise TimeoutError
        held = await save(*args)
        if random.random() < 0.1:
            raise ConnectionError  # committed, but nobody knows
        return held

    monkeypatch.setattr(lanes, "save", fragile)
    receiver.answer = lambda _got: random.choice([204, 204, 500])
    await start(0, *[0.02] * 60)
    for _ in range(10):
        await journal.say_all([random.choice(SUBJECTS[:4]) for _ in range(30)])
        await tools.poll(all_arrived(receiver, journal), within_s=40)
    receiver.assert_in_order_and_same()
    assert await count(journal.database, "dead_letter") == 0
    monkeypatch.setattr(lanes, "save", save)

    async def nothing_waits() -> bool:
        return not await count(journal.database, "parked") and not await count(journal.database, "lane_backlog")

    await tools.poll(nothing_waits)


async def test_one_save_writes_what_an_earlier_one_could_not_and_everything_since(start, tools, monkeypatch):
    written: list[Changes] = []

    async def save(_database: Any, _owner: Any, changes: list[Changes]) -> set[str]:
        written.extend(changes)
        return {each.endpoint for each in changes}

    class FailedOnce:
        unsaved: Changes | None = Changes("ep", 1, passed=1)
        newer: list[Changes] = [Changes("ep", 1, passed=2)]  # noqa: RUF012 - one lane of one test

        def collect(self) -> Changes | None:
            if self.unsaved is None and self.newer:
                self.unsaved = self.newer.pop()
            return self.unsaved

        def saved(self) -> None:
            self.unsaved = None

    dispatcher = await start()
    await tools.stop(dispatcher.job)
    monkeypatch.setattr(lanes, "save", save)
    dispatcher._lanes = {"ep": FailedOnce()}
    await dispatcher._save()
    assert [each.passed for each in written] == [1, 2]


async def test_a_new_process_gets_its_share_and_hands_it_back_when_it_leaves(
    endpoints, start, journal, receiver, tools
):
    for _ in range(8):
        await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    first = await start(lease_s=1.0)
    await tools.poll(lambda: len(first.owned) == 8)
    second = await start(lease_s=1.0)
    await tools.poll(lambda: (len(first.owned), len(second.owned)) == (4, 4))
    assert not first.owned & second.owned
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: len(receiver.got) == 8 * len(SUBJECTS))
    assert set(Counter(got.id for got in receiver.got).values()) == {8}  # nothing was sent again at the hand-over
    await second.stop()
    await tools.poll(lambda: len(first.owned) == 8)


async def test_the_lanes_of_a_killed_process_move_to_the_others(endpoints, start, crash, journal, receiver, tools):
    for _ in range(4):
        await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    first, second = await start(lease_s=1.0), await start(lease_s=1.0)
    await tools.poll(lambda: (len(first.owned), len(second.owned)) == (2, 2))
    await crash(second)
    await tools.poll(lambda: len(first.owned) == 4)


async def test_a_process_that_may_no_longer_send_has_no_share_of_the_lanes(endpoints, start, journal, receiver, tools):
    for _ in range(4):
        await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    seen = "insert into dispatcher (owner, seen_at) values ($1, now() - interval '350 seconds')"
    await journal.database.pool.execute(seen, uuid4())
    only = await start(lease_s=400.0)  # it may send for 300 s after it was seen
    await tools.poll(lambda: len(only.owned) == 4)


async def test_sockets_are_shared_evenly_over_lanes_and_hosts(endpoints, journal, start, receiver, tools):
    for _ in range(3):
        await endpoints.create(tools.account, receiver.url, types=[], start="oldest", thin=False)
    other = tools.receiver()
    await other.start()
    await endpoints.create(tools.account, other.url, types=[], start="oldest", thin=False)
    dispatcher = await start()
    dispatcher._pace = replace(dispatcher._pace, sockets=20, sockets_per_host=6)
    await tools.poll(lambda: sorted(lane.share for lane in dispatcher._lanes.values()) == [2, 2, 2, 5])
    await other.stop()
