"""Views for subscribers: their endpoints, the feed, and single events."""

import asyncio
import base64
import binascii
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fieldsvc.access.callers import Account
from fieldsvc.access.viewers import viewer_of
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.faults import faults_of
from fieldsvc.journal.reader import Reader
from fieldsvc.publishing.endpoints import OVERLAP_S, Endpoints
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.filters import TypeFilter, checked
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.webhooks import MEDIA_TYPE
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.endpoints import Endpoint, Health
from fieldsvc.web.auth import caller, caller_now
from fieldsvc.web.bodies import check_encoding
from fieldsvc.web.problems import json_response
from handlers.fields import format_time

ENDPOINTS = web.AppKey("ENDPOINTS", Endpoints)
FEED = web.AppKey("FEED", Feed)
READER = web.AppKey("READER", Reader)
RENDERER = web.AppKey("RENDERER", Renderer)

LONGEST_WAIT_S, SLOW_READER_S, WEEK_S = 60.0, 8.0, 604_800.0
Types = Annotated[list[Annotated[str, Field(max_length=120)]], Field(max_length=50)]
Model = TypeVar("Model", bound=BaseModel)
routes = web.RouteTableDef()


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class NewEndpoint(_Body):
    """What `POST /v1/endpoints` takes; `from` is "oldest" or a cursor of the feed."""

    url: str = Field(max_length=2048)
    types: Types = Field(default_factory=list)
    start: str | None = Field(None, alias="from", max_length=400)
    thin: bool = False


class EndpointChange(_Body):
    """What `PATCH /v1/endpoints/{id}` takes."""

    url: str | None = Field(None, max_length=2048)
    types: Types | None = None
    thin: bool | None = None


class Rotation(_Body):
    """What `POST /v1/endpoints/{id}/secret/rotate` takes: for how long the old keys still sign."""

    overlap_s: float = Field(OVERLAP_S, ge=0, le=WEEK_S, allow_inf_nan=False)


@routes.post("/v1/endpoints")
async def create_endpoint(request: web.Request) -> web.Response:
    """Make an endpoint; its signing key is shown here only."""
    account = caller(request, Account)
    body = await _body(request, NewEndpoint)
    endpoint, secret = await request.app[ENDPOINTS].create(
        account.account_id, body.url, types=body.types, start=body.start, thin=body.thin
    )
    shown = {"id": endpoint.id, "secret": secret, **_endpoint_json(endpoint)}
    return json_response(shown, status=201, headers={"Location": f"/v1/endpoints/{endpoint.id}"})


@routes.get("/v1/endpoints")
async def list_endpoints(request: web.Request) -> web.Response:
    """List the account's endpoints."""
    account = caller(request, Account)
    limit = _number(request, "limit", default=100, most=1000)
    after = _opened(request.query.get("cursor", ""))
    found = await request.app[ENDPOINTS].page(account.account_id, after=after[0] if after else "", limit=limit)
    following = _sealed([found[-1].id]) if len(found) == limit else None
    return json_response({"endpoints": [_endpoint_json(each) for each in found], "next": following})


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def read_endpoint(request: web.Request) -> web.Response:
    """Show one endpoint and how it is doing."""
    account = caller(request, Account)
    endpoint = await request.app[ENDPOINTS].read(account.account_id, request.match_info["id"])
    health = await request.app[ENDPOINTS].health(endpoint)
    return json_response(_endpoint_json(endpoint) | {"health": _health_json(health)})


