"""A NATS server of a test's own, with a folder of its own, that can be killed, stopped, emptied and read."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import nats
import orjson
import pytest
import structlog

from fieldsvc.jobs import ended
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Vault
from fieldsvc.logs import configure
from fieldsvc.publishing.streams.broker import StreamLimits
from fieldsvc.publishing.streams.messages import MESSAGE_ID, POSITION, STREAM
from fieldsvc.publishing.streams.shard import StreamPace, StreamTools
from fieldsvc.publishing.streams.streams import Streams
from fieldsvc.store.database import Database, connect

PROGRAM = Path(sys.executable).parent / "nats-server"
QUICK = StreamPace(
    lease_s=2.0, margin_s=0.5, look_s=0.1, save_s=0.02, check_s=0.2, answer_s=1.0, held_s=0.2, back_off_s=(0.05, 0.2)
)


@dataclass
class Stored:
    """One message as the stream holds it."""

    sequence: int
    subject: str
    headers: dict[str, str]
    event: dict[str, Any]

    @property
    def id(self) -> str:
        return self.headers[MESSAGE_ID]

    @property
    def mark(self) -> str:
        return self.headers[POSITION]


class Nats:
    """One server on loopback; every write is flushed to the disk before it is acknowledged."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.port, self.monitor = _free_port(), _free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._config = folder / "nats.conf"
        store = json.dumps(str(folder / "store"))
        self._config.write_text(
            f'listen: "127.0.0.1:{self.port}"\nhttp: "127.0.0.1:{self.monitor}"\n'
            f"jetstream {{ store_dir: {store}, sync_interval: always }}\n{more}"
        )

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    async def start(self) -> None:
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([PROGRAM, "-c", self._config], stdout=log, stderr=log)  # noqa: ASYNC220
        for _ in range(1_000):
            with contextlib.suppress(OSError):
                _, writer = await asyncio.open_connection("127.0.0.1", self.port)
                writer.close()
                await writer.wait_closed()
                return
            await asyncio.sleep(0.01)
        raise AssertionError((self.folder / "log").read_text())

    def signal(self, number: int) -> None:
        assert self.process is not None
        os.kill(self.process.pid, number)

    def kill(self) -> None:
        if self.process is not None:
            self.signal(signal.SIGKILL)
            self.process.wait()
            self.process = None

    def empty(self) -> None:
        """Take everything that it kept; it must not be running."""
        assert self.process is None
        folder = self.folder / "store"
        if folder.exists():
            folder.rename(self.folder / f"gone-{len(list(self.folder.iterdir()))}")

    @contextlib.asynccontextmanager
    async def client(self, **options: Any) -> AsyncIterator[nats.NATS]:
        client = await nats.connect(self.url, allow_reconnect=False, error_cb=_unheard, **options)
        try:
            yield client
        finally:
            await client.close()

    async def ask(self, what: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """Ask JetStream's API as the operator does."""
        async with self.client() as client:
            answer = await client.request(f"$JS.API.{what}", orjson.dumps(body) if body else b"", timeout=5)
        said: dict[str, Any] = orjson.loads(answer.data)
        return said

    async def stored(self) -> list[Stored]:
        """Read the whole stream."""
        state = (await self.ask(f"STREAM.INFO.{STREAM}")).get("state")
        if not state or not state["messages"]:
            return []
        async with self.client() as client:
            sub = await client.subscribe("read.stream", pending_msgs_limit=-1, pending_bytes_limit=-1)
            config = {"deliver_subject": "read.stream", "ack_policy": "none", "mem_storage": True}
            await client.request(
                f"$JS.API.CONSUMER.CREATE.{STREAM}",
                orjson.dumps({"stream_name": STREAM, "config": config}),
                timeout=5,
            )
            found = []
            while not found or found[-1].sequence < state["last_seq"]:
                message = await sub.next_msg(timeout=5)
                sequence = message.metadata.sequence.stream
                found.append(Stored(sequence, message.subject, dict(message.headers or {}), json.loads(message.data)))
        return found

    async def count(self) -> int:
        """Tell how many messages the stream holds; 0 where there is none, or nobody answers."""
        with contextlib.suppress(nats.errors.Error, OSError):
            said = await self.ask(f"STREAM.INFO.{STREAM}")
            return int(said.get("state", {}).get("messages", 0))
        return 0


def assert_whole(stored: list[Stored], ids: list[str], *, copies: int = 0) -> None:
    """Every event is there, each subject's in order, nothing else; at most so many copies with the same id."""
    assert {each.id for each in stored} == set(ids)
    assert len(stored) - len(ids) <= copies
    first, orders = set[str](), defaultdict[str, list[int]](list)
    for each in stored:
        assert each.event["id"] == each.id
        if each.id not in first:
            first.add(each.id)
            orders[each.event["subject"]].append(int(each.event["sequence"]))
    for subject, order in orders.items():
        assert order == list(range(1, len(order) + 1)), subject


def _free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


async def _unheard(_error: Exception) -> None:
    pass


@pytest.fixture
async def broker(tmp_path: Path) -> AsyncIterator[Nats]:
    server = Nats(tmp_path)
    await server.start()
    yield server
    server.kill()


Begin = Callable[..., Awaitable[Streams]]


@pytest.fixture
async def begin(database: Database, reader: Reader, tail: Tail, vault: Vault, broker: Nats) -> AsyncIterator[Begin]:
    """Start stream sinks; they are ended after the test."""
    jobs: list[asyncio.Task[None]] = []

    async def start(
        *,
        pace: dict[str, Any] | None = None,
        limits: StreamLimits | None = None,
        epoch: Any = None,
        restarted: bool = False,
        url: str = "",
        urls: Sequence[str] = (),
    ) -> Streams:
        limits = limits or StreamLimits(duplicate_window=timedelta(seconds=0.5))
        following = Tail(reader, lambda: connect(database.url)) if restarted else tail
        if restarted:
            jobs.append(asyncio.create_task(following.run()))
        tools = StreamTools(database, reader, following, epoch or vault.epoch, limits, replace(QUICK, **(pace or {})))
        streams = Streams(urls or [url or broker.url], tools)
        streams.job = asyncio.create_task(streams.run())  # type: ignore[attr-defined]
        jobs.append(streams.job)  # type: ignore[attr-defined]
        return streams

    yield start
    await ended(jobs)


@pytest.fixture
def logs() -> Iterator[list[Any]]:
    """What is logged, from information on."""
    configure(level="info")
    with structlog.testing.capture_logs() as entries:
        yield entries


@pytest.fixture
def kit() -> Any:
    """The helpers of this folder, which is no package."""

    class Kit:
        server = Nats
        whole = staticmethod(assert_whole)
        quick = QUICK

    return Kit
