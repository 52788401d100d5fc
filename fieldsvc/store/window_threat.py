"""Windows in danger because a run is late, and pouches that a carrier still has after the run."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class Windowed:
    """An open task with a window."""

    task_id: str
    window_until: datetime
    stop_id: str
    is_threatened: bool


async def runs(database: Database, day: date, *, since: datetime, until: datetime) -> list[str]:
    """List the runs at work with open windows that end between two moments, or that are threatened."""
    async with database.acquire() as connection:
        return [row["id"] for row in await connection.fetch(query("window_threat.runs"), day, since, until)]


async def of_run(database: Database, run_id: str) -> list[Windowed]:
    """List the open tasks of a run that have a window."""
    async with database.acquire() as connection:
        return [Windowed(*row) for row in await connection.fetch(query("window_threat.of_run"), run_id)]


async def threaten(database: Database, run_id: str, task_ids: Sequence[str], *, at: datetime) -> None:
    """Have tasks told that the run will be too late for them, once."""
    async with database.acquire() as connection:
        await connection.execute(query("window_threat.threaten"), run_id, list(task_ids), at)


async def relieve(database: Database, run_id: str, task_ids: Sequence[str], *, at: datetime) -> None:
    """Have tasks told that they will be served in time after all."""
    async with database.acquire() as connection:
        await connection.execute(query("window_threat.relieve"), run_id, list(task_ids), at)


async def strand(database: Database, first_day: date, *, ended_before: datetime, at: datetime) -> None:
    """Have the pouches told that a carrier still has after the end of the run."""
    async with database.acquire() as connection:
        await connection.execute(query("window_threat.strand"), first_day, ended_before, at)


async def forget(database: Database) -> None:
    """Forget the threats of tasks that are over."""
    async with database.acquire() as connection:
        await connection.execute(query("window_threat.forget"))
