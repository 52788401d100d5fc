"""A writer on a database of its own, with a small service that counts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any
from uuid import UUID

import asyncpg
import orjson
import pytest

from fieldsvc.ids import uuid7
from fieldsvc.journal.commands import Commands
from fieldsvc.journal.reader import Reader, Row
from fieldsvc.journal.sealed import Opener, Vault, open_vault
from fieldsvc.journal.submission import SHARDS, Incoming, Outcome, Rejected, Submission
from fieldsvc.journal.writer import Writer
from fieldsvc.store.database import Database, connect
from handlers.base import Handler
from handlers.fields import HEALTH, OPERATIONAL, PUBLIC, Payload, PublicData
from handlers.registry import Registry
from handlers.story import Actor, Command, EventType, Fact, PublicType, Refused, Said, SetTimer, Tale, Write

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
TITLE = {"fr": "Essai", "en": "Trial"}


class Noted(Payload):
    thing: Annotated[str, PUBLIC]
    value: Annotated[int, PUBLIC]
    inside: Annotated[str | None, OPERATIONAL] = None
    illness: Annotated[str | None, HEALTH] = None
    demand: Annotated[str | None, PUBLIC] = None


class NotedFact(PublicData):
    thing: Annotated[str, PUBLIC]
    value: Annotated[int, PUBLIC]
    rank: Annotated[int, PUBLIC]
    inside: Annotated[str | None, OPERATIONAL] = None
    illness: Annotated[str | None, HEALTH] = None


class Trial(Handler):
    """Says each note with its rank in time; `demand` makes it misbehave or ask for more."""

    name = "trial"
    title = TITLE
    subject = "thing/{thing}"
    events = (EventType("trial.noted", Noted, TITLE, ({"thing": "a", "value": 1},)),)
    publishes = (PublicType("trial.noted", NotedFact, TITLE),)

    def subjects_of(self, event_type: str, data: Any) -> tuple[str, ...]:
        return tuple(f"thing/{name}" for name in data["thing"].split("+"))

    def tell(self, facts: Sequence[Fact], new: Fact, now: datetime) -> Tale:
        demand = new.data.get("demand")
        if demand == "refuse":
            raise Refused("no_thanks")
        if demand == "crash":
            raise ZeroDivisionError
        noted = [fact for fact in facts if fact.type == "trial.noted"]
        keep = ("thing", "value", "inside", "illness")
        said = [
            Said(fact, "trial.noted", {**{k: fact.data[k] for k in keep if k in fact.data}, "rank": rank})
            for rank, fact in enumerate(noted, start=1)
        ]
        rung = sum(fact.type == "timer.ring" for fact in facts)
        writes = [Write("trial.break", ())] if demand == "break" else []
        commands = (
            [Command("trial.noted", "thing/other", {"thing": "other", "value": 7})] if demand == "command" else []
        )
        timers = [SetTimer("ring", now + timedelta(minutes=1))] if demand == "timer" else []
        if demand == "store":
            writes = [Write("run.set_state", ("r" if new.data["value"] < 1_000_000 else "\x00", "started", now))]
        return Tale(
            said=said, now_is={"rung": rung}, timers=timers, commands=commands, writes=writes, warnings=("seen",)
        )


def trial_registry() -> Registry:
    handler = Trial()
    return Registry(
        {"trial": handler},
        {each.name: (handler, each) for each in handler.events},
        {each.name: each for each in handler.publishes},
    )


@dataclass
class Journal:
    """What a test uses: a running writer and short ways to speak to it."""

    database: Database
    vault: Vault
    registry: Registry
    writer: Writer
    reader: Reader
    opener: Opener
    clock: Callable[[], datetime]
    tasks: list[asyncio.Task[None]] = field(default_factory=list)

    @property
    def commands(self) -> Commands:
        return Commands(self.writer, self.vault, self.registry)

    def note(self, thing: str = "a", value: int = 1, **more: Any) -> Incoming:
        event_id = more.pop("id", None) or uuid7()
        at, site = more.pop("at", NOW), more.pop("site", "pantin")
        data = {"thing": thing, "value": value, **more}
        handler, event_type = self.registry.by_type["trial.noted"]
        raw = orjson.dumps({"id": str(event_id), "at": at, "data": data})
        return Incoming(
            id=UUID(str(event_id)), type="trial.noted", handler=handler, payload=event_type.payload,
            subjects=handler.subjects_of("trial.noted", data), touches=(), occurred_at=at, received_at=NOW, data=data,
            content_hmac=self.vault.content_hmac(orjson.dumps([at, data], option=orjson.OPT_SORT_KEYS)),
            actor=Actor("device"), raw=raw, site=site, device="d-1",
        )  # fmt: skip

    async def send(self, *items: Incoming | Rejected, device: str | None = "d-1") -> Outcome:
        return await self.writer.submit(Submission(items, device=device, site="pantin", received_at=NOW))

    async def rows(self) -> list[Row]:
        found = []
        for shard in range(SHARDS):
            found += await self.reader.after(shard, (NOW.date().replace(year=2000), 0), limit=100_000)
        return found

    async def story(self, subject: str) -> list[tuple[int, dict[str, Any]]]:
        rows = [row for row in await self.rows() if row.subject == subject]
        return [(row.subject_seq, orjson.loads(row.public)["public"]) for row in rows]

    async def fetch(self, text: str, *args: Any) -> list[asyncpg.Record]:
        async with self.database.acquire() as connection:
            return await connection.fetch(text, *args)

    async def stop(self) -> None:
        self.writer.stop()
        for task in self.tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task


async def open_journal(database: Database, url: str, registry: Registry, *, vault: Vault | None = None) -> Journal:
    async with database.acquire() as connection:
        vault = vault or await open_vault(connection, bytes(range(32)))
        await connection.execute(
            "insert into device (id, carrier, site, token_sha256, enrolled_at)"
            " values ('d-1', 'c', 'pantin', '\\x01', now()), ('d-2', 'c', 'bondy', '\\x02', now()) on conflict do nothing"
        )

    def clock() -> datetime:
        return datetime.now(UTC)

    writer = Writer(lambda: connect(url, lock_timeout="2s"), vault, registry, clock=clock)
    journal = Journal(database, vault, registry, writer, Reader(database), Opener(database, vault), clock)
    journal.tasks.append(asyncio.create_task(writer.run()))
    return journal


@pytest.fixture
async def journal(database: Database, database_url: str) -> AsyncIterator[Journal]:
    opened = await open_journal(database, database_url, trial_registry())
    yield opened
    await opened.stop()


@pytest.fixture
async def second_journal(database: Database, database_url: str, journal: Journal) -> AsyncIterator[Journal]:
    opened = await open_journal(database, database_url, trial_registry(), vault=journal.vault)
    yield opened
    await opened.stop()
