"""Cells, and the steps in which alone they move: at least five things of three carriers at a time. Pure.

`strength` is how many of a cell's things may be taken out again before it could be that five of three carriers are not left.
A step of additions brings as much as it takes to break it; a thing that is taken out costs one. Why that holds: what is left
of a cell falls short only if the additions of every step were broken, one by one.
"""

import hashlib
import hmac
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

ANSWERS, CARRIERS = 5, 3
_MARK_BYTES = 16


@dataclass(frozen=True, slots=True, order=True)
class CellKey:
    """One figure: `account` is empty for all orders; `month` is its first day."""

    account: str
    month: date
    site: str
    service: str
    kpi: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """What one thing is to change in a cell; `mark` tells its carrier from others, None where no carrier is known."""

    mark: bytes | None
    numerator: int
    denominator: int


@dataclass(frozen=True, slots=True)
class Step:
    """What is added to a cell at once."""

    numerator: int
    denominator: int
    strength: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One figure as it is kept."""

    month: date
    service: str
    site: str
    kpi: str
    numerator: int
    denominator: int
    strength: int

    @property
    def is_shown(self) -> bool:
        """Whether at least five things of three carriers are surely in it."""
        return self.strength >= 1 and self.denominator >= ANSWERS


def step(waiting: Sequence[Waiting]) -> Step | None:
    """Add what waits for one cell up, if it keeps each other company: five things, three carriers. None otherwise."""
    if len(waiting) < ANSWERS or len({each.mark for each in waiting if each.mark}) < CARRIERS:
        return None
    added = [each for each in waiting if each.denominator > 0]
    taken = sum(each.denominator < 0 for each in waiting)
    return Step(
        sum(each.numerator for each in waiting),
        sum(each.denominator for each in waiting),
        _strength(added) - taken,
    )


def _strength(added: Sequence[Waiting]) -> int:
    """Count how many of these things one has to take out until fewer than five, or of fewer than three carriers, are left."""
    known = Counter(each.mark for each in added if each.mark)
    two = sum(count for _, count in known.most_common(CARRIERS - 1))
    return max(0, min(len(added) - ANSWERS + 1, known.total() - two))


def mark(key: bytes, cell: CellKey, carrier: str) -> bytes:
    """Make the mark of a carrier in a cell: the same within it, another in any other, and nothing without the key."""
    fields = cell.account, cell.month.isoformat(), cell.site, cell.service, cell.kpi, carrier
    return hmac.digest(key, "\x1f".join(fields).encode(), hashlib.sha256)[:_MARK_BYTES]
