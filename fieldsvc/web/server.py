"""The HTTP server around the app: what cannot be parsed gets a problem that echoes nothing, one log line, and no version."""

import asyncio
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import ContentEncodingError

from fieldsvc.logs import get_logger
from fieldsvc.web.problems import problem

log = get_logger()


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
    """A connection whose own error answers carry no byte of the request."""

    __slots__ = ()

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
        return await super().finish_response(request, resp, start_time)


def _nameless(status: int, code: str, detail: str) -> NamelessResponse:
    made = problem(status, code, detail)
    return NamelessResponse(status=status, body=made.body, headers=made.headers)


class QuietServer(web.Server):
    """Makes quiet handlers."""

    def __call__(self) -> web.RequestHandler:
        """Make the handler of a new connection."""
        return QuietHandler(self, loop=self._loop, **self._kwargs)


class Runner(web.AppRunner):
    """Runs the app on a quiet server."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return QuietServer(
            made.request_handler,
            request_factory=made.request_factory,
            handler_cancellation=made.handler_cancellation,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - the one way to keep the app's own settings; held by a test
        )


def make_runner(app: web.Application, *, shutdown_timeout_s: float) -> Runner:
    """Wrap an app; its requests in flight have `shutdown_timeout_s` to end when it stops."""
    return Runner(
        app,
        access_log_class=NoAccessLog,
        access_log=None,
        shutdown_timeout=shutdown_timeout_s,
        keepalive_timeout=75.0,
        max_line_size=8_190,
        max_field_size=8_190,
    )
