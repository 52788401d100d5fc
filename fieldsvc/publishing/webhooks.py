"""Send one signed event to one URL. Whatever the receiver does, an attempt ends in bounded time and memory."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Self

from aiohttp import DefaultResolver
from aiohttp.abc import AbstractResolver

from fieldsvc import __name__ as product
from fieldsvc.errors import BadRequest
from fieldsvc.publishing.addresses import AddressRefused, checked_url, guarded_sockets
from fieldsvc.publishing.posting import Answer, Patience, Poster, PostFault, Target, lines_of, target_of
from fieldsvc.publishing.retry import parse_retry_after
from fieldsvc.publishing.signing import sign

MEDIA_TYPE = "application/cloudevents+json"
CONNECT_TIMEOUT_S = 5.0
TOTAL_TIMEOUT_S = 15.0
BODY_TIMEOUT_S = 2.0
_RESET_RETRY_S = 1.0
_OK, _REDIRECT = 200, 300  # plain numbers: this is asked for every attempt
_TARGETS_KEPT = 10_000
_OURS = {"User-Agent": f"{product}-webhooks", "Accept-Encoding": "identity"}
_NOT_THEIRS = (
    "webhook-", "content-", "host", "connection", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive",
    "proxy-", "accept-encoding", "user-agent",
)  # fmt: skip
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
    allowed_rate: str | None = None  # the header WebHook-Allowed-Rate, as it was sent
    final: bool = False  # the receiver refused it and asked for no retry: a 4xx with `webhook-retry: false`

    @property
    def ok(self) -> bool:
        """Whether the receiver acknowledged."""
        return self.status is not None and _OK <= self.status < _REDIRECT

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
        self._poster: Poster | None = None
        self._targets: dict[str, Target] = {}

    async def __aenter__(self) -> Self:
        self._poster = Poster(
            guarded_sockets(allow_loopback=self._allow_loopback),
            resolver=self._resolver or DefaultResolver(),
            patience=Patience(CONNECT_TIMEOUT_S, TOTAL_TIMEOUT_S, BODY_TIMEOUT_S),
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._poster is not None:
            await self._poster.close()

    async def send(
        self,
        url: str,
        message_id: str,
        *,
        body: bytes,
        keys: Sequence[str],
        media_type: str = MEDIA_TYPE,
        headers: Mapping[str, str] | None = None,
    ) -> Outcome:
        """Post a body once, signed at this moment with every key. Never raises for what the receiver does."""
        started, at = time.monotonic(), datetime.now(UTC)
        moment = int(at.timestamp())
        lines = {
            **_own(headers or {}),
            "Content-Type": f"{media_type}; charset=utf-8",
            "webhook-id": message_id,
            "webhook-timestamp": str(moment),
            "webhook-signature": sign(keys, message_id, timestamp=moment, body=body),
        }
        try:
            answer = await self._post(url, lines_of(lines), body=body, started=started)
        except (OSError, BadRequest, ValueError) as raised:
            return Outcome(at, _ms(started), error=_kind(raised))
        asked = answer.headers.get("retry-after")
        wait_s = parse_retry_after(asked, now=datetime.now(UTC)) if asked is not None else None
        allowed_rate = answer.headers.get("webhook-allowed-rate")
        return Outcome(
            at, _ms(started), answer.status, None, wait_s, bytes(answer.body), allowed_rate, _is_final(answer)
        )

    async def _post(self, url: str, lines: bytes, *, body: bytes, started: float) -> Answer:
        """Post; once more at once if the connection was reset quickly: it may have been an idle one that had closed."""
        if self._poster is None:
            raise RuntimeError("the sender is not open")
        target = self._target(url)
        try:
            return await self._poster.post(target, lines, body)
        except PostFault as fault:
            if fault.kind != "reset" or time.monotonic() - started > _RESET_RETRY_S:
                raise
        return await self._poster.post(target, lines, body)

    def _target(self, url: str) -> Target:
        known = self._targets.get(url)
        if known is None:
            if len(self._targets) >= _TARGETS_KEPT:
                self._targets.clear()
            known = target_of(checked_url(url, allow_loopback=self._allow_loopback), _OURS)
            self._targets[url] = known
        return known


def _own(headers: Mapping[str, str]) -> dict[str, str]:
    """Leave out headers that say what only this client may say: about the message, the body and the connection."""
    return {name: value for name, value in headers.items() if not name.lower().startswith(_NOT_THEIRS)}


def _is_final(answer: Answer) -> bool:
    asked = answer.headers.get("webhook-retry")
    is_4xx = HTTPStatus.BAD_REQUEST <= answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
    return asked is not None and is_4xx and asked.strip().lower() == "false"


def _ms(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _kind(error: Exception) -> str:
    """Name the kind of an error, without its text."""
    match error:
        case PostFault():
            return error.kind
        case AddressRefused():
            return "address"
        case BadRequest() | ValueError():
            return "url"
        case _:
            return "reset"