@routes.patch("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def change_endpoint(request: web.Request) -> web.Response:
    """Change URL, types or form; acts within a second."""
    account = caller(request, Account)
    body = await _body(request, EndpointChange)
    endpoint = await request.app[ENDPOINTS].change(
        account.account_id, request.match_info["id"], url=body.url, types=body.types, thin=body.thin
    )
    return json_response(_endpoint_json(endpoint))


@routes.delete("/v1/endpoints/{id:ep_[0-9a-f]{32}}")
async def remove_endpoint(request: web.Request) -> web.Response:
    """Delete an endpoint and what waits for it."""
    account = caller(request, Account)
    await request.app[ENDPOINTS].remove(account.account_id, request.match_info["id"])
    return web.Response(status=204)


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/secret/rotate")
async def rotate_secret(request: web.Request) -> web.Response:
    """Make a new signing key; the old ones sign beside it for a day, or for as long as asked."""
    account = caller(request, Account)
    body = await _body(request, Rotation)
    secret = await request.app[ENDPOINTS].rotate(account.account_id, request.match_info["id"], overlap_s=body.overlap_s)
    return json_response({"id": request.match_info["id"], "secret": secret, "overlap_s": body.overlap_s})


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/pause")
async def pause_endpoint(request: web.Request) -> web.Response:
    """Stop sending; nothing is lost."""
    account = caller(request, Account)
    endpoint = await request.app[ENDPOINTS].pause(account.account_id, request.match_info["id"])
    return json_response(_endpoint_json(endpoint))


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/resume")
async def resume_endpoint(request: web.Request) -> web.Response:
    """Go on where it stopped."""
    account = caller(request, Account)
    endpoint = await request.app[ENDPOINTS].resume(account.account_id, request.match_info["id"])
    return json_response(_endpoint_json(endpoint))


@routes.post("/v1/endpoints/{id:ep_[0-9a-f]{32}}/test")
async def try_endpoint(request: web.Request) -> web.Response:
    """Send a test event now and tell how it went."""
    account = caller(request, Account)
    attempt = await request.app[ENDPOINTS].test(account.account_id, request.match_info["id"])
    return json_response(_attempt_json(attempt))


@routes.get("/v1/endpoints/{id:ep_[0-9a-f]{32}}/attempts")
async def list_attempts(request: web.Request) -> web.Response:
    """List attempts, newest first, perhaps of one event."""
    account = caller(request, Account)
    limit = _number(request, "limit", default=100, most=1000)
    found = await request.app[ENDPOINTS].attempts(
        account.account_id,
        request.match_info["id"],
        before=_place(request.query.get("cursor", "")),
        event_id=request.query.get("event_id", "").replace("\x00", "") or None,
        limit=limit,
    )
    last = found[-1] if len(found) == limit else None
    following = _sealed([last.at.isoformat(), last.event_id, last.n]) if last else None
    return json_response({"attempts": [_attempt_json(each) for each in found], "next": following})


@routes.get("/v1/feed")
async def read_feed(request: web.Request) -> web.StreamResponse:
    """Read events behind a cursor: a page, waiting for one if asked, or a stream."""
    types = TypeFilter(checked(part for part in request.query.get("types", "").split(",") if part))
    feed = request.app[FEED]
    cursor = request.headers.get("Last-Event-ID") or request.query.get("after", "")
    after = await feed.resolve(cursor)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return await _streamed(request, feed.stream(after, lambda: _view(request), types=types))
    limit = _number(request, "limit", default=100, most=1000)
    wait_s = _number(request, "wait", default=0, least=0, most=int(LONGEST_WAIT_S))
    page = await feed.poll(after, lambda: _view(request), types=types, limit=limit, wait_s=wait_s)
    events = b",".join(item.body for item in page.items)
    body = b'{"events":[%s],"next":"%s"}' % (events, feed.cursors.write(page.after).encode())
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


@routes.get("/v1/events/{id}")
async def read_event(request: web.Request) -> web.Response:
    """Show one public event, cut to the caller's rights."""
    account = caller(request, Account)
    view = _view_of(account)
    row = await request.app[READER].event(request.match_info["id"], viewer_of(account))
    if row is None or not view.sees(row):
        raise NotFound
    body = (await request.app[RENDERER].bodies([row], view))[0]
    return web.Response(body=body, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def _view(request: web.Request) -> View:
    account = await caller_now(request)
    if not isinstance(account, Account):
        raise NotFound
    return _view_of(account)


def _view_of(account: Account) -> View:
    return View(account.account_id, "operator" in account.scopes, "health" in account.scopes)


async def _streamed(request: web.Request, parts: AsyncIterator[bytes]) -> web.StreamResponse:
    """Write a stream; a reader that takes nothing for eight seconds is cut off."""
    response = web.StreamResponse(headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})
    response.content_type = "text/event-stream"
    await response.prepare(request)
    try:
        async for part in parts:
            async with asyncio.timeout(SLOW_READER_S):
                await response.write(part)
    except (TimeoutError, ConnectionError):
        if request.transport is not None:
            request.transport.abort()
    return response


async def _body(request: web.Request, model: type[Model]) -> Model:
    check_encoding(request)
    raw = await request.read()
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        places = [{"field": fault.member, "fault": fault.kind} for fault in faults_of(model, error)[:20]]
        raise BadRequest(errors=places) from None


def _number(request: web.Request, name: str, *, default: int, least: int = 1, most: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
        raise BadRequest(f"{name} is a whole number from {least} to {most}.")
    return int(text)


def _sealed(place: list[Any]) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def _opened(cursor: str) -> list[Any]:
    if not cursor:
        return []
    try:
        place = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise BadRequest("This is no cursor of this list.") from None
    if not isinstance(place, list) or not place or not isinstance(place[0], str) or "\x00" in place[0]:
        raise BadRequest("This is no cursor of this list.")
    return place


def _place(cursor: str) -> tuple[datetime, str, int]:
    match _opened(cursor):
        case []:
            return datetime.max.replace(tzinfo=UTC, year=9000), "", 0
        case [str(at), str(event_id), int(n)] if "\x00" not in event_id and 0 <= n < 2**31:
            try:
                moment = datetime.fromisoformat(at)
                return moment.astimezone(UTC), event_id, n
            except (ValueError, OverflowError):
                raise BadRequest("This is no cursor of this list.") from None
    raise BadRequest("This is no cursor of this list.")


def _endpoint_json(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "id": endpoint.id,
        "url": endpoint.url,
        "types": list(endpoint.types),
        "thin": endpoint.thin,
        "state": endpoint.state,
        "reason": endpoint.reason,
        "created_at": format_time(endpoint.created_at),
    }


def _health_json(health: Health) -> dict[str, Any]:
    return {
        "breaker": "closed" if health.opened_at is None else "open",
        "next_probe_at": format_time(health.probe_at) if health.probe_at else None,
        "held_until": format_time(health.held_until) if health.held_until else None,
        "parked": health.parked,
        "dead_letters": health.dead_letters,
    }


def _attempt_json(attempt: Attempt) -> dict[str, Any]:
    return {
        "event_id": attempt.event_id,
        "attempt": attempt.n,
        "at": format_time(attempt.at),
        "status": attempt.status,
        "ms": attempt.ms,
        "error": attempt.error,
        "body": attempt.body.decode(errors="replace"),
    }
