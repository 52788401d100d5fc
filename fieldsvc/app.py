"""The composition root: which object is made of what, in which order it starts, and in which it stops."""

import asyncio
import contextlib
import gc
import time
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from fieldsvc.access.audit_heads import Heads, heads_file
from fieldsvc.access.limits import Limits
from fieldsvc.access.tries import Tries
from fieldsvc.following.approach import Approaches
from fieldsvc.following.desk import Following
from fieldsvc.following.finding import Finder
from fieldsvc.following.proving import Proving
from fieldsvc.intake.abouts import Abouts
from fieldsvc.intake.accept import Intake
from fieldsvc.intake.apps import Apps
from fieldsvc.intake.corrections import Originals
from fieldsvc.intake.location import Locator
from fieldsvc.intake.points import Points
from fieldsvc.intake.relay import RelayKey
from fieldsvc.jobs import Job, running
from fieldsvc.journal.arrivals import Arrivals
from fieldsvc.journal.histories import Histories
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.journal.stories import Stories
from fieldsvc.journal.timers import Timers
from fieldsvc.journal.upkeep import keep_up
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.notices.choices import Choices
from fieldsvc.notices.sender import Notices
from fieldsvc.notices.ways import ways_of
from fieldsvc.platform import Platform
from fieldsvc.process import ROLES
from fieldsvc.publishing.dispatcher import Dispatcher
from fieldsvc.publishing.endpoints import Endpoints
from fieldsvc.publishing.failing import Failing
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.formats.telling import Origin
from fieldsvc.publishing.operational import Operational
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replaying import Replaying
from fieldsvc.publishing.replays import Replays
from fieldsvc.publishing.standing import Standings
from fieldsvc.publishing.streams.opening import open_streams
from fieldsvc.publishing.watch import Watch
from fieldsvc.reports.counter import Counter
from fieldsvc.reports.waits import Waits
from fieldsvc.requests.advising import Advising
from fieldsvc.requests.counter import CounterDesk
from fieldsvc.requests.desk import Desk
from fieldsvc.requests.drafts import draft_key
from fieldsvc.requests.households import Households
from fieldsvc.requests.knowing import Knowledge
from fieldsvc.requests.links import link_key
from fieldsvc.requests.office import Office
from fieldsvc.requests.staff import Staff
from fieldsvc.requests.visits import Visits
from fieldsvc.requests.voices import Voices
from fieldsvc.tracking.anchors import Anchors
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.tracking.geometry import Geometry
from fieldsvc.tracking.health import Health
from fieldsvc.tracking.learning import Learning
from fieldsvc.tracking.lines import Lines
from fieldsvc.tracking.memory import PointLearner
from fieldsvc.tracking.mismatch import Watcher
from fieldsvc.tracking.not_back import NotBack
from fieldsvc.tracking.overview import Overview
from fieldsvc.tracking.silence import Silences
from fieldsvc.tracking.timeline import LATE_S, Timelines
from fieldsvc.tracking.tracker import Tracker
from fieldsvc.tracking.windows import Windows
from fieldsvc.web import (
    account_catalogue,
    account_certify,
    account_history,
    account_keys,
    account_sandbox,
    address_changes,
    adviser_cases,
    adviser_page,
    alerts,
    basemap,
    board_pages,
    carrier,
    cases,
    catalogue,
    change_pages,
    colleagues,
    counter_page,
    cover,
    delivery_changes,
    delivery_points,
    desks,
    discretion,
    endpoints,
    events,
    following,
    following_proof,
    handheld_page,
    hazards,
    health,
    home,
    households,
    ideas,
    kpis,
    live,
    looks,
    mail_choices,
    media,
    middlewares,
    mirror,
    national_page,
    not_back,
    operations,
    overview,
    partner,
    partner_new,
    people,
    phones,
    phones_page,
    portal,
    portal_deeds,
    portal_endpoint,
    positions,
    proofs,
    rates,
    relays,
    replays,
    request_pages,
    rights,
    roster,
    run_requests,
    run_stops,
    runs_work,
    sign_in,
    sign_in_page,
    staff_sign_in,
    subscriber,
    suivi,
    supervision_page,
    supervisor,
    task_list,
    tasks,
    timeline,
    visits,
    voices,
)
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.web.pages import files
from fieldsvc.web.pages.page import for_people
from fieldsvc.work.address_reports import AddressReports
from fieldsvc.work.cover import Cover
from fieldsvc.work.daily import plan_days
from fieldsvc.work.orders import Orders
from fieldsvc.work.pilots import Pilots
from fieldsvc.work.placement import Placer
from fieldsvc.work.proofs import Proofs
from fieldsvc.work.roster import Rosters
from fieldsvc.work.run_changes import RunChanges
from sql import migrations

