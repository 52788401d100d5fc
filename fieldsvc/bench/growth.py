"""`bench growth`: what an event costs when there are more carriers, more endpoints, or a longer way for publishing to catch up.

Each is there once, four and sixteen times. Cost is the processor time of the service, per event and in events a second as fast as
it goes; PostgreSQL, generator and receivers are on the same machine. With `full` everything is five times as large. How cost grows with the age of the journal: `bench age`.
"""

import functools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from fieldsvc.bench import fleet_town
from fieldsvc.bench.fleet_town import Fleet, place, round_of
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import BATCH, JSON, post, send_all
from fieldsvc.bench.service import Process, idle, running
from fieldsvc.bench.subscribed import Bench, per_s, ready
from fieldsvc.ids import uuid7
from handlers.fields import format_time

TIMES, FULL_TIMES = (1, 4, 16), 5
CARRIERS, EVENTS, PER_REQUEST, FIXES_AN_UPLOAD, FIXED = 200, 1_500, 10, 4, 400
ENDPOINTS, PUBLISHED = 1, 800
BEHIND = 400
CONNECTIONS, A_POST = 16, 100


@dataclass(frozen=True, slots=True)
class Cost:
    """What was done: how many, how many a second, and the processor time of the service for each."""

    count: int
    per_s: float
    cpu_us: float


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure each once at every size; print a line for each."""
    del cycles
    size = FULL_TIMES if full else 1
    carriers = {times: await _of_carriers(CARRIERS * size * times, size) for times in TIMES}
    for metric, number in (("events", 0), ("fixes", 1)):
        costs = {times: found[number] for times, found in carriers.items()}
        for line in _lines(f"{metric}_service_cpu_us", "carriers", CARRIERS * size, costs):
            show(line)
    async with ready(max(TIMES) * ENDPOINTS) as bench:
        await bench.load(1_000)
        endpoints = {times: await _from(bench, ENDPOINTS * times, PUBLISHED * size) for times in TIMES}
        for line in _lines("published_service_cpu_us_per_event_and_endpoint", "endpoints", ENDPOINTS, endpoints):
            show(line)
        behind = {times: await _from(bench, 1, BEHIND * size * times) for times in TIMES}
    for line in _lines("caught_up_service_cpu_us_per_event", "events_behind", BEHIND * size, behind):
        show(line)


async def _of_carriers(count: int, size: int) -> tuple[Cost, Cost]:
    """Let every phone go on duty, then take events and fixes of them in turn."""
    requests, fixed = EVENTS * size // PER_REQUEST, FIXED * size
    async with running(functools.partial(fleet_town.prepare, carriers=count)) as site:
        service, fleet = site.service, site.kit
        said = format_time(datetime.now(UTC) - timedelta(hours=1))
        await _sent(service, [_started(fleet, phone, said) for phone in range(count)])
        await _sent(service, [_fixes(fleet, phone, 0) for phone in range(min(count, fixed))])
        await idle(service)
        spread = [phone * count // requests for phone in range(requests)]
        events = await _cost(service, [_delivered(fleet, phone) for phone in spread], PER_REQUEST)
        await idle(service)
        walked = [phone * min(count, fixed) // fixed for phone in range(fixed)]
        fixes = await _cost(service, [_fixes(fleet, phone, 1) for phone in dict.fromkeys(walked)], FIXES_AN_UPLOAD)
        return events, fixes


async def _sent(service: Process, requests: Sequence[bytes]) -> float:
    load = await send_all(service.url, requests, connections=CONNECTIONS)
    if load.failed:
        raise RuntimeError(f"{len(load.failed)} uploads were refused: this measures nothing")
    return load.wall_s


async def _cost(service: Process, requests: Sequence[bytes], each: int) -> Cost:
    cpu_s = service.cpu_s()
    wall_s = await _sent(service, requests)
    count = len(requests) * each
    return Cost(count, count / wall_s, 1e6 * (service.cpu_s() - cpu_s) / count)


def _started(fleet: Fleet, phone: int, said: str) -> bytes:
    return _upload(fleet, phone, [_event(fleet, phone, "run.started", {"run_id": fleet.run_id(phone)}, said)])


def _delivered(fleet: Fleet, phone: int) -> bytes:
    said, stop = format_time(datetime.now(UTC)), f"{round_of(phone)}-1"
    items = [{"item_id": f"G{uuid7().hex[:24]}", "to": "mailbox", "stop_id": stop} for _ in range(PER_REQUEST)]
    return _upload(fleet, phone, [_event(fleet, phone, "item.delivered", item, said) for item in items])


def _event(fleet: Fleet, phone: int, name: str, data: Mapping[str, Any], said: str) -> dict[str, Any]:
    return {
        "specversion": "1.0", "id": str(uuid7()), "source": "/devices/bench", "time": said,
        "type": f"fieldsvc.{name}.v1", "runid": fleet.run_id(phone), "data": data,
    }  # fmt: skip


def _upload(fleet: Fleet, phone: int, events: Sequence[Mapping[str, Any]]) -> bytes:
    return post("/v1/events", fleet.tokens[phone], orjson.dumps(events), media_type=BATCH)


def _fixes(fleet: Fleet, phone: int, turn: int) -> bytes:
    now, fixes = datetime.now(UTC), []
    for part in range(FIXES_AN_UPLOAD):
        lon, lat = place(phone, 100.0 + 33.0 * (FIXES_AN_UPLOAD * turn + part))
        at = now - timedelta(seconds=30 * (FIXES_AN_UPLOAD - part) - 20 * turn)
        fixes.append({"fixed_at": format_time(at), "lat": lat, "lon": lon, "accuracy_m": 6.0})
    return post("/v1/positions", fleet.tokens[phone], orjson.dumps({"fixes": fixes}), media_type=JSON)


async def _from(bench: Bench, endpoints: int, events: int) -> Cost:
    """Let a backlog of so many events go to so many endpoints at once."""
    start = [page["next"] async for page in bench.pages()][-1]
    await bench.load(events)
    await idle(bench.site.service)
    cpu_s = bench.site.service.cpu_s()
    async with bench.endpoints(endpoints, start=start, batch=A_POST):
        found = await bench.arrivals(events * endpoints)
    cpu_us = 1e6 * (bench.site.service.cpu_s() - cpu_s) / (events * endpoints)
    return Cost(events, per_s(found), cpu_us)


def _lines(metric: str, what: str, one: int, costs: Mapping[int, Cost]) -> Iterator[dict[str, Any]]:
    young = Against("x1", [costs[TIMES[0]].cpu_us])
    for times, cost in costs.items():
        more: dict[str, Any] = {what: one * times, "count": cost.count, "per_s": rounded(cost.per_s)}
        yield result("growth", metric, [cost.cpu_us], young, shape=f"{what}_x{times}", **more)
