"""The geocoder over PostgreSQL, on an embedded server (fsync on): rows imported, searches, the first answer in a new commune.

Beside them, in the same run: a bare COPY of the same rows; round trips of `select 1`; pg_trgm, which ranks the streets of the
commune in the server (an index cannot help there: it is one commune's streets) and reads the number in a second statement; and
reading a whole commune, which is what a store that holds communes in memory does first.
"""

import asyncio
import contextlib
import random
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import astuple
from pathlib import Path
from typing import Any

import asyncpg

from fieldsvc.bench.geocode_faults import FAULTS
from fieldsvc.bench.lines import Against, Show, result
from fieldsvc.store import address as addresses
from fieldsvc.store.database import Database, connect, migrate, open_database
from fieldsvc.store.embedded import EmbeddedPostgres
from fieldsvc.work.imports import no_progress
from fieldsvc.work.known_addresses import KnownAddresses
from geo.address_files import AddressRow
from geo.addresses import Candidate, parse

SEARCHES, AT_ONCE, SEED = 400, 8, 7_100
KINDS = ("exact", "typo in street")
BIG_STREETS, BIG_NUMBERS, BIG_CODE = 2_500, 40, "99100"
_SYLLABLES = "ba bel cou dar el fon gi han ju ker lan mor na or pi que ro sa tur va".split()
_TYPES = ("Rue", "Avenue", "Allée", "Impasse", "Place", "Chemin de", "Boulevard")
_TRGM = """
select street, postcode from trgm_street where citycode = $1 order by similarity(street, $2) desc limit 1
"""
_TRGM_NUMBER = """
select id from address where citycode = $1 and postcode = $2 and street = $3 and house_number is not distinct from $4
"""
_WHOLE = """
select id, house_number, repetition, street, postcode, city, citycode, lat, lon, position_kind from address where citycode = $1
"""
Asked = Sequence[tuple[AddressRow, str]]


async def run(towns: Mapping[str, Sequence[AddressRow]], *, cycles: int, show: Show) -> None:
    """Measure each town `cycles` times and print its lines; then a commune of a hundred thousand addresses."""
    turns = range(max(1, cycles))
    for name, rows in towns.items():
        async with _database() as database:
            trgm = await _has_trgm(database)
            show(_import_line(name, rows, [await _import(database, rows) for _ in turns]))
            await _trgm_streets(database, trgm=trgm)
            for kind in KINDS:
                asked = texts(rows, kind, count=SEARCHES)
                show(_searches_line(name, kind, rows, [await _searches(database, asked, trgm=trgm) for _ in turns]))
    async with _database() as database:
        big = list(big_commune())
        await _import(database, big)
        show(_cold_line(big, [await _cold(database, big, turn) for turn in turns]))


@asynccontextmanager
async def _database() -> AsyncIterator[Database]:
    with tempfile.TemporaryDirectory(prefix="fieldsvc-bench-") as folder:
        server = EmbeddedPostgres(Path(folder))
        try:
            url = await asyncio.to_thread(server.acquire)
            first = await connect(url, statement_timeout="0")
            await migrate(first)
            await first.close()
            database = await open_database(url)
            try:
                yield database
            finally:
                await database.close()
        finally:
            await asyncio.to_thread(server.release)


def texts(rows: Sequence[AddressRow], kind: str, *, count: int) -> list[tuple[AddressRow, str]]:
    """Write random addresses with one kind of fault; the same always."""
    rng = random.Random(SEED)  # noqa: S311 - measurements, not secrets
    numbered = [row for row in rows if row.house_number]
    sample = rng.sample(numbered, min(count, len(numbered)))
    return [(row, text) for row in sample if (text := FAULTS[kind](row.address(), rng)) is not None]


def big_commune() -> Iterator[AddressRow]:
    """Invent a commune of 100,000 addresses in 2,500 streets and four postcodes; the same always."""
    rng = random.Random(SEED)  # noqa: S311 - measurements, not secrets
    names: dict[str, None] = {}
    while len(names) < BIG_STREETS:
        word = "".join(rng.choices(_SYLLABLES, k=rng.randrange(2, 5))).title()
        names[f"{rng.choice(_TYPES)} {word}"] = None
    for no, name in enumerate(names):
        for n in range(1, BIG_NUMBERS + 1):
            place = 48.0 + no // 50 * 1e-3 + n * 7e-6, 2.0 + no % 50 * 1e-3
            postcode = f"991{no % 4:02d}"
            yield AddressRow(f"{BIG_CODE}_{no:04d}_{n:05d}", n, None, name, postcode, "Grandville", BIG_CODE, *place)


async def _import(database: Database, rows: Sequence[AddressRow]) -> tuple[float, float]:
    """Import rows into empty tables, and copy them into a bare one; rows a second of each."""
    async with database.acquire() as connection:
        await connection.execute("truncate address, commune")
        await connection.execute("create table if not exists bare (like address)")
        await connection.execute("truncate bare")
        records, began = [astuple(row) for row in rows], time.perf_counter()
        await connection.copy_records_to_table("bare", records=records)
        bare_s = time.perf_counter() - began
    began = time.perf_counter()
    await addresses.put(database, rows, progress=no_progress)
    return len(rows) / (time.perf_counter() - began), len(rows) / bare_s


