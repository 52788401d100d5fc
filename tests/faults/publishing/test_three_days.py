"""A subscriber that is down for days of virtual time and comes back: nothing is given up, and all of it arrives in order.

The schedule is the service's own (75.6 hours), the clock is the loop's: three days pass in a few seconds.
"""

import asyncio
from collections.abc import Callable
from itertools import pairwise

import pytest

from fieldsvc.publishing.dispatcher import Dispatcher, Pace
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.settings import Settings
from fieldsvc.store import endpoints
from tests.faults.publishing.oracle import Event, Report, Verdict
from tests.faults.publishing.virtual import Post, World, play
from tests.sizes import sized

pytestmark = pytest.mark.fault
HOUR, DAY = 3600.0, 86_400.0
SCHEDULE = Settings().retry_schedule
PACE = Pace(
    lease_s=2 * HOUR, margin_s=600, renew_s=1200, look_s=1800, save_s=60, log_s=600, upkeep_s=DAY,
    lane=LaneLimits(longest_sleep_s=600),
)  # fmt: skip


def unwell(down: dict[str, bool], status: int | None) -> Callable[[Post, Event], Outcome | int | None]:
    return lambda _post, _event: status if down["is"] else 204


async def outage(
    world: World, *, days: float, subjects: int, each_hour: int, status: int | None, **columns: object
) -> tuple[Post, float, float]:
    """Let an endpoint be down while events come; return it, and from when until when it was."""
    world.schedule, world.pace = SCHEDULE, PACE
    down = {"is": False}
    post = await world.endpoint(unwell(down, status), **columns)
    world.begin()
    await world.say(*[f"item/RK{number}FR" for number in range(subjects)])
    await asyncio.sleep(HOUR)
    down["is"], began = True, world.clock.seconds
    for hour in range(int(days * 24)):
        await world.say(*[f"item/RK{(hour * each_hour + number) % subjects}FR" for number in range(each_hour)])
        await asyncio.sleep(HOUR)
    down["is"] = False
    return post, began, world.clock.seconds


@pytest.mark.parametrize(
    ("days", "subjects", "each_hour", "status"),
    [(3.0, 40, 20, 503), (3.5, 12, 1, None)],
    ids=["busy and broken", "quiet and silent"],
)
def test_a_subscriber_that_was_down_for_days_gets_everything_in_order_when_it_is_back(
    days: float, subjects: int, each_hour: int, status: int | None, database_url: str, report: Report
) -> None:
    async def act(world: World) -> tuple[Verdict, Post, float, float]:
        post, began, ended = await outage(world, days=days, subjects=subjects, each_hour=each_hour, status=status)
        await world.until(lambda: len(post.acknowledged) == len(world.pen.written_at), within_s=DAY)
        await asyncio.sleep(60)
        return await world.verdict(post, again=0), post, began, ended

    verdict, post, began, ended = play(database_url, act)
    probes = [each.at for each in post.got if began + 12 * HOUR < each.at < ended]
    back_s = max(each.at for each in post.got) - ended
    report(f"down for {days:.1f} days, {len(probes)} probes, all there {back_s:.0f} s after its return", verdict)
    assert verdict.faults == []
    assert all(later - before >= 600 for before, later in pairwise(probes))
    assert len(probes) < days * DAY / 600


def test_after_five_days_an_endpoint_is_disabled_and_gets_everything_when_it_is_resumed(
    database_url: str, report: Report
) -> None:
    async def act(world: World) -> tuple[Verdict, float]:
        world.schedule, world.pace = SCHEDULE, PACE
        down = {"is": False}
        post = await world.endpoint(unwell(down, 503))
        dispatcher = world.begin()
        names = [f"item/RK{number}FR" for number in range(20)]
        await world.say(*names)
        await asyncio.sleep(HOUR)
        down["is"], began = True, world.clock.seconds
        await world.say(*names)
        await asyncio.sleep(HOUR)
        skipped = await skip(world, dispatcher, days=sized(4.8, 0))  # the long form lives through all of it
        assert not await is_disabled(world)
        await world.until(lambda: is_disabled(world), within_s=6 * DAY)
        lasted = world.clock.seconds - began + skipped
        tries = len(post.got)
        await world.say(*names)
        await asyncio.sleep(DAY)
        assert len(post.got) == tries
        down["is"] = False
        await endpoints.resume(world.database, post.endpoint)
        await world.until(lambda: len(post.acknowledged) == len(world.pen.written_at), within_s=DAY)
        await asyncio.sleep(60)
        return await world.verdict(post, again=0), lasted

    verdict, lasted = play(database_url, act)
    report(f"disabled {lasted / DAY:.2f} days after the first failure, and resumed a day later", verdict)
    assert verdict.faults == []
    assert 5 * DAY <= lasted < 5 * DAY + 3 * HOUR


async def skip(world: World, dispatcher: Dispatcher, *, days: float) -> float:
    """Let it have failed for some days more, between two dispatchers; return the seconds."""
    if days:
        await dispatcher.stop()
        await world.fetch("update lane set failing_since = failing_since - make_interval(secs => $1)", days * DAY)
        world.begin()
    return days * DAY


async def is_disabled(world: World) -> bool:
    return bool(await world.fetch("select 1 from endpoint where state = 'disabled'"))


def test_after_its_return_a_limited_subscriber_gets_no_more_than_its_limit(database_url: str, report: Report) -> None:
    async def act(world: World) -> tuple[Verdict, Post, float]:
        post, _, ended = await outage(world, days=0.25, subjects=40, each_hour=40, status=503, rate_per_s=2.0)
        await world.until(lambda: len(post.acknowledged) == len(world.pen.written_at), within_s=6 * HOUR)
        await asyncio.sleep(60)
        return await world.verdict(post, again=0), post, ended

    verdict, post, ended = play(database_url, act)
    times = [each.at for each in post.got if each.at > ended]
    most = max(sum(start <= each < start + 10 for each in times) for start in times)
    report(f"down for six hours with a limit of 2 events a second, at most {most} in ten seconds", verdict)
    assert verdict.faults == []
    assert most <= 2 * 10 + 2


def test_retries_of_many_subjects_are_spread_over_their_window(database_url: str) -> None:
    async def act(world: World) -> list[float]:
        world.schedule, world.pace = (0, 600, 3600), PACE
        tries: dict[str, list[float]] = {f"item/RK{number}FR": [] for number in range(50)}

        def answer(_post: Post, event: Event) -> int:
            if event.subject not in tries:
                return 204
            tries[event.subject].append(world.clock.seconds)
            return 500 if len(tries[event.subject]) == 1 else 204

        post = await world.endpoint(answer)
        world.begin()
        for number in range(
            50
        ):  # each beside others that are well: a few subjects that fail alone do not open the breaker
            await world.say(f"item/RK{number}FR", *[f"item/OK{number}{other}FR" for other in range(5)])
        await world.until(lambda: len(post.acknowledged) == len(world.pen.written_at), within_s=1000)
        return sorted(second - first for first, second in tries.values())

    waits = play(database_url, act)
    assert len(waits) == 50
    assert waits[0] >= 480
    assert waits[-1] <= 720 + 5
    assert waits[-1] - waits[0] > 120  # ±20 % of ten minutes, and not all at once
