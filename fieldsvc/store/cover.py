"""Cover: the runs of a day with their open work, and the proposals that supervisors were shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, datetime, time
from typing import Any

import orjson

from fieldsvc.store.database import Database
from sql import query


@dataclass(frozen=True, slots=True)
class DayRun:
    """One run of the day: who walks it, how it stands, and what was learned of its round."""

    id: str
    round_id: str
    carrier: str | None
    state: str
    starts_at: time | None
    qualifications: list[str]
    sheet_version: int
    through_at: datetime | None
    distance_along_m: float | None
    status: str | None
    body: bytes | None
    learned: bytes | None


@dataclass(frozen=True, slots=True)
class OpenTask:
    """One open task; `stop_id` None where its round has no stop for it."""

    id: str
    service: str
    subject: str
    round_id: str
    window_from: datetime | None
    window_until: datetime | None
    requirements: list[str]
    stop_id: str | None


@dataclass(frozen=True, slots=True)
class Kept:
    """A proposal as it was kept."""

    id: str
    site: str
    day: date
    body: Mapping[str, Any]
    marks: Mapping[str, Any]
    confirmed_at: datetime | None


_RUN, _TASK = (tuple(field.name for field in fields(model)) for model in (DayRun, OpenTask))


async def runs_of(database: Database, site: str, day: date) -> list[DayRun]:
    """Read the runs of a site on a day."""
    async with database.acquire() as connection:
        return [DayRun(*(row[name] for name in _RUN)) for row in await connection.fetch(query("cover.runs"), site, day)]


async def tasks_of(database: Database, rounds: Sequence[str], day: date) -> list[OpenTask]:
    """Read the open tasks of rounds on a day; the first stop of a place counts."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("cover.tasks"), list(rounds), day)
    return list({row["id"]: OpenTask(*(row[name] for name in _TASK)) for row in reversed(rows)}.values())[::-1]


async def moved(database: Database, rounds: Sequence[str], day: date) -> list[tuple[str, str, str]]:
    """Read which stops moved on a day: (round, stop, round that does it)."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("cover.moved"), list(rounds), day)
    return [(row["round_id"], row["stop_id"], row["to_round"]) for row in rows]


async def known_by(database: Database, rounds: Sequence[str], day: date) -> dict[str, set[str]]:
    """Map rounds to the carriers who know them."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("cover.known_by"), list(rounds), day)
    return {row["round_id"]: set(row["carriers"]) for row in rows}


async def keep(database: Database, kept: Kept, *, forget_before: date) -> None:
    """Keep a proposal, and forget those of days that are over."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("cover.forget_before"), forget_before)
        body, marks = (orjson.dumps(each).decode() for each in (kept.body, kept.marks))
        await connection.execute(query("cover.keep"), kept.id, kept.site, kept.day, body, marks)


async def read(database: Database, proposal_id: str) -> Kept | None:
    """Read a proposal."""
    async with database.acquire() as connection:
        row = await connection.fetchrow(query("cover.read"), proposal_id)
    if row is None:
        return None
    body, marks = orjson.loads(row["body"]), orjson.loads(row["marks"])
    return Kept(row["id"], row["site"], row["day"], body, marks, row["confirmed_at"])


async def claim(database: Database, proposal_id: str) -> bool:
    """Begin to confirm a proposal; False if somebody has, or has another one of its day since it was made."""
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("cover.lock_day"), proposal_id)
        return await connection.fetchval(query("cover.claim"), proposal_id) is not None


async def release(database: Database, proposal_id: str) -> None:
    """Give it back."""
    async with database.acquire() as connection:
        await connection.execute(query("cover.release"), proposal_id)