log = get_logger()
DISPATCHER_STOPS_S = 5.0
Jobs = dict[str, Job]


def create_app(platform: Platform, *, roles: frozenset[str] = ROLES) -> web.Application:
    """Make the app of a process with the given roles; its jobs start and stop with it."""
    settings = platform.settings
    app = web.Application(
        middlewares=[
            middlewares.identified,
            for_people,
            middlewares.problems,
            rates.rated,
            middlewares.bounded,
            middlewares.evened,
            admitted,
            looks.noted,
        ],
        client_max_size=settings.max_body_bytes,
    )
    app.on_response_prepare.append(middlewares.finish)
    metrics = Metrics()
    metrics.watch("fieldsvc_queue_events", "Events waiting for the writer.", lambda: platform.writer.waiting)
    app[ACCESS] = platform.access
    app[middlewares.ANSWERS_WITHIN_S] = settings.answer_timeout_s, settings.body_timeout_s
    app[middlewares.REFUSES_AFTER_S] = settings.refuses_after_s
    if settings.rate_limits:
        app[rates.RATED] = rates.Rates()
    app[middlewares.EPOCH], app[middlewares.METRICS] = platform.vault.epoch, metrics
    app[operations.CHECKS], app[operations.APART] = _checks(platform), settings.operations_port is not None
    app[media.MEDIA] = platform.media
    app[looks.CARRIER_KEY], app[looks.TODAY] = platform.vault.derived_key("audit"), looks.Today()
    app.add_routes([*operations.routes, *catalogue.routes, *discretion.routes, *media.routes])
    app[discretion.MIRROR] = discretion.Mirror(platform.registry)
    app[catalogue.CATALOGUE] = catalogue.Catalogue.of(platform.registry, lambda: app)
    jobs: Jobs = {"tail": platform.tail.run, "upkeep": lambda: _upkeep(platform)}
    jobs["audit"] = Heads(platform.database, platform.vault, heads_file(settings)).run
    if "intake" in roles:
        _add_intake(app, platform, jobs)
    if "web" in roles:
        _add_web(app, platform)
        _add_portal(app, platform)
        _add_account_pages(app, platform)
        _add_desks(app, platform)
        _add_households(app, platform)
        _add_reports(app, platform)
        _add_live(app, platform, jobs)
    if "publish" in roles:
        _add_publishing(app, platform, jobs)
    app.cleanup_ctx.append(lambda _app: running(jobs))
    rights.bind(app, complete=roles == ROLES)
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
        originals=Originals(platform.database, platform.registry),
        abouts=Abouts(platform.reader, before={"person.erased": platform.erasing.prepare}),
        points=Points(platform.database),
        most_events=platform.settings.max_batch_events,
    )
    app[carrier.RUNS], app[carrier.SHEETS] = platform.runs, platform.sheets
    app[carrier.SERVICES], app[carrier.PILOTS] = carrier.services_document(platform.registry), Pilots(platform.database)
    app[carrier.CODE_TRIES] = Tries(most=10, window_s=60.0, size=10_000, clock=time.monotonic)
    app[phones.APPS] = Apps(app[events.INTAKE], tracker, platform.settings.zone)
    app[relays.RELAY_KEY] = RelayKey.of(platform.vault)
    app.add_routes([*events.routes, *positions.routes, *phones.routes, *carrier.routes, *relays.routes])
    timers = Timers(platform.database, platform.commands)
    jobs["timers"] = timers.run
    jobs["erasures"] = platform.erasing.keep_remembering
    jobs["pictures"], jobs["pictures_tidy"] = platform.media.keep_linking, platform.media.keep_tidy
    notices = Notices(
        platform.database,
        platform.opener,
        platform.commands,
        ways=ways_of(platform.settings),
        zone=platform.settings.zone,
        quiet=platform.settings.quiet,
        choices=Choices(platform.database, platform.vault, platform.settings.address),
    )
    jobs["notices"] = notices.run
    notices.watch(app[middlewares.METRICS])
    jobs["requests"] = Office(
        platform.database, platform.vault, platform.opener, platform.commands, base_url=platform.settings.address
    ).run
    jobs["days"] = lambda: plan_days(platform.runs, hours)
    jobs["learning"] = Learning(platform.database, platform.rounds).run
    zone = platform.settings.zone
    silences = Silences(platform.database, platform.commands, zone)
    jobs["silence"], jobs["silence_learning"] = silences.run, silences.keep_learning
    jobs["windows"] = Windows(
        platform.database, Forecasts(platform.database, platform.rounds, zone, hours=hours), zone
    ).run
    jobs["reports"] = Counter(
        platform.database, platform.tail, platform.reader, vault=platform.vault, zone=platform.settings.zone
    ).run
    jobs["warm"] = lambda: _warm(platform.placer)


