"""Connections that are cut, lost, slow or too many: between phone and service, service and database, service and subscriber."""

import asyncio
import contextlib
import time
from random import Random

import asyncpg

from fieldsvc.bench.faults.children import require, until
from fieldsvc.bench.faults.proxy import Cut, Weather
from fieldsvc.bench.faults.surroundings import Surroundings, desk, mean

STORM, SLOW_EACH = 2_000, 125
CLOSED_WITHIN_S, STAYS_S, OTHERS_WITHIN_S = 10.0, 60.0, 30.0
IDLE = "select count(*) from pg_stat_activity where state like 'idle in transaction%' and now() - state_change > '6 s'"
SLOW = (
    b"",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\n",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n[",
    b"POST /v1/events HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[",
)


async def lose_answers(around: Surroundings, rng: Random) -> float:
    """Cut every upload after the service has committed and before its answer arrives."""
    around.town.proxy.weather = Weather(cut_share=1.0, cut=Cut.ANSWERED)
    await mean(rng, 0.3, 1.2)
    around.calm()
    return time.monotonic()


async def cut_uploads(around: Surroundings, rng: Random) -> float:
    """Cut connections of the phones at any moment of an upload, before or after it went on."""
    around.town.proxy.weather = Weather(cut_share=0.7, cut=rng.choice([Cut.BEFORE, Cut.FORWARDED]))
    for _ in range(5):
        await mean(rng, 0.05, 0.3)
        around.town.proxy.drop()
    around.calm()
    return time.monotonic()


async def half_open(around: Surroundings, rng: Random) -> float:
    """Let the phones' connections go silent without an end, and cut them later; new ones work meanwhile."""
    around.town.proxy.swallow()
    await mean(rng, 0.5, 2.0)
    around.town.proxy.drop()
    return time.monotonic()


async def slow_phones(around: Surroundings, rng: Random) -> float:
    """Make the phones' network slow: half a second of delay, or ten kilobytes a second."""
    around.town.proxy.weather = rng.choice([Weather(delay_s=0.5), Weather(bytes_per_s=10_000)])
    await mean(rng, 1.0, 3.0)
    around.calm()
    return time.monotonic()


async def lose_commits(around: Surroundings, rng: Random) -> float:
    """Cut the writer's connection at COMMIT: before it, while the server works on it, or before its answer arrives."""
    for _ in range(4):
        around.through.weather = Weather(cut_share=1.0, cut=rng.choice(list(Cut)))
        await mean(rng, 0.1, 0.4)
        around.calm()
        await mean(rng, 0.1, 0.4)
    return time.monotonic()


async def drop_database(around: Surroundings, rng: Random) -> float:
    """Cut every connection to the database, several times, and let none be made for a while."""
    for _ in range(3):
        around.through.drop()
        await mean(rng, 0.05, 0.3)
    around.through.weather = Weather(is_shut=True)
    around.through.drop()
    await mean(rng, 0.3, 1.5)
    around.calm()
    return time.monotonic()


async def slow_database(around: Surroundings, rng: Random) -> float:
    """Make the way to the database slow: half a second of delay, or ten kilobytes a second."""
    around.through.weather = rng.choice([Weather(delay_s=0.5), Weather(bytes_per_s=10_000)])
    await mean(rng, 1.0, 4.0)
    around.calm()
    return time.monotonic()


async def hold_the_lock(around: Surroundings, rng: Random) -> float:
    """Hold the lock of every shard from another session, shorter or longer than the service waits for it."""
    connection = await desk(around.url)
    try:
        async with connection.transaction():
            await connection.execute("select id from shard order by id for no key update")
            await mean(rng, 0.5, 6.5)
    finally:
        await connection.close()
    return time.monotonic()


async def take_connections(around: Surroundings, rng: Random) -> float:
    """Take every connection that PostgreSQL gives, while the service's own are cut."""
    taken: list[asyncpg.Connection] = []
    try:
        with contextlib.suppress(asyncpg.PostgresError):
            while True:
                taken.append(await desk(around.url))
        around.through.drop()
        await mean(rng, 0.5, 2.0)
    finally:
        for each in taken:
            each.terminate()
    return time.monotonic()


async def change_schema(around: Surroundings, rng: Random) -> float:
    """Change tables that are in use, so that every prepared statement is stale."""
    connection = await desk(around.url)
    try:
        for table in rng.sample(["device", "subject_head", "event_id", "state", "receipt", "endpoint"], 3):
            for change in ("add column if not exists changed_by_bench integer", "drop column changed_by_bench"):
                await connection.execute(f"alter table {table} {change}")
                await mean(rng, 0.0, 0.1)
    finally:
        await connection.close()
    return time.monotonic()


async def storm(around: Surroundings, rng: Random) -> float:
    """Open two thousand connections within a second, and leave them open for a while."""
    writers: list[asyncio.StreamWriter] = []

    async def one() -> None:
        with contextlib.suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", around.town.service.port)
            writers.append(writer)

    await asyncio.gather(*(one() for _ in range(STORM)))
    await mean(rng, 0.2, 1.0)
    for writer in writers:
        writer.close()
    return time.monotonic()


async def slow_clients(around: Surroundings, rng: Random) -> float:
    """Open slow connections of four kinds, a byte at a time: each is closed in time, and uploads go on meanwhile."""
    del rng
    port = around.town.service.port
    crowd = asyncio.gather(*(_be_slow(port, begun) for begun in SLOW for _ in range(SLOW_EACH)))
    lateness = asyncio.create_task(_late_until(crowd))
    await around.town.fleet.progress()
    longest_s = max(await crowd)
    most_s = CLOSED_WITHIN_S + 3 * await lateness
    require(longest_s < most_s, f"A slow client was served for {longest_s:.1f} s, and may be for {most_s:.1f} s.")
    return time.monotonic()


async def _late_until(over: "asyncio.Future[list[float]]") -> float:
    """Count the seconds for which this machine let somebody wait who wanted to go on: the service waits as well."""
    late_s = 0.0
    while not over.done():
        began = time.monotonic()
        await asyncio.sleep(0.1)
        late_s += time.monotonic() - began - 0.1
    return late_s


async def _be_slow(port: int, begun: bytes) -> float:
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    with contextlib.suppress(OSError):
        writer.write(begun)
        while time.monotonic() - began < STAYS_S:
            if begun:
                writer.write(b"x")
                await writer.drain()
            with contextlib.suppress(TimeoutError):
                if not await asyncio.wait_for(reader.read(4096), 0.5):
                    break
    writer.close()
    return time.monotonic() - began


async def spoil_receiver(around: Surroundings, rng: Random) -> float:
    """Let one subscriber refuse, fail, hang, drip, never end, redirect or flap; the other one goes on getting everything."""
    around.moody.mood = rng.choice(around.moody.moods)
    hook = around.town.hook
    heard = hook.counts().delivered
    await mean(rng, 1.0, 3.0)
    says = f"While one subscriber {around.moody.mood}, the other got nothing."
    await until(lambda: hook.counts().delivered > heard, within_s=OTHERS_WITHIN_S, says=says)
    around.calm()
    return time.monotonic()
