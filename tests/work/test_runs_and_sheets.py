"""Runs of the day from the roster, and what the phone shows of them."""

import asyncio
from datetime import date, timedelta
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient

from fieldsvc.errors import NotFound
from fieldsvc.work.errors import NoRunToday
from fieldsvc.work.imports import import_roster, import_rounds
from fieldsvc.work.runs import Runs
from tests.work.conftest import NOW, PARIS, TODAY, Office, in_hours, saved

RUN = f"run-{TODAY}-T01"
SHEET_MEMBERS = {
    "run_id", "round_id", "site", "mode", "version", "state", "line", "stops", "tasks_without_stop", "instructions", "hazards",
    "requests", "mandates", "forms",
}  # fmt: skip
STOP_MEMBERS = {
    "stop_id", "round_id", "sequence", "delivery_point_id", "address", "lat", "lon", "side", "box_at", "tasks", "notebook",
}  # fmt: skip
TASK_MEMBERS = {
    "task_id", "service", "subject", "addressee", "window", "requirements", "known_to_you", "form", "details",
}  # fmt: skip


def roster_of(*rows: str) -> list[str]:
    return ["date,round_id,carrier\n", *(f"{TODAY},{row}\n" for row in rows)]


async def plan(office: Office, *rows: str) -> int:
    await import_roster(office.database, roster_of(*rows))
    return await office.runs.plan_day(TODAY)


def item(office: Office, number: int = 1, stop: int = 3, **more: Any) -> str:
    point = office.town.rounds[0].stops[stop].point.id
    body = {
        "service": "item",
        "subject": f"item/RK{number}",
        "delivery_point": point,
        "on": str(TODAY),
        "addressee": "Mme M",
    }
    return orjson.dumps({**body, **more}).decode()


async def test_a_day_is_planned_from_the_roster_and_said_once_however_often(office: Office) -> None:
    assert await plan(office, "T01,Zoé", "T02,") == 2
    assert await office.said(f"run/{RUN}") == ["run.planned"]
    assert await office.said(f"run/run-{TODAY}-T02") == ["run.planned", "run.uncovered"]
    assert await office.runs.plan_day(TODAY) == 0
    assert await plan(office, "T02,Léo") == 1
    assert await office.said(f"run/run-{TODAY}-T02") == ["run.planned", "run.uncovered", "run.covered"]
    assert await plan(office, "T02,") == 1
    assert (await office.said(f"run/run-{TODAY}-T02"))[-1] == "run.uncovered"


async def test_two_processes_that_plan_a_day_at_once_say_nothing_twice(office: Office) -> None:
    await import_roster(office.database, roster_of("T01,Zoé", "T02,", "T03,Léo"))
    processes = [Runs(office.database, office.commands, PARIS) for _ in range(4)]
    await asyncio.gather(*(each.plan_day(TODAY) for each in processes))
    assert await office.value("select count(*) from event where kind = 'field'") == 4


async def test_a_devices_own_round_makes_a_run_where_the_roster_names_neither(office: Office) -> None:
    site = office.town.rounds[0].site
    device, _ = await office.device("Zoé", site=site, round_id="T01")
    assert await office.runs.plan_day(TODAY) == 1
    assert (await office.runs.current_run(device)).run_id == RUN
    await plan(office, "T01,Léo")
    with pytest.raises(NoRunToday):
        await office.runs.current_run(device)


async def test_a_device_enrolled_after_the_planning_gets_its_run_when_it_asks(office: Office) -> None:
    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    runs = await asyncio.gather(*(office.runs.current_run(device) for _ in range(3)))
    assert {run.run_id for run in runs} == {RUN}
    assert runs[0].state == "planned"
    assert await office.said(f"run/{RUN}") == ["run.planned"]


async def test_a_substitute_gets_the_round_of_the_roster_before_their_own(office: Office) -> None:
    site = office.town.rounds[0].site
    async with office.database.acquire() as connection:
        await connection.execute("update round set site = $1", site)
    device, _ = await office.device("Zoé", site=site, round_id="T01")
    await plan(office, "T01,Léo", "T02,Zoé")
    assert (await office.runs.current_run(device)).round_id == "T02"
    assert (await office.runs.own_run(device, f"run-{TODAY}-T02")).round_id == "T02"
    for other in (RUN, f"run-{TODAY - timedelta(days=3)}-T02", "run-x", f"run-{TODAY}-T99", "", f"run-{TODAY}-T02\n"):
        with pytest.raises(NotFound):
            await office.runs.own_run(device, other)


