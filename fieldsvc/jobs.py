"""What runs beside the requests: started again when it fails, and cancelled until it has ended."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from fieldsvc.logs import get_logger

log = get_logger()
CANCELLED_TIMES, CANCEL_AGAIN_S = 10, 0.5
Job = Callable[[], Awaitable[None]]
Jobs = dict[str, Job]  # by name


@asynccontextmanager
async def supervised(jobs: Mapping[str, Job]) -> AsyncIterator[None]:
    """Keep jobs running; at the end cancel them and wait."""
    running = [asyncio.create_task(_keep_running(name, job), name=name) for name, job in jobs.items()]
    try:
        yield
    finally:
        await ended(running)


async def ended(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel tasks until they have ended: a fault or a wake-up of the same moment can swallow a cancellation."""
    left = {task for task in tasks if not task.done()}
    for _ in range(CANCELLED_TIMES):
        if not left:
            return
        for task in left:
            task.cancel()
        _done, left = await asyncio.wait(left, timeout=CANCEL_AGAIN_S)
    log.error("job.stuck", type=", ".join(sorted(task.get_name() for task in left)))


async def running(jobs: Mapping[str, Job]) -> AsyncIterator[None]:
    """Keep jobs running as long as an application does (`cleanup_ctx`)."""
    async with supervised(jobs):
        yield


async def _keep_running(name: str, job: Job) -> None:
    """Start a job again, a second later, whenever it ends with a fault."""
    while True:
        try:
            await job()
        except Exception:
            log.exception("job.failed", type=name)
            await asyncio.sleep(1)
        else:
            return
