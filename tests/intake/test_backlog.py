"""What phones kept during an outage waits behind what happens now, and nobody waits where there is nothing to wait for."""

import asyncio
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import pytest

from fieldsvc.errors import Unavailable
from fieldsvc.intake.backlog import FEWEST_IN_HAND, IN_HAND, LONGEST_S, OLD, Backlog

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)
BEFORE = NOW - OLD - timedelta(seconds=1)


async def _begun(backlog: Backlog, count: int, order: list[int]) -> asyncio.Task[None]:
    async def upload() -> None:
        async with backlog.turn(BEFORE, count, now=NOW):
            order.append(count)

    task = asyncio.create_task(upload())
    await asyncio.sleep(0)
    return task


def _wait_s(refusal: Unavailable) -> int:
    wait_s = refusal.extra["retry_after_s"]
    assert isinstance(wait_s, int)
    return wait_s


async def test_what_is_fresh_passes_whatever_is_in_hand() -> None:
    backlog = Backlog(in_hand=10, waiting=10)
    async with backlog.turn(BEFORE, 500, now=NOW), backlog.turn(NOW, 500, now=NOW), backlog.turn(None, 500, now=NOW):
        assert backlog.waiting == 0


async def test_old_uploads_wait_in_their_order_until_there_is_room() -> None:
    backlog, order = Backlog(in_hand=100, waiting=1_000), list[int]()
    async with backlog.turn(BEFORE, 90, now=NOW):
        tasks = [await _begun(backlog, count, order) for count in (60, 10, 30)]
        assert backlog.waiting == 100
        assert order == []
    await asyncio.gather(*tasks)
    assert order == [60, 10, 30]
    assert backlog.waiting == 0


async def test_an_upload_larger_than_all_room_has_its_turn_alone() -> None:
    backlog = Backlog(in_hand=10)
    async with backlog.turn(BEFORE, 500, now=NOW):
        pass


async def test_who_finds_no_room_is_told_to_come_again_later_than_the_one_before() -> None:
    backlog, order = Backlog(in_hand=100, waiting=200, clock=lambda: 0.0, chance=lambda: 0.0), list[int]()
    async with backlog.turn(BEFORE, 100, now=NOW):
        waiting = await _begun(backlog, 200, order)
        told = []
        for _ in range(30):
            with pytest.raises(Unavailable) as refused:
                await backlog.turn(BEFORE, 100, now=NOW).__aenter__()
            told.append(_wait_s(refused.value))
    await waiting
    assert told == sorted(told)
    assert told[-1] > told[0] >= 1


async def test_no_phone_is_sent_away_for_longer_than_ten_minutes() -> None:
    backlog, order = Backlog(in_hand=100, waiting=100, clock=lambda: 0.0, chance=lambda: 1.0), list[int]()
    async with backlog.turn(BEFORE, 100, now=NOW):
        waiting = await _begun(backlog, 100, order)
        for _ in range(5):
            with pytest.raises(Unavailable) as refused:
                await backlog.turn(BEFORE, 1_000_000, now=NOW).__aenter__()
            assert LONGEST_S / 2 <= _wait_s(refused.value) <= LONGEST_S + 2
    await waiting


@pytest.mark.parametrize("has_turn", [False, True])
async def test_whoever_goes_away_while_waiting_holds_up_nobody(*, has_turn: bool) -> None:
    backlog, order = Backlog(in_hand=100, waiting=1_000), list[int]()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(backlog.turn(BEFORE, 100, now=NOW))
        gone, next_one = await _begun(backlog, 80, order), await _begun(backlog, 90, order)
        if has_turn:  # and goes away in the very moment
            await stack.aclose()
        gone.cancel()
        await asyncio.wait([gone])
    await next_one
    assert order == [90]
    async with backlog.turn(BEFORE, 100, now=NOW):
        assert backlog.waiting == 0


async def test_a_fault_in_the_work_leaves_its_place_free() -> None:
    backlog = Backlog(in_hand=100)
    with pytest.raises(ValueError, match="broken"):
        async with backlog.turn(BEFORE, 100, now=NOW):
            raise ValueError("broken")
    async with backlog.turn(BEFORE, 100, now=NOW):
        assert backlog.waiting == 0


async def test_an_upload_that_waited_too_long_is_told_when_to_come_again_and_holds_up_nobody() -> None:
    backlog, order = Backlog(in_hand=100, patience_s=0.01), list[int]()
    async with backlog.turn(BEFORE, 100, now=NOW):
        with pytest.raises(Unavailable) as refused:
            await backlog.turn(BEFORE, 80, now=NOW).__aenter__()
        assert _wait_s(refused.value) >= 1
        assert backlog.waiting == 0
    await (await _begun(backlog, 90, order))
    assert order == [90]


async def test_after_hours_of_quiet_the_first_who_find_no_room_come_again_within_seconds() -> None:
    moments = iter([0.0, 0.0])
    backlog, order = Backlog(in_hand=100, waiting=200, clock=lambda: next(moments, 36_000.0)), list[int]()
    async with backlog.turn(BEFORE, 100, now=NOW):
        waiting = await _begun(backlog, 200, order)
        with pytest.raises(Unavailable) as refused:
            await backlog.turn(BEFORE, 100, now=NOW).__aenter__()
    await waiting
    assert _wait_s(refused.value) <= 3


async def test_the_wait_follows_the_pace_at_which_the_backlog_goes_down() -> None:
    now, goes_on = [0.0], asyncio.Event()
    backlog, order = Backlog(in_hand=100, waiting=1_000, clock=lambda: now[0], chance=lambda: 0.0), list[int]()

    async def slow() -> None:
        async with backlog.turn(BEFORE, 900, now=NOW):
            await goes_on.wait()

    async with backlog.turn(BEFORE, 100, now=NOW):
        slowly = asyncio.create_task(slow())
        await asyncio.sleep(0)
        last = await _begun(backlog, 100, order)
        now[0] = 10.0
    with pytest.raises(Unavailable) as refused:  # a hundred in ten seconds: a thousand before it, and its own
        await backlog.turn(BEFORE, 950, now=NOW).__aenter__()
    assert 15 <= _wait_s(refused.value) <= 25
    goes_on.set()
    await asyncio.gather(slowly, last)


async def test_the_slower_it_goes_the_fewer_are_in_hand_and_more_again_when_it_is_quick() -> None:
    now = [0.0]
    backlog = Backlog(clock=lambda: now[0])

    async def told(took_s: float) -> None:
        async with backlog.turn(BEFORE, 100, now=NOW):
            now[0] += took_s

    async def at_once() -> int:
        go_on = asyncio.Event()

        async def held() -> None:
            async with backlog.turn(BEFORE, 100, now=NOW):
                await go_on.wait()

        jobs = [asyncio.create_task(held()) for _ in range(12)]
        await asyncio.sleep(0)
        in_hand = len(jobs) - backlog.waiting // 100
        go_on.set()
        await asyncio.gather(*jobs)
        return in_hand

    assert await at_once() == IN_HAND // 100
    for _ in range(20):
        await told(0.6)
    assert await at_once() == FEWEST_IN_HAND // 100
    for _ in range(60):
        await told(0.3)
    assert await at_once() < IN_HAND // 100, "neither fast nor slow changes nothing"
    for _ in range(60):
        await told(0.1)
    assert await at_once() == IN_HAND // 100
