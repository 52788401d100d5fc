"""A writer in an operating-system process of its own: `python -m tests.faults.worker ORDER`, ORDER being JSON.

It says `ready`, waits for a line, writes for some seconds, and says what it did as one JSON line. Acknowledgements go to
its ledger, on disk before anything follows from them.
"""

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import asyncpg
import orjson

from fieldsvc import logs
from fieldsvc.errors import Unavailable
from fieldsvc.ids import uuid7
from fieldsvc.journal import batch as batches
from fieldsvc.journal import writer as writers
from fieldsvc.journal.memory import shard_of
from fieldsvc.journal.submission import SHARDS
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.store.database import connect, open_database
from sql import query
from tests.journal.conftest import Journal, open_journal, trial_registry

SIZES = (1, 1, 1, 2, 5, 20, 60)
SENDERS = 4
UNLOCKED = "select id, writer from shard where id = any($1::smallint[]) order by id"
FREE_ROW = """
insert into event (day, shard, pos, id, part, kind, type, subject, subject_seq, occurred_at, received_at, public,
  sealed_sha256, chain)
values ($1, $2, nextval('free_position'), $3, -1, 'field', 'trial.noted', $4, null, now(), now(), '{}', '{}', ''),
  ($1, $2, nextval('free_position'), $3, 0, 'public', 'trial.noted', $4, $5, now(), now(), '{}', '{}', '')
"""
FREE_HEAD = """
insert into subject_head (subject, seq, touched_on) values ($1, 1, $2)
on conflict (subject) do update set seq = subject_head.seq + 1
returning seq
"""


@dataclass
class Order:
    """What the process is asked to do; `stop_at` names the moment at which it stops itself with SIGSTOP."""

    url: str
    ledger: str
    seed: int
    seconds: float
    how: str = (
        "locked"  # locked: our writer · unlocked: our writer without its lock · free: no lock, positions of a sequence
    )
    subjects: int = 40
    stop_at: str = (
        ""  # "": never · before_commit: everything written, the lock held · in_copy: the server waits for rows
    )
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def name(self) -> str:
        return f"w-{self.seed}"


def slow_batches(order: Order, rng: Random) -> type[batches.Batch]:
    """Return a batch whose transaction takes a varying time before its commit, and which may stop the process once."""

    class Slow(batches.Batch):
        async def run(self, connection: asyncpg.Connection) -> None:
            order.counts["batches"] += 1
            used = StoppedCopy(connection, self.stop) if order.stop_at == "in_copy" else connection
            await super().run(used)  # type: ignore[arg-type]
            if order.stop_at == "before_commit":
                self.stop()
            if rng.random() < 0.3:
                await connection.execute("select pg_sleep($1)", 0.04 * rng.random() ** 3)

        def stop(self) -> None:
            """Stop, once, in a transaction that holds the lock of every shard."""
            if order.counts["batches"] > 5 and len(self.ends) == SHARDS and not order.counts["stopped"]:
                order.counts["stopped"] += 1
                print("stopping", flush=True)
                os.kill(os.getpid(), signal.SIGSTOP)

    return Slow


@dataclass
class StoppedCopy:
    """A connection that calls `stop` when the server has begun to wait for the rows of a COPY."""

    connection: asyncpg.Connection
    stop: Callable[[], None]

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)

    async def copy_records_to_table(self, table: str, *, records: Any, columns: Any = None) -> str:
        async def halting() -> AsyncIterator[Any]:
            self.stop()
            for record in records:
                yield record

        found: str = await self.connection.copy_records_to_table(table, records=halting(), columns=columns)
        return found


async def write(order: Order) -> None:
    """Write through our own writer, several requests at a time, each sent again until it is answered."""
    rng = Random(order.seed)
    vars(writers).update(Batch=slow_batches(order, rng))
    if order.how == "unlocked":
        vars(batches).update(query=lambda name: UNLOCKED if name == "shard.lock" else query(name))
    database = await open_database(order.url, size=2)
    journal = await open_journal(database, order.url, trial_registry())
    with Ledger(Path(order.ledger)) as ledger:
        await started()
        until = asyncio.get_running_loop().time() + order.seconds
        await asyncio.gather(
            *(_sender(order, journal, ledger, Random(f"{order.seed} {n}"), until) for n in range(SENDERS))
        )
    await journal.stop()
    await database.close()


async def _sender(order: Order, journal: Journal, ledger: Ledger, rng: Random, until: float) -> None:
    while asyncio.get_running_loop().time() < until:
        at = datetime.now(UTC)
        notes = [
            journal.note(f"s{rng.randrange(order.subjects)}", rng.randrange(1_000), at=at)
            for _ in range(rng.choice(SIZES))
        ]
        for note in notes:
            told = {"id": str(note.id), "type": note.type, "subject": note.subjects[0], "time": str(at)}
            ledger.generated(order.name, told)
        first = True
        while True:
            ledger.sent(order.name, [str(note.id) for note in notes], first_time=len(notes) if first else 0)
            first = False
            try:
                outcome = await journal.send(*notes)
            except Unavailable as error:
                order.counts["fenced"] += isinstance(error.__cause__, asyncpg.UniqueViolationError)
                order.counts["unavailable"] += 1
                await asyncio.sleep(rng.random() * 0.05)
            else:
                break
        ledger.acked(order.name, [{"id": each.id, "status": each.status} for each in outcome.results])


async def write_freely(order: Order) -> None:
    """Write as an outbox without a fence would: a position from a sequence, free transactions of varying length."""
    with Ledger(Path(order.ledger)) as ledger:
        connections = [await connect(order.url) for _ in range(SENDERS)]
        await started()
        until = asyncio.get_running_loop().time() + order.seconds
        await asyncio.gather(
            *(_free(order, each, ledger, Random(f"{order.seed} {n}"), until) for n, each in enumerate(connections))
        )
        for connection in connections:
            await connection.close()


async def _free(order: Order, connection: asyncpg.Connection, ledger: Ledger, rng: Random, until: float) -> None:
    day = datetime.now(UTC).date()
    while asyncio.get_running_loop().time() < until:
        subject, event_id = f"thing/s{rng.randrange(order.subjects)}", uuid7()
        told = {"id": str(event_id), "type": "trial.noted", "subject": subject, "time": ""}
        ledger.generated(order.name, told)
        ledger.sent(order.name, [str(event_id)], first_time=1)
        async with connection.transaction():
            seq = await connection.fetchval(FREE_HEAD, subject, day)
            await connection.execute(FREE_ROW, day, shard_of(subject), event_id, subject, seq)
            await connection.execute("select pg_sleep($1)", 0.04 * rng.random() ** 3)
        ledger.acked(order.name, [{"id": str(event_id), "status": "accepted"}])


async def started() -> None:
    """Say that we are ready, and wait for the word to begin."""
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)


def main() -> None:
    logs.configure(level="error", form="json")
    order = Order(**orjson.loads(sys.argv[1]))
    job: Callable[[Order], Any] = write_freely if order.how == "free" else write
    asyncio.run(job(order))
    print(orjson.dumps(dict(order.counts)).decode(), flush=True)


if __name__ == "__main__":
    main()
