"""Delivery changes over HTTP: for customers by what they know, for advisers and the counter by session, at the door by device."""

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.access.callers import Device, Person
from fieldsvc.access.rights import Customer, Thing
from fieldsvc.requests.asker import Asker
from fieldsvc.requests.body import ChangeBody, ConfirmBody, EndBody, read_body
from fieldsvc.requests.desk import Desk
from fieldsvc.web.auth import caller, client_source, sites_for
from fieldsvc.web.problems import json_response
from fieldsvc.web.tasks import KEY_HEADER, read_object
from fieldsvc.work.idempotency import once

DESK = web.AppKey("DESK", Desk)
TOKEN_HEADER = "Request-Token"  # noqa: S105 - the name of a header


async def ask(request: web.Request) -> web.Response:
    """Ask for a delivery change; the answer says what came of it, until when it could, and how to come back to it."""
    asker, sent = asker_of(request), await read_object(request)
    desk, key = request.app[DESK], request.headers.get(KEY_HEADER)
    owner = f"delivery-change {asker.kind} {asker.account or asker.source}"
    content = orjson.dumps(sent, option=orjson.OPT_SORT_KEYS)
    # customers may share an address, so that a key alone is nobody's
    name = f"{owner} {key} {content.decode()}" if key else None

    async def act() -> tuple[int, Mapping[str, Any]]:
        return 201, await desk.ask(read_body(ChangeBody, sent), asker, key=name)

    if key is None:
        status, answer = await act()
    else:
        status, kept = await once(desk.database, owner, key, body=content, act=act)
        answer = orjson.loads(kept)
    request_id = answer["request_id"]
    headers = {"Location": f"/v1/delivery-changes/{request_id}"}
    return json_response({**answer, "token": desk.token(request_id)}, status=status, headers=headers)


async def read(request: web.Request) -> web.Response:
    """Say how a delivery change stands."""
    asker = asker_of(request)
    return json_response(await request.app[DESK].read(request.match_info["id"], asker))


async def confirm(request: web.Request) -> web.Response:
    """Confirm a delivery change: by the code of the letter, whom the counter saw, or what was heard at the door."""
    asker, sent = asker_of(request), await read_object(request)
    body = read_body(ConfirmBody, sent)
    return json_response(await request.app[DESK].confirm(request.match_info["id"], body, asker))


async def cancel(request: web.Request) -> web.Response:
    """Cancel a delivery change; a redirection that holds is reversed."""
    asker = asker_of(request)
    body = read_body(EndBody, await read_object(request))
    return json_response(await request.app[DESK].cancel(request.match_info["id"], body, asker))


async def stop(request: web.Request) -> web.Response:
    """Stop a delivery change that was not yours: the link of any notice suffices, without signing in."""
    asker = asker_of(request)
    body = read_body(EndBody, await read_object(request))
    return json_response(await request.app[DESK].stop(request.match_info["id"], body, asker))


def asker_of(request: web.Request) -> Asker:
    """Tell who speaks: a device, a person of the operator, or a customer who is not signed in."""
    source, token = client_source(request), request.headers.get(TOKEN_HEADER)
    who, sites = caller(request, Device, Person, Customer), sites_for(request, Thing.REQUEST)
    if isinstance(who, Device):
        return Asker("carrier", source, token, sites.narrowed(None), account=who.id, carrier=who.carrier)
    if isinstance(who, Person):
        return Asker(who.role, source, token, sites.narrowed(None), account=who.account_id)
    return Asker("customer", source, token)


routes: list[web.RouteDef] = [
    web.post("/v1/delivery-changes", ask),
    web.get("/v1/delivery-changes/{id}", read),
    web.post("/v1/delivery-changes/{id}/confirm", confirm),
    web.post("/v1/delivery-changes/{id}/cancel", cancel),
    web.post("/v1/delivery-changes/{id}/stop", stop),
]
