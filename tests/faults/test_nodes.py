"""Several machines: any node takes any phone, and one that is killed costs seconds and no event."""

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import pytest

from fieldsvc.access import accounts
from fieldsvc.bench.faults.children import until
from fieldsvc.bench.faults.oracle import Journalled, Report, judge, read_journal, read_phones, read_receptions
from fieldsvc.bench.faults.scene import subscriber_of
from fieldsvc.bench.faults.town import Service
from fieldsvc.bench.load import BATCH
from fieldsvc.ids import uuid7
from fieldsvc.publishing.dispatcher import Pace
from fieldsvc.publishing.streams.shard import StreamPace
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.store.database import open_database
from fieldsvc.web.auth import SESSION_COOKIE
from tests.faults.conftest import Workers
from tests.faults.nodes import Nodes, nodes_of, phones_at
from tests.publishing.streams.conftest import Nats, assert_whole
from tests.sizes import sized

pytestmark = pytest.mark.fault
WITHIN_S, MOVES_WITHIN_S, KILLS = 60.0, 10.0, sized(2, 20)
OWNERS = "select owner from {} where owner is not null"
PUBLISHED = "select count(*) from event where kind = 'public'"


async def journalled(url: str) -> Journalled:
    database = await open_database(url, size=2)
    try:
        return await read_journal(database)
    finally:
        await database.close()


def signals(count: int) -> list[dict[str, object]]:
    now = datetime.now(UTC).isoformat()
    return [
        {
            "specversion": "1.0",
            "id": str(uuid7()),
            "source": "/devices/any",
            "type": "fieldsvc.object.signalled.v1",
            "subject": "object/box",
            "time": now,
            "data": {"object_id": "box", "kind": "mailbox", "value": True},
        }
        for _ in range(count)
    ]


async def sent(session: aiohttp.ClientSession, node: Service, token: str, events: list[dict[str, object]]) -> list[str]:
    """Upload to a node; return the statuses."""
    headers = {"Authorization": f"Bearer {token}", "Content-Type": BATCH}
    async with session.post(f"{node.url}/v1/events", data=orjson.dumps(events), headers=headers) as answer:
        assert answer.status == 200
        return [each["status"] for each in (await answer.json())["results"]]


async def test_any_node_takes_any_phone_and_one_killed_under_load_loses_nothing_and_doubles_nothing(
    children: Workers, tmp_path: Path, report: Report
) -> None:
    async with nodes_of(children, tmp_path) as nodes:
        pair = [await nodes.start(name, "intake") for name in ("one", "two")]
        token = nodes.credentials.devices[0].token
        async with aiohttp.ClientSession(trust_env=False) as session:
            events = signals(5)
            assert await sent(session, pair[0], token, events[:3]) == ["accepted"] * 3
            assert await sent(session, pair[1], token, events) == ["duplicate"] * 3 + ["accepted"] * 2
            assert await sent(session, pair[0], token, events) == ["duplicate"] * 5
        ledger = tmp_path / "phones.ledger"
        async with phones_at(pair, nodes.credentials, ledger, seed=3, pause_s=0.02) as fleet:
            for kill in range(KILLS):
                victim = pair[kill % 2]
                await victim.kill()
                await fleet.progress(within_s=WITHIN_S)  # at the other one alone
                await victim.start()
                await fleet.progress(within_s=WITHIN_S)
            await fleet.rest()
            await fleet.flush()
            rude = fleet.rude
        assert await nodes.stop() == [0, 0]
        journal = await journalled(nodes.url)
    verdict = judge(journal, journal.public, phones=read_phones(ledger))
    report(f"two intake nodes, {KILLS} of them killed", verdict)
    assert verdict.faults + rude == []
    assert verdict.stored == len(verdict.phones.generated) == len(verdict.phones.held) > 50


async def test_lanes_and_stream_of_a_killed_node_go_on_at_the_other_in_order_within_ten_seconds(
    children: Workers, tmp_path: Path, report: Report, note: Callable[[str], None]
) -> None:
    assert max(Pace().lease_s + Pace().look_s, StreamPace().lease_s + StreamPace().look_s) < MOVES_WITHIN_S
    (tmp_path / "nats").mkdir()
    broker, ledgers = Nats(tmp_path / "nats"), [tmp_path / f"hook-{number}.ledger" for number in (1, 2)]
    await broker.start()
    try:
        async with nodes_of(children, tmp_path, {"FIELDSVC_NATS_URL": broker.url}) as nodes, AsyncExitStack() as stack:
            pair = [await nodes.start("one", "publish")]
            opening = [subscriber_of(pair[0], nodes.credentials, each) for each in ledgers]
            hooks = [await stack.enter_async_context(each) for each in opening]
            await until(partial(owners, nodes.url, "stream_lane"), within_s=WITHIN_S, says="Nobody took the stream.")
            pair.append(await nodes.start("two", "publish"))
            moved, rude = await killed_in_turns(nodes, pair, hooks, broker)
            journal = await journalled(nodes.url)
        published = [each.evt_id for each in journal.public]
        assert_whole(await broker.stored(), published)
    finally:
        broker.kill()
    first, second = map(read_receptions, ledgers)
    verdict = judge(journal, first, phones=read_phones(tmp_path / "phones.ledger"))
    report(f"publish nodes killed {KILLS} times", verdict)
    lanes, stream = ([each[part] for each in moved] for part in (0, 1))
    note(f"nodes: a killed one's lanes went on after {seconds(lanes)} s, the stream after {seconds(stream)} s")
    assert [*verdict.faults, *hooks[0].violations, *hooks[1].violations, *rude] == []
    assert {each.evt_id for each in second} == set(published)
    assert min(lanes) <= MOVES_WITHIN_S
    assert min(stream) <= MOVES_WITHIN_S


