"""`bench publish`: how fast committed events reach subscribers, beside a bare client that posts the same bodies.

Receivers are a process of their own on loopback. For the rate, endpoints are made that begin before a backlog, and the time runs
from the first tenth of the events to the last; the limit is an unsigned aiohttp client with as many requests in flight to the
same receivers, in single events and in batches. For the delay nothing else happens: one event at a time, from the answer to its
upload until it is received; `publish_load` measures it under load. The feed is read to its end, beside the same rows read by
asyncpg.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import aiohttp
import asyncpg
import orjson

from fieldsvc.bench import ingest, publish_load
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import Load, percentile, post, send_all
from fieldsvc.bench.subscribed import PAGE, Bench, per_s, ready
from fieldsvc.journal.reader import START
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing.formats.catalogue import CLOUDEVENTS
from fieldsvc.publishing.tools import LaneLimits
from handlers.base import evt_id
from sql import query

ENDPOINTS, BATCH = (1, 10), 100
IN_FLIGHT = LaneLimits().in_flight
OLDER, BACKLOG, ALONE, ALONE_PER_S = 4_000, 1_000, 50, 20.0


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure rate, delay and feed `cycles` times each and print a line for each."""
    turns, more = range(max(1, cycles)), 4 if full else 1
    async with ready(max(ENDPOINTS)) as bench:
        await bench.load(OLDER * more)
        cursor = [page["next"] async for page in bench.pages()][-1]
        await bench.load(BACKLOG * more)
        every = [orjson.dumps(event) async for page in bench.pages() for event in page["events"]]
        bodies = [orjson.dumps(event) async for page in bench.pages(cursor) for event in page["events"]]
        for count in ENDPOINTS:
            show(_rate_line(count, [await _rate(bench, count, cursor, bodies) for _ in turns], len(bodies)))
        for count in ENDPOINTS:
            show(
                _batch_line(count, [await _rate(bench, count, "oldest", every, batch=BATCH) for _ in turns], len(every))
            )
        delays = [await _delay(bench, bodies[: ALONE * more]) for _ in turns]
        show(_delay_line(delays))
        alone = [percentile(delay.bare, 0.5) for delay in delays]
        await publish_load.run(bench, alone, more=more, show=show)
        show(_feed_line([await _feed(bench) for _ in turns]))


@dataclass(frozen=True, slots=True)
class Rate:
    """Events a second at the receivers: from the service, and from the bare client."""

    service: float
    bare: float
    service_cpu_us: float


async def _rate(bench: Bench, count: int, start: str, bodies: Sequence[bytes], *, batch: int = 1) -> Rate:
    expected = count * len(bodies)
    cpu_s = bench.site.service.cpu_s()
    async with bench.endpoints(count, start=start, batch=batch):
        service = per_s(await bench.arrivals(expected))
        cpu_s = bench.site.service.cpu_s() - cpu_s
    groups = [bodies[first : first + batch] for first in range(0, len(bodies), batch)]
    messages = [(f"bare_b{len(group)}", CLOUDEVENTS.join(group) if batch > 1 else group[0]) for group in groups]
    posts = chain.from_iterable(((receiver, *message) for receiver in bench.receivers[:count]) for message in messages)
    todo = iter(list(posts))
    async with asyncio.TaskGroup() as group:
        for _ in range(count * IN_FLIGHT):
            group.create_task(_post_all(bench.client, todo))
    return Rate(service, per_s(await bench.arrivals(expected)), 1e6 * cpu_s / expected)


async def _post_all(client: aiohttp.ClientSession, todo: Any) -> None:
    for receiver, name, body in todo:
        await _post_bare(client, receiver, body, name)


