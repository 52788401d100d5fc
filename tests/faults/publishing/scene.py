"""What a run of the sender needs: a journal that is written to, endpoints, receivers with a ledger, and dispatchers."""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import asyncpg
import orjson
from aiohttp import web

from fieldsvc.ids import uuid7
from fieldsvc.journal.memory import shard_of
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Vault, open_vault
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing.dispatcher import Dispatcher, Pace
from fieldsvc.publishing.keys import seal_key
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.tools import LaneLimits
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.settings import Settings
from fieldsvc.store.database import DATABASE_ERRORS, Database, connect
from handlers.base import evt_id
from tests import web_runners
from tests.faults.publishing.oracle import Event, Reception, Recorded, journalled, receptions, recorded

ACCOUNT, MASTER_KEY = "acct-one", bytes(range(32))
ROW = """
insert into event values ($1, $2, $3, $4, 0, 'public', 'item.delivered', $5, $6, $7, 'site-pantin', null, $8, $8, $9, '{}', '\\x')
"""


async def until(
    condition: Callable[[], Any], *, within_s: float = 60.0, every_s: float = 0.02, what: str = "it"
) -> None:
    """Poll until something holds; fail after a deadline."""
    deadline = time.monotonic() + within_s
    while True:
        found = condition()
        if isinstance(found, Awaitable):
            found = await found
        if found:
            return
        assert time.monotonic() < deadline, f"{what} never came true"
        await asyncio.sleep(every_s)


@dataclass
class Pen:
    """The one writer of the journal: positions per shard, sequence per subject; patient with a database that goes away."""

    url: str
    account: str = ACCOUNT
    positions: Counter[int] = field(default_factory=Counter)
    sequences: Counter[str] = field(default_factory=Counter)
    written_at: dict[str, float] = field(default_factory=dict)
    interrupted: int = 0
    _connection: asyncpg.Connection | None = None

    async def say(self, *subjects: str) -> list[str]:
        """Commit one event of each subject in one transaction; return their ids."""
        rows = [self._row(subject) for subject in subjects]
        while True:
            try:
                await self._write(rows)
                break
            except DATABASE_ERRORS:
                self.interrupted += 1
                await self.close()
                await asyncio.sleep(0.05)
        names = [evt_id(row[3], 0) for row in rows]
        self.written_at |= dict.fromkeys(names, time.monotonic())
        return names

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _write(self, rows: Sequence[tuple[Any, ...]]) -> None:
        if self._connection is None:
            self._connection = await connect(self.url)
        if await self._connection.fetchval("select 1 from event where id = $1", rows[0][3]):
            return  # the commit whose answer was lost
        async with self._connection.transaction():
            await self._connection.executemany(ROW, rows)

    def _row(self, subject: str) -> tuple[Any, ...]:
        now, shard = datetime.now(UTC), shard_of(subject)
        self.positions[shard] += 1
        self.sequences[subject] += 1
        public = orjson.dumps({"public": {"n": self.sequences[subject]}})
        place = now.date(), shard, self.positions[shard]
        return (*place, uuid7(), subject, self.sequences[subject], self.account, now, public)


Answer = Callable[["Inbox", Event], int | web.Response | Awaitable[int | web.Response]]


@dataclass
class Inbox:
    """One endpoint's receiver: what it got, in order, how it answers, and events that it refuses in any request."""

    url: str
    endpoint: str = ""
    answer: Answer = lambda _inbox, _event: 204
    got: list[Reception] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)

    async def take(self, request: web.Request) -> web.Response:
        body, message_id = await request.read(), request.headers["webhook-id"]
        heard = receptions(message_id, body, acknowledged=False, at=time.monotonic())
        bad = any(each.event.id in self.refuses for each in heard)
        found = 422 if bad else self.answer(self, heard[0].event)
        answer = await found if isinstance(found, Awaitable) else found
        answer = web.Response(status=answer) if isinstance(answer, int) else answer
        self.note(message_id, body, acknowledged=200 <= answer.status < 300)
        return answer

    def note(self, message_id: str, body: bytes, *, acknowledged: bool) -> None:
        """Write a request down, before it is answered."""
        self.got += receptions(message_id, body, acknowledged=acknowledged, at=time.monotonic())

    @property
    def acknowledged(self) -> set[str]:
        return {each.event.id for each in self.got if each.acknowledged}

    def has(self, names: Sequence[str]) -> bool:
        return self.acknowledged.issuperset(names)


