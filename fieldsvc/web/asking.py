"""What subscribers ask, read: bodies by a model, numbers and times of the query, and places in lists as opaque cursors."""

import base64
import binascii
from datetime import UTC, datetime
from typing import Any, TypeVar

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from fieldsvc.errors import BadRequest
from fieldsvc.faults import faults_of
from fieldsvc.web.bodies import check_encoding
from handlers.fields import parse_time

Model = TypeVar("Model", bound=BaseModel)
MOST_FAULTS = 20
NEWEST = datetime(9000, 1, 1, tzinfo=UTC)


async def body(request: web.Request, model: type[Model]) -> Model:
    """Read the body as a model; BadRequest names the members that are wrong."""
    check_encoding(request)
    raw = await request.read()
    try:
        return model.model_validate_json(raw or b"{}")
    except ValidationError as error:
        places = [{"field": fault.member, "fault": fault.kind} for fault in faults_of(model, error)[:MOST_FAULTS]]
        raise BadRequest(errors=places) from None


def number(request: web.Request, name: str, *, default: int, least: int = 1, most: int) -> int:
    """Read a whole number of the query."""
    text = request.query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 6 and least <= int(text) <= most):
        raise BadRequest(f"{name} is a whole number from {least} to {most}.")
    return int(text)


def text(request: web.Request, name: str) -> str | None:
    """Read a text of the query; None for an empty one."""
    return request.query.get(name, "").replace("\x00", "") or None


def moment(request: web.Request, name: str, *, default: datetime) -> datetime:
    """Read a time of the query."""
    said = request.query.get(name)
    if said is None:
        return default
    try:
        return parse_time(said)
    except ValueError:
        raise BadRequest(f"{name} is a time such as 2026-11-21T09:42:00Z.") from None


def sealed(place: list[Any]) -> str:
    """Write a place in a list as a cursor."""
    return base64.urlsafe_b64encode(orjson.dumps(place)).decode().rstrip("=")


def opened(cursor: str) -> list[Any]:
    """Read a cursor; an empty list for none. Its first member is a text."""
    if not cursor:
        return []
    try:
        place = orjson.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
    except (ValueError, binascii.Error):
        raise BadCursorOfList from None
    if not isinstance(place, list) or not place or any(isinstance(each, str) and "\x00" in each for each in place):
        raise BadCursorOfList
    if not isinstance(place[0], str):
        raise BadCursorOfList
    return place


def place_of(cursor: str, *, newest: datetime = NEWEST) -> tuple[datetime, str, int]:
    """Read a cursor of a list by time, newest first."""
    match opened(cursor):
        case []:
            return newest, "", 0
        case [str(at), str(name), int(n)] if 0 <= n < 2**31:
            try:
                return min(datetime.fromisoformat(at).astimezone(UTC), newest), name, n
            except (ValueError, OverflowError):
                raise BadCursorOfList from None
    raise BadCursorOfList


class BadCursorOfList(BadRequest):
    """This is no cursor of this list."""
