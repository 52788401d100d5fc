"""The composition root: what every process has, what each role adds (`fieldsvc/wiring/`), and when it is ready."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from fieldsvc.access.audit_heads import Heads, heads_file
from fieldsvc.jobs import Jobs, running
from fieldsvc.journal.upkeep import keep_up
from fieldsvc.metrics import Metrics
from fieldsvc.platform import Platform
from fieldsvc.process import ROLES
from fieldsvc.web import (
    catalogue,
    discretion,
    looks,
    media,
    middlewares,
    operations,
    rates,
    rights,
)
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.web.pages.page import for_people
from fieldsvc.wiring.intake import add_intake
from fieldsvc.wiring.people import add_people
from fieldsvc.wiring.screens import add_screens
from fieldsvc.wiring.subscribers import add_account, add_publishing
from sql import migrations


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
    _add_common(app, platform)
    jobs: Jobs = {"tail": platform.tail.run, "upkeep": lambda: _upkeep(platform)}
    jobs["audit"] = Heads(platform.database, platform.vault, heads_file(settings)).run
    if "intake" in roles:
        add_intake(app, platform, jobs)
    if "web" in roles:
        add_screens(app, platform, jobs)
        add_people(app, platform)
        add_account(app, platform)
    if "publish" in roles:
        add_publishing(app, platform, jobs)
    app.cleanup_ctx.append(lambda _app: running(jobs))
    rights.bind(app, complete=roles == ROLES)
    return app


def _add_common(app: web.Application, platform: Platform) -> None:
    settings = platform.settings
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


async def _upkeep(platform: Platform) -> None:
    await keep_up(platform.database, keep_tracks_days=platform.settings.keep_tracks_days)


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
