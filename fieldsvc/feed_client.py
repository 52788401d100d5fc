"""A subscriber's side of the feed: where it begins, server-sent events, and connections that are lost.

It speaks HTTP only. Without a cursor it begins at now: it skips to the end, and leaves out what was recorded before.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import aiohttp
import orjson
from yarl import URL

from fieldsvc.errors import UserMistake
from handlers.base import short_type
from handlers.fields import format_time

FEED, NOTHING = URL("/v1/feed"), "nothing.at_all"
RECONNECT_S = (1.0, 2.0, 5.0, 10.0)
MOST_SKIPS = 200  # steps of 10,000 rows on the way to now; what is older than now is not told anyway
SILENCE_S = 45.0  # the feed speaks every 15 s
Say = Callable[[str], None]


class Lost(Exception):
    """The connection to the service is gone; it may come back."""


@dataclass(frozen=True, slots=True)
class Heard:
    """An event of the feed, and the cursor behind it."""

    cursor: str
    body: bytes
    id: str
    type: str
    subject: str
    time: str
    recorded: str

    @property
    def line(self) -> str:
        """Return what is printed of it."""
        return f"{self.time[11:19]}  {short_type(self.type) or self.type:<28} {self.subject:<32} {self.id}"


class Feed:
    """The service's feed, from a cursor on, through lost connections."""

    def __init__(self, session: aiohttp.ClientSession, target: URL, *, key: str, types: str, after: str | None) -> None:
        self._session = session
        self._target = target
        self._headers = {"Authorization": f"Bearer {key}"}
        self._types = types
        self._from_now = after is None
        self.cursor = after or ""
        self._since = self._clock = ""

    async def begin(self) -> None:
        """Find out whether the service takes key, types and cursor, and where now is if it begins there."""
        try:
            await self._page(self._types, self.cursor)
            if self._from_now:
                self._since = self._clock
                for _ in range(MOST_SKIPS):
                    before, self.cursor = self.cursor, (await self._page(NOTHING, self.cursor))["next"]
                    if self.cursor == before:
                        break
        except Lost:
            raise UserMistake(f"Nothing answers at {self._target}.") from None

    async def follow(self, say: Say) -> AsyncIterator[Heard | str]:
        """Yield events, and of quiet times the cursor that was reached, for ever."""
        failures = 0
        while True:
            try:
                async for message in self._stream():
                    failures = 0
                    self.cursor = message if isinstance(message, str) else message.cursor
                    yield message
            except Lost:
                wait_s = RECONNECT_S[min(failures, len(RECONNECT_S) - 1)]
                failures += 1
                say(f"The connection is lost; again in {wait_s:.0f} s.")
                await asyncio.sleep(wait_s)

    async def _page(self, types: str, after: str) -> dict[str, Any]:
        query = {"types": types, "after": after, "limit": "1"}
        try:
            async with self._session.get(
                self._target.join(FEED), params=query, headers=self._headers, allow_redirects=False
            ) as answer:
                await self._check(answer, "application/json")
                self._clock = _moment(answer.headers.get("Date", ""))
                page: dict[str, Any] = await answer.json()
                return page
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Lost from error

    async def _stream(self) -> AsyncIterator[Heard | str]:
        headers = {**self._headers, "Accept": "text/event-stream"}
        patience = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=SILENCE_S)
        query = {"types": self._types, "after": self.cursor}
        try:
            async with self._session.get(
                self._target.join(FEED),
                params=query,
                headers=headers,
                timeout=patience,
                allow_redirects=False,
            ) as answer:
                await self._check(answer, "text/event-stream")
                async for cursor, body in _messages(answer.content):
                    heard = _heard(cursor, body) if body else None
                    yield heard if heard and heard.recorded >= self._since else cursor
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise Lost from error
        raise Lost

    async def _check(self, answer: aiohttp.ClientResponse, media_type: str) -> None:
        """Pass a good answer on; Lost for one that asks to come again, UserMistake for any other."""
        if answer.status == 200 and answer.content_type == media_type:
            return
        if answer.status == 429 or answer.status >= 500:
            raise Lost
        problem = await answer.json() if answer.content_type == "application/problem+json" else {}
        sentences = {
            "cursor_expired": "What is behind this cursor is no longer kept: begin with --after oldest.",
            "bad_cursor": "This is no cursor of this service's feed.",
            "unauthorized": "The service does not know this API key.",
        }
        code, detail = (
            problem.get("code"),
            problem.get("detail") or f"{self._target} answers {answer.status}: it is no fieldsvc.",
        )
        raise UserMistake(sentences.get(str(code), str(detail)))


async def _messages(lines: aiohttp.StreamReader) -> AsyncIterator[tuple[str, bytes]]:
    """Read server-sent events as (id, data); a message that was cut off is left out."""
    cursor, data = "", list[bytes]()
    async for raw in lines:
        name, _, value = raw.rstrip(b"\r\n").partition(b": ")
        if not name and not value:
            if cursor:
                yield cursor, b"\n".join(data)
            cursor, data = "", []
        elif name == b"id":
            cursor = value.decode()
        elif name == b"data":
            data.append(value)


def _moment(date: str) -> str:
    """Read the service's clock as events write it; the beginning of time where it is not said."""
    try:
        return format_time(parsedate_to_datetime(date))
    except (ValueError, TypeError):
        return ""


def _heard(cursor: str, body: bytes) -> Heard:
    event = orjson.loads(body)
    return Heard(cursor, body, *(str(event[name]) for name in ("id", "type", "subject", "time", "recordedtime")))
