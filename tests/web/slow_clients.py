"""Slow clients of every kind; `python -m tests.web.slow_clients` sends 500 of them at a service of its own, and prints figures."""

import asyncio
import contextlib
import socket
import statistics
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

HEAD = b"POST %s HTTP/1.1\r\nHost: field.test\r\n%s\r\n\r\n"
KINDS = ("silent", "head drip", "body drip", "chunk drip", "slow reader")
LARGE = {"/take": "/large"}  # for a service of ours: what is large
_ESTABLISHED = 1
COMES_IN_S, STAYS_S = 1.0, 4.0  # of those who say nothing at all the last goes after five seconds
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def opened(port: int, *, limit: int = 65_536) -> AsyncIterator[Ends]:
    """Open a connection; a small `limit` makes a small window too."""
    with socket.socket() as made:
        if limit < 65_536:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, limit)
        made.setblocking(False)
        await asyncio.get_running_loop().sock_connect(made, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=made, limit=limit)
        try:
            yield reader, writer
        finally:
            writer.transport.abort()


async def drip(writer: asyncio.StreamWriter, data: bytes, *, every_s: float, first: bytes = b"") -> None:
    """Send a few bytes again and again, until the other side has had enough."""
    with contextlib.suppress(ConnectionError):
        writer.write(first)
        while True:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(every_s)


async def closed_after_s(port: int, kind: str, *, most_s: float, every_s: float = 0.2, path: str = "/take") -> float:
    """Be slow in one way; return after how many seconds the connection was closed. TimeoutError if it is not."""
    began = time.perf_counter()
    async with opened(port, limit=4_096 if kind == "slow reader" else 65_536) as (reader, writer):
        busy = asyncio.create_task(_be_slow(writer, kind, every_s, path.encode()))
        try:
            async with asyncio.timeout(most_s):
                await (_closed_unread(writer) if kind == "slow reader" else _closed(reader))
        finally:
            busy.cancel()
            await asyncio.gather(busy, return_exceptions=True)
    return time.perf_counter() - began


class Crowd:
    """Slow clients of every kind, all at once."""

    def __init__(self, port: int, *, each: int, path: str) -> None:
        self.times: list[float] = []
        self._tasks = [
            asyncio.create_task(closed_after_s(port, kind, most_s=30, every_s=0.2 if each < 50 else 1.0, path=path))
            for kind in KINDS
            for _ in range(each)
        ]

    async def all_gone(self, *, within_s: float) -> float:
        """Wait until every one of them was closed; return the longest time it took one."""
        async with asyncio.timeout(within_s):
            return max(await asyncio.gather(*self._tasks))

    def stop(self) -> None:
        for each in self._tasks:
            each.cancel()


@asynccontextmanager
async def crowd(port: int, *, each: int, path: str = "/take") -> AsyncIterator[Crowd]:
    """Let `each` clients of every kind come at once."""
    made = Crowd(port, each=each, path=path)
    try:
        yield made
    finally:
        made.stop()


