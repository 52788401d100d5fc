"""HTTP/1.1 for one purpose: post a body to a subscriber's endpoint, and read little of what it says.

A webhook needs no cookies, redirects, proxies, compression or streams, and a general client spends most of its time on them
(figures in docs/decisions.md). The parser is llhttp, through httptools; addresses are raced by aiohappyeyeballs, through the
socket factory that guards where webhooks may go. Whatever the other side does, an exchange ends in bounded time and memory:
heads of at most 16 KiB, a few 1xx answers, 4 KiB of a body with little around it, and one clock for all of it.
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache

import aiohappyeyeballs
from aiohttp.abc import AbstractResolver
from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser
from yarl import URL

from fieldsvc.publishing.addresses import AddressInfo, AddressRefused, SocketFactory

HEAD_BYTES, BODY_BYTES, BODY_KEPT, INTERIM_ANSWERS = 16_384, 65_536, 4_096, 8
FIRST_FINAL = 200
IDLE_S, RACE_S = 10.0, 0.25


class PostFault(OSError):
    """No answer came; `kind` says why: dns, connect, tls, reset, timeout or protocol."""

    def __init__(self, kind: str) -> None:
        super().__init__(kind)
        self.kind = kind


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an exchange may take, in seconds: to connect, in all, and for a body once its head is there."""

    connect_s: float = 5.0
    total_s: float = 15.0
    body_s: float = 2.0


@dataclass(slots=True)
class Answer:
    """What was said: status, the headers by lower-case name (the last of each), and the first 4 KiB of the body."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


@dataclass(frozen=True, slots=True)
class Target:
    """Where to post: the place to connect to, and the head that every request there begins with."""

    host: str
    port: int
    tls: bool
    head: bytes


def target_of(url: URL, headers: Mapping[str, str]) -> Target:
    """Prepare a target; ValueError for a header that could end its line."""
    host, port = url.raw_host, url.port
    if host is None or port is None:
        raise ValueError("no host")
    shown = f"[{host}]" if ":" in host else host
    named = shown if url.is_default_port() else f"{shown}:{port}"
    lines = [f"POST {url.raw_path_qs or '/'} HTTP/1.1", f"Host: {named}"]
    return Target(host, port, url.scheme == "https", b"".join([_line(each) for each in lines] + [lines_of(headers)]))


def lines_of(headers: Mapping[str, str]) -> bytes:
    """Write header lines; ValueError for one that could end its line."""
    return b"".join([_line(f"{name}: {value}") for name, value in headers.items()])


def _line(text: str) -> bytes:
    if "\r" in text or "\n" in text or "\0" in text:
        raise ValueError("a header ends its line")
    return text.encode("latin-1") + b"\r\n"


class Poster:
    """Connections to endpoints, kept open for the next body until `close`."""

    def __init__(
        self,
        sockets: SocketFactory,
        *,
        resolver: AbstractResolver,
        patience: Patience,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`sockets` opens the socket of an address, or refuses it."""
        self._sockets = sockets
        self._resolver = resolver
        self._patience = patience
        self._tls = tls or usual_tls()
        self._idle: dict[tuple[str, int, bool], deque[_Wire]] = {}
        self._wires: set[_Wire] = set()
        self._next_sweep: asyncio.TimerHandle | None = None

    async def close(self) -> None:
        """Let every connection go."""
        if self._next_sweep is not None:
            self._next_sweep.cancel()
        for wire in list(self._wires):
            wire.close()
        await asyncio.sleep(0)  # for the connections to hear of it
        await self._resolver.close()

    async def post(self, target: Target, lines: bytes, body: bytes) -> Answer:
        """Post a body under more header lines; PostFault when no answer came, and what the socket factory raises."""
        ends_at = asyncio.get_running_loop().time() + self._patience.total_s
        wire = self._kept(target)
        if wire is None:
            wire = await self._connected(target)
        try:
            answer = await wire.exchange(
                b"%s%sContent-Length: %d\r\n\r\n" % (target.head, lines, len(body)),
                body,
                ends_at=ends_at,
                body_s=self._patience.body_s,
            )
        except BaseException:
            wire.close()
            raise
        self._keep(target, wire)
        return answer

    def _kept(self, target: Target) -> "_Wire | None":
        waiting = self._idle.get((target.host, target.port, target.tls))
        while waiting:
            wire = waiting.pop()
            if wire.is_usable and asyncio.get_running_loop().time() - wire.idle_since < IDLE_S:
                return wire
            wire.close()
        return None

    def _keep(self, target: Target, wire: "_Wire") -> None:
        if not wire.is_usable:
            wire.close()
            return
        loop = asyncio.get_running_loop()
        wire.idle_since = loop.time()
        self._idle.setdefault((target.host, target.port, target.tls), deque()).append(wire)
        if self._next_sweep is None:
            self._next_sweep = loop.call_later(IDLE_S, self._sweep)

    def _sweep(self) -> None:
        """Close what nobody used for ten seconds, the oldest of each place first."""
        loop = asyncio.get_running_loop()
        for place, waiting in list(self._idle.items()):
            while waiting and (not waiting[0].is_usable or loop.time() - waiting[0].idle_since >= IDLE_S):
                waiting.popleft().close()
            if not waiting:
                del self._idle[place]
        self._next_sweep = loop.call_later(IDLE_S, self._sweep) if self._idle else None

    async def _connected(self, target: Target) -> "_Wire":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self._patience.connect_s):
                infos = await self._addresses(target)
                made = await aiohappyeyeballs.start_connection(
                    infos, happy_eyeballs_delay=RACE_S, interleave=1, socket_factory=self._sockets, loop=loop
                )
                return await self._greeted(made, target)
        except (PostFault, AddressRefused):
            raise
        except OSError:
            raise PostFault("connect") from None

    async def _addresses(self, target: Target) -> Sequence[AddressInfo]:
        with contextlib.suppress(ValueError):  # a resolver is not asked about an address
            literal = ipaddress.ip_address(target.host)
            return [_info(socket.AF_INET if literal.version == 4 else socket.AF_INET6, target.host, target.port)]
        try:
            found = await self._resolver.resolve(target.host, target.port, family=socket.AF_UNSPEC)
        except OSError:
            found = []
        if not found:
            raise PostFault("dns")
        return [_info(each["family"], each["host"], each["port"]) for each in found]

    async def _greeted(self, made: socket.socket, target: Target) -> "_Wire":
        loop = asyncio.get_running_loop()
        try:
            _, wire = await loop.create_connection(
                lambda: _Wire(self._wires),
                sock=made,
                ssl=self._tls if target.tls else None,
                server_hostname=target.host if target.tls else None,
            )
        except (ssl.SSLError, ssl.CertificateError):
            made.close()
            raise PostFault("tls") from None
        except BaseException:
            made.close()
            raise
        return wire


