"""Who tried too often."""

from collections import OrderedDict, deque
from collections.abc import Callable


class Tries:
    """How often each source failed within `window_s`; at most `size` sources are remembered."""

    def __init__(self, *, most: int, window_s: float, size: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._window_s = window_s
        self._size = size
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()

    def too_many(self, source: str) -> bool:
        """Tell whether a source must wait."""
        failures = self._failures.get(source)
        if not failures:
            return False
        while failures and self._clock() - failures[0] >= self._window_s:
            failures.popleft()
        return len(failures) >= self._most

    def failed(self, source: str) -> None:
        """Count one failure."""
        self._failures.setdefault(source, deque(maxlen=self._most)).append(self._clock())
        self._failures.move_to_end(source)
        while len(self._failures) > self._size:
            self._failures.popitem(last=False)
