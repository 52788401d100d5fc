"""Figures, cases, ideas, pilots and Suivi as people, phones and customers' systems meet them, on one running service.

The last tests try to get a figure of one carrier: by every parameter, through cells of one carrier, by subtracting totals,
sites, months and answers, through CSV, and by asking before and after each event.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.platform import Platform
from fieldsvc.reports import counter
from fieldsvc.reports.cells import ANSWERS, CARRIERS
from fieldsvc.reports.counter import Counter
from fieldsvc.reports.kpis import KPIS
from fieldsvc.store import pilot as pilots
from fieldsvc.web.kpis import PARAMETERS
from fieldsvc.work import imports
from tests.acceptance.service import Answer, Caller, Service, field_event, fresh
from tests.databases import drop_database, new_database

SITE, SMALL, QUIET = "site-kpis", "site-lonely", "site-quiet"
CREW = ("Alex", "Bo", "Cam", "Dom")
HERMIT = "Hermit"  # works alone at the small site
TRIO = ("Wim", "Xena", "Yann")  # of a site where nothing else happens
SITES = {**dict.fromkeys(CREW, SITE), HERMIT: SMALL, **dict.fromkeys(TRIO, QUIET)}
THIS_MONTH = datetime.now(UTC).astimezone().date().isoformat()[:7]
Headers = dict[str, str]


@dataclass
class World:
    """The service, phones of two sites, two accounts and people of every role."""

    service: Service
    phones: dict[str, Caller] = field(default_factory=dict)
    people: dict[str, Headers] = field(default_factory=dict)
    accounts: dict[str, Caller] = field(default_factory=dict)

    def deliver(self, carrier: str, item: str | None = None) -> str:
        """Say a delivery of a carrier's own run; return the item."""
        item = item or fresh("IT")
        return self.say(carrier, "item.delivered", {"item_id": item, "to": "addressee"}) and item

    def say(self, carrier: str, kind: str, data: dict[str, Any]) -> str:
        """Send one event from a carrier's phone; return its id."""
        (result,) = self.phones[carrier].send(field_event(kind, data))
        assert result["status"] == "accepted", result
        return str(result["id"])

    def count(self) -> None:
        """Count, as the service's own job does."""
        platform = self.service.platform
        zone = platform.settings.zone
        job = Counter(platform.database, platform.tail, platform.reader, vault=platform.vault, zone=zone)
        self.service.call(job.take())

    def ask(self, who: str, path: str, body: Any = None, **headers: str) -> Answer:
        method = "GET" if body is None else "POST"
        sent = {**self.people[who], **headers}
        return self.service.ask(method, path, body, headers=sent, to_json=body is not None)

    def kpis(self, who: str = "operator", query: str = "") -> dict[str, Any]:
        answer = self.ask(who, f"/v1/kpis?{query}")
        assert answer.status == 200, answer.body
        return dict(answer.json())

    def cell(self, kpi: str, site: str = SITE, who: str = "operator") -> dict[str, Any] | None:
        cells = self.kpis(who)["cells"]
        return next((each for each in cells if (each["kpi"], each["site"]) == (kpi, site)), None)


def _town() -> str:
    features: list[dict[str, Any]] = []
    for number, site in enumerate(SITES.values()):
        lon = 2.3 + number / 100
        line = {"type": "LineString", "coordinates": [[lon, 48.9], [lon, 48.91]]}
        of = {"round_id": f"R{number}", "site": site}
        features.append({"type": "Feature", "geometry": line, "properties": {**of, "mode": "foot"}})
        stop = {**of, "stop_id": f"st-{number}", "sequence": 1, "delivery_point_id": f"dp-{number}"}
        point = {"type": "Point", "coordinates": [lon, 48.905]}
        features.append({"type": "Feature", "geometry": point, "properties": stop})
    return orjson.dumps({"type": "FeatureCollection", "features": features}).decode()


