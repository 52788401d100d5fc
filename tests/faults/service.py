"""The service as a process of its own on a small town, its phones, and the subscriber that listens to it."""

import asyncio
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count, islice
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import orjson

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import open_platform
from fieldsvc.process import database_url
from fieldsvc.settings import Settings
from fieldsvc.simulate.duties import light_work, timeline
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.phones import Habits, Phone
from fieldsvc.simulate.run import Device
from fieldsvc.simulate.shift import Desk
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.simulate.town import Town
from fieldsvc.simulate.transport import Answer, HttpTransport, NoAnswer, Transport
from fieldsvc.simulate.walking import FieldEvent
from fieldsvc.store.database import Database, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from tests.faults.children import Child, Children
from tests.faults.oracle import Verdict, judge, read_journal, read_phones, read_receptions

ROUNDS, STOPS = 4, 60
SHIFT_S = 6 * 3600.0
RETRIES = "0,0.2,0.5,1,2,5,10,20,30,60"
PAUSE_S = 0.03  # mean, between two uploads of a phone
RECEIVED_WITHIN_S = 60.0


@dataclass(frozen=True)
class Credentials:
    """What the phones and the subscriber need."""

    devices: list[Device]
    api_key: str


async def prepare(var_dir: Path) -> Credentials:
    """Load a small town and its day, as the commands would, and leave the database stopped."""
    settings, town = Settings(var_dir=var_dir), Town(1, rounds=ROUNDS, stops=STOPS)
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        database, day = platform.database, platform.runs.today()
        await imports.import_addresses(database, town.addresses_csv().splitlines(keepends=True))
        rounds = var_dir / "rounds.geojson"
        rounds.write_text(town.rounds_geojson(), encoding="utf-8")
        await imports.import_rounds(database, rounds, zone=settings.zone)
        await imports.import_roster(database, town.roster_csv(day).splitlines(keepends=True))
        tasks = TaskImport(platform.tasks, opener=platform.opener, registry=platform.registry, zone=settings.zone)
        await tasks.run(town.tasks_jsonl(day).splitlines(keepends=True))
        await platform.runs.plan_day(day)
        devices = [
            await enrolment.enrol_device(
                database, "http://127.0.0.1", carrier=each.name, site=each.site, round_id=each.round_id
            )
            for each in town.carriers
        ]
        account = await accounts.create_subscriber(database, "Oracle", scopes=["operator", "health"])
    return Credentials([Device.from_json(each) for each in devices], account["api_key"])


@dataclass
class Service:
    """`fieldsvc serve` on a var folder; started again it takes the same port."""

    var_dir: Path
    children: Children
    child: Child | None = None
    url: str = ""
    starts: int = 0

    async def start(self) -> None:
        """Start it and wait until it listens."""
        port = self.url.rsplit(":", 1)[1] if self.url else "0"
        env = {
            "FIELDSVC_VAR_DIR": str(self.var_dir),
            "FIELDSVC_ALLOW_LOOPBACK_ENDPOINTS": "1",
            "FIELDSVC_RETRY_SCHEDULE": RETRIES,
            "FIELDSVC_LOG_LEVEL": "warning",
            "FIELDSVC_LOG_FORMAT": "json",
            "FIELDSVC_RATE_LIMITS": "false",
        }
        arguments = ("-m", "fieldsvc", "serve", "--port", port)
        self.child = await self.children.start(*arguments, env=env, errors=self.var_dir / "service.log")
        line = await self.child.line(within_s=60)
        assert line.startswith("listening http://127.0.0.1:"), self.log()
        self.url = line.removeprefix("listening ")
        self.starts += 1

    async def kill(self) -> None:
        """End it as a crash would."""
        assert self.child is not None
        self.child.signal(signal.SIGKILL)
        assert await self.child.ended() == -signal.SIGKILL

    async def stop(self) -> tuple[int, float]:
        """Ask it to stop; return its exit status and how long it took."""
        assert self.child is not None
        began = time.monotonic()
        self.child.signal(signal.SIGTERM)
        return await self.child.ended(within_s=60), time.monotonic() - began

    def log(self) -> str:
        """Return what it said so far."""
        return (self.var_dir / "service.log").read_text()


