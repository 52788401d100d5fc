"""What a writer of a format is given: one row as one view may see it, what was said before it, and where we are. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import Any, NamedTuple
from urllib.parse import quote

from pydantic import BaseModel

from fieldsvc.journal.reader import Row
from fieldsvc.publishing.formats.cloudevents import Opened, Seen, View, seen
from fieldsvc.settings import Settings
from handlers import corrections, item, medication

CORRECTED = corrections.NAME
PUBLISHED: Mapping[str, type[BaseModel]] = MappingProxyType(
    {
        each.name: each.data
        for each in (*item.HANDLER.publishes, *medication.HANDLER.publishes, corrections.PUBLISHED)
        if each.name.startswith(("item.", "medication.")) or each.name == CORRECTED
    }
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where we are: the zone of local times, under which URI our things have their names, the address of our pages."""

    zone: tzinfo = UTC
    namespace: str = "fieldsvc://local"
    address: str = "http://127.0.0.1:8080"

    @classmethod
    def of(cls, settings: Settings) -> "Origin":
        """Take it from the settings."""
        return cls(settings.zone, settings.namespace, settings.address)

    def uri(self, *parts: str) -> str:
        """Name a thing: `<namespace>/item/RK123456785FR`."""
        return "/".join((self.namespace, *(quote(part, safe="") for part in parts)))

    def thing(self, subject: str) -> str:
        """Name what an event is about."""
        return self.uri(*subject.split("/", 1))

    def time(self, moment: datetime) -> str:
        """Write a moment with its local offset, to the millisecond."""
        return moment.astimezone(self.zone).isoformat(timespec="milliseconds")


class Told(NamedTuple):
    """One row to write; `earlier` are the rows that its format needs beside it, each with its opened parts."""

    row: Row
    opened: Opened
    view: View
    origin: Origin
    earlier: Sequence[tuple[Row, Opened]] = ()

    @property
    def seen(self) -> Seen:
        """What the view sees of the row."""
        return seen(self.row, self.opened, self.view)

    def before(self) -> Iterator["Told"]:
        """Yield the earlier rows that the view may see."""
        for row, opened in self.earlier:
            if self.view.sees(row):
                yield Told(row, opened, self.view, self.origin)


def paths(model: type[BaseModel]) -> tuple[str, ...]:
    """Name the fields of public data, those of an object inside with a dot: `located.stop_id`."""
    schema = model.model_json_schema(by_alias=True)
    return tuple(_paths(schema, schema.get("$defs", {}), ""))


def lost(event_type: str, carried: frozenset[str]) -> tuple[str, ...]:
    """Name the fields of a type's public data that are not among the carried ones."""
    return tuple(path for path in paths(PUBLISHED[event_type]) if path not in carried)


def left_behind(data: Mapping[str, Any], lost_paths: Sequence[str]) -> list[str]:
    """Name those of the fields that this very event has."""
    return [path for path in lost_paths if _has(data, path)]


def _has(data: Mapping[str, Any], path: str) -> bool:
    found: Any = data
    for name in path.split("."):
        if not isinstance(found, Mapping) or name not in found:
            return False
        found = found[name]
    return True


def _paths(schema: Mapping[str, Any], parts: Mapping[str, Any], before: str) -> Iterator[str]:
    for name, shown in schema.get("properties", {}).items():
        pointer = next((arm["$ref"] for arm in (shown, *shown.get("anyOf", ())) if "$ref" in arm), None)
        inner = parts[pointer.rpartition("/")[2]] if pointer else {}
        if "properties" in inner:
            yield from _paths(inner, parts, f"{before}{name}.")
        else:
            yield f"{before}{name}"
