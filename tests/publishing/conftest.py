"""A journal to write to, receivers to send to, and dispatchers to kill."""

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import orjson
import pytest
import structlog
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc import jobs
from fieldsvc.access.callers import Account
from fieldsvc.errors import FieldsvcError, Unauthorized
from fieldsvc.ids import uuid7
from fieldsvc.journal.memory import shard_of
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Opener, Vault, open_vault, person_keys, sealed_place
from fieldsvc.logs import configure
from fieldsvc.publishing.dispatcher import Dispatcher, Pace
from fieldsvc.publishing.endpoints import Endpoints
from fieldsvc.publishing.feed import Feed
from fieldsvc.publishing.rendering import Renderer
from fieldsvc.publishing.replaying import Replaying
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database, connect
from fieldsvc.web import endpoints as endpoint_views
from fieldsvc.web import replays, rights, subscriber
from fieldsvc.web.auth import ACCESS, admitted
from tests import web_runners

ACCOUNT = "acct-one"


async def until(condition: Callable[[], Any], *, within_s: float = 30.0) -> None:
    """Poll until something holds; fail after a deadline."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


@dataclass
class Journal:
    """Writes public rows as the journal's writer does: positions per shard, sequence per subject."""

    database: Database
    vault: Vault
    positions: Counter[int] = field(default_factory=Counter)
    sequences: Counter[str] = field(default_factory=Counter)
    ids: list[str] = field(default_factory=list)

    async def say(
        self,
        subject: str,
        *,
        type_: str = "item.delivered",
        account: str | None = ACCOUNT,
        public: dict[str, Any] | None = None,
        operational: dict[str, Any] | None = None,
        sealed: dict[str, dict[str, Any]] | None = None,
    ) -> str:
        """Commit one public event and return its id."""
        return (
            await self.say_all(
                [subject], type_=type_, account=account, public=public, operational=operational, sealed=sealed
            )
        )[0]

    async def say_all(self, subjects: list[str], **about: Any) -> list[str]:
        """Commit one public event for each name in the list, in one transaction."""
        async with self.database.acquire() as connection, connection.transaction():
            return [await self._insert(connection, subject, **about) for subject in subjects]

    async def _insert(
        self, connection: Any, subject: str, *, type_: str = "item.delivered", account: str | None = ACCOUNT,
        public: dict[str, Any] | None = None, operational: dict[str, Any] | None = None,
        sealed: dict[str, dict[str, Any]] | None = None,
    ) -> str:  # fmt: skip
        now, event_id, shard = datetime.now(UTC), uuid7(), shard_of(subject)
        self.positions[shard] += 1
        self.sequences[subject] += 1
        clear: dict[str, Any] = {"public": public or {"n": self.sequences[subject]}}
        clear |= {"operational": operational} if operational else {}
        clear |= {"sealed": list(sealed)} if sealed else {}
        await connection.execute(
            "insert into event values ($1, $2, $3, $4, 0, 'public', $5, $6, $7, $8, 'site-pantin', null, $9, $9, $10, '{}', '\\x')",
            now.date(), shard, self.positions[shard], event_id, type_, subject, self.sequences[subject], account, now,
            orjson.dumps(clear),
        )  # fmt: skip
        if sealed:
            await self._seal(connection, subject, event_id, sealed)
        self.ids.append(f"evt_{event_id}")
        return self.ids[-1]

    async def _seal(self, connection: Any, person: str, event_id: UUID, sealed: dict[str, dict[str, Any]]) -> None:
        key = (await person_keys(connection, self.vault, [person])).of(person)
        month = datetime.now(UTC).date().replace(day=1)
        for purpose, data in sealed.items():
            nonce, text = key.seal(data, bound_to=sealed_place(event_id, 0, purpose))
            await connection.execute(
                "insert into sealed values ($1, $2, $3, 0, $4, $5, $6, $7)",
                purpose, month, event_id, person, key.key_id, nonce, text,
            )  # fmt: skip