@dataclass
class Watched:
    """A transport that notes what was answered: statuses (0 is none), receipts, and refusals without a Retry-After."""

    inner: Transport
    statuses: Counter[int]
    receipts: list[str]
    rude: list[str]

    async def post(self, path: str, body: bytes, *, headers: Mapping[str, str]) -> Answer:
        answer = await self._noted(self.inner.post(path, body, headers=headers))
        if answer.status == 200:
            self.receipts.append(orjson.loads(answer.body)["receipt"])
        return answer

    async def get(self, path: str, *, headers: Mapping[str, str]) -> Answer:
        return await self._noted(self.inner.get(path, headers=headers))

    async def _noted(self, asked: Awaitable[Answer]) -> Answer:
        try:
            answer = await asked
        except NoAnswer:
            self.statuses[0] += 1
            raise
        self.statuses[answer.status] += 1
        if answer.status != 200 and (answer.status != 503 or answer.header("Retry-After") is None):
            self.rude.append(f"{answer.status} {answer.body.decode()}")
        return answer


@dataclass
class Fleet:
    """The phones of the town, all uploading as fast as their pauses let them."""

    session: aiohttp.ClientSession
    url: str
    devices: list[Device]
    ledger: Ledger
    seed: int
    patience_s: float
    over: asyncio.Event = field(default_factory=asyncio.Event)
    statuses: Counter[int] = field(default_factory=Counter)
    receipts: list[str] = field(default_factory=list)
    rude: list[str] = field(default_factory=list)
    phones: list[Phone] = field(default_factory=list)
    desks: list[Desk] = field(default_factory=list)
    working: "asyncio.Future[None]" = field(init=False)

    def __post_init__(self) -> None:
        self.working = asyncio.ensure_future(self.work())

    async def work(self) -> None:
        """Work until `over`."""
        await asyncio.gather(*(self._carrier(device) for device in self.devices))

    async def _carrier(self, device: Device) -> None:
        transport = Watched(
            HttpTransport(self.session, self.url, device.token), self.statuses, self.receipts, self.rude
        )
        habits = Habits(twice_rate=0.1, lost_rate=0.05, backoff_s=0.1)
        phone = Phone(device.device_id, transport, ledger=self.ledger, habits=habits, seed=self.seed)
        self.phones.append(phone)
        desk, rng = Desk(transport, phone), Random(f"{self.seed} {device.device_id}")
        self.desks.append(desk)
        run = await desk.current()
        assert run is not None
        sheet = await desk.sheet(run["run_id"])
        assert sheet is not None
        doings = self._doings(sheet, device.device_id)
        while not self.over.is_set():
            for event in islice(doings, rng.randint(1, 8)):
                phone.record(event, run_id=run["run_id"])
            wait_s = await phone.send()
            await asyncio.sleep(min(wait_s, self.patience_s) + rng.expovariate(1 / PAUSE_S))

    def _doings(self, sheet: Mapping[str, Any], device: str) -> Iterator[FieldEvent]:
        """Yield what a carrier reports: the whole shift, then light work for ever."""
        start_at = time.time() - SHIFT_S
        for moment in timeline(sheet, seed=self.seed, mode=sheet["mode"], start_at=start_at):
            if isinstance(moment, FieldEvent):
                yield moment
        for number in count(1):
            yield from light_work(sheet, seed=self.seed, device=device, number=number, at=time.time(), gap_s=(0, 1))

    def waiting(self) -> set[str]:
        """Return the ids that are still on the phones."""
        return {name for phone in self.phones for name in phone.outbox.waiting}

    async def ask(self) -> None:
        """Ask for the work of the day on every phone, which the database must answer."""
        await asyncio.gather(*(desk.current() for desk in self.desks))

    async def rest(self) -> None:
        """End the work after the uploads that are under way."""
        self.over.set()
        await asyncio.wait_for(self.working, 60)

    async def flush(self) -> None:
        """Upload what is left, in quiet."""
        for phone in self.phones:
            while phone.pending:
                wait_s = await phone.send()
                await asyncio.sleep(min(wait_s, self.patience_s))

    async def progress(self, *, within_s: float = 30.0) -> float:
        """Wait until events that are made from now on are acknowledged; return how long that took."""
        began, target = time.monotonic(), self.ledger.counts().acked + 5
        async with asyncio.timeout(within_s):
            while self.ledger.counts().acked < target:
                if self.working.done():
                    self.working.result()
                await asyncio.sleep(0.01)
        return time.monotonic() - began


