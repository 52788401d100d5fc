"""Neighbours on one dispatcher: poisoned subjects, dead endpoints, and one subject that makes half of all traffic."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from random import Random

import pytest

from fieldsvc.store.database import Database
from tests.faults.publishing.oracle import Event, Report, Verdict, judge, settled
from tests.faults.publishing.scene import (
    Host,
    Inbox,
    Pen,
    add_endpoint,
    books,
    dispatching,
    host,
    names_of,
    nothing_waits,
    pace_of,
    ready,
    until,
)
from tests.sizes import sized

pytestmark = pytest.mark.fault
SEED = 20261124


@pytest.mark.parametrize("batch", [1, 20])
async def test_one_poisoned_event_in_each_of_many_subjects_leaves_a_gap_there_and_nowhere_else(
    batch: int, database: Database, report: Report
) -> None:
    pen, vault, count = Pen(database.url), await ready(database), sized(10, 50)
    sick, well = (
        [f"item/{name}{number}FR" for number in range(most)] for name, most in (("SICK", count), ("WELL", 5 * count))
    )
    poisoned: set[str] = set()
    async with host() as town:
        inbox = town.inbox("one")
        inbox.refuses = poisoned
        inbox.endpoint = await add_endpoint(database, vault, inbox.url, batch=batch)
        for turn in range(6):
            names = await pen.say(*sick, *well)
            poisoned.update(names[:count] if turn == 2 else ())
        async with dispatching(database, vault, 0, 0.2, 0.4):
            rest = set(pen.written_at) - poisoned
            while (
                not inbox.acknowledged >= rest
            ):  # an endpoint of which nothing else is heard counts as down as a whole
                await pen.say(*well)
                await asyncio.sleep(0.1)
                assert len(pen.written_at) < 2000 * count, "it never came true"
            await until(lambda: inbox.acknowledged == set(pen.written_at) - poisoned)
            await until(lambda: nothing_waits(database))
        found = await books(database, inbox.endpoint)
    await pen.close()
    verdict = judge(found.events, inbox.got, records=found.records, again=0)
    report(f"{count} poisoned events of as many subjects, batches of {batch}", verdict)
    assert verdict.faults == []
    assert found.records.dead == poisoned
    assert await attempts_of(database) == dict.fromkeys(poisoned, 3)  # whatever batch it was in before
    assert batch == 1 or max(Counter(each.message_id for each in inbox.got).values()) > 1


async def attempts_of(database: Database) -> dict[str, int]:
    """Tell after how many attempts of its own each dead letter was given up; what asks whether an endpoint is back is none."""
    async with database.acquire() as connection:
        return {row[0]: row[1] for row in await connection.fetch("select event_id, attempts from dead_letter")}


async def test_five_dead_endpoints_of_twenty_and_three_that_die_and_come_back_lose_nothing(
    database: Database, report: Report
) -> None:
    rng, pen, vault = Random(SEED), Pen(database.url), await ready(database)
    towns = [Host() for _ in range(9)]  # one for the twelve that are well, one for each of the others
    for town in towns:
        await town.start()
    try:
        inboxes = [towns[0].inbox(f"well-{number}") for number in range(12)]
        inboxes += [town.inbox("one") for town in towns[1:]]
        for inbox in inboxes:
            inbox.endpoint = await add_endpoint(database, vault, inbox.url)
        dead, dying = towns[1:6], towns[6:]
        for town in dead:
            await town.stop()
        async with dispatching(database, vault, 0, 0.2, *[0.4] * 200):
            for turn in range(sized(12, 60)):
                await pen.say(*names_of(rng, 10, 12))
                town = dying[turn % 3]
                await (town.stop() if turn % 6 < 3 else town.start())
                await asyncio.sleep(0.1)
            names = list(pen.written_at)
            await until(lambda: all(inbox.has(names) for inbox in inboxes[:12]))
            worst_s = max(each.at - pen.written_at[each.event.id] for inbox in inboxes[:12] for each in inbox.got)
            for town in (*dead, *dying):
                await town.stop()
                await town.start()
            await until(lambda: all(inbox.has(names) for inbox in inboxes))
            await until(lambda: nothing_waits(database))
    finally:
        for town in towns:
            await town.stop()
        await pen.close()
    total = await judged(database, inboxes, again=80)  # what was answered as its server died may come again
    report(f"5 of 20 endpoints dead, 3 dying; the others' worst {worst_s:.2f} s", total)
    assert total.faults == []
    assert worst_s < 10


async def judged(database: Database, inboxes: Sequence[Inbox], *, again: int) -> Verdict:
    """Judge every endpoint of a run in which everything arrived."""
    total = Verdict(0)
    for inbox in inboxes:
        found = await books(database, inbox.endpoint)
        total += settled(found.events, inbox.got, found.records, again=again)
    return total


async def test_a_subject_with_half_of_all_traffic_holds_nobody_up(database: Database, report: Report) -> None:
    rng, pen, vault = Random(SEED), Pen(database.url), await ready(database)
    rounds, hot = sized(25, 250), "run/HOT"

    async def busy(_inbox: Inbox, _event: Event) -> int:
        await asyncio.sleep(0.01)
        return 204

    async with host() as town:
        inbox = town.inbox("one")
        inbox.answer = busy
        inbox.endpoint = await add_endpoint(database, vault, inbox.url)
        for _ in range(rounds):
            await pen.say(*[name for other in names_of(rng, 10, 400) for name in (hot, other)])
        async with dispatching(database, vault, pace=pace_of(waiting=32)):
            await until(lambda: inbox.has(list(pen.written_at)))
            await until(lambda: nothing_waits(database))
        found = await books(database, inbox.endpoint)
    await pen.close()
    verdict = settled(found.events, inbox.got, found.records, again=0)
    ends = {
        is_hot: max(each.at for each in inbox.got if (each.event.subject == hot) is is_hot) for is_hot in (True, False)
    }
    began = min(each.at for each in inbox.got)
    others_s, hot_s = ends[False] - began, ends[True] - began
    report(
        f"one subject with half of the traffic: the others through after {others_s:.1f} s, it after {hot_s:.1f} s",
        verdict,
    )
    assert verdict.faults == []
    assert others_s < 0.8 * hot_s
