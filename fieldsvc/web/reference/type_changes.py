"""What changed in a type that subscribers receive, newest first: a line each, in both languages, with its day.

Inside a version fields are only ever added, and readers leave alone what they do not know; anything else is a new version beside
the old one, which goes on for a year. A type without a line here is as it was when it was first published.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date


@dataclass(frozen=True, slots=True)
class Change:
    """One change of one type."""

    on: date
    version: str
    says: Mapping[str, str]


CHANGES: Mapping[str, Sequence[Change]] = {}
