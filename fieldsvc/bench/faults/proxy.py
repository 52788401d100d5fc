"""A TCP proxy on loopback that cuts connections at a moment of one's choice, or makes bad weather for all of them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto
from random import Random

CHUNK = 65_536
COMMIT = b"Q\x00\x00\x00\x0bcommit\x00"


class Cut(Enum):
    """When to cut: what the client sent has not gone on, has just gone on, or was answered and the answer is kept back."""

    BEFORE = auto()
    FORWARDED = auto()
    ANSWERED = auto()


@dataclass
class Weather:
    """What befalls every connection: a wait before each piece, a bandwidth (0: none), a share of triggers that are cut."""

    delay_s: float = 0.0
    bytes_per_s: float = 0.0
    cut_share: float = 0.0
    cut: Cut = Cut.ANSWERED
    is_shut: bool = False


@dataclass
class Proxy:
    """Pass bytes on. Once armed, cut the connection on which `trigger` is sent next.

    `meanwhile` runs when the server's side of that connection is closed and the client's is not yet.
    """

    host: str
    port: int
    trigger: bytes = COMMIT
    seed: int = 1
    cuts: int = 0
    weather: Weather = field(default_factory=Weather)
    _armed: Cut | None = None
    _meanwhile: Callable[[], Awaitable[None]] | None = None
    _passing: set["Passing"] = field(default_factory=set)
    _open: set["asyncio.Task[None]"] = field(default_factory=set)
    _rng: Random = field(init=False)

    def __post_init__(self) -> None:
        self._rng = Random(self.seed)  # noqa: S311 - a seed replays it

    def arm(self, when: Cut, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cut once more."""
        self._armed, self._meanwhile = when, meanwhile

    def swallow(self) -> int:
        """Pass nothing on any more on the connections that are open now, and close none; return how many they are."""
        for each in self._passing:
            each.swallows = True
        return len(self._passing)

    def drop(self) -> int:
        """Cut every connection that is open now; return how many they were."""
        for each in self._passing:
            each.over.set()
        return len(self._passing)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a free port of loopback; give the port."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, backlog=4096)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            self.drop()
            if self._open:
                await asyncio.wait(self._open, timeout=5)
            await server.wait_closed()

    async def _connected(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if task is not None:
            self._open.add(task)
            task.add_done_callback(self._open.discard)
        try:
            if not self.weather.is_shut:
                await self._pass(from_client, to_client)
        finally:
            await _closed(to_client)

    async def _pass(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            from_server, to_server = await asyncio.open_connection(self.host, self.port)
            passing = Passing(self)
            self._passing.add(passing)
            ends = [
                asyncio.create_task(passing.requests(from_client, to_server)),
                asyncio.create_task(passing.answers(from_server, to_client)),
                asyncio.create_task(passing.ended()),
            ]
            try:
                await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
            finally:
                self._passing.discard(passing)
                for end in ends:
                    end.cancel()
                await asyncio.gather(*ends, return_exceptions=True)
                await _closed(to_server)
            if passing.was_cut and self._meanwhile is not None:
                meanwhile, self._meanwhile = self._meanwhile, None
                await meanwhile()

    def take(self, data: bytes) -> Cut | None:
        """Tell whether and when the connection on which this was sent is cut."""
        if self.trigger not in data:
            return None
        cut, self._armed = self._armed, None
        if cut is None and self.weather.cut_share and self._rng.random() < self.weather.cut_share:
            cut = self.weather.cut
        self.cuts += cut is not None
        return cut


@dataclass(eq=False)
class Passing:
    """One connection through the proxy; it ends when either direction does."""

    proxy: Proxy
    was_cut: bool = False
    keeps_back: bool = False
    swallows: bool = False
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def ended(self) -> None:
        """Wait until somebody cuts it."""
        await self.over.wait()

    async def requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, as far as the cut lets it."""
        while data := await _read(source):
            cut = self.proxy.take(data)
            self.was_cut = self.was_cut or cut is not None
            self.keeps_back = self.was_cut
            if cut is Cut.BEFORE:
                return
            await self._write(data, target)
            if cut is Cut.FORWARDED:
                return

    async def answers(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass on what the server answers, until an answer is to be kept back."""
        while data := await _read(source):
            if self.keeps_back:
                return
            await self._write(data, target)

    async def _write(self, data: bytes, target: asyncio.StreamWriter) -> None:
        weather = self.proxy.weather
        if weather.delay_s:
            await asyncio.sleep(weather.delay_s)
        if weather.bytes_per_s:
            await asyncio.sleep(len(data) / weather.bytes_per_s)
        if self.swallows:
            return
        target.write(data)
        await target.drain()


async def _read(source: asyncio.StreamReader) -> bytes:
    try:
        return await source.read(CHUNK)
    except OSError:
        return b""


async def _closed(stream: asyncio.StreamWriter) -> None:
    stream.close()
    with contextlib.suppress(OSError):
        await stream.wait_closed()
