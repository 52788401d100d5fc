"""What phones send to, and the jobs behind it: tracking, timers, notices, requests, pictures, figures."""

import gc
import time
from functools import partial
from threading import Thread

from aiohttp import web

from fieldsvc.access.tries import Tries
from fieldsvc.following.finding import links_of_mail
from fieldsvc.intake.abouts import Abouts
from fieldsvc.intake.accept import Intake
from fieldsvc.intake.apps import Apps
from fieldsvc.intake.corrections import Originals
from fieldsvc.intake.location import Locator
from fieldsvc.intake.points import Points
from fieldsvc.intake.relay import RelayKey
from fieldsvc.jobs import Jobs
from fieldsvc.journal.hearing import Hearing
from fieldsvc.journal.timers import Timers
from fieldsvc.logs import get_logger
from fieldsvc.notices.choices import Choices
from fieldsvc.notices.sender import Notices
from fieldsvc.notices.ways import ways_of
from fieldsvc.platform import Platform
from fieldsvc.reports.counter import Counter
from fieldsvc.requests.links import link_key
from fieldsvc.requests.office import Office
from fieldsvc.tracking.anchors import Anchors
from fieldsvc.tracking.eta import Forecasts
from fieldsvc.tracking.learning import Learning
from fieldsvc.tracking.memory import PointLearner
from fieldsvc.tracking.mismatch import Watcher
from fieldsvc.tracking.silence import Silences
from fieldsvc.tracking.tracker import Tracker
from fieldsvc.tracking.windows import Windows
from fieldsvc.web import carrier, events, middlewares, phones, positions, relays
from fieldsvc.work.daily import plan_days
from fieldsvc.work.pilots import Pilots
from fieldsvc.work.placement import Placer
from geo.compiled import warm

log = get_logger()


def add_intake(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    """Add what phones send to, and what watches, learns and answers behind it."""
    _add_phones(app, platform, jobs)
    _add_answering(app, platform, jobs)
    hearing = Hearing(platform.settings.phones_first_s)
    _add_watching(platform, jobs, hearing)
    jobs["timers"] = Timers(platform.database, platform.commands, hearing).run
    jobs["erasures"] = platform.erasing.keep_remembering
    jobs["pictures"], jobs["pictures_tidy"] = platform.media.keep_linking, platform.media.keep_tidy
    jobs["days"] = lambda: plan_days(platform.runs, platform.settings.hours, hearing=hearing)
    jobs["warm"] = lambda: _warm(platform.placer, compiles=platform.settings.fast_matching)


def _add_phones(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    watcher = Watcher(platform.database, platform.commands)
    keep_tracks_days = platform.settings.keep_tracks_days
    tracker = Tracker(platform.database, platform.rounds, keep_tracks_days=keep_tracks_days, watcher=watcher)
    jobs["mismatch"] = watcher.run
    jobs["anchors"] = Anchors(platform.database, platform.reader, platform.tail, tracker=tracker).run
    app[positions.TRACKER] = tracker
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
    about = "Events and fixes of phones that were away, which wait until it is their turn."
    app[middlewares.METRICS].watch("fieldsvc_backlog_events", about, lambda: app[events.INTAKE].backlog.waiting)
    app[carrier.RUNS], app[carrier.SHEETS] = platform.runs, platform.sheets
    app[carrier.SERVICES], app[carrier.PILOTS] = carrier.services_document(platform.registry), Pilots(platform.database)
    app[carrier.CODE_TRIES] = Tries(most=10, window_s=60.0, size=10_000, clock=time.monotonic)
    app[phones.APPS] = Apps(app[events.INTAKE], tracker, platform.settings.zone)
    app[relays.RELAY_KEY] = RelayKey.of(platform.vault)
    app.add_routes([*events.routes, *positions.routes, *phones.routes, *carrier.routes, *relays.routes])


def _add_answering(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    settings = platform.settings
    notices = Notices(
        platform.database,
        platform.opener,
        platform.commands,
        ways=ways_of(settings),
        zone=settings.zone,
        quiet=settings.quiet,
        choices=Choices(platform.database, platform.vault, settings.address),
        links=partial(links_of_mail, link_key(platform.vault), settings.address),
    )
    jobs["notices"] = notices.run
    notices.watch(app[middlewares.METRICS])
    jobs["requests"] = Office(
        platform.database, platform.vault, platform.opener, platform.commands, base_url=settings.address
    ).run


def _add_watching(platform: Platform, jobs: Jobs, hearing: Hearing) -> None:
    database, rounds, zone = platform.database, platform.rounds, platform.settings.zone
    jobs["points"] = PointLearner(
        database, platform.tail, platform.opener, rounds=rounds, registry=platform.registry
    ).run
    jobs["learning"] = Learning(database, rounds).run
    silences = Silences(database, platform.commands, zone, hearing)
    jobs["silence"], jobs["silence_learning"] = silences.run, silences.keep_learning
    forecasts = Forecasts(database, rounds, zone, hours=platform.settings.hours)
    jobs["windows"] = Windows(database, forecasts, zone, hearing).run
    jobs["reports"] = Counter(database, platform.tail, platform.reader, vault=platform.vault, zone=zone).run


async def _warm(placer: Placer, *, compiles: bool) -> None:
    """Make the matcher ready, and build the book of rounds before the first address asks; what lives on is not collected again."""
    if compiles:
        Thread(target=_compile, name="compile", daemon=True).start()
    await placer.warm()
    gc.freeze()


def _compile() -> None:
    """Load the compiled matcher where it is installed, or compile it: beside the loop, and nobody who stops the service waits for it."""
    is_compiled = warm()
    log.info("matcher.ready", type="compiled" if is_compiled else "numpy")
    if is_compiled:
        gc.freeze()
