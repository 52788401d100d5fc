"""The HTTP server around the app: what cannot be parsed gets a problem that echoes nothing, one log line, and no version.

aiohttp bounds neither the time of a head, of a body, nor that of a reader who takes nothing: here connections that have begun
something are looked at twice a second, and what is late is closed.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import termios
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import ContentEncodingError
from aiohttp.streams import StreamReader

from fieldsvc.errors import TooSlow
from fieldsvc.logs import get_logger
from fieldsvc.web.connections import LOOPBACK, Credit, Doors, Patience
from fieldsvc.web.problems import problem

log = get_logger()
SENDS_AHEAD = 262_144
LOOKS_EVERY_S, LAST_WORDS_S, LINGERS_S = 0.5, 1.5, 3.0
_FULL = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nRetry-After: 5\r\nConnection: close\r\n"
    b"Cache-Control: no-store\r\n\r\n"
)


class NoAccessLog(AbstractAccessLogger):
    """Access is counted, not logged: addresses are nobody's business."""

    def log(self, *_args: Any) -> None:
        """Log nothing."""

    @property
    def enabled(self) -> bool:
        """Never."""
        return False


class NamelessResponse(web.Response):
    """An answer that does not say what software gave it; those of the app's views pass `middlewares.finish` instead."""

    async def _prepare_headers(self) -> None:
        await super()._prepare_headers()
        self.headers.popall("Server", None)


