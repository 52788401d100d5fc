"""How far runs are along their rounds: a row for each run, which whoever takes fixes locks, and a row for each moment."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date, datetime

import asyncpg

from fieldsvc.errors import Unavailable
from fieldsvc.store.database import Database
from sql import query

RETRY_AFTER_S = 2
_NOT_NOW = (asyncpg.LockNotAvailableError, asyncpg.DeadlockDetectedError, asyncpg.CheckViolationError)  # no partition
Interval = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True)
class RunState:
    """The newest of a run. `matcher` is what the next fix needs; `distance_along_m` is the last place on the line."""

    matcher: bytes = b""
    through_at: datetime | None = None
    distance_along_m: float | None = None
    status: str = "unknown"


@dataclass(frozen=True, slots=True)
class Progress:
    """One moment of a run; without a distance it was off the round, or nobody knows."""

    at: datetime
    distance_along_m: float | None
    status: str


@dataclass(frozen=True, slots=True)
class KeptFix:
    """A fix as it came, where the operator keeps tracks."""

    at: datetime
    lat: float
    lon: float
    accuracy_m: float | None


@dataclass(frozen=True, slots=True)
class Asked:
    """A run, and between which moments, both included, its progress is asked for."""

    run_id: str
    day: date
    first: datetime
    last: datetime


@dataclass(frozen=True, slots=True)
class Told:
    """What is known of a locked run: its newest, what the journal decided of its duty, and the progress that was asked for."""

    state: RunState
    duty: bytes | None
    before: Sequence[Progress]


class LockedRun:
    """What is known of one run, while nobody else can change it."""

    def __init__(self, connection: asyncpg.Connection, run_id: str, day: date) -> None:
        self._connection = connection
        self._run_id = run_id
        self._day = day

    async def state(self) -> RunState | None:
        """Lock the run and read its newest; None, and the run is locked all the same, as long as nothing is known of it."""
        row = await self._row()
        if row is None:
            await self._connection.execute(query("run_state.lock_unknown"), self._run_id)
            row = await self._row()  # begun by whoever held it
        return RunState(row["matcher"], row["through_at"], row["distance_along_m"], row["status"]) if row else None

    async def begin(self) -> RunState:
        """Begin to know something of a run that is locked."""
        await self._connection.execute(query("run_state.add"), self._run_id, self._day)
        return await self.state() or RunState()

    async def duty(self) -> bytes | None:
        """Read what the journal decided about the run, as committed by now."""
        body: bytes | None = await self._connection.fetchval(query("run_state.duty"), self._run_id)
        return body

    async def with_duty(self, first: datetime, last: datetime) -> tuple[bytes | None, list[Progress]]:
        """Read the same as `duty`, and the progress between two moments, both included, in order."""
        row = await self._connection.fetchrow(query("progress.with_duty"), self._day, self._run_id, first, last)
        columns = (row["at"] or (), row["along"] or (), row["status"] or ()) if row else ((), (), ())
        return row["duty"] if row else None, [Progress(*each) for each in zip(*columns, strict=True)]

    async def newest(self) -> tuple[datetime | None, float | None]:
        """Find the newest moment of progress, and the last known distance along the line."""
        row = await self._connection.fetchrow(query("progress.newest"), self._day, self._run_id)
        return (row["at"], row["distance_along_m"]) if row else (None, None)

    async def add(self, found: Sequence[Progress], to: RunState | None, *, received_at: datetime) -> None:
        """Add progress, where a moment that is known stays as it is; and note the newest of the run, if it moved."""
        columns = (
            [each.at for each in found],
            [each.distance_along_m for each in found],
            [each.status for each in found],
        )
        args = self._day, self._run_id, received_at, *columns
        if to is None:
            await self._connection.execute(query("progress.add"), *args)
            return
        newest = to.matcher, to.through_at, to.distance_along_m, to.status
        await self._connection.execute(query("progress.add_and_move"), *args, *newest)

    async def correct(self, found: Sequence[Progress]) -> None:
        """Put moments that are known at other places."""
        columns = (
            [each.at for each in found],
            [each.distance_along_m for each in found],
            [each.status for each in found],
        )
        await self._connection.execute(query("progress.correct"), self._day, self._run_id, *columns)

    async def add_anchor(self, at: datetime, distance_m: float, *, received_at: datetime) -> bool:
        """Add a moment at a stop, also over a fix of that moment; False if it is known."""
        args = self._day, self._run_id, at, distance_m, received_at
        return await self._connection.fetchval(query("progress.add_anchor"), *args) is not None

    async def move(self, to: RunState) -> None:
        """Note the newest of the run."""
        args = to.matcher, to.through_at, to.distance_along_m, to.status
        await self._connection.execute(query("run_state.move"), self._run_id, *args)

    async def keep_fixes(self, fixes: Sequence[KeptFix]) -> None:
        """Keep fixes as they came; a moment that is known stays as it is."""
        columns = [[getattr(fix, name) for fix in fixes] for name in ("at", "lat", "lon", "accuracy_m")]
        await self._connection.execute(query("progress.keep_fixes"), self._day, self._run_id, *columns)

    async def withdraw(self, on_duty: Sequence[Interval]) -> int:
        """Take back what lies outside these times, the end of each excluded; return how many moments of progress it was."""
        times = [first for first, _until in on_duty], [until for _first, until in on_duty]
        gone = await self._connection.fetch(query("progress.withdraw"), self._day, self._run_id, *times)
        await self._connection.execute(query("progress.withdraw_fixes"), self._day, self._run_id, *times)
        return len(gone)

    async def _row(self) -> asyncpg.Record | None:
        return await self._connection.fetchrow(query("run_state.lock"), self._run_id)


class LockedRuns:
    """What is known of several runs, while nobody else can change it; what is noted of them is written at once."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self._connection = connection
        self._added: list[tuple[date, str, datetime, datetime, float | None, str]] = []
        self._moved: list[tuple[str, bytes, datetime | None, float | None, str]] = []
        self._corrected: list[tuple[date, str, datetime, float | None, str]] = []

    async def known(self, asked: Sequence[Asked]) -> dict[str, Told]:
        """Lock runs, in the order of their ids, and read what is known of them; those of which nothing is are left out."""
        rows = await self._connection.fetch(query("run_state.lock_several"), [each.run_id for each in asked])
        states = {run: RunState(*state) for run, *state in rows}
        known = [each for each in asked if each.run_id in states]
        if not known:
            return {}
        columns = zip(*((each.day, each.run_id, each.first, each.last) for each in known), strict=True)
        told = await self._connection.fetch(query("progress.with_duty_of_several"), *columns)
        return {
            run: Told(
                states[run], duty, [Progress(*each) for each in zip(*(part or () for part in before), strict=True)]
            )
            for run, duty, *before in told
        }

    async def unknown(self, run_ids: Sequence[str]) -> dict[str, bytes | None]:
        """Lock runs of which nothing is known, in the order of their ids, and read what the journal decided of their duty.

        Those that somebody else began meanwhile are left out.
        """
        await self._connection.execute(query("run_state.lock_unknown_of_several"), run_ids)
        rows = await self._connection.fetch(query("run_state.duty_of_unknown"), run_ids)
        return {row["run"]: row["duty"] for row in rows}

    async def begin(self, asked: Sequence[Asked]) -> dict[str, Told]:
        """Begin to know something of runs that `unknown` locked, and read what is known of them."""
        await self._connection.execute(query("run_state.add_several"), *_columns([(e.run_id, e.day) for e in asked], 2))
        return await self.known(asked)

    def add(self, of: Asked, found: Iterable[Progress], to: RunState | None, *, received_at: datetime) -> None:
        """Add progress of a run, where a moment that is known stays as it is; and note its newest, if it moved."""
        self._added += [(of.day, of.run_id, received_at, each.at, each.distance_along_m, each.status) for each in found]
        if to is not None:
            self._moved.append((of.run_id, to.matcher, to.through_at, to.distance_along_m, to.status))

    def correct(self, of: Asked, found: Iterable[Progress]) -> None:
        """Put moments of a run that are known at other places."""
        self._corrected += [(of.day, of.run_id, each.at, each.distance_along_m, each.status) for each in found]

    async def write(self) -> None:
        """Write what was noted."""
        if self._added or self._moved:
            added, moved = _columns(self._added, 6), _columns(self._moved, 5)
            await self._connection.execute(query("progress.add_and_move_several"), *added, *moved)
        if self._corrected:
            await self._connection.execute(query("progress.correct_several"), *_columns(self._corrected, 5))


