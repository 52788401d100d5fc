"""`bench ingest`: how many events a second become durable over HTTP, beside two things of the same run.

`copy_limit` is what COPY of finished rows reaches on the same PostgreSQL. `baseline` is baseline.py, which gets the same
bodies from the same generator over as many connections, in turn with the service; both commit with fsync before they
answer. Every event is an `item.delivered` at a stop of its round, of an item of its own: the service decides, locates,
seals, publishes and acknowledges it with a signed receipt, where the baseline stores one row.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg
import orjson

from fieldsvc.access import enrolment
from fieldsvc.bench.lines import Against, Show, middle_of, result
from fieldsvc.bench.load import Load, post, send_all
from fieldsvc.bench.service import Process, Site, check_stored, running, started
from fieldsvc.errors import UserMistake
from fieldsvc.ids import uuid7
from fieldsvc.journal.rows import EVENT_COLUMNS
from fieldsvc.platform import Platform
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from geo import Stop
from handlers.fields import format_time

COPY_ROWS, COPY_ROWS_A_TRANSACTION = 20_000, 500
BASELINE_NEEDS = ("fastapi", "sqlalchemy", "uvicorn", "greenlet")
EACH_DOES = {
    "service": "token looked up, validated, decided in order, located, sealed, 2 journal rows chained, state, signed receipt",
    "baseline": "token compared, validated, 1 row in 1 table with a unique id",
}


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to send: events a request, connections, how many events in all."""

    name: str
    per_request: int
    connections: int
    events: int


SHAPES = (
    Shape("single", 1, 64, 2_000),
    Shape("batches_of_20", 20, 32, 8_000),
    Shape("batches_of_100", 100, 16, 10_000),
)
WARM = Shape("warm", 20, 8, 1_000)


@dataclass(frozen=True, slots=True)
class Walk:
    """Whose phone sends, and from which run."""

    token: str
    run: str
    stops: Sequence[Stop]