class QuietHandler(web.RequestHandler):
    """A connection whose own error answers carry no byte of the request, and that is closed when its peer is too slow."""

    __slots__ = (
        "_body",
        "_body_credit",
        "_body_due",
        "_door",
        "_end_due",
        "_ending",
        "_guard",
        "_head_due",
        "_lost",
        "_reply",
        "_unsent",
        "_wire",
    )

    def __init__(self, server: "QuietServer", **more: Any) -> None:
        super().__init__(server, **more)
        self._guard = server
        self._wire: asyncio.Transport | None = None
        self._door: str | None = None
        self._head_due: float | None = None
        self._body: StreamReader | None = None
        self._body_credit: Credit | None = None
        self._body_due = 0.0
        self._reply: Credit | None = None
        self._unsent = 0
        self._end_due: float | None = None
        self._lost: asyncio.Event | None = None
        self._ending = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Let the connection in, if there is room, and wait for its first request."""
        super().connection_made(transport)
        self._wire = self.transport
        wire = transport.get_extra_info("socket")
        if wire is not None:  # else the kernel holds megabytes for who does not read, and nobody sees it
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SENDS_AHEAD)
        peer = transport.get_extra_info("peername")
        self._door = self._guard.doors.enter(peer[0] if peer else "")
        if self._door is None:
            self._guard.closed("full")
            if self._wire is not None:
                self._wire.write(_FULL)
            self.force_close()
            return
        self._head_due = self._loop.time() + self._guard.patience.head_s
        self._guard.watch(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Give its place back."""
        super().connection_lost(exc)
        self._wire = None
        if self._lost is not None:
            self._lost.set()
        self._guard.unwatch(self)
        if self._door is not None:
            self._guard.doors.leave(self._door)
            self._door = None

    def data_received(self, data: bytes) -> None:
        """Take bytes; note whether they end a head or a body, or leave one open."""
        before = self._request_count
        super().data_received(data)
        if self._request_count != before:
            self._head_due = None
            if self._body is not None and not self._body.is_eof():  # its end could not be parsed: no more will come
                self._body.set_exception(web.RequestPayloadError("broken off"))
            payload = self._messages[-1][1]
            self._begin_body(None if payload.is_eof() else payload)
        elif self._body is not None and self._body_credit is not None:
            if self._body.is_eof():
                self._begin_body(None)
            elif data:
                self._body_credit.earn(len(data), self._loop.time())
        elif data and self._head_due is None and self._end_due is None:
            self._head_due = self._loop.time() + self._guard.patience.head_s
            self._guard.watch(self)

    def pause_writing(self) -> None:
        """Begin to wait for a peer that takes nothing."""
        super().pause_writing()
        self._await_reader()

    def resume_writing(self) -> None:
        """Wait no more."""
        super().resume_writing()
        if not self._ending:
            self._reply = None

    async def start(self) -> None:
        """Answer requests until the connection ends; a peer that takes nothing does not hold its end up."""
        try:
            await super().start()
        finally:
            self._ending = True
            self._await_reader()

    def postpone(self, seconds: float) -> None:
        """Give a peer the time in which this process did not listen."""
        if self._head_due is not None:
            self._head_due += seconds
        for credit in (self._body_credit, self._reply):
            if credit is not None:
                credit.due += seconds
        self._body_due += seconds

    def look(self, now: float) -> bool:
        """Close what is late; tell whether there is still something to look at."""
        if self._wire is None:
            return False
        if self._end_due is not None and now >= self._end_due:
            self._cut()
            return False
        if self._head_due is not None and now >= self._head_due:
            self._guard.closed("head")
            self._head_due = None
            self.force_close()
        self._look_at_body(now)
        self._look_at_reply(now)
        return not (self._head_due is None and self._body is None and self._reply is None and self._end_due is None)

    def _look_at_body(self, now: float) -> None:
        body, credit = self._body, self._body_credit
        if body is None or credit is None:
            return
        if body.is_eof():
            self._begin_body(None)
        elif self._reading_paused or self._buffer_paused:
            credit.renew(now)  # it is this side that does not read
        if now >= min(credit.due, self._body_due) and self._body is not None:
            self._guard.closed("body")
            self._begin_body(None)
            body.set_exception(TooSlow())  # the view's answer is 408
            self._keepalive = False
            self._end_due = now + LAST_WORDS_S

    def _look_at_reply(self, now: float) -> None:
        if self._reply is None or self._wire is None:
            return
        left = self._left()
        self._reply.earn(max(0, self._unsent - left), now)
        self._unsent = left
        if now >= self._reply.due:
            self._guard.closed("reply")
            self._reply = None
            self._cut()

    def _begin_body(self, payload: StreamReader | None) -> None:
        self._body, patience = payload, self._guard.patience
        if payload is None:
            self._body_credit = None
            return
        now = self._loop.time()
        self._body_credit = Credit(now, most_s=patience.stall_s, bytes_per_s=patience.bytes_per_s)
        self._body_due = now + patience.body_s
        self._guard.watch(self)

    def _cut(self) -> None:
        """Cut the connection with a reset: the kernel would go on keeping what the peer does not take."""
        if self._wire is None:
            return
        wire = self._wire.get_extra_info("socket")
        if wire is not None:
            wire.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._wire.abort()

    def _left(self) -> int:
        """Count what the peer has not taken: of what waits here, and of what the kernel has, which frees its room in lumps."""
        return self._wire.get_write_buffer_size() + _in_kernel(self._wire) if self._wire is not None else 0

    def _await_reader(self) -> None:
        """Begin to wait for a peer that has not taken all that was sent."""
        if self._reply is None and self._left():
            patience = self._guard.patience
            self._reply = Credit(self._loop.time(), most_s=patience.reply_s, bytes_per_s=patience.bytes_per_s)
            self._unsent = self._left()
            self._guard.watch(self)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer a request that could not be parsed, or a fault outside every view; the connection is closed."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("an answer had begun")
        log.warning("http.refused", status=status, error=type(exc).__name__ if exc else None)
        if isinstance(exc, ContentEncodingError):
            answer = _nameless(415, "unsupported_media_type", "A body is packed with gzip, deflate or not at all.")
        elif status < 500:
            answer = _nameless(status, "bad_request", "The request cannot be understood.")
        else:
            answer = _nameless(status, "internal", "Something went wrong.")
        answer.force_close()
        return answer

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send an answer; one that aiohttp itself raised outside every view, on `Expect`, would quote the request."""
        if isinstance(resp, web.HTTPException) and resp.status == HTTPStatus.EXPECTATION_FAILED:
            resp = _nameless(resp.status, "expectation_failed", "Only 100-continue can be expected.")
            resp.force_close()
        elif self._end_due is not None and not resp.prepared:
            resp.force_close()
        answered = await super().finish_response(request, resp, start_time)
        if self._end_due is not None:
            await self._let_it_be_read()
        return answered

    async def _let_it_be_read(self) -> None:
        """End this side only, and wait for the other: a close while bytes still come is a reset, which takes the answer along."""
        wire = self._wire
        if wire is None or self._end_due is None or not wire.can_write_eof():
            return
        wire.write_eof()
        self._lost = lost = asyncio.Event()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(self._end_due):
                await lost.wait()


def _in_kernel(wire: asyncio.Transport) -> int:
    """Count the bytes that the kernel sent or will send and the peer did not confirm; 0 where it does not tell."""
    found = wire.get_extra_info("socket")
    try:
        counted = fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, bytes(4)) if found is not None else bytes(4)
    except OSError:
        return 0
    return int(struct.unpack("i", counted)[0])


def _nameless(status: int, code: str, detail: str) -> NamelessResponse:
    made = problem(status, code, detail)
    return NamelessResponse(status=status, body=made.body, headers=made.headers)


class QuietServer(web.Server):
    """Makes quiet handlers, and looks after those whose peers have begun something."""

    def __init__(
        self, *args: Any, doors: Doors, patience: Patience, closed: Callable[[str], None], **more: Any
    ) -> None:
        super().__init__(*args, **more)
        self.doors = doors
        self.patience = patience
        self.closed = closed
        self._watched: set[QuietHandler] = set()
        self._next_look: asyncio.TimerHandle | None = None
        self._looks_at = 0.0

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a new connection."""
        return QuietHandler(self, loop=self._loop, **self._kwargs)

    def watch(self, handler: QuietHandler) -> None:
        """Look at a connection until it has nothing open."""
        self._watched.add(handler)
        if self._next_look is None:
            self._look_later()

    def unwatch(self, handler: QuietHandler) -> None:
        """Forget a connection that is gone."""
        self._watched.discard(handler)

    def _look(self) -> None:
        now = self._loop.time()
        late_s = now - self._looks_at
        for each in tuple(self._watched):
            if late_s > LOOKS_EVERY_S / 2:  # this process was busy: what peers sent meanwhile may not be read yet
                each.postpone(late_s + LOOKS_EVERY_S)
            if not each.look(now):
                self._watched.discard(each)
        self._next_look = None
        if self._watched:
            self._look_later()

    def _look_later(self) -> None:
        self._looks_at = self._loop.time() + LOOKS_EVERY_S
        self._next_look = self._loop.call_at(self._looks_at, self._look)


