"""Public rows as the journal has them, made by hand."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.catalogue import Format
from fieldsvc.publishing.formats.cloudevents import Opened, View
from fieldsvc.publishing.formats.telling import Origin, Told
from handlers.fields import OPERATIONAL, PUBLIC, SEALED_CLASSES, split
from handlers.registry import Registry, discover

EVENT = UUID("019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44")
AT = datetime(2026, 11, 21, 9, 42, 17, 120_000, UTC)
ACCOUNT = "a"
OWNER, NURSE, OPERATOR, THIN = (
    View(ACCOUNT),
    View(ACCOUNT, health=True),
    View("op", operator=True),
    View(ACCOUNT, thin=True),
)
VIEWS = {"owner": OWNER, "owner with health": NURSE, "operator": OPERATOR, "thin": THIN}
PARIS = Origin(ZoneInfo("Europe/Paris"), "https://field.test", "https://field.test")
Stored = tuple[Row, Opened]
_REGISTRY = discover()


def stored(
    type_: str,
    data: Mapping[str, Any],
    *,
    number: int = 1,
    part: int = 0,
    supersedes: str | None = None,
    subject: str | None = None,
    at: datetime = AT,
    registry: Registry = _REGISTRY,
) -> Stored:
    """Make the row of a public event, the `number`-th of its subject, cut by the classes of its fields."""
    parts = split(registry.public[type_].data, data)
    sealed = [each.value for each in SEALED_CLASSES if each in parts]
    content: dict[str, Any] = {"public": parts.get(PUBLIC, {})}
    content |= {"operational": parts[OPERATIONAL]} if OPERATIONAL in parts else {}
    content |= {"supersedes": supersedes} if supersedes else {}
    content |= {"sealed": sealed} if sealed else {}
    own = f"item/{data['item_id']}" if "item_id" in data else f"pouch/{data.get('pouch_id', 'P-5521')}"
    row = Row(
        date(2026, 11, 21), 2, number, UUID(int=EVENT.int + number), part, type_, subject or own, number, ACCOUNT,
        "site-pantin", None, at, at + timedelta(hours=2), orjson.dumps(content),
    )  # fmt: skip
    return row, {each.value: parts[each] for each in SEALED_CLASSES if each in parts}


def opened(parts: Opened, row: Row, view: View) -> Opened:
    """Open of the parts what the view may read, as the renderer does."""
    return {name: part for name, part in parts.items() if name in view.wanted(row)}


def written(form: Format, one: Stored, view: View = OWNER, *, earlier: tuple[Stored, ...] = ()) -> Any:
    """Write a row in a format for a view, and read it as JSON."""
    before = [(row, opened(parts, row, view)) for row, parts in earlier]
    return orjson.loads(form.write(Told(one[0], opened(one[1], one[0], view), view, PARIS, before)))
