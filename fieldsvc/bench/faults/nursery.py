"""Starts the service again and again for a fraction of the price: what it imports is imported once, and each start is a fork.

`python -m fieldsvc.bench.faults.nursery`: each line in is JSON `{"out": FILE, "errors": FILE, "words": [...], "env": {...}}`,
each line out `started PID` or `ended PID STATUS`. What is forked runs the command line as any start of it does, in a
process of its own: it can be killed, frozen and starved alone.
"""

import asyncio
import contextlib
import importlib
import os
import random
import runpy
import signal
import sys
import threading
import traceback
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import orjson

from fieldsvc.bench.faults.children import REPOSITORY, Child, Children, require, until
from handlers.registry import discover

LOADED = ("fieldsvc.cli", "fieldsvc.serve", "uvloop")
LOOKS_EVERY_S, READY_WITHIN_S = 0.01, 120.0


@dataclass
class Nursery(Children):
    """Children of which `-m fieldsvc …` are forked; the folder takes what they say."""

    folder: Path = field(default_factory=Path)
    _home: Child | None = None
    _forked: dict[int, Child] = field(default_factory=dict)
    _births: "asyncio.Queue[int]" = field(default_factory=asyncio.Queue)
    _one: asyncio.Lock = field(default_factory=asyncio.Lock)
    _files: int = 0

    async def start(self, *args: str, env: dict[str, str] | None = None, errors: Path | None = None) -> Child:
        """Fork `-m fieldsvc …`; start anything else as a process of its own."""
        if args[:2] != ("-m", "fieldsvc"):
            return await super().start(*args, env=env, errors=errors)
        async with self._one:
            home = await self._opened()
            self._files += 1
            out = self.folder / f"said.{self._files}"
            out.touch()
            order = {"out": str(out), "errors": str(errors or os.devnull), "words": args[2:], "env": env or {}}
            await home.say(orjson.dumps(order).decode())
            pid = await asyncio.wait_for(self._births.get(), READY_WITHIN_S)
        child = Child(pid, asyncio.get_running_loop().create_future())
        self._forked[pid] = child
        self.started.append(child)
        self.reading.append(asyncio.create_task(_follow(out, child)))
        return child

    async def end(self) -> None:
        """Kill what still runs; the nursery goes last, as it tells of the others' end."""
        home, self._home = self._home, None
        if home is not None:
            self.started.remove(home)
            self.started.append(home)
        await super().end()

    async def _opened(self) -> Child:
        if self._home is None:
            self._home = await super().start("-m", "fieldsvc.bench.faults.nursery")
            require(await self._home.line(within_s=READY_WITHIN_S) == "ready", "The nursery did not open.")
            self.reading.append(asyncio.create_task(self._hear(self._home)))
        return self._home

    async def _hear(self, home: Child) -> None:
        while line := await home.lines.get():
            what, pid, *status = line.split()
            if what == "started":
                self._births.put_nowait(int(pid))
                continue
            await until(
                partial(self._forked.__contains__, int(pid)), within_s=READY_WITHIN_S, says="A birth was not noted."
            )
            self._forked.pop(int(pid)).status.set_result(int(status[0]))  # the number is given again
        for child in self._forked.values():
            if child.is_alive:
                child.status.set_result(-signal.SIGKILL)


async def _follow(out: Path, child: Child) -> None:
    """Take the lines of a file as they come, until the process that writes it has ended."""
    rest = b""
    with out.open("rb") as file:
        while True:
            is_last = not child.is_alive
            *lines, rest = (rest + file.read()).split(b"\n")
            for line in lines:
                child.lines.put_nowait(line.decode())
            if is_last:
                break
            await asyncio.sleep(LOOKS_EVERY_S)
    out.unlink()  # noqa: ASYNC240 - a small file
    child.lines.put_nowait("")


def main() -> None:
    """Load what a service is made of, and fork on demand until the line ends."""
    from fieldsvc.web.carrier import services_document  # noqa: PLC0415 - here alone
    from fieldsvc.web.pages.files import every_file  # noqa: PLC0415

    for name in LOADED:
        importlib.import_module(name)
    services_document(discover())
    every_file()
    _say("ready")
    while line := sys.stdin.buffer.readline():
        order = orjson.loads(line)
        pid = os.fork()
        if pid == 0:
            _become(order)
        _say(f"started {pid}")
        threading.Thread(target=_wait, args=(pid,), daemon=True).start()


def _wait(pid: int) -> None:
    _, status = os.waitpid(pid, 0)
    _say(f"ended {pid} {os.waitstatus_to_exitcode(status)}")


def _say(line: str) -> None:
    os.write(1, f"{line}\n".encode())


def _become(order: dict[str, Any]) -> NoReturn:
    """Be the service from here on: nothing is shared with the nursery but what was imported."""
    status = 70
    try:
        with contextlib.ExitStack() as stack:
            nothing = stack.enter_context(Path(os.devnull).open("rb"))
            out, errors = (stack.enter_context(Path(order[name]).open("ab")) for name in ("out", "errors"))
            for source, target in ((nothing, 0), (out, 1), (errors, 2)):
                os.dup2(source.fileno(), target)
        os.environ.update(order["env"])
        random.seed()
        status = _run(order["words"])
    except Exception:  # noqa: BLE001 - said where a service says what ends it
        traceback.print_exc()
    finally:
        os._exit(status)


def _run(words: list[str]) -> int:
    sys.argv = ["fieldsvc", *words]
    try:
        runpy.run_module("fieldsvc", run_name="__main__")
    except SystemExit as ended:
        return ended.code if isinstance(ended.code, int) else 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
    return 0


if __name__ == "__main__":
    os.chdir(REPOSITORY)
    main()
