"""Send one signed event to one URL. Whatever the receiver does, an attempt ends in bounded time and memory."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver

from fieldsvc import __name__ as product
from fieldsvc.errors import BadRequest
from fieldsvc.publishing.addresses import AddressRefused, checked_url, guarded_sockets
from fieldsvc.publishing.retry import parse_retry_after
from fieldsvc.publishing.signing import sign

MEDIA_TYPE = "application/cloudevents+json"
CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 15.0
BODY_TIMEOUT_S = 2.0
BODY_KEPT = 4096
MOST_SOCKETS = 1000
_RESET_RETRY_S = 1.0
_UNREACHABLE = frozenset({"dns", "connect", "tls", "address", "url"})


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: a status, or the kind of error; `body` is the first 4 KiB of the answer."""

    at: datetime
    ms: int
    status: int | None = None
    error: str | None = None
    retry_after_s: float | None = None
    body: bytes = b""

    @property
    def ok(self) -> bool:
        """Whether the receiver acknowledged."""
        return self.status is not None and HTTPStatus.OK <= self.status < HTTPStatus.MULTIPLE_CHOICES

    @property
    def gone(self) -> bool:
        """Whether the receiver wants nothing any more."""
        return self.status == HTTPStatus.GONE

    @property
    def unreachable(self) -> bool:
        """Whether no connection came about, so that the content cannot be the cause."""
        return self.error in _UNREACHABLE


class Sender:
    """An HTTP client that only goes where webhooks may go; use it as an async context."""

    def __init__(self, *, allow_loopback: bool, resolver: AbstractResolver | None = None) -> None:
        self._allow_loopback = allow_loopback
        self._resolver = resolver
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(
            socket_factory=guarded_sockets(allow_loopback=self._allow_loopback),
            resolver=self._resolver,
            limit=MOST_SOCKETS,
            keepalive_timeout=10,
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=TOTAL_TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            trust_env=False,
            auto_decompress=False,
            headers={"User-Agent": f"{product}-webhooks", "Accept-Encoding": "identity"},
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session is not None:
            await self._session.close()

    async def send(self, url: str, message_id: str, *, body: bytes, keys: Sequence[str]) -> Outcome:
        """Post a body once, signed at this moment with every key. Never raises for what the receiver does."""
        started, at = time.monotonic(), datetime.now(UTC)
        headers = {
            "Content-Type": f"{MEDIA_TYPE}; charset=utf-8",
            "webhook-id": message_id,
            "webhook-timestamp": str(int(at.timestamp())),
            "webhook-signature": sign(keys, message_id, timestamp=int(at.timestamp()), body=body),
        }
        status, retry_after_s, answer, error = None, None, b"", None
        try:
            status, retry_after_s, answer = await self._post(url, headers, body=body, started=started)
        except (aiohttp.ClientError, OSError, TimeoutError, BadRequest, ValueError) as raised:
            error = _kind(raised)
        ms = round((time.monotonic() - started) * 1000)
        return Outcome(at, ms, status, error, retry_after_s, answer)

    async def _post(
        self, url: str, headers: Mapping[str, str], *, body: bytes, started: float
    ) -> tuple[int, float | None, bytes]:
        """Post; once more at once if the connection was reset quickly: it may have been an idle one that had closed."""
        try:
            return await self._post_once(url, headers, body)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            is_new = isinstance(error, aiohttp.ClientConnectorError) or time.monotonic() - started > _RESET_RETRY_S
            if is_new:
                raise
        return await self._post_once(url, headers, body)

    async def _post_once(self, url: str, headers: Mapping[str, str], body: bytes) -> tuple[int, float | None, bytes]:
        if self._session is None:
            raise RuntimeError("the sender is not open")
        target = checked_url(url, allow_loopback=self._allow_loopback)
        async with self._session.post(target, data=body, headers=headers, allow_redirects=False) as response:
            wait_s = parse_retry_after(response.headers.get("Retry-After"), now=datetime.now(UTC))
            return response.status, wait_s, await _first_bytes(response)


async def _first_bytes(response: aiohttp.ClientResponse) -> bytes:
    """Read at most 4 KiB for at most two seconds; an answer that is longer or slower loses its connection."""
    kept = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            while len(kept) <= BODY_KEPT and (chunk := await response.content.read(BODY_KEPT + 1 - len(kept))):
                kept += chunk
    except (aiohttp.ClientError, OSError, TimeoutError):
        response.close()
    if len(kept) > BODY_KEPT:
        response.close()
    return bytes(kept[:BODY_KEPT])


def _kind(error: Exception) -> str:
    """Name the kind of an error, without its text."""
    cause = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    kinds: tuple[tuple[type[BaseException], str], ...] = (
        (AddressRefused, "address"),
        (BadRequest, "url"),
        (aiohttp.ClientConnectorDNSError, "dns"),
        (aiohttp.ClientConnectorCertificateError, "tls"),
        (aiohttp.ClientSSLError, "tls"),
        (aiohttp.ClientConnectorError, "connect"),
        (aiohttp.ConnectionTimeoutError, "connect"),
        (aiohttp.ServerDisconnectedError, "reset"),
        (TimeoutError, "timeout"),
        (aiohttp.ClientOSError, "reset"),
        (OSError, "reset"),
    )
    for kind, name in kinds:
        if isinstance(cause, kind) or isinstance(error, kind):
            return name
    return "protocol"
