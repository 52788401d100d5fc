"""A supervisor's morning over HTTP: the roster, a dead phone, part of a round for a colleague, and a load that changes hands."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from tests.acceptance.service import Answer, Caller, Service, ago, field_event, statuses
from tests.databases import drop_database, new_database

SITE = "site-pantin"


@dataclass
class Morning:
    """A service with a town of two rounds at one site, its supervisor, an operator, and two carriers with phones."""

    service: Service
    town: Town
    people: dict[str, dict[str, str]]
    phones: dict[str, Caller]

    def ask(self, method: str, path: str, body: Any = None, *, who: str = "supervisor") -> Answer:
        return self.service.ask(method, path, body, headers=self.people[who], to_json=body is not None)

    def run_id(self, number: int) -> str:
        return f"run-{self.service.platform.runs.today()}-{self.town.rounds[number].round_id}"

    def sheet(self, phone: str | Caller, number: int) -> dict[str, Any]:
        caller = self.phones[phone] if isinstance(phone, str) else phone
        answer = caller.ask("GET", f"/v1/runs/{self.run_id(number)}/sheet")
        assert answer.status == 200, answer.body
        found: dict[str, Any] = answer.json()
        return found

    def row(self, number: int, carrier: str | None, **more: Any) -> dict[str, Any]:
        day = str(self.service.platform.runs.today())
        return {"day": day, "round_id": self.town.rounds[number].round_id, "carrier": carrier, **more}


async def _prepare(morning: Morning, folder: Path) -> None:
    platform, path = morning.service.platform, folder / "rounds.geojson"
    path.write_text(morning.town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    async with platform.database.acquire() as connection:
        await connection.execute("insert into site values ($1, now()) on conflict do nothing", SITE)
        await connection.execute("update round set site = $1", SITE)
    for role, site in (("supervisor", SITE), ("operator", None)):
        made = await accounts.create_person(
            platform.database, morning.service.url, role, email=f"{role}@x.invalid", site=site
        )
        session = await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        headers = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
        morning.people[role] = headers
    for number, name in enumerate(("Zoé", "Léo")):
        phone = await enrolment.enrol_device(
            *(platform.database, morning.service.url),
            carrier=name, site=SITE, round_id=morning.town.rounds[number].round_id,
        )  # fmt: skip
        morning.phones[name] = Caller(morning.service, phone["device_id"], phone["token"])


@pytest.fixture(scope="module")
def morning(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Morning]:
    folder, url = tmp_path_factory.mktemp("morning"), new_database(postgres_url)
    service = Service(url, folder)
    made = Morning(service, Town(7, rounds=2, stops=20), {}, {})
    service.call(_prepare(made, folder))
    yield made
    service.close()
    drop_database(postgres_url, url)


def test_the_roster_is_written_and_read_and_the_runs_know_it_at_once(morning: Morning) -> None:
    rows = [morning.row(0, "Zoé", qualifications=["pouches"]), morning.row(1, "Léo")]
    answer = morning.ask("PUT", "/v1/roster", {"rows": rows, "usual_start": "23:59"})
    assert (answer.status, answer.json()["rows"]) == (200, 2)
    found = morning.ask("GET", f"/v1/roster?site={SITE}&limit=1").json()
    assert found["rows"][0] == rows[0]
    assert found["usual_start"] == "23:59"
    assert {each["carrier"] for each in found["carriers"]} == {"Zoé", "Léo"}
    rest = morning.ask("GET", f"/v1/roster?limit=1&cursor={found['cursor']}").json()
    assert [each["carrier"] for each in rest["rows"]] == ["Léo"]
    assert (
        morning.ask("GET", "/v1/roster", who="operator").json()["rows"]
        == morning.ask("GET", "/v1/roster").json()["rows"]
    )
    assert morning.ask("PUT", "/v1/roster", {"rows": []}, who="operator").code == "bad_request"
    states = {each["run_id"]: each["state"] for each in morning.ask("GET", "/v1/runs").json()["runs"]}
    assert states == {morning.run_id(0): "planned", morning.run_id(1): "planned"}


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("?site=another", "not_found"), ("?from=today", "bad_request"), ("?from=2026-01-01&until=2026-12-31", "bad_roster"),
        ("?cursor=%00", "bad_request"), ("?cursor=AAAA", "bad_request"), ("?limit=0", "bad_request"),
    ],
)  # fmt: skip
def test_a_question_about_the_roster_that_is_wrong_gets_a_typed_answer(morning: Morning, path: str, code: str) -> None:
    assert morning.ask("GET", f"/v1/roster{path}").code == code


def test_a_change_that_is_wrong_gets_a_typed_answer(morning: Morning) -> None:
    run, other = morning.run_id(0), morning.run_id(1)
    cases: list[tuple[str, Any, str]] = [
        ("reassign", {}, "bad_move"), ("reassign", {"to_carrier": "\x00"}, "invalid"), ("reassign", [], "bad_request"),
        ("reassign", {"to_carrier": "Nobody Known"}, "bad_move"), ("split", {"to_run": other}, "bad_move"),
        ("split", {"to_run": other, "task_ids": ["tsk_1"]}, "nothing_to_move"), ("handover", {"to_run": other}, "bad_move"),
        ("split", {"to_run": "run-2026-01-01-T01", "task_ids": ["tsk_1"]}, "not_found"),
        ("handover", {"to_run": other, "counts": {"items": "3"}}, "bad_move"),
    ]  # fmt: skip
    for path, body, code in cases:
        answer = morning.service.ask(
            "POST", f"/v1/runs/{run}/{path}", body, to_json=True, headers=morning.people["supervisor"]
        )
        assert answer.code == code, (path, body)
    assert morning.ask("POST", "/v1/runs/run-2026-11-21-T99/reassign", {"to_carrier": "Zoé"}).code == "not_found"
    assert morning.ask("PUT", "/v1/roster", {"rows": [{"day": "x"}]}).code == "bad_roster"
    for query in ("?on=x", "?state=A%00", "?cursor=x", "?limit=x"):
        assert morning.ask("GET", f"/v1/tasks{query}").code == "bad_request", query


def test_a_dead_phone_is_swapped_with_its_sheet_in_seconds(morning: Morning, note: Callable[[str], None]) -> None:
    old, started = morning.phones["Zoé"], time.monotonic()
    assert statuses(old.send(field_event("run.started", {"run_id": morning.run_id(0)}, time=ago(minutes=5)))) == [
        "accepted"
    ]
    before = morning.sheet(old, 0)
    kept = field_event("item.loaded", {"item_ids": ["RK1"]}, time=ago(minutes=2))
    for wrong in ({"carrier": "Léo"}, {"carrier": "Zoé", "replaces": "d-9999"}):
        answer = morning.ask("POST", "/v1/devices/codes", {"replaces": old.name, **wrong})
        assert answer.code == "not_found", wrong
    made = morning.ask("POST", "/v1/devices/codes", {"carrier": "Zoé", "replaces": old.name})
    assert made.status == 201, made.body
    assert morning.sheet(old, 0)["version"] == before["version"]  # nothing happens before the code is used
    enrolled = morning.service.ask("POST", "/v1/devices/enrol", {"code": made.json()["code"]}, to_json=True).json()
    new = Caller(morning.service, enrolled["device_id"], enrolled["token"])
    current = new.ask("GET", "/v1/runs/current").json()
    after = morning.sheet(new, 0)
    note(f"phone swap: code to sheet on the new phone in {time.monotonic() - started:.1f} s (one process, small town)")
    assert (enrolled["carrier"], enrolled["round"]) == ("Zoé", morning.town.rounds[0].round_id)
    assert (current["run_id"], current["state"]) == (morning.run_id(0), "started")
    assert [each["stop_id"] for each in after["stops"]] == [each["stop_id"] for each in before["stops"]]
    assert time.monotonic() - started < timedelta(minutes=2).total_seconds()
    assert old.ask("GET", "/v1/runs/current").code == "revoked"
    late = field_event("item.loaded", {"item_ids": ["RK2"]}, time=ago(seconds=0))
    assert [(each["status"], each.get("reason")) for each in old.send(kept, late)] == [
        ("accepted", None), ("quarantined", "device_lost"),
    ]  # fmt: skip
    morning.phones["Zoé"] = new


def test_part_of_a_round_appears_on_the_colleagues_phone(morning: Morning) -> None:
    stops = [each.stop_id for each in morning.town.rounds[0].stops]
    before = morning.sheet("Zoé", 0)["version"], morning.sheet("Léo", 1)["version"]
    body = {"to_run": morning.run_id(1), "stops": {"from": stops[4], "to": stops[8]}}
    moved = morning.ask("POST", f"/v1/runs/{morning.run_id(0)}/split", body).json()
    giver, taker = morning.sheet("Zoé", 0), morning.sheet("Léo", 1)
    assert (moved["giver"]["sheet_version"], moved["taker"]["sheet_version"]) == (giver["version"], taker["version"])
    assert giver["version"] > before[0]
    assert taker["version"] > before[1]
    part = set(stops[4:9])
    assert not part & {each["stop_id"] for each in giver["stops"]}
    assert part <= {each["stop_id"] for each in taker["stops"]}


def test_a_load_is_handed_over_with_two_counts_one_from_the_takers_phone(morning: Morning) -> None:
    given = {"to_run": morning.run_id(1), "counts": {"items": 4, "pouches": 1, "keys": 0}}
    assert morning.ask("POST", f"/v1/runs/{morning.run_id(0)}/handover", given).status == 201
    taken = {"run_id": morning.run_id(1), "from_run": morning.run_id(0), "counts": {"items": 4}}
    results = morning.phones["Léo"].send(field_event("run.taken_over", taken, time=ago(seconds=0)))
    assert statuses(results) == ["accepted"]
    operator = morning.service.call(
        accounts.create_subscriber(morning.service.platform.database, "Exploitation", scopes=("operator",))
    )
    feed = Caller(morning.service, "operator", operator["api_key"]).feed(types="run.*")
    (differs,) = [each for each in feed if each["type"] == "fieldsvc.run.handover_differs.v1"]
    assert differs["data"]["given"] != differs["data"]["taken"]
    assert orjson.dumps(feed).find("Léo".encode()) == -1


def test_a_run_goes_to_a_colleague_whose_phone_has_it_at_once(morning: Morning) -> None:
    answer = morning.ask("POST", f"/v1/runs/{morning.run_id(0)}/reassign", {"to_carrier": "Léo"})
    assert (answer.status, answer.json()["carrier"]) == (200, "Léo")
    assert morning.sheet("Léo", 0)["run_id"] == morning.run_id(0)
    gone = morning.phones["Zoé"].ask("GET", f"/v1/runs/{morning.run_id(0)}/sheet")
    assert gone.code == "not_found"


def test_a_supervisor_enters_a_run_from_paper(morning: Morning) -> None:
    run_id, headers = (
        morning.run_id(1),
        {**morning.people["supervisor"], "Content-Type": "application/cloudevents-batch+json"},
    )
    paper = {"run_id": run_id, "recorded_from": "paper"}
    events = [
        field_event(f"run.{word}", paper, time=ago(minutes=count)) for word, count in (("ended", 1), ("started", 200))
    ]
    answer = morning.service.ask("POST", "/v1/events", orjson.dumps(events), headers=headers)
    assert statuses(answer.json()["results"]) == ["accepted", "accepted"]
    states = {each["run_id"]: each["state"] for each in morning.ask("GET", "/v1/runs").json()["runs"]}
    assert states[run_id] == "ended"
    assert morning.ask("POST", f"/v1/runs/{run_id}/reassign", {"to_carrier": "Zoé"}).code == "run_over"