@asynccontextmanager
async def fleet_of(
    service: Service, credentials: Credentials, path: Path, *, seed: int, patience_s: float
) -> AsyncIterator[Fleet]:
    """Let the phones work in the background; leaving, they stop where they are."""
    connector = aiohttp.TCPConnector(limit=64)
    with Ledger(path) as ledger:
        async with aiohttp.ClientSession(connector=connector, trust_env=False) as session:
            fleet = Fleet(session, service.url, credentials.devices, ledger, seed, patience_s)
            try:
                yield fleet
            finally:
                fleet.working.cancel()
                await asyncio.gather(fleet.working, return_exceptions=True)


@asynccontextmanager
async def subscriber_of(service: Service, credentials: Credentials, path: Path) -> AsyncIterator[Subscriber]:
    """Listen to every public event there is."""
    hook = Subscriber(ledger_path=path)
    try:
        asked = {"url": await hook.start(), "types": ["*"], "from": "oldest"}
        headers = {"Authorization": f"Bearer {credentials.api_key}"}
        async with (
            aiohttp.ClientSession(trust_env=False) as session,
            session.post(f"{service.url}/v1/endpoints", json=asked, headers=headers) as response,
        ):
            assert response.status == 201
            hook.trust((await response.json())["secret"])
        yield hook
    finally:
        await hook.close()


@dataclass
class Scene:
    """Everything at work: the service, its phones, and a subscriber that checks signatures, order and repetitions."""

    service: Service
    fleet: Fleet
    hook: Subscriber
    folder: Path

    async def reckon(self) -> Verdict:
        """Let the phones flush, wait until everything is published, stop the service, and compare.

        The offline checks of the command line must be content, too.
        """
        server = EmbeddedPostgres(self.service.var_dir)
        url = await asyncio.to_thread(server.acquire)
        try:
            database = await open_database(url, size=2)
            await self.fleet.rest()
            resting = read_phones(self.folder / "phones.ledger")
            assert self.fleet.waiting() == resting.generated - resting.acked.keys()
            async with asyncio.timeout(60):
                await self.fleet.flush()
            await self._received_all(database)
            status, _ = await self.service.stop()
            assert status == 0, self.service.log()
            journal = await read_journal(database)
            await database.close()
            await self._verified()
        finally:
            await asyncio.to_thread(server.release)
        counts = self.hook.counts()
        received = read_receptions(self.folder / "subscriber.ledger")
        phones = read_phones(self.folder / "phones.ledger")
        verdict = judge(journal, received, phones=phones, repeated=counts.duplicates)
        verdict.faults += [*self.hook.violations, *self.fleet.rude]
        return verdict

    async def _received_all(self, database: Database) -> None:
        """Wait until as many events were received as the journal has published, and no more follow."""
        until = time.monotonic() + RECEIVED_WITHIN_S
        while True:
            async with database.acquire() as connection:
                published = await connection.fetchval("select count(*) from event where kind = 'public'")
            if (delivered := self.hook.counts().delivered) >= published:
                return
            assert time.monotonic() < until, f"{delivered} of {published} received; {list(self.hook.violations)}"
            await asyncio.sleep(0.1)

    async def _verified(self) -> None:
        receipts = self.folder / "receipts"
        receipts.write_text("\n".join(self.fleet.receipts))
        for arguments in (("verify", "journal"), ("verify", "receipts", str(receipts))):
            child = await self.service.children.start(
                "-m", "fieldsvc", *arguments, "--json", env={"FIELDSVC_VAR_DIR": str(self.service.var_dir)}
            )
            said = orjson.loads(await child.line())
            assert await child.ended() == 0, said


@asynccontextmanager
async def scene(children: Children, folder: Path, *, seed: int, patience_s: float = 0.4) -> AsyncIterator[Scene]:
    """Set the town up and let everybody work; leaving, nothing of it runs any more.

    `patience_s` is the longest that a phone waits before it sends again, whatever it should.
    """
    var_dir = folder / "var"
    var_dir.mkdir()
    credentials = await prepare(var_dir)
    service = Service(var_dir, children)
    try:
        await service.start()
        async with (
            subscriber_of(service, credentials, folder / "subscriber.ledger") as hook,
            fleet_of(service, credentials, folder / "phones.ledger", seed=seed, patience_s=patience_s) as fleet,
        ):
            await fleet.progress()
            yield Scene(service, fleet, hook, folder)
    finally:
        if service.child is not None and service.child.process.returncode is None:
            await service.kill()
        await asyncio.to_thread(_stop_postgres, var_dir)


def _stop_postgres(var_dir: Path) -> None:
    server = EmbeddedPostgres(var_dir)
    if server.pid() is not None:
        server.acquire()
        server.release()
    assert server.pid() is None
