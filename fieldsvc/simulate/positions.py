"""A phone's queue of positions and how each kind of app empties it: what it does when nobody answers, or answers no.

Times of fixes come from the GPS and are right, whatever the phone's clock says; so no upload says when it was sent.
"""

from collections import deque
from collections.abc import Callable
from random import Random
from typing import Any, Protocol

from fieldsvc.simulate.apps import App, Message, Reading, positions
from fieldsvc.simulate.gps import Fix
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.phones import retry_after_s
from fieldsvc.simulate.transport import Answer, NoAnswer, Wire

MOST_FIXES = 1000
PAGE_PATIENCE_S = (1.0, 60.0)
HALF_FULL = 50
LOST_RATE, TWICE_RATE = 0.02, 0.03
OWNTRACKS_PATIENCE_S = (1.0, 120.0)
OTHER_TRIES = 10
SAME_AGAIN_S = 30.0


class Sender(Protocol):
    """The positions of one phone: those that wait, and one request at a time."""

    @property
    def pending(self) -> int: ...
    @property
    def oldest_at(self) -> float | None: ...
    def take(self, fix: Fix) -> None: ...
    async def send(self) -> float: ...


class Battery:
    """A battery that was full in the morning: a tenth less each hour."""

    def __init__(self, rng: Random) -> None:
        self._full = rng.randint(82, 100)
        self._from: float | None = None

    def at(self, moment: float) -> int:
        """Return per cent."""
        self._from = moment if self._from is None else self._from
        return max(4, round(self._full - 10 * max(0.0, moment - self._from) / 3600))