class Host:
    """A web server on loopback with an inbox for each path; it can be taken down and come back on its port."""

    def __init__(self) -> None:
        self.inboxes: dict[str, Inbox] = {}
        self._runner: web.AppRunner | None = None
        self._port = 0

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/{name}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self._port, reuse_address=True).start()
        self._port = self._runner.addresses[0][1]

    async def stop(self) -> None:
        if self._runner is not None:
            await web_runners.stop(self._runner)
            self._runner = None

    def inbox(self, name: str) -> Inbox:
        """Return the inbox of a name, made when it is new."""
        return self.inboxes.setdefault(name, Inbox(f"http://127.0.0.1:{self._port}/{name}"))

    async def _take(self, request: web.Request) -> web.Response:
        return await self.inboxes[request.match_info["name"]].take(request)


@asynccontextmanager
async def host() -> AsyncIterator[Host]:
    """Serve inboxes until the end of the block."""
    opened = Host()
    await opened.start()
    try:
        yield opened
    finally:
        await opened.stop()


async def ready(database: Database) -> Vault:
    """Make the account and the store's keys."""
    async with database.acquire() as connection:
        await connection.execute(
            "insert into account (id, kind, name, scopes, created_at) values ($1, 'subscriber', $1, '{}', now())",
            ACCOUNT,
        )
        return await open_vault(connection, MASTER_KEY)


async def add_endpoint(database: Database, vault: Vault, url: str, **columns: Any) -> str:
    """Make an endpoint that starts before the first event; `columns` beyond those that every endpoint has."""
    name = f"ep_{uuid7().hex}"
    given = {"id": name, "account": ACCOUNT, "url": url, "types": [], "created_at": datetime.now(UTC), **columns}
    places = ", ".join(f"${number}" for number in range(1, len(given) + 1))
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(f"insert into endpoint ({', '.join(given)}) values ({places})", *given.values())
        await connection.execute(
            "insert into endpoint_secret (endpoint, no, sealed, created_at) values ($1, 1, $2, now())",
            name, seal_key(vault, name, new_secret()),
        )  # fmt: skip
        await connection.execute("insert into lane (endpoint, leased_until) values ($1, now())", name)
        await connection.execute(
            "insert into cursor (endpoint, shard, day, pos) select $1, s, '0001-01-01', 0 from generate_series(0, $2 - 1) s",
            name, SHARDS,
        )  # fmt: skip
    return name


def settings_of(*schedule: float) -> Settings:
    return Settings(retry_schedule=schedule or (0, 0.05, 0.1, 0.2), allow_loopback_endpoints=True)


def pace_of(*, lease_s: float = 2.0, save_s: float = 0.02, look_s: float = 0.05, **limits: Any) -> Pace:
    """Return the pace of a dispatcher that tests can wait for."""
    return Pace(
        lease_s=lease_s, margin_s=lease_s / 4, renew_s=lease_s / 8, look_s=look_s, save_s=save_s, grace_s=1.0,
        lane=LaneLimits(**limits),
    )  # fmt: skip


@asynccontextmanager
async def dispatching(
    database: Database, vault: Vault, *schedule: float, sender: Sender | None = None, pace: Pace | None = None
) -> AsyncIterator[Dispatcher]:
    """Dispatch, following the journal, until the end of the block, where it ends as in a crash."""
    tail = Tail(Reader(database), lambda: connect(database.url))
    dispatcher = Dispatcher(
        database, tail, vault=vault, settings=settings_of(*schedule), sender=sender, pace=pace or pace_of()
    )
    jobs = [asyncio.create_task(tail.run()), asyncio.create_task(dispatcher.run())]
    try:
        yield dispatcher
    finally:
        for job in jobs:
            job.cancel()
        for job in jobs:
            with contextlib.suppress(asyncio.CancelledError):
                await job


async def nothing_waits(database: Database) -> bool:
    """Tell whether no subject is parked and nothing lies behind one."""
    async with database.acquire() as connection:
        return not await connection.fetchval(
            "select (select count(*) from parked) + (select count(*) from lane_backlog)"
        )


@dataclass(frozen=True)
class Books:
    """The two books of one endpoint: the journal's and the database's, to be held against its inbox."""

    events: list[Event]
    records: Recorded


async def books(database: Database, endpoint: str) -> Books:
    """Read what the oracle compares an inbox with."""
    return Books(await journalled(database, ACCOUNT), await recorded(database, endpoint, ACCOUNT))


def names_of(rng: random.Random, count: int, among: int) -> list[str]:
    """Choose subjects at random."""
    return [f"item/RK{rng.randrange(among)}FR" for _ in range(count)]
