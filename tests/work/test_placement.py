"""Where a new address falls, on the small town and on real addresses."""

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest

from fieldsvc.store import round as rounds
from fieldsvc.store.database import Database
from fieldsvc.work.imports import create_site, import_addresses, layout_rounds
from fieldsvc.work.placement import Placer
from geo.address_parts import address_of
from tests.work.conftest import PARIS, Office

MEMBERS = {
    "normalised", "lat", "lon", "score", "round_id", "after_stop_id", "before_stop_id", "cost_m", "ambiguous", "confidence",
}  # fmt: skip


async def test_an_address_of_the_town_falls_beside_its_own_stop(office: Office) -> None:
    for plan in office.town.rounds:
        stop = plan.stops[7]
        found = await office.placer.place(stop.point.address)
        assert found.keys() == MEMBERS
        assert found["score"] >= 0.9
        assert found["round_id"] == plan.round_id
        assert stop.stop_id in {found["after_stop_id"], found["before_stop_id"]}
        assert abs(found["lat"] - stop.point.lat) < 1e-5
        assert found["ambiguous"] is False


async def test_an_address_in_parts_or_without_its_town_is_found_with_the_commune_of_the_round(office: Office) -> None:
    point = office.town.rounds[0].stops[7].point
    parts = {"house_number": point.number, "repetition": point.rep or None, "street": point.street, "postcode": "99910"}
    whole = await office.placer.place(point.address)
    assert await office.placer.place(parts) == whole
    street_only = f"{point.number} {point.rep} {point.street}"
    assert (await office.placer.place(street_only, citycode="99901"))["round_id"] == whole["round_id"]
    assert (await office.placer.place(street_only, citycode="dp"))["score"] < 0.9


@pytest.mark.parametrize("text", ["", "   ", "?", "3 rue de Nulle Part, 75001 Paris", "x" * 2000, "\0", "1 " * 500])
async def test_what_cannot_be_found_is_answered_without_certainty(office: Office, text: str) -> None:
    found = await office.placer.place(text)
    assert found["score"] < 0.9
    assert found["ambiguous"] is True


async def test_without_any_address_or_round_nothing_is_certain(empty: Office) -> None:
    found = await empty.placer.place("1 rue A, 93140 Bondy")
    await empty.placer.warm()
    assert (found["score"], found["round_id"], found["normalised"], found["ambiguous"]) == (0.0, None, None, True)


async def test_a_reader_who_gives_up_waiting_does_not_make_the_next_one_begin_again(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, gate, read, times = asyncio.Event(), asyncio.Event(), rounds.read_all, 0

    async def slow(database: Database) -> Any:
        nonlocal times
        times += 1
        begun.set()
        await gate.wait()
        return await read(database)

    monkeypatch.setattr(rounds, "read_all", slow)
    placer, address = Placer(office.database), office.town.rounds[0].stops[7].point.address
    first = asyncio.create_task(placer.place(address))
    await begun.wait()
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    second = asyncio.create_task(placer.place(address))
    gate.set()
    assert (await second)["round_id"] == office.town.rounds[0].round_id
    assert times == 1


def test_parts_may_be_lines_or_named() -> None:
    assert address_of({"lines": ["12 BIS RUE DU MOULIN", "93140 BONDY"]}).postcode == "93140"
    found = address_of({"number": "12 bis", "street": "rue du Moulin", "city": "Bondy"})
    assert (found.house_number, found.repetition, found.city) == (12, "BIS", "Bondy")
    assert address_of({}).street is None


async def test_real_addresses_are_placed_on_their_round_without_holding_the_loop(
    empty: Office, data_folder: Path
) -> None:
    with (data_folder / "ban_bondy" / "adresse_ban_bondy_93010.csv").open(encoding="utf-8") as file:
        await import_addresses(empty.database, file)
    await create_site(empty.database, "bondy")
    await layout_rounds(empty.database, site="bondy", count=17, zone=PARIS)
    rows = await empty.fetch(
        "select round_id, stop_id, address from stop where address ~ '^[0-9]+ ' order by md5(stop_id) limit 200"
    )
    held: list[float] = []
    done = asyncio.Event()

    async def watch() -> None:
        while not done.is_set():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            held.append(time.perf_counter() - began)

    watcher = asyncio.create_task(watch())
    right = 0
    for row in rows:
        found = await empty.placer.place(row["address"])
        right += found["round_id"] == row["round_id"] and row["stop_id"] in {
            found["after_stop_id"],
            found["before_stop_id"],
        }
    done.set()
    await watcher
    assert right >= 0.97 * len(rows)
    assert sorted(held)[int(len(held) * 0.99)] < 0.05
