"""What a sheet shows of places: the notebook, hazards, boxes that cannot be served, instructions, checks, moved stops."""

from datetime import UTC, datetime, timedelta

import pytest
from aiohttp.test_utils import TestClient

from fieldsvc.journal.commands import Refusal
from fieldsvc.journal.timers import Timers
from handlers.fields import format_time
from sql import query
from tests.work.conftest import NOW, TODAY, Office
from tests.work.sheet_days import (
    RUN,
    SUPERVISOR,
    TOMORROW,
    order,
    point_of,
    report_hazard,
    run_now,
    send,
    sheet,
    tasks_of,
    walked,
    write_note,
)


async def test_the_notebook_is_written_by_the_regular_carrier_and_read_by_whoever_walks(office: Office) -> None:
    await walked(office, "Zoé")
    before = (await run_now(office)).sheet_version
    await write_note(office, "code", "A4471", "Zoé")
    await write_note(office, "dog", "Gentil", "Zoé", stop=5)
    found = await sheet(office, "Léo")
    assert found["stops"][3]["notebook"] == [
        {"kind": "code", "text": "A4471", "by": "regular", "on": str(datetime.now(UTC).date())}
    ]
    assert found["stops"][5]["notebook"][0]["text"] == "Gentil"
    assert found["version"] > before
    dump = await office.fetch("select public from event where type = 'notebook.written'")
    assert b"A4471" not in b"".join(row["public"] for row in dump)
    assert b"A4471" not in b"".join(row["sealed"] for row in await office.fetch("select sealed from notebook"))
    await write_note(office, "code", "", "Zoé")
    assert (await sheet(office))["stops"][3]["notebook"] == []


async def test_a_substitutes_note_stands_beside_the_regular_carriers_until_that_one_writes_again(
    office: Office,
) -> None:
    await walked(office, "Zoé")
    await write_note(office, "dog", "Il mord", "Zoé")
    await write_note(office, "dog", "Il est parti", "Léo")
    assert [(each["by"], each["text"]) for each in (await sheet(office))["stops"][3]["notebook"]] == [
        ("substitute", "Il est parti"),
        ("regular", "Il mord"),
    ]
    await write_note(office, "dog", "Il mord encore", "Zoé")
    assert [each["text"] for each in (await sheet(office))["stops"][3]["notebook"]] == ["Il mord encore"]
    await write_note(office, "dog", "", "Léo")
    assert [each["text"] for each in (await sheet(office))["stops"][3]["notebook"]] == ["Il mord encore"]


async def test_nobody_writes_as_the_regular_carrier_of_a_point_that_their_round_does_not_serve(office: Office) -> None:
    await walked(office, "Zoé")
    data = {"delivery_point_id": point_of(office, 0, round_=1), "kind": "dog", "text": "Il mord", "carrier": "Zoé"}
    await send(office, "notebook.written", data)
    assert await office.value("select by_regular from notebook") is False


async def test_a_confirmed_hazard_is_on_every_sheet_that_it_crosses_until_its_time(office: Office) -> None:
    await walked(office, "Zoé")
    for number in (2, 3):
        device, _ = await office.device(f"C{number}", site=office.town.rounds[number - 1].site, round_id=f"T0{number}")
        await office.runs.own_run(device, f"run-{TODAY}-T0{number}")
    runs = [f"run-{TODAY}-T0{number}" for number in (1, 2, 3)]
    before = {run_id: (await run_now(office, run_id)).sheet_version for run_id in runs}
    await report_hazard(office, "hz-1", note="Verglas devant l'école", until=datetime.now(UTC) + timedelta(hours=2))
    assert (await sheet(office))["hazards"] == []
    assert (await run_now(office)).sheet_version == before[RUN]
    await send(office, "hazard.confirmed", {"hazard_id": "hz-1"}, actor=SUPERVISOR)
    shown = (await sheet(office))["hazards"]
    assert [(each["hazard_id"], each["kind"], each["note"]) for each in shown] == [
        ("hz-1", "ice", "Verglas devant l'école")
    ]
    for run_id in runs:
        run = await run_now(office, run_id)
        if (await office.sheets.sheet(run))["hazards"]:
            assert run.sheet_version > before[run_id]
    version = (await run_now(office)).sheet_version
    await Timers(office.database, office.commands).fire(datetime.now(UTC) + timedelta(hours=3))
    assert (await sheet(office))["hazards"] == []
    assert (await run_now(office)).sheet_version > version
    assert await office.value("select state from hazard") == "ended"


async def test_a_hazard_beside_the_box_of_a_round_raises_no_version_and_one_off_its_line_is_not_shown(
    office: Office,
) -> None:
    await walked(office, "Zoé")
    version = (await run_now(office)).sheet_version
    data = {"kind": "dog", "point": {"lat": 10.0, "lon": 10.0}, "radius_m": 50.0, "until": format_time(TOMORROW)}
    await send(office, "hazard.reported", {"hazard_id": "far", **data}, actor=SUPERVISOR)
    assert (await run_now(office)).sheet_version == version
    assert await office.value("select state from hazard") == "confirmed"
    west, south = office.town.rounds[0].line[0]
    stops = office.town.rounds[0].stops
    corner = {"lat": max(each.point.lat for each in stops), "lon": max(each.point.lon for each in stops)}
    near = {**data, "hazard_id": "corner", "point": corner, "radius_m": 1.0}
    await send(office, "hazard.reported", near, actor=SUPERVISOR)
    assert (west, south) != (corner["lon"], corner["lat"])
    assert (await sheet(office))["hazards"] == []


