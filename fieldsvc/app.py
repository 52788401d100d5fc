"""The composition root: which object is made of what, in which order it starts, and in which it stops."""

import asyncio
import contextlib
import gc
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from aiohttp import web

from fieldsvc.access.callers import Access
from fieldsvc.access.tries import Tries
from fieldsvc.errors import Unavailable
from fieldsvc.intake.accept import Intake
from fieldsvc.intake.apps import Apps
from fieldsvc.intake.location import Locator
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Opener, Vault, master_key, open_vault
from fieldsvc.journal.timers import Timers
from fieldsvc.journal.upkeep import keep_up, make_partitions
from fieldsvc.journal.writer import Writer
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.publishing.dispatcher import Dispatcher
from fieldsvc.publishing.endpoints import Endpoints
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.settings import Settings
from fieldsvc.store.database import BY_KEY_ONLY, DATABASE_ERRORS, Database, connect, migrate, open_database
from fieldsvc.tracking.anchors import Anchors
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.tracking.geometry import Geometry
from fieldsvc.tracking.learning import Learning
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.memory import PointLearner
from fieldsvc.tracking.mismatch import Watcher
from fieldsvc.tracking.tracker import Tracker
from fieldsvc.web import (
    alerts,
    basemap,
    carrier,
    catalogue,
    delivery_points,
    events,
    home,
    live,
    middlewares,
    operations,
    people,
    phones,
    phones_page,
    positions,
    run_stops,
    subscriber,
    supervision_page,
    supervisor,
    tasks,
)
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.pages import files
from fieldsvc.web.pages.page import for_people
from fieldsvc.work.daily import plan_days
from fieldsvc.work.placement import Placer
from fieldsvc.work.rounds import RoundStore
from fieldsvc.work.runs import Runs
from fieldsvc.work.sheets import Sheets
from fieldsvc.work.tasks import Tasks
from handlers.registry import Registry, discover
from sql import migrations

