"""Hostile and broken receivers: each attempt ends in bounded time and memory, and says what happened."""

import asyncio
import gzip
import resource
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import cache

import pytest

from fieldsvc.publishing import webhooks
from fieldsvc.publishing.signing import new_secret, verify
from fieldsvc.publishing.webhooks import Outcome, Sender

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
OK = b"HTTP/1.1 200 OK\r\n"


class Raw:
    """A TCP server that does exactly what a test says."""

    def __init__(self) -> None:
        self.behaviour: Behaviour | None = None
        self.requests: list[bytes] = []
        self.url = ""
        self.jobs: set[asyncio.Task[None]] = set()

    async def taken(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        job = asyncio.current_task()
        assert job is not None
        self.jobs.add(job)
        try:
            self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            assert self.behaviour is not None
            await self.behaviour(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.jobs.discard(job)
            writer.close()


@pytest.fixture
async def raw() -> AsyncIterator[Raw]:
    server = Raw()
    listening = await asyncio.start_server(server.taken, "127.0.0.1", 0)
    server.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/"
    yield server
    listening.close()
    for job in list(server.jobs):
        job.cancel()
    await asyncio.gather(*server.jobs, return_exceptions=True)


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same limits, in tenths of seconds."""
    monkeypatch.setattr(webhooks, "CONNECT_TIMEOUT_S", 0.3)
    monkeypatch.setattr(webhooks, "TOTAL_TIMEOUT_S", 0.8)
    monkeypatch.setattr(webhooks, "BODY_TIMEOUT_S", 0.3)


async def sent(url: str) -> tuple[Outcome, float]:
    started = time.monotonic()
    async with Sender(allow_loopback=True) as sender:
        outcome = await sender.send(url, "evt_x", body=b'{"a":1}', keys=[new_secret()])
    return outcome, time.monotonic() - started


async def hang(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(60)


async def drip_headers(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK)
    for number in range(1000):
        writer.write(b"X-%d: y\r\n" % number)
        await writer.drain()
        await asyncio.sleep(0.1)


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.transport.abort()


async def garbage(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"\x00\xff" * 100 + b"\r\n\r\n")
    await writer.drain()


async def huge_header(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"X: ")
    for _ in range(1000):
        writer.write(b"y" * 100_000)
        await writer.drain()


@pytest.mark.parametrize(
    ("behaviour", "error"),
    [(hang, "timeout"), (drip_headers, "timeout"), (reset, "reset"), (garbage, "protocol"), (huge_header, "protocol")],
)
async def test_a_receiver_that_never_answers_properly_costs_bounded_time(
    hurried: None, raw: Raw, behaviour: Behaviour, error: str
):
    raw.behaviour = behaviour
    outcome, took_s = await sent(raw.url)
    assert (outcome.status, outcome.error) == (None, error)
    assert not outcome.ok
    assert not outcome.unreachable
    assert took_s < 5


async def endless_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    for _ in range(100_000):
        writer.write(b"2710\r\n" + b"z" * 10_000 + b"\r\n")
        await writer.drain()


async def declared_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 100000000000\r\n\r\n")
    while True:
        writer.write(b"z" * 100_000)
        await writer.drain()


async def slow_body(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1000\r\n\r\n")
    for _ in range(1000):
        writer.write(b"z")
        await writer.drain()
        await asyncio.sleep(0.05)


@cache
def packed() -> bytes:
    """Make fifty million zeros small; that takes longer than refusing them."""
    return gzip.compress(bytes(50_000_000))


async def gzip_bomb(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    bomb = packed()
    writer.write(OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb) + bomb)
    await writer.drain()


async def reset_after_status(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(OK + b"Content-Length: 1000\r\n\r\nhalf")
    await writer.drain()
    writer.transport.abort()


@pytest.mark.parametrize("behaviour", [endless_body, declared_body, slow_body, gzip_bomb, reset_after_status])
async def test_an_acknowledgement_counts_whatever_body_follows_and_little_of_it_is_read(
    hurried: None, raw: Raw, behaviour: Behaviour
):
    raw.behaviour = behaviour
    packed()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcome, took_s = await sent(raw.url)
    assert outcome.status == 200
    assert outcome.ok
    assert len(outcome.body) <= 4096
    assert took_s < 5  # the whole of a body takes a minute, or never ends
    grown_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert behaviour is gzip_bomb or grown_kb < 20_000  # the bomb itself is made in this process


@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_a_redirect_is_a_failure_and_is_not_followed(raw: Raw, status: int):
    async def redirect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = b"HTTP/1.1 %d Moved\r\nLocation: %s\r\nContent-Length: 0\r\n\r\n" % (status, raw.url.encode())
        writer.write(head)
        await writer.drain()

    raw.behaviour = redirect
    outcome, _ = await sent(raw.url)
    assert outcome.status == status
    assert not outcome.ok
    assert len(raw.requests) == 1


async def test_a_refused_connection_is_unreachable(raw: Raw, unused_port: int):
    outcome, _ = await sent(f"http://127.0.0.1:{unused_port}/")
    assert outcome.error == "connect"
    assert outcome.unreachable


@pytest.fixture
async def unused_port() -> int:
    server = await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0)
    port = int(server.sockets[0].getsockname()[1])
    server.close()
    await server.wait_closed()
    return port


async def test_a_name_that_does_not_resolve_is_unreachable():
    async with Sender(allow_loopback=False) as sender:
        outcome = await sender.send("https://nothing.invalid.example/", "evt_x", body=b"{}", keys=[new_secret()])
    assert outcome.error == "dns"
    assert outcome.unreachable


async def test_a_connection_that_had_gone_idle_is_tried_once_more_at_once(raw: Raw):
    async def close_after(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if len(raw.requests) == 1:
            writer.transport.abort()
            return
        await reader.readexactly(7)
        writer.write(b"HTTP/1.1 204 No Content\r\n\r\n")
        await writer.drain()

    raw.behaviour = close_after
    outcome, _ = await sent(raw.url)
    assert outcome.status == 204
    assert len(raw.requests) == 2


async def test_the_request_has_the_headers_of_standard_webhooks_and_of_the_attempts_own_moment(raw: Raw):
    secret, bodies = new_secret(), []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bodies.append(await reader.readexactly(7))
        writer.write(b"HTTP/1.1 204 No Content\r\nRetry-After: 7\r\n\r\n")
        await writer.drain()

    raw.behaviour = take
    async with Sender(allow_loopback=True) as sender:
        outcome = await sender.send(raw.url, "evt_x", body=b'{"a":1}', keys=[secret])
    head = raw.requests[0].decode().split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
    exact = dict(line.split(": ", 1) for line in head[1:] if line.lower().startswith("webhook-"))
    assert head[0] == "POST / HTTP/1.1"
    assert headers["content-type"] == "application/cloudevents+json; charset=utf-8"
    assert headers["accept-encoding"] == "identity"
    assert abs(int(headers["webhook-timestamp"]) - time.time()) < 5
    lowered = {name.lower(): value for name, value in exact.items()}
    assert verify([secret], lowered, bodies[0], now=time.time()) == "evt_x"
    assert outcome.retry_after_s == 7
