"""After a start or an outage phones are heard first: what they left unsaid proves nothing before that."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from fieldsvc.journal.hearing import OUTAGE_S, Hearing
from fieldsvc.journal.timers import CHUNK, Timers
from handlers.story import UNSAID
from tests.journal.conftest import Journal


class Clock:
    at = 1000.0

    def __call__(self) -> float:
        return self.at


def test_phones_are_given_their_time_after_a_start_and_again_after_an_outage() -> None:
    clock = Clock()
    hearing = Hearing(360.0, clock)
    assert not hearing.is_settled
    for _ in range(360):
        hearing.note()
        assert not hearing.is_settled
        clock.at += 1
    assert hearing.is_settled
    clock.at += OUTAGE_S - 1
    hearing.note()
    assert hearing.is_settled, "a short gap is none"
    clock.at += OUTAGE_S + 1
    hearing.note()
    assert not hearing.is_settled, "nobody was heard for a while"


def test_with_no_patience_nothing_waits() -> None:
    assert Hearing().is_settled


async def test_a_kind_that_waits_does_not_ring_and_is_not_forgotten(journal: Journal) -> None:
    await journal.send(journal.note("a", demand="timer"))
    timers, later = Timers(journal.database, journal.commands), datetime.now(UTC) + timedelta(minutes=2)
    (kept,) = await journal.fetch("select kind from timer")
    assert await timers.fire(later, [kept["kind"]]) == 0
    assert await timers.fire(later, sorted(UNSAID)) == 1


async def test_the_job_lets_those_kinds_wait_until_phones_were_heard(journal: Journal) -> None:
    asked: list[list[str]] = []
    clock, settled = Clock(), asyncio.Event()
    hearing = Hearing(5.0, clock)

    class Asked(Timers):
        async def fire(self, now: datetime, waiting: Sequence[str] = ()) -> int:
            del now
            await asyncio.sleep(0)
            asked.append(list(waiting))
            clock.at += 5.0
            if not waiting:
                settled.set()
            return CHUNK  # more is due: it asks again at once

    job = asyncio.create_task(Asked(journal.database, journal.commands, hearing).run())
    async with asyncio.timeout(30):
        await settled.wait()
    job.cancel()
    await asyncio.gather(job, return_exceptions=True)
    assert asked[:3] == [sorted(UNSAID), sorted(UNSAID), []]


@pytest.mark.parametrize("kind", sorted(UNSAID))
def test_every_kind_that_waits_is_one_that_a_service_sets(kind: str) -> None:
    texts = [path.read_text() for path in (Path(__file__).parents[2] / "handlers").glob("*.py")]
    assert any(f'timer(facts, "{kind}"' in text for text in texts)