log = get_logger()
ROLES = frozenset({"intake", "publish", "web"})
DISPATCHER_STOPS_S = 5.0
CANCELLED_TIMES, CANCEL_AGAIN_S = 10, 0.5
Jobs = dict[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class Platform:
    """Everything below the pages, wired."""

    settings: Settings
    database: Database
    vault: Vault
    registry: Registry
    writer: Writer
    reader: Reader
    tail: Tail
    opener: Opener
    commands: Commands
    access: Access
    rounds: RoundStore
    placer: Placer
    runs: Runs
    sheets: Sheets
    tasks: Tasks


@asynccontextmanager
async def open_platform(settings: Settings, url: str) -> AsyncIterator[Platform]:
    """Migrate the database, open the keys, and wire the platform with its writer running; close it in the reverse order."""
    master = master_key(settings)
    try:
        first = await connect(url, statement_timeout="0")
    except DATABASE_ERRORS as error:
        raise Unavailable(f"The database cannot be reached ({type(error).__name__}).") from None
    try:
        for name in await migrate(first):
            log.info("database.migrated", version=name)
        await make_partitions(first, datetime.now(UTC), keep_tracks_days=settings.keep_tracks_days)
        vault = await open_vault(first, master)
    finally:
        await first.close()
    database = await open_database(url, size=settings.pool_size)
    platform = _wire(settings, url, database, vault)
    writing = asyncio.create_task(platform.writer.run(), name="writer")
    try:
        yield platform
    finally:
        platform.writer.stop()
        await asyncio.wait([writing], timeout=settings.shutdown_timeout_s)
        await _ended([writing])
        await database.close()


def _wire(settings: Settings, url: str, database: Database, vault: Vault) -> Platform:
    registry = discover()
    reader, opener = Reader(database), Opener(database, vault)
    tail = Tail(reader, lambda: connect(url))
    lock_ms = str(int(settings.lock_timeout_s * 1000))
    writer = Writer(
        lambda: connect(url, lock_timeout=lock_ms, **BY_KEY_ONLY),
        vault,
        registry,
        wake=tail,
        queue_events=settings.queue_events,
        queue_events_per_device=settings.queue_events_per_device,
    )
    commands = Commands(writer, vault, registry)
    rounds, placer = RoundStore(database, settings.zone), Placer(database)
    return Platform(
        settings=settings,
        database=database,
        vault=vault,
        registry=registry,
        writer=writer,
        reader=reader,
        tail=tail,
        opener=opener,
        commands=commands,
        access=Access(database, settings),
        rounds=rounds,
        placer=placer,
        runs=Runs(database, commands, settings.zone),
        sheets=Sheets(database, rounds, opener),
        tasks=Tasks(database, commands, opener=opener, registry=registry, placer=placer, zone=settings.zone),
    )


def create_app(platform: Platform, *, roles: frozenset[str] = ROLES) -> web.Application:
    """Make the app of a process with the given roles; its jobs start and stop with it."""
    settings = platform.settings
    app = web.Application(
        middlewares=[middlewares.identified, for_people, middlewares.problems],
        client_max_size=settings.max_body_bytes,
    )
    app.on_response_prepare.append(middlewares.finish)
    metrics = Metrics()
    metrics.watch("fieldsvc_queue_events", "Events waiting for the writer.", lambda: platform.writer.waiting)
    app[ACCESS] = platform.access
    app[middlewares.EPOCH], app[middlewares.METRICS] = platform.vault.epoch, metrics
    app[operations.CHECKS] = _checks(platform)
    app.add_routes([*operations.routes, *catalogue.routes])
    app[catalogue.CATALOGUE] = catalogue.Catalogue.of(platform.registry, lambda: app)
    jobs: Jobs = {"tail": platform.tail.run, "upkeep": lambda: _upkeep(platform)}
    if "intake" in roles:
        _add_intake(app, platform, jobs)
    if "web" in roles:
        _add_web(app, platform)
        _add_live(app, platform, jobs)
    if "publish" in roles:
        _add_publishing(app, platform, jobs)
    app.cleanup_ctx.append(lambda _app: _running(jobs))
    return app


def _add_intake(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    keep_tracks_days, hours = platform.settings.keep_tracks_days, platform.settings.hours
    watcher = Watcher(platform.database, platform.commands)
    tracker = Tracker(platform.database, platform.rounds, keep_tracks_days=keep_tracks_days, watcher=watcher)
    jobs["mismatch"] = watcher.run
    app[positions.TRACKER] = tracker
    jobs["anchors"] = Anchors(platform.database, platform.reader, platform.tail, tracker=tracker).run
    jobs["points"] = PointLearner(
        platform.database, platform.tail, platform.opener, rounds=platform.rounds, registry=platform.registry
    ).run
    app[events.INTAKE] = Intake(
        writer=platform.writer,
        vault=platform.vault,
        registry=platform.registry,
        rounds=platform.rounds,
        placer=platform.placer,
        locator=Locator(tracker.place),
        most_events=platform.settings.max_batch_events,
    )
    app[carrier.RUNS], app[carrier.SHEETS] = platform.runs, platform.sheets
    app[carrier.SERVICES] = carrier.services_document(platform.registry)
    app[carrier.CODE_TRIES] = Tries(most=10, window_s=60.0, size=10_000, clock=time.monotonic)
    app[phones.APPS] = Apps(app[events.INTAKE], tracker, platform.settings.zone)
    app.add_routes([*events.routes, *positions.routes, *phones.routes, *carrier.routes])
    timers = Timers(platform.database, platform.commands)
    jobs["timers"] = timers.run
    jobs["days"] = lambda: plan_days(platform.runs, hours)
    jobs["learning"] = Learning(platform.database, platform.rounds).run
    jobs["warm"] = lambda: _warm(platform.placer)


def _add_web(app: web.Application, platform: Platform) -> None:
    app[tasks.TASKS] = platform.tasks
    app[alerts.ALERTS] = alerts.Alerts(platform.database, platform.opener, platform.commands)
    if platform.settings.basemap is not None:
        app[basemap.BASEMAP] = basemap.read_basemap(platform.settings.basemap)
    app.add_routes([*supervision_page.routes, *basemap.routes])
    files.every_file()  # read and compressed now, not while the first reader waits
    app.add_routes([*tasks.routes, *alerts.routes, *people.routes, *files.routes, *home.routes, *phones_page.routes])


def _add_live(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    lines = app[supervisor.LINES] = Lines(platform.database)
    app[supervisor.GEOMETRY], app[supervisor.DAYS] = Geometry(platform.database, platform.rounds), platform.runs
    board = app[live.BOARD] = Board(platform.database, lines, platform.settings.zone)
    seats = app[live.SEATS] = live.Seats()
    app[middlewares.METRICS].watch("fieldsvc_live_streams", "Live streams that are open.", lambda: seats.count)
    app[run_stops.FORECASTS] = Forecasts(
        platform.database, platform.rounds, platform.settings.zone, hours=platform.settings.hours
    )
    app.add_routes([*live.routes, *supervisor.routes, *delivery_points.routes, *run_stops.routes])
    jobs["live"] = board.run

    async def at_once(_app: web.Application) -> None:
        board.close()
        asyncio.get_running_loop().call_later(live.LAST_WRITE_S, seats.abort)

    app.on_shutdown.append(at_once)


def _add_publishing(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    app.add_routes(subscriber.routes)
    renderer = Renderer(platform.opener)
    feed = Feed(platform.reader, platform.tail, vault=platform.vault, renderer=renderer)
    app[subscriber.ENDPOINTS] = Endpoints(
        platform.database, platform.reader, vault=platform.vault, feed=feed, settings=platform.settings
    )
    app[subscriber.FEED], app[subscriber.READER], app[subscriber.RENDERER] = feed, platform.reader, renderer
    dispatcher = Dispatcher(platform.database, tail=platform.tail, vault=platform.vault, settings=platform.settings)
    jobs["dispatcher"] = dispatcher.run

    async def in_good_order(_app: web.Application) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISPATCHER_STOPS_S):
                await dispatcher.stop()

    app.on_shutdown.append(in_good_order)


async def _upkeep(platform: Platform) -> None:
    await keep_up(platform.database, keep_tracks_days=platform.settings.keep_tracks_days)


async def _warm(placer: Placer) -> None:
    """Build the book of rounds before the first address asks; what lives as long as the process is not collected again."""
    await placer.warm()
    gc.freeze()


@asynccontextmanager
async def _supervised(jobs: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    running = [asyncio.create_task(_keep_running(name, job), name=name) for name, job in jobs.items()]
    try:
        yield
    finally:
        await _ended(running)


async def _ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: a fault or a wake-up of the same moment can swallow a cancellation."""
    left = {task for task in tasks if not task.done()}
    for _ in range(CANCELLED_TIMES):
        if not left:
            return
        for task in left:
            task.cancel()
        _done, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    log.error("job.stuck", type=", ".join(sorted(task.get_name() for task in left)))


async def _running(jobs: Mapping[str, Callable[[], Awaitable[None]]]) -> AsyncIterator[None]:
    async with _supervised(jobs):
        yield


async def _keep_running(name: str, job: Callable[[], Awaitable[None]]) -> None:
    """Start a job again, a second later, whenever it ends with a fault."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("job.failed", type=name)
            await asyncio.sleep(1)
        else:
            return


def _checks(platform: Platform) -> Mapping[str, Callable[[], Awaitable[bool]]]:
    async def database() -> bool:
        async with asyncio.timeout(2), platform.database.acquire() as connection:
            number: int = await connection.fetchval("select max(number) from migration")
        return number == len(migrations())

    async def queue() -> bool:
        return platform.writer.waiting < platform.settings.queue_events

    return {"database": database, "queue": queue}
