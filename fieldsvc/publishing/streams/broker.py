"""NATS JetStream as the publisher speaks to it: the stream, its last messages, and atomic batches behind a fence.

A connection lives until its first fault and is never mended: what a client keeps back while it reconnects could be half a
batch. The client has no words for atomic batches and for streams that take them, so both are written here, as headers and as
raw requests of JetStream's API. Facts about the server (tried on 2.15.1): the fence is looked at when a batch begins and again
when it commits; ids stay known for `duplicate_window` even when their messages were purged.
"""

import asyncio
import base64
import binascii
import contextlib
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from uuid import uuid4

import orjson
from nats.aio.client import Client
from nats.errors import Error as NatsError

from fieldsvc.logs import get_logger
from fieldsvc.publishing.streams.messages import (
    MESSAGE_ID,
    POSITION,
    STREAM,
    SUBJECTS,
    Message,
    read_mark,
    shard_subjects,
)
from fieldsvc.publishing.streams.resuming import Last, StreamState

log = get_logger()
API = "$JS.API"
CONNECTS_WITHIN_S, CLOSES_WITHIN_S = 3.0, 2.0
HEADERS_TAKE = 1_024  # bytes of a message beside its body, counted by the server too
FULL = 0.9  # of the size that a stream may have: old messages go as new ones come
TURN = 100  # messages handed to the client before others of this process have their turn
_NOT_THERE, _NO_MESSAGE = 10059, 10037
_OVERTAKEN, _IDS_KNOWN = frozenset({10071, 10164}), 10201
_GONE = (NatsError, OSError, EOFError, ValueError)


class BrokerFault(Exception):
    """The broker did not do what was asked, or nobody knows whether it did; the connection is given up."""

    code = 0


class BrokerGone(BrokerFault):
    """The broker is not there, or does not answer."""


class Refused(BrokerFault):
    """The broker said no; `code` is JetStream's number for why."""

    def __init__(self, code: int, why: str) -> None:
        super().__init__(f"{why} ({code})")
        self.code = code


class Overtaken(Exception):
    """The shard's last message is another one than this publisher thought: nothing of the batch was stored."""