@dataclass(frozen=True, slots=True)
class Cycle:
    """One turn: rows a second of COPY, and the same bodies at the service and at the baseline, with their processor time."""

    copied: float
    service: Load
    baseline: Load
    service_cpu_s: float
    baseline_cpu_s: float


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure each shape `cycles` times and print two lines for each. UserMistake without what the baseline needs."""
    need_baseline()
    async with AsyncExitStack() as stack:
        site = await stack.enter_async_context(running(prepare))
        own = await _database_of_its_own(site.database_url)
        baseline = await stack.enter_async_context(started("fieldsvc.bench.baseline", own, site.kit.token))
        await _cycle(site, baseline, WARM, 0)
        sent = WARM.events
        for shape in SHAPES:
            sized = Shape(shape.name, shape.per_request, shape.connections, shape.events * (4 if full else 1))
            found = [await _cycle(site, baseline, sized, number) for number in range(max(1, cycles))]
            sent += sized.events * len(found)
            await check_stored(site.database_url, "event where kind = 'field' and type = 'item.delivered'", sent)
            await check_stored(own, "baseline_event", sent)
            for each in _lines(sized, found):
                show(each)


def need_baseline() -> None:
    """Refuse in one sentence when what the baseline is made of is not installed."""
    missing = [name for name in BASELINE_NEEDS if find_spec(name) is None]
    if missing:
        raise UserMistake(
            f"The baseline of `bench ingest` needs {', '.join(missing)}: install requirements/bench.txt, or say `make bench`."
        )


async def _cycle(site: Site[Walk], baseline: Process, shape: Shape, number: int) -> Cycle:
    """Measure once; who goes first changes from cycle to cycle."""
    copied = await copy_rows(site.database_url, COPY_ROWS)
    requests = list(uploads(site.kit, shape))
    loads: dict[int, tuple[Load, float]] = {}
    for process in (site.service, baseline) if number % 2 == 0 else (baseline, site.service):
        before = process.cpu_s()
        load = await send_all(process.url, requests, connections=shape.connections)
        loads[process.pid] = load, process.cpu_s() - before
    (service, service_cpu_s), (other, other_cpu_s) = loads[site.service.pid], loads[baseline.pid]
    return Cycle(copied, service, other, service_cpu_s, other_cpu_s)


def _lines(shape: Shape, cycles: Sequence[Cycle]) -> Iterator[dict[str, Any]]:
    """Write the line against COPY, then the line against the baseline."""
    rates = [shape.events / cycle.service.wall_s for cycle in cycles]
    others = [shape.events / cycle.baseline.wall_s for cycle in cycles]
    shared: dict[str, Any] = {
        "shape": shape.name,
        "loads": [cycle.service for cycle in cycles],
        "events_per_request": shape.per_request,
        "connections": shape.connections,
        "events": shape.events,
        "not_200": sum(len(cycle.service.failed) + len(cycle.baseline.failed) for cycle in cycles),
        "service_cpu_us_per_event": _per_event(shape, [cycle.service_cpu_s for cycle in cycles]),
    }
    limit = Against("copy_limit", [cycle.copied for cycle in cycles])
    yield result("ingest", "durable_events_per_s", rates, limit, **shared, rows_per_event=2)
    middle = cycles[middle_of(others)].baseline
    yield result(
        "ingest",
        "durable_events_per_s",
        rates,
        Against("baseline", others),
        **shared,
        baseline_p50_ms=round(middle.percentile_ms(0.5), 1),
        baseline_p99_ms=round(middle.percentile_ms(0.99), 1),
        baseline_cpu_us_per_event=_per_event(shape, [cycle.baseline_cpu_s for cycle in cycles]),
        baseline_server=f"uvicorn, uvloop, {'httptools' if find_spec('httptools') else 'h11'}, one process",
        each_does=EACH_DOES,
    )


def _per_event(shape: Shape, cpu_s: Sequence[float]) -> int:
    return round(1e6 * sum(cpu_s) / (shape.events * len(cpu_s)))


def uploads(walk: Walk, shape: Shape) -> Iterator[bytes]:
    """Write requests of new events."""
    now = datetime.now(UTC)
    for first in range(0, shape.events, shape.per_request):
        batch = [delivered(walk, number, now) for number in range(first, first + shape.per_request)]
        yield post("/v1/events", walk.token, orjson.dumps(batch))


def delivered(walk: Walk, number: int, now: datetime) -> dict[str, Any]:
    """Write one field event: an item of its own, delivered in the last ten minutes."""
    event_id, stop = uuid7(), walk.stops[number % len(walk.stops)]
    at = format_time(now - timedelta(seconds=number % 600))
    return {
        "specversion": "1.0",
        "id": str(event_id),
        "source": "/devices/bench",
        "type": "fieldsvc.item.delivered.v1",
        "subject": f"item/{event_id.hex[:20]}",
        "time": at,
        "runid": walk.run,
        "data": {
            "fix": {"lat": stop.lat + 0.00005, "lon": stop.lon, "accuracy_m": 8.0, "fixed_at": at},
            "stop_id": stop.stop_id,
            "item_ids": [event_id.hex[:20]],
            "to": "mailbox",
        },
    }


async def prepare(platform: Platform) -> Walk:
    """Make one small round and enrol the phone of its carrier."""
    town = Town(seed=7, rounds=1, stops=60)
    path = platform.settings.var_dir / "rounds.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    (carrier,) = town.carriers
    device = await enrolment.enrol_device(
        platform.database, "http://127.0.0.1", carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
    )
    run_id = f"run-{platform.runs.today()}-{carrier.round_id}"
    plan = await platform.rounds.run_plan(run_id)
    return Walk(device["token"], run_id, plan.round.stops if plan else [])


async def _database_of_its_own(url: str) -> str:
    """Make a database for the baseline on the same server; return its URL."""
    connection = await asyncpg.connect(url)
    try:
        await connection.execute("create database baseline")
    finally:
        await connection.close()
    return urlunsplit(urlsplit(url)._replace(path="/baseline"))


async def copy_rows(database_url: str, count: int) -> float:
    """Copy finished rows into a table like the journal's, one connection, 500 a transaction; return rows a second."""
    connection = await asyncpg.connect(database_url)
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
        now.date(), number % 4, number, uuid7(), 0, "public", "item.delivered", f"item/i{number}", 1, None, "bench",
        "run-2026-11-21-T01", now, now, public, [bytes(32)], bytes(32),
    )  # fmt: skip
