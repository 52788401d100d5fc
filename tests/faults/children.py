"""Processes that a test starts: none outlives it."""

import asyncio
import contextlib
import os
import signal
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

REPOSITORY = Path(__file__).parents[2]


@dataclass
class Child:
    """A process of ours, with lines in and out."""

    process: asyncio.subprocess.Process
    lines: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)
    reading: "asyncio.Task[None] | None" = None

    async def line(self, *, within_s: float = 30.0) -> str:
        """Return the next line it wrote; an empty one when it has ended."""
        return await asyncio.wait_for(self.lines.get(), within_s)

    async def say(self, text: str = "") -> None:
        """Write a line to it."""
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() + b"\n")
        await self.process.stdin.drain()

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal, by its own pid."""
        os.kill(self.process.pid, number)

    async def ended(self, *, within_s: float = 30.0) -> int:
        """Wait for its end; return its status."""
        return await asyncio.wait_for(self.process.wait(), within_s)

    async def read(self) -> None:
        """Take its lines as they come."""
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            self.lines.put_nowait(line.decode().rstrip("\n"))
        self.lines.put_nowait("")


@dataclass
class Children:
    """Starts processes, and ends those that are left."""

    started: list[Child] = field(default_factory=list)

    async def start(self, *args: str, env: dict[str, str] | None = None, errors: Path | None = None) -> Child:
        """Start `python args…` in the repository; `errors` takes what it writes to stderr."""
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("FIELDSVC_")}
        with contextlib.ExitStack() as stack:
            stderr = stack.enter_context(errors.open("ab")) if errors else None
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *args,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=stderr,
                cwd=REPOSITORY,
                env={**inherited, **(env or {})},
            )
        child = Child(process)
        child.reading = asyncio.create_task(child.read())
        self.started.append(child)
        return child

    async def worker(self, **order: Any) -> Child:
        """Start a writer process and wait until it is ready."""
        child = await self.start("-m", "tests.faults.worker", orjson.dumps(order).decode())
        assert await child.line() == "ready"
        return child

    async def end(self) -> None:
        """Kill what still runs, and see every one gone."""
        for child in self.started:
            if child.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    child.signal(signal.SIGKILL)
            await child.ended()
            if child.reading is not None:
                await child.reading
            if child.process.stdin is not None:
                child.process.stdin.close()
        for child in self.started:
            with contextlib.suppress(ProcessLookupError):
                os.kill(child.process.pid, 0)
                raise AssertionError(f"process {child.process.pid} is still there")
