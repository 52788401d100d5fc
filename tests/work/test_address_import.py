"""Files of addresses: streamed, taken in one step, replacing what they cover and nothing else."""

import asyncio
import gzip
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fieldsvc.store import address as addresses
from fieldsvc.store.database import Database
from fieldsvc.work.errors import BadImport
from fieldsvc.work.imports import import_addresses, no_progress, open_lines

HEAD = "id;numero;rep;nom_voie;code_postal;code_insee;nom_commune;lon;lat;type_position\n"


def ban(*numbers: int, code: str = "93010", city: str = "Bondy", street: str = "Rue A", moved: float = 0.0) -> str:
    return "".join(
        f"{code}_1_{n};{n};;{street};{code};{code};{city};{2.48 + n * 1e-5};{48.9 + moved};entrée\n" for n in numbers
    )


async def taken(database: Database, text: str) -> tuple[int, ...]:
    report = await import_addresses(database, iter((HEAD + text).splitlines(keepends=True)))
    return report.taken, report.changed, report.removed, report.kept


async def ids(database: Database, code: str = "93010") -> list[int]:
    async with database.acquire() as connection:
        rows = await connection.fetch("select house_number from address where citycode = $1 order by 1", code)
    return [row[0] for row in rows]


async def test_a_new_file_of_a_commune_replaces_it_whole_and_leaves_others_alone(database: Database) -> None:
    assert await taken(database, ban(1, 2, 3, 4) + ban(7, 8, code="93055", city="Pantin")) == (6, 6, 0, 0)
    assert await taken(database, ban(1, 2, 3, 5)) == (4, 1, 1, 0)
    assert await ids(database) == [1, 2, 3, 5]
    assert await ids(database, "93055") == [7, 8]
    other_source = ban(1, 2, 3, 5).replace("93010_1_", "930100001A-")
    assert await taken(database, other_source) == (4, 4, 4, 0)


async def test_a_file_with_less_than_half_of_a_commune_adds_to_it_and_says_what_it_left(database: Database) -> None:
    await taken(database, ban(*range(1, 11)))
    assert await taken(database, ban(4, 11, moved=0.001)) == (2, 2, 0, 9)
    assert await ids(database) == list(range(1, 12))


async def test_the_second_import_of_a_file_changes_nothing(database: Database) -> None:
    text = ban(1, 2, 3) + ban(7, code="93055", city="Pantin")
    await taken(database, text)
    mark = await addresses.mark(database)
    assert await taken(database, text) == (4, 0, 0, 0)
    assert await addresses.mark(database) == mark


async def test_a_commune_that_became_part_of_another_is_forgotten(database: Database) -> None:
    await taken(database, ban(1, 2) + ban(7, code="93055", city="Pantin"))
    merged = ban(1, 2) + ban(7, code="93055", city="Bondy").replace(";93055;93055;", ";93055;93010;")
    await taken(database, merged)
    assert await ids(database) == [1, 2, 7]
    found = await addresses.communes(database)
    assert [(each.citycode, each.city, each.postcodes) for each in found] == [("93010", "Bondy", ("93010", "93055"))]


async def test_readers_see_all_of_the_old_or_all_of_the_new_while_a_file_comes_in(database: Database) -> None:
    await taken(database, ban(*range(1, 9_000)))
    seen: set[tuple[int, float]] = set()
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            async with database.acquire() as connection:
                seen.add(tuple(await connection.fetchrow("select count(*), max(lat) from address")))
            await asyncio.sleep(0)

    watcher = asyncio.create_task(watch())
    await taken(database, ban(*range(4_000, 9_000), moved=0.5))
    done.set()
    await watcher
    assert seen <= {(8_999, 48.9), (5_000, 49.4)}
    assert (8_999, 48.9) in seen


async def test_two_imports_at_once_take_turns(database: Database) -> None:
    one, other = ban(*range(1, 3_000)), ban(*range(2_000, 5_000))
    await asyncio.gather(taken(database, one), taken(database, other))
    assert await ids(database) in (list(range(1, 3_000)), list(range(2_000, 5_000)))


async def test_a_file_is_read_as_it_is_taken_and_never_held_whole(database: Database) -> None:
    read, told, ahead = [0], [0], [0]

    def lines() -> Iterator[str]:
        yield HEAD
        for n in range(1, 8_000):
            for line in ban(n, code="93010"), ban(n, code="93055", city="Pantin"):
                read[0] += 1
                ahead[0] = max(ahead[0], read[0] - told[0])
                yield line

    report = await import_addresses(database, lines(), progress=lambda count: told.__setitem__(0, count))
    assert report.taken == told[0] == 15_998
    assert ahead[0] <= 5_000


async def test_half_a_departement_takes_seconds(database: Database, note: Callable[[str], None]) -> None:
    communes = [f"93{n:03d}" for n in range(60)]
    text = "".join(ban(*range(1, 1_001), code=code, city=f"Ville {code}", street=f"Rue {code}") for code in communes)
    began = time.perf_counter()
    assert await taken(database, text) == (60_000, 60_000, 0, 0)
    first_s = time.perf_counter() - began
    began = time.perf_counter()
    assert await taken(database, text) == (60_000, 0, 0, 0)
    note(
        f"addresses: 60,000 rows imported in {first_s:.1f} s, again in {time.perf_counter() - began:.1f} s (fsync off)"
    )
    assert first_s < 30


@pytest.mark.parametrize("packed", [False, True])
async def test_a_file_may_be_gzip(database: Database, tmp_path: Path, packed: bool) -> None:
    data = ("\ufeff" + HEAD + ban(1, 2)).encode()
    path = tmp_path / "adresses-93.csv"
    path.write_bytes(gzip.compress(data) if packed else data)
    with open_lines(path) as lines:
        assert (await import_addresses(database, lines)).taken == 2


async def test_what_cannot_be_read_is_named_by_the_last_good_line(database: Database, tmp_path: Path) -> None:
    whole = HEAD.encode() + ban(*range(1, 400)).encode()
    damaged = {
        "not UTF-8": whole + b"x;1;;Rue \xe9;93140;93010;Bondy;2.4;48.9;\n",
        "damaged": gzip.compress(whole)[:-40],
    }
    for says, data in damaged.items():
        path = tmp_path / "file"
        path.write_bytes(data)
        with open_lines(path) as lines, pytest.raises(BadImport, match=rf"after line \d+: .*{says}"):
            await import_addresses(database, lines)
    assert await ids(database) == []


async def test_a_fault_while_rows_come_in_leaves_everything_as_it_was(database: Database) -> None:
    await taken(database, ban(1, 2, 3))

    def broken() -> Iterator[str]:
        yield HEAD
        yield from ban(*range(1, 6_000)).splitlines(keepends=True)
        raise RuntimeError("the disk is gone")

    with pytest.raises(RuntimeError, match="disk"):
        await import_addresses(database, broken(), progress=no_progress)
    assert await ids(database) == [1, 2, 3]
