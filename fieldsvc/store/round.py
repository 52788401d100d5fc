"""Planned rounds in the database: read whole, replaced whole."""

import hashlib
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from datetime import date
from weakref import WeakValueDictionary

import asyncpg
import orjson

from fieldsvc.store import stop as stops
from fieldsvc.store.database import Database
from geo.rounds import Round, Stop
from sql import query

_LONG_S, _AT_ONCE = 3_600.0, 20
# A nation's rounds are most of the memory of a process, and several parts of it hold them: what is read again is the one that is held.
_HELD: WeakValueDictionary[str, Round] = WeakValueDictionary()


@dataclass(frozen=True, slots=True)
class StoredRound:
    """A round and its version, which counts its changes."""

    round: Round
    version: int


async def read(database: Database, round_id: str) -> StoredRound | None:
    """Read one round with its stops."""
    return (await read_several(database, [round_id])).get(round_id)


async def read_several(database: Database, round_ids: Sequence[str]) -> dict[str, StoredRound]:
    """Read rounds with their stops, of those that there are."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("round.read"), round_ids)
        found = await connection.fetch(query("stop.of_rounds"), [row["id"] for row in rows]) if rows else []
    stops_of: dict[str, list[Stop]] = {row["id"]: [] for row in rows}
    for each in found:
        stops_of[each["round_id"]].append(stops.from_row(each))
    return {row["id"]: StoredRound(_round(row, stops_of[row["id"]]), row["version"]) for row in rows}


async def versions(database: Database, round_ids: Sequence[str]) -> dict[str, int]:
    """Read the versions of rounds, of those that there are."""
    async with database.acquire() as connection:
        return {row["id"]: row["version"] for row in await connection.fetch(query("round.versions"), round_ids)}


async def read_all(database: Database) -> list[Round]:
    """Read every round with its stops, some at a time, so that the loop is never held for long."""
    async with database.acquire() as connection:
        ids = [row["id"] for row in await connection.fetch(query("round.all_ids"))]
    found: dict[str, StoredRound] = {}
    for first in range(0, len(ids), _AT_ONCE):
        found |= await read_several(database, ids[first : first + _AT_ONCE])
    return [found[each].round for each in ids if each in found]


async def mark(database: Database) -> int:
    """Sum up all rounds in a number that changes with every import."""
    async with database.acquire() as connection:
        return int(await connection.fetchval(query("round.mark")))


async def taken_by_others(database: Database, round_ids: Sequence[str], site: str) -> set[str]:
    """Tell which of these ids a layout of this site may not use."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("round.taken_by_others"), list(round_ids), site)
    return {row["id"] for row in rows}


async def put(
    database: Database, rounds: Sequence[Round], *, source: str, from_day: date, only_of_site: str | None = None
) -> int:
    """Insert or replace rounds in one transaction; unchanged ones stay untouched. Return how many changed.

    `source` is `file` or `layout`. With `only_of_site` (a layout), that site's other laid-out rounds are removed. Open
    tasks from `from_day` on move to the rounds that now serve their delivery points.
    """
    digests = {each.round_id: _digest(each, source) for each in rounds}
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        before = {row["id"]: row["digest"] for row in await connection.fetch(query("round.digests"), list(digests))}
        changed = [each for each in rounds if before.get(each.round_id) != digests[each.round_id]]
        removed = "DELETE 0"
        if only_of_site is not None:
            removed = await connection.execute(query("round.drop_layout"), only_of_site, list(digests))
        if changed:
            await _write(connection, changed, source=source, digests=digests)
        if changed or removed != "DELETE 0":
            await connection.execute(query("task.left_by_import"), from_day, timeout=_LONG_S)
            await connection.execute(query("task.move_by_import"), from_day, timeout=_LONG_S)
    return len(changed)


async def _write(
    connection: asyncpg.Connection, rounds: Sequence[Round], *, source: str, digests: dict[str, bytes]
) -> None:
    ids = [each.round_id for each in rounds]
    await connection.execute(query("round.sites"), sorted({each.site or "" for each in rounds}))
    rows = [
        (each.round_id, each.site or "", each.mode, each.name, _flat(each), source, digests[each.round_id])
        for each in rounds
    ]
    await connection.executemany(query("round.put"), rows)
    await connection.execute(query("stop.drop_of_rounds"), ids, timeout=_LONG_S)
    records = [
        stops.to_row(each.round_id, stop, sequence=number)
        for each in rounds
        for number, stop in enumerate(each.stops, 1)
    ]
    await connection.copy_records_to_table("stop", records=records, columns=stops.COLUMNS, timeout=_LONG_S)
    await connection.execute(query("delivery_point.settle_moved"), ids, timeout=_LONG_S)
    await connection.execute(query("delivery_point.from_stops"), ids, timeout=_LONG_S)


def _flat(each: Round) -> list[float]:
    return [value for point in each.line for value in point]


def _digest(each: Round, source: str) -> bytes:
    content = [source, each.round_id, each.site, each.mode, each.name, _flat(each), [astuple(s) for s in each.stops]]
    return hashlib.sha256(orjson.dumps(content)).digest()


def _round(row: asyncpg.Record, found: list[Stop]) -> Round:
    flat = row["line"]
    line = tuple(zip(flat[::2], flat[1::2], strict=True))
    read = Round(row["id"], line, tuple(found), row["site"], row["mode"], row["name"])
    known = _HELD.get(read.round_id)
    if known == read:
        return known
    _HELD[read.round_id] = read
    return read
