"""Reference addresses (BAN, BANO) and their communes."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import astuple, dataclass, fields
from itertools import islice
from typing import Any

from fieldsvc.store.database import Database
from geo.address_files import AddressRow
from sql import query

_CHUNK = 5_000
_AT_ONCE = 1_000
_LONG_S = 3_600.0
_COLUMNS = ("id", *[field.name for field in fields(AddressRow)][1:])


@dataclass(frozen=True, slots=True)
class Commune:
    """A commune of which there are addresses."""

    citycode: str
    city: str
    postcodes: tuple[str, ...]


async def put(database: Database, rows: Iterable[AddressRow], *, progress: Callable[[int], None]) -> int:
    """Take addresses over in one transaction, by COPY in chunks; return how many rows there were.

    `progress` is told the count after each chunk. An error while `rows` is read leaves the table as it was.
    """
    source, count = iter(rows), 0
    async with database.acquire() as connection, connection.transaction():
        await connection.execute("set local statement_timeout = 0")
        await connection.execute(query("address.stage"))
        while chunk := list(islice(source, _CHUNK)):
            records = [astuple(row) for row in chunk]
            await connection.copy_records_to_table("address_staged", records=records, columns=_COLUMNS, timeout=_LONG_S)
            count += len(chunk)
            progress(count)
        await connection.execute(query("address.merge"), timeout=_LONG_S)
        await connection.execute(query("address.merge_communes"), timeout=_LONG_S)
    return count


async def of_commune(database: Database, citycode: str) -> list[AddressRow]:
    """Read the addresses of a commune, a thousand at a time, so that the loop is never held for long."""
    found: list[AddressRow] = []
    async with database.acquire() as connection, connection.transaction():
        cursor = await connection.cursor(query("address.of_commune"), citycode)
        while records := await cursor.fetch(_AT_ONCE):
            found += _rows(records)
    return found


async def for_layout(database: Database, site: str) -> list[AddressRow]:
    """Read the addresses that may become stops of a site's laid-out rounds."""
    async with database.acquire() as connection:
        return list(_rows(await connection.fetch(query("address.for_layout"), site, timeout=_LONG_S)))


async def communes(database: Database) -> list[Commune]:
    """List the communes of which there are addresses."""
    async with database.acquire() as connection:
        rows = await connection.fetch(query("address.communes"))
    return [Commune(row["citycode"], row["city"], tuple(row["postcodes"])) for row in rows]


def _rows(records: Iterable[Any]) -> Iterator[AddressRow]:
    return (AddressRow(*(record[name] for name in _COLUMNS)) for record in records)
