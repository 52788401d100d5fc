"""What runs out: open files and memory of the service; and a service that is frozen while another works on."""

import asyncio
import contextlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random

from fieldsvc.bench.faults.surroundings import Surroundings, freeze, mean, open_files

KNOCKS, FREED_WITHIN_S = 50, 120.0


async def no_files(around: Surroundings, rng: Random) -> float:
    """Leave the service no further file to open, while phones connect anew."""
    pid = around.town.service.process.pid
    with lowered(pid, resource.RLIMIT_NOFILE, open_files(pid) + 1):
        around.town.proxy.drop()
        for _ in range(KNOCKS):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", around.town.service.port)
                writer.close()
        await mean(rng, 0.3, 1.5)
    return time.monotonic()


async def no_memory(around: Surroundings, rng: Random) -> float:
    """Leave the service almost no further memory for a while."""
    pid = around.town.service.process.pid
    with lowered(pid, resource.RLIMIT_AS, _address_space(pid) + 1024 * 1024):
        await mean(rng, 0.5, 1.5)
    if not around.town.service.is_alive:
        await around.town.service.start()
    return time.monotonic()


async def freeze_service(around: Surroundings, rng: Random) -> float:
    """Freeze the service, perhaps in a transaction, while another takes its phones; then let it go on."""
    town, other = around.town, await around.beside()
    freeze(town.service, on=True)
    try:
        town.proxy.port = other.port
        town.proxy.drop()
        took_s = await town.fleet.progress(within_s=FREED_WITHIN_S)
        await mean(rng, 0.0, 4.0)
    finally:
        freeze(town.service, on=False)
    await town.fleet.progress(within_s=FREED_WITHIN_S)
    town.proxy.port = town.service.port
    town.proxy.drop()
    return time.monotonic() - took_s


@contextlib.contextmanager
def lowered(pid: int, what: int, most: int) -> Iterator[None]:
    """Lower a limit of a process of ours, and give it back (Linux)."""
    before = resource.prlimit(pid, what)
    resource.prlimit(pid, what, (most, before[1]))
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            resource.prlimit(pid, what, before)


def _address_space(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * resource.getpagesize()
