"""Where what holds progress against duty goes on after a start: at what was noted, and over everything where nothing is."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from fieldsvc.errors import Unavailable
from fieldsvc.journal.reader import START, Position, Row
from fieldsvc.journal.submission import SHARDS
from fieldsvc.store import progress
from fieldsvc.store.database import Database
from fieldsvc.tracking import anchors
from fieldsvc.tracking.anchors import BACK, Anchors

NOW = datetime.now(UTC)
TODAY = NOW.date()


class Journal:
    """Rows of shard 3, as reader and tail in one."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.version = 0
        self._news = asyncio.Event()
        self.followed = asyncio.Event()

    def say(self, type_: str, run_id: str, *, day: Any = TODAY) -> None:
        pos = len(self.rows) + 1
        self.rows.append(
            Row(day, 3, pos, uuid4(), 0, type_, f"run/{run_id}", pos, None, "pantin", run_id, NOW, NOW, b"{}")
        )
        self.version += 1
        self._news.set()

    async def ends(self) -> dict[int, Position]:
        ends = dict.fromkeys(range(SHARDS), START)
        return ends | ({3: self.rows[-1].position} if self.rows else {})

    async def recent(self, shard: int, position: Position, *, limit: int) -> list[Row]:
        return [row for row in self.rows if row.shard == shard and row.position > position][:limit]

    async def wait(self, *, timeout_s: float, since: int) -> None:
        assert timeout_s
        self.followed.set()
        while self.version == since:
            self._news.clear()
            await self._news.wait()


class Tracking:
    """Notes which runs are held against their duty."""

    def __init__(self, *, busy: bool = False) -> None:
        self.held: list[str] = []
        self.busy = busy

    async def withdraw_several(self, run_ids: Sequence[str]) -> None:
        for run_id in run_ids:
            await self.withdraw(run_id)

    async def withdraw(self, run_id: str) -> int:
        if self.busy:
            raise Unavailable(retry_after_s=1)
        self.held.append(run_id)
        return 0


@pytest.fixture
def journal() -> Journal:
    return Journal()


async def _followed(database: Database, journal: Any, until: list[str]) -> None:
    """Start, wait until the journal is followed to its end, and end as in a crash: exactly these runs were held, and it is noted."""
    journal.followed.clear()
    tracking = Tracking()
    job = asyncio.create_task(Anchors(database, journal, journal, tracker=tracking).run())  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        await journal.followed.wait()
    job.cancel()
    await asyncio.wait([job])
    assert tracking.held == until
    assert (await progress.cursors(database))[3] == journal.rows[-1].position


@pytest.fixture(autouse=True)
def _noted_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchors, "NOTED_S", 0.0)


async def _know(database: Database, *runs: str, day: Any = TODAY) -> None:
    for run_id in runs:
        async with progress.locked(database, run_id, day) as run:
            await run.begin()


async def test_the_first_start_holds_every_run_of_eight_days_and_the_next_one_only_what_came_since(
    database: Database, journal: Journal
) -> None:
    await _know(database, "a", "b")
    await _know(database, "old", day=TODAY - BACK - timedelta(days=1))
    journal.say("run.started", "a")
    await _followed(database, journal, ["a", "b"])
    journal.say("run.ended", "b")
    journal.say("sheet.seen", "a")
    await _followed(database, journal, ["b"])
    await _followed(database, journal, [])


async def test_what_was_noted_long_ago_is_gone_back_to_for_eight_days_only(
    database: Database, journal: Journal
) -> None:
    long_ago = TODAY - BACK - timedelta(days=3)
    await progress.move_cursors(database, {3: (long_ago, 1)})
    journal.say("run.ended", "older", day=long_ago)
    journal.say("run.ended", "ninth", day=long_ago)
    journal.say("run.ended", "newer")
    await _followed(database, journal, ["newer"])


async def test_a_run_that_cannot_be_held_at_the_first_start_is_held_at_the_next(
    database: Database, journal: Journal
) -> None:
    await _know(database, "a")
    journal.say("run.started", "a")
    await Anchors(database, journal, journal, tracker=Tracking(busy=True))._begin()  # type: ignore[arg-type]
    assert await progress.cursors(database) == {}
    await _followed(database, journal, ["a"])


async def test_what_one_process_noted_is_not_taken_back_by_one_that_is_behind(database: Database) -> None:
    await progress.move_cursors(database, {3: (TODAY, 9), 4: (TODAY, 2)})
    await progress.move_cursors(database, {3: (TODAY, 7), 4: (TODAY + timedelta(days=1), 1)})
    assert await progress.cursors(database) == {3: (TODAY, 9), 4: (TODAY + timedelta(days=1), 1)}
