"""What phones kept while they could not send comes in behind what happens now.

After an outage every phone has hours of events to tell, at once. An upload that holds something old therefore waits for its
turn before any work is done for it: only so many old events are in hand at a time, so that the work of a fresh upload is never
behind more than those. How many that is follows from how long they take: fewer when it is longer than half a second, more again
when it is less than half of that. A few uploads wait here; who finds no room is told when to come again, each a little later than the one
before, as fast as the backlog goes down, so that the phones do not all come back at the same moment.

No order is lost by that: a phone sends its next upload when it has the answer to this one, and among uploads that are under
way together none was ever first. With nothing to wait for, nothing waits.
"""

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from fieldsvc.errors import Unavailable

OLD = timedelta(minutes=10)
IN_HAND, FEWEST_IN_HAND, WAITING = 1_000, 100, 5_000  # old events of this process
TAKES_S, SHRINKS, GROWS = 0.5, 0.7, 1.1
PATIENCE_S, LONGEST_S, SPREAD_S = 5.0, 600.0, 2.0
FIRST_PACE, LEAST_PACE, PACED_OVER_S = 1_000.0, 100.0, 5.0


class Backlog:
    """The old events of one process: how many are in hand, which uploads wait, and when the next may come again."""

    def __init__(
        self,
        *,
        in_hand: int = IN_HAND,
        waiting: int = WAITING,
        patience_s: float = PATIENCE_S,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """`patience_s` is the longest that an upload waits here; `clock` and `chance` are for tests."""
        self._patience_s = patience_s
        self._most_in_hand, self._most_waiting = in_hand, waiting
        self._room = float(in_hand)
        self._clock, self._chance = clock, chance
        self._in_hand = self._told = 0
        self._queue: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._pace, self._paced_at = FIRST_PACE, clock()  # old events a second
        self._next_at = clock()

    @property
    def waiting(self) -> int:
        """How many old events wait for their turn."""
        return sum(count for count, turn in self._queue if not turn.done())

    @asynccontextmanager
    async def turn(self, oldest_at: datetime | None, count: int, *, now: datetime) -> AsyncIterator[None]:
        """Hold an upload back until it is its turn, and count it as in hand; a fresh one passes.

        Unavailable, with the seconds until there should be room, when too many wait or it would wait for too long.
        """
        if oldest_at is None or oldest_at > now - OLD:
            yield
            return
        await self._wait(count)
        began = self._clock()
        try:
            yield
        finally:
            self._make_room(self._clock() - began)
            self._in_hand -= count
            self._told += count
            self._let_in()

    async def _wait(self, count: int) -> None:
        if not self._queue and self._fits(count):
            self._in_hand += count
            return
        if self._queue and self.waiting + count > self._most_waiting:
            raise Unavailable(retry_after_s=self._later(count))
        if not self._queue:  # how fast it went down the last time says nothing
            self._pace, self._paced_at, self._told = FIRST_PACE, self._clock(), 0
        turn = asyncio.get_running_loop().create_future()
        self._queue.append((count, turn))
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except (asyncio.CancelledError, TimeoutError) as gone:
            if turn.done() and not turn.cancelled():  # it had its turn in the moment in which it was given up
                self._in_hand -= count
            self._let_in()
            if isinstance(gone, TimeoutError):
                raise Unavailable(retry_after_s=self._later(count)) from gone
            raise

    def _fits(self, count: int) -> bool:
        return not self._in_hand or self._in_hand + count <= self._room

    def _make_room(self, took_s: float) -> None:
        """Have less in hand where it takes long, as it did for this upload, and more where it goes fast."""
        room = self._room * (SHRINKS if took_s > TAKES_S else GROWS if took_s < TAKES_S / 2 else 1.0)
        self._room = min(max(room, FEWEST_IN_HAND), self._most_in_hand)

    def _let_in(self) -> None:
        while self._queue and (self._queue[0][1].done() or self._fits(self._queue[0][0])):
            count, turn = self._queue.popleft()
            if not turn.done():
                self._in_hand += count
                turn.set_result(None)

    def _later(self, count: int) -> int:
        """Return after how many seconds to come again: behind everybody who was told so before."""
        now = self._clock()
        if (since_s := now - self._paced_at) >= PACED_OVER_S:
            self._pace = max(LEAST_PACE, self._told / since_s)
            self._paced_at, self._told = now, 0
        self._next_at = max(self._next_at, now + self._most_waiting / self._pace) + count / self._pace
        wait_s = min(self._next_at - now, LONGEST_S)
        if wait_s == LONGEST_S:  # whoever does not fit in is spread over the second half
            wait_s *= 0.5 + self._chance() / 2
        return max(1, round(wait_s + self._chance() * SPREAD_S))
