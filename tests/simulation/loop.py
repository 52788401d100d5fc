"""A seeded event loop: virtual time, a chosen order of what is ready, and machines that stop, go on or die at any moment.

The product's own code runs on it unchanged. What would differ from run to run is taken from the seed instead: which of the ready
callbacks goes next, the clocks, random numbers and ids. So one seed is one schedule, and the same seed is the same schedule again.
"""

import asyncio
import contextlib
import hashlib
import heapq
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextvars import Context, ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import Any
from unittest import mock
from uuid import UUID

from fieldsvc import ids
from fieldsvc.journal import commands, reader, sealed, timers
from fieldsvc.publishing import dispatcher, following, lane, taking
from fieldsvc.store import attempts

START = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
MOST_STEPS = 15_000
POLL_S = 8.0  # the tail's own poll; what wakes it before is what is tried here
MACHINE: ContextVar["Machine | None"] = ContextVar("machine", default=None)


class Violation(AssertionError):
    """Something that may never happen did."""


class Stuck(Violation):
    """Nothing can go on, or everything goes on for ever."""


def check(holds: object, what: str) -> None:
    """Say what was broken, if it does not hold."""
    if not holds:
        fault = Violation(what)
        if _now is not None:
            _now.broken.append(fault)  # whoever catches it on its way
        raise fault


@dataclass(eq=False)
class Machine:
    """A process: its clock, and whether it runs, stands still or is dead. What it had begun stays where it was."""

    name: str
    skew: timedelta = timedelta()
    alive: bool = True
    paused: bool = False
    held: list[asyncio.Handle] = field(default_factory=list)

    def start(self, work: Coroutine[Any, Any, Any]) -> "asyncio.Task[Any]":
        """Run something as this process."""
        context = Context()
        context.run(MACHINE.set, self)
        return asyncio.get_running_loop().create_task(work, context=context)


class _Task(asyncio.Task[Any]):
    """A task whose place in a set does not depend on its address."""

    __numbers = count()

    def __init__(self, *given: Any, **named: Any) -> None:
        self._number = next(_Task.__numbers)
        super().__init__(*given, **named)

    def __hash__(self) -> int:
        return self._number

    @classmethod
    def begin(cls) -> None:
        cls.__numbers = count()


class SeededLoop(asyncio.BaseEventLoop):
    """Runs one ready callback at a time, which one being the seed's choice; when none is ready, time jumps to the next timer."""

    def __init__(self, random: Random) -> None:
        super().__init__()
        self._ready: list[asyncio.Handle] = []  # type: ignore[assignment]
        self._random = random
        self._now = 0.0
        self._steps = 0
        self._disorder = random.choice((0.05, 0.3, 1.0))
        self.faults: list[BaseException] = []
        _Task.begin()
        self.set_task_factory(lambda loop, work, **more: _Task(work, loop=loop, **more))  # type: ignore[arg-type]
        self.set_exception_handler(self._note)

    def time(self) -> float:
        return self._now

    def _note(self, _loop: Any, context: dict[str, Any]) -> None:
        if isinstance(fault := context.get("exception"), Exception):
            self.faults.append(fault)

    def _run_once(self) -> None:
        ready, scheduled = self._ready, self._scheduled  # type: ignore[attr-defined]
        self._steps += 1
        if self._steps > MOST_STEPS:
            raise Stuck("it goes on for ever")
        if not ready:
            while scheduled and scheduled[0]._cancelled:
                heapq.heappop(scheduled)._scheduled = False
            if not scheduled:
                raise Stuck("nothing is left that could wake what waits")
            self._now = max(self._now, scheduled[0]._when)
        while scheduled and scheduled[0]._when <= self._now:
            handle = heapq.heappop(scheduled)
            handle._scheduled = False
            ready.append(handle)
        some = len(ready) > 1 and self._random.random() < self._disorder
        handle = ready.pop(int(self._random.random() * len(ready)) if some else 0)
        if handle._cancelled:
            return
        if _now is not None and _now.broken:
            raise _now.broken[0]
        machine = handle._context.get(MACHINE)
        if machine is None or not (machine.paused or not machine.alive):
            handle._run()
        else:
            machine.held.append(handle)

    def _write_to_self(self) -> None:
        """Nothing sleeps here."""

    def resume(self, machine: Machine) -> None:
        """Let a machine that stood still go on."""
        machine.paused = False
        self._ready += machine.held
        machine.held.clear()

    def later(self, delay_s: float, act: Callable[[], None]) -> None:
        """Do something later that belongs to no machine."""
        self.call_later(delay_s, act, context=Context())


