"""A load generator: bounded requests over keep-alive connections, on loopback only."""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(slots=True)
class Load:
    """What a run of requests gave: seconds each, and the answers that were not 200."""

    seconds: list[float] = field(default_factory=list)
    failed: list[int] = field(default_factory=list)
    wall_s: float = 0.0

    def percentile_ms(self, share: float) -> float:
        """Return a percentile of the answer times."""
        ordered = sorted(self.seconds)
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


async def send_all(url: str, token: str, bodies: Sequence[bytes], *, connections: int) -> Load:
    """Send every body once, closed loop, over so many connections. ValueError for an address that is not loopback."""
    parts = urlsplit(url)
    if parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("a benchmark sends to this machine only")
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: {parts.netloc}\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/cloudevents-batch+json\r\nContent-Length: "
    ).encode()
    load, todo = Load(), iter(bodies)
    began = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(_worker(str(parts.hostname), parts.port or 80, head, todo, load))
    load.wall_s = time.perf_counter() - began
    return load


async def _worker(host: str, port: int, head: bytes, todo: Iterator[bytes], load: Load) -> None:
    reader, writer = await asyncio.open_connection(host, port)
    try:
        for body in todo:
            began = time.perf_counter()
            writer.write(b"%b%d\r\n\r\n%b" % (head, len(body), body))
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().split(b"content-length:", 1)[1].split(b"\r\n", 1)[0])
            await reader.readexactly(length)
            load.seconds.append(time.perf_counter() - began)
            status = int(answer[9:12])
            if status != 200:
                load.failed.append(status)
    finally:
        writer.close()
        await writer.wait_closed()