async def _has_trgm(database: Database) -> bool:
    with contextlib.suppress(asyncpg.PostgresError):
        async with database.acquire() as connection:
            await connection.execute("create extension if not exists pg_trgm")
        return True
    return False


async def _trgm_streets(database: Database, *, trgm: bool) -> None:
    if trgm:
        async with database.acquire() as connection:
            await connection.execute("drop table if exists trgm_street")
            await connection.execute(
                "create table trgm_street as select distinct citycode, postcode, street from address order by citycode"
            )
            await connection.execute("create index on trgm_street (citycode)")
            await connection.execute("analyze trgm_street")


async def _searches(database: Database, asked: Asked, *, trgm: bool) -> dict[str, float]:
    """Search with the commune known: for the first time, again, and eight at once; then the same by pg_trgm."""
    known, found = KnownAddresses(database), {}
    await known.any()
    for name in ("first", "again"):
        began, right = time.perf_counter(), 0
        for row, text in asked:
            right += _is(row, await known.search(parse(text), citycode=row.citycode))
        found[name] = len(asked) / (time.perf_counter() - began)
        found["right"] = 100.0 * right / len(asked)
    todo = iter(list(asked))

    async def take() -> None:
        for row, text in todo:
            await known.search(parse(text), citycode=row.citycode)

    began = time.perf_counter()
    await asyncio.gather(*(take() for _ in range(AT_ONCE)))
    found["at_once"] = len(asked) / (time.perf_counter() - began)
    async with database.acquire() as connection:
        found["select_1"] = await _round_trips(connection, len(asked))
        if trgm:
            found["pg_trgm"], found["pg_trgm_right"] = await _by_trgm(connection, asked)
    return found


def _is(row: AddressRow, found: Sequence[Candidate]) -> bool:
    return bool(found) and found[0].ban_id == row.address_id


async def _round_trips(connection: asyncpg.Connection, count: int) -> float:
    statement, began = await connection.prepare("select 1"), time.perf_counter()
    for _ in range(count):
        await statement.fetchval()
    return count / (time.perf_counter() - began)


async def _by_trgm(connection: asyncpg.Connection, asked: Asked) -> tuple[float, float]:
    """Rank the commune's streets by trigrams and read the number; searches a second, and percent right."""
    streets, numbers = await connection.prepare(_TRGM), await connection.prepare(_TRGM_NUMBER)
    began, right = time.perf_counter(), 0
    for row, text in asked:
        wanted = parse(text)
        street = await streets.fetchrow(row.citycode, wanted.street or "")
        if street is not None:
            ids = await numbers.fetch(row.citycode, street["postcode"], street["street"], wanted.house_number)
            right += row.address_id in {each["id"] for each in ids}
    return len(asked) / (time.perf_counter() - began), 100.0 * right / len(asked)


async def _cold(database: Database, rows: Sequence[AddressRow], turn: int) -> tuple[float, float]:
    """Time the first answer in a commune that was not read yet, and the reading of all its addresses; milliseconds."""
    known, row = KnownAddresses(database), rows[(turn + 1) * 7_919 % len(rows)]
    await known.any()
    began = time.perf_counter()
    if not _is(row, await known.search(row.address())):
        raise RuntimeError("the first answer was wrong: this measures nothing")
    first_s = time.perf_counter() - began
    async with database.acquire() as connection:
        began = time.perf_counter()
        every = await connection.fetch(_WHOLE, BIG_CODE)
        whole = [AddressRow(*each.values()) for each in every]
        whole_s = time.perf_counter() - began
    if len(whole) != len(rows):
        raise RuntimeError("not every address was read: this measures nothing")
    return 1000 * first_s, 1000 * whole_s


def _import_line(name: str, rows: Sequence[AddressRow], turns: Sequence[tuple[float, float]]) -> dict[str, Any]:
    bare = Against("copy_limit", [bare for _, bare in turns])
    return result("geocode", "import_rows_per_s", [rate for rate, _ in turns], bare, town=name, addresses=len(rows))


def _searches_line(
    name: str, kind: str, rows: Sequence[AddressRow], turns: Sequence[Mapping[str, float]]
) -> dict[str, Any]:
    told = ("right", "first", "at_once", "pg_trgm", "pg_trgm_right")
    more: dict[str, Any] = {
        f"{key}_percent" if key.endswith("right") else f"{key}_per_s": round(turns[-1][key], 1)
        for key in told
        if key in turns[-1]
    }
    return result(
        "geocode",
        "postgresql_searches_per_s",
        [turn["again"] for turn in turns],
        Against("select_1_per_s", [turn["select_1"] for turn in turns]),
        shape=kind,
        town=name,
        addresses=len(rows),
        searches=SEARCHES,
        note="one after the other, commune known; first = nothing was read yet, at_once = eight together",
        **more,
    )


def _cold_line(rows: Sequence[AddressRow], turns: Sequence[tuple[float, float]]) -> dict[str, Any]:
    return result(
        "geocode",
        "first_answer_in_a_commune_ms",
        [first for first, _ in turns],
        Against("whole_commune_read_ms", [whole for _, whole in turns]),
        addresses=len(rows),
        streets=BIG_STREETS,
    )
