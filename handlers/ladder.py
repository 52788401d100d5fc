"""The alert ladder: who is told next while nobody says that they have it.

A ladder is a tuple of steps. Rung 0 is the raising itself, on the screens of the office; rung n is step n, reached when the
rung before it stood for `after_s` seconds without an acknowledgement. Waiting is counted from when something was *known*, so
that what a phone says hours late, or a service that was down, never climbs two rungs at once. The timers are the journal's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, slots=True)
class Step:
    """Who is told, and how long the rung before waits."""

    who: str
    after_s: float


Ladder = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Rung:
    """A step that was taken: its number from 1, when it was due, and when that was known."""

    number: int
    at: str
    known_at: datetime


@dataclass(frozen=True, slots=True)
class Climb:
    """How far a ladder was climbed; `next_at` is None once somebody has it, or at the last rung."""

    rung: int
    next_at: datetime | None

    @property
    def next_rung(self) -> int:
        """The number of the step that is due next."""
        return self.rung + 1


def climb(ladder: Ladder, *, begun: datetime, rungs: Sequence[Rung], stopped_at: str | None) -> Climb:
    """Fold the rungs, in any order, into how far it went before it was stopped (RFC 3339, None = it still stands)."""
    taken: dict[int, Rung] = {}
    for each in sorted(rungs, key=lambda rung: (rung.known_at, rung.number)):
        if each.number == len(taken) + 1 <= len(ladder):
            taken[each.number] = each
    reached = sum(stopped_at is None or each.at < stopped_at for each in taken.values())
    if stopped_at is not None or len(taken) == len(ladder):
        return Climb(reached, None)
    since = taken[len(taken)].known_at if taken else begun
    return Climb(reached, since + timedelta(seconds=ladder[len(taken)].after_s))


def length(ladder: Ladder) -> timedelta:
    """How long it takes until the last rung if nobody answers."""
    return timedelta(seconds=sum(step.after_s for step in ladder))
