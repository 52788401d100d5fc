"""What subscribers read, and the jobs that send it to them; the pages of their account."""

import asyncio
import contextlib

from aiohttp import web

from fieldsvc.jobs import Jobs
from fieldsvc.journal.histories import Histories
from fieldsvc.journal.stories import Stories
from fieldsvc.notices.choices import Choices
from fieldsvc.platform import Platform
from fieldsvc.publishing.dispatcher import Dispatcher
from fieldsvc.publishing.endpoints import Endpoints
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.formats.telling import Origin
from fieldsvc.publishing.operational import Operational
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replaying import Replaying
from fieldsvc.publishing.replays import Replays
from fieldsvc.publishing.streams.opening import open_streams
from fieldsvc.publishing.watch import Watch
from fieldsvc.web import (
    account_catalogue,
    account_certify,
    account_history,
    account_keys,
    account_sandbox,
    endpoints,
    mail_choices,
    middlewares,
    portal,
    portal_deeds,
    portal_endpoint,
    replays,
    subscriber,
    suivi,
)

DISPATCHER_STOPS_S = 5.0


def add_account(app: web.Application, platform: Platform) -> None:
    """Add the pages of a subscriber's account, and what is asked of one item at a time."""
    renderer = Renderer(platform.opener, Origin.of(platform.settings))
    feed = Feed(platform.reader, platform.tail, vault=platform.vault, renderer=renderer)
    _add_portal(app, platform, feed, renderer)
    _add_account_pages(app, platform, feed)
    stories = Stories(platform.database, platform.vault)
    app[suivi.SUIVI] = suivi.Suivi(stories, platform.registry, platform.settings.zone)
    app.add_routes(suivi.routes)


def _add_portal(app: web.Application, platform: Platform, feed: Feed, renderer: Renderer) -> None:
    database, vault, settings = platform.database, platform.vault, platform.settings
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


def _add_account_pages(app: web.Application, platform: Platform, feed: Feed) -> None:
    settings = platform.settings
    app[account_catalogue.PULLED], app[account_catalogue.REGISTRY] = feed, platform.registry
    app[account_keys.CHOICES] = Choices(platform.database, platform.vault, settings.address)
    runs = account_certify.Runs(platform.database, allow_loopback=settings.allow_loopback_endpoints)
    app[account_certify.RUNS] = runs
    app.add_routes([*account_keys.routes, *account_catalogue.routes, *account_history.routes])
    app.add_routes([*account_sandbox.routes, *account_certify.routes, *mail_choices.routes])

    async def broken_off(_app: web.Application) -> None:
        await runs.stop()

    app.on_shutdown.append(broken_off)


def add_publishing(app: web.Application, platform: Platform, jobs: Jobs) -> None:
    """Add the interface of subscribers, and what sends to their endpoints."""
    renderer = Renderer(platform.opener, Origin.of(platform.settings))
    _add_interface(app, platform, renderer)
    _add_sending(app, platform, renderer, jobs)


def _add_interface(app: web.Application, platform: Platform, renderer: Renderer) -> None:
    database, reader, vault, settings = platform.database, platform.reader, platform.vault, platform.settings
    feed = Feed(reader, platform.tail, vault=vault, renderer=renderer)
    app[endpoints.ENDPOINTS] = Endpoints(database, reader, vault=vault, feed=feed, settings=settings)
    app[replays.REPLAYING] = Replaying(database, reader, vault=vault, feed=feed, renderer=renderer, settings=settings)
    app[subscriber.FEED], app[subscriber.READER], app[subscriber.RENDERER] = feed, reader, renderer
    app.add_routes([*endpoints.routes, *replays.routes, *subscriber.routes])


def _add_sending(app: web.Application, platform: Platform, renderer: Renderer, jobs: Jobs) -> None:
    database, vault, settings = platform.database, platform.vault, platform.settings
    operational = Operational(database, vault, platform.commands, len(settings.retry_schedule))
    dispatcher = Dispatcher(database, platform.tail, vault=vault, settings=settings, tell=operational.tell)
    replaying = Replays(
        database, platform.reader, renderer=renderer, vault=vault, settings=settings, tell=operational.tell
    )
    watch = Watch(database, operational, settings.lag_high_s)
    jobs["dispatcher"], jobs["replays"] = dispatcher.run, replaying.run
    jobs["operational"], jobs["watch"] = operational.run, watch.run
    dispatcher.show(app[middlewares.METRICS])
    watch.show(app[middlewares.METRICS])
    if (streams := open_streams(platform)) is not None:
        streams.watch(app[middlewares.METRICS])
        jobs["streams"] = streams.run

    async def in_good_order(_app: web.Application) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(DISPATCHER_STOPS_S):
                await asyncio.gather(dispatcher.stop(), replaying.stop())

    app.on_shutdown.append(in_good_order)
