"""Running the service: the database it needs, the server around the app, and a clean end."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop
from aiohttp import web

from fieldsvc.app import ROLES, create_app
from fieldsvc.errors import UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.platform import open_platform
from fieldsvc.settings import Settings
from fieldsvc.store.embedded import EmbeddedPostgres, EmbeddedPostgresError
from fieldsvc.web.server import make_runner

log = get_logger()
WATCH_S = 1.0
Answer = TypeVar("Answer")


def run(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine on uvloop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main)


@asynccontextmanager
async def database_url(settings: Settings) -> AsyncIterator[str]:
    """Give the URL of the database: the one set, else the embedded server's, which is started, watched and given back."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    server = EmbeddedPostgres(settings.var_dir)
    try:
        url = await asyncio.to_thread(server.acquire)
    except EmbeddedPostgresError as error:
        raise UserMistake(str(error)) from None
    watching = asyncio.create_task(_watch(server))
    try:
        yield url
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        await asyncio.to_thread(server.release)


async def _watch(server: EmbeddedPostgres) -> None:
    while True:
        await asyncio.sleep(WATCH_S)
        try:
            if await asyncio.to_thread(server.ensure_running):
                log.warning("database.restarted")
        except EmbeddedPostgresError as error:
            log.error("database.not_restarted", error=type(error).__name__)  # noqa: TRY400 - its text names a path


async def serve(settings: Settings, *, roles: frozenset[str] = ROLES) -> None:
    """Serve until SIGINT or SIGTERM; print the address as the first line once ready. Requests in flight are answered."""
    stop = stop_event()
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        app = create_app(platform, roles=roles)
        async with listening(app, settings) as address:
            print(f"listening {address}", flush=True)  # noqa: T201 - the contract's first line
            log.info("serve.ready", port=int(address.rsplit(":", 1)[1]))
            await stop.wait()
            log.info("serve.stopping")


@asynccontextmanager
async def listening(app: web.Application, settings: Settings) -> AsyncIterator[str]:
    """Serve an app; give its address. UserMistake when the port is taken."""
    runner = make_runner(app, shutdown_timeout_s=settings.shutdown_timeout_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, settings.host, settings.port, backlog=1024)
        try:
            await site.start()
        except OSError as error:
            raise UserMistake(f"Port {settings.port} of {settings.host} cannot be used: {error.strerror}.") from None
        host, port = runner.addresses[0][:2]
        yield f"http://{f'[{host}]' if ':' in host else host}:{port}"
    finally:
        await runner.cleanup()


def stop_event() -> asyncio.Event:
    """Make an event that SIGINT and SIGTERM set; a second signal ends the process at once."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()

    def asked() -> None:
        if stop.is_set():
            sys.exit(130)
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        with contextlib.suppress(NotImplementedError):
            loop.add_signal_handler(number, asked)
    return stop
