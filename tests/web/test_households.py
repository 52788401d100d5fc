"""What customers say of an item by their link, and `/suivi/foyer`: proving an address by a letter, and what carriers read then."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from fieldsvc.requests.links import Link, seal_link
from fieldsvc.simulate.town import Town
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.following import LINK_KEY
from fieldsvc.work import imports
from handlers.story import Actor
from tests.acceptance.service import BATCH, Answer, Service, field_event, fresh
from tests.databases import drop_database, new_database

FORM = "application/x-www-form-urlencoded"
FOYER = "/suivi/foyer"


@dataclass
class House:
    """A small town with one round of today, its carrier's phone, an account that orders, and two customers."""

    service: Service
    town: Town
    phone: dict[str, str]
    shop: dict[str, str]
    customers: dict[str, dict[str, str]]

    @property
    def run_id(self) -> str:
        return f"run-{self.service.platform.runs.today()}-{self.town.rounds[0].round_id}"

    def stop(self, number: int) -> Any:
        return self.town.rounds[0].stops[number]

    def get(self, path: str, who: str | None = None, lang: str = "fr") -> Answer:
        headers = {"Accept": "text/html", "Accept-Language": lang}
        return self.service.ask("GET", path, headers=headers | (self.customers[who] if who else {}))

    def post(self, path: str, fields: dict[str, str], who: str | None = None, **more: str) -> Answer:
        session = self.customers[who] if who else {}
        body = urlencode(fields | ({"csrf": session["X-CSRF-Token"]} if session else {}) | more)
        headers = {"Content-Type": FORM, "Accept": "text/html", "Accept-Language": "fr"}
        return self.service.ask("POST", path, body, headers=headers | {"Cookie": session.get("Cookie", "")})

    def say(self, name: str, **data: Any) -> None:
        event = field_event(name, data, runid=self.run_id)
        answer = self.service.ask(
            "POST", "/v1/events", orjson.dumps([event]), headers={**self.phone, "Content-Type": BATCH}
        )
        assert answer.json()["results"][0]["status"] == "accepted", answer.body

    def delivered(self) -> str:
        """Order an item, deliver it, and return its number."""
        number, stop = fresh("RK"), self.stop(0)
        order = {
            "service": "item",
            "subject": f"item/{number}",
            "delivery_point": stop.point.id,
            "addressee": "Mme Martin",
        }
        made = self.service.ask("POST", "/v1/tasks", order, headers=self.shop, to_json=True)
        assert made.status == 201, made.body
        self.say("item.delivered", item_id=number, to="mailbox")
        return number

    def link(self, number: str, **more: Any) -> str:
        until = datetime.now(UTC) + timedelta(hours=1)
        return "/suivi/" + seal_link(self.service.app[LINK_KEY], Link(f"item/{number}", until, **more))

    def notebook(self, number: int) -> list[tuple[str, str]]:
        """Read what the carrier's sheet says of a stop that a household told."""
        answer = self.service.ask("GET", f"/v1/runs/{self.run_id}/sheet", headers=self.phone)
        assert answer.status == 200, answer.body
        stops = {stop["delivery_point_id"]: stop for stop in answer.json()["stops"]}
        notes = stops[self.stop(number).point.id]["notebook"]
        return [(note["kind"], note["text"]) for note in notes if note["by"] == "household"]

    def letters(self) -> list[dict[str, Any]]:
        """Open the letters with codes that were queued, oldest first."""

        async def read() -> list[dict[str, Any]]:
            async with self.service.platform.database.acquire() as connection:
                text = "select sealed from notice where template = 'household_code' order by queued_at, id"
                blobs = [row["sealed"] for row in await connection.fetch(text)]
            return await self.service.platform.opener.open_blobs(blobs)

        return self.service.call(read())

    def declare(self, who: str, number: int, names: str = "Martin\nLopez") -> str:
        """Declare a household at the address of a stop; return its id."""
        typed = self.stop(number).point.address
        fields = {"address": typed, "place": self.stop(number).point.id, "names": names}
        sent = self.post(f"{FOYER}/adresse", fields, who, step="send")
        assert sent.status == 303, sent.body.decode()
        ids = re.findall(r'id="home-(HH-[A-Z0-9]+)"', self.get(FOYER, who).body.decode())
        return str(ids[-1])

    def prove(self, who: str, household: str) -> None:
        code = self.letters()[-1]["params"]["code"]
        assert self.post(f"{FOYER}/{household}/code", {"code": code.lower().replace("-", " ")}, who).status == 303


