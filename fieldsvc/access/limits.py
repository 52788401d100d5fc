"""How often a caller may ask: buckets of tokens, in a memory of bounded size."""

import random
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from math import ceil

MEMORY = 50_000


@dataclass(frozen=True, slots=True)
class Rate:
    """A bucket of `most` tokens that fills up again in `window_s`; `name` is what the answer calls it."""

    name: str
    most: int
    window_s: float

    @property
    def policy(self) -> str:
        """Write it as a RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers-10)."""
        return f'"{self.name}";q={self.most};w={ceil(self.window_s)}'


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a caller may go on, how many more times at once, and in how many seconds there is one more, or all again."""

    allowed: bool
    left: int
    wait_s: float
    full_in_s: float


class Limits:
    """The buckets of every caller for one rate. Who is forgotten for want of room begins with a full bucket."""

    def __init__(self, rate: Rate, *, clock: Callable[[], float], size: int = MEMORY) -> None:
        self.rate = rate
        self._clock = clock
        self._size = size
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._buckets)

    def take(self, caller: str) -> Verdict:
        """Take a token, if there is one."""
        tokens = self._tokens(caller)
        allowed = tokens >= 1
        if allowed:
            tokens -= 1
        self._keep(caller, tokens)
        return self._verdict(tokens, allowed=allowed)

    def peek(self, caller: str) -> Verdict:
        """Tell what `take` would find, and take nothing."""
        tokens = self._tokens(caller)
        return self._verdict(tokens, allowed=tokens >= 1)

    def knows(self, caller: str) -> bool:
        """Tell whether a caller is remembered."""
        return caller in self._buckets

    def _tokens(self, caller: str) -> float:
        found = self._buckets.get(caller)
        if found is None:
            return float(self.rate.most)
        tokens, at = found
        return min(self.rate.most, tokens + (self._clock() - at) * self.rate.most / self.rate.window_s)

    def _keep(self, caller: str, tokens: float) -> None:
        self._buckets[caller] = (tokens, self._clock())
        self._buckets.move_to_end(caller)
        while len(self._buckets) > self._size:
            self._buckets.popitem(last=False)

    def _verdict(self, tokens: float, *, allowed: bool) -> Verdict:
        each_s = self.rate.window_s / self.rate.most
        wait_s = 0.0 if allowed else (1 - tokens) * each_s
        return Verdict(allowed, int(tokens), wait_s, (self.rate.most - tokens) * each_s)


def retry_after(wait_s: float, chance: random.Random) -> int:
    """Say in whole seconds when to come again: spread over as long again, so that not all who waited come at once."""
    return max(1, ceil(wait_s + chance.uniform(0, max(1.0, wait_s))))
