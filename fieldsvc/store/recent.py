"""A small bounded memory of what was looked up in the last seconds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values not older than `ttl_s`, at most `size` of them; the one used longest ago leaves first."""

    def __init__(self, *, size: int, ttl_s: float, clock: Callable[[], float]) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return what is known of a key and still fresh."""
        found = self._values.get(key)
        if found is None:
            return None
        if self._clock() - found[0] >= self._ttl_s:
            del self._values[key]
            return None
        self._values.move_to_end(key)
        return found[1]

    def put(self, key: Key, value: Value, *, since: float) -> None:
        """Remember a value that was true at `since` on the clock, taken before it was looked up."""
        self._values[key] = (since, value)
        self._values.move_to_end(key)
        while len(self._values) > self._size:
            self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