class Runner(web.AppRunner):
    """Runs the app on a quiet server."""

    __slots__ = ("_closed", "_doors", "_patience")

    def __init__(
        self, app: web.Application, *, doors: Doors, patience: Patience, closed: Callable[[str], None], **more: Any
    ) -> None:
        super().__init__(app, **more)
        self._doors = doors
        self._patience = patience
        self._closed = closed

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return QuietServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            doors=self._doors,
            patience=self._patience,
            closed=self._closed,
            **made._kwargs,  # noqa: SLF001 - the one way to keep the app's own settings; held by a test
        )


def make_runner(
    app: web.Application,
    *,
    shutdown_timeout_s: float,
    doors: Doors | None = None,
    patience: Patience | None = None,
    closed: Callable[[str], None] = lambda _why: None,
) -> Runner:
    """Wrap an app; its requests in flight have `shutdown_timeout_s` to end when it stops.

    `closed` hears why a connection was closed early: head, body, reply or full.
    """
    patience = patience or Patience()
    return Runner(
        app,
        doors=doors or Doors(most=20_000, most_each=1_000, exempt=LOOPBACK),
        patience=patience,
        closed=closed,
        access_log_class=NoAccessLog,
        access_log=None,
        shutdown_timeout=shutdown_timeout_s,
        keepalive_timeout=patience.idle_s,
        lingering_time=LINGERS_S,
        max_line_size=8_190,
        max_field_size=8_190,
    )
