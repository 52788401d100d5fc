"""What every request passes: an id, a clean error, the store's epoch, and the count of it."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable
from uuid import UUID

import structlog
from aiohttp import ClientPayloadError, web
from aiohttp.http_exceptions import BadHttpMessage

from fieldsvc.access.errors import BadCode
from fieldsvc.errors import FieldsvcError, NotFound
from fieldsvc.ids import uuid7
from fieldsvc.logs import get_logger
from fieldsvc.metrics import Metrics
from fieldsvc.store.database import is_unreachable
from fieldsvc.web.problems import from_error, problem

log = get_logger()
View = Callable[[web.Request], Awaitable[web.StreamResponse]]
EPOCH = web.AppKey("EPOCH", UUID)
METRICS = web.AppKey("METRICS", Metrics)
ANSWERS_WITHIN_S = web.AppKey("ANSWERS_WITHIN_S", tuple[float, float])  # a view, and its body before that
LIMITED = web.RequestKey("LIMITED", tuple[str, str])  # RateLimit-Policy and RateLimit
REFUSES_AFTER_S = web.AppKey("REFUSES_AFTER_S", float)
_BOUND_THEMSELVES = frozenset({"/v1/live", "/v1/feed", "/v1/media/{sha256}"})
_REFUSALS = frozenset({404, 410, 207})  # 207: some of the items of Suivi are not known
_CODES = {404: "not_found", 405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


@web.middleware
async def identified(request: web.Request, handler: View) -> web.StreamResponse:
    """Give the request an id, in its logs and its answer; count and time it by its route."""
    name = str(uuid7())
    structlog.contextvars.bind_contextvars(request_id=name)
    began = time.perf_counter()
    try:
        answer = await handler(request)
    finally:
        structlog.contextvars.unbind_contextvars("request_id")
    route = route_of(request)
    metrics = request.app[METRICS]
    metrics.requests.labels(route, str(answer.status)).inc()
    metrics.request_seconds.labels(route).observe(time.perf_counter() - began)
    if not answer.prepared:
        answer.headers["X-Request-Id"] = name
    return answer


@web.middleware
async def problems(request: web.Request, handler: View) -> web.StreamResponse:
    """Turn every error into a problem that echoes nothing."""
    try:
        _check_path(request)
        _refuse_websocket(request)
        return await handler(request)
    except FieldsvcError as error:
        if error.status >= 500:
            log.warning("request.failed", route=route_of(request), code=error.code, status=error.status)
        return from_error(error)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        headers = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        return problem(
            error.status, _CODES.get(error.status, "http_error"), "This cannot be answered.", headers=headers
        )
    except (ClientPayloadError, BadHttpMessage, web.RequestPayloadError):
        return problem(400, "bad_body", "The body is broken or its encoding is.")
    except Exception as error:
        if not is_unreachable(error):
            log.exception("request.crashed", route=route_of(request))
            return problem(500, "internal", "Something went wrong. It was logged.")
        if isinstance(error, ConnectionError) and (request.transport is None or request.transport.is_closing()):
            raise  # it is the caller who went away
        log.warning("request.failed", route=route_of(request), error=type(error).__name__, status=503)
        return problem(503, "unavailable", "Not possible right now.", headers={"Retry-After": "2"})


@web.middleware
async def bounded(request: web.Request, handler: View) -> web.StreamResponse:
    """End a view that takes too long once its body is whole, with 503; streams, long polls and pictures bound themselves."""
    within_s = request.app.get(ANSWERS_WITHIN_S)
    if within_s is None or route_of(request) in _BOUND_THEMSELVES:
        return await handler(request)
    answer_s, body_s = within_s
    if not request.can_read_body:
        async with asyncio.timeout(answer_s):
            return await handler(request)
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(body_s + answer_s) as limit:

        def whole() -> None:
            with contextlib.suppress(RuntimeError):  # the view has ended
                limit.reschedule(loop.time() + answer_s)

        request.content.on_eof(whole)
        return await handler(request)


@web.middleware
async def evened(request: web.Request, handler: View) -> web.StreamResponse:
    """Let a refusal of what is unknown, wrong or another's take the same time: what a look-up took would tell them apart."""
    after_s, began = request.app.get(REFUSES_AFTER_S, 0.0), time.perf_counter()
    try:
        answer = await handler(request)
    except (NotFound, BadCode):
        await asyncio.sleep(began + after_s - time.perf_counter())
        raise
    if answer.status in _REFUSALS:
        await asyncio.sleep(began + after_s - time.perf_counter())
    return answer


async def finish(request: web.Request, answer: web.StreamResponse) -> None:
    """Put the store's epoch and the security headers on every answer, and take the server's version off."""
    answer.headers.popall("Server", None)
    answer.headers.setdefault("X-Content-Type-Options", "nosniff")
    answer.headers.setdefault("Cache-Control", "no-store")
    if (limited := request.get(LIMITED)) is not None:
        answer.headers["RateLimit-Policy"], answer.headers["RateLimit"] = limited
    epoch = request.app.get(EPOCH)
    if epoch is not None:
        answer.headers["Fieldsvc-Store-Epoch"] = str(epoch)


def _check_path(request: web.Request) -> None:
    """Refuse names in the path that no database text can hold, before a view looks them up."""
    for name in request.match_info.values():
        if "\x00" in name or any("\ud800" <= letter <= "\udfff" for letter in name):
            raise NotFound


def _refuse_websocket(request: web.Request) -> None:
    if request.headers.get("Upgrade", "").strip().lower() == "websocket":
        raise NotFound("There are no WebSockets here.")


def route_of(request: web.Request) -> str:
    """Name the route by its template, never by its path."""
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else "unknown"