@dataclass
class Received:
    """One request as a receiver saw it."""

    id: str
    subject: str
    sequence: int
    headers: dict[str, str]
    body: bytes
    acknowledged: bool


class Receiver:
    """A subscriber on loopback; `answer` says what it does with a request."""

    def __init__(self) -> None:
        self.got: list[Received] = []
        self.open: Counter[str] = Counter()
        self.overlaps = 0
        self.delay_s = 0.0
        self.url = ""
        self.answer: Callable[[Received], web.Response | int] = lambda _got: 204
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/hook", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True)
        await site.start()
        self._port = self._runner.addresses[0][1]
        self.url = f"http://127.0.0.1:{self._port}/hook"

    async def stop(self) -> None:
        if self._runner is not None:
            await web_runners.stop(self._runner)
            self._runner = None

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        event = orjson.loads(body)
        subject = event["subject"]
        self.open[subject] += 1
        self.overlaps += self.open[subject] > 1
        try:
            await asyncio.sleep(self.delay_s)
            headers = {name.lower(): value for name, value in request.headers.items()}
            got = Received(event["id"], subject, int(event["sequence"]), headers, body, acknowledged=False)
            answer = self.answer(got)
            answer = web.Response(status=answer) if isinstance(answer, int) else answer
            got.acknowledged = 200 <= answer.status < 300
            self.got.append(got)
            return answer
        finally:
            self.open[subject] -= 1

    @property
    def acknowledged(self) -> list[Received]:
        """What was answered with 2xx, in order."""
        return [got for got in self.got if got.acknowledged]

    def sequences(self) -> dict[str, list[int]]:
        """First acknowledged occurrences: the order in which each subject arrived."""
        seen, found = set(), defaultdict(list)
        for got in self.acknowledged:
            if got.id not in seen:
                seen.add(got.id)
                found[got.subject].append(got.sequence)
        return dict(found)

    def assert_in_order_and_same(self) -> None:
        """No subject out of order, never two requests of one at once, every copy of an event byte for byte the same."""
        for subject, sequence in self.sequences().items():
            assert sequence == sorted(sequence), subject
        bodies = defaultdict(set)
        for got in self.got:
            assert got.headers["webhook-id"] == got.id
            bodies[got.id].add(got.body)
        assert all(len(each) == 1 for each in bodies.values())


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Let only errors be logged."""
    before = structlog.get_config()
    configure(level="error")
    yield
    structlog.configure(**before)


@pytest.fixture
async def vault(database: Database) -> Vault:
    async with database.acquire() as connection:
        return await open_vault(connection, bytes(range(32)))


@pytest.fixture
async def journal(database: Database, vault: Vault) -> Journal:
    await add_account(database, ACCOUNT)
    return Journal(database, vault)


async def add_account(database: Database, name: str, *scopes: str) -> None:
    async with database.acquire() as connection:
        await connection.execute(
            "insert into account (id, kind, name, scopes, created_at) values ($1, 'subscriber', $1, $2::text[], now())",
            name, list(scopes),
        )  # fmt: skip


@pytest.fixture
def reader(database: Database) -> Reader:
    return Reader(database)


@pytest.fixture
async def tail(database: Database, reader: Reader) -> AsyncIterator[Tail]:
    following = Tail(reader, lambda: connect(database.url))
    job = asyncio.create_task(following.run())
    yield following
    await ended(job)


async def ended(job: "asyncio.Task[Any]") -> None:
    """End a job as the service does, which cancels again what a library lost; its own fault is raised."""
    await jobs.ended([job])
    if not job.cancelled():
        job.result()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    subscriber = Receiver()
    await subscriber.start()
    yield subscriber
    await subscriber.stop()


def settings_of(*schedule: float) -> Settings:
    return Settings(retry_schedule=schedule or (0, 0.05, 0.1, 0.2), allow_loopback_endpoints=True)


@pytest.fixture
def feed(database: Database, reader: Reader, tail: Tail, vault: Vault) -> Feed:
    return Feed(reader, tail, vault=vault, renderer=Renderer(Opener(database, vault)))


@pytest.fixture
def endpoints(database: Database, reader: Reader, vault: Vault, feed: Feed) -> Endpoints:
    return Endpoints(database, reader, vault=vault, feed=feed, settings=settings_of())


Start = Callable[..., Awaitable[Dispatcher]]


@pytest.fixture
async def crash() -> Callable[[Dispatcher], Awaitable[None]]:
    """Kill a dispatcher: nothing is finished, nothing is saved."""

    async def kill(dispatcher: Dispatcher) -> None:
        await ended(dispatcher.job)  # type: ignore[attr-defined]

    return kill


@pytest.fixture
async def start(database: Database, tail: Tail, vault: Vault) -> AsyncIterator[Start]:
    """Start dispatchers; they are killed at the end of the test."""
    running: list[asyncio.Task[None]] = []

    async def begin(*schedule: float, lease_s: float = 2.0, **limits: Any) -> Dispatcher:
        pace = Pace(
            lease_s=lease_s, margin_s=lease_s / 4, renew_s=lease_s / 8, look_s=0.05, save_s=0.02, grace_s=1.0,
            lane=LaneLimits(**limits),
        )  # fmt: skip
        dispatcher = Dispatcher(database, tail, vault=vault, settings=settings_of(*schedule), pace=pace)
        dispatcher.job = asyncio.create_task(dispatcher.run())  # type: ignore[attr-defined]
        running.append(dispatcher.job)  # type: ignore[attr-defined]
        return dispatcher

    yield begin
    for job in running:
        await ended(job)


@pytest.fixture
def tools() -> Any:
    """The helpers of this folder, which is no package."""

    class Tools:
        account = ACCOUNT
        poll = staticmethod(until)
        receiver = Receiver
        add_account = staticmethod(add_account)
        settings = staticmethod(settings_of)
        stop = staticmethod(ended)

    return Tools


@web.middleware
async def problems(request: web.Request, handler: Any) -> web.StreamResponse:
    from fieldsvc.web.problems import from_error

    try:
        answer: web.StreamResponse = await handler(request)
    except FieldsvcError as error:
        return from_error(error)
    return answer


@pytest.fixture
def middleware() -> Any:
    return problems


@pytest.fixture
def replaying(database: Database, reader: Reader, vault: Vault, feed: Feed) -> Replaying:
    renderer = Renderer(Opener(database, vault))
    return Replaying(database, reader, vault=vault, feed=feed, renderer=renderer, settings=settings_of())


@pytest.fixture
async def client(
    endpoints: Endpoints, replaying: Replaying, feed: Feed, reader: Reader, vault: Vault, journal: Journal
) -> AsyncIterator[TestClient[Any, Any]]:
    """The routes of subscribers, as acct-one; the keys of acct-two, acct-op and acct-med are their names."""
    scopes = {"acct-one": frozenset[str](), "acct-two": frozenset[str](), "acct-op": frozenset({"operator"}),
              "acct-med": frozenset({"health"})}  # fmt: skip
    database = journal.database
    await add_account(database, "acct-two")

    class Known:
        """The accounts of this file, in place of those of the database."""

        def __init__(self) -> None:
            self.database = database

        async def account(self, name: str) -> Account:
            if name not in scopes:
                raise Unauthorized
            return Account(name, "subscriber", scopes[name], None)

    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = Known()
    app.add_routes([*endpoint_views.routes, *replays.routes, *subscriber.routes])
    rights.bind(app, complete=False)
    app[endpoint_views.ENDPOINTS] = endpoints
    app[replays.REPLAYING] = replaying
    app[subscriber.FEED] = feed
    app[subscriber.READER] = reader
    app[subscriber.RENDERER] = Renderer(Opener(database, vault))
    async with TestClient(TestServer(app), headers={"Authorization": "Bearer acct-one"}) as opened:
        yield opened
