"""Everything that a sheet is made of, read in one snapshot of the database, and what phones were shown of it before."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, fields
from datetime import date, datetime
from uuid import UUID

import asyncpg

from fieldsvc.store import household
from fieldsvc.store.access_case import CaseRow, case_of
from fieldsvc.store.database import Database
from fieldsvc.store.hazard import HazardRow, hazard_of
from fieldsvc.store.household import ToldRow
from fieldsvc.store.run import MovedStop, Run
from fieldsvc.store.task import TaskRow
from sql import query


@dataclass(frozen=True, slots=True)
class NoteRow:
    """One note of the notebook; `sealed` holds its text."""

    delivery_point_id: str
    kind: str
    by_regular: bool
    written_at: datetime
    removed: bool
    sealed: bytes


@dataclass(frozen=True, slots=True)
class IdentityRow:
    """A task whose addressee showed a document to the carrier of the sheet; `sealed` holds the name."""

    delivery_point: str
    account: str | None
    sealed: bytes


_TASK = tuple(field.name for field in fields(TaskRow))
_RUN = ("id", *(field.name for field in fields(Run) if field.name != "run_id"))


@dataclass(frozen=True, slots=True)
class InstructionRow:
    """What a supervisor said for a run; `sealed` holds the words."""

    stop_id: str | None
    given_at: datetime
    sealed: bytes


class Snapshot:
    """One moment of the database: what is read here belongs to one version of the sheet."""

    def __init__(self, connection: asyncpg.Connection) -> None:
        self.connection = connection

    async def run(self, run_id: str) -> Run | None:
        """Read the run with the version of its sheet."""
        row = await self.connection.fetchrow(query("run.read"), run_id)
        return Run(*(row[name] for name in _RUN)) if row else None

    async def tasks(self, day: date, round_id: str) -> list[TaskRow]:
        """Read the open tasks of the run."""
        rows = await self.connection.fetch(query("task.of_run"), day, round_id)
        return [TaskRow(*(row[name] for name in _TASK)) for row in rows]

    async def moved_stops(self, day: date, round_id: str) -> list[MovedStop]:
        """Read the stops that another run does on this day, and those that this one does for another."""
        return [MovedStop(*row) for row in await self.connection.fetch(query("run.moved_stops"), day, round_id)]

    async def notes(self, points: Sequence[str]) -> list[NoteRow]:
        """Read the newest notes of delivery points."""
        return [NoteRow(*row) for row in await self.connection.fetch(query("notebook.of_points"), list(points))]

    async def households(self, points: Sequence[str]) -> list[ToldRow]:
        """Read what the proved households of delivery points tell."""
        return await household.of_points(self.connection, points)

    async def cases(self, points: Sequence[str]) -> list[CaseRow]:
        """Read the access cases of delivery points."""
        return [case_of(row) for row in await self.connection.fetch(query("access_case.of_points"), list(points))]

    async def instructions(self, run_id: str) -> list[InstructionRow]:
        """Read what supervisors said for a run."""
        return [InstructionRow(*row) for row in await self.connection.fetch(query("instruction.of_run"), run_id)]

    async def hazards(self, round_id: str) -> list[HazardRow]:
        """Read the confirmed hazards that may cross a round."""
        return [hazard_of(row) for row in await self.connection.fetch(query("hazard.near_round"), round_id)]

    async def is_regular(self, carrier: str, round_id: str, day: date) -> bool:
        """Tell whether a carrier knows the round."""
        rows = await self.connection.fetch(query("sheet.regular_carriers"), round_id, day)
        return carrier in {row["carrier"] for row in rows}

    async def identities(self, points: Sequence[str], carrier: str, day: date) -> list[IdentityRow]:
        """Read whose documents a carrier saw at these delivery points in the year before a day."""
        rows = await self.connection.fetch(query("sheet.identities"), list(points), carrier, day)
        return [IdentityRow(*row) for row in rows]


@asynccontextmanager
async def snapshot(database: Database) -> AsyncIterator[Snapshot]:
    """Read from one moment of the database."""
    async with (
        database.acquire() as connection,
        connection.transaction(isolation="repeatable_read", readonly=True),
    ):
        yield Snapshot(connection)


async def digests(database: Database, run_id: str, version: int) -> bytes | None:
    """Read what a version was made of; None if that is not known, or not for sure."""
    async with database.acquire() as connection:
        found: bytes | None = await connection.fetchval(query("sheet.digests"), run_id, version)
    return found or None


async def keep_digests(database: Database, run_id: str, version: int, *, day: date, digests: bytes) -> None:
    """Remember what a version is made of; the same version with other content is no longer known."""
    async with database.acquire() as connection:
        await connection.execute(query("sheet.keep_digests"), run_id, version, day, digests)


async def words_of(database: Database, events: Sequence[UUID]) -> dict[UUID, bytes]:
    """Read the sealed words of the instructions that these events gave, as they stand."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("instruction.of_events"), events)
    return {row["event"]: row["sealed"] for row in rows}
