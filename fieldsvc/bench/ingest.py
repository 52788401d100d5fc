"""`bench ingest`: how many events a second become durable over HTTP, beside what COPY of finished rows reaches here.

The service is a process of its own with an embedded PostgreSQL (fsync on); the generator shares the same cores. Every event
is an `item.delivered` at a stop of its round, of an item of its own: decided, located, sealed, published, acknowledged.
"""

import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import orjson

from fieldsvc.access import enrolment
from fieldsvc.app import open_platform
from fieldsvc.bench.load import Load, send_all
from fieldsvc.ids import uuid7
from fieldsvc.journal.rows import EVENT_COLUMNS
from fieldsvc.serve import database_url
from fieldsvc.settings import Settings
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from geo import Stop
from handlers.fields import format_time

COPY_ROWS_A_TRANSACTION = 500
SITE = "bench"


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to send: events a request, connections, how many events in all."""

    name: str
    per_request: int
    connections: int
    events: int


SHAPES = (
    Shape("single", 1, 64, 4_000),
    Shape("batches_of_20", 20, 32, 20_000),
    Shape("batches_of_100", 100, 16, 30_000),
)


@dataclass(frozen=True, slots=True)
class Target:
    """The running service and what is needed to send to it."""

    url: str
    token: str
    database_url: str
    run: str
    stops: Sequence[Stop]
    pid: int = 0


async def run(*, cycles: int, full: bool, show: Callable[[Any], None]) -> None:
    """Measure each shape `cycles` times, a COPY limit beside each, and print the medians."""
    async with _service() as target:
        await _copy_rows(target, 2_000)
        await _send(target, Shape("warm", 20, 8, 2_000))
        for shape in SHAPES:
            sized = Shape(shape.name, shape.per_request, shape.connections, shape.events * (4 if full else 1))
            limits, loads = list[float](), list[Load]()
            cpu_s = _cpu_s(target.pid)
            for _ in range(max(1, cycles)):
                limits.append(await _copy_rows(target, 20_000))
                loads.append(await _send(target, sized))
            cpu_us = 1e6 * (_cpu_s(target.pid) - cpu_s) / (sized.events * len(loads))
            show(_line(sized, limits, loads, cpu_us=cpu_us))


def _line(shape: Shape, limits: Sequence[float], loads: Sequence[Load], *, cpu_us: float) -> dict[str, Any]:
    rates = [shape.events / load.wall_s for load in loads]
    middle = loads[sorted(range(len(rates)), key=rates.__getitem__)[len(rates) // 2]]
    return {
        "bench": "ingest",
        "metric": "durable_events_per_s",
        "shape": shape.name,
        "value": round(statistics.median(rates)),
        "ratio_to": "copy_limit",
        "ratio": round(statistics.median(rate / limit for rate, limit in zip(rates, limits, strict=True)), 3),
        "p50_ms": round(middle.percentile_ms(0.5), 1),
        "p99_ms": round(middle.percentile_ms(0.99), 1),
        "conditions": {
            "events_per_request": shape.per_request,
            "connections": shape.connections,
            "events": shape.events,
            "cycles": len(loads),
            "not_200": sum(len(load.failed) for load in loads),
            "copy_rows_per_s": round(statistics.median(limits)),
            "rows_per_event": 2,
            "service_cpu_us_per_event": round(cpu_us),
            "cores": os.cpu_count(),
            "generator": "same machine",
            "fsync": "on",
        },
    }


async def _send(target: Target, shape: Shape) -> Load:
    now = datetime.now(UTC)
    bodies = [
        orjson.dumps([_event(target, number, now) for number in range(first, first + shape.per_request)])
        for first in range(0, shape.events, shape.per_request)
    ]
    return await send_all(target.url, target.token, bodies, connections=shape.connections)


def _event(target: Target, number: int, now: datetime) -> dict[str, Any]:
    event_id, stop = uuid7(), target.stops[number % len(target.stops)]
    at = format_time(now - timedelta(seconds=number % 600))
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/devices/bench",
        "type": "fieldsvc.item.delivered.v1",
        "subject": f"item/{event_id.hex[:20]}",
        "time": at,
        "runid": target.run,
        "data": {
            "fix": {"lat": stop.lat + 0.00005, "lon": stop.lon, "accuracy_m": 8.0, "fixed_at": at},
            "stop_id": stop.stop_id,
            "item_ids": [event_id.hex[:20]],
            "to": "mailbox",
        },
    }


@asynccontextmanager
async def _service() -> AsyncIterator[Target]:
    """Start a service in a folder of its own, with one small round."""
    with tempfile.TemporaryDirectory(prefix="fieldsvc-bench-") as folder:
        settings = Settings(var_dir=Path(folder), log_level="error")
        async with database_url(settings) as url:
            target = await _prepared(settings, url)
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "fieldsvc", "serve", "--port", "0",
                env={**os.environ, "FIELDSVC_VAR_DIR": folder, "FIELDSVC_LOG_LEVEL": "error"},
                stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            try:
                if process.stdout is None:
                    raise RuntimeError("the service has no output")
                first = (await process.stdout.readline()).decode().split()
                yield Target(first[1], target.token, url, target.run, target.stops, process.pid)
            finally:
                with contextlib.suppress(ProcessLookupError):
                    process.terminate()
                await process.wait()


async def _prepared(settings: Settings, url: str) -> Target:
    town = Town(seed=7, rounds=1, stops=60)
    async with open_platform(settings, url) as platform:
        path = settings.var_dir / "rounds.geojson"
        path.write_text(town.rounds_geojson(), encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=settings.zone)
        (carrier,) = town.carriers
        device = await enrolment.enrol_device(
            platform.database, "http://127.0.0.1", carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
        )
        run_id = f"run-{platform.runs.today()}-{carrier.round_id}"
        plan = await platform.rounds.run_plan(run_id)
    return Target("", device["token"], url, run_id, plan.round.stops if plan else [])


def _cpu_s(pid: int) -> float:
    """Return the processor time of a process so far; 0 where the system does not tell."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9
    except OSError:
        return 0.0


async def _copy_rows(target: Target, count: int) -> float:
    """Copy finished rows into a table like the journal's, one connection, 500 a transaction; return rows a second."""
    connection = await asyncpg.connect(target.database_url)
    try:
        await connection.execute("drop table if exists bench_event")
        await connection.execute("create table bench_event (like event including all)")
        rows = [_row(number) for number in range(count)]
        began = time.perf_counter()
        for first in range(0, count, COPY_ROWS_A_TRANSACTION):
            async with connection.transaction():
                chunk = rows[first : first + COPY_ROWS_A_TRANSACTION]
                await connection.copy_records_to_table("bench_event", records=chunk, columns=EVENT_COLUMNS)
        taken = time.perf_counter() - began
        await connection.execute("drop table bench_event")
    finally:
        await connection.close()
    return count / taken


def _row(number: int) -> tuple[Any, ...]:
    now = datetime.now(UTC)
    public = orjson.dumps(
        {"public": {"item_id": f"i{number}", "to": "mailbox", "proof": {"score": 71, "words": "x" * 80}}}
    )
    return (
        now.date(), number % 4, number, uuid7(), 0, "public", "item.delivered", f"item/i{number}", 1, None, SITE,
        "run-2026-11-21-T01", now, now, public, [bytes(32)], bytes(32),
    )  # fmt: skip
