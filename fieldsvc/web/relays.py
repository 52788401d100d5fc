"""Queues of phones that cannot send, brought by a colleague's phone: the key they are sealed for, and where they are taken.

The phone that brings one reads nothing of it, and of the answer only how many events ended in which way.
"""

import base64
from datetime import UTC, datetime

from aiohttp import web

from fieldsvc.access.callers import Device
from fieldsvc.errors import UnsupportedMedia
from fieldsvc.intake import relay
from fieldsvc.intake.relay import RelayKey
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.bodies import check_encoding
from fieldsvc.web.events import INTAKE, count_results
from fieldsvc.web.problems import json_response

RELAY_KEY = web.AppKey("RELAY_KEY", RelayKey)
SEALED = "application/octet-stream"


async def key(request: web.Request) -> web.Response:
    """Give the public key that a phone seals its queue for."""
    found = request.app[RELAY_KEY]
    public = base64.b64encode(found.point).decode()
    return json_response({"alg": "ECDH-P256+HKDF-SHA256+A256GCM", "key_id": found.key_id.hex(), "public_key": public})


async def bring(request: web.Request) -> web.Response:
    """Take the sealed queue of another phone of the site as if it came from there; answer counts and no content."""
    received_at = datetime.now(UTC)
    carrying = caller(request, Device)
    check_encoding(request)
    if request.content_type != SEALED:
        raise UnsupportedMedia
    brought = relay.Relayed(await request.read(), carrying.site, received_at)
    app = request.app
    answer = await relay.take(
        app[INTAKE], app[ACCESS], app[RELAY_KEY], relayed=brought, most_bytes=app[ACCESS].settings.max_body_bytes
    )
    count_results(request, answer)
    return json_response(relay.counts(answer))


routes: list[web.RouteDef] = [
    web.get("/v1/relay-key", key),
    web.post("/v1/relays", bring),
]