async def test_an_ended_run_is_shown_after_the_one_that_is_still_to_do(office: Office) -> None:
    site = office.town.rounds[0].site
    device, _ = await office.device("Zoé", site=site)
    async with office.database.acquire() as connection:
        await connection.execute("update round set site = $1", site)
    await plan(office, "T01,Zoé", "T02,Zoé")
    for name in ("run.started", "run.ended"):
        await office.commands.send(name, {"run_id": RUN}, run=RUN)
    assert (await office.runs.current_run(device)).round_id == "T02"
    assert await office.value("select state from run where id = $1", RUN) == "ended"


async def test_the_day_is_the_local_one(office: Office) -> None:
    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    from datetime import UTC, datetime

    late = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    assert (await office.runs.current_run(device, late)).run_id == "run-2026-11-21-T01"


async def test_the_sheet_has_exactly_the_members_that_phones_rely_on(office: Office, client: TestClient) -> None:
    site = office.town.rounds[0].site
    _, headers = await office.device("Zoé", site=site, round_id="T01")
    more = {
        "window": {"from": in_hours(1), "until": in_hours(2)},
        "requirements": ["signature"],
        "notes": "Sonner",
        "details": {"floor": 3},
    }
    report = await office.task_import.run([item(office, **more)])
    current = await client.get("/v1/runs/current", headers=headers)
    found = await current.json()
    assert found == {"run_id": RUN, "round_id": "T01", "state": "planned", "sheet_version": found["sheet_version"]}
    answer = await client.get(f"/v1/runs/{RUN}/sheet", headers=headers)
    sheet = await answer.json()
    assert sheet.keys() == SHEET_MEMBERS
    assert (sheet["version"], sheet["site"], sheet["mode"]) == (
        found["sheet_version"],
        site,
        office.town.rounds[0].mode,
    )
    assert sheet["line"] == [list(point) for point in office.town.rounds[0].line]
    assert [stop["stop_id"] for stop in sheet["stops"]] == [stop.stop_id for stop in office.town.rounds[0].stops]
    assert all(stop.keys() == STOP_MEMBERS for stop in sheet["stops"])
    tasks = [task for stop in sheet["stops"] for task in stop["tasks"]]
    assert sheet["stops"][3]["tasks"] == tasks
    assert report.planned == len(tasks) == 1
    assert tasks[0].keys() == TASK_MEMBERS
    assert tasks[0]["addressee"] == "Mme M"
    assert tasks[0]["window"]["from"] == in_hours(1).replace("Z", ".000Z")
    assert tasks[0]["details"] == {"notes": "Sonner", "floor": 3}
    assert (sheet["requests"], sheet["forms"], sheet["tasks_without_stop"]) == ([], {}, [])


async def test_an_unchanged_sheet_is_not_sent_again_and_every_change_counts_its_version_up(
    office: Office, client: TestClient
) -> None:
    _, headers = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    await client.get("/v1/runs/current", headers=headers)
    versions = []

    async def look() -> None:
        answer = await client.get(f"/v1/runs/{RUN}/sheet", headers=headers)
        versions.append((await answer.json())["version"])
        tag = answer.headers["ETag"]
        assert tag == f'"{versions[-1]}"'
        same = await client.get(f"/v1/runs/{RUN}/sheet", headers={**headers, "If-None-Match": f'"0", {tag}'})
        assert (same.status, await same.read()) == (304, b"")
        assert (await client.get(f"/v1/runs/{RUN}/sheet?since={versions[-1]}", headers=headers)).status == 304
        assert (await client.get(f"/v1/runs/{RUN}/sheet?since={versions[-1] - 1}", headers=headers)).status == 200

    await look()
    await office.task_import.run([item(office), item(office, 2)])
    await look()
    await office.task_import.run([item(office, addressee="M. Autre")])
    await look()
    await office.commands.send("run.started", {"run_id": RUN}, run=RUN)
    await look()
    moved = office.town.rounds[1].stops[0].point.id
    await office.task_import.run([item(office, 2, delivery_point=moved)])
    await look()
    row = (await office.fetch("select id, subject from task where subject = 'item/RK1'"))[0]
    await office.commands.send(
        "task.cancelled", {"task_id": row["id"], "service": "item", "subject": row["subject"]}, handler="item"
    )
    await look()
    assert versions == sorted(set(versions))


