"""Places in lists that are ordered by time, newest first, as opaque cursors."""

import base64
from datetime import UTC, datetime

from fieldsvc.errors import BadRequest
from handlers.fields import parse_time

Place = tuple[datetime, str]
NEWEST: Place = (datetime(9999, 1, 1, tzinfo=UTC), "")


def encode_place(at: datetime, name: str) -> str:
    """Make a cursor of the last row of a page."""
    return base64.urlsafe_b64encode(f"{at.isoformat()} {name}".encode()).decode().rstrip("=")


def decode_place(cursor: str | None) -> Place:
    """Read a cursor; none = before the newest. BadRequest for anything else."""
    if not cursor:
        return NEWEST
    try:
        text = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)).decode()
        at, _, name = text.partition(" ")
        return parse_time(at), name.replace("\x00", "")
    except ValueError:
        raise BadRequest("This cursor is not valid.") from None
