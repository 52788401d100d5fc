"""The roster: who walks which round on which day, who is away, and what carriers are trained for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import date, time

from fieldsvc.store.database import Database, Seen, Source
from fieldsvc.store.device import Device
from sql import query


@dataclass(frozen=True, slots=True)
class RosterRow:
    """One round on one day; no carrier = nobody yet. `starts_at` is a local time; None keeps what was known."""

    day: date
    round_id: str
    carrier: str | None
    qualifications: tuple[str, ...] = ()
    starts_at: time | None = None


@dataclass(frozen=True, slots=True)
class Absence:
    """A carrier who is away on a day; `kind` None = is there."""

    day: date
    site: str
    carrier: str
    kind: str | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A row of the roster as people see it."""

    day: date
    round_id: str
    site: str
    carrier: str | None
    qualifications: list[str]
    starts_at: time | None
    absence: str | None


@dataclass(frozen=True, slots=True)
class KnownCarrier:
    """A carrier that a site knows."""

    site: str
    carrier: str
    qualifications: list[str]


@dataclass(frozen=True, slots=True)
class Change:
    """What one change of the roster is made of; everything of it or nothing is taken."""

    rows: Sequence[RosterRow] = ()
    absences: Sequence[Absence] = ()
    carriers: Sequence[KnownCarrier] = ()
    usual_start: Mapping[str, time | None] | None = None


_SHOWN = tuple(field.name for field in fields(Shown))


async def put(database: Database, rows: Sequence[RosterRow], absences: Sequence[Absence] = ()) -> None:
    """Take rows and absences over in one transaction; the last of a day and round, or of a day and carrier, counts."""
    await change(database, Change(rows, absences))


async def change(database: Database, asked: Change) -> None:
    """Take everything of a change over in one transaction."""
    rows = list({(row.day, row.round_id): row for row in asked.rows}.values())
    absences = list({(each.day, each.site, each.carrier): each for each in asked.absences}.values())
    away, there = [each for each in absences if each.kind], [each for each in absences if not each.kind]
    known = [(each.site, [each.carrier], [" ".join(each.qualifications)]) for each in asked.carriers]
    async with database.acquire() as connection, connection.transaction():
        await connection.execute(query("roster.put"), *_columns([_row(row) for row in rows], 5))
        who = [(each.day, each.site, each.carrier, each.kind) for each in away]
        await connection.execute(query("roster.absent"), *_columns(who, 4))
        await connection.execute(
            query("roster.present"), *_columns([(each.day, each.site, each.carrier) for each in there], 3)
        )
        await connection.executemany(query("roster.put_carriers"), known)
        await connection.executemany(query("roster.set_usual_start"), list((asked.usual_start or {}).items()))


def _row(row: RosterRow) -> tuple[object, ...]:
    return row.day, row.round_id, row.carrier, " ".join(row.qualifications), row.starts_at


def _columns(records: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[record[number] for record in records] for number in range(width)]


async def page(
    seen: Seen, site: str | None, days: tuple[date, date], *, after: tuple[date, str], limit: int
) -> list[Shown]:
    """Page through the roster of a site, or of all, from a day to another, by day and round."""
    async with seen.acquire() as connection:
        rows = await connection.fetch(query("roster.page"), site, *days, *after, limit)
    return [Shown(*(row[name] for name in _SHOWN)) for row in rows]


async def carriers(source: Source, site: str | None, since: date) -> list[KnownCarrier]:
    """List the carriers that a site, or any, knows: from its own list, its phones, and its rosters from a day on."""
    async with source.acquire() as connection:
        rows = await connection.fetch(query("roster.carriers"), site, since)
    return [KnownCarrier(row["site"], row["carrier"], row["qualifications"]) for row in rows]


async def absences(source: Source, site: str | None, days: tuple[date, date]) -> list[Absence]:
    """List who is away from a day to another."""
    async with source.acquire() as connection:
        rows = await connection.fetch(query("roster.absences"), site, *days)
    return [Absence(row["day"], row["site"], row["carrier"], row["kind"]) for row in rows]


async def usual_start(seen: Seen, site: str) -> time | None:
    """Read the local time at which the runs of a site usually start."""
    async with seen.acquire() as connection:
        found: time | None = await connection.fetchval(query("roster.usual_start"), site)
    return found


async def sites_of_rounds(database: Database, round_ids: Sequence[str]) -> dict[str, str]:
    """Map rounds to their sites; unknown ones are left out."""
    async with database.acquire() as connection:
        return {row["id"]: row["site"] for row in await connection.fetch(query("roster.sites_of_rounds"), round_ids)}


async def rounds_of(database: Database, device: Device, day: date) -> list[str]:
    """List the rounds that a device's carrier walks on a day, the one to show first; none on a day of absence."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("roster.rounds_of"), day, device.carrier, device.round_id, device.site)
    return [row["round_id"] for row in rows]


async def forget_before(database: Database, day: date) -> None:
    """Forget who was away, which stops moved, and what runs took out, before a day."""
    async with database.acquire() as connection:
        for name in ("roster.forget_before", "roster.forget_moves_before", "run_thing.forget_before"):
            await connection.execute(query(name), day)
