"""`GET /v1/tasks`: what somebody ordered, a page at a time."""

import re
from datetime import date
from typing import Any

from aiohttp import web

from fieldsvc.errors import BadRequest
from fieldsvc.web.carrier import page_limit
from fieldsvc.web.day_pages import day_of, opened, sealed
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import TASKS, orderer_of

_WORD = re.compile("[a-z_]{1,64}")


async def list_tasks(request: web.Request) -> web.Response:
    """List the caller's tasks, the newest day first, a page at a time."""
    _, orderer = orderer_of(request)
    asked, query = _wanted(request), request.query
    after = opened(query.get("cursor"), start=date.max)
    found, following = await request.app[TASKS].page(orderer, asked, after=after, limit=page_limit(request))
    return json_response({"tasks": found, **({"cursor": sealed(*following)} if following else {})})


def _wanted(request: web.Request) -> dict[str, Any]:
    asked: dict[str, Any] = {name: text for name in ("state", "service") if (text := request.query.get(name))}
    if any(_WORD.fullmatch(text) is None for text in asked.values()):
        raise BadRequest("state and service are words.")
    if "on" in request.query:
        asked["on"] = day_of(request, "on", date.min)
    return asked


routes: list[web.RouteDef] = [web.get("/v1/tasks", list_tasks)]
