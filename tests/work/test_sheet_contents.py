"""What a sheet shows beside its tasks: who is known, mandates, forms, codes; and its deltas."""

from datetime import timedelta
from typing import Any

import orjson
from aiohttp.test_utils import TestClient

from fieldsvc.work.imports import import_roster
from fieldsvc.work.sheet_parts import CODE_ROUNDS
from handlers import tasks
from handlers.story import Fact
from tests.work.conftest import TODAY, Office
from tests.work.sheet_days import (
    RUN,
    SUPERVISOR,
    known,
    order,
    report_hazard,
    run_now,
    send,
    sheet,
    signed,
    tasks_of,
    walked,
    write_note,
)
from tests.work.test_sheet_delta import applied


async def test_a_person_is_known_to_the_regular_carrier_who_saw_a_document_and_to_nobody_else(office: Office) -> None:
    await walked(office, "Zoé")
    yesterday, before = TODAY - timedelta(days=1), f"run-{TODAY - timedelta(days=1)}-T01"
    await order(office, "item/RK1", on=yesterday, addressee="Mme Claire Martin")
    await order(office, "item/RK2", on=yesterday, addressee="M. Dupont", stop=4)
    await order(office, "item/A", addressee="Madame MARTIN Claire")
    await order(office, "item/B", addressee="M. Martin")
    await order(office, "item/C", addressee="Mme Claire Martin", stop=5)
    await order(office, "item/D", addressee="M. Dupont", stop=4)
    assert set((await known(office)).values()) == {False}
    version = (await run_now(office)).sheet_version
    await signed(office, "RK1", run=before, identity={"document_kind": "id_card"})
    await signed(office, "RK2", run=before, identity="known_to_carrier")
    assert await known(office) == {"item/A": True, "item/B": False, "item/C": False, "item/D": False}
    assert (await run_now(office)).sheet_version > version
    assert set((await known(office, "Léo")).values()) == {None}


async def test_who_was_known_on_a_document_that_was_shown_to_another_is_not_known(office: Office) -> None:
    await walked(office, "Zoé", "Léo")
    before = f"run-{TODAY - timedelta(days=1)}-T01"
    await order(office, "item/RK1", on=TODAY - timedelta(days=1), addressee="Mme Martin")
    await order(office, "item/A", addressee="Mme Martin")
    await signed(office, "RK1", run=before, identity={"document_kind": "passport"})
    assert await known(office) == {"item/A": None}  # a substitute walks today
    await import_roster(
        office.database,
        ["date,round_id,carrier\n", *(f"{TODAY - timedelta(days=back)},T01,Léo\n" for back in range(2, 9))],
    )
    assert await known(office) == {"item/A": False}  # by now Léo knows the round, and never saw her document
    await signed(office, "RK1", run=RUN, identity={"document_kind": "passport"}, to="neighbour")
    assert await known(office) == {"item/A": False}


async def test_a_delivery_that_is_corrected_teaches_nothing(office: Office) -> None:
    await walked(office, "Zoé")
    await order(office, "item/RK1", addressee="Mme Martin")
    await signed(office, "RK1", run=RUN, identity={"document_kind": "passport"})
    assert await office.value("select identity_run from task") == RUN
    plan = {"task_id": "tsk_1", "service": "item", "subject": "item/RK1", "on": str(TODAY)}
    ordered = Fact("2026-11-21T07:00:00.000Z", "a", "task.planned", plan)
    proof = {"identity": {"document_kind": "passport"}}
    deed = Fact("2026-11-21T08:00:00.000Z", "b", "item.delivered", {"to": "addressee", "proof": proof}, run=RUN)
    writes = tasks.writes([ordered, deed], [ordered], deed, subject="item/RK1", closing={"item.delivered"})
    assert ("sheet.set_identity", ("tsk_1", None, None)) in [(each.query, each.args) for each in writes]


async def test_a_new_round_is_known_by_the_carrier_of_the_device_that_is_its_own(office: Office) -> None:
    device, _ = await office.device("Zoé", site=office.town.rounds[0].site, round_id="T01")
    await office.runs.current_run(device)
    await order(office, "item/A", addressee="Mme Martin")
    assert await known(office, "Zoé") == {"item/A": False}
    assert await known(office, "Léo") == {"item/A": None}


