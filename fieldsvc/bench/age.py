"""`bench age`: what a service costs on a journal of a month, beside itself on a journal of two days and of a week.

The journal is made in bulk (`aged`), 32 days of which 2, then 8, then all are there. At each age the service is started, until
its `listening` line and until a phone's upload is answered; then it takes uploads, shows a supervisor the day of one round as
the screen asks for it, and lets a subscriber read on. With `full` the journal has 10 million rows.
"""

import functools
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
import orjson

from fieldsvc.bench import fleet_town, ingest
from fieldsvc.bench.aged import Month, fill
from fieldsvc.bench.fleet_town import Fleet
from fieldsvc.bench.ingest import Shape, Walk
from fieldsvc.bench.lines import Against, Show, result, rounded
from fieldsvc.bench.load import Load, percentile, send_all
from fieldsvc.bench.service import Process, Store, founded, idle
from fieldsvc.store.run import run_id_of
from fieldsvc.web.auth import SESSION_COOKIE
from geo import Stop

DAYS, RUNS, FULL_RUNS = 32, 25, 1_000
AGES = {1: DAYS // 16, 4: DAYS // 4, 16: DAYS}
START_S, DAY_MS = 10.0, 100.0
SHAPES = (Shape("single", 1, 64, 1_500), Shape("batches_of_20", 20, 32, 5_000))
WARM = (Shape("warm", 20, 32, 1_000), Shape("warm", 1, 64, 500))  # each connection learns the partitions once
FIRST = Shape("first", 1, 1, 1)
REASON = "reason=complaint"
LOOKS, PAGES, POLLS, PAGE = 40, 20, 100, 1_000


@dataclass
class Look:
    """What was seen of the service at one age of the journal."""

    rows: int
    listening_s: float = 0.0
    answered_s: float = 0.0
    settled_s: float = 0.0
    loads: dict[str, Load] = field(default_factory=dict)
    days_s: list[float] = field(default_factory=list)
    polls_s: list[float] = field(default_factory=list)
    pages_s: list[float] = field(default_factory=list)


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure at each age, once, whatever `cycles` says; print the lines."""
    del cycles
    runs = FULL_RUNS if full else RUNS
    make = functools.partial(fleet_town.prepare, carriers=runs)
    looks, filled = dict[int, Look](), 0
    async with founded(make) as store:
        month = Month(store.kit.day, DAYS, runs)
        for phone, (age, days) in enumerate(AGES.items()):  # each with a run of its own, which has no events yet
            await fill(store.database_url, month, range(filled, days))
            filled = days
            looks[age] = await _look(store, month, month.rows_a_day * days, phone)
            for line in _lines(age, looks[age], looks[1]):
                show(line)


async def _look(store: Store[Fleet], month: Month, rows: int, phone: int) -> Look:
    look, walk = Look(rows), _walk(store.kit, phone)
    began = time.perf_counter()
    async with store.serving() as service:
        look.listening_s = time.perf_counter() - began
        first = await send_all(service.url, ingest.uploads(walk, FIRST), connections=1)
        look.answered_s = time.perf_counter() - began
        _all_answered(first)
        await idle(service)
        look.settled_s = time.perf_counter() - began
        for shape in (*WARM, *SHAPES):
            await idle(service)  # so that what learns from the one before is not in the figure
            look.loads[shape.name] = await send_all(
                service.url, list(ingest.uploads(walk, shape)), connections=shape.connections
            )
            _all_answered(look.loads[shape.name])
        await idle(service)
        await _see_days(look, service, store.kit, month)
        await _read_on(look, service, store.kit, month)
    return look


def _all_answered(load: Load) -> None:
    if load.failed:
        raise RuntimeError(f"{len(load.failed)} uploads were refused: this measures nothing")


def _walk(fleet: Fleet, phone: int) -> Walk:
    apart_m, stops = fleet_town.LINE_M / (fleet_town.STOPS + 1), []
    for number in range(1, fleet_town.STOPS + 1):
        lon, lat = fleet_town.place(phone, apart_m * number)
        stops.append(Stop(f"{fleet_town.round_of(phone)}-{number}", lat, lon))
    return Walk(fleet.tokens[phone], fleet.run_id(phone), stops)


async def _see_days(look: Look, service: Process, fleet: Fleet, month: Month) -> None:
    """Ask for whole days of runs as the supervisor's screen does: the way, and the timeline to its last page."""
    day = month.day(0)
    async with _client(service) as client:
        for number in range(LOOKS):
            phone = number * 7 % month.runs
            run_id = run_id_of(day, fleet_town.round_of(phone))
            site = int(fleet_town.site_of(phone).rpartition("-")[2])
            cookie = {"Cookie": f"{SESSION_COOKIE}={fleet.sessions[site]}"}
            began = time.perf_counter()
            points = (await _get(client, f"/v1/runs/{run_id}/replay?{REASON}", cookie))["points"]
            entries = await _timeline(client, run_id, cookie)
            look.days_s.append(time.perf_counter() - began)
            if not points or not entries:
                raise RuntimeError(f"a run shows {len(points)} points and {entries} entries: this measures nothing")


async def _timeline(client: aiohttp.ClientSession, run_id: str, cookie: dict[str, str]) -> int:
    cursor, entries = "", 0
    while True:
        page = await _get(client, f"/v1/runs/{run_id}/timeline?{REASON}&limit={PAGE}&cursor={cursor}", cookie)
        entries += len(page["entries"])
        cursor = page.get("cursor", "")
        if not cursor:
            return entries


async def _read_on(look: Look, service: Process, fleet: Fleet, month: Month) -> None:
    """Ask the feed as a subscriber who has read everything, and as one who reads a thousand events at a time."""
    key = {"Authorization": f"Bearer {fleet.api_key}"}
    later = (datetime.now(UTC) + timedelta(days=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    middle = f"{month.day(0)}T08:00:00Z"
    async with _client(service) as client:
        end = (await _get(client, f"/v1/feed?seek={later}", key))["next"]
        for _ in range(POLLS):
            began = time.perf_counter()
            await _get(client, f"/v1/feed?after={end}", key)
            look.polls_s.append(time.perf_counter() - began)
        after = (await _get(client, f"/v1/feed?seek={middle}&limit=1", key))["next"]
        for _ in range(PAGES):
            began = time.perf_counter()
            page = await _get(client, f"/v1/feed?after={after}&limit={PAGE}", key)
            look.pages_s.append(time.perf_counter() - began)
            after = page["next"]


@asynccontextmanager
async def _client(service: Process) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(service.url, trust_env=False) as client:
        yield client


async def _get(client: aiohttp.ClientSession, path: str, headers: dict[str, str]) -> Any:
    async with client.get(path, headers=headers) as answer:
        answer.raise_for_status()
        return orjson.loads(await answer.read())


def _lines(age: int, look: Look, young: Look) -> Iterator[dict[str, Any]]:
    """Write what was seen at one age, beside the targets and what was seen of the youngest journal."""
    yield result(
        "age", "start_until_an_upload_is_answered_s", [look.answered_s], Against("target_10_s", [START_S]),
        shape=_shape(age), **_about(look), listening_s=rounded(look.listening_s), quiet_after_s=rounded(look.settled_s),
    )  # fmt: skip
    yield _timed("day_of_one_round_p95_ms", age, look, look.days_s, 0.95, Against("target_100_ms", [DAY_MS]))
    for shape in SHAPES:
        load = look.loads[shape.name]
        before = Against("age_x1", [shape.events / young.loads[shape.name].wall_s])
        yield result(
            "age", "durable_events_per_s", [shape.events / load.wall_s], before,
            shape=f"{shape.name}_{_shape(age)}", loads=[load], **_about(look), connections=shape.connections,
        )  # fmt: skip
    for metric, found, was in (
        ("caught_up_poll_p50_ms", look.polls_s, young.polls_s),
        ("page_of_1000_p50_ms", look.pages_s, young.pages_s),
    ):
        yield _timed(metric, age, look, found, 0.5, Against("age_x1", [1000 * percentile(was, 0.5)]))


def _timed(
    metric: str, age: int, look: Look, seconds: Sequence[float], share: float, against: Against
) -> dict[str, Any]:
    load = Load(list(seconds))
    line = result("age", metric, [load.percentile_ms(share)], against, shape=_shape(age), **_about(look))
    return line | {f"p{part}_ms": rounded(load.percentile_ms(part / 100)) for part in (50, 95, 99)}


def _about(look: Look) -> dict[str, Any]:
    return {"journal_rows": look.rows, "days": DAYS}


def _shape(age: int) -> str:
    return f"age_x{age}"
