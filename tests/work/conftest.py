"""A small town in the database, a running journal, and an app with the routes of phones and orders."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import asyncpg
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access import accounts, enrolment
from fieldsvc.access.callers import Access
from fieldsvc.access.tries import Tries
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.sealed import Opener, open_vault
from fieldsvc.journal.writer import Writer
from fieldsvc.settings import Settings
from fieldsvc.simulate.town import Town
from fieldsvc.store import device as devices
from fieldsvc.store.database import Database, connect
from fieldsvc.store.device import Device
from fieldsvc.web import carrier, rights, tasks
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.work.imports import import_addresses, import_rounds
from fieldsvc.work.placement import Placer
from fieldsvc.work.rounds import RoundStore
from fieldsvc.work.runs import Runs
from fieldsvc.work.sheets import Sheets
from fieldsvc.work.task_import import TaskImport
from fieldsvc.work.tasks import Tasks
from handlers.registry import Registry
from tests.access.conftest import problems

PARIS = ZoneInfo("Europe/Paris")
TODAY = datetime.now(UTC).astimezone(PARIS).date()
NOW = datetime.now(UTC)
BASE = "http://field.test"


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The real data; without it the tests that ask for it say so."""
    folder = os.environ.get("FIELDSVC_TEST_DATA")
    if not folder:
        pytest.skip("FIELDSVC_TEST_DATA is not set: the real data was not tried")
    return Path(folder)


@pytest.fixture(scope="session")
def town() -> Town:
    return Town(seed=1, rounds=3, stops=40)


@dataclass
class Office:
    """Everything that planned work is made of, on one database."""

    database: Database
    registry: Registry
    commands: Commands
    opener: Opener
    town: Town
    rounds: RoundStore
    runs: Runs
    sheets: Sheets
    placer: Placer
    tasks: Tasks
    task_import: TaskImport

    async def fetch(self, text: str, *args: object) -> list[asyncpg.Record]:
        async with self.database.acquire() as connection:
            return await connection.fetch(text, *args)

    async def value(self, text: str, *args: object) -> object:
        return (await self.fetch(text, *args))[0][0]

    async def device(
        self, carrier_name: str, *, site: str, round_id: str | None = None
    ) -> tuple[Device, dict[str, str]]:
        made = await enrolment.enrol_device(self.database, BASE, carrier=carrier_name, site=site, round_id=round_id)
        found = await devices.by_id(self.database, made["device_id"])
        assert found is not None
        return found, {"Authorization": f"Bearer {made['token']}"}

    async def subscriber(self, *scopes: str) -> tuple[str, dict[str, str]]:
        made = await accounts.create_subscriber(self.database, "Pharmacie", scopes=scopes)
        return made["account_id"], {"Authorization": f"Bearer {made['api_key']}"}

    async def said(self, subject: str) -> list[str]:
        rows = await self.fetch("select type from event where kind = 'field' and subject = $1 order by pos", subject)
        return [row["type"] for row in rows]


def saved(folder: Path, text: str, name: str = "file") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def lines(text: str) -> Iterable[str]:
    return iter(text.splitlines(keepends=True))


@pytest.fixture
async def empty(database: Database, database_url: str, registry: Registry, town: Town) -> AsyncIterator[Office]:
    """An office without any town."""
    async with database.acquire() as connection:
        vault = await open_vault(connection, bytes(range(32)))
    writer = Writer(lambda: connect(database_url, lock_timeout="5s"), vault, registry, clock=lambda: datetime.now(UTC))
    job = asyncio.create_task(writer.run())
    commands, opener, placer = Commands(writer, vault, registry), Opener(database, vault), Placer(database)
    rounds = RoundStore(database, PARIS)
    tasks_ = Tasks(database, commands, opener=opener, registry=registry, placer=placer, zone=PARIS)
    yield Office(
        database, registry, commands, opener, town, rounds,
        Runs(database, commands, PARIS), Sheets(database, rounds, opener), placer, tasks_,
        TaskImport(tasks_, opener=opener, registry=registry, zone=PARIS),
    )  # fmt: skip
    writer.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await job


@pytest.fixture
async def office(empty: Office, tmp_path: Path) -> Office:
    """An office with the small town's addresses and rounds."""
    await import_addresses(empty.database, lines(empty.town.addresses_csv()))
    await import_rounds(empty.database, saved(tmp_path, empty.town.rounds_geojson()), zone=PARIS)
    return empty


@pytest.fixture
async def client(office: Office) -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = Access(office.database, Settings())
    app[carrier.CODE_TRIES] = Tries(most=10, window_s=60, size=100, clock=lambda: 0.0)
    app[carrier.RUNS], app[carrier.SHEETS], app[tasks.TASKS] = office.runs, office.sheets, office.tasks
    app[carrier.SERVICES] = carrier.services_document(office.registry)
    app.add_routes([*carrier.routes, *tasks.routes])
    rights.bind(app, complete=False)
    async with TestClient(TestServer(app)) as opened:
        yield opened


def in_hours(count: float) -> str:
    return (NOW + timedelta(hours=count)).strftime("%Y-%m-%dT%H:%M:%SZ")
