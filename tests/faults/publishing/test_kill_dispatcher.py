"""Dispatchers are killed, and put to sleep past their lease, at the moments that hurt most: what comes again is the same.

Each moment once in the short form; `FIELDSVC_TEST_FULL=1 FIELDSVC_FAULT_CYCLES=60` (or more) is the long one.
"""

import asyncio
import os
import signal
from random import Random

import pytest

from fieldsvc.store.database import Database
from tests.faults.publishing.conftest import Launch
from tests.faults.publishing.oracle import Report, settled
from tests.faults.publishing.scene import Inbox, Pen, add_endpoint, books, host, names_of, nothing_waits, ready, until
from tests.sizes import sized

pytestmark = pytest.mark.fault
SEED, SPAN, LANES = 20261123, 60, 8
CYCLES = int(os.environ.get("FIELDSVC_FAULT_CYCLES", "3"))
MOMENTS = ("before_save", "in_save", "after_save", "")
SCHEDULE = (0, *[0.05] * 60)


def moody(rng: Random) -> object:
    """Refuse one in ten, and everything of one subject for a while."""
    moods = {"sick": ""}

    def answer(_inbox: Inbox, event: object) -> int:
        subject = getattr(event, "subject", "")
        if rng.random() < 0.02:
            moods["sick"] = rng.choice([subject, ""])
        return 500 if subject == moods["sick"] or rng.random() < 0.1 else 204

    return answer


async def test_a_dispatcher_killed_after_2xx_and_before_its_cursor_is_saved_repeats_at_most_its_span(
    launch: Launch, database: Database, report: Report
) -> None:
    rng, pen = Random(SEED), Pen(database.url)
    vault = await ready(database)
    async with host() as town:
        inbox = town.inbox("one")
        inbox.answer = moody(rng)  # type: ignore[assignment]
        inbox.endpoint = await add_endpoint(database, vault, inbox.url)
        for cycle in range(CYCLES):
            moment = MOMENTS[cycle % len(MOMENTS)]
            over = asyncio.Event()
            writing = asyncio.create_task(_write(pen, rng, over))
            child = await launch(*SCHEDULE, moment=moment, saves=rng.randrange(6), span=SPAN)
            if moment:
                assert await child.line() == moment
            else:
                await asyncio.sleep(rng.uniform(0.0, 1.0))
                child.signal(signal.SIGKILL)
            assert await child.ended() == -signal.SIGKILL
            over.set()
            await writing
        inbox.answer = lambda _inbox, _event: 204
        await launch(*SCHEDULE, span=SPAN)
        await until(lambda: inbox.has(list(pen.written_at)))
        await until(lambda: nothing_waits(database))
        found = await books(database, inbox.endpoint)
    await pen.close()
    verdict = settled(found.events, inbox.got, found.records, again=CYCLES * (SPAN + LANES))
    report(f"killed {CYCLES} times around the save of its cursor", verdict)
    assert verdict.faults == []
    assert verdict.published > 30 * CYCLES
    assert verdict.duplicates > 0


@pytest.mark.parametrize("moment", MOMENTS[: sized(1, 2)])
async def test_a_dispatcher_that_slept_past_its_lease_saves_nothing_and_inverts_nothing(
    moment: str, launch: Launch, database: Database, report: Report
) -> None:
    rng, pen = Random(SEED), Pen(database.url)
    vault = await ready(database)
    async with host() as town:
        inbox = town.inbox("one")
        inbox.answer = moody(rng)  # type: ignore[assignment]
        inbox.endpoint = await add_endpoint(database, vault, inbox.url)
        over = asyncio.Event()
        writing = asyncio.create_task(_write(pen, rng, over))
        sleeper = await launch(*SCHEDULE, moment=moment, signal="SIGSTOP", span=SPAN)
        assert await sleeper.line() == moment
        asleep = len(inbox.got)
        other = await launch(*SCHEDULE, span=SPAN)
        await until(lambda: len(inbox.got) > asleep + 2 * SPAN)  # the other one took over, and is beyond it
        sleeper.signal(signal.SIGCONT)
        assert await sleeper.line() in ("saved 0", "failed")
        await until(lambda: len(inbox.got) > asleep + 4 * SPAN)
        other.signal(signal.SIGKILL)
        await other.ended()
        over.set()
        await writing
        inbox.answer = lambda _inbox, _event: 204
        await until(lambda: inbox.has(list(pen.written_at)))  # the sleeper, awake, has taken the lane again
        await until(lambda: nothing_waits(database))
        found = await books(database, inbox.endpoint)
    await pen.close()
    verdict = settled(found.events, inbox.got, found.records, again=2 * (SPAN + LANES))
    report(f"asleep past its lease, {moment}", verdict)
    assert verdict.faults == []


async def _write(pen: Pen, rng: Random, over: asyncio.Event) -> None:
    while not over.is_set():
        await pen.say(*names_of(rng, rng.choice((1, 4, 10)), 15))
        await asyncio.sleep(0.03)
