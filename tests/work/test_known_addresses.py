"""Look-ups over PostgreSQL: the answers of the store in memory, quickly, within bounds, and never older than half a minute."""

import asyncio
import random
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fieldsvc.store import address as addresses
from fieldsvc.store.database import Database
from fieldsvc.work import known_addresses
from fieldsvc.work.imports import import_addresses, no_progress
from fieldsvc.work.known_addresses import Kept, KnownAddresses
from geo.address_files import AddressRow, read_addresses
from geo.addresses import Address, Geocoder, MemoryStore, one_line, parse
from geo.reverse import Grid

Note = Callable[[str], None]
KINDS, FIRST = (
    ("Rue", "Avenue", "Allée", "Impasse", "Chemin"),
    "Jean Paul Louise Victor Simone Anne Jules Rosa Henri Berthe",
)
LAST = (
    "Moulin Curie Valois Michel Hugo Veil Loti Frank Ferry Parks Barbusse Duras Sampaix Morisot Cachin Sand Roux Vian"
)


def city(*, streets: int, numbers: int, code: str = "99100") -> Iterator[AddressRow]:
    """A commune of `streets` streets, several postcodes, in the order of its ids."""
    names = [f"{kind} {first} {last} {more}".strip() for more in ("", "Prolongée", "Neuve") for kind in KINDS
             for first in FIRST.split() for last in LAST.split()]  # fmt: skip
    for i, name in enumerate(names[:streets]):
        for n in range(1, numbers + 1):
            lat, lon = 48.0 + i // 50 * 1e-3 + n * 7e-6, 2.0 + i % 50 * 1e-3 + n % 2 * 1e-4
            yield AddressRow(f"{code}_{i:04d}_{n:05d}", n, None, name, f"991{i % 4:02d}", "Grandville", code, lat, lon)