async def _prepare(platform: Platform, town: Town, folder: Path) -> None:
    database, day = platform.database, platform.runs.today()
    await imports.import_addresses(database, town.addresses_csv().splitlines(keepends=True))
    path = folder / "town.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(database, path, zone=platform.settings.zone)
    await imports.import_roster(database, town.roster_csv(day).splitlines(keepends=True))
    await platform.runs.plan_day(day)
    platform.rounds.forget()


async def _customer(service: Service, email: str) -> dict[str, str]:
    platform = service.platform
    made = await accounts.create_person(platform.database, service.url, "customer", email=email, vault=platform.vault)
    session = await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    assert session is not None
    person = await service.app[ACCESS].person(session)
    return {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": person.csrf}


@pytest.fixture(scope="module")
def house(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    url, folder, town = new_database(postgres_url), tmp_path_factory.mktemp("house"), Town(2, rounds=1, stops=20)
    service = Service(url, folder, prepare=lambda platform: _prepare(platform, town, folder))
    database, carrier = service.platform.database, town.carriers[0]
    device = service.call(
        enrolment.enrol_device(
            database, service.url, carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
        )
    )
    shop = service.call(accounts.create_subscriber(database, "Shop", scopes=("order:item",)))
    customers = {name: service.call(_customer(service, f"{name}@demo.invalid")) for name in ("anne", "bruno")}
    phone, key = ({"Authorization": f"Bearer {each}"} for each in (device["token"], shop["api_key"]))
    yield House(service, town, phone, key, customers)
    service.close()
    drop_database(postgres_url, url)


def words(answer: Answer) -> str:
    """Return what a page says."""
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", answer.body.decode()).split()))


WRONG = {"wrong": "not_received", "text": "Rien dans la boîte\r\nni chez le voisin", "email": "client@example.org"}


def test_a_dispute_is_shown_once_more_opened_once_and_answered_on_its_page_by_a_person(house: House) -> None:
    number = house.delivered()
    page = f"{house.link(number)}/contester"
    assert f"L'envoi {number} est noté comme distribué" in words(house.get(page))
    check = house.post(page, WRONG, step="check")
    assert check.status == 200
    assert "Vérifiez vos réponses" in words(check)
    sent = house.post(page, WRONG, step="send")
    assert sent.status == 303
    own = sent.headers["location"]
    opened = words(house.get(own))
    (case_id,) = set(re.findall(r"CT-[A-Z0-9]{10}", opened))
    assert "répond au plus tard le" in opened
    again = house.post(page, {**WRONG, "text": "encore"}, step="send")
    assert (again.status, again.headers["location"]) == (303, page)

    row = house.service.call(_case(house, case_id))
    assert row["text"] == "Je n'ai rien reçu. Rien dans la boîte\nni chez le voisin"
    data = {"case_id": case_id, "outcome": "upheld", "reason": "Remis au 12 par erreur, rapporté"}
    house.service.call(house.service.platform.commands.send("trust.dispute_closed", data))
    assert "Remis au 12 par erreur" in words(house.get(own))
    other = words(house.get(page))  # who only knows the item sees that there was an answer, and not which
    assert "Votre dossier est clos" in other
    assert "Remis au 12" not in other
    assert house.service.call(_told(house)) == ["dispute_closed", "dispute_opened"]


async def _case(house: House, case_id: str) -> dict[str, Any]:
    async with house.service.platform.database.acquire() as connection:
        sealed = await connection.fetchval("select sealed from case_file where id = $1", case_id)
    opened: dict[str, Any] = (await house.service.platform.opener.open_blobs([sealed]))[0]
    return opened


async def _told(house: House) -> list[str]:
    async with house.service.platform.database.acquire() as connection:
        rows = await connection.fetch("select template from notice where template like 'dispute%' order by template")
    return [row["template"] for row in rows]


def test_a_dispute_says_what_is_missing_and_keeps_what_was_written(house: House) -> None:
    page = f"{house.link(house.delivered())}/contester"
    answer = house.post(page, {"text": "Bonjour <b>", "email": "nonsense"}, step="check")
    assert answer.status == 422
    assert "<title>Erreur" in answer.body.decode()
    assert "Dites-nous ce qui s'est passé." in words(answer)
    assert "Bonjour &lt;b&gt;" in answer.body.decode()
    assert "Report a problem" in words(house.get(page, lang="en"))


def test_what_has_not_arrived_cannot_be_disputed_nor_rated_and_a_link_of_nobody_is_gone(house: House) -> None:
    for page in ("contester", "satisfaction"):
        assert house.get(f"{house.link('RK-NOTHING')}/{page}").status == 404
        assert house.get(f"/suivi/nonsense/{page}").status == 410


def test_an_item_is_rated_once_and_the_rating_goes_to_who_ordered_it(house: House) -> None:
    number = house.delivered()
    page = f"{house.link(number)}/satisfaction"
    assert house.post(page, {"score": "11"}).status == 422
    assert house.post(page, {"score": "9", "comment": "Très aimable"}).status == 303
    assert house.post(page, {"score": "0"}).status == 303
    assert "votre avis est enregistré" in words(house.get(page))
    answer = house.service.ask("GET", "/v1/feed?types=rating.given&limit=100", headers=house.shop)
    given = [each["data"] for each in answer.json()["events"] if each["data"]["about"] == f"item/{number}"]
    assert [each["score"] for each in given] == [9]


def test_an_address_is_proved_by_the_code_of_a_letter_that_a_carrier_brings(house: House) -> None:
    point = house.stop(3).point
    first = house.post(f"{FOYER}/adresse", {"address": point.address}, "anne", step="search")
    assert point.id in first.body.decode()
    second = house.post(f"{FOYER}/adresse", {"address": point.address, "place": point.id}, "anne", step="place")
    assert "Un nom par ligne" in words(second)
    third = house.post(
        f"{FOYER}/adresse", {"address": point.address, "place": point.id, "names": "Martin"}, "anne", step="names"
    )
    assert "vous apportera un courrier avec un code" in words(third)
    before = len(house.letters())
    household = house.declare("anne", 3)
    assert house.declare("anne", 3) == household  # a form that is sent twice writes one letter
    letters = house.letters()
    assert len(letters) == before + 1
    assert letters[-1]["to"] == {"delivery_point_id": point.id, "addressee": "Martin, Lopez"}
    letter = letters[-1]["params"]["reference"]
    assert house.service.call(_tasks(house, f"letter/{letter}")) == [("letter_code", point.id)]
    assert house.notebook(3) == []

    page = f"{FOYER}/{household}/code"
    assert "n'est pas celui du courrier" in words(house.post(page, {"code": "AAA-BBB-CCC"}, "anne"))
    assert "Essais restants : 4" in words(house.get(FOYER, "anne")).replace("\u00a0", " ")
    house.prove("anne", household)
    assert "Adresse confirmée" in words(house.get(FOYER, "anne"))
    assert ("names", "Martin, Lopez") in house.notebook(3)


async def _tasks(house: House, subject: str) -> list[tuple[str, str]]:
    async with house.service.platform.database.acquire() as connection:
        rows = await connection.fetch("select service, delivery_point from task where subject = $1", subject)
    return [tuple(row) for row in rows]


def test_a_code_that_was_tried_five_times_is_worth_nothing_even_the_right_one(house: House) -> None:
    household = house.declare("bruno", 5)
    code = house.letters()[-1]["params"]["code"]
    for _ in range(5):
        house.post(f"{FOYER}/{household}/code", {"code": "AAA-BBB-CCC"}, "bruno")
    house.post(f"{FOYER}/{household}/code", {"code": code}, "bruno")
    assert "n'est plus valable" in words(house.get(FOYER, "bruno"))
    assert house.notebook(5) == []


def test_what_a_household_tells_is_on_the_sheet_at_once_and_gone_when_it_is_taken_back(house: House) -> None:
    household = house.declare("anne", 7)
    page = f"{FOYER}/{household}/consignes"
    assert house.get(page, "anne").status == 404  # not before it is proved
    house.prove("anne", household)
    told = {
        "names": "Martin\nLopez",
        "box": "Sous le porche",
        "floor": "2e",
        "code": "A4471",
        "standing_ring_twice": "on",
    }
    assert house.post(page, {**told, "standing_neighbour": "on"}, "anne").status == 422  # which neighbour?
    against = {**told, "standing_neighbour": "on", "words_neighbour": "Mme Petit", "standing_never_neighbour": "on"}
    assert "se contredisent" in words(house.post(page, against, "anne"))
    assert house.post(page, told, "anne").status == 303
    who = "Martin, Lopez"
    assert house.notebook(7) == [
        ("names", who),
        ("hidden_box", f"{who} · Sous le porche"),
        ("floor", f"{who} · 2e"),
        ("code", f"{who} · A4471"),
        ("ring_twice", who),
    ]
    assert 'value="A4471"' in house.get(page, "anne").body.decode()
    assert house.post(f"{FOYER}/{household}/quitter", {}, "anne").status == 303
    assert house.notebook(7) == []
    assert household not in house.get(FOYER, "anne").body.decode()


def test_a_household_is_its_own_customers_and_its_forms_carry_the_sessions_token(house: House) -> None:
    household = house.declare("anne", 9)
    for page in ("consignes", "boite", "quitter"):
        assert house.get(f"{FOYER}/{household}/{page}", "bruno").status == 404
        assert house.get(f"{FOYER}/{household}/{page}").headers["location"].startswith("/suivi/sign-in?next=")
    assert house.post(f"{FOYER}/{household}/quitter", {}, "bruno").status == 404
    forged = house.post(f"{FOYER}/{household}/quitter", {}, "anne", csrf="nonsense")
    assert forged.status == 403
    assert household in house.get(FOYER, "anne").body.decode()


def test_who_closes_their_account_takes_back_what_their_household_tells(house: House) -> None:
    house.customers["carl"] = house.service.call(_customer(house.service, "carl@demo.invalid"))
    house.prove("carl", house.declare("carl", 15))
    assert house.notebook(15) == [("names", "Martin, Lopez")]
    assert house.post("/suivi/compte/close", {}, "carl").status == 200
    assert house.notebook(15) == []


def test_a_box_that_is_no_longer_served_has_a_case_with_a_day_for_its_answer(house: House) -> None:
    household = house.declare("bruno", 11)
    house.prove("bruno", household)
    page = f"{FOYER}/{household}/boite"
    assert "Que se passe-t-il" in words(house.get(page, "bruno"))
    assert house.post(page, {"note": "Plus de courrier depuis trois semaines"}, "bruno").status == 303
    case = words(house.get(page, "bruno"))
    assert "Votre dossier est ouvert" in case
    assert "réponse au plus tard le" in case
    data = {
        "delivery_point_id": house.stop(11).point.id,
        "decision": "held_at_office",
        "reason": "Le portail est fermé",
    }
    house.service.call(house.service.platform.commands.send("access.decided", data))
    decided = words(house.get(page, "bruno"))
    assert "Le courrier vous attend au bureau" in decided
    assert "Le portail est fermé" in decided


CONSENT = {"given_on": "2026-01-01", "answers": ["feels_well"], "relatives": ["Anne@demo.invalid"]}


def visited(house: House, day: str, consent: dict[str, Any] | None) -> str:
    """Order a visit; return its id."""
    visit_id = fresh("V")
    order = {
        "task_id": f"tsk_{visit_id}",
        "service": "home_visit",
        "subject": f"visit/{visit_id}",
        "on": day,
        "delivery_point": house.stop(13).point.id,
        "details": {"consent": consent} if consent else {},
    }
    commands, account = house.service.platform.commands, Actor("subscriber", account="acc_visits")
    house.service.call(commands.send("task.planned", order, actor=account, handler="home_visit"))
    return visit_id


def test_a_relative_follows_visits_under_her_consent_and_no_longer_than_that(house: House) -> None:
    today = house.service.platform.runs.today()
    closed = words(house.get("/suivi/visites", "anne"))
    assert "Aucune visite ne vous est ouverte" in closed
    visited(house, (today + timedelta(days=3)).isoformat(), None)
    assert words(house.get("/suivi/visites", "anne")) == closed
    coming = visited(house, (today + timedelta(days=2)).isoformat(), CONSENT)
    done = visited(house, today.isoformat(), CONSENT)
    house.say("home_visit.started", visit_id=done)
    answers = {"feels_well": True, "has_eaten": False}
    house.say("home_visit.completed", visit_id=done, met="person", answers=answers, presence="tag")
    seen = words(house.get("/suivi/visites", "anne"))
    assert "Prochaines visites" in seen
    assert "Se sent bien Oui" in seen
    assert "A mangé" not in seen
    assert words(house.get("/suivi/visites", "bruno")) == closed
    for each in (coming, done):
        changed = {"visit_id": each, "answers": [], "given_on": today.isoformat()}
        house.service.call(house.service.platform.commands.send("home_visit.consent_changed", changed))
    assert words(house.get("/suivi/visites", "anne")) == closed