async def test_a_round_imported_again_moves_tasks_and_no_version_comes_twice(office: Office, tmp_path: Any) -> None:
    first, second = office.town.rounds[:2]
    await plan(office, "T01,Zoé", "T02,Léo")
    await office.task_import.run([item(office)])
    devices = [(await office.device(name, site=each.site))[0] for name, each in (("Zoé", first), ("Léo", second))]
    before = [(await office.runs.current_run(device)).sheet_version for device in devices]
    collection = orjson.loads(office.town.rounds_geojson())
    for feature in collection["features"]:
        about = feature["properties"]
        if (about["round_id"], about.get("stop_id")) == (first.round_id, first.stops[3].stop_id):
            about["round_id"], about["sequence"], about["stop_id"] = "T02", 999, "T02-new"
            feature["geometry"]["coordinates"] = [second.stops[-1].point.lon, second.stops[-1].point.lat]
    report = await import_rounds(office.database, saved(tmp_path, orjson.dumps(collection).decode()), zone=PARIS)
    assert report.changed == 2
    assert await office.value("select round_id from task") == "T02"
    runs = [await office.runs.current_run(device) for device in devices]
    assert [run.sheet_version > old for run, old in zip(runs, before, strict=True)] == [True, True]
    sheet = await office.sheets.sheet(runs[1])
    assert [stop["stop_id"] for stop in sheet["stops"] if stop["tasks"]] == ["T02-new"]
    assert all(not stop["tasks"] for stop in (await office.sheets.sheet(runs[0]))["stops"])


async def test_what_was_personal_leaves_the_sheet_when_its_person_is_erased(office: Office) -> None:
    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    await office.task_import.run([item(office, person="martin")])
    async with office.database.acquire() as connection:
        await connection.execute("update person_key set wrapped = null, destroyed_at = now()")
    sheet = await office.sheets.sheet(await office.runs.current_run(device))
    task = next(task for stop in sheet["stops"] for task in stop["tasks"])
    assert (task["addressee"], task["details"], task["subject"]) == (None, {"erased": True}, "item/RK1")