async def _load(platform: Platform, folder: Path) -> None:
    path = folder / "rounds.geojson"
    path.write_text(_town(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)


async def _callers(world: World) -> None:
    service, database = world.service, world.service.platform.database
    for number, (carrier, site) in enumerate(SITES.items()):
        made = await enrolment.enrol_device(database, service.url, carrier=carrier, site=site, round_id=f"R{number}")
        world.phones[carrier] = Caller(service, carrier, made["token"])
    for name in ("acc-a", "acc-b"):
        account = await accounts.create_subscriber(database, name, scopes=("order:item", "order:medication"))
        world.accounts[name] = Caller(service, account["account_id"], account["api_key"])
    for role, site in (
        ("supervisor", SITE),
        ("operator", None),
        ("auditor", None),
        ("member", None),
        ("adviser", None),
    ):
        parent = world.accounts["acc-a"].name if role == "member" else None
        email = f"{role}@demo.invalid"
        person = await accounts.create_person(database, service.url, role, email=email, site=site, parent=parent)
        session = await accounts.sign_in(database, person["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        world.people[role] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
    await service.platform.runs.plan_day(service.platform.runs.today())


@pytest.fixture(scope="module")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    url, folder = new_database(postgres_url), tmp_path_factory.mktemp("reports")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(counter, "EVERY_S", 3600.0)  # the tests say when it is counted
        service = Service(url, folder, prepare=lambda platform: _load(platform, folder))
        made = World(service)
        service.call(_callers(made))
        yield made
        service.close()
    drop_database(postgres_url, url)


def ordered(world: World, account: str, carrier: str) -> str:
    """Order an item of an account, announce it, and give its id."""
    item, number = fresh("IT"), list(SITES).index(carrier)
    task = {"service": "item", "subject": f"item/{item}", "delivery_point": f"dp-{number}"}
    answer = world.accounts[account].ask("POST", "/v1/tasks", task)
    assert answer.status == 201, answer.body
    return item


def test_a_dispute_is_a_case_with_the_proof_in_words_that_a_person_closes(world: World) -> None:
    item = ordered(world, "acc-a", "Alex")
    world.deliver("Alex", item)
    (event,) = world.accounts["acc-a"].feed("item.delivered")[-1:]
    text = "Marqué distribué, rien reçu"
    dispute = field_event("trust.dispute_opened", {"event_id": event["id"], "text": text, "about": "item/of-another"})
    (result,) = world.accounts["acc-a"].send(dispute)
    assert result["status"] == "accepted", result
    case = world.ask("supervisor", "/v1/cases?state=open&kind=dispute").json()["cases"][0]
    assert (case["subject"], case["site"], case["state"]) == (f"item/{item}", SITE, "open")
    whole = world.ask("supervisor", f"/v1/cases/{case['case_id']}").json()
    assert (whole["text"], whole["event_id"]) == (text, event["id"])
    assert set(whole["proof"]["words"]) == {"fr", "en"}
    assert "signature" in whole["proof"]["words"]["fr"]
    closing = {"outcome": "upheld", "reason": "Remis au 12"}
    closed = world.ask("adviser", f"/v1/cases/{case['case_id']}/close", closing)
    assert (closed.status, closed.json()["state"], closed.json()["reason"]) == (200, "closed", "Remis au 12")
    assert world.ask("adviser", f"/v1/cases/{case['case_id']}/close", closing).code == "case_closed"
    told = world.accounts["acc-a"].feed("trust.*")
    assert [each["type"].split(".")[2] for each in told] == ["dispute_opened", "dispute_closed"]
    assert told[1]["data"]["reason"] == "Remis au 12"


def test_a_dispute_about_another_accounts_event_is_not_taken_and_a_case_of_another_site_is_not_seen(
    world: World,
) -> None:
    item = ordered(world, "acc-a", HERMIT)
    world.deliver(HERMIT, item)
    (event,) = world.accounts["acc-a"].feed("item.delivered")[-1:]
    dispute = field_event("trust.dispute_opened", {"event_id": event["id"], "text": "x"})
    (result,) = world.accounts["acc-b"].send(dispute)
    assert (result["status"], result["reason"]) == ("quarantined", "unknown_event")
    (result,) = world.accounts["acc-a"].send(
        field_event("trust.dispute_opened", {"event_id": event["id"], "text": "x"})
    )
    case_id = world.ask("operator", "/v1/cases").json()["cases"][0]["case_id"]
    assert case_id == result["id"]
    assert world.ask("supervisor", f"/v1/cases/{case_id}").code == "not_found"
    assert (
        world.ask("supervisor", f"/v1/cases/{case_id}/close", {"outcome": "upheld", "reason": "x"}).code == "not_found"
    )
    assert world.ask("operator", f"/v1/cases/{case_id}/close", {"outcome": "lost", "reason": "x"}).code == "invalid"
    assert world.ask("operator", "/v1/cases?state=old").code == "bad_request"


def test_cases_are_listed_page_by_page(world: World) -> None:
    first = world.ask("operator", "/v1/cases?limit=1").json()
    second = world.ask("operator", f"/v1/cases?limit=1&cursor={first['cursor']}").json()
    assert first["cases"][0]["case_id"] != second["cases"][0]["case_id"]
    assert world.ask("operator", "/v1/cases?cursor=nonsense").code == "bad_request"


def test_an_idea_is_voted_for_once_and_its_answer_returns_to_its_author(world: World) -> None:
    (result,) = world.phones["Alex"].send(field_event("idea.submitted", {"text": "Des gants chauffants"}))
    idea = result["id"]
    for voter in ("Bo", "Bo", "Cam", "Alex"):
        world.phones[voter].send(field_event("idea.voted", {"idea_id": idea, "carrier": "Somebody else"}))
    data = {"idea_id": idea, "status": "accepted", "answer": "Livrés en janvier"}
    event = orjson.dumps(field_event("idea.decided", data))
    headers = {**world.people["supervisor"], "Content-Type": "application/cloudevents+json"}
    assert world.service.ask("POST", "/v1/events", event, headers=headers).json()["results"][0]["status"] == "accepted"
    (own,) = world.phones["Alex"].ask("GET", "/v1/ideas").json()["ideas"]
    assert (own["votes"], own["status"], own["answer"], own["mine"]) == (2, "accepted", "Livrés en janvier", True)
    (other,) = world.phones["Bo"].ask("GET", "/v1/ideas?status=accepted").json()["ideas"]
    assert (other["mine"], other["text"]) == (False, "Des gants chauffants")
    (seen,) = world.ask("operator", "/v1/ideas").json()["ideas"]
    assert "mine" not in seen
    assert not {*CREW, "Somebody else"} & set(re.findall(r"\w+", str(seen)))
    assert world.ask("operator", "/v1/ideas?status=lost").code == "bad_request"


def test_a_piloted_service_is_offered_and_taken_at_its_sites_only(world: World) -> None:
    service, database = world.service, world.service.platform.database
    service.call(pilots.put(database, "item", [SMALL]))
    service.platform.tasks._pilots._known.clear()  # what is known for five seconds
    task = {"service": "item", "subject": f"item/{fresh('IT')}", "delivery_point": "dp-0"}
    assert world.accounts["acc-a"].ask("POST", "/v1/tasks", task).code == "service_not_enabled"
    names = [each["service"] for each in world.phones["Alex"].ask("GET", "/v1/services").json()["services"]]
    there = [each["service"] for each in world.phones[HERMIT].ask("GET", "/v1/services").json()["services"]]
    assert ("item" in names, "item" in there, "home_visit" in names) == (False, True, True)
    assert world.accounts["acc-a"].ask("POST", "/v1/tasks", {**task, "delivery_point": "dp-4"}).status == 201
    service.call(pilots.end(database, "item"))
    service.platform.tasks._pilots._known.clear()


def suivi(world: World, ids: str, account: str = "acc-a", lang: str = "fr_FR") -> Answer:
    key = {"X-Okapi-Key": world.accounts[account].secret}
    return world.service.ask("GET", f"/suivi/v2/idships/{ids}?lang={lang}", headers=key)


def test_suivi_follows_the_items_of_the_own_account_and_no_others(world: World) -> None:
    item = ordered(world, "acc-a", "Alex")
    assert suivi(world, item).status == 404  # ordered, and nothing said of it yet
    world.accounts["acc-a"].send(field_event("item.announced", {"item_id": item}))
    assert suivi(world, item).json()["shipment"]["event"][0]["code"] == "DR1"
    world.deliver("Alex", item)
    answer = suivi(world, item, lang="en_GB")
    shipment = answer.json()["shipment"]
    assert (answer.status, answer.json()["lang"], answer.json()["returnCode"]) == (200, "en_GB", 200)
    assert (shipment["idShip"], shipment["isFinal"], shipment["event"][0]["code"]) == (item, True, "DI1")
    foreign = suivi(world, item, "acc-b")
    assert (foreign.status, foreign.json()["returnCode"], foreign.json()["idShip"]) == (404, 404, item)


def test_suivi_answers_several_numbers_in_their_order_with_207(world: World) -> None:
    item = ordered(world, "acc-a", "Alex")
    world.accounts["acc-a"].send(field_event("item.announced", {"item_id": item}))
    answer = suivi(world, f"6A15602676300,{item},not%20a%20number")
    assert answer.status == 207
    assert [each["returnCode"] for each in answer.json()] == [404, 200, 400]
    assert "not a number" not in answer.body.decode()
    assert suivi(world, ",".join([item] * 11)).status == 400
    assert suivi(world, "x%20y").status == 400
    assert world.service.ask("GET", f"/suivi/v2/idships/{item}").status == 401
    assert world.service.ask("GET", f"/suivi/v2/idships/{item}", headers={"X-Okapi-Key": "fsk_wrong"}).status == 401


def test_figures_of_the_own_site_the_whole_and_the_own_orders(world: World) -> None:
    for carrier in (*CREW, *CREW):
        item = ordered(world, "acc-a", carrier)
        world.deliver(carrier, item)
        rating = {"about": f"item/{item}", "score": 9}
        world.accounts["acc-a"].send(field_event("rating.given", rating))
    world.count()
    for who in ("operator", "auditor", "supervisor"):
        found = world.cell("first_presentation", who=who)
        assert found is not None
        assert (found["value"], found["month"]) == (100.0, THIS_MONTH)
    nps = world.cell("nps", who="member")
    assert nps is not None
    assert (nps["value"], nps["answers"]) == (100.0, 8)
    assert {each["kpi"] for each in world.kpis()["kpis"]} == {each.name for each in KPIS}
    assert world.ask("supervisor", f"/v1/kpis?site={SMALL}").code == "not_found"
    assert {each["site"] for each in world.kpis("supervisor")["cells"]} == {SITE}


def test_a_withdrawn_delivery_is_taken_out_of_the_figures(world: World) -> None:
    """By `event.corrected` over the service, five at once: fewer change nothing that is shown."""
    results = []
    for carrier in CREW:
        deliveries = [field_event("item.delivered", {"item_id": fresh("IT"), "to": "mailbox"}) for _ in range(10)]
        results.append(world.phones[carrier].send(*deliveries))
    world.count()
    before = world.cell("first_presentation")
    for result in (of[number] for of in results for number in (0, 1)):
        data = {"corrects": result["id"], "kind": "did_not_occur", "reason": "said_twice"}
        event = orjson.dumps(field_event("event.corrected", data))
        headers = {**world.people["supervisor"], "Content-Type": "application/cloudevents+json"}
        (answer,) = world.service.ask("POST", "/v1/events", event, headers=headers).json()["results"]
        assert answer["status"] == "accepted", answer
    world.count()
    after = world.cell("first_presentation")
    assert before is not None
    assert after is not None
    assert after["answers"] == before["answers"] - 8


def test_csv_has_the_same_cells_a_byte_order_mark_and_no_formula(world: World) -> None:
    answer = world.ask("operator", "/v1/kpis", Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    text = answer.body.decode()
    assert text.startswith("\ufeffmonth,")
    assert "\r\n" in text
    rows = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"))))
    cells = world.kpis()["cells"]
    assert [(row["site"], row["kpi"], row["value"]) for row in rows] == [
        (each["site"], each["kpi"], "" if each["value"] is None else str(each["value"])) for each in cells
    ]
    assert world.ask("operator", "/v1/kpis?format=csv").body == answer.body


# --- Who tries to get one carrier's figure ---


def test_no_parameter_asks_for_a_carrier_and_what_is_unknown_is_refused(world: World) -> None:
    assert {"from", "until", "site", "service", "format", "lang"} == PARAMETERS
    for name in (
        "carrier",
        "device",
        "device_id",
        "run",
        "run_id",
        "round",
        "round_id",
        "by",
        "group_by",
        "day",
        "item",
    ):
        assert world.ask("operator", f"/v1/kpis?{name}=Alex").code == "bad_request", name
    for query in ("from=2026-11-22", "until=2026-11-21T09:00:00Z", "from=2026-1", "until=2026-13", "format=xml",
                  "service=Alex", "site=Alex", "from=2020-01", "site=a&site=b", "from=2026-12&until=2026-11"):  # fmt: skip
        assert world.ask("operator", f"/v1/kpis?{query}").status in (400, 404), query


def test_a_carrier_who_works_alone_is_in_no_figure_of_any_answer(world: World) -> None:
    before = world.kpis()
    for _ in range(12):
        world.deliver(HERMIT)
    world.count()
    after = world.kpis()
    alone = [each for each in after["cells"] if each["site"] == SMALL]
    assert alone
    assert all(each["suppressed"] and each["value"] is None and each["answers"] is None for each in alone)
    assert after["totals"] == before["totals"]  # so subtracting sites from the total gives nothing either
    csv_rows = csv.DictReader(
        io.StringIO(world.ask("operator", "/v1/kpis?format=csv").body.decode().removeprefix("\ufeff"))
    )
    assert all(row["value"] == "" for row in csv_rows if row["site"] == SMALL)


def test_totals_are_the_sums_of_what_the_same_answer_shows(world: World) -> None:
    for query in ("", f"site={SITE}", f"site={SMALL}", "service=item", f"from=2025-12&until={THIS_MONTH}"):
        found = world.kpis(query=query)
        shown: dict[tuple[str, str], int] = {}
        for each in found["cells"]:
            if each["answers"]:
                key = each["service"], each["kpi"]
                shown[key] = shown.get(key, 0) + each["answers"]
        assert {(each["service"], each["kpi"]): each["answers"] for each in found["totals"]} == shown


def test_asking_after_every_event_of_one_carrier_shows_no_step_of_that_carrier_alone(world: World) -> None:
    """Wim works through a day alone, and a watcher asks after each event: all moves at once, with the third carrier."""
    for carrier in TRIO * 2:
        world.deliver(carrier)
    world.count()
    first = world.cell("first_presentation", QUIET)
    assert first is not None
    assert (first["answers"], first["value"]) == (6, 100.0)
    for _ in range(ANSWERS + 4):
        attempted = {"item_id": fresh("IT"), "reason": "absent", "next": "represent"}
        world.say("Wim", "item.delivery_attempted", attempted)
        world.count()
        assert world.cell("first_presentation", QUIET) == first
    world.deliver("Xena")
    world.count()
    assert world.cell("first_presentation", QUIET) == first
    world.deliver("Yann")
    world.count()
    moved = world.cell("first_presentation", QUIET)
    assert moved is not None
    assert moved["answers"] == 6 + ANSWERS + 4 + 2
    assert len(TRIO) == CARRIERS


def test_no_answer_of_the_interface_groups_anything_by_carrier(world: World) -> None:
    for who in ("operator", "auditor", "supervisor", "member"):
        text = world.ask(who, "/v1/kpis").body.decode() + world.ask(who, "/v1/kpis?format=csv").body.decode()
        assert not [name for name in (*SITES, "run-", "d-0") if name in text], who
    paths = world.service.ask("GET", "/openapi.json").json()["paths"]
    described = paths["/v1/kpis"]["get"]["parameters"]
    assert {each["name"] for each in described if each["in"] == "query"} == PARAMETERS
    assert not [path for path in paths if re.search(r"carriers?\b|rank|\bleague|performance|productivity", path)]
