"""Pages of lists that go by day and id: the days of a query, and opaque cursors."""

import base64
import re
from datetime import date

from aiohttp import web

from fieldsvc.errors import BadRequest
from handlers.fields import parse_day

_CURSOR = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2}) ([A-Za-z0-9][A-Za-z0-9._:-]{0,63})")


def day_of(request: web.Request, name: str, default: date) -> date:
    """Read a local day of the query. BadRequest for anything else."""
    text = request.query.get(name)
    if text is None:
        return default
    try:
        return parse_day(text)
    except ValueError:
        raise BadRequest(f"{name} is a local day: 2026-11-21.") from None


def sealed(day: date, name: str) -> str:
    """Make an opaque cursor of a day and an id."""
    return base64.urlsafe_b64encode(f"{day} {name}".encode()).decode().rstrip("=")


def opened(cursor: str | None, *, start: date = date.min) -> tuple[date, str]:
    """Read a cursor; none = from the start. BadRequest for anything else."""
    if not cursor:
        return start, ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
        found = _CURSOR.fullmatch(text)
        if found is not None:
            return date.fromisoformat(found[1]), found[2]
    except ValueError:
        pass
    raise BadRequest("This cursor is not valid.")