def _columns(rows: Sequence[Sequence[object]], width: int) -> list[Sequence[object]]:
    return list(zip(*rows, strict=True)) if rows else [()] * width


async def heard_at(database: Database, run_id: str, day: date) -> datetime | None:
    """Find when the newest position of a run was taken; None as long as none was, whatever was scanned."""
    async with database.acquire() as connection:
        at: datetime | None = await connection.fetchval(query("progress.heard"), day, run_id)
        return at


@asynccontextmanager
async def locked(database: Database, run_id: str, day: date) -> AsyncIterator[LockedRun]:
    """Open a transaction for one run, committed after the block.

    Unavailable when another process holds the run for more than two seconds, or a day has no partition.
    """
    try:
        async with database.acquire() as connection, connection.transaction():
            await connection.execute(query("run_state.wait_briefly"))
            yield LockedRun(connection, run_id, day)
    except _NOT_NOW as error:
        raise Unavailable(retry_after_s=RETRY_AFTER_S) from error


@asynccontextmanager
async def locked_together(database: Database) -> AsyncIterator[LockedRuns]:
    """Open a transaction for several runs, committed after the block; for the rest as `locked`."""
    try:
        async with database.acquire() as connection:
            await connection.execute(f"begin; {query('run_state.wait_briefly')}")
            try:
                yield LockedRuns(connection)
            except BaseException:
                with contextlib.suppress(asyncpg.PostgresError, asyncpg.InterfaceError, OSError):
                    await connection.execute("rollback")
                raise
            await connection.execute("commit")
    except _NOT_NOW as error:
        raise Unavailable(retry_after_s=RETRY_AFTER_S) from error


async def runs_from(database: Database, day: date) -> list[str]:
    """List the runs of which something is known, from a day on."""
    async with database.acquire() as connection:
        return [row["run"] for row in await connection.fetch(query("progress.runs_from"), day)]


async def cursors(database: Database) -> dict[int, tuple[date, int]]:
    """Read how far each shard of the journal has been held against progress; empty where nobody ever did."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("progress.cursors"))
    return {row["shard"]: (row["day"], row["pos"]) for row in rows}


async def move_cursors(database: Database, to: Mapping[int, tuple[date, int]]) -> None:
    """Note how far shards have been held against progress; never backwards."""
    columns = list(to), [day for day, _pos in to.values()], [pos for _day, pos in to.values()]
    async with database.acquire() as connection:
        await connection.execute(query("progress.move_cursors"), *columns)
