"""The public event as CloudEvents 1.0 JSON: a pure function of the row, its opened parts, and who looks."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from fieldsvc.access.rights import sees_event
from fieldsvc.journal.reader import Row
from handlers.base import wire_type
from handlers.fields import FieldClass, format_time, join

Opened = Mapping[str, Mapping[str, Any] | None]
_SEALED_FOR_OWNERS = (FieldClass.PERSONAL, FieldClass.HEALTH)


@dataclass(frozen=True, slots=True)
class View:
    """Who looks: an account with its scopes; `thin` leaves the data out."""

    account: str
    operator: bool = False
    health: bool = False
    thin: bool = False

    def sees(self, row: Row) -> bool:
        """Tell whether the row is visible at all."""
        return sees_event(self.account, operator=self.operator, owner=row.account, site=row.site)

    def wanted(self, row: Row) -> frozenset[str]:
        """Name the classes of sealed parts that this view may read in its own account's rows."""
        if self.thin or row.account is None or row.account != self.account:
            return frozenset()
        return frozenset(_SEALED_FOR_OWNERS if self.health else _SEALED_FOR_OWNERS[:1])


def render(row: Row, opened: Opened, view: View) -> bytes:
    """Write the event as one view may see it.

    `opened` maps a class to its data, None where it was erased. What the row has and the view does not cover is left out,
    and `dataref` names where a reader with more rights finds it.
    """
    content = orjson.loads(row.public)
    held = content.get("sealed", ())
    data, left_out = _data(content, opened, view, held=held, wanted=view.wanted(row))
    event: dict[str, Any] = {
        "specversion": "1.0",
        "id": row.evt_id,
        "source": f"/fieldsvc/{row.site or 'server'}",
        "type": wire_type(row.type),
        "subject": row.subject,
        "time": format_time(row.occurred_at),
        "timestamp": format_time(row.occurred_at),
        "recordedtime": format_time(row.received_at),
        "partitionkey": row.subject,
        "sequence": f"{row.subject_seq:020d}",
    }
    if "supersedes" in content:
        event["supersedes"] = content["supersedes"]
    if left_out:
        event["dataref"] = f"/v1/events/{row.evt_id}"
    event["data"] = data
    return orjson.dumps(event)


def sealed_classes(row: Row) -> frozenset[str]:
    """Name the classes of sealed parts that a row has, without parsing rows that have none."""
    return frozenset(orjson.loads(row.public)["sealed"]) if b'"sealed"' in row.public else frozenset()


def _data(
    content: Mapping[str, Any], opened: Opened, view: View, *, held: Any, wanted: frozenset[str]
) -> tuple[dict[str, Any], bool]:
    if view.thin:
        return {}, True
    parts: list[Mapping[str, Any]] = [content["public"]]
    if view.operator:
        parts.append(content.get("operational", {}))
    left_out = erased = False
    for name in held:
        if name not in _SEALED_FOR_OWNERS:
            continue
        part = opened.get(name) if name in wanted else None
        left_out = left_out or name not in wanted
        erased = erased or (name in wanted and part is None)
        parts.append(part or {})
    data = join(*parts)
    return (data | {"erased": True} if erased else data), left_out
