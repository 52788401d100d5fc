"""`bench live`: how fast fixes are taken, and how soon and at what cost supervisors see runs move.

Fixes: `POST /v1/positions` with 1 and with 20 fixes, every upload of another phone, beside the least that must be committed
for it: a transaction of asyncpg that updates a run and inserts its progress, over as many connections as the service has.
Screens: every run sends a fix each 30 seconds, as phones are asked to, evenly spread, and every screen notes when its delta
came. The board reads once a second, so half a second is what a fix waits on average even if nothing took any time.
"""

import asyncio
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from fieldsvc.bench import national
from fieldsvc.bench.crews import all_covered, enrolled, signed_in, started, straight_round, zone_of_the_morning
from fieldsvc.bench.lines import Against, Show, middle_of, result, rounded
from fieldsvc.bench.load import JSON, Load, percentile, post, send_all
from fieldsvc.bench.service import Site, check_stored, running
from fieldsvc.bench.watchers import Watcher, watching
from fieldsvc.platform import Platform
from fieldsvc.settings import Settings
from fieldsvc.store import run as runs_store
from fieldsvc.tracking.board import EVERY_S
from fieldsvc.work import imports
from handlers.fields import format_time

SITE, ROUNDS, FEW = "bench", 2_000, 200
LINE_M, POINTS, STOPS, WEST, SOUTH = 20_000.0, 100, 20, 2.0, 48.0
DEGREE_M = 111_195.0
ON_DUTY = timedelta(hours=8)
STEP = timedelta(seconds=12)
WALKING_MPS = 1.1
SEEN_WITHIN_S, LOOK_S = 10.0, 0.1
FIX_EVERY_S, TURNS, SETTLE_S = 30.0, 5, 1.5  # a fifth of the runs sends in each window of six seconds
SCREENS = (1, 50)
POOL = Settings.model_fields["pool_size"].default


@dataclass(frozen=True, slots=True)
class Shape:
    """One way to send fixes: how many an upload, over how many connections, how many uploads."""

    name: str
    per_request: int
    connections: int
    requests: int


SHAPES = (Shape("single", 1, 64, 1_500), Shape("batches_of_20", 20, 32, 400))
WARM = Shape("warm", 1, 8, 200)


@dataclass(slots=True)
class Fleet:
    """The phones of runs on duty, each walking its own straight line; `steps` counts what each has sent, `sent` what all have."""

    day: date
    began_at: datetime
    tokens: list[str]
    sessions: list[str]
    steps: int = 0
    sent: int = 0

    def run_id(self, number: int) -> str:
        """Name the run of a phone."""
        return runs_store.run_id_of(self.day, _round_id(number))

    def past(self, number: int, step: int) -> dict[str, Any]:
        """Write a fix of the last hours: 12 seconds and some metres after the one before."""
        return self._fix(number, step, self.began_at + step * STEP)

    def now(self, number: int, step: int) -> dict[str, Any]:
        """Write a fix of this moment."""
        return self._fix(number, step, datetime.now(UTC))

    def _fix(self, number: int, step: int, at: datetime) -> dict[str, Any]:
        along_m = min(20.0 + step * WALKING_MPS * STEP.total_seconds(), LINE_M - 20.0)
        lat, lon = _place(number, along_m)
        return {"fixed_at": format_time(at), "lat": lat, "lon": lon, "accuracy_m": 6.0}


async def run(*, cycles: int, full: bool, show: Show) -> None:
    """Measure uploads and screens `cycles` times each and print a line for each."""
    turns = range(max(1, cycles))
    zone = zone_of_the_morning()
    async with running(_prepare, timezone=zone) as site:
        await _uploads(site, WARM)
        for shape in SHAPES:
            sized = Shape(shape.name, shape.per_request, shape.connections, shape.requests * (3 if full else 1))
            show(_uploads_line(sized, [await _uploads(site, sized) for _ in turns]))
        for runs in (FEW, ROUNDS):
            views = {screens: [await _view(site, runs, screens) for _ in turns] for screens in SCREENS}
            for screens, found in views.items():
                for line in _view_lines(runs, screens, found):
                    show(line)
            show(_cpu_line(runs, views))
    await national.run(zone, cycles=cycles, show=show)


@dataclass(frozen=True, slots=True)
class Uploads:
    """Fixes a second: taken by the service, and as bare transactions."""

    load: Load
    service: float
    bare: float
    cpu_us: float


async def _uploads(site: Site[Fleet], shape: Shape) -> Uploads:
    fleet, fixes = site.kit, shape.requests * shape.per_request
    requests = list(_requests(fleet, shape))
    cpu_s = site.service.cpu_s()
    load = await send_all(site.service.url, requests, connections=shape.connections)
    cpu_s = site.service.cpu_s() - cpu_s
    fleet.sent += fixes
    await check_stored(site.database_url, "progress", fleet.sent)
    bare_s = await _bare(site.database_url, shape)
    return Uploads(load, fixes / load.wall_s, fixes / bare_s, 1e6 * cpu_s / fixes)