async def test_the_sheet_of_another_is_not_found_and_without_credentials_nothing_is(
    office: Office, client: TestClient
) -> None:
    await plan(office, "T01,Zoé", "T02,Léo")
    _, headers = await office.device("Léo", site=office.town.rounds[1].site)
    assert (await client.get(f"/v1/runs/run-{TODAY}-T02/sheet", headers=headers)).status == 200
    for path in (f"/v1/runs/{RUN}/sheet", "/v1/runs/none/sheet"):
        answer = await client.get(path, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    _, idle = await office.device("Ana", site=office.town.rounds[1].site)
    answer = await client.get("/v1/runs/current", headers=idle)
    assert (answer.status, (await answer.json())["code"]) == (404, "no_run_today")
    for path in ("/v1/runs/current", f"/v1/runs/{RUN}/sheet", "/v1/services", "/v1/me/receipts"):
        assert (await client.get(path)).status == 401
        assert (await client.get(path, headers={"Authorization": "Bearer x"})).status == 401


async def test_a_task_is_seen_when_the_newest_sheet_is(office: Office) -> None:
    from sql import query

    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    await office.task_import.run([item(office)])
    run = await office.runs.current_run(device)
    async with office.database.acquire() as connection:
        for version, seen in ((run.sheet_version - 1, 0), (run.sheet_version, 1)):
            await connection.execute(query("task.mark_seen"), RUN, version, NOW)
            assert await connection.fetchval("select count(*) from task where seen_at is not null") == seen


async def test_writes_on_unknown_ids_change_nothing(office: Office) -> None:
    from sql import query

    async with office.database.acquire() as connection:
        assert await connection.execute(query("run.set_state"), "run-x", "started", NOW) == "UPDATE 0"
        assert await connection.execute(query("delivery_point.set_class"), "none", "moved", NOW) == "UPDATE 0"
        assert await connection.execute(query("task.close"), "none", "cancelled", NOW) == "UPDATE 0"
        point = office.town.rounds[0].stops[0].point.id
        assert await connection.execute(query("delivery_point.set_class"), point, "moved", NOW) == "UPDATE 1"


async def test_services_are_listed_with_schemas_and_examples(office: Office, client: TestClient) -> None:
    _, headers = await office.device("Zoé", site=office.town.rounds[0].site)
    found = (await (await client.get("/v1/services", headers=headers)).json())["services"]
    assert {each["service"] for each in found} == set(office.registry.handlers)
    for each in found:
        assert set(each["title"]) >= {"fr", "en"}
        for event in each["events"]:
            assert event["type"].startswith("fieldsvc.")
            assert event["schema"]["type"] == "object"
            assert event["examples"]


async def test_receipts_come_page_by_page_and_only_ones_own(office: Office, client: TestClient) -> None:
    device, headers = await office.device("Zoé", site=office.town.rounds[0].site)
    async with office.database.acquire() as connection:
        await connection.executemany(
            "insert into receipt values ($1, $2, now(), 'p', 'b', 's')",
            [(name, no) for name in (device.device_id, "d-9999") for no in range(1, 6)],
        )
    seen, cursor = [], ""
    while True:
        answer = await (await client.get(f"/v1/me/receipts?limit=2&cursor={cursor}", headers=headers)).json()
        seen += [each["no"] for each in answer["receipts"]]
        assert all(each["receipt"].count(".") == 2 for each in answer["receipts"])
        if "cursor" not in answer:
            break
        cursor = answer["cursor"]
    assert seen == [1, 2, 3, 4, 5]
    for wrong in ("limit=0", "limit=x", "limit=1001", "cursor=é", "cursor=AAAA", "cursor=cg", "limit=" + "9" * 5000):
        assert (await client.get(f"/v1/me/receipts?{wrong}", headers=headers)).status == 400


async def test_intake_finds_the_plan_of_a_run_or_of_a_device_and_the_stops_of_subjects(office: Office) -> None:
    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    await office.task_import.run([item(office)])
    found = await office.rounds.run_plan(device)
    assert found is not None
    assert found is await office.rounds.run_plan(RUN)
    stop = office.town.rounds[0].stops[3]
    assert found.stop_of_subject["item/RK1"] == stop.stop_id
    assert found.stop_of_subject[f"delivery_point/{stop.point.id}"] == stop.stop_id
    assert found.delivery_point_of_stop[stop.stop_id] == stop.point.id
    assert found.stops_by_id[stop.stop_id].sequence == stop.sequence
    for none in ("run-2026-11-21-T99", "run-2026-13-41-T01", "x", "run-2026-11-21-\0"):
        assert await office.rounds.run_plan(none) is None
    idle, _ = await office.device("Ana", site=office.town.rounds[0].site)
    assert await office.rounds.run_plan(idle) is None


async def test_a_round_stays_in_memory_until_its_version_changes(office: Office, tmp_path: Any) -> None:
    moment = [0.0]
    from fieldsvc.work.rounds import RoundStore

    rounds = RoundStore(office.database, PARIS, clock=lambda: moment[0])
    first = await rounds.run_plan(RUN)
    moment[0] += 30
    second = await rounds.run_plan(RUN)
    assert first is not None
    assert second is not None
    assert second is not first
    assert second.round is first.round
    text = office.town.rounds_geojson().replace('"mode":"', '"mode":"bike","was":"')
    await import_rounds(office.database, saved(tmp_path, text), zone=PARIS)
    moment[0] += 30
    third = await rounds.run_plan(RUN)
    assert third is not None
    assert third.round.mode == "bike"


@pytest.mark.parametrize(
    ("day", "begins", "hours"), [("2026-10-25", "2026-10-24T22:00", 25), ("2026-11-23", "2026-11-22T23:00", 24)]
)
async def test_a_day_lasts_from_one_local_midnight_to_the_next(
    office: Office, day: str, begins: str, hours: int
) -> None:
    since, until = office.rounds.span_of(date.fromisoformat(day))
    assert (since.isoformat()[:16], until - since) == (begins, timedelta(hours=hours))
    assert office.rounds.day_of(since) == office.rounds.day_of(until - timedelta(seconds=1)) == date.fromisoformat(day)
