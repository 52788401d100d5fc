"""Duty: when the positions of a run count. Decided by the journal, read from its committed state."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from geo import Fix
from handlers.fields import parse_time

END = datetime(9000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Duty:
    """The times on duty, each up to and without its end: not before the start, not in a pause, never in a mandate."""

    intervals: tuple[tuple[datetime, datetime], ...] = ()

    def covers(self, at: datetime) -> bool:
        """Tell whether a position of that moment counts."""
        return any(first <= at < until for first, until in self.intervals)

    def split(self, fixes: Iterable[Fix]) -> tuple[list[Fix], list[Fix]]:
        """Tell the fixes on duty from the others."""
        on: list[Fix] = []
        off: list[Fix] = []
        for fix in fixes:
            (on if self.covers(fix.fixed_at) else off).append(fix)
        return on, off


def read_duty(body: bytes | None) -> Duty:
    """Read the duty from the state of a run; without a state there is none."""
    if body is None:
        return Duty()
    told: Sequence[Sequence[str | None]] = orjson.loads(body).get("now", {}).get("intervals", ())
    return Duty(tuple((parse_time(first), parse_time(until) if until else END) for first, until in told))
