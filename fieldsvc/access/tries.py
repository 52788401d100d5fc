"""Who tried too often."""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Tries:
    """How often each source failed within `window_s`; at most `size` sources are remembered."""

    def __init__(self, *, most: int, window_s: float, size: int, clock: Callable[[], float]) -> None:
        self._most = most
        self._window_s = window_s
        self._size = size
        self._clock = clock
        self._failures: OrderedDict[str, deque[float]] = OrderedDict()
        self._under_way: Counter[str] = Counter()

    def too_many(self, source: str) -> bool:
        """Tell whether a source must wait; tries that are under way count as failed, else a hundred at once were one."""
        failures = self._failures.get(source) or ()
        while failures and self._clock() - failures[0] >= self._window_s:
            failures.popleft()
        return len(failures) + self._under_way[source] >= self._most

    @contextmanager
    def under_way(self, *sources: str) -> Iterator[None]:
        """Count a try of these sources while its outcome is not known."""
        self._under_way.update(sources)
        try:
            yield
        finally:
            self._under_way.subtract(sources)
            for source in sources:
                if not self._under_way[source]:
                    del self._under_way[source]

    def failed(self, source: str) -> None:
        """Count one failure."""
        self._failures.setdefault(source, deque(maxlen=self._most)).append(self._clock())
        self._failures.move_to_end(source)
        while len(self._failures) > self._size:
            self._failures.popitem(last=False)
