"""Shapes of a hard day, in virtual time: each plays one run and returns what the oracle says of every endpoint."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from typing import Any

from fieldsvc.publishing.dispatcher import Pace
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.store import lanes
from tests.faults.publishing.oracle import Event, Verdict, judge
from tests.faults.publishing.scene import books, names_of, pace_of
from tests.faults.publishing.virtual import Post, Stalled, World

SPAN, IN_FLIGHT = 20, 12
SLOWLY = Pace(lease_s=120, margin_s=20, renew_s=20, look_s=20, save_s=1, log_s=60, lane=LaneLimits(longest_sleep_s=20))
PATIENT = (0.0, *[0.3] * 200)
Shape = Callable[[World, Random], Awaitable[list[Verdict]]]


async def crashes(world: World, rng: Random) -> list[Verdict]:
    """Endpoints that refuse at random and answer at any time, subjects that are sick for a while, dispatchers that crash."""
    world.schedule = PATIENT
    world.pace = pace_of(look_s=0.3, save_s=rng.choice((0.02, 0.2, 1.0)), span=SPAN, waiting=12, backlog_rows=5)
    mood: dict[str, Any] = {"sick": set(), "share": 0.15}

    def answer(post: Post, event: Event) -> Outcome | int:
        if event.subject in mood["sick"] or rng.random() < mood["share"]:
            slow = Outcome(post.clock.now(), rng.choice((500, 3000)), error="timeout")
            return rng.choice((500, 503, 404, slow))
        return 204

    posts = [await world.endpoint(answer), await world.endpoint(answer, batch=4)]
    for post in posts:
        post.takes_s = lambda: rng.choice((0.005, 0.02, 0.3))
    dispatcher = world.begin()
    for turn in range(12):
        await world.say(*names_of(rng, rng.randrange(1, 16), 7))
        if turn % 3 == 0:
            mood["sick"] = {f"item/RK{rng.randrange(7)}FR"}
        await asyncio.sleep(rng.uniform(0.05, 1.5))
        if turn % 4 == 3:
            await world.crash(dispatcher)
            dispatcher = world.begin()
    mood.update(sick=set(), share=0)
    return await arrived(world, posts)


async def outage(world: World, rng: Random) -> list[Verdict]:
    """One of three endpoints is down as a whole for much longer than its schedule."""
    world.schedule, world.pace = (0, 5, 60, 300, 600), SLOWLY
    down, error = {"is": False}, rng.choice(("connect", "timeout", "reset", None))

    def answer(post: Post, _event: Event) -> Outcome | int:
        return Outcome(post.clock.now(), 1, status=None if error else 503, error=error) if down["is"] else 204

    posts = [await world.endpoint(answer), await world.endpoint(), await world.endpoint()]
    world.begin()
    await world.say(*names_of(rng, 20, 12))
    await asyncio.sleep(60)
    down["is"] = True
    for _ in range(20):
        await world.say(*names_of(rng, 10, 12))
        await asyncio.sleep(120)
    down["is"] = False
    return await arrived(world, posts, within_s=1200)


async def stale_owner(world: World, _rng: Random) -> list[Verdict]:
    """An owner is frozen in its save past its lease; the next one parks the same subject, and then the first wakes."""
    world.schedule, world.pace = (0, 0.3, *[60.0] * 20), pace_of(look_s=0.3, slow_s=60)
    sick = {"is": True}
    post = await world.endpoint(lambda _post, event: 500 if sick["is"] and event.subject == "item/X" else 204)
    frozen = world.begin()
    await world.say("item/X", "item/Y")
    await world.until(lambda: _parked(world, 1), within_s=10)
    async with holding_back(frozen.owner) as thaw:
        sick["is"] = False
        await world.until(lambda: len(post.acknowledged) == 2, within_s=10)
        sick["is"] = True
        other = world.begin()
        await world.until(lambda: bool(other.owned), within_s=20)
        await world.say("item/X")
        await world.until(lambda: _backlog(world, 1), within_s=10)
        thaw.set()
        await asyncio.sleep(0.1)
    await world.crash(other)
    await world.crash(frozen)
    sick["is"] = False
    world.begin()
    return await arrived(world, [post], within_s=120)


async def unsaved(world: World, rng: Random) -> list[Verdict]:
    """Nothing can be saved for a while, receivers are fast, and then the dispatcher crashes."""
    world.schedule, world.pace = PATIENT, pace_of(look_s=0.3, span=SPAN)
    posts = [await world.endpoint(), await world.endpoint(batch=5)]
    dispatcher = world.begin()
    await world.say(*names_of(rng, 10, 5))
    await asyncio.sleep(1)
    async with holding_back(dispatcher.owner):
        await world.say(*names_of(rng, 120, 30))
        await asyncio.sleep(1)
        await world.crash(dispatcher)
    other = world.begin()
    await world.until(lambda: len(other.owned) == len(posts), within_s=10)
    await asyncio.sleep(0.5)  # long enough for it to send again whatever it will
    await world.say(*names_of(rng, 10, 5))
    return await arrived(world, posts)


async def poison(world: World, rng: Random) -> list[Verdict]:
    """One event of each of some subjects is never taken, alone or in mid batch: it is on record, and the rest goes on."""
    world.pace = pace_of(look_s=0.3)
    names = await world.say(*names_of(rng, 120, 20))
    bad = {name for name in names if rng.random() < 0.06}
    posts = [await world.endpoint(), await world.endpoint(batch=10)]
    for post in posts:
        post.refuses = bad
    world.begin()
    verdicts = []
    for post in posts:
        await world.until(lambda post=post: post.acknowledged >= set(names) - bad, within_s=120)  # type: ignore[misc]
        await world.until(lambda: _nothing(world), within_s=120)
        await asyncio.sleep(1)
        found = await books(world.database, post.endpoint)
        verdict = judge(found.events, post.got, records=replace(found.records, waiting=frozenset()), again=0)
        verdict.faults += [] if found.records.dead == bad else ["The dead letters are others than the poison."]
        verdicts.append(verdict)
    return verdicts


SHAPES: dict[str, Shape] = {
    each.__name__: each for each in (crashes, outage, stale_owner, unsaved, poison)
}  # fmt: skip


async def arrived(world: World, posts: list[Post], *, within_s: float = 30) -> list[Verdict]:
    """Wait until everything has arrived and nothing waits any more; judge."""
    names, again = set(world.pen.written_at), world.crashes * (SPAN + IN_FLIGHT)
    stalled = []
    try:
        await world.until(lambda: all(post.acknowledged >= names for post in posts), within_s=within_s)
        await world.until(lambda: _nothing(world), within_s=10)
    except Stalled:
        stalled.append("It never came to rest.")
    verdicts = [await world.verdict(post, again=again) for post in posts]
    verdicts[-1].faults += stalled
    return verdicts


@asynccontextmanager
async def holding_back(owner: Any) -> AsyncIterator[asyncio.Event]:
    """Hold back what one owner writes, until the event is set; what it was to write is written then."""
    kept, thaw = (lanes.save, lanes.renew), asyncio.Event()

    async def save(database: Any, who: Any, *args: Any, **more: Any) -> Any:
        if who == owner:
            await thaw.wait()
        return await kept[0](database, who, *args, **more)

    async def renew(database: Any, who: Any, *args: Any, **more: Any) -> Any:
        if who == owner:
            await thaw.wait()
        return await kept[1](database, who, *args, **more)

    vars(lanes).update(save=save, renew=renew)
    try:
        yield thaw
    finally:
        vars(lanes).update(save=kept[0], renew=kept[1])


async def _parked(world: World, count: int) -> bool:
    return len(await world.fetch("select 1 from parked where attempts > 0")) == count


async def _backlog(world: World, count: int) -> bool:
    return len(await world.fetch("select 1 from lane_backlog")) == count


async def _nothing(world: World) -> bool:
    return not await world.fetch("select 1 from parked union all select 1 from lane_backlog")
