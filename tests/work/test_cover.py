"""`/v1/cover/proposals`: a proposal says who does what, its confirmation moves it, and one that no longer fits is refused."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from fieldsvc.access.callers import Access
from fieldsvc.journal.timers import Timers
from fieldsvc.settings import Settings
from fieldsvc.store import roster
from fieldsvc.store.roster import RosterRow
from fieldsvc.web import cover, rights
from fieldsvc.web.auth import ACCESS, admitted
from fieldsvc.work.cover import Cover
from fieldsvc.work.imports import create_site
from fieldsvc.work.task_body import TaskBody
from fieldsvc.work.tasks import Orderer
from handlers.story import Actor
from tests.access.conftest import problems
from tests.work.conftest import PARIS, TODAY, Office
from tests.work.test_tasks_routes import person

DAY = TODAY + timedelta(days=1)
NAMES = (None, "Zoé", "Max")
ASK = {"day": str(DAY)}


@pytest.fixture
async def site(office: Office) -> str:
    """Plan tomorrow: the first round has nobody; a pouch, a visit and an item wait on it."""
    plans = office.town.rounds
    await office.fetch("update round set site = $1, version = version + 1", plans[0].site)
    await create_site(office.database, "elsewhere")
    rows = [RosterRow(DAY, plan.round_id, name, ("pouches", "visits")) for plan, name in zip(plans, NAMES, strict=True)]
    await roster.put(office.database, rows)
    at = f"{DAY}T%s:00Z"
    orders = (
        ("medication", None, 5, ("09:00", "11:00")),
        ("home_visit", None, 8, ("09:00", "12:00")),
        ("item", "item/RK1", 20, None),
    )
    for service, subject, stop, hours in orders:
        window = {"from": at % hours[0], "until": at % hours[1]} if hours else None
        body = {
            "service": service,
            "subject": subject,
            "delivery_point": plans[0].stops[stop].point.id,
            "on": str(DAY),
            "addressee": "Mme Martin",
            "window": window,
        }
        clean = TaskBody.model_validate({name: value for name, value in body.items() if value is not None})
        await office.tasks.create(clean, Orderer(Actor("operator")))
    await office.runs.plan_day(DAY)
    return plans[0].site


@pytest.fixture
async def client(office: Office, site: str) -> AsyncIterator[TestClient]:
    del site
    app = web.Application(middlewares=[problems, admitted])
    app[ACCESS] = Access(office.database, Settings())
    app[cover.COVER] = Cover(office.database, office.commands, office.rounds, office.runs, PARIS, limit_s=1.0)
    app.add_routes(cover.routes)
    rights.bind(app, complete=False)
    async with TestClient(TestServer(app)) as opened:
        yield opened


def run_of(office: Office, number: int) -> str:
    return f"run-{DAY}-{office.town.rounds[number].round_id}"


async def proposed(client: TestClient, headers: dict[str, str], **more: Any) -> dict[str, Any]:
    answer = await client.post("/v1/cover/proposals", json={**ASK, **more}, headers=headers)
    assert answer.status == 200, await answer.text()
    found: dict[str, Any] = await answer.json()
    return found


async def confirmed(client: TestClient, headers: dict[str, str], proposal_id: str) -> tuple[int, dict[str, Any]]:
    answer = await client.post(f"/v1/cover/proposals/{proposal_id}/confirm", json={}, headers=headers)
    return answer.status, await answer.json()


async def test_a_confirmed_proposal_moves_every_stop_and_covers_the_run(
    office: Office, client: TestClient, site: str
) -> None:
    headers = await person(office, "supervisor", site)
    found = await proposed(client, headers)
    assert found["method"] in ("optimal", "time_limit", "greedy")
    assert found["undone"] == []
    stops = sorted(stop for piece in found["pieces"] for stop in piece["stop_ids"])
    assert stops == sorted(each.stop_id for each in office.town.rounds[0].stops)
    assert {piece["carrier"] for piece in found["pieces"]} <= {"Zoé", "Max"}
    critical = [each for piece in found["pieces"] for each in piece["critical"]]
    assert [each["in_time"] for each in critical] == [True, True]
    assert {each.get("carrier") for each in critical} == {None, "substitute"}
    kept = await office.value("select body::text || marks::text from cover_proposal")
    assert "Zoé" not in str(kept)
    assert "Max" not in str(kept)
    status, told = await confirmed(client, headers, found["proposal_id"])
    assert (status, told["covered"], told["not_served"]) == (200, [run_of(office, 0)], [])
    assert await office.value("select count(*) from task where round_id = $1", office.town.rounds[0].round_id) == 0
    assert await office.value("select count(*) from stop_move where day = $1", DAY) == len(stops)
    waiting = await office.fetch(
        "select payload from timer where kind = 'command' and subject = $1", f"run/{run_of(office, 0)}"
    )
    assert "run.covered" in waiting[0]["payload"]
    assert await office.value("select risk from run where id = $1", run_of(office, 0)) == "uncovered"
    face = await office.fetch("select handler, payload from timer where kind = 'face'")
    assert [(row["handler"], '"substitute"' in row["payload"]) for row in face] == [("home_visit", True)]
    assert (await confirmed(client, headers, found["proposal_id"]))[1]["code"] == "proposal_confirmed"
    assert await Timers(office.database, office.commands).fire(datetime.now(UTC) + timedelta(minutes=1))
    assert (await office.said(f"run/{run_of(office, 0)}"))[-1] == "run.covered"
    assert await office.value("select risk from run where id = $1", run_of(office, 0)) is None
    told_face = await office.value("select count(*) from event where type = 'home_visit.visitor_changed'")
    assert told_face == 1
    commits = await office.fetch("select distinct xmin::text from event where type in ('run.split', 'cover.confirmed')")
    assert len(commits) == 1


async def test_what_nobody_has_time_for_is_said_and_told_as_not_served(
    office: Office, client: TestClient, site: str
) -> None:
    headers = await person(office, "supervisor", site)
    found = await proposed(client, headers, working_time_h=1.0)
    left = [line for line in found["undone"] if line["reason"] == "no_time_left"]
    assert left
    assert sum(len(line["windows"]) for line in found["undone"]) + sum(len(p["critical"]) for p in found["pieces"]) >= 2
    status, told = await confirmed(client, headers, found["proposal_id"])
    assert (status, told["covered"], told["not_served"]) == (200, [], [run_of(office, 0)])


async def test_a_proposal_that_no_longer_fits_says_what_changed(office: Office, client: TestClient, site: str) -> None:
    headers = await person(office, "supervisor", site)
    found = await proposed(client, headers)
    await roster.put(office.database, [RosterRow(DAY, office.town.rounds[0].round_id, "Lou")])
    await office.runs.plan_day(DAY)
    status, problem = await confirmed(client, headers, found["proposal_id"])
    assert (status, problem["code"]) == (409, "proposal_stale")
    assert {"run_id": run_of(office, 0), "what": "covered"} in problem["changed"]
    answer = await client.post("/v1/cover/proposals", json=ASK, headers=headers)
    assert (answer.status, (await answer.json())["code"]) == (409, "nothing_uncovered")


async def test_who_will_be_absent_is_covered_too_and_noted_with_the_confirmation(
    office: Office, client: TestClient, site: str
) -> None:
    headers = await person(office, "supervisor", site)
    found = await proposed(client, headers, absent=["Zoé"], working_time_h=12.0)
    assert {piece["run_id"] for piece in found["pieces"]} == {run_of(office, 0), run_of(office, 1)}
    assert {piece["to_run"] for piece in found["pieces"]} == {run_of(office, 2)}
    status, _ = await confirmed(client, headers, found["proposal_id"])
    assert status == 200
    assert await office.value("select carrier from absence where day = $1", DAY) == "Zoé"


async def test_only_the_own_site_and_only_a_day_to_come(office: Office, client: TestClient, site: str) -> None:
    stranger = await person(office, "supervisor", "elsewhere")
    own = await person(office, "operator")
    for body, headers, status in (
        ({**ASK, "site": site}, stranger, 404),
        (ASK, own, 400),
        ({**ASK, "site": "nowhere"}, own, 404),
        ({"day": str(TODAY - timedelta(days=1)), "site": site}, own, 422),
        ({**ASK, "working_time_h": 30}, own, 422),
        ({**ASK, "surprise": 1}, own, 422),
    ):
        answer = await client.post("/v1/cover/proposals", json=body, headers=headers)
        assert answer.status == status, (body, await answer.text())
    found = await proposed(client, own, site=site)
    assert (await confirmed(client, stranger, found["proposal_id"]))[0] == 404
    assert (await confirmed(client, own, "cov_unknown"))[0] == 404
