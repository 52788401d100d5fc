"""The sender in virtual time: a real database, real dispatchers, days of schedules in seconds, and the same run for each seed.

The loop's clock stands still while a query is under way, and jumps to the next timer when none is. The modules of the sender
and `now()` in the database read that clock. Receivers are functions, with latencies of the same clock.
"""

import asyncio
import contextlib
import selectors
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from types import ModuleType, SimpleNamespace
from typing import Any, Self
from uuid import UUID

import asyncpg

from fieldsvc.journal.reader import START, Reader, Ring, Tail
from fieldsvc.journal.sealed import Vault
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing.dispatcher import Dispatcher, Pace
from fieldsvc.publishing.webhooks import Outcome
from fieldsvc.store.database import Database, connect, open_database
from tests.faults.publishing.oracle import Event, Reception, Verdict, receptions, settled
from tests.faults.publishing.scene import Pen, add_endpoint, books, ready, settings_of

STUCK_S = 60.0
CLOCK_OF = ("fieldsvc.publishing", "fieldsvc.store")
CLOCK = """
create schema virtual;
create function virtual.now() returns timestamptz language sql stable as $$ select current_setting('virtual.now')::timestamptz $$;
"""
SET_CLOCK = "select set_config('virtual.now', $1, false)"


class Loop(asyncio.SelectorEventLoop):
    """A loop whose clock only jumps; `busy` counts queries under way."""

    def __init__(self) -> None:
        self.at = 0.0
        self.busy = 0
        super().__init__(_Selector(self))

    def time(self) -> float:
        return self.at