async def test_mandates_are_those_in_force_today_and_forms_come_once_with_their_version(office: Office) -> None:
    await walked(office, "Zoé")
    mandates = [
        {"name": "Jean Martin", "until": str(TODAY)},
        {"name": "Ana", "from": str(TODAY + timedelta(days=1))},
        {"name": "Léa", "until": f"{TODAY - timedelta(days=1)}T10:00:00Z"},
        {"name": "Ida", "until": "one day"},
        "Paul",
    ]
    form = {"id": "wellbeing", "version": 3, "questions": {"feels_well": "boolean"}}
    await order(office, "item/A", mandates=mandates)
    for number in (1, 2):
        visit = {"service": "home_visit", "form": form, "stop": 4 + number}
        await order(office, f"visit/V-{number}", **visit)
    found = await sheet(office)
    assert [each["mandate"]["name"] for each in found["mandates"]] == ["Jean Martin", "Paul"]
    assert found["mandates"][0]["stop_id"] == found["stops"][3]["stop_id"]
    assert found["forms"] == {"wellbeing@3": form}
    assert tasks_of(found)["visit/V-1"]["form"] == "wellbeing@3"
    assert tasks_of(found)["item/A"]["form"] is None


async def test_a_code_of_the_door_is_checked_offline_and_never_shown(office: Office) -> None:
    import hashlib

    await walked(office, "Zoé")
    await order(office, "pouch/P-1", service="medication", details={"code": "4711", "floor": 2})
    await order(office, "letter/L-1", service="letter_code", stop=4, details={"code": "7K2M-9QX4"})
    found = await sheet(office)
    details = tasks_of(found)["pouch/P-1"]["details"]
    code = details["code"]
    salt = bytes.fromhex(code["salt"])
    assert hashlib.pbkdf2_hmac("sha256", b"4711", salt, CODE_ROUNDS).hex() == code["hash"]
    assert (code["iterations"], code["tries"], details["floor"]) == (CODE_ROUNDS, 3, 2)
    assert tasks_of(found)["letter/L-1"]["details"] == {}
    text = orjson.dumps(found).decode()
    assert "4711" not in text.replace(code["hash"], "").replace(code["salt"], "")
    assert "9QX4" not in text
    assert found == await sheet(office)


async def test_a_phone_gets_what_differs_from_a_version_that_is_still_known(office: Office, client: TestClient) -> None:
    await walked(office, "Zoé")
    _, headers = await office.device("Zoé", site=office.town.rounds[0].site)
    path = f"/v1/runs/{RUN}/sheet"

    async def get(since: object = "") -> Any:
        return await (await client.get(f"{path}?since={since}", headers=headers)).json()

    phone = await get()
    assert "delta" not in phone

    async def change(number: int) -> None:
        if number % 3 == 0:
            await order(office, f"item/RK{number}", stop=number)
        elif number % 3 == 1:
            await write_note(office, "hours", f"{number} h", "Zoé", stop=number)
        else:
            await report_hazard(office, f"hz-{number}", stop=number)
            await send(office, "hazard.confirmed", {"hazard_id": f"hz-{number}"}, actor=SUPERVISOR)

    for number in range(6):
        await change(number)
        delta = await get(phone["version"])
        assert (delta["delta"], delta["since"]) == (True, phone["version"])
        assert len(delta["stops"]) < 3
        phone = applied(phone, delta)
        assert phone == await get()
    await send(office, "run.started", {"run_id": RUN})
    delta = await get(phone["version"])
    assert (delta["stops"], delta["state"]) == ([], "started")
    for unknown in (0, "x", 10**9, "-1"):
        assert "delta" not in await get(unknown)


async def test_a_version_that_came_in_two_forms_is_not_known_any_more(office: Office) -> None:
    await walked(office, "Zoé")
    await order(office, "item/A", addressee="Mme Martin")
    run = await run_now(office)
    first = await office.sheets.since(run, None, carrier="Zoé")
    await office.sheets.since(run, None, carrier="Léo")
    await send(office, "run.started", {"run_id": RUN})
    assert "delta" not in await office.sheets.since(await run_now(office), first["version"], carrier="Zoé")


async def test_only_the_last_eight_versions_of_a_run_are_remembered(office: Office) -> None:
    await walked(office, "Zoé")
    versions = [(await office.sheets.since(await run_now(office), None))["version"]]
    for number in range(10):
        await write_note(office, "dog", f"{number}", "Zoé")
        versions.append((await office.sheets.since(await run_now(office), None))["version"])
    kept = await office.fetch("select version from sheet_shown order by version")
    assert [row["version"] for row in kept] == versions[-8:]
