"""A load generator: bounded requests over keep-alive connections, on loopback only."""

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit

BATCH, JSON = "application/cloudevents-batch+json", "application/json"


@dataclass(slots=True)
class Load:
    """What a run of requests gave: seconds each, when each was answered, and the answers that were not 200."""

    seconds: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    wall_s: float = 0.0
    answered_at: dict[int, float] = field(default_factory=dict)

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the answer times."""
        return 1000 * percentile(self.seconds, share)


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value that so large a share of the others does not exceed; 0 for none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def post(path: str, token: str, body: bytes, *, media_type: str = BATCH) -> bytes:
    """Write a whole POST request of a device."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: {media_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send_all(url: str, requests: Iterable[bytes], *, connections: int, per_s: float | None = None) -> Load:
    """Send every request once over so many connections: as fast as they are answered, or `per_s` requests a second.

    Requests may be made as they are sent. With `per_s` the time of an answer counts from the moment at which the request was
    due, so that what a slow service keeps waiting is not left out.

    `answered_at` is by the request's place in the list, on the clock of `time.perf_counter`. ValueError for an address
    that is not loopback.
    """
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("a benchmark sends to this machine only")
    load, todo = Load(), enumerate(requests)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            worker = _Worker(str(parts.hostname), parts.port or 80, todo, load, began, per_s)
            group.create_task(worker.run())
    load.wall_s = time.perf_counter() - began
    return load


@dataclass(frozen=True, slots=True)
class _Worker:
    """One connection that takes the next request whenever the last was answered."""

    host: str
    port: int
    todo: Iterator[tuple[int, bytes]]
    load: Load
    began: float
    per_s: float | None

    async def run(self) -> None:
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            for number, request in self.todo:
                due = await self._wait_for_turn(number)
                began = time.perf_counter() if due is None else due
                writer.write(request)
                status = await _answer(reader)
                ended = time.perf_counter()
                self.load.seconds.append(ended - began)
                self.load.answered_at[number] = ended
                if status != 200:
                    self.load.failed.append(status)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _wait_for_turn(self, number: int) -> float | None:
        """Wait until a request is due, and tell when that was; None where there is no rate."""
        if self.per_s is None:
            return None
        due = self.began + number / self.per_s
        await asyncio.sleep(max(0.0, due - time.perf_counter()))
        return due


async def _answer(reader: asyncio.StreamReader) -> int:
    head = await reader.readuntil(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
    await reader.readexactly(length)
    return int(head[9:12])
