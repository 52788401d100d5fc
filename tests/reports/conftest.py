"""A journal with runs of named carriers, and the job that counts it."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Reader, Tail
from fieldsvc.journal.sealed import Vault, open_vault
from fieldsvc.journal.writer import Writer
from fieldsvc.reports.cells import Cell
from fieldsvc.reports.counter import Counter
from fieldsvc.store import report as store
from fieldsvc.store.database import Database, connect
from handlers.registry import Registry
from handlers.story import Actor

PARIS = ZoneInfo("Europe/Paris")
SITE = "site-counts"
MONTH_FIRST = datetime.now(UTC).astimezone(PARIS).date().replace(day=1)
TODAY = datetime.now(UTC)


@dataclass
class Town:
    """Who walks which run, what they say, and what is counted of it."""

    database: Database
    registry: Registry
    vault: Vault
    commands: Commands
    reader: Reader
    tail: Tail

    def counter(self) -> Counter:
        return Counter(self.database, self.tail, self.reader, vault=self.vault, zone=PARIS)

    async def fetch(self, text: str, *args: object) -> list[asyncpg.Record]:
        async with self.database.acquire() as connection:
            return await connection.fetch(text, *args)

    async def run_of(self, carrier: str, site: str = SITE) -> str:
        """Give today's run of a carrier."""
        name = f"run-{TODAY.date()}-{site}.{carrier}"
        text = (
            "insert into run (id, day, round_id, site, carrier, changed_at) values ($1, $2, $3, $4, $5, now()) "
            "on conflict do nothing"
        )
        await self.fetch(text, name, TODAY.date(), f"{site}.{carrier}", site, carrier)
        return name

    async def say(self, kind: str, data: dict[str, Any], *, carrier: str = "Alex", **more: Any) -> str:
        """Say something as a carrier's phone does; return the public event's id."""
        site = more.pop("site", SITE)
        actor = more.pop("actor", Actor("device"))
        run = await self.run_of(carrier, site) if actor.kind == "device" else None
        result = await self.commands.send(kind, data, actor=actor, site=site, run=run, **more)
        return f"evt_{result.id}"

    async def deliver(self, item: str, carrier: str, **more: Any) -> str:
        return await self.say("item.delivered", {"item_id": item, "to": "addressee"}, carrier=carrier, **more)

    async def cells(self, account: str = "", first: date = MONTH_FIRST) -> dict[tuple[str, str], Cell]:
        """Read the cells of a month by site and figure."""
        rows = await store.cells(self.database, account, (first, first), site=None, service=None, limit=1000)
        return {(cell.site, cell.kpi): cell for cell in (Cell(*row) for row in rows)}

    async def shown(self, kpi: str = "first_presentation", site: str = SITE) -> tuple[int, int] | None:
        """Read one figure as its sums; None where it is suppressed or there is none."""
        cell = (await self.cells()).get((site, kpi))
        return (cell.numerator, cell.denominator) if cell and cell.is_shown else None


@pytest.fixture
async def town(database: Database, database_url: str, registry: Registry) -> AsyncIterator[Town]:
    async with database.acquire() as connection:
        vault = await open_vault(connection, bytes(range(32)))
    writer = Writer(lambda: connect(database_url, lock_timeout="5s"), vault, registry)
    job = asyncio.create_task(writer.run())
    reader = Reader(database)
    yield Town(
        database,
        registry,
        vault,
        Commands(writer, vault, registry),
        reader,
        Tail(reader, lambda: connect(database_url)),
    )
    writer.stop()
    with contextlib.suppress(asyncio.CancelledError):
        await job


async def until(condition: Callable[[], Awaitable[Any]], *, within_s: float = 15.0) -> None:
    """Poll until something holds; fail after a deadline."""
    deadline = time.monotonic() + within_s
    while not await condition():
        assert time.monotonic() < deadline, "it never came true"
        await asyncio.sleep(0.01)


def item(number: int) -> str:
    return f"IT{number:04d}"


def later(**spans: float) -> datetime:
    return datetime.now(UTC) + timedelta(**spans)
