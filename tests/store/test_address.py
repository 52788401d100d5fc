"""Addresses are read by index, however many there are, on a plain PostgreSQL: no extension is asked for."""

import pytest

from fieldsvc.store import address as addresses
from fieldsvc.store.database import Database
from geo.address_files import AddressRow
from sql import query


@pytest.mark.parametrize(
    ("name", "arguments", "index"),
    [
        ("streets_of", "array['99017']", "address_by_street"),
        ("numbers_of", "array['99017'], array['99017'], array['Rue 3']", "address_by_street"),
        ("in_box", "48.0, 48.001, 2.0, 2.001", "address_by_place"),
    ],
)
async def test_a_look_up_reads_by_index(database: Database, name: str, arguments: str, index: str) -> None:
    rows = (
        AddressRow(f"{code}_{n:03d}", n, None, f"Rue {n % 20}", f"{code}", "Ville", f"{code}", 47 + code % 100 / 50 + n / 1e4, 2 + n / 1e4)
        for code in range(99000, 99100) for n in range(200)
    )  # fmt: skip
    await addresses.put(database, rows, progress=lambda _count: None)
    async with database.acquire() as connection:
        types = {
            "streets_of": "text[]",
            "numbers_of": "text[], text[], text[]",
            "in_box": "float8, float8, float8, float8",
        }
        await connection.execute(f"prepare looked_up ({types[name]}) as {query(f'address.{name}')}")
        for mode in ("force_generic_plan", "force_custom_plan"):
            await connection.execute(f"set plan_cache_mode = {mode}")
            plan = "\n".join(row[0] for row in await connection.fetch(f"explain execute looked_up ({arguments})"))
            assert f"using {index}" in plan, plan
            assert "Seq Scan" not in plan, plan


async def test_no_extension_is_needed(database: Database) -> None:
    async with database.acquire() as connection:
        assert [row[0] for row in await connection.fetch("select extname from pg_extension")] == ["plpgsql"]
