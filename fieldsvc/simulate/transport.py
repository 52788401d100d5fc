"""One phone's HTTP: bearer token, timeouts, no redirects. The token stays in here."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import aiohttp
import orjson
from yarl import URL

EPOCH_HEADER = "Fieldsvc-Store-Epoch"
TIMEOUT = aiohttp.ClientTimeout(total=30, connect=5)


class NoAnswer(Exception):
    """The network gave no answer."""


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; header names as the server wrote them, looked up without case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def header(self, name: str) -> str | None:
        """Return a header by name, whatever its case."""
        return next((value for key, value in self.headers.items() if key.lower() == name.lower()), None)

    def json(self) -> Any:
        """Return the decoded body, None when it is not JSON."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            return None


class Transport(Protocol):
    """What a phone needs of the network. Both raise `NoAnswer`."""

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer: ...
    async def get(self, path: str, *, headers: Mapping[str, str]) -> Answer: ...


class Wire(Protocol):
    """What a tracking app needs of the network: it brings its own credentials. Raises `NoAnswer`."""

    async def ask(self, method: str, path: str, body: bytes | None, *, headers: Mapping[str, str]) -> Answer: ...


@dataclass(frozen=True, slots=True)
class HttpTransport:
    """Speak to `base_url` as one device."""

    session: aiohttp.ClientSession
    base_url: str
    token: str = field(repr=False)

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        return await self.ask("POST", path, body, headers={**headers, "Authorization": f"Bearer {self.token}"})

    async def get(self, path: str, *, headers: Mapping[str, str]) -> Answer:
        return await self.ask("GET", path, None, headers={**headers, "Authorization": f"Bearer {self.token}"})

    async def ask(self, method: str, path: str, body: bytes | None, *, headers: Mapping[str, str]) -> Answer:
        """Send a request as it is, with no credentials but those in `headers` and `path`."""
        url = URL(self.base_url.rstrip("/") + path, encoded=True)
        try:
            async with self.session.request(
                method,
                url,
                data=body,
                headers=headers,
                skip_auto_headers=("Content-Type",),
                timeout=TIMEOUT,
                allow_redirects=False,
            ) as response:
                return Answer(response.status, dict(response.headers), await response.read())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(type(error).__name__) from error