class IdsKnown(Exception):
    """The broker still knows the id of a message of the batch: nothing of it was stored."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """What the stream keeps. `most_bytes` and `keep` of None: everything."""

    replicas: int = 1
    keep: timedelta | None = None
    most_bytes: int | None = None
    duplicate_window: timedelta = timedelta(minutes=2)

    def config(self) -> dict[str, Any]:
        """Write the stream's configuration as JetStream's API takes it; times are nanoseconds."""
        return {
            "name": STREAM,
            "subjects": [SUBJECTS],
            "storage": "file",
            "retention": "limits",
            "discard": "old",
            "max_age": _ns(self.keep) if self.keep else 0,
            "max_bytes": self.most_bytes or -1,
            "num_replicas": self.replicas,
            "duplicate_window": _ns(min(self.duplicate_window, self.keep or self.duplicate_window)),
            "allow_atomic": True,
            "allow_direct": True,
        }


@asynccontextmanager
async def connected(servers: Sequence[str], limits: StreamLimits, *, answer_s: float) -> AsyncIterator["Broker"]:
    """Connect, and make the stream as it has to be; BrokerFault where that cannot be. `answer_s` bounds every request."""
    client, closed = Client(), asyncio.Event()

    async def is_closed() -> None:
        closed.set()

    try:
        try:
            async with asyncio.timeout(CONNECTS_WITHIN_S * len(servers)):
                await client.connect(
                    list(servers),
                    name="fieldsvc",
                    allow_reconnect=False,
                    max_reconnect_attempts=1,  # of each server, while it connects; who waits is who calls
                    reconnect_time_wait=0,
                    connect_timeout=int(CONNECTS_WITHIN_S),
                    error_cb=_unheard,
                    closed_cb=is_closed,
                )
        except _GONE as error:
            raise _gone(error) from None
        broker = Broker(client, closed, answer_s=answer_s)
        await broker.make_stream(limits)
        yield broker
    finally:
        with contextlib.suppress(TimeoutError, *_GONE):
            async with asyncio.timeout(CLOSES_WITHIN_S):
                await client.close()


class Broker:
    """One connection to the broker."""

    def __init__(self, client: Client, closed: asyncio.Event, *, answer_s: float) -> None:
        """`closed` is set when the connection has ended."""
        self.closed = closed
        self._client = client
        self._answer_s = answer_s

    @property
    def most_bytes(self) -> int:
        """The largest body that the server takes."""
        return self._client.max_payload - HEADERS_TAKE

    async def make_stream(self, limits: StreamLimits) -> None:
        """Make the stream, or change what differs from what it has to be, and say so."""
        wanted = limits.config()
        try:
            found = (await self._ask(f"STREAM.INFO.{STREAM}"))["config"]
        except Refused as error:
            if error.code != _NOT_THERE:
                raise
            made = await self._ask(f"STREAM.CREATE.{STREAM}", wanted)
            log.info("stream.created")
        else:
            made = {"config": found}
            if differing := [name for name, value in wanted.items() if found.get(name) != value]:
                log.warning("stream.config_drift", field=" ".join(differing))
                made = await self._ask(f"STREAM.UPDATE.{STREAM}", {**found, **wanted})
        if not made["config"].get("allow_atomic"):
            raise Refused(0, "the server knows no atomic batches: 2.12 or newer is needed")

    async def state(self) -> StreamState:
        """Tell how the stream stands."""
        found = await self._ask(f"STREAM.INFO.{STREAM}")
        state, most_bytes = found["state"], found["config"].get("max_bytes", -1)
        is_full = most_bytes > 0 and state["bytes"] >= FULL * most_bytes
        return StreamState(found["created"], state["first_seq"], is_full)

    async def last(self, shard: int) -> Last | None:
        """Read the last message of a shard, from the stream's leader; None if there is none."""
        try:
            found = await self._ask(f"STREAM.MSG.GET.{STREAM}", {"last_by_subj": shard_subjects(shard)})
        except Refused as error:
            if error.code == _NO_MESSAGE:
                return None
            raise
        message = found["message"]
        headers = _read_headers(message.get("hdrs", ""))
        mark = read_mark(headers.get(POSITION, ""))
        return Last(message["seq"], mark if mark and mark.shard == shard else None, headers.get(MESSAGE_ID, ""))

    async def publish(self, shard: int, messages: Sequence[Message], *, after: int) -> int:
        """Store messages of a shard, all or none, right behind its message number `after` (0: it has none).

        Return the number of the last one. Overtaken or IdsKnown if nothing was stored; BrokerFault if that is not known.
        """
        batch, answer = uuid4().hex, b""
        for number, message in enumerate(messages, start=1):
            headers = {**message.headers, "Nats-Batch-Id": batch, "Nats-Batch-Sequence": str(number)}
            if number == 1:
                headers |= fence(shard, after)
            if number % TURN == 0:
                await asyncio.sleep(0)
            if number < len(messages):
                await self._put(message, headers)
            else:
                answer = await self._request(message.subject, message.body, {**headers, "Nats-Batch-Commit": "1"})
        said = _read(answer)
        if said.get("batch") != batch or said.get("count") != len(messages):
            raise BrokerGone("another answer than to this batch")
        return int(said["seq"])

    async def _put(self, message: Message, headers: Mapping[str, str]) -> None:
        try:
            await self._client.publish(message.subject, message.body, headers=dict(headers))
        except _GONE as error:
            raise _gone(error) from None

    async def _ask(self, what: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        return _read(await self._request(f"{API}.{what}", orjson.dumps(body) if body is not None else b""))

    async def _request(self, subject: str, body: bytes, headers: Mapping[str, str] | None = None) -> bytes:
        try:
            answer = await self._client.request(
                subject, body, timeout=self._answer_s, headers=dict(headers) if headers else None
            )
        except _GONE as error:
            raise _gone(error) from None
        return answer.data


def fence(shard: int, after: int) -> dict[str, str]:
    """Write the headers by which the broker takes a batch only right behind message number `after` of a shard."""
    return {
        "Nats-Expected-Last-Subject-Sequence": str(after),
        "Nats-Expected-Last-Subject-Sequence-Subject": shard_subjects(shard),
    }


def _gone(error: Exception) -> BrokerGone:
    """Name a fault of the connection: its kind, or the server's own words, such as an authorization violation."""
    return BrokerGone(str(error) if type(error) is NatsError else type(error).__name__)


def _read(answer: bytes) -> dict[str, Any]:
    try:
        said: dict[str, Any] = orjson.loads(answer)
    except orjson.JSONDecodeError:
        raise BrokerGone("no answer of JetStream") from None
    error = said.get("error")
    if error is None:
        return said
    code = int(error.get("err_code", 0))
    if code in _OVERTAKEN:
        raise Overtaken
    if code == _IDS_KNOWN:
        raise IdsKnown
    raise Refused(code, str(error.get("description", "")))


def _read_headers(encoded: str) -> dict[str, str]:
    try:
        lines = base64.b64decode(encoded).decode(errors="replace").split("\r\n")
    except binascii.Error:
        return {}
    pairs = (line.partition(":") for line in lines[1:] if ":" in line)
    return {name.strip(): value.strip() for name, _, value in pairs}


def _ns(span: timedelta) -> int:
    return int(span.total_seconds() * 1e9)


async def _unheard(_error: Exception) -> None:
    """Say nothing: every fault ends the connection, and is told there."""