def mistyped(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(string.ascii_lowercase) + text[at + rng.randrange(2) :]


@pytest.fixture(scope="session")
def department(data_folder: Path) -> list[AddressRow]:
    with (data_folder / "bano" / "bano-90.csv").open(encoding="utf-8", newline="") as lines:
        rows = {row.address_id: row for row in read_addresses(lines) if isinstance(row, AddressRow)}
    return sorted(rows.values(), key=lambda row: row.address_id)


async def _same_answers(database: Database, rows: list[AddressRow], *, seed: int, count: int) -> None:
    await addresses.put(database, rows, progress=no_progress)
    memory, known, rng = Geocoder(MemoryStore.from_rows(rows)), KnownAddresses(database), random.Random(seed)
    for row in rng.sample(rows, count):
        whole = row.address()
        bare = Address(whole.house_number, whole.repetition, whole.street)
        for text in (
            one_line(whole),
            mistyped(one_line(whole), rng),
            f"{one_line(bare)} {row.city}",
            mistyped(one_line(bare), rng),
            f"{row.postcode} {mistyped(row.city, rng)}",
        ):
            citycode = rng.choice((None, row.citycode))
            expected = memory.search(text, citycode=citycode)
            found = await known.search(parse(text), citycode=citycode)
            shown = [
                [(one.kind, one.house_number, one.street, one.citycode, one.ban_id) for one in each]
                for each in (found, expected)
            ]
            assert shown[0] == shown[1], text
            for one, other in zip(found, expected, strict=True):
                assert (one.score, one.lat, one.lon) == pytest.approx((other.score, other.lat, other.lon), abs=1e-9)


async def test_a_generated_city_gets_the_answers_of_the_store_in_memory(database: Database) -> None:
    await _same_answers(database, list(city(streets=150, numbers=30)), seed=1, count=60)


async def test_a_real_departement_gets_the_answers_of_the_store_in_memory(
    database: Database, department: list[AddressRow]
) -> None:
    await _same_answers(database, department, seed=2, count=100)


async def test_the_first_answer_in_a_commune_of_a_hundred_thousand_comes_well_under_a_second(
    database: Database, note: Note
) -> None:
    rows = list(city(streets=2_500, numbers=40))
    await addresses.put(database, rows, progress=no_progress)
    took_s = []
    for place in (77_777, 11_111, 44_444):
        known = KnownAddresses(database)
        await known.any()
        began = time.perf_counter()
        found = await known.search(rows[place].address())
        took_s.append(time.perf_counter() - began)
        assert found[0].ban_id == rows[place].address_id
    first_s = min(took_s)
    note(f"addresses: first answer in a commune of {len(rows):,} after {1000 * first_s:.0f} ms")
    assert first_s < 0.9
    assert known._numbers.weight < 3_000  # of 100,000: the streets that were in question


async def test_with_the_commune_known_a_thousand_are_answered_in_a_second_of_one_processor(
    database: Database, data_folder: Path, note: Note
) -> None:
    with (data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv").open(encoding="utf-8") as file:
        await import_addresses(database, file)
    with (data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv").open(encoding="utf-8") as file:
        rows = random.Random(6).sample([row for row in read_addresses(file) if isinstance(row, AddressRow)], 500)
    known, speeds = KnownAddresses(database), []
    for _ in ("cold", "warm"):
        began, right = time.process_time(), 0
        for row in rows:
            found = await known.search(parse(one_line(row.address())), citycode=row.citycode)
            right += bool(found) and found[0].ban_id == row.address_id
        speeds.append(len(rows) / (time.process_time() - began))
        assert right >= 0.98 * len(rows)
    note(
        f"addresses: Bondy over PostgreSQL, {speeds[0]:,.0f} queries a CPU second at first, {speeds[1]:,.0f} when known"
    )
    assert speeds[1] > 1_000


async def test_what_is_kept_has_a_bound_and_answers_stay_right(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(known_addresses, "STREETS_KEPT", 30)
    monkeypatch.setattr(known_addresses, "NUMBERS_KEPT", 100)
    rows = [
        row for n in range(12) for row in city(streets=10, numbers=12, code=f"9910{n:X}"[:5] if n < 10 else f"991{n}")
    ]
    await addresses.put(database, rows, progress=no_progress)
    known = KnownAddresses(database)
    for row in random.Random(3).sample(rows, 60):
        found = await known.search(Address(row.house_number, None, row.street, None, None, row.citycode))
        assert found[0].ban_id == row.address_id
        assert known._streets.weight <= 30
        assert known._numbers.weight <= 100


def test_the_least_used_leaves_first_and_one_value_may_be_larger_than_the_bound() -> None:
    kept: Kept[list[int]] = Kept(8)
    kept.put("a", [1, 2])
    kept.put("b", [1, 2])
    assert kept.get("a") == [1, 2]
    kept.put("c", [1, 2])
    assert (kept.get("b"), kept.weight) == (None, 6)
    kept.put("d", list(range(20)))
    assert (kept.get("a"), kept.get("c"), len(kept.get("d") or []), kept.weight) == (None, None, 20, 21)
    kept.put("d", [1])
    assert kept.weight == 2


async def test_an_import_is_seen_within_half_a_minute_and_without_one_nothing_is_read_again(database: Database) -> None:
    now = [0.0]
    known = KnownAddresses(database, clock=lambda: now[0])
    text = parse("1 Rue Jean Moulin, 99100 Grandville")
    assert await known.search(text) == []
    rows = list(city(streets=3, numbers=4))
    await addresses.put(database, rows, progress=no_progress)
    assert await known.search(text) == []
    now[0] += known_addresses.CHECK_S
    assert (await known.search(text))[0].ban_id == rows[0].address_id
    gazetteer = known._gazetteer
    now[0] += known_addresses.CHECK_S
    await addresses.put(database, rows, progress=no_progress)
    await known.search(text)
    assert known._gazetteer is gazetteer
    moved = [
        AddressRow(r.address_id, r.house_number, None, r.street, r.postcode, r.city, r.citycode, r.lat + 0.01, r.lon)
        for r in rows
    ]
    await addresses.put(database, moved, progress=no_progress)
    now[0] += known_addresses.CHECK_S
    assert (await known.search(text))[0].lat == moved[0].lat


async def test_many_who_ask_for_a_new_commune_at_once_read_its_streets_once(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list(city(streets=40, numbers=10))
    await addresses.put(database, rows, progress=no_progress)
    read: list[str] = []
    real = addresses.streets_of

    async def counted(database: Database, citycodes: list[str]) -> list[addresses.Label]:
        read.extend(citycodes)
        return await real(database, citycodes)

    monkeypatch.setattr(addresses, "streets_of", counted)
    known = KnownAddresses(database)
    found = await asyncio.gather(*(known.search(row.address()) for row in rows[:60]))
    assert [each[0].ban_id for each in found] == [row.address_id for row in rows[:60]]
    assert read == ["99100"]


async def test_the_nearest_address_is_that_of_the_grid(database: Database) -> None:
    rows, rng = list(city(streets=120, numbers=20)), random.Random(9)
    await addresses.put(database, rows, progress=no_progress)
    known, grid = KnownAddresses(database), Grid(rows)
    for _ in range(60):
        place = 48.0 + rng.uniform(-0.002, 0.004), 2.0 + rng.uniform(-0.002, 0.052)
        assert await known.nearest(*place, within_m=120.0) == grid.nearest(*place, within_m=120.0)
    assert await known.nearest(float("nan"), 2.0) == []
    assert await known.nearest(0.0, 0.0) == []


@pytest.mark.parametrize("text", ["", "?", "\0", "x" * 5_000, "1 rue X, 99100", "99100", "rue", "1 " * 800])
async def test_any_text_is_searched_without_a_fault(database: Database, text: str) -> None:
    await addresses.put(database, city(streets=5, numbers=5), progress=no_progress)
    known = KnownAddresses(database)
    for citycode in (None, "99100", "dp", "\0", ""):
        found = await known.search(parse(text), citycode=citycode)
        assert all(0 <= one.score <= 1 for one in found)