class PageSender:
    """Our phone page: batches to `/v1/positions`, as many as 1,000 fixes; the same ones again until they are answered."""

    def __init__(
        self,
        wire: Wire,
        token: str,
        *,
        ledger: Ledger,
        rng: Random,
        wall: Callable[[], float],
        lost_rate: float = LOST_RATE,
    ) -> None:
        self._wire = wire
        self._lost_rate = lost_rate
        self._bearer = {"Authorization": f"Bearer {token}"}
        self._ledger = ledger
        self._rng = rng
        self._wall = wall
        self._battery = Battery(rng)
        self._waiting: deque[Reading] = deque()
        self._limit = MOST_FIXES
        self._failures = 0

    @property
    def pending(self) -> int:
        return len(self._waiting)

    @property
    def oldest_at(self) -> float | None:
        return self._waiting[0].fix.at if self._waiting else None

    def take(self, fix: Fix) -> None:
        """Queue a fix."""
        self._ledger.count("fixes")
        self._waiting.append(Reading(fix, fix.at, self._battery.at(fix.at)))

    async def send(self) -> float:
        """Send one batch, the oldest fixes first; return the real seconds to wait before the next."""
        batch = [self._waiting[n] for n in range(min(self._limit, len(self._waiting)))]
        if not batch:
            return 0.0
        message = positions(batch, compressed=len(batch) >= HALF_FULL or self._rng.random() < 0.3)
        try:
            answer = await self._post(message)
        except NoAnswer:
            return self._again(None)
        counts = answer.json() if answer.status == 200 else None
        if not isinstance(counts, dict):
            return self._again(answer)
        self._answered(len(batch), counts)
        return 0.0

    async def _post(self, message: Message) -> Answer:
        answer = await asked(self._wire, message, self._ledger, headers=self._bearer)
        if self._rng.random() < TWICE_RATE:
            answer = await asked(self._wire, message, self._ledger, headers=self._bearer)
        if self._rng.random() < self._lost_rate:
            raise NoAnswer("lost")
        return answer

    def _answered(self, count: int, counts: dict[str, Any]) -> None:
        self._failures = 0
        self._limit = min(MOST_FIXES, self._limit * 2)
        for _ in range(count):
            self._waiting.popleft()
        self._ledger.count("fixes_sent", count)
        self._ledger.count("fixes_taken", int(counts.get("taken", 0)))
        self._ledger.count("fixes_off_duty", int(counts.get("off_duty_discarded", 0)))

    def _again(self, answer: Answer | None) -> float:
        """Return the wait before the same fixes go again; a batch that is too large is halved."""
        self._failures += 1
        self._ledger.count("position_retries")
        if answer is not None and answer.status == 413:
            self._limit = max(1, self._limit // 2)
        wish = retry_after_s(answer.header("Retry-After"), now=self._wall()) if answer is not None else None
        if wish is not None:
            return wish + self._rng.uniform(0, 1)
        first, most = PAGE_PATIENCE_S
        return self._rng.uniform(0.5, 1.0) * doubling(first, most, self._failures)


class HeadSender:
    """An app that sends one message a request, the head of its queue again and again until a 2xx.

    OwnTracks waits 1 s, doubling to 2 minutes, and gives a message that is no location up after ten tries; the others try
    the same one every 30 s for ever (read at the source for Traccar Client up to 8; taken over for OsmAnd and for 9).
    """

    def __init__(
        self,
        wire: Wire,
        app: App,
        *,
        ledger: Ledger,
        rng: Random,
        skew_s: float = 0.0,
        lost_rate: float = LOST_RATE,
        patience_s: tuple[float, float] = (SAME_AGAIN_S, SAME_AGAIN_S),
        other_tries: int | None = None,
    ) -> None:
        self._wire = wire
        self._lost_rate = lost_rate
        self._app = app
        self._ledger = ledger
        self._rng = rng
        self._skew_s = skew_s
        self._patience_s = patience_s
        self._other_tries = other_tries
        self._battery = Battery(rng)
        self._waiting: deque[tuple[float, Message]] = deque()
        self._tries = 0

    @property
    def pending(self) -> int:
        return len(self._waiting)

    @property
    def oldest_at(self) -> float | None:
        return self._waiting[0][0] if self._waiting else None

    def take(self, fix: Fix) -> None:
        """Queue the messages of a fix."""
        self._ledger.count("fixes")
        reading = Reading(fix, fix.at + self._skew_s, self._battery.at(fix.at))
        self._waiting.extend((fix.at, message) for message in self._app.messages(reading))

    async def send(self) -> float:
        """Send the head of the queue; return the real seconds to wait before the next request."""
        if not self._waiting:
            return 0.0
        message = self._waiting[0][1]
        try:
            answer = await asked(self._wire, message, self._ledger)
            good = 200 <= answer.status < 300 and self._rng.random() >= self._lost_rate
        except NoAnswer:
            good = False
        if good:
            return self._done(message)
        self._tries += 1
        self._ledger.count("position_retries")
        if self._other_tries is not None and not message.fixes and self._tries >= self._other_tries:
            self._ledger.count("positions_given_up")
            return self._done(None)
        first, most = self._patience_s
        return doubling(first, most, self._tries)

    def _done(self, message: Message | None) -> float:
        self._waiting.popleft()
        self._tries = 0
        self._ledger.count("fixes_sent", message.fixes if message else 0)
        return 0.0


def doubling(first_s: float, most_s: float, failures: int) -> float:
    """Return the wait after a number of failures in a row."""
    return min(most_s, first_s * 2.0 ** min(failures - 1, 10))


async def asked(wire: Wire, message: Message, ledger: Ledger, *, headers: dict[str, str] | None = None) -> Answer:
    """Send a message once, and count it."""
    ledger.count("position_requests")
    return await wire.ask(message.method, message.path, message.body, headers={**message.headers, **(headers or {})})


def head_sender(name: str, wire: Wire, app: App, **known: Any) -> HeadSender:
    """Make the sender of one of the apps that send one message a request; `known` goes to it."""
    if name == "owntracks":
        return HeadSender(wire, app, patience_s=OWNTRACKS_PATIENCE_S, other_tries=OTHER_TRIES, **known)
    return HeadSender(wire, app, **known)