def _requests(fleet: Fleet, shape: Shape) -> Iterator[bytes]:
    """Write uploads of new fixes, each of the next phone in turn."""
    for first in range(0, shape.requests, FEW):
        steps = range(fleet.steps, fleet.steps + shape.per_request)
        for number in range(min(FEW, shape.requests - first)):
            yield _upload(fleet, number, [fleet.past(number, step) for step in steps])
        fleet.steps += shape.per_request


def _upload(fleet: Fleet, number: int, fixes: Sequence[dict[str, Any]]) -> bytes:
    return post("/v1/positions", fleet.tokens[number], orjson.dumps({"fixes": fixes}), media_type=JSON)


async def _bare(database_url: str, shape: Shape) -> float:
    """Commit as many updates of a run with as many rows of progress, over the service's number of connections; in seconds."""
    async with asyncpg.create_pool(database_url, min_size=POOL, max_size=POOL) as pool:
        for table in ("progress", "run_state"):
            await pool.execute(f"drop table if exists bench_{table}")
            await pool.execute(f"create table bench_{table} (like {table} including all)")
        day = datetime.now(UTC).date()
        rows = [(f"run-{number}", day) for number in range(FEW)]
        await pool.executemany("insert into bench_run_state (run, day, updated_at) values ($1, $2, now())", rows)
        todo = iter(range(shape.requests))
        began = time.perf_counter()
        await asyncio.gather(*(_bare_worker(pool, todo, day, shape.per_request) for _ in range(POOL)))
        return time.perf_counter() - began


async def _bare_worker(pool: "asyncpg.Pool[Any]", todo: Iterator[int], day: date, per_request: int) -> None:
    async with pool.acquire() as connection:
        for number in todo:
            run, first = f"run-{number % FEW}", number * per_request
            at = [datetime.fromtimestamp(15.0 * (first + step), UTC) for step in range(per_request)]
            async with connection.transaction():
                await connection.execute(
                    "update bench_run_state set matcher = $2, through_at = $3, distance_along_m = $4, status = 'on_round',"
                    " version = version + 1, updated_at = clock_timestamp() where run = $1",
                    run, bytes(64), at[-1], 100.0,
                )  # fmt: skip
                await connection.execute(
                    "insert into bench_progress (day, run, at, distance_along_m, status, received_at)"
                    " select $1, $2, at, 100.0, 'on_round', now() from unnest($3::timestamptz[]) as new (at)"
                    " on conflict do nothing",
                    day, run, at,
                )  # fmt: skip


@dataclass(frozen=True, slots=True)
class View:
    """A window: seconds from the answer to each upload until each screen had it, and what that cost."""

    delays: list[float]
    unseen: int
    deltas: int
    seconds: float
    wire_bytes: float
    text_bytes: float
    cpu_s: float
    uploads_per_s: float
    not_200: int


async def _view(site: Site[Fleet], runs: int, screens: int) -> View:
    """Let the runs whose turn it is send a fix, while so many screens look."""
    fleet = site.kit
    url = f"{site.service.url}/v1/live?site={SITE}"
    async with watching(url, fleet.sessions[:screens]) as watchers:
        await asyncio.sleep(SETTLE_S)
        for watcher in watchers:
            watcher.forget()
        senders = range(fleet.steps % TURNS, runs, TURNS)
        requests = [_upload(fleet, number, [fleet.now(number, fleet.steps)]) for number in senders]
        fleet.steps += 1
        cpu_s, began = site.service.cpu_s(), time.perf_counter()
        load = await send_all(site.service.url, requests, connections=32, per_s=runs / FIX_EVERY_S)
        run_ids = [fleet.run_id(number) for number in senders]
        await _all_seen(watchers, frozenset(run_ids))
        cpu_s, seconds = site.service.cpu_s() - cpu_s, time.perf_counter() - began
        return _seen(run_ids, watchers, load, cpu_s=cpu_s, seconds=seconds)


async def _all_seen(watchers: Sequence[Watcher], runs: frozenset[str]) -> None:
    """Wait until every screen saw every run move, at most ten seconds."""
    for _ in range(int(SEEN_WITHIN_S / LOOK_S)):
        if not any(runs - watcher.moved_at.keys() for watcher in watchers):
            return
        await asyncio.sleep(LOOK_S)


def _seen(run_ids: Sequence[str], watchers: Sequence[Watcher], load: Load, *, cpu_s: float, seconds: float) -> View:
    delays, unseen = list[float](), 0
    for watcher in watchers:
        for number, answered_at in load.answered_at.items():
            moved_at = watcher.moved_at.get(run_ids[number])
            if moved_at is None:
                unseen += 1
            else:
                delays.append(moved_at - answered_at)
    wire = sum(watcher.wire_bytes for watcher in watchers) / len(watchers) / seconds
    text = sum(watcher.text_bytes for watcher in watchers) / len(watchers) / seconds
    sent = len(run_ids) / load.wall_s
    return View(delays, unseen, watchers[0].deltas, seconds, wire, text, cpu_s, sent, len(load.failed))


