"""Reference addresses (BAN, BANO) and their communes."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from itertools import islice
from operator import attrgetter
from typing import Any

import asyncpg

from fieldsvc.store.database import Database
from geo.address_files import AddressRow
from geo.reverse import box_around
from sql import query

_CHUNK = 5_000
_LONG_S = 3_600.0
_IMPORT_LOCK = 7_118_025_009
_COLUMNS = ("id", *[field.name for field in fields(AddressRow)][1:])
_record_of = attrgetter(*[field.name for field in fields(AddressRow)])


@dataclass(frozen=True, slots=True)
class Commune:
    """A commune of which there are addresses."""

    citycode: str
    city: str
    postcodes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """A street as it is written in one commune and postcode; `lat`, `lon` its middle, `first_id` its first address."""

    citycode: str
    postcode: str
    street: str
    city: str
    addresses: int
    lat: float
    lon: float
    first_id: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What an import did: rows read, addresses new or changed, removed, and kept though the file has them not."""

    rows: int
    changed: int
    removed: int
    kept: int


async def put(database: Database, rows: Iterable[AddressRow], *, progress: Callable[[int], None]) -> Taken:
    """Take addresses over in one transaction, by COPY in chunks: readers see all of it or nothing, and never a gap.

    In a commune of which the file has at least half as many addresses as are known, addresses that it has not are removed: it
    is the commune's new file. In another they are kept: it is an addition. `progress` is told the count after each chunk. An
    error while `rows` is read leaves everything as it was.
    """
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(query("address.stage"))
        count = await _stage(connection, rows, progress)
        await connection.execute(query("address.index_staged"), timeout=_LONG_S)
        await connection.execute("analyze address_staged", timeout=_LONG_S)
        await connection.fetchval(query("address.lock_imports"), _IMPORT_LOCK, timeout=_LONG_S)
        removed = await _rows_of(connection, "address.remove_replaced")
        changed = await _rows_of(connection, "address.merge")
        if changed or removed:
            await connection.execute(query("address.merge_communes"), timeout=_LONG_S)
            await connection.execute(query("address.forget_empty_communes"), timeout=_LONG_S)
            await connection.execute("analyze address, commune", timeout=_LONG_S)
        kept = await connection.fetchval(query("address.kept_beside"), timeout=_LONG_S)
    return Taken(count, changed, removed, kept)


async def _stage(connection: asyncpg.Connection, rows: Iterable[AddressRow], progress: Callable[[int], None]) -> int:
    source, count = iter(rows), 0
    while records := [_record_of(row) for row in islice(source, _CHUNK)]:
        await connection.copy_records_to_table("address_staged", records=records, columns=_COLUMNS, timeout=_LONG_S)
        count += len(records)
        progress(count)
    return count


async def _rows_of(connection: asyncpg.Connection, name: str) -> int:
    """Run a statement and return how many rows it wrote: the last word of what the server answers."""
    return int((await connection.execute(query(name), timeout=_LONG_S)).rsplit(" ", 1)[1])


async def streets_of(database: Database, citycodes: Sequence[str]) -> list[Label]:
    """List the streets of communes; the numbers of one are read when they are asked for."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("address.streets_of"), list(citycodes))
    return [Label(*row.values()) for row in rows]


async def numbers_of(database: Database, labels: Iterable[tuple[str, str, str]]) -> list[AddressRow]:
    """Read the addresses of streets named by (citycode, postcode, street as it is written), in no order."""
    wanted = list(labels)
    columns = [[label[part] for label in wanted] for part in range(3)]
    async with database.acquire() as connection:
        return list(_rows(await connection.fetch(query("address.numbers_of"), *columns)))


async def around(database: Database, lat: float, lon: float, *, within_m: float) -> list[AddressRow]:
    """Read the addresses in the box that reaches `within_m` metres from a place to each side."""
    box = box_around(lat, lon, within_m)
    async with database.acquire() as connection:
        return list(_rows(await connection.fetch(query("address.in_box"), box.south, box.north, box.west, box.east)))


async def for_layout(database: Database, site: str) -> list[AddressRow]:
    """Read the addresses that may become stops of a site's laid-out rounds."""
    async with database.acquire() as connection:
        return list(_rows(await connection.fetch(query("address.for_layout"), site, timeout=_LONG_S)))


async def communes(database: Database) -> list[Commune]:
    """List the communes of which there are addresses."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("address.communes"))
    return [Commune(row["citycode"], row["city"], tuple(row["postcodes"])) for row in rows]


async def mark(database: Database) -> tuple[int, datetime | None]:
    """Return what differs after every import that changed something."""
    async with database.acquire() as connection:
        row = (await connection.fetch(query("address.mark")))[0]
    return row["communes"], row["changed_at"]


def _rows(records: Iterable[Any]) -> Iterator[AddressRow]:
    return (AddressRow(*record.values()) for record in records)
