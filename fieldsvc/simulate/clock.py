"""The carriers' clock: a past shift replayed at `speed`, until it reaches now; from then on it is the wall clock."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

SHIFT_STARTS_HOUR = 8
REPLAYED_AT_LEAST = timedelta(hours=6)


@dataclass(frozen=True, slots=True)
class ReplayClock:
    """Unix seconds as the carriers live them: `start_at + speed * elapsed`, never later than the wall clock."""

    start_at: float
    speed: float
    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    began: float = field(default=-1.0)

    def __post_init__(self) -> None:
        if self.began < 0:
            object.__setattr__(self, "began", self.monotonic())

    def now(self) -> float:
        """Return the simulated moment."""
        return min(self.start_at + self.speed * (self.monotonic() - self.began), self.wall())

    def is_live(self) -> bool:
        """Say whether the replay has reached the wall clock."""
        return self.now() >= self.wall() - 1e-3

    def real_delay(self, at: float) -> float:
        """Return how many real seconds to wait until the simulated moment `at`; 0 when it is past."""
        now, wall = self.now(), self.wall()
        if at <= now:
            return 0.0
        if now < wall and self.speed > 1:
            meets_after = (wall - now) / (self.speed - 1)
            if at <= now + self.speed * meets_after:
                return (at - now) / self.speed
        return at - wall if at > wall else (at - now) / self.speed


def shift_start(now: float, *, speed: float, timezone: str = "Europe/Paris") -> float:
    """Return when the replayed shift starts, in unix seconds.

    08:00 of the local day or six hours ago, whichever is earlier, but never before that day: a run belongs to one day.
    At a speed of 1 or less nothing is replayed: it starts now.
    """
    if speed <= 1:
        return now
    local = datetime.fromtimestamp(now, UTC).astimezone(ZoneInfo(timezone))
    midnight = local.replace(hour=0, minute=0, second=0, microsecond=0)
    morning = local.replace(hour=SHIFT_STARTS_HOUR, minute=0, second=0, microsecond=0)
    return max(midnight.timestamp(), min(morning.timestamp(), now - REPLAYED_AT_LEAST.total_seconds()))
