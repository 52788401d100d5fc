"""What a command's process is made of: its loop, the signals that end it, and the database it opens."""

import asyncio
import contextlib
import gc
import signal
import sys
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import uvloop

from fieldsvc.errors import UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.settings import Settings
from fieldsvc.store.embedded import EmbeddedPostgres, EmbeddedPostgresError

log = get_logger()
ROLES = frozenset({"intake", "publish", "web"})  # what a process of the service may do
WATCH_S = 1.0
# Objects made before the youngest are looked through for cycles, and how many such times before the older ones are. What is kept
# here for hours are large memories without a cycle: to look through all of it takes a second in which nobody is answered.
COLLECT_AFTER = (50_000, 20, 1_000)
Answer = TypeVar("Answer")


def run(main: Coroutine[Any, Any, Answer]) -> Answer:
    """Run a coroutine on uvloop."""
    gc.set_threshold(*COLLECT_AFTER)
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
