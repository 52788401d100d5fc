"""`/v1/tasks`: who may order, read, change and cancel what, and that asking twice orders once."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
from aiohttp.test_utils import TestClient

from fieldsvc.access import accounts
from fieldsvc.journal.upkeep import make_partitions
from fieldsvc.store.database import Database
from fieldsvc.web.auth import CSRF_HEADER
from tests.work.conftest import BASE, NOW, TODAY, Office, in_hours

UNTOLD = {"address", "addressee", "mandates", "contacts", "notes", "details", "run_id"}


def order(office: Office, **more: Any) -> dict[str, Any]:
    point = office.town.rounds[0].stops[3].point.id
    body = {
        "service": "item",
        "subject": "item/RK1",
        "delivery_point": point,
        "on": str(TODAY),
        "addressee": "Mme Martin",
    }
    return {name: value for name, value in {**body, **more}.items() if value is not None}


async def person(office: Office, role: str, site: str | None = None) -> dict[str, str]:
    made = await accounts.create_person(office.database, BASE, role, email=f"{role}@x.fr", site=site)
    session = await accounts.sign_in(office.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=False)
    assert session is not None
    from fieldsvc.access.tokens import csrf_of

    return {"Cookie": f"fieldsvc_session={session}", CSRF_HEADER: csrf_of(session)}


async def test_an_order_is_planned_and_read_back_by_who_ordered_it(office: Office, client: TestClient) -> None:
    account, headers = await office.subscriber("order:item")
    window = {"from": in_hours(1), "until": in_hours(2)}
    answer = await client.post(
        "/v1/tasks", json=order(office, window=window, notes="Sonner", order_ref="A1"), headers=headers
    )
    made = await answer.json()
    assert answer.status == 201
    assert answer.headers["Location"] == f"/v1/tasks/{made['task_id']}"
    assert made["warnings"] == []
    assert not made.keys() & UNTOLD
    assert (made["state"], made["placed"], made["seen"], made["order_ref"]) == ("planned", True, False, "A1")
    found = await (await client.get(f"/v1/tasks/{made['task_id']}", headers=headers)).json()
    assert (found["addressee"], found["notes"]) == ("Mme Martin", "Sonner")
    assert found["window"] == {end: text.replace("Z", ".000Z") for end, text in window.items()}
    row = (await office.fetch("select account, event from task"))[0]
    assert row["account"] == account
    assert await office.value("select id from event where kind = 'field'") == row["event"]
    assert await office.value("select account from subject_head where subject = 'item/RK1'") == account


async def test_nothing_personal_of_an_order_is_in_the_database_in_clear(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    body = order(
        office, addressee="Mme CANARI", notes="CANARI au fond", contacts=[{"name": "CANARI"}], details={"x": "CANARI"}
    )
    assert (await client.post("/v1/tasks", json=body, headers={**headers, "Idempotency-Key": "k"})).status == 201
    assert await _dump_has(office.database, b"RK1")
    assert not await _dump_has(office.database, b"CANARI")


async def _dump_has(database: Database, wanted: bytes) -> bool:
    async with database.acquire() as connection:
        names = await connection.fetch("select tablename from pg_tables where schemaname = 'public'")
        for row in names:
            lines = await connection.fetch(f"select {row['tablename']}::text as line from {row['tablename']}")
            if any(wanted in line["line"].encode() or wanted.hex() in line["line"] for line in lines):
                return True
    return False


async def test_the_same_key_and_body_get_the_same_answer_and_one_task(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    headers = {**headers, "Idempotency-Key": "order-17"}
    body = order(office)
    first = await client.post("/v1/tasks", json=body, headers=headers)
    text = await first.read()
    turned = dict(reversed(body.items()))
    again = await client.post("/v1/tasks", json=turned, headers=headers)
    assert (again.status, await again.read(), again.headers["Location"]) == (201, text, first.headers["Location"])
    other = await client.post("/v1/tasks", json=order(office, subject="item/RK2"), headers=headers)
    assert (other.status, (await other.json())["code"]) == (422, "idempotency_key_reused")
    assert await office.value("select count(*) from task") == 1
    _, stranger = await office.subscriber("order:item")
    theirs = await client.post(
        "/v1/tasks", json=order(office, subject="item/RK3"), headers={**stranger, "Idempotency-Key": "order-17"}
    )
    assert theirs.status == 201
    async with office.database.acquire() as connection:
        await connection.execute("update idempotency set at = at - interval '24 hours 1 second'")
    late = await client.post(
        "/v1/tasks", json=order(office, subject="item/RK4"), headers={**headers, "Idempotency-Key": "order-17"}
    )
    assert late.status == 201
    async with office.database.acquire() as connection:
        await make_partitions(connection, datetime.now(UTC))
    assert await office.value("select count(*) from idempotency") == 1


async def test_many_requests_at_once_with_one_key_order_once(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    headers = {**headers, "Idempotency-Key": "k"}
    answers = await asyncio.gather(*(client.post("/v1/tasks", json=order(office), headers=headers) for _ in range(8)))
    statuses = {answer.status for answer in answers}
    assert 201 in statuses
    assert statuses <= {201, 409}
    assert await office.value("select count(*) from event where kind = 'field'") == 1


async def test_a_request_that_died_half_way_can_be_sent_again_and_orders_once(
    office: Office, client: TestClient
) -> None:
    _, headers = await office.subscriber("order:item")
    headers = {**headers, "Idempotency-Key": "k"}
    await client.post("/v1/tasks", json=order(office), headers=headers)
    async with office.database.acquire() as connection:
        await connection.execute("update idempotency set status = null, answer = null")
    busy = await client.post("/v1/tasks", json=order(office), headers=headers)
    assert (busy.status, (await busy.json())["code"], busy.headers["Retry-After"]) == (
        409,
        "idempotency_key_in_use",
        "1",
    )
    async with office.database.acquire() as connection:
        await connection.execute("update idempotency set at = at - interval '61 seconds'")
    again = await client.post("/v1/tasks", json=order(office), headers=headers)
    assert again.status == 201
    assert await office.value("select count(*) from event where kind = 'field'") == 1


async def test_a_refused_request_gives_its_key_back(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    headers = {**headers, "Idempotency-Key": "k"}
    assert (await client.post("/v1/tasks", json=order(office, subject=None), headers=headers)).status == 422
    assert (await client.post("/v1/tasks", json=order(office), headers=headers)).status == 201
    for wrong in ("", "x" * 256):
        answer = await client.post("/v1/tasks", json=order(office), headers={**headers, "Idempotency-Key": wrong})
        assert (answer.status, (await answer.json())["code"]) == (422, "bad_idempotency_key")


@pytest.mark.parametrize(
    ("more", "status", "code"),
    [
        ({"service": "nothing"}, 422, "unknown_service"),
        ({"service": "home_visit", "subject": None}, 403, "forbidden"),
        ({"subject": None}, 422, "subject_required"),
        ({"subject": "pouch/1"}, 422, "bad_task"),
        ({"subject": "item/a b"}, 422, "bad_task"),
        ({"subject": "item/RK1\n"}, 422, "bad_task"),
        ({"delivery_point": None}, 422, "place_required"),
        ({"account": "acc_1"}, 422, "bad_task"),
        ({"task_id": "tsk_1"}, 422, "bad_task"),
        ({"state": "done"}, 422, "bad_task"),
        ({"on": "21/11/2026"}, 422, "bad_task"),
        ({"on": 20261121}, 422, "bad_task"),
        ({"notes": "x" * 281}, 422, "bad_task"),
        ({"notes": "a\0b"}, 422, "invalid"),
        ({"requirements": ["x"] * 51}, 422, "bad_task"),
        ({"window": {"from": "2026-11-21T10:00:00Z", "until": "2026-11-21T09:00:00Z"}}, 422, "bad_task"),
        ({"window": {"from": "2026-11-21T10:00:00", "until": "2026-11-21T11:00:00"}}, 422, "bad_task"),
        ({"window": {"from": "2026-11-21T10:00:00Z"}}, 422, "bad_task"),
    ],
)
async def test_an_order_that_is_wrong_is_refused_with_its_code_and_no_value(
    office: Office, client: TestClient, more: dict[str, Any], status: int, code: str
) -> None:
    _, headers = await office.subscriber("order:item")
    sent = order(office) | more
    body = {name: value for name, value in sent.items() if value is not None}
    answer = await client.post("/v1/tasks", json=body, headers=headers)
    text = await answer.text()
    assert (answer.status, orjson.loads(text)["code"]) == (status, code)
    assert "Martin" not in text
    assert await office.value("select count(*) from event") == 0


async def test_bodies_that_are_no_json_object_are_refused(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    for data, kind, status in (
        (b"{", "application/json", 400), (b"[]", "application/json", 400), (b'{"a":NaN}', "application/json", 400),
        (b"{}", "text/plain", 415), (b"\xff", "application/json", 400), (b"{}", "application/json", 422),
    ):  # fmt: skip
        answer = await client.post("/v1/tasks", data=data, headers={**headers, "Content-Type": kind})
        assert answer.status == status


async def test_the_server_issues_ids_of_pouches_and_visits(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:medication", "order:home_visit")
    for service, kind in (("medication", "pouch/P-"), ("home_visit", "visit/V-")):
        subjects = set()
        for _ in range(2):
            answer = await client.post("/v1/tasks", json=order(office, service=service, subject=None), headers=headers)
            assert answer.status == 201, await answer.text()
            subjects.add((await answer.json())["subject"])
        assert len(subjects) == 2
        assert all(subject.startswith(kind) for subject in subjects)


async def test_a_subject_of_another_account_is_taken(office: Office, client: TestClient) -> None:
    _, one = await office.subscriber("order:item")
    _, two = await office.subscriber("order:item")
    assert (await client.post("/v1/tasks", json=order(office), headers=one)).status == 201
    answer = await client.post("/v1/tasks", json=order(office), headers=two)
    assert (answer.status, (await answer.json())["code"]) == (409, "subject_taken")


async def test_what_is_not_yours_is_not_found(office: Office, client: TestClient) -> None:
    _, owner = await office.subscriber("order:item")
    _, stranger = await office.subscriber("order:item", "operator", "health")
    site = office.town.rounds[0].site
    people = [await person(office, "supervisor", site), await person(office, "adviser")]
    made = await (await client.post("/v1/tasks", json=order(office), headers=owner)).json()
    path = f"/v1/tasks/{made['task_id']}"
    for headers in (stranger, *people):
        for answer in (
            await client.get(path, headers=headers),
            await client.patch(path, json={"notes": "x"}, headers=headers),
            await client.delete(path, headers=headers),
        ):
            assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    assert (await client.get("/v1/tasks/none", headers=owner)).status == 404
    assert (await client.get(path)).status == 401
    assert (await client.get(path, headers={"Authorization": "Bearer fsk_x"})).status == 401
    _, device = await office.device("Zoé", site=site)
    assert (await client.get(path, headers=device)).status == 401


async def test_members_of_a_task_are_changed_and_removed_until_it_is_seen(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    body = order(office, notes="Sonner", details={"floor": 3}, order_ref="A1")
    made = await (await client.post("/v1/tasks", json=body, headers=headers)).json()
    path = f"/v1/tasks/{made['task_id']}"
    answer = await client.patch(path, json={"notes": None, "addressee": "M. Autre", "order_ref": "A2"}, headers=headers)
    changed = await answer.json()
    assert answer.status == 200
    assert "notes" not in changed
    assert (changed["addressee"], changed["order_ref"], changed["details"]) == ("M. Autre", "A2", {"floor": 3})
    assert changed["task_id"] == made["task_id"]
    moved = office.town.rounds[1].stops[0].point.id
    assert (await client.patch(path, json={"delivery_point": moved}, headers=headers)).status == 200
    assert await office.value("select round_id from task") == "T02"
    for wrong in ({"subject": "item/RK2"}, {"service": "pet"}, {"state": "done"}, {"delivery_point": None}):
        assert (await client.patch(path, json=wrong, headers=headers)).status == 422
    async with office.database.acquire() as connection:
        await connection.execute("update task set seen_at = $1", NOW)
    for late in (
        await client.patch(path, json={"notes": "x"}, headers=headers),
        await client.delete(path, headers=headers),
    ):
        assert (late.status, (await late.json())["code"]) == (409, "task_seen")


async def test_a_cancelled_task_leaves_the_sheet_and_stays_readable(office: Office, client: TestClient) -> None:
    _, headers = await office.subscriber("order:item")
    made = await (await client.post("/v1/tasks", json=order(office), headers=headers)).json()
    path = f"/v1/tasks/{made['task_id']}"
    for _ in range(2):
        answer = await client.delete(path, headers=headers)
        assert (answer.status, await answer.read()) == (204, b"")
    assert (await (await client.get(path, headers=headers)).json())["state"] == "cancelled"
    late = await client.patch(path, json={"notes": "x"}, headers=headers)
    assert (late.status, (await late.json())["code"]) == (409, "task_closed")
    assert await office.said("item/RK1") == ["task.planned", "task.cancelled"]


async def test_an_unknown_delivery_point_is_taken_with_a_warning_and_placed_when_it_is_imported(
    office: Office, client: TestClient, tmp_path: Any
) -> None:
    from fieldsvc.work.imports import import_rounds
    from tests.work.conftest import PARIS, saved

    _, headers = await office.subscriber("order:item")
    made = await (await client.post("/v1/tasks", json=order(office, delivery_point="dp-new"), headers=headers)).json()
    assert (made["warnings"], made["placed"]) == (["unknown_delivery_point"], False)
    text = "round_id,site,mode,sequence,stop_id,delivery_point_id,lat,lon,address\nN1,nord,bike,1,s1,dp-new,48.9,2.40,1 rue A\n"
    await import_rounds(office.database, saved(tmp_path, text), zone=PARIS)
    assert (await (await client.get(f"/v1/tasks/{made['task_id']}", headers=headers)).json())["placed"] is True


async def test_an_order_by_address_is_placed_at_its_delivery_point_or_says_that_it_is_not(
    office: Office, client: TestClient
) -> None:
    _, headers = await office.subscriber("order:item")
    point = office.town.rounds[0].stops[3].point
    body = order(office, delivery_point=None, address=point.address)
    made = await (await client.post("/v1/tasks", json=body, headers=headers)).json()
    assert (made["delivery_point"], made["placed"], made["warnings"]) == (point.id, True, [])
    lost = order(office, subject="item/RK2", delivery_point=None, address="3 rue de Nulle Part, 75001 Paris")
    made = await (await client.post("/v1/tasks", json=lost, headers=headers)).json()
    assert (made["delivery_point"], made["placed"], made["warnings"]) == (None, False, ["address_not_placed"])


async def test_a_supervisor_orders_for_the_own_site_and_an_adviser_anywhere(office: Office, client: TestClient) -> None:
    first, other = (
        office.town.rounds[0],
        next(each for each in office.town.rounds if each.site != office.town.rounds[0].site),
    )
    supervisor, adviser = await person(office, "supervisor", first.site), await person(office, "adviser")
    made = await (await client.post("/v1/tasks", json=order(office), headers=supervisor)).json()
    assert made["run_id"] == f"run-{TODAY}-T01"
    away = order(office, subject="item/RK2", delivery_point=other.stops[0].point.id)
    assert (await client.post("/v1/tasks", json=away, headers=supervisor)).status == 422
    theirs = await (await client.post("/v1/tasks", json=away, headers=adviser)).json()
    assert (await client.get(f"/v1/tasks/{theirs['task_id']}", headers=adviser)).status == 200
    assert (await client.get(f"/v1/tasks/{theirs['task_id']}", headers=supervisor)).status == 404
    without = {name: value for name, value in adviser.items() if name != CSRF_HEADER}
    refused = await client.post("/v1/tasks", json=away, headers=without)
    assert (refused.status, (await refused.json())["code"]) == (403, "csrf")
    counter = await person(office, "counter", first.site)
    assert (await client.post("/v1/tasks", json=away, headers=counter)).status == 404
