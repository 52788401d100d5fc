"""Processes that die, stop, or freeze: the service's own, and PostgreSQL's."""

import asyncio
import contextlib
import os
import signal
import time
from random import Random

from fieldsvc.bench.faults.children import require
from fieldsvc.bench.faults.surroundings import Surroundings, desk
from fieldsvc.store.embedded import EmbeddedPostgres

SESSIONS = "select pid from pg_stat_activity where backend_type = 'client backend' and pid <> pg_backend_pid()"
BACK_WITHIN_S, WEBHOOK_WITHIN_S = 120.0, 60.0


async def kill_service(around: Surroundings, rng: Random) -> float:
    """Kill the service (SIGKILL) at any moment."""
    del rng
    began = time.monotonic()
    await around.town.service.kill()
    await around.town.service.start()
    return began


async def kill_after_send(around: Surroundings, rng: Random) -> float:
    """Kill the service as a webhook has just been answered, which is mostly before its cursor is saved."""
    hook = around.town.hook
    enough = hook.counts().delivered + rng.randint(1, 5)
    async with asyncio.timeout(WEBHOOK_WITHIN_S):
        while hook.counts().delivered < enough:  # noqa: ASYNC110 - not a moment later
            await asyncio.sleep(0)
    return await kill_service(around, rng)


async def stop_service(around: Surroundings, rng: Random) -> float:
    """Tell the service to stop (SIGTERM) in the middle of uploads; it must end in good order."""
    del rng
    began = time.monotonic()
    status, _ = await around.town.service.stop()
    require(status == 0, f"Told to stop, the service ended with {status}: {around.town.service.log()[-2000:]}")
    await around.town.service.start()
    return began


async def kill_postgres(around: Surroundings, rng: Random) -> float:
    """Kill the server of PostgreSQL, half of the times what serves its clients first."""
    server = EmbeddedPostgres(around.town.service.var_dir)
    pid = server.pid()
    if pid is None:
        require(False, "PostgreSQL was not there to be killed.")
        return 0.0
    began = time.monotonic()
    if rng.random() < 0.5:
        await kill_sessions(around.url)
    os.kill(pid, signal.SIGKILL)
    await around.town.fleet.ask()
    await started_again(server, pid)
    return began


async def kill_backends(around: Surroundings, rng: Random) -> float:
    """Kill what serves PostgreSQL's clients, as the out-of-memory killer would; PostgreSQL then starts all of itself anew."""
    del rng
    began = time.monotonic()
    await kill_sessions(around.url)
    await around.town.fleet.ask()
    (await desk(around.url)).terminate()
    return began


async def kill_sessions(url: str) -> int:
    """Kill what serves the clients; return how many that were."""
    connection = await desk(url)
    pids = [row["pid"] for row in await connection.fetch(SESSIONS)]
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    connection.terminate()
    return len(pids)


async def started_again(server: EmbeddedPostgres, killed: int) -> float:
    """Wait for another server process; return how long that took."""
    began = time.monotonic()
    while (pid := server.pid()) is None or pid == killed:
        require(time.monotonic() - began < BACK_WITHIN_S, "PostgreSQL was not started again.")
        await asyncio.sleep(0.02)
    return time.monotonic() - began
