"""Faults of broker, publisher and store: nothing lost, nothing out of order within a subject, nothing stored twice.

The planted tests at the end take a guard away and find what it guards against: otherwise the ones before would prove nothing.
"""

import asyncio
import signal
from datetime import timedelta
from typing import Any
from uuid import uuid4

import pytest

from fieldsvc.publishing.streams import broker as speaking
from fieldsvc.publishing.streams import shard as publishing
from fieldsvc.publishing.streams.broker import Broker, BrokerGone, StreamLimits
from fieldsvc.publishing.streams.messages import STREAM
from fieldsvc.publishing.streams.resuming import Resume
from fieldsvc.store import streams
from fieldsvc.store.database import Database
from tests.sizes import sized

SUBJECTS = [f"item/S{number}" for number in range(12)]
WINDOW_S = 0.2
SHORT = StreamLimits(duplicate_window=timedelta(seconds=WINDOW_S))


def told(logs: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [each for each in logs if each["event"] == event]


class Writing:
    """Commits events until it is told to stop."""

    def __init__(self, journal: Any) -> None:
        self._journal = journal
        self._job = asyncio.create_task(self._write())
        self._over = asyncio.Event()

    async def _write(self) -> None:
        while not self._over.is_set():
            await self._journal.say_all(SUBJECTS)
            await asyncio.sleep(0.005)

    async def stop(self) -> int:
        self._over.set()
        await self._job
        return len(self._journal.ids)


def has(broker: Any, count: int) -> Any:
    async def enough() -> bool:
        return bool(await broker.count() >= count)

    return enough


def lose_acknowledgements(monkeypatch: pytest.MonkeyPatch, *, count: int, then: Any = lambda: None) -> list[int]:
    """Have the first batches stored, and the publisher never know."""
    publish, lost = Broker.publish, list[int]()

    async def unheard(self: Broker, shard: int, messages: Any, *, after: int) -> int:
        sequence = await publish(self, shard, messages, after=after)
        if len(lost) < count:
            lost.append(sequence)
            then()
            raise BrokerGone("lost")
        return sequence

    monkeypatch.setattr(Broker, "publish", unheard)
    return lost


async def test_a_broker_killed_again_and_again_while_it_is_written_has_everything_once_and_in_order(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    sink, writing = await begin(pace={"batch": 7}, limits=SHORT), Writing(journal)
    for _ in range(sized(3, 20)):
        seen = sink.published
        await tools.poll(lambda seen=seen: sink.published > seen + 30, within_s=20)
        broker.kill()
        await broker.start()
    count = await writing.stop()
    await tools.poll(has(broker, count), within_s=30)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_broker_that_comes_back_empty_is_filled_again_from_the_oldest_row(
    begin: Any, broker: Any, journal: Any, kit: Any, tools: Any
) -> None:
    sink = await begin(pace={"batch": 7})
    await journal.say_all(SUBJECTS * 4)
    await tools.poll(lambda: sink.published == 48)
    for _ in range(sized(1, 20)):
        broker.kill()
        broker.empty()
        await broker.start()
        await journal.say_all(SUBJECTS)
        await tools.poll(has(broker, len(journal.ids)), within_s=30)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_broker_that_stands_still_for_longer_than_anybody_waits_stores_nothing_twice(
    begin: Any, broker: Any, journal: Any, kit: Any, logs: Any, tools: Any
) -> None:
    sink, writing = await begin(pace={"batch": 7, "answer_s": 0.3}, limits=SHORT), Writing(journal)
    for _ in range(sized(1, 10)):
        seen, faults = sink.published, len(told(logs, "stream.broker_fault"))
        await tools.poll(lambda seen=seen: sink.published > seen + 30, within_s=20)
        broker.signal(signal.SIGSTOP)
        await tools.poll(lambda faults=faults: len(told(logs, "stream.broker_fault")) > faults, within_s=20)
        broker.signal(signal.SIGCONT)
    count = await writing.stop()
    await tools.poll(has(broker, count), within_s=30)
    kit.whole(await broker.stored(), journal.ids)


async def test_a_lost_acknowledgement_is_found_at_the_broker_and_nothing_is_sent_again(
    begin: Any, broker: Any, journal: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    lost = lose_acknowledgements(monkeypatch, count=5)
    await journal.say_all(SUBJECTS * 5)
    await begin(pace={"batch": 3}, limits=SHORT)
    await tools.poll(has(broker, 60), within_s=20)
    assert len(lost) == 5
    kit.whole(await broker.stored(), journal.ids)


async def test_a_batch_whose_acknowledgement_was_lost_before_the_window_of_known_ids_ended_is_not_stored_again(
    begin: Any, broker: Any, journal: Any, kit: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    await _lost_until_the_window_ends(begin, broker, journal, monkeypatch, tools)
    kit.whole(await broker.stored(), journal.ids)


async def _lost_until_the_window_ends(
    begin: Any, broker: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    lost = lose_acknowledgements(monkeypatch, count=1, then=broker.kill)
    sink = await begin(limits=SHORT)
    await journal.say_all(["item/S1"] * 20)
    await tools.poll(lambda: lost)
    await asyncio.sleep(WINDOW_S * 2)
    await broker.start()
    await journal.say("item/S1")
    await tools.poll(lambda: sink.published >= 1, within_s=20)


async def test_an_owner_that_slept_through_its_lease_cannot_store_what_its_successor_has_stored(
    begin: Any, broker: Any, journal: Any, kit: Any, logs: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    await _sleeper_wakes(begin, journal, monkeypatch, tools)
    await tools.poll(lambda: told(logs, "stream.overtaken"))
    await journal.say_all(["item/S1"] * 5)
    await tools.poll(has(broker, 30))
    kit.whole(await broker.stored(), journal.ids)


def _let_sleep(sleeper: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have a sink neither keep nor save anything, and believe that it did."""
    renew, save, claim = streams.renew, streams.save, streams.claim

    async def renewed(database: Database, owner: Any, lanes: Any, **about: Any) -> set[int]:
        return set(lanes) if owner == sleeper.owner else await renew(database, owner, lanes, **about)

    async def saved(database: Database, owner: Any, news: Any) -> set[int]:
        return {shard for shard, *_ in news} if owner == sleeper.owner else await save(database, owner, news)

    async def claimed(database: Database, owner: Any, **about: Any) -> dict[int, int]:
        return {} if owner == sleeper.owner else await claim(database, owner, **about)

    for name, function in (("renew", renewed), ("save", saved), ("claim", claimed)):
        monkeypatch.setattr(streams, name, function)


async def _sleeper_wakes(begin: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, tools: Any) -> None:
    """One process stands still with a batch in its hands; another takes its shards and publishes; the first goes on."""
    sleeper, go_on = await begin(limits=SHORT, pace={"lease_s": 0.6}), asyncio.Event()
    await tools.poll(lambda: len(sleeper.shards) == 4)
    await journal.say_all(["item/S1"] * 5)
    await tools.poll(lambda: sleeper.published == 5)

    _let_sleep(sleeper, monkeypatch)
    for shard in sleeper._shards.values():
        shard._send = _waiting_for(go_on, shard._send)
    await asyncio.sleep(0.1)
    await journal.say_all(["item/S1"] * 20)
    successor = await begin(limits=SHORT)
    await tools.poll(lambda: successor.published == 20, within_s=20)
    await asyncio.sleep(WINDOW_S * 2)
    go_on.set()


def _waiting_for(go_on: asyncio.Event, send: Any) -> Any:
    async def wait_and_send(speaker: Broker, rows: Any) -> Any:
        await go_on.wait()
        return await send(speaker, rows)

    return wait_and_send


async def test_a_store_that_came_back_older_than_its_stream_holds_the_shard_until_the_stream_is_emptied(
    begin: Any, broker: Any, database: Database, journal: Any, kit: Any, logs: Any, tools: Any
) -> None:
    first = await begin(limits=SHORT)
    await journal.say_all(["item/S1"] * 20)
    await tools.poll(lambda: first.published == 20)
    await tools.stop(first.job)
    async with database.acquire() as connection:
        await connection.execute("delete from event where pos > 15")
        await connection.execute("update stream_lane set pos = 15 where pos > 15")
    del journal.ids[15:]
    second = await begin(limits=SHORT, restarted=True)
    await tools.poll(lambda: set(second.held.values()) == {"ahead_of_journal"})
    journal.positions.update({shard: -5 for shard, pos in journal.positions.items() if pos == 20})
    journal.sequences["item/S1"] = 15
    await journal.say_all(["item/S1"] * 6)
    await tools.poll(lambda: set(second.held.values()) == {"journal_differs"})
    assert {each["level"] if "level" in each else each["log_level"] for each in told(logs, "stream.held")} == {"error"}
    assert await broker.count() == 20
    await broker.ask(f"STREAM.PURGE.{STREAM}")
    await tools.poll(has(broker, 21), within_s=20)
    kit.whole(await broker.stored(), journal.ids)
    assert not second.held


async def test_a_restored_store_goes_on_in_the_same_stream_under_its_new_epoch(
    begin: Any, broker: Any, journal: Any, kit: Any, logs: Any, tools: Any
) -> None:
    first, restored = await begin(limits=SHORT), uuid4()
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: first.published == 12)
    await tools.stop(first.job)
    await journal.say_all(SUBJECTS)
    second = await begin(limits=SHORT, epoch=restored)
    await tools.poll(lambda: second.published == 12)
    stored = await broker.stored()
    kit.whole(stored, journal.ids)
    assert {each.mark.split("/")[0] for each in stored[12:]} == {str(restored)}
    assert {each["reason"] for each in told(logs, "stream.resumed")} >= {"store_restored"}


async def test_two_installations_at_one_broker_are_told_apart_before_they_mix(
    begin: Any, broker: Any, database: Database, journal: Any, tools: Any
) -> None:
    first = await begin(limits=SHORT)
    await journal.say_all(SUBJECTS)
    await tools.poll(lambda: first.published == 12)
    await tools.stop(first.job)
    async with database.acquire() as connection:
        await connection.execute("delete from stream_lane")
    second = await begin(limits=SHORT, epoch=uuid4())
    await tools.poll(lambda: set(second.held.values()) == {"another_store"})
    assert await broker.count() == 12


async def test_planted_without_the_fence_the_sleeper_would_store_its_batch_a_second_time(
    begin: Any, broker: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    monkeypatch.setattr(speaking, "fence", lambda _shard, _after: {})
    await _sleeper_wakes(begin, journal, monkeypatch, tools)
    await tools.poll(has(broker, 45))
    assert len({each.id for each in await broker.stored()}) == 25


async def test_planted_to_go_on_behind_what_postgresql_remembers_would_store_a_batch_twice_once_the_window_is_over(
    begin: Any, broker: Any, journal: Any, monkeypatch: pytest.MonkeyPatch, tools: Any
) -> None:
    monkeypatch.setattr(publishing, "decide", lambda _last, known, _stream, **_: Resume(known and known.place, "wrong"))
    await _lost_until_the_window_ends(begin, broker, journal, monkeypatch, tools)
    await tools.poll(has(broker, 41))
    assert len({each.id for each in await broker.stored()}) == 21
