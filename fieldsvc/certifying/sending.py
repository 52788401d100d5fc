"""Send the day as the service's dispatcher sends: the same headers and signatures, one request a subject at a time, again
after a failure, redirects not followed, 15 seconds at most.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from typing import Self

import aiohttp

from fieldsvc.certifying.day import Forgery, Phase, Step, Wish
from fieldsvc.publishing.addresses import SocketFactory
from fieldsvc.publishing.signing import sign

ONE, BATCH = "application/cloudevents+json", "application/cloudevents-batch+json"
DECOYS = "v2,AAAA", "v1,Ceo5qEr07ixe2NLpvHk3FH9bwy/WavXrAFQ/9tdO6mc=", "v1a,AAAA"
DRIP_PIECES = 8
TIMEOUT = "timeout"
BUSY = frozenset({429, 503})


@dataclass(frozen=True, slots=True)
class Pace:
    """How long things take, in seconds."""

    retries_s: tuple[float, ...] = (0.2, 0.5, 1.0, 2.0)
    longest_wait_s: float = 5.0  # of a Retry-After
    timeout_s: float = 15.0
    connect_s: float = 5.0
    drip_s: float = 0.25
    pause_s: float = 60.0
    failures: int = 20  # so many requests in a row that were given up end the day


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one request ended: a status, or the kind of error."""

    status: int | None
    error: str
    ms: float
    wait_s: float = 0.0
    clock_off_s: float = 0.0

    @property
    def ok(self) -> bool:
        """Whether it was taken."""
        return self.status is not None and 200 <= self.status < 300

    @property
    def in_words(self) -> str:
        """Return it as a person says it."""
        return self.error or str(self.status)


@dataclass(slots=True)
class Record:
    """A step, and what came of it."""

    step: Step
    outcomes: list[Outcome] = field(default_factory=list)

    @property
    def last(self) -> Outcome:
        """Return how it ended."""
        return self.outcomes[-1]


class GaveUp(Exception):
    """The receiver fails as a whole: the rest of the day would show nothing."""


