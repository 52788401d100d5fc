"""Which types an endpoint wants: `*` stands for one segment, and at the end for everything that follows."""

import re
from collections.abc import Iterable

from fieldsvc.errors import BadRequest
from handlers.base import short_type

MOST_PATTERNS = 50
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