def _add_web(app: web.Application, platform: Platform) -> None:
    app[tasks.TASKS] = platform.tasks
    app[proofs.PROOFS] = Proofs(platform.database, platform.vault, platform.media)
    app.add_routes(proofs.routes)
    app[roster.ROSTERS] = Rosters(platform.database, platform.runs)
    app[runs_work.CHANGES] = RunChanges(platform.database, platform.commands, platform.runs)
    app.add_routes([*task_list.routes, *roster.routes, *runs_work.routes])
    app[cover.COVER] = Cover(
        platform.database, platform.commands, platform.rounds, platform.runs, platform.settings.zone
    )
    app[address_changes.REPORTS] = AddressReports(
        platform.database, platform.commands, platform.opener, platform.rounds
    )
    app.add_routes([*cover.routes, *address_changes.routes])
    app[delivery_changes.DESK] = Desk.of(
        platform.settings,
        platform.database,
        platform.vault,
        opener=platform.opener,
        commands=platform.commands,
        rounds=platform.rounds,
    )
    app[change_pages.DRAFT_KEY], app[change_pages.PLACER] = draft_key(platform.vault), platform.placer
    app.add_routes([*delivery_changes.routes, *change_pages.routes, *request_pages.routes])
    app[alerts.ALERTS] = alerts.Alerts(platform.database, platform.opener, platform.commands)
    if platform.settings.basemap is not None:
        app[basemap.BASEMAP] = basemap.read_basemap(platform.settings.basemap)
    app.add_routes(mirror.routes)
    app.add_routes(handheld_page.routes)
    app.add_routes([*supervision_page.routes, *national_page.routes, *board_pages.routes, *basemap.routes])
    files.every_file()  # read and compressed now, not while the first reader waits
    app.add_routes(
        [*tasks.routes, *alerts.routes, *desks.routes, *people.routes, *files.routes, *home.routes, *phones_page.routes]
    )
    app[sign_in.SIGN_IN] = sign_in.signing_of(platform.settings, platform.database, platform.vault)
    app[sign_in_page.MAILS_LEFT] = Limits(sign_in_page.MAILS, clock=time.monotonic)
    app.add_routes([*sign_in_page.routes, *staff_sign_in.routes])


def _add_portal(app: web.Application, platform: Platform) -> None:
    database, vault, settings = platform.database, platform.vault, platform.settings
    renderer = Renderer(platform.opener, Origin.of(settings))
    feed = Feed(platform.reader, platform.tail, vault=vault, renderer=renderer)
    app[portal.PORTAL] = portal.Portal(
        endpoints=Endpoints(database, platform.reader, vault=vault, feed=feed, settings=settings),
        replaying=Replaying(database, platform.reader, vault=vault, feed=feed, renderer=renderer, settings=settings),
        reader=platform.reader,
        histories=Histories(database, vault),
        renderer=renderer,
        vault=vault,
        registry=platform.registry,
        settings=settings,
    )
    app.add_routes([*portal.routes, *portal_endpoint.routes, *portal_deeds.routes])


