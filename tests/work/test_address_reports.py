"""`/v1/address-changes`: who judges sees before and after; one word moves the point or puts it back."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access.callers import Access
from fieldsvc.settings import Settings
from fieldsvc.web import address_changes, rights
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.work.address_reports import AddressReports
from fieldsvc.work.imports import create_site
from handlers.fields import parse_time
from tests.access.conftest import problems
from tests.work.conftest import Office
from tests.work.test_address_moves import between, order_of, reported
from tests.work.test_tasks_routes import person

URL = "/v1/address-changes"


@pytest.fixture
async def client(office: Office) -> AsyncIterator[TestClient]:
    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = Access(office.database, Settings())
    app[address_changes.REPORTS] = AddressReports(office.database, office.commands, office.opener, office.rounds)
    app.add_routes(address_changes.routes)
    rights.bind(app, complete=False)
    async with TestClient(TestServer(app)) as opened:
        yield opened


async def waiting(office: Office, **more: Any) -> tuple[str, str]:
    """Report a change that waits for a person: its point, and its id."""
    point = office.town.rounds[0].stops[3].point.id
    place = {**between(office, 1, 4), "ambiguous": True}
    data = {"addressee": "Mme CANARI", "new_address": "12 avenue CANARI", "note": "CANARI", **more}
    return point, await reported(office, point, place, **data)


async def listed(client: TestClient, headers: dict[str, str], **query: str) -> list[dict[str, Any]]:
    answer = await client.get(URL, params=query, headers=headers)
    assert answer.status == 200
    found: list[dict[str, Any]] = (await answer.json())["address_changes"]
    return found


async def test_a_report_is_listed_with_before_and_after_and_confirmed_with_one_word(
    office: Office, client: TestClient
) -> None:
    point, report_id = await waiting(office)
    judge = await person(office, "address_quality")
    (shown,) = await listed(client, judge, state="review")
    assert (shown["report_id"], shown["state"], shown["confidence"]) == (report_id, "review", "seen")
    assert (shown["decided_by"], shown["decided_at"]) == (None, None)
    assert shown["before"]["round_id"] == office.town.rounds[0].round_id
    assert shown["after"]["address"] == "12 avenue CANARI"
    assert shown["after"]["placement"]["round_id"] == office.town.rounds[1].round_id
    row = await office.value("select address_report::text from address_report")
    assert "CANARI" not in str(row)
    answer = await client.post(f"{URL}/{report_id}/confirm", json={}, headers=judge)
    told = await answer.json()
    assert (answer.status, told["state"], told["placed"]) == (200, "confirmed", True)
    assert told["decided_by"] == "address_quality@x.fr"
    confirmed_at = parse_time(told["decided_at"])
    assert abs((datetime.now(UTC) - confirmed_at).total_seconds()) < 60
    assert (await order_of(office, office.town.rounds[1].round_id))[5] == point
    assert await listed(client, judge, state="review") == []
    answer = await client.post(f"{URL}/{report_id}/reject", json={"reason": "she is still here"}, headers=judge)
    told = await answer.json()
    assert (answer.status, told["state"], told["decided_by"]) == (200, "rejected", "address_quality@x.fr")
    assert parse_time(told["decided_at"]) > confirmed_at
    (shown,) = await listed(client, judge, state="rejected")
    assert (shown["decided_by"], shown["decided_at"]) == (told["decided_by"], told["decided_at"])
    assert point in await order_of(office, office.town.rounds[0].round_id)


async def test_a_person_may_say_where_but_only_between_stops_that_there_are(office: Office, client: TestClient) -> None:
    await office.fetch("update round set site = $1, version = version + 1", office.town.rounds[0].site)
    point, report_id = await waiting(office)
    judge = await person(office, "operator")
    third = office.town.rounds[2]
    place = {"round_id": third.round_id, "after_stop_id": third.stops[7].stop_id, "lat": 46.5, "lon": 1.5}
    for wrong in ({**place, "round_id": "none"}, {**place, "after_stop_id": "none"}, {**place, "lat": 91}, {"x": 1}):
        answer = await client.post(f"{URL}/{report_id}/confirm", json={"place": wrong}, headers=judge)
        assert (answer.status, (await answer.json())["code"]) == (422, "bad_judgement")
    answer = await client.post(f"{URL}/{report_id}/confirm", json={"place": place}, headers=judge)
    assert answer.status == 200
    assert (await order_of(office, third.round_id))[8] == point


async def test_a_proposal_between_stops_that_are_gone_asks_for_a_place(office: Office, client: TestClient) -> None:
    _, report_id = await waiting(office)
    gone = office.town.rounds[1].stops[4].stop_id
    await office.fetch("delete from stop where round_id = $1 and stop_id = $2", office.town.rounds[1].round_id, gone)
    await office.fetch("update round set version = version + 1")
    judge = await person(office, "operator")
    answer = await client.post(f"{URL}/{report_id}/confirm", json={}, headers=judge)
    assert (answer.status, (await answer.json())["code"]) == (409, "place_needed")


async def test_who_looked_before_another_decided_is_told_and_changes_nothing(
    office: Office, client: TestClient
) -> None:
    _, report_id = await waiting(office)
    judge = await person(office, "operator")
    first = await client.post(f"{URL}/{report_id}/reject", json={"seen_as": "review"}, headers=judge)
    assert (first.status, (await first.json())["state"]) == (200, "rejected")
    second = await client.post(f"{URL}/{report_id}/confirm", json={"seen_as": "review"}, headers=judge)
    assert (second.status, (await second.json())["code"]) == (409, "decided_meanwhile")
    again = await client.post(f"{URL}/{report_id}/confirm", json={"seen_as": "rejected"}, headers=judge)
    assert (again.status, (await again.json())["state"]) == (200, "confirmed")


async def test_reports_are_seen_and_judged_at_their_own_site_only(office: Office, client: TestClient) -> None:
    _, report_id = await waiting(office)
    await create_site(office.database, "elsewhere")
    own = await person(office, "supervisor", office.town.rounds[0].site)
    other = await person(office, "address_quality", "elsewhere")
    adviser = await person(office, "adviser")
    assert len(await listed(client, own)) == 1
    assert await listed(client, other) == []
    for headers, name in ((other, report_id), (adviser, report_id), (own, str(uuid4())), (own, "not-an-id")):
        answer = await client.post(f"{URL}/{name}/confirm", json={}, headers=headers)
        assert (answer.status, (await answer.json())["code"]) == (404, "not_found")
    assert (await client.get(URL, params={"state": "lost"}, headers=own)).status == 400
    assert (await client.get(URL, params={"cursor": "!"}, headers=own)).status == 400


async def test_reports_page_from_the_oldest_on(office: Office, client: TestClient) -> None:
    made = [(await waiting(office))[1] for _ in range(3)]
    judge = await person(office, "operator")
    first = await (await client.get(URL, params={"limit": "2"}, headers=judge)).json()
    rest = await (await client.get(URL, params={"limit": "2", "cursor": first["cursor"]}, headers=judge)).json()
    assert [each["report_id"] for each in first["address_changes"] + rest["address_changes"]] == made
    assert "cursor" not in rest