def _uploads_line(shape: Shape, found: Sequence[Uploads]) -> dict[str, Any]:
    return result(
        "live",
        "fixes_per_s",
        [each.service for each in found],
        Against("bare_transaction", [each.bare for each in found]),
        shape=shape.name,
        loads=[each.load for each in found],
        fixes_per_request=shape.per_request,
        connections=shape.connections,
        phones=FEW,
        fixes=shape.requests * shape.per_request,
        not_200=sum(len(each.load.failed) for each in found),
        service_cpu_us_per_fix=round(sum(each.cpu_us for each in found) / len(found)),
        round=f"straight, {LINE_M / 1000:.0f} km, {POINTS} points, {STOPS} stops",
        service_does_more="token and duty looked up, validated, matched to the round, matcher's state kept",
        bare_transaction_connections=POOL,
    )


def _view_lines(runs: int, screens: int, found: Sequence[View]) -> Iterator[dict[str, Any]]:
    delays = [1000 * percentile(each.delays, 0.5) for each in found]
    middle = found[middle_of(delays)]
    shared: dict[str, Any] = {
        "shape": f"runs_{runs}_screens_{screens}",
        "runs": runs,
        "screens": screens,
        "uploads_per_s": rounded(middle.uploads_per_s),
        "not_200": sum(each.not_200 for each in found),
        "unseen": sum(each.unseen for each in found),
        "deltas_per_s": rounded(middle.deltas / middle.seconds),
    }
    half_tick = Against("half_a_tick", [1000 * EVERY_S / 2 for _ in found])
    line = result("live", "answer_to_delta_ms", delays, half_tick, **shared)
    times = {f"p{share}_ms": rounded(1000 * percentile(middle.delays, share / 100)) for share in (50, 99)}
    yield line | times
    plain = Against("plain_text", [each.text_bytes for each in found])
    yield result("live", "bytes_per_s_per_screen", [each.wire_bytes for each in found], plain, **shared)


def _cpu_line(runs: int, views: Mapping[int, Sequence[View]]) -> dict[str, Any]:
    """Tell the service's processor time in a tick, with every screen; what a screen adds is the slope between few and many."""
    few, many = (views[screens] for screens in SCREENS)
    per_tick = [1000 * each.cpu_s / each.deltas for each in many]
    added = [
        1e6 * (more.cpu_s / more.deltas - less.cpu_s / less.deltas) / (SCREENS[1] - SCREENS[0])
        for less, more in zip(few, many, strict=True)
    ]
    return result(
        "live",
        "service_cpu_ms_per_tick",
        per_tick,
        Against("one_core", [1000 * EVERY_S for _ in many]),
        shape=f"runs_{runs}_screens_{SCREENS[1]}",
        runs=runs,
        screens=SCREENS[1],
        uploads_per_s=rounded(many[0].uploads_per_s),
        includes="the uploads",
        a_screen_adds_us=rounded(statistics.median(added)),
    )


async def _prepare(platform: Platform) -> Fleet:
    """Make a site of straight rounds, a phone for each, put every run on duty eight hours ago, and sign supervisors in."""
    path = platform.settings.var_dir / "rounds.geojson"
    path.write_bytes(orjson.dumps({"type": "FeatureCollection", "features": list(_features())}))
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    tokens = [await enrolled(platform, n, site=SITE, round_id=_round_id(n)) for n in range(ROUNDS)]
    today = platform.runs.today()
    for day in (today, today + timedelta(days=1)):
        await runs_store.plan_day(platform.database, day)
    await all_covered(platform)
    began_at, emails = datetime.now(UTC) - ON_DUTY, [f"s{number}@bench.invalid" for number in range(max(SCREENS))]
    sessions = [await signed_in(platform, "supervisor", email, site=SITE) for email in emails]
    fleet = Fleet(today, began_at, tokens, sessions)
    await asyncio.gather(*(started(platform, fleet.run_id(n), site=SITE, at=began_at) for n in range(ROUNDS)))
    return fleet


def _round_id(number: int) -> str:
    return f"B{number:04d}"


def _features() -> Iterator[dict[str, Any]]:
    for number in range(ROUNDS):
        line = [_point(number, LINE_M * part / POINTS) for part in range(POINTS + 1)]
        yield from straight_round(_round_id(number), line, site=SITE, name=f"Round {number}", stops=STOPS)


def _point(number: int, along_m: float) -> tuple[float, float]:
    lat, lon = _place(number, along_m)
    return lon, lat


def _place(number: int, along_m: float) -> tuple[float, float]:
    """Return (lat, lon): rounds run north, side by side."""
    return SOUTH + along_m / DEGREE_M, WEST + number * 0.002