def _add_account_pages(app: web.Application, platform: Platform) -> None:
    settings, renderer = platform.settings, Renderer(platform.opener, Origin.of(platform.settings))
    app[account_catalogue.PULLED] = Feed(platform.reader, platform.tail, vault=platform.vault, renderer=renderer)
    app[account_keys.CHOICES] = Choices(platform.database, platform.vault, settings.address)
    app[account_catalogue.REGISTRY] = platform.registry
    runs = account_certify.Runs(platform.database, allow_loopback=settings.allow_loopback_endpoints)
    app[account_certify.RUNS] = runs
    app.add_routes([*account_keys.routes, *account_catalogue.routes, *account_history.routes])
    app.add_routes([*account_sandbox.routes, *account_certify.routes, *mail_choices.routes])

    async def broken_off(_app: web.Application) -> None:
        await runs.stop()

    app.on_shutdown.append(broken_off)


def _add_desks(app: web.Application, platform: Platform) -> None:
    database, vault, zone = platform.database, platform.vault, platform.settings.zone
    items = platform.registry.handlers["item"]
    staff = Staff(database, vault, platform.opener, platform.reader, items)
    app[counter_page.COUNTER] = CounterDesk(staff, platform.commands, platform.media, vault, zone)
    app[counter_page.WAITS] = Waits(database, vault, zone)
    app[adviser_page.ADVISING] = Advising(staff, platform.commands)
    app.add_routes([*counter_page.routes, *adviser_page.routes, *adviser_cases.routes])


def _add_households(app: web.Application, platform: Platform) -> None:
    database, vault, opener, commands = platform.database, platform.vault, platform.opener, platform.commands
    app[voices.VOICES] = Voices(database, vault, opener, commands)
    app[households.HOUSEHOLDS] = Households(
        *(database, vault, opener, commands),
        plans=platform.tasks,
        placer=platform.placer,
        zone=platform.settings.zone,
    )
    app[visits.VISITS] = Visits(database, vault, platform.registry, platform.settings.zone)
    app.add_routes([*voices.routes, *households.routes, *visits.routes])


def _add_reports(app: web.Application, platform: Platform) -> None:
    zone = app[kpis.ZONE] = platform.settings.zone
    app[cases.CASES] = cases.Cases(platform.database, platform.reader, platform.opener, platform.commands)
    app[ideas.OPENER] = platform.opener
    app[suivi.SUIVI] = suivi.Suivi(Stories(platform.database, platform.vault), platform.registry, zone)
    app.add_routes([*kpis.routes, *cases.routes, *ideas.routes, *suivi.routes])
    app[partner.ORDERS] = Orders(
        platform.tasks,
        Stories(platform.database, platform.vault),
        opener=platform.opener,
        registry=platform.registry,
        commands=platform.commands,
    )
    app[partner_new.PLACER] = platform.placer
    app.add_routes([*partner.routes, *partner_new.routes])