async def _post_bare(client: aiohttp.ClientSession, receiver: str, body: bytes, name: str) -> None:
    headers = {"Content-Type": "application/cloudevents+json", "webhook-id": name}
    async with client.post(f"{receiver}/hook", data=body, headers=headers) as answer:
        await answer.read()


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds until an event was received: after the answer to its upload, and after a bare client began to post it."""

    service: list[float]
    bare: list[float]


async def _delay(bench: Bench, bodies: Sequence[bytes]) -> Delay:
    walk, now = bench.site.kit.walk, datetime.now(UTC)
    events = [ingest.delivered(walk, number, now) for number in range(len(bodies))]
    requests = [post("/v1/events", walk.token, orjson.dumps([event])) for event in events]
    async with bench.endpoints(1):
        await bench.load(1)
        await bench.arrivals(1)
        load = await send_all(bench.site.service.url, requests, connections=1, per_s=ALONE_PER_S)
        came = {name: at for _receiver, name, at in await bench.arrivals(len(events))}
    service = [came[evt_id(event["id"], 0)] - load.answered_at[number] for number, event in enumerate(events)]
    return Delay(service, await _bare_delay(bench, bodies))


async def _bare_delay(bench: Bench, bodies: Sequence[bytes]) -> list[float]:
    began = {}
    for number, body in enumerate(bodies):
        await asyncio.sleep(1 / ALONE_PER_S)
        began[str(number)] = time.perf_counter()
        await _post_bare(bench.client, bench.receivers[0], body, str(number))
    return [at - began[name] for _receiver, name, at in await bench.arrivals(len(bodies))]


@dataclass(frozen=True, slots=True)
class Reading:
    """Events a second read to the end: through the feed, and as rows by asyncpg."""

    feed: float
    rows: float
    pages: Load


async def _feed(bench: Bench) -> Reading:
    load, events = Load(), 0
    began = before = time.perf_counter()
    async for page in bench.pages():
        now = time.perf_counter()
        load.seconds.append(now - before)
        before, events = now, events + len(page["events"])
    load.wall_s = time.perf_counter() - began
    return Reading(events / load.wall_s, await _bare_rows(bench.site.database_url), load)


async def _bare_rows(database_url: str) -> float:
    connection = await asyncpg.connect(database_url, server_settings={"enable_sort": "off", "enable_bitmapscan": "off"})
    try:
        began, rows = time.perf_counter(), 0
        for shard in range(SHARDS):
            place = START
            while found := await connection.fetch(query("event.public_after"), shard, *place, PAGE):
                rows += len(found)
                place = found[-1]["day"], found[-1]["pos"]
        return rows / (time.perf_counter() - began)
    finally:
        await connection.close()


def _rate_line(count: int, rates: Sequence[Rate], events: int) -> dict[str, Any]:
    return result(
        "publish",
        "webhooks_per_s",
        [rate.service for rate in rates],
        Against("bare_client", [rate.bare for rate in rates]),
        shape=f"endpoints_{count}",
        endpoints=count,
        events=events,
        subjects="one each",
        in_flight_per_endpoint=IN_FLIGHT,
        service_cpu_us_per_webhook=round(rates[0].service_cpu_us),
        service_does_more="lane order, signature, attempt log, cursor saved",
    )


def _batch_line(count: int, rates: Sequence[Rate], events: int) -> dict[str, Any]:
    return result(
        "publish",
        "batched_events_per_s",
        [rate.service for rate in rates],
        Against("bare_client", [rate.bare for rate in rates]),
        shape=f"endpoints_{count}",
        endpoints=count,
        events=events,
        events_per_request=BATCH,
        service_cpu_us_per_event=rounded(rates[0].service_cpu_us),
        service_does_more="rendering, lane order, signature, attempt log, cursor saved",
    )


def _delay_line(delays: Sequence[Delay]) -> dict[str, Any]:
    service = [1000 * percentile(delay.service, 0.5) for delay in delays]
    bare = Against("bare_client", [1000 * percentile(delay.bare, 0.5) for delay in delays])
    every = Load([seconds for delay in delays for seconds in delay.service])
    line = result(
        "publish",
        "acknowledged_to_received_ms",
        service,
        bare,
        endpoints=1,
        events=len(delays[0].service),
        events_per_s=ALONE_PER_S,
        p99_of="all cycles",
        bare_client_p99_ms=rounded(1000 * percentile([s for delay in delays for s in delay.bare], 0.99)),
        note="the answer and the first attempt follow the same commit side by side: below 0 it arrived first",
    )
    return {**line, "p50_ms": rounded(every.percentile_ms(0.5)), "p99_ms": rounded(every.percentile_ms(0.99))}


def _feed_line(readings: Sequence[Reading]) -> dict[str, Any]:
    return result(
        "publish",
        "feed_events_per_s",
        [reading.feed for reading in readings],
        Against("bare_rows", [reading.rows for reading in readings]),
        loads=[reading.pages for reading in readings],
        events_per_page=PAGE,
        readers=1,
        p50_of="a page",
    )
