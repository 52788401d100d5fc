"""An endpoint of which everything fails is warned of, disabled at last, and loses nothing."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as some

from fieldsvc.publishing.outage import STEPS, Outage, Patience
from fieldsvc.store import endpoints as stored
from fieldsvc.store import lanes
from fieldsvc.store.database import Database
from fieldsvc.store.lanes import Changes, ParkedRow

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def steps(outage: Outage, moments: Iterator[datetime]) -> list[tuple[timedelta, int]]:
    """Let it fail at moments; return after how long which step was reached."""
    found = []
    for moment in moments:
        before = outage.warned
        outage.failed(moment)
        if outage.warned != before:
            assert outage.failing_since is not None
            found.append((moment - outage.failing_since, outage.warned))
    return found


def every(gap: timedelta, *, days: float) -> Iterator[datetime]:
    return (NOW + number * gap for number in range(round(days * DAY / gap) + 1))


def test_five_days_of_failures_every_ten_minutes_reach_each_step_once_and_in_time():
    outage = Outage()
    assert steps(outage, every(timedelta(minutes=10), days=7)) == [
        (2.5 * DAY, 50), (3.5 * DAY, 70), (4.5 * DAY, 90), (5 * DAY, 100),
    ]  # fmt: skip
    assert outage.is_over
    assert outage.patience.ends_at(NOW) == NOW + 5 * DAY


def test_one_success_begins_anew():
    outage = Outage()
    steps(outage, every(HOUR, days=4.9))
    assert outage.warned == 90
    assert outage.succeeded()
    assert outage.kept == (None, None, 0)
    assert not outage.succeeded()
    assert steps(outage, (NOW + 4.9 * DAY + number * HOUR for number in range(24))) == []


def test_failures_within_half_a_day_are_no_outage_however_short_the_patience():
    outage = Outage(patience=Patience(after=HOUR))
    assert steps(outage, every(timedelta(minutes=1), days=0.4)) == []
    assert steps(outage, iter([NOW + 12 * HOUR])) == [(12 * HOUR, 100)]


def test_two_days_without_an_attempt_are_no_failure():
    outage = Outage()
    assert steps(outage, iter([NOW, NOW + 6 * DAY, NOW + 12 * DAY])) == []
    assert outage.failing_since == NOW + 12 * DAY


def test_the_waits_of_the_usual_schedule_are_one_outage():
    outage = Outage()
    waits = (0, 5, 300, 1_800, 7_200, 18_000, 36_000, 50_400, 72_000, 86_400 * 1.2)
    moment, moments = NOW, []
    for wait in waits:
        moment += timedelta(seconds=wait)
        moments.append(moment)
    assert [step for _after, step in steps(outage, iter(moments))] == [50]
    assert outage.failing_since == NOW


def test_a_clock_that_steps_back_shortens_nothing():
    outage = Outage()
    outage.failed(NOW)
    outage.failed(NOW + 13 * HOUR)
    outage.failed(NOW + 12 * HOUR)
    assert outage.last_failed_at == NOW + 13 * HOUR


def test_a_thousand_failures_in_a_minute_are_kept_once():
    outage = Outage()
    assert sum(outage.failed(NOW + timedelta(milliseconds=number)) for number in range(1_000)) == 1
    assert outage.failed(NOW + timedelta(minutes=1))


@given(
    gaps=some.lists(some.timedeltas(timedelta(0), timedelta(days=3)), min_size=1, max_size=60),
    moves=some.sets(some.integers(0, 59)),
)
def test_a_lane_that_moves_to_another_owner_changes_nothing_but_a_minute(gaps: list[timedelta], moves: set[int]):
    stays, moves_on, moment = Outage(), Outage(), NOW
    for number, gap in enumerate(gaps):
        moment += gap
        stays.failed(moment)
        moves_on.failed(moment)
        if number in moves:
            moves_on = Outage(*moves_on.kept)
    assert moves_on.kept == stays.kept
    assert stays.warned in (0, *STEPS)


async def test_an_endpoint_that_fails_beyond_five_days_is_disabled_holds_everything_and_goes_on_when_resumed(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any, database: Database
):
    endpoint, _ = await endpoints.create(tools.account, receiver.url, types=["*"], start="oldest", thin=False)
    sent = await journal.say_all([f"item/{number % 7}" for number in range(50)])
    await failing_for(database, endpoint.id, days=4.99)
    receiver.answer = lambda _got: web.Response(status=500)
    await start()
    await tools.poll(lambda: warned(database, endpoint.id, 90))
    assert (await endpoints.read(tools.account, endpoint.id)).state == "active"
    await endpoints.pause(tools.account, endpoint.id)
    await tools.poll(lambda: is_free(database, endpoint.id))
    await failing_for(database, endpoint.id, days=5.01)
    await database_run(
        database, "update endpoint set state = 'active', stopped_at = null, reason = null, version = version + 1"
    )
    await tools.poll(lambda: is_disabled(database, endpoint.id))
    stopped = await endpoints.read(tools.account, endpoint.id)
    assert (stopped.state, stopped.reason) == ("disabled", "failing")
    assert receiver.acknowledged == []
    receiver.answer = lambda _got: 204
    await endpoints.resume(tools.account, endpoint.id)
    await tools.poll(lambda: len(receiver.sequences()) == 7 and len(receiver.acknowledged) >= 50)
    assert {got.id for got in receiver.acknowledged} == set(sent)
    receiver.assert_in_order_and_same()
    assert await kept(database, endpoint.id) == (None, None, 0)


async def test_a_success_ends_an_outage_for_good(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any, database: Database
):
    endpoint, _ = await endpoints.create(tools.account, receiver.url, types=["*"], start="oldest", thin=False)
    await failing_for(database, endpoint.id, days=4.8, warned=90)
    await journal.say("item/A")
    await start()
    await tools.poll(lambda: warned(database, endpoint.id, 0))
    assert await kept(database, endpoint.id) == (None, None, 0)


async def test_who_resumes_right_after_the_disabling_has_five_days_again(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any, database: Database
):
    endpoint, _ = await endpoints.create(tools.account, receiver.url, start="oldest")
    await failing_for(database, endpoint.id, days=5.1, warned=90)
    receiver.answer = lambda _got: 500
    await journal.say("item/A")
    await start(0, 0.05, 0.1, lease_s=1.0)
    await tools.poll(lambda: is_disabled(database, endpoint.id))
    resumed_at = datetime.now(UTC)
    await endpoints.resume(tools.account, endpoint.id)
    epoch = await database_run(database, "select epoch from lane")
    asked = len(receiver.got)
    await tools.poll(lambda: len(receiver.got) > asked)
    await tools.poll(lambda: fails_since(database, endpoint.id))
    failing_since, _, step = await kept(database, endpoint.id)
    assert failing_since > resumed_at - timedelta(seconds=1)
    assert step == 0
    assert (await endpoints.read(tools.account, endpoint.id)).state == "active"
    assert await database_run(database, "select epoch from lane") > epoch


async def test_nothing_that_the_owner_of_before_still_does_undoes_a_resume(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any, database: Database
):
    endpoint, _ = await endpoints.create(tools.account, receiver.url, start="oldest")
    await start(lease_s=5.0)
    await tools.poll(lambda: is_owned(database, endpoint.id))
    ((owner, epoch),) = await database_run(database, "select owner, epoch from lane")
    row = ParkedRow("item/A", 0, (NOW.date(), 1), 2, NOW, "status 500", NOW)
    late = Changes(endpoint.id, epoch, parked=[row], breaker=(NOW, NOW, 3, None, NOW, NOW, 100))
    assert await lanes.save(database, owner, [late]) == {endpoint.id}
    await endpoints.pause(tools.account, endpoint.id)
    await database_run(database, "update endpoint set stopped_at = now() - interval '1 hour'")
    await endpoints.resume(tools.account, endpoint.id)
    shifted = await parked_until(database, endpoint.id)
    assert shifted > NOW
    assert await lanes.save(database, owner, [late]) == set()
    assert not await stored.disable(database, endpoint.id, epoch=epoch, reason="failing")
    assert await parked_until(database, endpoint.id) == shifted
    assert await kept(database, endpoint.id) == (None, None, 0)
    assert (await endpoints.read(tools.account, endpoint.id)).state == "active"


@pytest.mark.parametrize(("opened_h", "stopped_h", "stood_h"), [(3, 1, 3), (1, 3, 3), (None, 2, 2), (2, None, 2)])
async def test_schedules_of_parked_subjects_have_stood_still_since_the_breaker_opened_or_the_endpoint_was_stopped(
    endpoints: Any, journal: Any, tools: Any, database: Database, opened_h: Any, stopped_h: Any, stood_h: int
):
    endpoint, _ = await endpoints.create(tools.account, "http://127.0.0.1:9/hook", start="oldest")
    await database_run(
        database,
        "insert into parked (endpoint, subject, shard, day, pos, attempts, next_at, reason, since)"
        " select $1, 'item/' || attempts, 0, current_date, 1, attempts, now(), 'status 500', now() from unnest('{0,2}'::int[]) attempts",
        endpoint.id,
    )  # fmt: skip
    await database_run(database, "update lane set opened_at = now() - make_interval(hours => $1)", opened_h)
    if stopped_h is not None:
        await endpoints.pause(tools.account, endpoint.id)
        await database_run(database, "update endpoint set stopped_at = now() - make_interval(hours => $1)", stopped_h)
    before = await database_run(database, "select next_at from parked order by attempts")
    await endpoints.resume(tools.account, endpoint.id)
    after = await database_run(database, "select next_at from parked order by attempts")
    assert after[0] == before[0]  # it has not failed, and has no schedule
    assert timedelta(0) <= after[1][0] - before[1][0] - timedelta(hours=stood_h) < timedelta(minutes=5)


@pytest.mark.parametrize("status", [429, 503])
async def test_a_receiver_that_asks_for_time_is_left_alone_to_the_second(
    endpoints: Any, receiver: Any, journal: Any, start: Any, tools: Any, database: Database, status: int
):
    endpoint, _ = await endpoints.create(tools.account, receiver.url, types=["*"], start="oldest", thin=False)
    receiver.answer = lambda _got: web.Response(status=status, headers={"Retry-After": "3600"})
    await journal.say("item/A")
    before = datetime.now(UTC)
    await start()
    await tools.poll(lambda: held_until(database, endpoint.id))
    until = await held_until(database, endpoint.id)
    assert before + HOUR <= until <= datetime.now(UTC) + HOUR
    await journal.say_all(["item/B", "item/C"])
    await tools.poll(lambda: parked_until(database, endpoint.id))
    assert abs((await parked_until(database, endpoint.id) - until).total_seconds()) < 1
    assert len({got.subject for got in receiver.got}) == 1


async def database_run(database: Database, text: str, *values: Any) -> Any:
    async with database.acquire() as connection:
        return await connection.fetch(text, *values)


async def failing_for(database: Database, endpoint: str, *, days: float, warned: int = 0) -> None:
    await database_run(
        database,
        "update lane set failing_since = now() - make_interval(secs => $2), last_failed_at = now() - interval '1 minute',"
        " warned = $3 where endpoint = $1",
        endpoint, days * 86_400, warned,
    )  # fmt: skip


async def kept(database: Database, endpoint: str) -> tuple[Any, ...]:
    (row,) = await database_run(
        database, "select failing_since, last_failed_at, warned from lane where endpoint = $1", endpoint
    )
    return tuple(row)


async def warned(database: Database, endpoint: str, step: int) -> bool:
    return (await kept(database, endpoint))[2] == step


async def is_free(database: Database, endpoint: str) -> bool:
    return not await database_run(
        database, "select from lane where endpoint = $1 and owner is not null and leased_until > now()", endpoint
    )


async def is_owned(database: Database, endpoint: str) -> bool:
    return bool(await database_run(database, "select from lane where endpoint = $1 and owner is not null", endpoint))


async def fails_since(database: Database, endpoint: str) -> Any:
    return (await kept(database, endpoint))[0]


async def is_disabled(database: Database, endpoint: str) -> bool:
    return bool(await database_run(database, "select from endpoint where id = $1 and state = 'disabled'", endpoint))


async def held_until(database: Database, endpoint: str) -> Any:
    return (await database_run(database, "select held_until from lane where endpoint = $1", endpoint))[0][0]


async def parked_until(database: Database, endpoint: str) -> Any:
    found = await database_run(database, "select min(next_at) from parked where endpoint = $1", endpoint)
    return found[0][0]