async def killed_in_turns(
    nodes: Nodes, pair: list[Service], hooks: list[Subscriber], broker: Nats
) -> tuple[list[tuple[float, float]], list[str]]:
    """Kill the node that holds the stream and a lane, again and again, while phones work; return how long each move took."""
    intake = await nodes.start("intake", "intake")
    ledger = nodes.folder / "phones.ledger"
    async with phones_at([intake], nodes.credentials, ledger, seed=5, pause_s=0.1) as fleet:
        moved = []
        for kill in range(KILLS):
            victim = pair[kill % 2]
            await until(partial(is_shared, nodes.url), within_s=WITHIN_S, says="The nodes do not share the lanes.")
            stream = await owners(nodes.url, "stream_lane")
            await victim.kill()
            moved.append(await asyncio.gather(lanes_go_on(nodes.url, hooks), stream_goes_on(nodes.url, stream, broker)))
            await victim.start()
        await fleet.rest()
        await fleet.flush()
    assert (await intake.stop())[0] == 0  # nothing is published any more
    await until(partial(is_everywhere, nodes.url, hooks, broker), within_s=WITHIN_S, says="Something is missing.")
    assert await nodes.stop() == [0, 0]
    return [(lane, stream) for lane, stream in moved], fleet.rude


async def is_shared(url: str) -> bool:
    return len(await owners(url, "lane")) == 2


async def lanes_go_on(url: str, hooks: list[Subscriber]) -> float:
    """Return how long it took from now until each subscriber got an event from the one owner that is left."""
    began = time.monotonic()

    async def is_alone() -> bool:
        return len(await owners(url, "lane")) == 1

    await until(is_alone, within_s=WITHIN_S, says="The lanes of a killed node are left.")
    had = [hook.counts().delivered for hook in hooks]
    await until(
        lambda: all(hook.counts().delivered > before for hook, before in zip(hooks, had, strict=True)),
        within_s=WITHIN_S,
        says="The lanes of a killed node do not go on.",
    )
    return time.monotonic() - began


async def stream_goes_on(url: str, before: set[str], broker: Nats) -> float:
    """Return how long it took from now until another owner had put something into the stream."""
    began = time.monotonic()

    async def is_moved() -> bool:
        return not before & await owners(url, "stream_lane")

    await until(is_moved, within_s=WITHIN_S, says="The stream of a killed node is left.")
    had = await broker.count()

    async def grows() -> bool:
        return await broker.count() > had

    await until(grows, within_s=WITHIN_S, says="The stream does not go on.")
    return time.monotonic() - began


async def is_everywhere(url: str, hooks: list[Subscriber], broker: Nats) -> bool:
    """Tell whether each subscriber and the stream have everything."""
    (row,) = await asked(url, PUBLISHED)
    return {row["count"]} == {await broker.count(), *(hook.counts().delivered for hook in hooks)}


async def owners(url: str, table: str) -> set[str]:
    """Return who holds lanes, the living and the dead."""
    return {str(row["owner"]) for row in await asked(url, OWNERS.format(table))}


async def asked(url: str, query: str) -> list[asyncpg.Record]:
    desk = await asyncpg.connect(url)
    try:
        return await desk.fetch(query)
    finally:
        await desk.close()


def seconds(moved: list[float]) -> str:
    return ", ".join(f"{each:.1f}" for each in moved)


async def test_the_pages_of_a_dead_node_are_served_by_the_other_to_whoever_is_signed_in(
    children: Workers, tmp_path: Path
) -> None:
    async with nodes_of(children, tmp_path) as nodes, aiohttp.ClientSession(trust_env=False) as session:
        one, two = [await nodes.start(name, "web") for name in ("one", "two")]
        site = (await asked(nodes.url, "select distinct site from round"))[0]["site"]
        database = await open_database(nodes.url, size=1)
        made = await accounts.create_person(database, one.url, "supervisor", email="a@demo.invalid", site=site)
        await database.close()
        async with session.post(made["sign_in_url"], allow_redirects=False) as answer:
            cookies = {SESSION_COOKIE: answer.cookies[SESSION_COOKIE].value}
        first = await seen(session, one, cookies, site)
        await one.kill()
        assert await seen(session, two, cookies, site) == first
        assert first
        assert await nodes.stop() == [0]


async def seen(session: aiohttp.ClientSession, node: Service, cookies: dict[str, str], site: str) -> list[str]:
    """Open a supervisor's page at a node, and the lines of its map; return their rounds."""
    async with session.get(f"{node.url}/supervision", cookies=cookies, allow_redirects=False) as page:
        assert page.status == 200
        assert "<h1" in await page.text()
    async with session.get(f"{node.url}/v1/rounds", params={"site": site}, cookies=cookies) as rounds:
        assert rounds.status == 200
        return sorted(orjson.dumps(each).decode() for each in orjson.loads(await rounds.read())["features"])
