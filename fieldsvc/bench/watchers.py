"""Supervisors' screens for a benchmark: connections to `GET /v1/live` that note when which run was seen to move."""

import asyncio
import time
import zlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
import orjson

from fieldsvc.web.auth import SESSION_COOKIE

SNAPSHOT_WITHIN_S = 30.0
GZIP = 16 + zlib.MAX_WBITS


@dataclass
class Watcher:
    """One screen: what it got since `forget`, on the wire and unpacked, and when it saw each run move first."""

    wire_bytes: int = 0
    text_bytes: int = 0
    deltas: int = 0
    moved_at: dict[str, float] = field(default_factory=dict)
    runs: int = 0
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    def forget(self) -> None:
        """Begin to count anew."""
        self.wire_bytes = self.text_bytes = self.deltas = 0
        self.moved_at = {}

    async def watch(self, client: aiohttp.ClientSession, url: str, session: str) -> None:
        """Look until cancelled."""
        headers = {"Accept": "text/event-stream", "Accept-Encoding": "gzip", "Cookie": f"{SESSION_COOKIE}={session}"}
        async with client.get(url, headers=headers) as answer:
            answer.raise_for_status()
            packed = answer.headers.get("Content-Encoding") == "gzip"
            unpacker, rest = zlib.decompressobj(GZIP), b""
            async for chunk in answer.content.iter_any():
                self.wire_bytes += len(chunk)
                text = unpacker.decompress(chunk) if packed else chunk
                self.text_bytes += len(text)
                *events, rest = (rest + text).split(b"\n\n")
                for event in events:
                    self._take(event)

    def _take(self, event: bytes) -> None:
        fields = dict(_fields(event))
        if fields.get(b"event") == b"snapshot":
            self.runs = len(orjson.loads(fields[b"data"])["runs"])
            self.ready.set()
        elif fields.get(b"event") == b"delta":
            now = time.perf_counter()
            self.deltas += 1
            for row in orjson.loads(fields[b"data"])["m"]:
                self.moved_at.setdefault(row[0], now)


def _fields(event: bytes) -> Iterator[tuple[bytes, bytes]]:
    for line in event.splitlines():
        name, _, value = line.partition(b": ")
        yield name, value


@asynccontextmanager
async def watching(url: str, sessions: list[str]) -> AsyncIterator[list[Watcher]]:
    """Open a screen for each session and wait until each has its snapshot. TimeoutError after half a minute."""
    watchers = [Watcher() for _ in sessions]
    connector = aiohttp.TCPConnector(limit=0)
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, trust_env=False, auto_decompress=False
    ) as client:
        jobs = [
            asyncio.create_task(watcher.watch(client, url, session))
            for watcher, session in zip(watchers, sessions, strict=True)
        ]
        try:
            async with asyncio.timeout(SNAPSHOT_WITHIN_S):
                for watcher, job in zip(watchers, jobs, strict=True):
                    ready = asyncio.create_task(watcher.ready.wait())
                    await asyncio.wait([ready, job], return_when=asyncio.FIRST_COMPLETED)
                    ready.cancel()
                    if job.done():
                        job.result()
            yield watchers
        finally:
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
