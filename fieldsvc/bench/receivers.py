"""Receivers of webhooks that only take note of when what came: a process of its own (`python -m fieldsvc.bench.receivers N`).

Each listens on a port of its own, as subscribers are hosts of their own; the first also tells (`GET /noted`) what came to
all of them since the last question, as `[[receiver, id, moment]…]` on the clock of `time.perf_counter`, which is the same
in every process of a machine.
"""

import asyncio
import sys
import time

import orjson
from aiohttp import web

from fieldsvc.process import run, stop_event

NOTED = web.AppKey("NOTED", list[tuple[int, str, float]])
RECEIVER = web.AppKey("RECEIVER", int)


async def take(request: web.Request) -> web.Response:
    """Note the moment of an event and acknowledge it."""
    request.app[NOTED].append((request.app[RECEIVER], request.headers.get("webhook-id", ""), time.perf_counter()))
    await request.read()
    return web.Response()


async def take_each(request: web.Request) -> web.Response:
    """Note the moment of each event of a request by its own id, in their order, and acknowledge them."""
    body, now = orjson.loads(await request.read()), time.perf_counter()
    events = body if isinstance(body, list) else [body]
    request.app[NOTED].extend((request.app[RECEIVER], event["id"], now) for event in events)
    return web.Response()


async def keep_silent(_request: web.Request) -> web.Response:
    """Never answer."""
    await asyncio.Event().wait()
    return web.Response()


async def tell(request: web.Request) -> web.Response:
    """Tell what was noted, and forget it."""
    noted = request.app[NOTED].copy()
    request.app[NOTED].clear()
    return web.json_response(noted)


async def main(count: int) -> None:
    """Listen on so many free ports of loopback until SIGTERM; print the addresses in one line."""
    noted = list[tuple[int, str, float]]()
    runners = []
    for number in range(count):
        app = web.Application(client_max_size=4 * 1024 * 1024)
        app[NOTED], app[RECEIVER] = noted, number
        app.add_routes([web.post("/hook", take), web.post("/each", take_each), web.get("/noted", tell)])
        app.add_routes([web.post("/silent", keep_silent)])
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
    stop = stop_event()
    print("listening", ",".join(f"http://127.0.0.1:{runner.addresses[0][1]}" for runner in runners), flush=True)  # noqa: T201 - what the benchmark waits for
    await stop.wait()
    await asyncio.gather(*(runner.cleanup() for runner in runners))


if __name__ == "__main__":
    run(main(int(sys.argv[1])))
