"""Servers of tests that are stopped while their clients go on connecting."""

import asyncio
from typing import Any

from aiohttp import web

TURNS = 5


async def stop(runner: web.AppRunner) -> None:
    """Stop a server and leave no connection: who was accepted at this moment is let in first, to be cut off with the others.

    Python 3.11 forgets a connection that it has accepted and not yet attached when its server closes: nobody closes the socket, and
    some later test finds it.
    """
    loop = asyncio.get_running_loop()
    for site in runner.sites:
        server: Any = site._server
        for listening in server.sockets if server else ():
            loop.remove_reader(listening.fileno())
    for _ in range(TURNS):
        await asyncio.sleep(0)
    await runner.cleanup()
