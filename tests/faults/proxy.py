"""A TCP proxy on loopback that cuts connections at a moment of the test's choice."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from enum import Enum, auto

CHUNK = 65_536
COMMIT = b"Q\x00\x00\x00\x0bcommit\x00"


class Cut(Enum):
    """When to cut: what the client sent has not gone on, has just gone on, or was answered and the answer is kept back."""

    BEFORE = auto()
    FORWARDED = auto()
    ANSWERED = auto()


@dataclass
class Proxy:
    """Pass bytes on. Once armed, cut the connection on which `trigger` is sent next.

    `meanwhile` runs when the server's side of that connection is closed and the client's is not yet.
    """

    host: str
    port: int
    trigger: bytes = COMMIT
    cuts: int = 0
    _armed: Cut | None = None
    _meanwhile: Callable[[], Awaitable[None]] | None = None
    _open: set["asyncio.Task[None]"] = field(default_factory=set)

    def arm(self, when: Cut, *, meanwhile: Callable[[], Awaitable[None]] | None = None) -> None:
        """Cut once more."""
        self._armed, self._meanwhile = when, meanwhile

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listen on a free port of loopback; give the port."""
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            if self._open:
                _done, left = await asyncio.wait(self._open, timeout=5)
                assert not left, "a client is still connected"
            await server.wait_closed()

    async def _connected(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        task.add_done_callback(self._open.discard)
        try:
            await self._pass(from_client, to_client)
        finally:
            await _closed(to_client)

    async def _pass(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            from_server, to_server = await asyncio.open_connection(self.host, self.port)
            passing = Passing(self)
            pumps = [
                asyncio.create_task(passing.requests(from_client, to_server)),
                asyncio.create_task(passing.answers(from_server, to_client)),
            ]
            try:
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for pump in pumps:
                    pump.cancel()
                await asyncio.gather(*pumps, return_exceptions=True)
                await _closed(to_server)
            if passing.was_cut and self._meanwhile is not None:
                meanwhile, self._meanwhile = self._meanwhile, None
                await meanwhile()

    def _take(self, data: bytes) -> Cut | None:
        if self._armed is None or self.trigger not in data:
            return None
        cut, self._armed = self._armed, None
        self.cuts += 1
        return cut


@dataclass
class Passing:
    """One connection through the proxy; it ends when either direction does."""

    proxy: Proxy
    was_cut: bool = False
    keeps_back: bool = False

    async def requests(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass on what the client sends, as far as the cut lets it."""
        while data := await _read(source):
            cut = self.proxy._take(data)
            self.was_cut = self.was_cut or cut is not None
            self.keeps_back = self.was_cut
            if cut is Cut.BEFORE:
                return
            target.write(data)
            await target.drain()
            if cut is Cut.FORWARDED:
                return

    async def answers(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        """Pass on what the server answers, until an answer is to be kept back."""
        while data := await _read(source):
            if self.keeps_back:
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
