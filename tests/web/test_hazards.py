"""Hazards, refused access and the notebook through the API: from one phone to a supervisor, and to another phone's sheet."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from handlers.fields import format_time
from tests.acceptance.service import BATCH, Answer, Caller, Service, field_event, fresh
from tests.databases import drop_database, new_database


@dataclass
class Site:
    """A service with a town of two rounds, people of two sites, and a phone on each round."""

    service: Service
    town: Town
    day: date
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    phones: list[Caller] = field(default_factory=list)

    def ask(self, who: str, path: str) -> Answer:
        return self.service.ask("GET", path, headers=self.people.get(who, {}))

    def say(self, who: str, name: str, data: dict[str, Any]) -> dict[str, Any]:
        headers = {**self.people[who], "Content-Type": BATCH}
        answer = self.service.ask("POST", "/v1/events", orjson.dumps([field_event(name, data)]), headers=headers)
        result: dict[str, Any] = answer.json()["results"][0]
        return result

    def write(self, text: str, *args: Any) -> None:
        async def run() -> None:
            async with self.service.platform.database.acquire() as connection:
                await connection.execute(text, *args)

        self.service.call(run())

    def sheet(self, number: int = 0, since: object = "") -> dict[str, Any]:
        run_id = f"run-{self.day}-{self.town.rounds[number].round_id}"
        found: dict[str, Any] = self.phones[number].ask("GET", f"/v1/runs/{run_id}/sheet?since={since}").json()
        return found

    def place(self, stop: int = 3) -> dict[str, float]:
        point = self.town.rounds[0].stops[stop].point
        return {"lat": point.lat, "lon": point.lon}


async def prepare(site: Site, folder: Path) -> None:
    platform, path = site.service.platform, folder / "rounds.geojson"
    database = platform.database
    path.write_text(site.town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(database, path, zone=platform.settings.zone)
    async with database.acquire() as connection:
        await connection.execute("insert into site (id, created_at) values ('site-a', now()), ('site-b', now())")
        await connection.execute("update round set site = 'site-a'")
    rows = [f"{site.day},{each.round_id},Camille {n}\n" for n, each in enumerate(site.town.rounds)]
    await imports.import_roster(database, ["date,round_id,carrier\n", *rows])
    await platform.runs.plan_day(site.day)
    for number, each in enumerate(site.town.rounds):
        made = await enrolment.enrol_device(
            database, site.service.url, carrier=f"Camille {number}", site="site-a", round_id=each.round_id
        )
        site.phones.append(Caller(site.service, made["device_id"], made["token"]))
    for name, role, at in (("a", "supervisor", "site-a"), ("b", "supervisor", "site-b"), ("adviser", "adviser", None)):
        person = await accounts.create_person(database, site.service.url, role, email=f"{name}@x.invalid", site=at)
        session = await accounts.sign_in(database, person["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        site.people[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, url = tmp_path_factory.mktemp("hazards"), new_database(postgres_url)
    service = Service(url, folder)
    made = Site(service, Town(3, rounds=2, stops=20), service.platform.runs.today())
    service.call(prepare(made, folder))
    yield made
    service.close()
    drop_database(postgres_url, url)


def report(site: Site, name: str, **more: Any) -> dict[str, Any]:
    until = format_time(datetime.now(UTC) + timedelta(hours=3))
    data = {"hazard_id": name, "kind": "ice", "point": site.place(), "radius_m": 40.0, "until": until, **more}
    return site.phones[0].send(field_event("hazard.reported", data))[0]


def test_a_supervisor_finds_what_a_phone_reported_confirms_it_and_every_phone_on_the_way_shows_it(site: Site) -> None:
    name, before = fresh("hz"), site.sheet()
    assert report(site, name, note="Plaque de verglas")["status"] == "accepted"
    (found,) = [each for each in site.ask("a", "/v1/hazards").json()["hazards"] if each["hazard_id"] == name]
    assert (found["state"], found["note"], found["point"]) == ("reported", "Plaque de verglas", site.place())
    assert name not in [each["hazard_id"] for each in site.ask("b", "/v1/hazards").json()["hazards"]]
    assert site.say("b", "hazard.confirmed", {"hazard_id": name})["reason"] == "not_allowed"
    assert site.phones[1].send(field_event("hazard.confirmed", {"hazard_id": name}))[0]["reason"] == "not_allowed"
    assert site.say("a", "hazard.confirmed", {"hazard_id": name})["status"] == "accepted"
    delta = site.sheet(since=before["version"])
    assert (delta["delta"], delta["stops"], [each["hazard_id"] for each in delta["hazards"]]) == (True, [], [name])
    assert site.say("a", "hazard.ended", {"hazard_id": name})["status"] == "accepted"
    assert site.sheet(since=delta["version"])["hazards"] == []
    assert name not in [each["hazard_id"] for each in site.ask("a", "/v1/hazards").json()["hazards"]]
    ended = {each["hazard_id"]: each for each in site.ask("a", "/v1/hazards?state=all").json()["hazards"]}[name]
    assert ended["state"] == "ended"


def test_hazards_and_cases_come_page_by_page(site: Site) -> None:
    names = {fresh("hz") for _ in range(3)}
    for name in names:
        report(site, name)
    for stop in range(8, 11):
        point = site.town.rounds[0].stops[stop].point.id
        site.phones[0].send(field_event("access.refused", {"delivery_point_id": point, "reason": "distance"}))
    for path, member, key in (
        ("/v1/hazards?limit=2", "hazards", "hazard_id"),
        ("/v1/access-cases?limit=2", "access_cases", "delivery_point_id"),
    ):
        seen, cursor = [], ""
        while True:
            page = site.ask("a", f"{path}&cursor={cursor}").json()
            seen += [each[key] for each in page[member]]
            cursor = page.get("cursor", "")
            if not cursor:
                break
        assert len(seen) == len(set(seen)) >= 3
        for wrong in ("cursor=AAAA", "cursor=%C3%A9", "state=none", "limit=0"):
            assert site.ask("a", f"{path.partition('?')[0]}?{wrong}").code == "bad_request"


def test_a_hazard_that_cannot_be_is_quarantined_with_its_reason(site: Site) -> None:
    for wrong in ({"radius_m": 0.0}, {"radius_m": 1e9}, {"point": {"lat": 91.0, "lon": 2.0}}, {"kind": "dragon"}):
        result = report(site, fresh("hz"), **wrong)
        assert (result["status"], result["reason"] in ("bad_payload", "out_of_range")) == ("quarantined", True)


def test_a_customers_word_and_a_carriers_make_one_case_that_a_person_closes(site: Site) -> None:
    point = site.town.rounds[0].stops[5].point.id
    refused = {"delivery_point_id": point, "reason": "closed_gate", "note": "Digicode changé"}
    (result,) = site.phones[0].send(field_event("access.refused", refused))
    answer = result["answer"]
    assert (answer["reason"], answer["mail_waits_at"]) == ("closed_gate", "site-a")
    asked = site.say("adviser", "access.questioned", {"delivery_point_id": point, "note": "Plus de courrier"})
    assert asked["answer"]["answer_due_at"] == answer["answer_due_at"]
    (case,) = [
        each for each in site.ask("a", "/v1/access-cases").json()["access_cases"] if each["delivery_point_id"] == point
    ]
    assert (case["state"], case["note"]) == ("open", "Digicode changé")
    site.write(
        "insert into delivery_point_memory values ($1, null, null, null, array[$2::date], $2::date)", point, site.day
    )
    (known,) = site.ask("a", "/v1/delivery-points").json()["delivery_points"]
    assert (known["delivery_point_id"], known["access_case"]) == (point, "open")
    decided = {"delivery_point_id": point, "decision": "served_again", "reason": "Nouveau code transmis"}
    assert site.say("b", "access.decided", decided)["reason"] == "not_allowed"
    assert site.say("a", "access.decided", decided)["status"] == "accepted"
    assert point not in str(site.ask("a", "/v1/access-cases").json())
    (told,) = [each for each in site.sheet()["instructions"] if each["delivery_point_id"] == point]
    assert (told["state"], told["decision"]) == ("decided", "served_again")


def test_a_note_of_the_notebook_reaches_the_sheet_of_its_round_and_no_other(site: Site) -> None:
    stop = site.town.rounds[0].stops[6]
    (result,) = site.phones[0].send(
        field_event("notebook.written", {"stop_id": stop.stop_id, "kind": "code", "text": "B1234"})
    )
    assert result["status"] == "accepted"
    assert [note["text"] for note in site.sheet()["stops"][6]["notebook"]] == ["B1234"]
    assert site.sheet()["stops"][6]["notebook"][0]["by"] == "regular"
    assert "B1234" not in str(site.sheet(1))