class Schedule:
    """One run: its seed's random numbers, its loop, and the trace of what was seen from outside."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.loop = SeededLoop(Random(seed ^ 0x5EED))
        self._noise = Random(seed ^ 0x1D)
        self._trace = hashlib.blake2b(digest_size=16)
        self.broken: list[Violation] = []
        self.calm = False  # from then on nothing more goes wrong

    def note(self, *said: object) -> None:
        """Add to the trace."""
        self._trace.update(f"{self.loop.time():.6f} {said}\n".encode())

    @property
    def trace(self) -> str:
        """The digest of everything noted."""
        return self._trace.hexdigest()

    def chance(self, share: float) -> bool:
        """Whether something happens that happens in this share of cases."""
        return self.random.random() < share

    def goes_wrong(self, share: float) -> bool:
        """Whether something goes wrong now; never once it is calm."""
        return not self.calm and self.random.random() < share

    def now(self, machine: Machine | None = None) -> datetime:
        """The time, as a machine's clock has it."""
        return START + timedelta(seconds=self.loop.time()) + (machine.skew if machine else timedelta())

    def noise(self, size: int) -> bytes:
        """Bytes that nobody could guess."""
        return self._noise.randbytes(size)

    def run(self, main: Coroutine[Any, Any, None]) -> str:
        """Run to the end, and give the trace. Violation where a rule was broken."""
        global _now  # noqa: PLW0603 - the patched clocks have no other way to ask
        _now = self
        try:
            self.loop.run_until_complete(main)
            for fault in (*self.broken, *self.loop.faults):
                raise fault
        finally:
            self._clean_up()
        return self.trace

    def _clean_up(self) -> None:
        """End what is left, without effect: everything that it could reach is closed by then."""
        asyncio._set_running_loop(self.loop)
        for task in asyncio.all_tasks(self.loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]
            with contextlib.suppress(BaseException):
                for _ in range(20):  # what it still awaits while it ends, ends too
                    task.get_coro().throw(Ended())  # type: ignore[union-attr]
        asyncio._set_running_loop(None)
        self.loop._ready.clear()
        self.loop._scheduled.clear()  # type: ignore[attr-defined]
        self.loop.close()


class Ended(BaseException):
    """Thrown into what is left of a schedule."""


_now: Schedule | None = None


def current() -> Schedule:
    """The schedule that runs."""
    assert _now is not None
    return _now


class _Datetime(datetime):
    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return current().now(MACHINE.get()).astimezone(tz)


def _monotonic() -> float:
    return current().loop.time()


def _noise(size: int) -> bytes:
    return current().noise(size)


def _chance() -> float:
    return current().random.random()


def _uuid4() -> UUID:
    return UUID(bytes=current().noise(16), version=4)


@contextlib.contextmanager
def simulated() -> Iterator[None]:
    """Take clocks, random numbers and ids from the schedule that runs."""
    clock = SimpleNamespace(
        monotonic=_monotonic,
        time_ns=lambda: int(current().now(MACHINE.get()).timestamp() * 1e6) * 1000,
    )
    chance = SimpleNamespace(urandom=_noise)
    with contextlib.ExitStack() as stack:
        for module in (commands, timers, dispatcher, following, lane, taking, attempts):
            stack.enter_context(mock.patch.object(module, "datetime", _Datetime))
        for module in (dispatcher, lane, taking, ids):
            stack.enter_context(mock.patch.object(module, "time", clock))
        for module in (ids, sealed):
            stack.enter_context(mock.patch.object(module, "os", chance))
        for module in (sealed, dispatcher):
            stack.enter_context(mock.patch.object(module, "uuid4", _uuid4))
        stack.enter_context(mock.patch.object(following, "random", _chance))
        stack.enter_context(mock.patch.object(reader, "POLL_S", POLL_S))
        stack.enter_context(mock.patch.object(timers, "LONGEST_WAIT_S", POLL_S))
        stack.enter_context(mock.patch.object(lane.Flight, "__hash__", lambda each: zlib.crc32(each.subject.encode())))
        yield
