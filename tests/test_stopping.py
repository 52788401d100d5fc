"""Jobs end when they are told to, also when a cancellation is swallowed on the way."""

import asyncio

import asyncpg
import pytest
import structlog.testing

from fieldsvc import jobs
from fieldsvc.journal.reader import Tail


async def _stubborn(times: int) -> None:
    while True:
        try:
            await asyncio.sleep(3_600)
        except asyncio.CancelledError:
            times -= 1
            if times < 0:
                raise


async def test_a_job_that_swallows_a_cancellation_is_cancelled_again(monkeypatch) -> None:
    monkeypatch.setattr(jobs, "CANCEL_AGAIN_S", 0.01)
    task = asyncio.create_task(_stubborn(3))
    await asyncio.sleep(0)
    async with asyncio.timeout(5):
        await jobs.ended([task])
    assert task.cancelled()


async def test_a_job_that_never_ends_is_named_and_does_not_hold_the_process(monkeypatch) -> None:
    monkeypatch.setattr(jobs, "CANCEL_AGAIN_S", 0.01)
    task = asyncio.create_task(_stubborn(jobs.CANCELLED_TIMES), name="tail")
    await asyncio.sleep(0)
    with structlog.testing.capture_logs() as said:
        async with asyncio.timeout(5):
            await jobs.ended([task])
    assert [(each["event"], each["type"]) for each in said] == [("job.stuck", "tail")]
    task.cancel()


async def test_a_connection_that_is_never_given_back_does_not_hold_the_process(database, monkeypatch) -> None:
    monkeypatch.setattr("fieldsvc.store.database.CLOSES_WITHIN_S", 0.05)
    connection = await database.pool.acquire()
    async with asyncio.timeout(5):
        await database.close()
    with pytest.raises(asyncpg.InterfaceError):
        await connection.execute("select 1")


@pytest.mark.parametrize("turns", range(5))
async def test_a_follower_of_the_tail_that_is_woken_and_cancelled_at_once_ends(turns: int) -> None:
    tail = Tail(None, None)  # type: ignore[arg-type]

    async def follow() -> None:
        while True:
            await tail.wait(timeout_s=60)

    task = asyncio.create_task(follow())
    await asyncio.sleep(0.01)
    tail._announce()
    for _ in range(turns):
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task], timeout=5)
    assert task.cancelled()