@cache
def usual_tls() -> ssl.SSLContext:
    """Load the machine's certificates, once: it takes tens of milliseconds."""
    made = ssl.create_default_context()
    made.set_alpn_protocols(["http/1.1"])
    return made


def _info(family: int, host: str, port: int) -> AddressInfo:
    place = (host, port, 0, 0) if family == socket.AF_INET6 else (host, port)
    return family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", place


class _Wire(asyncio.Protocol):
    """One connection: an exchange at a time."""

    def __init__(self, wires: "set[_Wire]") -> None:
        self.idle_since = 0.0
        self._wires = wires
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._parser: HttpResponseParser | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._answer = Answer()
        self._clock: asyncio.TimerHandle | None = None
        self._body_s = 0.0
        self._bytes = self._interim = 0
        self._has_head = self._is_whole = self._is_spoilt = self._hurried = False

    @property
    def is_usable(self) -> bool:
        """Whether another request may follow."""
        return self._transport is not None and not self._is_spoilt and not self._transport.is_closing()

    async def exchange(self, head: bytes, body: bytes, *, ends_at: float, body_s: float) -> Answer:
        """Send a request and wait for its answer."""
        if self._transport is None:
            raise PostFault("reset")
        self._parser, self._answer, self._body_s = HttpResponseParser(self), Answer(), body_s
        self._bytes = self._interim = 0
        self._has_head = self._is_whole = self._hurried = False
        waiter: asyncio.Future[Answer] = self._loop.create_future()
        self._waiter = waiter
        self._clock = self._loop.call_at(ends_at, self._give_up, "timeout")
        try:
            self._transport.write(head + body)
            return await waiter
        finally:
            self._clock.cancel()
            self._waiter = None
            if not self._is_whole:
                self._is_spoilt = True

    def close(self) -> None:
        """Let the connection go."""
        self._is_spoilt = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport  # type: ignore[assignment]
        self._wires.add(self)

    def connection_lost(self, _exc: Exception | None) -> None:
        """End: what had a head is an answer, cut short; else there is none."""
        self._transport = None
        self._wires.discard(self)
        self._end(None if self._has_head else PostFault("reset"))

    def data_received(self, data: bytes) -> None:
        """Parse what came; what comes unasked spoils the connection."""
        if self._waiter is None or self._parser is None or self._is_whole:
            self.close()
            return
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._give_up("protocol")
            return
        if self._is_whole:
            return
        if self._has_head:
            self._hurry()
        self._bytes += len(data)
        most = HEAD_BYTES + BODY_BYTES if self._has_head else HEAD_BYTES
        if self._bytes > most or self._interim > INTERIM_ANSWERS:
            self._give_up("protocol")

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header (httptools)."""
        if not self._has_head:  # else it is a trailer
            self._answer.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Take the head (httptools); another one follows a 1xx."""
        if self._parser is None or self._is_whole:  # a second answer to one request counts for nothing
            self._is_spoilt = True
            return
        status = self._parser.get_status_code()
        if status < FIRST_FINAL:
            self._interim += 1
            self._answer.headers.clear()
            return
        self._answer.status, self._has_head = status, True
        self._is_spoilt = self._is_spoilt or not self._parser.should_keep_alive()

    def on_body(self, part: bytes) -> None:
        """Keep the first 4 KiB of the body (httptools); a longer one loses its connection."""
        body = self._answer.body
        room = BODY_KEPT - len(body)
        if not self._is_whole:
            body += part[:room]
        if len(part) > room:
            self._give_up("protocol")

    def on_message_complete(self) -> None:
        """Finish (httptools)."""
        if self._has_head and not self._is_whole:
            self._is_whole = True
            self._end(None)

    def _hurry(self) -> None:
        """Give a body less time than the whole exchange has."""
        if self._clock is not None and not self._hurried:
            self._hurried = True
            sooner = min(self._clock.when(), self._loop.time() + self._body_s)
            self._clock.cancel()
            self._clock = self._loop.call_at(sooner, self._give_up, "timeout")

    def _give_up(self, kind: str) -> None:
        """Take what there is, if there is a head; the connection is of no more use."""
        self._end(None if self._has_head else PostFault(kind))
        self.close()

    def _end(self, fault: PostFault | None) -> None:
        if self._waiter is None or self._waiter.done():
            return
        if fault is None:
            self._waiter.set_result(self._answer)
        else:
            self._waiter.set_exception(fault)
