"""`GET /v1/live`: where the runs are, as a stream of server-sent events that resumes without a gap."""

import asyncio
import socket
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing, contextmanager
from math import isfinite

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing
from fieldsvc.errors import BadRequest, Forbidden, TooMany
from fieldsvc.tracking.board import Board
from fieldsvc.tracking.frames import Frame, Packed, Unpacked
from fieldsvc.tracking.sight import Sight
from fieldsvc.web.auth import SESSION_COOKIE, caller, caller_now, site_of
from fieldsvc.web.middlewares import METRICS

STREAMS_A_SESSION = 8  # a browser opens six at most; the page shares one
SLOW_READER_S, LAST_WRITE_S = 8.0, 0.4
_SLICE, _SOCKET_BUFFER = 32_768, 65_536  # the kernel frees its room by thirds: at 8 kB/s within five seconds
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no", "Vary": "Accept-Encoding"}


class Seats:
    """Counts the streams of each session, and how slow a reader may be."""

    def __init__(self, *, most: int = STREAMS_A_SESSION, slow_reader_s: float = SLOW_READER_S) -> None:
        self._most = most
        self._taken: Counter[str] = Counter()
        self._open: set[asyncio.Transport] = set()
        self.slow_reader_s = slow_reader_s

    @contextmanager
    def taken(self, session: str, transport: asyncio.Transport) -> Iterator[None]:
        """Hold one place of a session. TooMany when it has no more."""
        if self._taken[session] >= self._most:
            raise TooMany("This session has too many live streams.", retry_after_s=5)
        self._taken[session] += 1
        self._open.add(transport)
        try:
            yield
        finally:
            self._open.discard(transport)
            self._taken[session] -= 1
            self._taken += Counter()  # forget the sessions without any

    def abort(self) -> None:
        """Cut what is still open: readers that do not read would hold up the end of the service."""
        for transport in self._open:
            transport.abort()

    @property
    def count(self) -> int:
        """How many streams there are."""
        return self._taken.total()


BOARD = web.AppKey("BOARD", Board)
SEATS = web.AppKey("SEATS", Seats)


async def live(request: web.Request) -> web.StreamResponse:
    """Stream where the runs of a site are: a snapshot, then each second what changed."""
    person = caller(request, Person)
    sight = Sight(await site_of(request, Thing.RUN), _box(request.query.get("bbox")))
    last_id = request.headers.get("Last-Event-ID") or request.query.get("last_event_id", "")
    if request.transport is None:
        raise Forbidden
    with request.app[SEATS].taken(request.cookies[SESSION_COOKIE], request.transport):
        stream = request.app[BOARD].stream(sight, last_id, lambda: _still(request, person))
        async with aclosing(stream) as frames:
            return await _answered(request, frames)


def takes_gzip(request: web.Request) -> bool:
    """Tell whether the caller reads gzip."""
    for part in request.headers.get("Accept-Encoding", "").lower().split(","):
        name, _, quality = part.partition(";")
        if name.strip() in ("gzip", "*"):
            return quality.replace(" ", "") not in ("q=0", "q=0.0", "q=0.00", "q=0.000")
    return False


async def _still(request: web.Request, person: Person) -> None:
    """Refuse once the person is another, or the connection is gone, which nothing else would say before the next write."""
    if request.transport is None or request.transport.is_closing() or await caller_now(request) != person:
        raise Forbidden


async def _answered(request: web.Request, frames: AsyncIterator[Frame]) -> web.StreamResponse:
    form = Packed() if takes_gzip(request) else Unpacked()
    first = await anext(frames)  # what refuses does so before the answer has begun
    answer = web.StreamResponse(headers=_HEADERS | ({"Content-Encoding": form.encoding} if form.encoding else {}))
    answer.content_type = "text/event-stream"
    await answer.prepare(request)
    if request.method == "HEAD":
        return answer
    _bound_buffers(request)
    slow_s, metrics = request.app[SEATS].slow_reader_s, request.app[METRICS]
    try:
        await _write(answer, form.begin() + form.part(first), within_s=slow_s)
        async for each in frames:
            await _write(answer, form.part(each), within_s=slow_s)
        await _write(answer, form.end(), within_s=slow_s)
    except (TimeoutError, ConnectionError) as error:
        metrics.live_dropped.labels("slow" if isinstance(error, TimeoutError) else "gone").inc()
        if request.transport is not None:
            request.transport.abort()
    return answer


async def _write(answer: web.StreamResponse, data: bytes, *, within_s: float) -> None:
    """Write in slices, each within its time: of a reader that takes nothing, no more than a slice or two is held."""
    for start in range(0, len(data), _SLICE):
        async with asyncio.timeout(within_s):
            await answer.write(data[start : start + _SLICE])


def _bound_buffers(request: web.Request) -> None:
    """Let the kernel hold little for a reader that does not read, where it would let that grow to megabytes."""
    transport = request.transport
    found = transport.get_extra_info("socket") if transport is not None else None
    if found is not None:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SOCKET_BUFFER)


def _box(text: str | None) -> tuple[float, float, float, float] | None:
    """Read `least lon,least lat,most lon,most lat`."""
    if text is None:
        return None
    try:
        west, south, east, north = (float(part) for part in text.split(",", 4))
    except ValueError:
        raise _bad_box() from None
    fits = -180 <= west < east <= 180 and -90 <= south < north <= 90
    if len(text) > 120 or not fits or not all(isfinite(value) for value in (west, south, east, north)):
        raise _bad_box()
    return west, south, east, north


def _bad_box() -> BadRequest:
    return BadRequest("bbox is four numbers: the least longitude and latitude, then the greatest.")


routes: list[web.RouteDef] = [web.get("/v1/live", live)]
