"""Runs that are not back: what is known of each, and the work that is left on it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from fieldsvc.store.database import Database
from fieldsvc.store.live import RunNow, run_now
from sql import query


@dataclass(frozen=True, slots=True)
class OutRun:
    """A run that was started and did not end; `things_out` are registered items, pouches and keys in its carrier's hands."""

    now: RunNow
    name: str | None
    things_out: int


@dataclass(frozen=True, slots=True)
class OpenTask:
    """A task that is not done."""

    id: str
    service: str
    round_id: str
    stop_id: str | None
    address: str | None
    window_from: datetime | None
    window_until: datetime | None


async def runs(database: Database, day: date, *, site: str | None, after: str, limit: int) -> list[OutRun]:
    """Page through the runs of a day that are not back, in the order of their ids."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("not_back.runs"), day, site, after, limit)
    return [OutRun(run_now(row), row["name"], row["things_out"]) for row in rows]


async def tasks(database: Database, day: date, round_ids: Sequence[str]) -> Mapping[str, list[OpenTask]]:
    """List the open tasks of rounds on a day, the first due first, by round."""
    found: dict[str, list[OpenTask]] = defaultdict(list)
    async with database.acquire() as connection:
        for row in await connection.fetch(query("not_back.tasks"), day, list(round_ids)):
            task = OpenTask(*row)
            found[task.round_id].append(task)
    return found
