"""Since when phones are heard: what they left unsaid proves nothing right after a start or an outage.

A service that was away finds its timers due and its runs silent, while the phones still have everything. They come back within
the longest wait between two of their tries; until then nothing is held against them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

OUTAGE_S = 60.0  # phones that were left alone for less have not begun to wait long


@dataclass(slots=True)
class Hearing:
    """`patience_s` is how long phones are given; 0: none of it."""

    patience_s: float = 0.0
    clock: Callable[[], float] = time.monotonic
    _since: float | None = field(default=None, init=False)
    _last: float = field(default=0.0, init=False)

    def note(self) -> None:
        """The service and its database are there now; said again and again, so that a gap is an outage."""
        now = self.clock()
        if self._since is None or now - self._last > OUTAGE_S:
            self._since = now
        self._last = now

    @property
    def is_settled(self) -> bool:
        """Whether phones have had the time to bring what they have."""
        if self.patience_s <= 0:
            return True
        return self._since is not None and self.clock() - self._since >= self.patience_s
