"""Running the service: the server around the app, and a clean end."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web

from fieldsvc.app import create_app
from fieldsvc.errors import UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.platform import open_platform
from fieldsvc.process import ROLES, database_url, stop_event
from fieldsvc.settings import Settings
from fieldsvc.web import operations
from fieldsvc.web.connections import Doors, Patience
from fieldsvc.web.middlewares import METRICS
from fieldsvc.web.server import make_runner

log = get_logger()
BACKLOG = 4_096  # of the kernel, who cuts it to net.core.somaxconn


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
    """Serve an app, and on their own port the operations, if there is one; give its address. UserMistake for a taken port."""
    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(_listening(app, settings, settings.host, settings.port))
        if settings.operations_port is not None:
            place = settings.operations_host, settings.operations_port
            other = await stack.enter_async_context(_listening(operations.apart(app), settings, *place))
            log.info("serve.operations", port=int(other.rsplit(":", 1)[1]))
        yield address


@asynccontextmanager
async def _listening(app: web.Application, settings: Settings, host: str, port: int) -> AsyncIterator[str]:
    runner = make_runner(
        app,
        shutdown_timeout_s=settings.shutdown_timeout_s,
        doors=Doors.of(settings),
        patience=Patience.of(settings),
        closed=lambda why: app[METRICS].closed_early.labels(why).inc(),
    )
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=BACKLOG)
        try:
            await site.start()
        except OSError as error:
            raise UserMistake(f"Port {port} of {host} cannot be used: {error.strerror}.") from None
        found, number = runner.addresses[0][:2]
        yield f"http://{f'[{found}]' if ':' in found else found}:{number}"
    finally:
        await runner.cleanup()
