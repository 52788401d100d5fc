"""For how long everything that was sent to an endpoint has failed, and what is due then: a word to its people, at last the end.

Pure: every moment is an argument; what it knows is kept with the lane, so that it survives its owner. One success ends it. It
looks when something fails: an endpoint that nothing is sent to is not failing, and after two days without an attempt the count
begins anew. Nothing is discarded at the end either: the endpoint is disabled, and its cursor stands until somebody resumes it.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

STEPS = (50, 70, 90, 100)  # percent of the time after which an endpoint is disabled
KEPT_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long an endpoint may fail: `after` all in all, with failures that lie `spread` apart and no gap of `quiet`."""

    after: timedelta = timedelta(days=5)
    spread: timedelta = timedelta(hours=12)
    quiet: timedelta = timedelta(days=2)

    def ends_at(self, failing_since: datetime) -> datetime:
        """Return when an endpoint that fails on is disabled."""
        return failing_since + self.after


@dataclass(slots=True)
class Outage:
    """An endpoint of which everything fails since `failing_since`; `warned` is the last step that was reached."""

    failing_since: datetime | None = None
    last_failed_at: datetime | None = None
    warned: int = 0
    patience: Patience = Patience()
    _kept_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        """Whether the endpoint is to be disabled."""
        return self.warned == STEPS[-1]

    @property
    def kept(self) -> tuple[datetime | None, datetime | None, int]:
        """Return what is kept with the lane."""
        return self.failing_since, self.last_failed_at, self.warned

    def succeeded(self) -> bool:
        """Note a success, which ends it; tell whether that changes what is kept."""
        if self.failing_since is None:
            return False
        self.failing_since = self.last_failed_at = self._kept_at = None
        self.warned = 0
        return True

    def failed(self, now: datetime) -> bool:
        """Note a failure; tell whether that changes what is kept: a step, or the moment, which is kept to the minute."""
        if self.failing_since is None or self.last_failed_at is None or now - self.last_failed_at > self.patience.quiet:
            self.failing_since, self.last_failed_at, self.warned = now, now, 0
        self.last_failed_at = max(now, self.last_failed_at)
        before, self.warned = self.warned, max(self.warned, self._reached(self.last_failed_at - self.failing_since))
        is_due = self._kept_at is None or self.last_failed_at - self._kept_at >= KEPT_EVERY
        if is_due:
            self._kept_at = self.last_failed_at
        return is_due or self.warned != before

    def _reached(self, failing: timedelta) -> int:
        if failing < self.patience.spread:
            return 0
        return max((step for step in STEPS if failing >= self.patience.after * step / 100), default=0)
