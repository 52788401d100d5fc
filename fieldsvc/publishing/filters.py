"""Which events an endpoint wants: by its account's rights, type, format, site, postcode, and a condition over the event.

In patterns of types `*` stands for one segment, and at the end for everything that follows.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Self

import orjson

from fieldsvc.errors import BadRequest
from fieldsvc.journal.reader import Row
from fieldsvc.logs import get_logger
from fieldsvc.publishing.conditions import compiled
from fieldsvc.publishing.formats.catalogue import FORMATS
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.postcodes import Postcodes
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.store.database import Database
from fieldsvc.store.endpoints import Config
from handlers.base import short_type

log = get_logger()
MOST_PATTERNS = 50
_DATA, _NOTHING = frozenset(("data",)), frozenset[str]()
_PATTERN = re.compile(r"(\*|[a-z][a-z0-9_]*)(\.(\*|[a-z][a-z0-9_]*))*")


class TypeFilter:
    """A set of patterns over type names without prefix and suffix; no pattern means every type."""

    def __init__(self, patterns: Iterable[str]) -> None:
        exact, wild = set(), []
        for pattern in patterns:
            if "*" in pattern:
                wild.append(_expression(pattern))
            else:
                exact.add(pattern)
        self._all = not exact and not wild
        self._exact = exact
        self._wild = re.compile("|".join(wild)) if wild else None

    def matches(self, name: str) -> bool:
        """Tell whether a short type name (`item.delivered`) is wanted."""
        return self._all or name in self._exact or bool(self._wild and self._wild.fullmatch(name))


class EventFilter:
    """What one endpoint wants. `may_match` is pure and answers as far as a row itself can tell; `matching` answers."""

    def __init__(self, config: Config, *, renderer: Renderer, postcodes: Postcodes) -> None:
        self.view = view_of(config)
        self._types = TypeFilter(config.types)
        self._format = FORMATS[config.format]
        self._sites = frozenset(config.sites)
        self._beginnings = tuple(config.postcodes)
        self._condition = compiled(config.filter) if config.filter else None
        self._shown = self.view if self._format.reads_sealed else replace(self.view, account="")
        self._renderer = renderer
        self._postcodes = postcodes

    @classmethod
    def of(cls, config: Config, *, renderer: Renderer, database: Database) -> Self:
        """Make the filter of an endpoint, with the rights that its account has now."""
        return cls(config, renderer=renderer, postcodes=Postcodes(database))

    @property
    def looks_up(self) -> bool:
        """Whether more than the row is needed, so that `may_match` is not yet the answer."""
        return bool(self._beginnings) or self._condition is not None

    def may_match(self, row: Row) -> bool:
        """Tell whether a row may be wanted: all but postcode and condition."""
        return (
            self.view.sees(row)
            and self._types.matches(row.type)
            and (not self._sites or row.site in self._sites)
            and self._format.wants(row)
        )

    def may_be_sent(self, row: Row) -> bool:
        """Tell whether a row that was wanted once may still be sent: the account sees it, and the format can say it."""
        return self.view.sees(row) and self._format.wants(row)

    async def matching(self, rows: Sequence[Row]) -> list[bool]:
        """Tell of each row whether it is wanted; one look-up for all of them, where one is needed.

        A row of which that cannot be told is wanted, so that it is not passed over in silence: who cannot write it says so.
        """
        wanted = [self.may_match(row) for row in rows]
        if not self.looks_up or not any(wanted):
            return wanted
        left = [row for row, is_wanted in zip(rows, wanted, strict=True) if is_wanted]
        if self._beginnings:
            found = await self._postcodes.of(left)
            left = [row for row in left if found.get(row.evt_id, "").startswith(self._beginnings)]
        if self._condition is not None and left:
            bodies = await self._renderer.readable(left, self._shown)
            left = [row for row, body in zip(left, bodies, strict=True) if not body or self._holds(body)]
        kept = {id(row) for row in left}
        return [id(row) in kept for row in rows]

    def _holds(self, body: bytes) -> bool:
        event: dict[str, Any] = orjson.loads(body)
        event["site"] = event["source"].rpartition("/")[2]
        try:
            return self._condition is not None and self._condition(event, untold(event))
        except Exception as error:  # noqa: BLE001 - whatever is wrong with a row or a condition passes nothing over
            log.error("event.filter_failed", evt_id=event["id"], error=type(error).__name__)  # noqa: TRY400 - no values
            return True


def view_of(config: Config) -> View:
    """Tell what the account of an endpoint may see now, in the form that the endpoint asked for."""
    scopes = frozenset(config.scopes)
    return View(config.account, "operator" in scopes, "health" in scopes, config.thin)


def untold(event: Mapping[str, Any]) -> frozenset[str]:
    """Name the members of a public event of which a part is left out or erased."""
    return _DATA if "dataref" in event or event["data"].get("erased") is True else _NOTHING


def checked(patterns: Iterable[str]) -> list[str]:
    """Return the patterns in their short form, each once; BadRequest if one cannot match any type."""
    found = dict.fromkeys(short_type(pattern) or pattern for pattern in patterns)
    if len(found) > MOST_PATTERNS:
        raise BadRequest("Too many type filters.")
    if not all(len(pattern) <= 100 and _PATTERN.fullmatch(pattern) for pattern in found):
        raise BadRequest("A type filter is a name such as item.delivered, with * for a segment.")
    return list(found)


def _expression(pattern: str) -> str:
    *head, last = pattern.split(".")
    parts = [r"[^.]+" if segment == "*" else re.escape(segment) for segment in head]
    parts.append(r".+" if last == "*" else re.escape(last))
    return r"\.".join(parts)
