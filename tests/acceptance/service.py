"""The real service on a free loopback port, in a thread with its own loop: tests talk to it as outsiders do."""

import asyncio
import base64
import http.client
import io
import logging
import os
import socket
import threading
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import orjson
import structlog
import uvloop
from aiohttp import web

from fieldsvc import logs
from fieldsvc.app import create_app
from fieldsvc.ids import uuid7
from fieldsvc.platform import Platform, open_platform
from fieldsvc.serve import listening
from fieldsvc.settings import Settings
from fieldsvc.simulate.subscriber import Subscriber
from handlers.base import wire_type
from handlers.fields import format_time

T = TypeVar("T")
BATCH, ONE, JSON = "application/cloudevents-batch+json", "application/cloudevents+json", "application/json"
PATIENCE_S = 30.0


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def code(self) -> str:
        """The stable code of a problem, which must be one."""
        assert self.headers["content-type"] == "application/problem+json"
        problem = self.json()
        assert problem["status"] == self.status
        assert problem["title"]
        assert problem["detail"]
        return str(problem["code"])


_LOG = io.StringIO()


class Service:
    """The app as `serve` runs it: `create_app` on `make_runner`, on uvloop."""

    def __init__(
        self,
        database_url: str,
        folder: Path,
        *,
        prepare: Callable[[Platform], Coroutine[Any, Any, None]] | None = None,
        log: io.StringIO | None = None,
        **settings: Any,
    ) -> None:
        """`prepare` loads what is there before it serves; with a `log` it writes into the log of another service."""
        self.log, self._owns_log = log or _LOG, log is None
        self.settings = Settings(
            database_url=database_url,
            master_key=base64.b64encode(os.urandom(32)).decode(),
            var_dir=folder,
            port=0,
            allow_loopback_endpoints=True,
            **{
                "retry_schedule": (0, 0.2, 1),
                "rate_limits": False,
                "refuses_after_s": 0,
                "phones_first_s": 0,
                **settings,
            },
        )
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self._stack = AsyncExitStack()
        if self._owns_log:
            self._record()
        self.call(self._open(database_url, prepare))

    async def _open(self, url: str, prepare: Callable[[Platform], Coroutine[Any, Any, None]] | None) -> None:
        self.platform: Platform = await self._stack.enter_async_context(open_platform(self.settings, url))
        if prepare is not None:
            await prepare(self.platform)
        self.app: web.Application = create_app(self.platform)
        self.url = await self._stack.enter_async_context(listening(self.app, self.settings))
        self.port = int(self.url.rsplit(":", 1)[1])

    async def stop(self) -> None:
        """Stop serving, in good order; what else lives in the loop goes on until `close`."""
        await self._stack.aclose()

    def close(self) -> None:
        self.call(self.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(PATIENCE_S)
        self._loop.close()
        if self._owns_log:
            logging.getLogger().removeHandler(self._handler)
            structlog.configure(**self._before)

    def call(self, work: Coroutine[Any, Any, T], *, within_s: float = 60) -> T:
        """Run a coroutine in the service's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(within_s)

    def _record(self) -> None:
        """Log as the service does, but into memory; other libraries' logs as well, however chatty.

        One memory for all services of this process: which of them was opened last does not matter then.
        """
        self._before = structlog.get_config()
        logs.configure(level="debug", form="json")
        structlog.configure(logger_factory=structlog.PrintLoggerFactory(self.log))
        self._handler = logging.StreamHandler(self.log)
        logging.getLogger().addHandler(self._handler)

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | str | Any = None,
        *,
        headers: Mapping[str, str | bytes] | None = None,
        chunked: bool = False,
        to_json: bool = False,
    ) -> Answer:
        """Send one request on a connection of its own."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE_S)
        try:
            sent = orjson.dumps(body) if to_json else body
            more = {"Content-Type": JSON} if to_json else {}
            if chunked:
                sent = iter([sent[n : n + 65_536] for n in range(0, len(sent), 65_536)])
            connection.request(method, path, sent, {**more, **(headers or {})}, encode_chunked=chunked)
            found = connection.getresponse()
            return Answer(found.status, {k.lower(): v for k, v in found.getheaders()}, found.read())
        finally:
            connection.close()

    def raw(self, sent: bytes) -> bytes:
        """Send bytes as they are, and read until the service closes the connection."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=PATIENCE_S) as connection:
            connection.sendall(sent)
            answer = b""
            while part := connection.recv(65_536):
                answer += part
        return answer

    def counted(self, name: str) -> float:
        """Read a metric."""
        lines = self.ask("GET", "/metrics").body.decode().splitlines()
        return next((float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(name)), 0.0)


@dataclass(frozen=True)
class Caller:
    """Somebody with credentials."""

    service: Service
    name: str
    secret: str

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.secret}"}

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        headers = {**self.headers, **more.pop("headers", {})}
        return self.service.ask(method, path, body, headers=headers, to_json=body is not None, **more)

    def post(self, body: bytes, media_type: str = BATCH, *, chunked: bool = False, **headers: Any) -> Answer:
        """Post a body of events as it is."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        more = {**self.headers, "Content-Type": media_type, **named}
        return self.service.ask("POST", "/v1/events", body, headers=more, chunked=chunked)

    def send(self, *events: Any, **headers: Any) -> list[dict[str, Any]]:
        """Post a batch and return its results."""
        answer = self.post(orjson.dumps(events), BATCH, **headers)
        assert answer.status == 200, answer.body
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def feed(self, types: str = "", after: str = "", limit: int = 1000) -> list[dict[str, Any]]:
        """Read the feed to its end."""
        found: list[dict[str, Any]] = []
        while True:
            answer = self.ask("GET", f"/v1/feed?types={types}&limit={limit}&after={after}")
            assert answer.status == 200, answer.body
            page = answer.json()
            if not page["events"]:
                return found
            found, after = found + page["events"], page["next"]

    def event(self, event_id: str) -> Answer:
        return self.ask("GET", f"/v1/events/{event_id}")


@dataclass
class Message:
    """One webhook as it arrived."""

    headers: Mapping[str, str]
    body: bytes
    event: dict[str, Any] = field(init=False)

    def __post_init__(self) -> None:
        self.event = orjson.loads(self.body)


class Ear(Subscriber):
    """A subscriber that remembers what it got, so that a test can wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.messages: list[Message] = []
        self._changed = threading.Condition()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        answer = await super()._receive(request)
        with self._changed:
            self.messages.append(Message(dict(request.headers), body))
            self._changed.notify_all()
        return answer

    def wait(self, wanted: Callable[[dict[str, Any]], bool], count: int = 1) -> list[Message]:
        """Wait until `count` events that are wanted have come; return them in the order they came."""

        def found() -> list[Message]:
            return [message for message in self.messages if wanted(message.event)]

        with self._changed:
            assert self._changed.wait_for(lambda: len(found()) >= count, PATIENCE_S), f"only {len(found())} came"
            return found()

    def about(self, subject: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait for events of a subject, in the order they came."""
        return [message.event for message in self.wait(lambda event: event["subject"] == subject, count)]


def field_event(name: str, data: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """Write a field event as a phone does; a member given as None is left out."""
    event = {
        "specversion": "1.0",
        "id": str(uuid7()),
        "source": "/devices/d-0042",
        "type": wire_type(name),
        "time": format_time(datetime.now(UTC) - timedelta(seconds=2)),
        "data": dict(data),
        **more,
    }
    return {key: value for key, value in event.items() if value is not None}


def ago(**spans: float) -> str:
    return format_time(datetime.now(UTC) - timedelta(**spans))


def fresh(prefix: str = "X") -> str:
    """Make an id that nothing else has."""
    return f"{prefix}-{uuid4().hex[:12].upper()}"


def statuses(results: Sequence[Mapping[str, Any]]) -> list[str]:
    return [result["status"] for result in results]
