"""The breaker of one endpoint: when it fails as a whole, its cursor stands still and one probe at a time asks again.

Pure: every moment is an argument. It opens on ten requests in five minutes of which 70 % failed, over at least three
subjects and 70 % of those seen (a few subjects that fail alone are parked, and never open it); or on three refused
connections in a row, which no content can cause; or on ten subjects that failed and nothing that succeeded between, however long
that took: an endpoint with little to do can be down as well. Five acknowledged probes in a row close it. Beside it counts the
`outage`: for how long nothing at all has succeeded.
"""

from collections import Counter, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from fieldsvc.publishing.outage import Outage

Kept = tuple[datetime | None, datetime | None, int, datetime | None, datetime | None, datetime | None, int]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a breaker opens and for how long."""

    window_s: float = 300.0
    requests: int = 10
    share: float = 0.7
    subjects: int = 3
    unreachable: int = 3
    successes: int = 5
    first_open_s: float = 30.0
    longest_open_s: float = 600.0

    @classmethod
    def for_schedule(cls, schedule: tuple[float, ...]) -> "Limits":
        """Fit the times to a retry schedule that is shorter than the usual one."""
        waits = [wait for wait in schedule if wait > 0] or [1.0]
        first = min(cls().first_open_s, waits[min(1, len(waits) - 1)])
        return cls(first_open_s=first, longest_open_s=max(first, min(cls().longest_open_s, waits[-1])))


@dataclass(slots=True)
class Breaker:
    """Closed, or open since `opened_at` with the next probe at `probe_at`; `held_until` is what the receiver asked for."""

    limits: Limits
    opened_at: datetime | None = None
    probe_at: datetime | None = None
    step: int = 0
    held_until: datetime | None = None
    outage: Outage = field(default_factory=Outage)
    changed: bool = False
    _window: deque[tuple[datetime, str, bool]] = field(default_factory=deque)
    _failing: set[str] = field(default_factory=set)  # since the last success
    _unreachable: int = 0
    _successes: int = 0

    @property
    def is_closed(self) -> bool:
        """Whether requests flow."""
        return self.opened_at is None

    @property
    def kept(self) -> Kept:
        """Return what is kept with the lane: opened_at, probe_at, step, held_until, failing_since, last_failed_at, warned."""
        return self.opened_at, self.probe_at, self.step, self.held_until, *self.outage.kept

    def may_send(self, now: datetime) -> bool:
        """Tell whether anything may be sent: all of it when closed, one probe when open."""
        if self.held_until is not None and now < self.held_until:
            return False
        return self.probe_at is None or now >= self.probe_at

    def next_at(self) -> datetime | None:
        """Return the moment before which nothing may be sent."""
        return max((moment for moment in (self.held_until, self.probe_at) if moment is not None), default=None)

    def hold(self, until: datetime) -> None:
        """Send nothing before a moment; a shorter wait than the one that stands changes nothing."""
        if self.held_until is None or until > self.held_until:
            self.held_until, self.changed = until, True

    def succeeded(self, subject: str, now: datetime) -> timedelta | None:
        """Note a success; when it closes the breaker, return for how long it was open."""
        self._note(subject, now, failed=False)
        self.changed = self.outage.succeeded() or self.changed
        self._unreachable = 0
        self._failing.clear()
        if self.opened_at is None:
            return None
        self._successes += 1
        self.probe_at, self.changed = now, True
        if self._successes < self.limits.successes:
            return None
        was_open = now - self.opened_at
        self.opened_at = self.probe_at = None
        self.step = self._successes = 0
        self._window.clear()
        return was_open

    def failed(self, subject: str, now: datetime, *, unreachable: bool) -> None:
        """Note a failure; it may open the breaker, or keep it open for longer."""
        self._note(subject, now, failed=True)
        self.changed = self.outage.failed(now) or self.changed
        self._unreachable = self._unreachable + 1 if unreachable else 0
        if len(self._failing) < self.limits.requests:
            self._failing.add(subject)
        if self.opened_at is not None:
            if self.probe_at is None or now >= self.probe_at:
                self.step += 1
                self._wait(now)
        elif self._unreachable >= self.limits.unreachable or self._fails_as_a_whole():
            self.opened_at, self.step = now, 0
            self._wait(now)

    def _wait(self, now: datetime) -> None:
        open_s = min(self.limits.longest_open_s, self.limits.first_open_s * 2 ** min(self.step, 20))
        self.probe_at = now + timedelta(seconds=open_s)
        self._successes, self.changed = 0, True

    def _note(self, subject: str, now: datetime, *, failed: bool) -> None:
        self._window.append((now, subject, failed))
        start = now - timedelta(seconds=self.limits.window_s)
        while self._window[0][0] < start or len(self._window) > 10 * self.limits.requests:
            self._window.popleft()

    def _fails_as_a_whole(self) -> bool:
        if len(self._failing) >= self.limits.requests:
            return True
        if len(self._window) < self.limits.requests:
            return False
        latest = {subject: failed for _at, subject, failed in self._window}
        failing = sum(latest.values())
        outcomes = Counter(failed for _at, _subject, failed in self._window)
        enough = outcomes[True] >= self.limits.share * len(self._window)
        return enough and failing >= self.limits.subjects and failing >= self.limits.share * len(latest)
