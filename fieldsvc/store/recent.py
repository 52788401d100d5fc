"""A small bounded memory of what was looked up in the last seconds."""

from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Recent(Generic[Key, Value]):
    """Values not older than `ttl_s`, at most `size` of them; the one used longest ago leaves first.

    With `weigh` a value counts as much as it weighs, a number that never changes for it.
    """

    def __init__(
        self, *, size: int, ttl_s: float, clock: Callable[[], float], weigh: Callable[[Value], int] = lambda _value: 1
    ) -> None:
        self._size = size
        self._ttl_s = ttl_s
        self._clock = clock
        self._weigh = weigh
        self._weight = 0
        self._values: OrderedDict[Key, tuple[float, Value]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, key: Key) -> Value | None:
        """Return what is known of a key and still fresh."""
        found = self._values.get(key)
        if found is None:
            return None
        if self._clock() - found[0] >= self._ttl_s:
            self.drop(key)
            return None
        self._values.move_to_end(key)
        return found[1]

    def put(self, key: Key, value: Value, *, since: float) -> None:
        """Remember a value that was true at `since` on the clock, taken before it was looked up."""
        self.drop(key)
        self._values[key] = (since, value)
        self._weight += self._weigh(value)
        while self._weight > self._size:
            self.drop(next(iter(self._values)))

    def drop(self, key: Key) -> None:
        """Forget one value."""
        gone = self._values.pop(key, None)
        if gone is not None:
            self._weight -= self._weigh(gone[1])

    def items(self) -> list[tuple[Key, Value]]:
        """Return all that is known, fresh or not."""
        return [(key, value) for key, (_since, value) in self._values.items()]

    def clear(self) -> None:
        """Forget everything."""
        self._values.clear()
        self._weight = 0
