"""Whether a stopped server has let go of everybody who was about to come in."""

import asyncio
import contextlib
import socket

import pytest
from aiohttp import web

from tests import web_runners


@pytest.mark.parametrize("turns", range(4))
async def test_who_is_being_accepted_as_a_server_stops_is_cut_off_too(turns: int) -> None:
    runner = web.AppRunner(web.Application(), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    with contextlib.ExitStack() as clients:
        connected = [clients.enter_context(socket.create_connection(runner.addresses[0][:2])) for _ in range(20)]
        for _ in range(turns):
            await asyncio.sleep(0)
        await web_runners.stop(runner)
        await asyncio.sleep(0.05)
        for each in connected:
            each.settimeout(1)
            with contextlib.suppress(ConnectionResetError):
                assert each.recv(1) == b""