def _add_live(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    lines = app[supervisor.LINES] = Lines(platform.database)
    app[supervisor.GEOMETRY], app[supervisor.DAYS] = Geometry(platform.database, platform.rounds), platform.runs
    board = app[live.BOARD] = Board(platform.database, lines, platform.settings.zone)
    if events.INTAKE in app:
        app[events.INTAKE].siren.listen(board.show_early)
    seats = app[live.SEATS] = live.Seats()
    app[middlewares.METRICS].watch("fieldsvc_live_streams", "Live streams that are open.", lambda: seats.count)
    app[run_stops.FORECASTS] = Forecasts(
        platform.database, platform.rounds, platform.settings.zone, hours=platform.settings.hours
    )
    _add_following(app, platform)
    app[hazards.WATCHED] = hazards.Watched(platform.database, platform.opener)
    app[timeline.TIMELINES] = Timelines(platform.database, platform.vault, platform.registry)
    app[overview.OVERVIEW] = Overview(platform.database, board, platform.runs)
    app[not_back.NOT_BACK] = NotBack(
        platform.database,
        app[run_stops.FORECASTS],
        platform.runs,
        registry=platform.registry,
        hours=platform.settings.hours,
    )
    app.add_routes([*timeline.routes, *run_requests.routes, *colleagues.routes, *overview.routes, *not_back.routes])
    arrivals = Arrivals(platform.database, platform.reader, platform.settings.zone, late_s=LATE_S)
    app[health.HEALTH] = Health(arrivals, Quarantine(platform.database, platform.vault), board)
    renderer = Renderer(platform.opener, Origin.of(platform.settings))
    app[health.FAILING] = Failing(platform.database, Standings(platform.database, platform.reader, renderer))
    app.add_routes(health.routes)
    app.add_routes([*live.routes, *supervisor.routes, *delivery_points.routes, *hazards.routes, *run_stops.routes])
    jobs["live"] = board.run

    async def at_once(_app: web.Application) -> None:
        board.close()
        asyncio.get_running_loop().call_later(live.LAST_WRITE_S, seats.abort)

    app.on_shutdown.append(at_once)


def _add_following(app: web.Application, platform: Platform) -> None:
    settings, handlers = platform.settings, platform.registry.handlers
    knowledge = Knowledge(
        platform.database,
        platform.vault,
        platform.opener,
        rounds=platform.rounds,
        items=handlers["item"],
        zone=settings.zone,
    )
    approaches = Approaches(app[run_stops.FORECASTS], knowledge, platform.rounds)
    stories = Stories(platform.database, platform.vault)
    app[following.FINDER] = Finder(knowledge, platform.vault)
    app[following.FOLLOWING] = Following(platform.database, stories, handlers, approaches, settings.zone)
    app[following.LINK_KEY], app[following.HELP_PHONE] = link_key(platform.vault), settings.help_phone
    app[following_proof.PROVING] = Proving(platform.database, platform.vault, platform.opener)
    app.add_routes([*following.routes, *following_proof.routes])


def _add_publishing(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    app.add_routes([*endpoints.routes, *replays.routes, *subscriber.routes])
    renderer = Renderer(platform.opener, Origin.of(platform.settings))
    feed = Feed(platform.reader, platform.tail, vault=platform.vault, renderer=renderer)
    app[endpoints.ENDPOINTS] = Endpoints(
        platform.database, platform.reader, vault=platform.vault, feed=feed, settings=platform.settings
    )
    app[subscriber.FEED], app[subscriber.READER], app[subscriber.RENDERER] = feed, platform.reader, renderer
    vault, settings = platform.vault, platform.settings
    app[replays.REPLAYING] = Replaying(
        platform.database, platform.reader, vault=vault, feed=feed, renderer=renderer, settings=settings
    )
    operational = Operational(
        platform.database, platform.vault, platform.commands, len(platform.settings.retry_schedule)
    )
    dispatcher = Dispatcher(
        platform.database, platform.tail, vault=platform.vault, settings=platform.settings, tell=operational.tell
    )
    dispatcher.show(app[middlewares.METRICS])
    jobs["dispatcher"] = dispatcher.run
    replaying = Replays(
        platform.database, platform.reader, renderer=renderer, vault=vault, settings=settings, tell=operational.tell
    )
    jobs["replays"] = replaying.run
    watch = Watch(platform.database, operational, platform.settings.lag_high_s)
    watch.show(app[middlewares.METRICS])
    jobs["operational"], jobs["watch"] = operational.run, watch.run
    if (streams := open_streams(platform)) is not None:
        streams.watch(app[middlewares.METRICS])
        jobs["streams"] = streams.run

    async def in_good_order(_app: web.Application) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISPATCHER_STOPS_S):
                await asyncio.gather(dispatcher.stop(), replaying.stop())

    app.on_shutdown.append(in_good_order)


async def _upkeep(platform: Platform) -> None:
    await keep_up(platform.database, keep_tracks_days=platform.settings.keep_tracks_days)


async def _warm(placer: Placer) -> None:
    """Build the book of rounds before the first address asks; what lives as long as the process is not collected again."""
    await placer.warm()
    gc.freeze()


def _checks(platform: Platform) -> Mapping[str, Callable[[], Awaitable[bool]]]:
    async def database() -> bool:
        async with asyncio.timeout(2), platform.database.acquire() as connection:
            number: int = await connection.fetchval("select max(number) from migration")
        return number == len(migrations())

    async def queue() -> bool:
        return platform.writer.waiting < platform.settings.queue_events

    async def erasures() -> bool:
        async with asyncio.timeout(5):
            return await platform.erasures.settled(platform.database)

    return {"database": database, "queue": queue, "erasures": erasures}