class Courier:
    """Brings requests to a receiver; use it as an async context."""

    def __init__(
        self,
        url: str,
        keys: Mapping[str, str],
        *,
        pace: Pace,
        done: Callable[[], None],
        headers: Mapping[str, str] | None = None,
        sockets: SocketFactory | None = None,
    ) -> None:
        """`keys` are by the names of day.py; `headers` go with every request; `done` is called once a step.

        `sockets` open every connection, and may refuse an address.
        """
        self.records: list[Record] = []
        self._url = url
        self._keys = keys
        self._pace = pace
        self._done = done
        self._more = dict(headers or {})
        self._sockets = sockets
        self._failures = 0

    async def __aenter__(self) -> Self:
        self._kept, self._fresh = self._session(is_fresh=False), self._session(is_fresh=True)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._kept.close()
        await self._fresh.close()

    def _session(self, *, is_fresh: bool) -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=0, force_close=is_fresh, socket_factory=self._sockets)
        return aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._pace.timeout_s, sock_connect=self._pace.connect_s),
            trust_env=False,
            auto_decompress=False,
            skip_auto_headers=("Accept",),
            headers={**self._more, "User-Agent": "fieldsvc-webhooks", "Accept-Encoding": "identity"},
        )

    async def run(self, phase: Phase) -> None:
        """Send a part of the day: each lane in order, lanes beside each other. GaveUp when everything fails."""
        if phase.pauses:
            await asyncio.sleep(self._pace.pause_s)
        free = asyncio.Semaphore(phase.at_once)
        turns: dict[str, asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as group:
            for step in phase.steps:
                turns[step.lane] = group.create_task(self._in_turn(step, turns.get(step.lane), free))
        if self._failures >= self._pace.failures:
            raise GaveUp

    async def _in_turn(self, step: Step, before: asyncio.Task[None] | None, free: asyncio.Semaphore) -> None:
        if before is not None:
            await asyncio.wait([before])
        async with free:
            if self._failures < self._pace.failures:
                await self.bring(step)
        self._done()

    async def bring(self, step: Step) -> Record:
        """Send a step until it is taken, or given up."""
        record = Record(step)
        self.records.append(record)
        for wait_s in (*self._pace.retries_s, None):
            outcome = await self.send(step)
            record.outcomes.append(outcome)
            if wait_s is None or _is_settled(step, record.outcomes):
                break
            await asyncio.sleep(max(wait_s, min(outcome.wait_s, self._pace.longest_wait_s)))
        if step.wish is Wish.TAKE:
            self._failures = 0 if record.last.ok else self._failures + 1
        return record

    async def send(self, step: Step) -> Outcome:
        """Send a step once."""
        session = self._fresh if step.is_fresh or step.is_slow else self._kept
        body = _tampered(step)
        headers = self._headers(step, len(body))
        began, now = time.monotonic(), time.time()
        try:
            async with session.post(
                self._url, data=_dripping(body, self._pace.drip_s) if step.is_slow else body,
                headers=headers, allow_redirects=False,
            ) as answer:  # fmt: skip
                wait_s, clock = _seconds(answer.headers.get("Retry-After")), answer.headers.get("Date")
                await answer.content.read(4096)
                ms = (time.monotonic() - began) * 1000
                return Outcome(answer.status, "", ms, wait_s, _off(clock, now))
        except TimeoutError:
            error = TIMEOUT
        except aiohttp.ClientConnectorError:
            error = "not reached"
        except (aiohttp.ClientError, OSError, ValueError):
            error = "connection lost"
        return Outcome(None, error, (time.monotonic() - began) * 1000)

    def _headers(self, step: Step, size: int) -> dict[str, str]:
        at = int(time.time()) + step.off_s
        signed_at = at - 100 if step.forgery is Forgery.TIMESTAMP else at
        signature = sign([self._keys[name] for name in step.keys], step.message_id, timestamp=signed_at, body=step.body)
        headers = {
            "Content-Type": f"{BATCH if step.is_batch else ONE}; charset=utf-8",
            "webhook-id": step.message_id,
            "webhook-timestamp": str(at),
            "webhook-signature": " ".join([*DECOYS[:2], signature, DECOYS[2]]) if step.decoys else signature,
        }
        if step.mark:
            headers |= dict([step.mark])
        if step.is_slow:
            headers["Content-Length"] = str(size)
        return _forged(headers, step.forgery)


def _forged(headers: dict[str, str], forgery: Forgery) -> dict[str, str]:
    left_out = {
        Forgery.UNSIGNED: ("webhook-id", "webhook-timestamp", "webhook-signature"),
        Forgery.NO_ID: ("webhook-id",),
        Forgery.NO_TIMESTAMP: ("webhook-timestamp",),
        Forgery.NO_SIGNATURE: ("webhook-signature",),
    }.get(forgery, ())
    changed = {
        Forgery.ID: {"webhook-id": headers["webhook-id"] + "1"},
        Forgery.EMPTY: {"webhook-signature": "v1,"},
        Forgery.VERSION: {"webhook-signature": headers["webhook-signature"].replace("v1,", "v9,")},
        Forgery.GARBAGE: {"webhook-timestamp": "now"},
    }.get(forgery, {})
    return {name: value for name, value in (headers | changed).items() if name not in left_out}


def _tampered(step: Step) -> bytes:
    return step.body.replace(b'"1.0"', b'"1.1"', 1) if step.forgery is Forgery.BODY else step.body


async def _dripping(body: bytes, wait_s: float) -> AsyncIterator[bytes]:
    size = -(-len(body) // DRIP_PIECES)
    for start in range(0, len(body), size):
        await asyncio.sleep(wait_s)
        yield body[start : start + size]


def _is_settled(step: Step, outcomes: Sequence[Outcome]) -> bool:
    """Tell whether nothing more is to be learned by sending it again."""
    last = outcomes[-1]
    slow = [each for each in outcomes if each.error == TIMEOUT]
    if last.ok or len(slow) > 1 or last.status == 410:
        return True
    if last.status in BUSY:
        return False
    is_refused = last.status is not None and 400 <= last.status < 500
    return step.wish is Wish.REFUSE or (step.wish is Wish.TAKE_OR_REFUSE and is_refused)


def _seconds(value: str | None) -> float:
    try:
        return max(float(value or 0), 0.0)
    except ValueError:
        return 0.0


def _off(date: str | None, now: float) -> float:
    try:
        return parsedate_to_datetime(date or "").timestamp() - now
    except (ValueError, TypeError, IndexError, OverflowError):
        return 0.0
