"""How fast one endpoint may be sent to: its own limits, what it asks for, and what it turned out to bear.

Pure: every moment is an argument, in seconds of the monotonic clock. A bucket holds events and spends them at the start of a
request; a batch may overdraw it, and waits longer afterwards. Whoever answers 429, 502, 503 or 504, or not in time, gets half
as much from then on, and each second that goes well gives a tenth back (additive increase, multiplicative decrease).
"""

import re
from dataclasses import dataclass, field
from http import HTTPStatus

from fieldsvc.publishing.webhooks import Outcome

BURST_S = 0.1
REGAINED_IN_S = 10.0  # a whole rate
LEAST_PER_S = 1.0
MEASURED_OVER_S = 1.0
FORGET_ABOVE = 2.0
TOO_FAST = frozenset(
    {
        HTTPStatus.TOO_MANY_REQUESTS,
        HTTPStatus.BAD_GATEWAY,
        HTTPStatus.SERVICE_UNAVAILABLE,
        HTTPStatus.GATEWAY_TIMEOUT,
    }
)
_WHOLE = 1.0 - 1e-6  # what rounding leaves of a token
_ALLOWED = re.compile(r"[0-9]{1,9}\Z")


@dataclass(slots=True)
class _Bucket:
    """Tokens that come at `per_s`; None lets everything through."""

    per_s: float | None
    tokens: float = 1.0
    at: float | None = None

    def may(self, now: float) -> bool:
        self._fill(now)
        return self.per_s is None or self.tokens >= _WHOLE

    def spend(self, count: int, now: float) -> None:
        self._fill(now)
        self.tokens -= count

    def next_at(self) -> float | None:
        if self.per_s is None or self.tokens >= _WHOLE or self.at is None:
            return None
        return self.at + (1.0 - self.tokens) / self.per_s

    def set(self, per_s: float | None, now: float) -> None:
        self._fill(now)
        if self.per_s is None:
            self.tokens = 1.0
        self.per_s = per_s

    def _fill(self, now: float) -> None:
        if self.per_s is not None and self.at is not None:
            most = max(1.0, self.per_s * BURST_S)
            self.tokens = min(most, self.tokens + max(0.0, now - self.at) * self.per_s)
        self.at = now if self.at is None else max(now, self.at)


@dataclass(slots=True)
class Throttle:
    """The pace of one endpoint: `rate_per_s` events a second (None: no limit of its own), `in_flight` requests at once."""

    rate_per_s: float | None
    in_flight: int
    _events: _Bucket = field(init=False)
    _requests: _Bucket = field(default_factory=lambda: _Bucket(None))
    _peak: float = 0.0
    _cut_at: float | None = None
    _grown_at: float = 0.0
    _window: tuple[float, float] = (0.0, 0.0)  # since when, how many events
    _measured: float = 0.0

    def __post_init__(self) -> None:
        self._events = _Bucket(self.rate_per_s)

    @property
    def per_s(self) -> float | None:
        """The events a second that may be sent now; None: as many as there are."""
        return self._events.per_s

    def may_start(self, now: float, running: int) -> bool:
        """Tell whether one more request may start beside those that run."""
        return running < self.in_flight and self._events.may(now) and self._requests.may(now)

    def next_at(self) -> float | None:
        """Return the moment from which the rate lets a request start; None if it already does."""
        moments = [at for bucket in (self._events, self._requests) if (at := bucket.next_at()) is not None]
        return max(moments, default=None)

    def started(self, now: float, events: int) -> None:
        """Note that a request with so many events begins."""
        self._events.spend(events, now)
        self._requests.spend(1, now)
        since, count = self._window
        if now - since >= MEASURED_OVER_S:
            self._measured = count / max(now - since, MEASURED_OVER_S)
            since, count = now, 0.0
        self._window = since, count + events

    def ended(self, outcome: Outcome, now: float) -> None:
        """Note how a request ended: halve the rate, give some of it back, or take the ceiling that it names."""
        self._allow(outcome.allowed_rate, now)
        if outcome.ok:
            self._grow(now)
        elif outcome.status in TOO_FAST or outcome.error == "timeout":
            self._cut(now, began=now - outcome.ms / 1000)

    def _cut(self, now: float, *, began: float) -> None:
        """Halve, once for all that was in flight together: what began before the last time says nothing new."""
        if self._cut_at is not None and began < self._cut_at:
            return
        least = min(LEAST_PER_S, self.rate_per_s or LEAST_PER_S)
        was = self._events.per_s
        if was is None:
            was = max(self._measured, self._window[1], least)
        self._peak = max(was, least)
        self._events.set(max(was / 2, least), now)
        self._cut_at = self._grown_at = now

    def _grow(self, now: float) -> None:
        per_s = self._events.per_s
        if self._cut_at is None or per_s is None:
            return
        grown = per_s + self._peak * min(1.0, now - self._grown_at) / REGAINED_IN_S
        self._grown_at = now
        if self.rate_per_s is not None and grown >= self.rate_per_s:
            grown, self._cut_at = self.rate_per_s, None
        is_free = self.rate_per_s is None and grown > FORGET_ABOVE * self._peak
        self._events.set(None if is_free else grown, now)
        if is_free:
            self._cut_at = None

    def _allow(self, header: str | None, now: float) -> None:
        """Take a ceiling of requests a minute, or `*` for none; anything else is not read (CloudEvents webhooks, 4.2)."""
        text = (header or "").strip()
        if text == "*":
            self._requests.set(None, now)
        elif _ALLOWED.match(text) and int(text) > 0 and int(text) / 60 != self._requests.per_s:
            self._requests.set(int(text) / 60, now)