class _Selector(selectors.DefaultSelector):
    def __init__(self, loop: Loop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        found = super().select(0)
        if found or (timeout is not None and timeout <= 0):
            return found
        if timeout is None or self._loop.busy:
            found = super().select(STUCK_S)
            assert found, "a query never ended, or nothing was left to wait for"
            return found
        self._loop.at += timeout
        return []


class Clock:
    """The moments of a loop."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._began = datetime.now(UTC).replace(hour=6, minute=0, second=0, microsecond=0)

    def now(self, zone: tzinfo | None = None) -> datetime:
        return (self._began + timedelta(seconds=self._loop.at)).astimezone(zone or UTC)

    def monotonic(self) -> float:
        return self._loop.at

    @property
    def seconds(self) -> float:
        return self._loop.at

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let the modules of the sender read this clock."""
        clock = self

        class Datetime(datetime):
            @classmethod
            def now(cls, tz: tzinfo | None = None) -> Self:
                return clock.now(tz)  # type: ignore[return-value]

        stopwatch = SimpleNamespace(monotonic=self.monotonic, time=lambda: clock.now().timestamp())
        kept: list[tuple[ModuleType, str, Any]] = []
        for name, module in list(sys.modules.items()):
            if name.startswith(CLOCK_OF):
                for known, ours in (("datetime", Datetime), ("time", stopwatch)):
                    if vars(module).get(known) in (datetime, time):
                        kept.append((module, known, vars(module)[known]))
                        setattr(module, known, ours)
        try:
            yield
        finally:
            for module, known, was in kept:
                setattr(module, known, was)


class Timed(Database):
    """The database, with the clock; a loop does not move while one of its connections is borrowed."""

    def __init__(self, database: Database, clock: Clock, loop: Loop) -> None:
        super().__init__(database.pool, database.url)
        self._clock = clock
        self._loop = loop
        self._free: list[tuple[float, asyncpg.Connection]] = []

    @asynccontextmanager
    async def acquire(self) -> AsyncIterator[asyncpg.Connection]:
        self._loop.busy += 1
        at, connection = self._free.pop() if self._free else (-1.0, await self._connect())
        try:
            if at != self._clock.seconds:
                at = self._clock.seconds
                await connection.fetchval(SET_CLOCK, self._clock.now().isoformat())
            yield connection
        finally:
            self._free.append((at, connection))
            self._loop.busy -= 1

    async def _connect(self) -> asyncpg.Connection:
        return await connect(self.url, search_path="virtual, pg_catalog, public")

    async def close(self) -> None:
        while self._free:
            await self._free.pop()[1].close()


class Paper(Tail):
    """The tail, told of commits instead of listening for them."""

    def __init__(self, reader: Reader) -> None:
        async def never() -> asyncpg.Connection:
            raise AssertionError

        super().__init__(reader, never)
        self._rings = {shard: Ring(START, START) for shard in range(SHARDS)}

    async def told(self) -> None:
        if await self._read():
            self._announce()


Answer = Callable[["Post", Event], Outcome | int | None]


@dataclass
class Post:
    """A receiver as a function: what it got, how it answers, and how long it takes.

    None: no answer in 15 seconds. A request with an event of `refuses` is refused.
    """

    clock: Clock
    answer: Answer = lambda _post, _event: 204
    takes_s: Callable[[], float] = lambda: 0.01
    refuses: set[str] = field(default_factory=set)
    endpoint: str = ""
    got: list[Reception] = field(default_factory=list)
    open: Counter[str] = field(default_factory=Counter)
    most_open: int = 0

    @property
    def acknowledged(self) -> set[str]:
        return {each.event.id for each in self.got if each.acknowledged}

    async def take(self, message_id: str, body: bytes) -> Outcome:
        heard = receptions(message_id, body, acknowledged=False, at=self.clock.seconds)
        at, began = self.clock.now(), self.clock.seconds
        bad = any(each.event.id in self.refuses for each in heard)
        answer = 422 if bad else self.answer(self, heard[0].event)
        answer = Outcome(at, 15_000, error="timeout") if answer is None else answer
        if isinstance(answer, int):
            answer = Outcome(at, 1, status=answer)
        self.got += receptions(message_id, body, acknowledged=answer.status in range(200, 300), at=began)
        await self.waited(answer)
        return answer

    async def waited(self, answer: Outcome) -> None:
        self.open["all"] += 1
        self.most_open = max(self.most_open, self.open["all"])
        try:
            await asyncio.sleep(answer.ms / 1000 if answer.error == "timeout" else self.takes_s())
        finally:
            self.open["all"] -= 1


class Posts:
    """A sender that goes to functions: URL -> receiver."""

    def __init__(self) -> None:
        self.posts: dict[str, Post] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def send(self, url: str, message_id: str, *, body: bytes, **_more: Any) -> Outcome:
        return await self.posts[url].take(message_id, body)


@dataclass
class World:
    """A database, a pen, receivers and dispatchers under one clock."""

    loop: Loop
    clock: Clock
    database: Timed
    vault: Vault
    pen: Pen
    tail: Paper
    posts: Posts = field(default_factory=Posts)
    schedule: tuple[float, ...] = (0, 0.05, 0.1, 0.2)
    pace: Pace = field(default_factory=Pace)
    crashes: int = 0
    running: dict[UUID, "asyncio.Task[None]"] = field(default_factory=dict)

    async def say(self, *subjects: str) -> list[str]:
        """Commit events, and let the readers know."""
        self.loop.busy += 1
        try:
            names = await self.pen.say(*subjects)
        finally:
            self.loop.busy -= 1
        await self.tail.told()
        return names

    async def endpoint(self, answer: Answer | None = None, **columns: Any) -> Post:
        """Make an endpoint with its receiver."""
        post = Post(self.clock, answer or (lambda _post, _event: 204))
        url = f"https://hooks-{len(self.posts.posts)}.example.com/"
        self.posts.posts[url] = post
        post.endpoint = await add_endpoint(self.database, self.vault, url, **columns)
        return post

    def begin(self) -> Dispatcher:
        """Start a dispatcher."""
        settings = settings_of(*self.schedule)
        dispatcher = Dispatcher(
            self.database, self.tail, vault=self.vault, settings=settings, sender=self.posts, pace=self.pace  # type: ignore[arg-type]
        )  # fmt: skip
        self.running[dispatcher.owner] = asyncio.create_task(dispatcher.run())
        return dispatcher

    async def crash(self, dispatcher: Dispatcher) -> None:
        """End a dispatcher where it stands, between two queries."""
        while self.loop.busy:  # noqa: ASYNC110 - a counter, and a clock that only jumps
            await asyncio.sleep(0.001)
        self.crashes += 1
        await _ended(self.running.pop(dispatcher.owner))

    async def until(self, condition: Callable[[], bool | Awaitable[bool]], *, within_s: float = 600.0) -> None:
        """Let time go on until something holds; False after a deadline of this clock."""
        deadline = self.clock.seconds + within_s
        while True:
            found = condition()
            if await found if isinstance(found, Awaitable) else found:
                return
            if self.clock.seconds > deadline:
                raise Stalled
            await asyncio.sleep(within_s / 600)

    async def fetch(self, statement: str, *values: Any) -> Sequence[asyncpg.Record]:
        async with self.database.acquire() as connection:
            return await connection.fetch(statement, *values)

    async def verdict(self, post: Post, *, again: int) -> Verdict:
        """Judge one endpoint at the end of a run in which everything was to arrive."""
        found = await books(self.database, post.endpoint)
        return settled(found.events, post.got, found.records, again=again)


class Stalled(AssertionError):
    """What was waited for never came."""


async def _ended(job: "asyncio.Task[None]") -> None:
    job.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await job


@asynccontextmanager
async def world(url: str, loop: Loop) -> AsyncIterator[World]:
    """Open a world on a migrated database."""
    clock = Clock(loop)
    loop.busy += 1  # the clock stands still until all is there, and again when it ends
    opened, pen = await open_database(url, size=1), Pen(url)
    database = Timed(opened, clock, loop)
    try:
        async with opened.acquire() as connection:
            await connection.execute(CLOCK)
        made = World(loop, clock, database, await ready(database), pen, Paper(Reader(database)))
        loop.busy -= 1
        with clock.everywhere():
            try:
                yield made
            finally:
                for job in made.running.values():
                    await _ended(job)
                loop.busy += 1
    finally:
        await database.close()
        await pen.close()
        await opened.pool.execute("drop schema if exists virtual cascade")
        await opened.close()


def play(url: str, act: Callable[[World], Awaitable[Any]]) -> Any:
    """Run something in a world of its own, and return what it returns."""
    loop = Loop()

    async def acted() -> Any:
        async with world(url, loop) as made:
            return await act(made)

    try:
        return loop.run_until_complete(acted())
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