async def test_a_supervisor_of_another_site_confirms_nothing(office: Office) -> None:
    await walked(office, "Zoé")
    await report_hazard(office, "hz-1")
    with pytest.raises(Refusal, match="not_allowed"):
        await send(office, "hazard.confirmed", {"hazard_id": "hz-1"}, actor=SUPERVISOR, site="site-elsewhere")


async def test_a_point_that_cannot_be_served_is_an_instruction_until_what_was_decided_lapses(office: Office) -> None:
    await walked(office, "Zoé")
    point = point_of(office, 3)
    before = (await run_now(office)).sheet_version
    await send(office, "access.refused", {"delivery_point_id": point, "reason": "dog", "mail_waits_at": "Bondy"})
    found = await sheet(office)
    (told,) = found["instructions"]
    assert (told["stop_id"], told["state"], told["reason"], told["mail_waits_at"]) == (
        found["stops"][3]["stop_id"],
        "open",
        "dog",
        "Bondy",
    )
    assert found["version"] > before
    decided = {"delivery_point_id": point, "decision": "served_again", "reason": "Le chien est parti"}
    await send(office, "access.decided", decided, actor=SUPERVISOR)
    assert (await sheet(office))["instructions"][0]["decision"] == "served_again"
    assert "chien" not in str((await sheet(office))["instructions"])
    assert await office.value("select site from access_case") == office.town.rounds[0].site
    await Timers(office.database, office.commands).fire(datetime.now(UTC) + timedelta(days=20))
    assert (await sheet(office))["instructions"] == []


async def test_what_a_supervisor_says_is_on_the_sheet_of_that_run(office: Office) -> None:
    await walked(office, "Zoé")
    before, stop_id = (await run_now(office)).sheet_version, office.town.rounds[0].stops[2].stop_id
    words = {"run_id": RUN, "text": "Passer par la cour", "stop_id": stop_id}
    await send(office, "instruction.given", words, actor=SUPERVISOR)
    found = await sheet(office)
    assert [(each["kind"], each["stop_id"], each["text"]) for each in found["instructions"]] == [
        ("supervisor", stop_id, "Passer par la cour")
    ]
    assert found["version"] > before
    rows = await office.fetch("select public from event where type = 'instruction.given'")
    assert b"cour" not in b"".join(row["public"] for row in rows)


async def test_a_reported_address_closes_the_check_that_was_ordered(office: Office) -> None:
    await walked(office, "Zoé")
    point = point_of(office, 3)
    await order(office, f"delivery_point/{point}", service="check_address")
    await order(office, f"delivery_point/{point_of(office, 4)}", service="check_address", stop=4)
    assert len(tasks_of(await sheet(office))) == 2
    await send(office, "address.checked", {"delivery_point_id": point_of(office, 4), "result": "ok"})
    report = {"delivery_point_id": point, "change": "vacant", "old_address": "1 rue A", "confidence": "seen"}
    await send(office, "address_change.reported", report)
    await Timers(office.database, office.commands).fire(datetime.now(UTC) + timedelta(seconds=5))
    assert tasks_of(await sheet(office)) == {}
    assert await office.said(f"delivery_point/{point}") == [
        "task.planned", "address_change.reported", "address.checked",
    ]  # fmt: skip


async def test_stops_that_moved_to_another_run_are_on_its_sheet_with_their_work(office: Office) -> None:
    await walked(office, "Zoé")
    device, _ = await office.device("Léo", site=office.town.rounds[1].site, round_id="T02")
    taker = await office.runs.own_run(device, f"run-{TODAY}-T02")
    await order(office, "item/A")
    stop_id = office.town.rounds[0].stops[3].stop_id
    async with office.database.acquire() as connection:
        await connection.execute(query("task.move_to_run"), RUN, taker.run_id, [], [stop_id], NOW)
    own, other = await sheet(office), await office.sheets.sheet(taker)
    assert stop_id not in [each["stop_id"] for each in own["stops"]]
    assert (other["stops"][-1]["stop_id"], other["stops"][-1]["round_id"]) == (stop_id, "T01")
    assert [task["subject"] for task in other["stops"][-1]["tasks"]] == ["item/A"]
    assert tasks_of(own) == {}
    assert other["tasks_without_stop"] == []


async def test_checks_and_letters_are_ordered_like_any_work_by_who_may(office: Office, client: TestClient) -> None:
    await walked(office, "Zoé")
    _, headers = await office.subscriber("order:check_address", "order:letter_code")
    where = {"delivery_point": point_of(office, 3), "on": str(TODAY)}
    for service, subject in (
        ("check_address", f"delivery_point/{where['delivery_point']}"),
        ("letter_code", "letter/L-"),
    ):
        answer = await client.post("/v1/tasks", json={"service": service, **where}, headers=headers)
        assert (answer.status, (await answer.json())["subject"].startswith(subject)) == (201, True)
    planned = {task["service"] for task in (await sheet(office))["stops"][3]["tasks"]}
    assert planned == {"check_address", "letter_code"}
    _, others = await office.subscriber("order:item")
    assert (await client.post("/v1/tasks", json={"service": "check_address", **where}, headers=others)).status == 403
