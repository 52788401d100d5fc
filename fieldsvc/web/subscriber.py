"""Views for subscribers: the feed, and single events."""

import asyncio
from collections.abc import AsyncIterator

from aiohttp import web

from fieldsvc.access.callers import Account
from fieldsvc.access.viewers import viewer_of
from fieldsvc.errors import BadRequest, NotFound
from fieldsvc.journal.reader import Reader
from fieldsvc.publishing.feed import Feed, Positions
from fieldsvc.publishing.filters import TypeFilter, checked
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.webhooks import MEDIA_TYPE
from fieldsvc.web.asking import number
from fieldsvc.web.auth import caller, caller_now

FEED = web.AppKey("FEED", Feed)
READER = web.AppKey("READER", Reader)
RENDERER = web.AppKey("RENDERER", Renderer)

LONGEST_WAIT_S, SLOW_READER_S = 60.0, 8.0
routes = web.RouteTableDef()


@routes.get("/v1/feed")
async def read_feed(request: web.Request) -> web.StreamResponse:
    """Read events behind a cursor, or from a time or event on: a page, waiting for one if asked, or a stream."""
    types = TypeFilter(checked(part for part in request.query.get("types", "").split(",") if part))
    feed = request.app[FEED]
    after, sought = await _place_in_feed(request, feed)
    if "text/event-stream" in request.headers.get("Accept", ""):
        return await _streamed(request, feed.stream(after, lambda: _view(request), types=types))
    limit = number(request, "limit", default=100, most=1000)
    wait_s = number(request, "wait", default=0, least=0, most=int(LONGEST_WAIT_S))
    page = await feed.poll(after, lambda: _view(request), types=types, limit=limit, wait_s=wait_s)
    events = b",".join(item.body for item in page.items)
    start = b',"from":"%s"' % feed.cursors.write(after).encode() if sought else b""
    body = b'{"events":[%s],"next":"%s"%s}' % (events, feed.cursors.write(page.after).encode(), start)
    return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-store"})


@routes.get("/v1/events/{id}")
async def read_event(request: web.Request) -> web.Response:
    """Show one public event, cut to the caller's rights."""
    account = caller(request, Account)
    view = _view_of(account)
    row = await request.app[READER].event(request.match_info["id"], viewer_of(account))
    if row is None or not view.sees(row):
        raise NotFound
    body = (await request.app[RENDERER].shown([row], view))[0]
    if not body:
        raise NotFound
    return web.Response(body=body, content_type=MEDIA_TYPE, headers={"Cache-Control": "no-store"})


async def _place_in_feed(request: web.Request, feed: Feed) -> tuple[Positions, bool]:
    """Find where to read on, and whether it was sought: a stream that was cut off goes on where it was, whatever it sought."""
    seek, cursor = request.query.get("seek"), request.query.get("after", "")
    if again := request.headers.get("Last-Event-ID"):
        return await feed.resolve(again), False
    if seek is None:
        return await feed.resolve(cursor), False
    if cursor:
        raise BadRequest("seek stands in the place of after.")
    return await feed.seek(seek, await _view(request)), True


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
