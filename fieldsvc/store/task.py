"""Tasks, and the keys under which their creation was asked for. Tasks are written by decisions only, in the journal."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime
from uuid import UUID

from fieldsvc.store.database import Database, Seen, Source
from sql import query


@dataclass(frozen=True, slots=True)
class TaskRow:
    """One task; `sealed` holds its personal fields, encrypted; `site` is that of its round, `at_risk` why its run is in
    danger (both None where not asked for).
    """

    id: str
    service: str
    subject: str
    account: str | None
    day: date
    delivery_point: str | None
    round_id: str | None
    window_from: datetime | None
    window_until: datetime | None
    requirements: list[str]
    order_ref: str | None
    sealed: bytes
    event: UUID
    state: str
    seen_at: datetime | None
    site: str | None
    at_risk: str | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks of an account (None: the operator's own), perhaps only of rounds of a site."""

    account: str | None
    site: str | None = None
    on: date | None = None
    state: str | None = None
    service: str | None = None


@dataclass(frozen=True, slots=True)
class UndoneTask:
    """A task that was not done on its day."""

    id: str
    service: str
    subject: str
    day: date


@dataclass(frozen=True, slots=True)
class HeldKey:
    """What an idempotency key was used for; no status = the request is not answered yet."""

    digest: bytes
    status: int | None
    answer: bytes | None


_FIELDS = tuple(field.name for field in fields(TaskRow))


async def read(source: Source, task_id: str) -> TaskRow | None:
    """Read one task."""
    async with source.acquire() as connection:
        row = await connection.fetchrow(query("task.read"), task_id)
    return TaskRow(*(row[name] for name in _FIELDS)) if row else None


async def read_many(database: Database, task_ids: Sequence[str]) -> dict[str, TaskRow]:
    """Read tasks by their ids."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("task.read_many"), list(task_ids))
    return {row["id"]: TaskRow(*(row[name] for name in _FIELDS)) for row in rows}


async def of_run(database: Database, day: date, round_id: str) -> list[TaskRow]:
    """Read the open tasks of a round on a day, those with a window first."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("task.of_run"), day, round_id)
    return [TaskRow(*(row[name] for name in _FIELDS)) for row in rows]


async def page(seen: Seen, wanted: Wanted, *, after: tuple[date, str], limit: int) -> list[TaskRow]:
    """Page through tasks, the newest day first."""
    named = (wanted.account, wanted.site, wanted.on, wanted.state, wanted.service)
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("task.page"), *named, *after, limit)
    return [TaskRow(*(row[name] for name in _FIELDS)) for row in rows]


async def of_subject(seen: Seen, account: str, subjects: Sequence[str]) -> str | None:
    """Find the newest task of an account on one of some subjects; None if there is none."""
    async with seen.acquire() as connection:
        found: str | None = await connection.fetchval(query("task.of_subject"), list(subjects), account)
    return found


async def undone(
    database: Database, today: date, now: datetime, *, after: tuple[date, str], limit: int
) -> list[UndoneTask]:
    """List open tasks of days before today whose window is over too, in the order of their days."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("task.undone"), today, now, *after, limit)
    return [UndoneTask(row["id"], row["service"], row["subject"], row["day"]) for row in rows]


@asynccontextmanager
async def expiring(database: Database) -> AsyncIterator[bool]:
    """Let one process at a time end what was not done; False for the others."""
    async with database.acquire() as connection:
        ours: bool = await connection.fetchval(query("task.begin_expiring"))
        try:
            yield ours
        finally:
            if ours:
                await connection.execute(query("task.end_expiring"))


async def subjects_of_runs(
    database: Database, runs: Sequence[tuple[date, str]]
) -> dict[tuple[date, str], dict[str, str]]:
    """Map the subjects of the tasks of runs, given by day and round, open or closed, to their stops."""
    days, rounds = zip(*runs, strict=True)
    async with database.acquire() as connection:
        rows = await connection.fetch(query("task.subjects_of_runs"), days, rounds)
    found: dict[tuple[date, str], dict[str, str]] = {}
    for day, round_id, subject, stop_id in rows:
        found.setdefault((day, round_id), {})[subject] = stop_id
    return found


async def claim_key(database: Database, account: str, key: str, digest: bytes) -> bool:
    """Claim a key for one request; False if it is held."""
    async with database.acquire() as connection:
        return await connection.fetchval(query("task.claim_key"), account, key, digest) is not None


async def held_key(database: Database, account: str, key: str) -> HeldKey | None:
    """Read what a key was used for."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("task.held_key"), account, key)
    return HeldKey(row["digest"], row["status"], row["answer"]) if row else None


async def settle_key(database: Database, account: str, key: str, *, status: int, answer: bytes) -> None:
    """Keep the answer of a request under its key."""
    async with database.acquire() as connection:
        await connection.execute(query("task.settle_key"), account, key, status, answer)


async def release_key(database: Database, account: str, key: str) -> None:
    """Give back a key whose request was refused."""
    async with database.acquire() as connection:
        await connection.execute(query("task.release_key"), account, key)
