"""`bench streams`: how fast events reach a NATS JetStream that flushes every write before it acknowledges it.

The server is a process of its own on loopback, with an empty folder. Measured are the publisher's own atomic batches beside
the same messages by the client's awaited `publish_async`; the journal's rows through the whole sink beside those batches; and, one
event at a time, from the answer to its upload until a consumer of the stream has it, beside a bare acknowledged publish.
"""

import asyncio
import contextlib
import shutil
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import nats
import orjson
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from fieldsvc.bench import ingest
from fieldsvc.bench.ingest import Shape, Walk
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import Load, percentile, post, send_all
from fieldsvc.bench.service import Site, running
from fieldsvc.errors import UserMistake
from fieldsvc.journal.reader import Reader
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing.streams.broker import Broker, StreamLimits, connected
from fieldsvc.publishing.streams.messages import MESSAGE_ID, STREAM, Message, message_of
from fieldsvc.store.database import open_database
from handlers.base import evt_id

BACKLOG, MORE, ONE_BY_ONE, BATCH = 10_000, 100, 1_000, 1_000
IN_FLIGHT = 256
ALONE, ALONE_PER_S = 100, 20.0
STARTS_WITHIN_S, PATIENCE_S = 10.0, 60.0


def need_nats() -> str:
    """Return the path of the server's program. UserMistake without it."""
    beside = Path(sys.executable).parent / "nats-server"
    program = str(beside) if beside.exists() else shutil.which("nats-server")
    if program is None:
        raise UserMistake("`bench streams` needs a nats-server: install requirements/test.txt.")
    return program


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure `cycles` times and print a line for each metric. UserMistake without NATS."""
    program, turns, more = need_nats(), range(max(1, cycles)), 4 if full else 1
    async with _server(program) as address, _server(program) as bare, running(ingest.prepare, NATS_URL=address) as site:
        await _in_stream(address, 0)
        async with _empty_stream(bare):
            delays = [await _delay(site, address, bare, ALONE * more) for _ in turns]
        await _load(site, BACKLOG * more)
        messages = await _messages(site.database_url)
        events = sum(map(len, messages.values()))
        await _in_stream(address, events)
        batches = [await _batches(bare, messages) for _ in turns]
        rows = [await _rebuilt(site, address, events + MORE * (turn + 1)) for turn in turns]
    show(_batch_line(batches, messages))
    show(_rows_line(rows, batches, events + MORE))
    show(_delay_line(delays))


@asynccontextmanager
async def _server(program: str) -> AsyncIterator[str]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="fieldsvc-bench-nats-") as folder:
        config = Path(folder) / "nats.conf"
        store = orjson.dumps(f"{folder}/store").decode()
        text = f'listen: "127.0.0.1:{port}"\njetstream {{ store_dir: {store}, sync_interval: always }}\n'
        await asyncio.to_thread(config.write_text, text)
        process = await asyncio.create_subprocess_exec(program, "-c", str(config), stderr=asyncio.subprocess.DEVNULL)
        try:
            async with asyncio.timeout(STARTS_WITHIN_S):
                while not await _listens(port):  # noqa: ASYNC110 - another process's
                    await asyncio.sleep(0.02)
            yield f"nats://127.0.0.1:{port}"
        finally:
            process.terminate()
            await process.wait()


async def _listens(port: int) -> bool:
    with contextlib.suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


async def _load(site: Site[Walk], events: int) -> None:
    await send_all(site.service.url, list(ingest.uploads(site.kit, Shape("", 100, 8, events))), connections=8)


@asynccontextmanager
async def _client(address: str) -> AsyncIterator[Client]:
    client = await nats.connect(address)
    try:
        yield client
    finally:
        await client.close()


async def _in_stream(address: str, events: int) -> Any:
    """Wait until the stream has so many events, and return its state. TimeoutError after a minute."""
    async with _client(address) as client, asyncio.timeout(PATIENCE_S):
        while True:
            said = await client.request(f"$JS.API.STREAM.INFO.{STREAM}", timeout=PATIENCE_S)
            state = orjson.loads(said.data).get("state")
            if state and state["messages"] >= events:
                return state
            await asyncio.sleep(0.05)


async def _messages(database_url: str) -> dict[int, list[Message]]:
    """Write the backlog of every shard as it goes to the broker."""
    database = await open_database(database_url, size=2)
    try:
        reader, epoch, found = Reader(database), uuid4(), dict[int, list[Message]]()
        for shard, oldest in (await reader.oldest()).items():
            place, messages = oldest, found.setdefault(shard, [])
            while rows := await reader.after(shard, place):
                messages += [message_of(row, epoch, most_bytes=1_000_000) for row in rows]
                place = rows[-1].position
        return found
    finally:
        await database.close()


@dataclass(frozen=True, slots=True)
class Batches:
    """Messages a second: in atomic batches, and by `publish_async` with its acknowledgements awaited."""

    atomic: float
    one_by_one: float


async def _batches(address: str, messages: Mapping[int, Sequence[Message]]) -> Batches:
    """Publish into an empty stream, then again one by one into another."""
    count = sum(map(len, messages.values()))
    async with _empty_stream(address) as broker:
        began = time.perf_counter()
        async with asyncio.TaskGroup() as group:
            for shard, each in messages.items():
                group.create_task(_in_batches(broker, shard, each))
        atomic = count / (time.perf_counter() - began)
    some = [message for each in messages.values() for message in each[: ONE_BY_ONE // SHARDS]]
    async with _empty_stream(address), _client(address) as client:
        began = time.perf_counter()
        await _one_by_one(client, some)
        return Batches(atomic, len(some) / (time.perf_counter() - began))


@asynccontextmanager
async def _empty_stream(address: str) -> AsyncIterator[Broker]:
    async with _client(address) as client:
        await client.request(f"$JS.API.STREAM.DELETE.{STREAM}", timeout=PATIENCE_S)
    async with connected([address], StreamLimits(), answer_s=PATIENCE_S) as broker:
        yield broker


async def _in_batches(broker: Broker, shard: int, messages: Sequence[Message]) -> None:
    after = 0
    for start in range(0, len(messages), BATCH):
        after = await broker.publish(shard, messages[start : start + BATCH], after=after)


async def _one_by_one(client: Client, messages: Sequence[Message]) -> None:
    stream = client.jetstream(publish_async_max_pending=IN_FLIGHT)
    answers = [await stream.publish_async(each.subject, each.body, headers=dict(each.headers)) for each in messages]
    await asyncio.gather(*answers)


async def _rebuilt(site: Site[Walk], address: str, events: int) -> float:
    """Delete the service's stream, and return how many events a second filled it again, by the server's clock.

    New events make the service find it out at once. The clock begins with the first batch, which is therefore not counted (of a
    small stream its half).
    """
    async with _client(address) as client:
        await client.request(f"$JS.API.STREAM.DELETE.{STREAM}", timeout=PATIENCE_S)
    await _load(site, MORE)
    state = await _in_stream(address, events)
    first, last = (datetime.fromisoformat(state[name]) for name in ("first_ts", "last_ts"))
    return (events - min(BATCH, events // 2)) / max(1e-3, (last - first).total_seconds())


@dataclass(frozen=True, slots=True)
class Delay:
    """Seconds until a consumer had an event: after the answer to its upload, and after a bare publish of one began."""

    service: list[float]
    bare: list[float]


async def _delay(site: Site[Walk], address: str, bare: str, events: int) -> Delay:
    now = datetime.now(UTC)
    sent = [ingest.delivered(site.kit, number, now) for number in range(events)]
    requests = [post("/v1/events", site.kit.token, orjson.dumps([event])) for event in sent]
    names = [evt_id(event["id"], 0) for event in sent]
    async with _arrivals(address, names) as came:
        load = await send_all(site.service.url, requests, connections=1, per_s=ALONE_PER_S)
    service = [came[name] - load.answered_at[number] for number, name in enumerate(names)]
    names, began = [uuid4().hex for _ in sent], dict[str, float]()
    async with _client(bare) as client, _arrivals(bare, names) as came:
        for name, body in zip(names, requests, strict=True):
            await asyncio.sleep(1 / ALONE_PER_S)
            began[name] = time.perf_counter()
            await client.jetstream().publish("evt.0.-.bench.alone.0", body, headers={MESSAGE_ID: name})
    return Delay(service, [came[name] - at for name, at in began.items()])


@asynccontextmanager
async def _arrivals(address: str, names: Sequence[str]) -> AsyncIterator[dict[str, float]]:
    """Note when a consumer of the stream gets what is new; at the end wait until all of `names` have come."""
    came, missing, all_came = dict[str, float](), set(names), asyncio.Event()

    async def note(message: Msg) -> None:
        name = (message.headers or {}).get(MESSAGE_ID, "")
        came.setdefault(name, time.perf_counter())
        missing.discard(name)
        if not missing:
            all_came.set()

    async with _client(address) as client:
        consumer = ConsumerConfig(deliver_policy=DeliverPolicy.NEW, ack_policy=AckPolicy.NONE)
        await client.jetstream().subscribe("evt.>", stream=STREAM, cb=note, config=consumer)
        yield came
        async with asyncio.timeout(PATIENCE_S):
            await all_came.wait()


def _batch_line(batches: Sequence[Batches], messages: Mapping[int, Sequence[Message]]) -> dict[str, Any]:
    written = [message for each in messages.values() for message in each]
    return result(
        "streams",
        "atomic_batch_messages_per_s",
        [each.atomic for each in batches],
        Against("publish_async", [each.one_by_one for each in batches]),
        messages=len(written),
        messages_per_batch=BATCH,
        batches_at_once=len(messages),
        bytes_per_message=round(sum(len(each.body) for each in written) / max(1, len(written))),
        publish_async_messages=ONE_BY_ONE,
        publish_async_in_flight=IN_FLIGHT,
        sync_interval="always",
        replicas=1,
    )


def _rows_line(rows: Sequence[float], batches: Sequence[Batches], events: int) -> dict[str, Any]:
    return result(
        "streams",
        "rows_to_stream_per_s",
        list(rows),
        Against("atomic_batch", [each.atomic for each in batches]),
        events=events,
        does_more="rows read from PostgreSQL, written as CloudEvents, place saved; a process of the service with all its roles",
        sync_interval="always",
    )


def _delay_line(delays: Sequence[Delay]) -> dict[str, Any]:
    every = Load([seconds for delay in delays for seconds in delay.service])
    line = result(
        "streams",
        "acknowledged_to_consumer_ms",
        [1000 * percentile(delay.service, 0.5) for delay in delays],
        Against("bare_publish", [1000 * percentile(delay.bare, 0.5) for delay in delays]),
        events=len(delays[0].service),
        events_per_s=ALONE_PER_S,
        p99_of="all cycles",
        bare_publish_p99_ms=rounded(1000 * percentile([s for delay in delays for s in delay.bare], 0.99)),
        note="the answer and the batch follow the same commit side by side",
        sync_interval="always",
    )
    return {**line, "p50_ms": rounded(every.percentile_ms(0.5)), "p99_ms": rounded(every.percentile_ms(0.99))}