def percentile(values: Sequence[float], percent: int) -> float:
    """Return the value below which so many of a hundred lie."""
    return sorted(values)[min(len(values) - 1, len(values) * percent // 100)]


async def _be_slow(writer: asyncio.StreamWriter, kind: str, every_s: float, path: bytes) -> None:
    if kind == "head drip":
        await drip(writer, b"X-Slow: 1\r\n", every_s=every_s, first=b"POST /take HTTP/1.1\r\nHost: x\r\n")
    elif kind == "body drip":
        await drip(writer, b"x", every_s=every_s, first=HEAD % (path, b"Content-Length: 100000"))
    elif kind == "chunk drip":
        await drip(writer, b"1\r\nx\r\n", every_s=every_s, first=HEAD % (path, b"Transfer-Encoding: chunked"))
    elif kind == "slow reader":
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        with contextlib.suppress(ConnectionError):
            large = LARGE.get(path.decode(), "/openapi.json").encode()
            writer.write(b"GET %s HTTP/1.1\r\nHost: x\r\n\r\n" % large * 6)  # more than the kernel holds
            await writer.drain()


async def _closed(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionError):
        while await reader.read(65_536):
            pass


async def _closed_unread(writer: asyncio.StreamWriter) -> None:
    """Wait until the other side aborted: writing says so, since nothing is read."""
    found = writer.get_extra_info("socket")
    with contextlib.suppress(OSError):  # this side noticed too
        while found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1) == bytes([_ESTABLISHED]):  # noqa: ASYNC110 - the kernel tells nobody
            await asyncio.sleep(0.05)


async def measure(each: int, rounds: int) -> None:
    """Print how honest uploads fare without and with the crowd, by turns, and how long the last of it stayed.

    Measured is the crowd's stay, once it has come: its programme starting beside the service is no slow client.
    """
    from fieldsvc.bench.service import Site, running

    async with running(_phone, timezone="UTC", reply_stall_s="8") as site:
        found: Site[dict[str, Any]] = site
        port = int(found.service.url.rsplit(":", 1)[1])
        without, beside, last = [], [], []
        memory = [_resident_mb(found.service.pid)]
        await _honest(found.service.url, found.kit, seconds=2)
        for _ in range(rounds):
            without.append(percentile(await _honest(found.service.url, found.kit, seconds=STAYS_S), 95))
            slow = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.web.slow_clients",
                "crowd",
                str(port),
                str(each),
                stdout=asyncio.subprocess.PIPE,
            )
            assert slow.stdout is not None
            await slow.stdout.readline()
            beside.append(percentile(await _honest(found.service.url, found.kit, seconds=STAYS_S), 95))
            last.append(float((await slow.communicate())[0]))
            memory.append(_resident_mb(found.service.pid))
        ratios = [with_s / without_s for with_s, without_s in zip(beside, without, strict=True)]
        print(f"{each} of each of {len(KINDS)} kinds; the last was closed after {max(last):.1f} s")
        print(f"p95 of an upload without {_ms(without)}, with {_ms(beside)}; ratio {statistics.median(ratios):.2f}")
        print(f"resident memory {', '.join(f'{each:.0f}' for each in memory)} MB")


async def _phone(platform: Any) -> dict[str, Any]:
    from fieldsvc.access import enrolment
    from fieldsvc.work.imports import create_site

    await create_site(platform.database, "site")
    return await enrolment.enrol_device(platform.database, "http://x", carrier="C", site="site")


async def _honest(url: str, phone: dict[str, Any], *, seconds: float) -> list[float]:
    """Upload 40 single events a second, as they come, and return how long each took."""
    from aiohttp import ClientSession

    from tests.acceptance.service import field_event

    times: list[float] = []

    async def one(session: ClientSession) -> None:
        began = time.perf_counter()
        sent = field_event("item.loaded", {"item_id": f"LL{time.time_ns() % 10**9:09}FR"})
        async with session.post(f"{url}/v1/events", json=sent, headers=headers) as answer:
            assert answer.status == 200, await answer.text()
        times.append(time.perf_counter() - began)

    headers = {"Authorization": f"Bearer {phone['token']}", "Content-Type": "application/cloudevents+json"}
    async with ClientSession() as session, asyncio.TaskGroup() as group:
        for _ in range(int(seconds * 40)):
            group.create_task(one(session))
            await asyncio.sleep(1 / 40)
    return times


def _resident_mb(pid: int) -> float:
    fields = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    return int(fields[1]) * 4096 / 1e6


def _ms(times: Sequence[float]) -> str:
    return f"{statistics.median(times) * 1000:.1f} ms"


async def _crowd_of(port: int, each: int) -> None:
    """Be the crowd, in a process of its own, and print how long the last of it stayed."""
    async with crowd(port, each=each, path="/v1/devices/enrol") as slow:
        await asyncio.sleep(COMES_IN_S)
        print("there", flush=True)
        print(await slow.all_gone(within_s=40))


if __name__ == "__main__":
    if sys.argv[1:2] == ["crowd"]:
        asyncio.run(_crowd_of(int(sys.argv[2]), int(sys.argv[3])))
    else:
        asyncio.run(measure(int(sys.argv[1]) if sys.argv[1:] else 100, int(sys.argv[2]) if sys.argv[2:] else 3))
