"""What is done to an order before it is planned: is a duty desk open then, and the code at the door becomes what a phone may know.

The code itself is never stored and never on a phone: the sheet has a salt, a slow hash of it and how often it may be tried, so
that it is checked offline. A short code does not withstand somebody who takes the sheet and tries them all; the tries that the
phone counts, and the signature beside it, are what protects the person.
"""

import asyncio
import hashlib
import re
import secrets
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from fieldsvc.errors import Conflict
from fieldsvc.store import delivery_point as points
from fieldsvc.store import desk as store
from fieldsvc.store.database import Database
from fieldsvc.work.desks import covered
from fieldsvc.work.errors import BadTask
from handlers.base import Handler
from handlers.fields import parse_time
from handlers.ladder import length
from handlers.medication import MOST_TRIES

ROUNDS = 200_000
_CODE = re.compile(r"[0-9]{4,10}")


class NoDeskOpen(Conflict):
    """No duty desk is open at that hour: nobody would answer if this went wrong."""

    code = "no_desk_open"


async def prepared(database: Database, handler: Handler, order: Mapping[str, Any]) -> dict[str, Any]:
    """Return the order as it is planned. NoDeskOpen; BadTask for a code that is none."""
    await _check_desk(database, handler, order)
    details = order.get("details")
    if not isinstance(details, Mapping) or "code" not in details:
        return dict(order)
    code = details["code"]
    if not isinstance(code, str) or not _CODE.fullmatch(code):
        raise BadTask("details.code: four to ten digits", members=["details.code"])
    check = await asyncio.to_thread(code_check, code, secrets.token_bytes(16))
    kept = {name: value for name, value in details.items() if name != "code"}
    return {**order, "details": {**kept, "code_check": check}}


def code_check(code: str, salt: bytes) -> dict[str, Any]:
    """Return what a phone needs to check a code offline: PBKDF2 with SHA-256, which browsers have too."""
    digest = hashlib.pbkdf2_hmac("sha256", code.encode(), salt, ROUNDS)
    return {"kdf": "pbkdf2-sha256", "rounds": ROUNDS, "salt": salt.hex(), "hash": digest.hex(), "tries": MOST_TRIES}


async def _check_desk(database: Database, handler: Handler, order: Mapping[str, Any]) -> None:
    """Refuse timed work whose ladder would end at a closed desk: at the window's begin, or when all else failed after its end."""
    window, takes = order.get("window"), _longest(handler)
    if not window or takes is None:
        return
    point = order.get("delivery_point")
    site = await points.site_of(database, point) if point else None
    desks = await store.listed(database, site or store.EVERYWHERE)
    moments: list[datetime] = [parse_time(window["from"]), parse_time(window["until"]) + takes]
    if not covered(desks, moments):
        raise NoDeskOpen


def _longest(handler: Handler) -> timedelta | None:
    """Return how long a service's ladders take until the desk; None for a service without any."""
    ladders = [handler.ladder(each.name, each.alert, ()) for each in handler.publishes if each.alert]
    return max((length(each) for each in ladders if each), default=None)
