"""Processes of ours that are killed, frozen and starved: none outlives whoever started it."""

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from fieldsvc.errors import FieldsvcError
from fieldsvc.settings import without_settings

REPOSITORY = Path(__file__).parents[3]
STILL_S = 120.0  # without anything that moves, on a machine however busy: it stands still


class FaultFound(FieldsvcError):
    """Something did not stand a fault."""

    code = "fault_found"


def require(condition: object, says: str) -> None:
    """Go on only if so. FaultFound."""
    if not condition:
        raise FaultFound(says)


async def until(condition: Callable[[], object], *, within_s: float, says: str) -> None:
    """Look again and again until something holds. FaultFound when it never does."""
    end = time.monotonic() + within_s
    while not await _held(condition):
        require(time.monotonic() < end, says)
        await asyncio.sleep(0.01)


async def while_moving(
    condition: Callable[[], object], moved: Callable[[], object], *, says: Callable[[], str]
) -> None:
    """Look until something holds, however long it takes, as long as something moves. FaultFound when nothing does."""
    last, since = moved(), time.monotonic()
    while not await _held(condition):
        now = moved()
        if now != last:
            last, since = now, time.monotonic()
        if time.monotonic() - since > STILL_S:
            raise FaultFound(says())
        await asyncio.sleep(0.05)


async def _held(condition: Callable[[], object]) -> object:
    found = condition()
    return await found if isinstance(found, Awaitable) else found


@dataclass
class Child:
    """A process of ours, with lines out, and in where it was not forked."""

    pid: int
    status: "asyncio.Future[int]"
    lines: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    entry: asyncio.StreamWriter | None = None

    @property
    def is_alive(self) -> bool:
        return not self.status.done()

    async def line(self, *, within_s: float = 30.0) -> str:
        """Return the next line it wrote; an empty one when it has ended."""
        return await asyncio.wait_for(self.lines.get(), within_s)

    async def say(self, text: str = "") -> None:
        """Write a line to it."""
        if self.entry is not None:
            self.entry.write(text.encode() + b"\n")
            await self.entry.drain()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, by its own pid."""
        os.kill(self.pid, number)

    async def ended(self, *, within_s: float = 30.0) -> int:
        """Wait for its end; return its status, below nought for the signal that ended it."""
        return await asyncio.wait_for(asyncio.shield(self.status), within_s)

    async def read(self, source: asyncio.StreamReader) -> None:
        """Take its lines as they come."""
        while line := await source.readline():
            self.lines.put_nowait(line.decode().rstrip("\n"))
        self.lines.put_nowait("")


@dataclass
class Children:
    """Starts processes, and ends those that are left."""

    started: list[Child] = field(default_factory=list)
    reading: list["asyncio.Task[None]"] = field(default_factory=list)

    async def start(self, *args: str, env: dict[str, str] | None = None, errors: Path | None = None) -> Child:
        """Start `python args…` in the repository; `errors` takes what it writes to stderr."""
        with contextlib.ExitStack() as stack:
            stderr = stack.enter_context(errors.open("ab")) if errors else None
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=REPOSITORY,
                env={**without_settings(), **(env or {})},
            )
        child = Child(process.pid, asyncio.get_running_loop().create_future(), entry=process.stdin)
        self.started.append(child)
        self.reading.append(asyncio.create_task(_watch(child, process)))
        return child

    async def end(self) -> None:
        """Kill what still runs, and wait until every one is gone."""
        for child in self.started:
            if child.is_alive:
                with contextlib.suppress(ProcessLookupError):
                    child.signal(signal.SIGKILL)
            await child.ended()
            if child.entry is not None:
                child.entry.close()
        await asyncio.gather(*self.reading)


async def _watch(child: Child, process: asyncio.subprocess.Process) -> None:
    """Take the lines of a process, and note its end."""
    reading = asyncio.create_task(child.read(process.stdout)) if process.stdout else None
    child.status.set_result(await process.wait())
    if reading is not None:
        await reading
