"""A dispatcher in an operating-system process of its own: `python -m tests.faults.publishing.worker ORDER`, ORDER being JSON.

It says `ready`, and may kill or stop itself at a moment that its order names, of the save that covers enough requests.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from fieldsvc import logs
from fieldsvc.journal.sealed import open_vault
from fieldsvc.store import lanes
from fieldsvc.store.database import Database, open_database
from fieldsvc.store.lanes import Changes
from tests.faults.publishing.scene import MASTER_KEY, dispatching, pace_of


@dataclass
class Order:
    """What the process is asked to do: its end (`signal`) comes at `moment` of a save after `saves` others.

    before_save: receivers have acknowledged what no cursor covers · in_save: the transaction is written and not committed ·
    after_save: it is committed, and nobody here knows · "": never. Who goes on says how many lanes that save held, or that it failed or was given up.
    """

    url: str
    schedule: list[float]
    moment: str = ""
    saves: int = 3
    signal: str = "SIGKILL"
    lease_s: float = 0.8
    span: int = 60
    save_s: float = 0.05


class Trap:
    """`lanes.save`, ending the process once."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.save, self.count, self.sprung = lanes.save, 0, False

    async def __call__(self, database: Database, owner: UUID, changes: Sequence[Changes], **more: Any) -> Any:
        self.count += 1
        due = (
            self.count > self.order.saves
            and any(each.passed or each.parked or each.freed for each in changes)
            and not self.sprung
        )
        if due and self.order.moment == "before_save":
            self.spring()
        if due and self.order.moment == "in_save":
            database = Uncommitted(database, self.spring)
        try:
            held = await self.save(database, owner, changes, **more)
        except BaseException:
            if due:
                print("failed", flush=True)
            raise
        if due and self.order.moment == "after_save":
            self.spring()
        if due:
            print(f"saved {len(held)}", flush=True)
        return held

    def spring(self) -> None:
        self.sprung = True
        print(self.order.moment, flush=True)
        os.kill(os.getpid(), getattr(signal, self.order.signal))


class Uncommitted(Database):
    """The database, but the process ends when a block is left, before its transaction commits."""

    def __init__(self, database: Database, spring: Any) -> None:
        super().__init__(database.pool, database.url)
        self.spring = spring

    def acquire(self) -> Any:
        return _Held(super().acquire(), self.spring)


@dataclass
class _Held:
    opened: Any
    spring: Any
    connection: Any = None

    async def __aenter__(self) -> Any:
        self.connection = await self.opened.__aenter__()
        return self

    async def __aexit__(self, *raised: object) -> Any:
        return await self.opened.__aexit__(*raised)

    def transaction(self) -> "_Ending":
        return _Ending(self.connection.transaction(), self.spring)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.connection, name)


@dataclass
class _Ending:
    transaction: Any
    spring: Any

    async def __aenter__(self) -> Any:
        return await self.transaction.__aenter__()

    async def __aexit__(self, *raised: object) -> Any:
        self.spring()
        return await self.transaction.__aexit__(*raised)


async def work(order: Order) -> None:
    """Dispatch until the end comes."""
    vars(lanes).update(save=Trap(order))
    database = await open_database(order.url, size=4)
    async with database.acquire() as connection:
        vault = await open_vault(connection, MASTER_KEY)
    pace = pace_of(lease_s=order.lease_s, save_s=order.save_s, span=order.span)
    async with dispatching(database, vault, *order.schedule, pace=pace):
        print("ready", flush=True)
        await asyncio.Event().wait()


def main() -> None:
    logs.configure(level="critical", form="json")
    asyncio.run(work(Order(**orjson.loads(sys.argv[1]))))


if __name__ == "__main__":
    main()
