"""Planned work over HTTP: subscribers by API key, advisers and supervisors by session."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.access.callers import Account, Person
from fieldsvc.access.rights import orders_of
from fieldsvc.errors import BadRequest, Invalid, TooLarge, UnsupportedMedia
from fieldsvc.intake.json import Unfit, check
from fieldsvc.web.auth import caller
from fieldsvc.web.bodies import check_encoding
from fieldsvc.web.problems import json_response
from fieldsvc.work.idempotency import once
from fieldsvc.work.task_body import read_body
from fieldsvc.work.tasks import Orderer, Tasks
from handlers import sandbox
from handlers.story import Actor

TASKS = web.AppKey("TASKS", Tasks)
KEY_HEADER = "Idempotency-Key"


async def create(request: web.Request) -> web.Response:
    """Order a task; with an Idempotency-Key the same request has one effect and one answer."""
    owner, orderer = orderer_of(request)
    sent = await read_object(request)
    tasks, key = request.app[TASKS], request.headers.get(KEY_HEADER)

    async def act() -> tuple[int, Mapping[str, Any]]:
        return 201, await tasks.create(read_body(sent), orderer, key=f"{owner} {key}" if key else None)

    if key is None:
        status, answer = await act()
        body = orjson.dumps(answer)
    else:
        content = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
        status, body = await once(tasks.database, owner, key, body=content, act=act)
    location = f"/v1/tasks/{orjson.loads(body)['task_id']}"
    return web.Response(status=status, body=body, content_type="application/json", headers={"Location": location})


async def read(request: web.Request) -> web.Response:
    """Give one task of the caller's."""
    _, orderer = orderer_of(request)
    return json_response(await request.app[TASKS].read(request.match_info["id"], orderer))


async def change(request: web.Request) -> web.Response:
    """Change members of a task that the carrier has not seen."""
    _, orderer = orderer_of(request)
    patch = await read_object(request)
    return json_response(await request.app[TASKS].change(request.match_info["id"], patch, orderer))


async def cancel(request: web.Request) -> web.Response:
    """Cancel a task that the carrier has not seen."""
    _, orderer = orderer_of(request)
    await request.app[TASKS].cancel(request.match_info["id"], orderer)
    return web.Response(status=204)


def orderer_of(request: web.Request) -> tuple[str, Orderer]:
    """Tell who orders: (the account that called, what it may order)."""
    who = caller(request, Account, Person)
    account, sites = orders_of(who)
    if isinstance(who, Account):
        actor = Actor("subscriber", account=account)
        return who.account_id, Orderer(actor, who.scopes, sandbox=who.site == sandbox.SITE)
    return who.account_id, Orderer(Actor(who.role, account, who.account_id), site=sites.narrowed(None))


async def read_object(request: web.Request) -> dict[str, Any]:
    """Read a JSON object from the body. UnsupportedMedia, TooLarge, BadRequest; Invalid for what could not be kept."""
    if request.content_type not in {"application/json", "application/merge-patch+json"}:
        raise UnsupportedMedia("The body is application/json.")
    check_encoding(request)
    try:
        body = orjson.loads(await request.read())
    except web.HTTPRequestEntityTooLarge:
        raise TooLarge from None
    except orjson.JSONDecodeError:
        raise BadRequest("The body is not JSON.") from None
    if not isinstance(body, dict):
        raise BadRequest("The body is not a JSON object.")
    try:
        check(body)
    except Unfit as unfit:
        raise Invalid("The body holds what cannot be kept.", reason=unfit.reason) from None
    return body


routes: list[web.RouteDef] = [
    web.post("/v1/tasks", create),
    web.get("/v1/tasks/{id}", read),
    web.patch("/v1/tasks/{id}", change),
    web.delete("/v1/tasks/{id}", cancel),
]
