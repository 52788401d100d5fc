"""`/partner`: ordering without an engineer, the label, the chain of custody in words, and taking back."""

import html
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import uuid4

import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.simulate.town import Town
from fieldsvc.store import desk as desks
from fieldsvc.work.desks import spans_of
from tests.acceptance.conftest import _load
from tests.acceptance.service import Answer, Caller, Service, ago, field_event
from tests.databases import drop_database, new_database

FORM = "application/x-www-form-urlencoded"
Fields = Sequence[tuple[str, str]]


@dataclass
class Partner:
    """Somebody of a village pharmacy, with the pages open in French."""

    service: Service
    session: str
    account: Caller

    @property
    def cookies(self) -> dict[str, str]:
        return {"Cookie": f"fieldsvc_session={self.session}; fieldsvc_lang=fr", "Accept": "text/html"}

    def get(self, path: str) -> Answer:
        return self.service.ask("GET", path, headers=self.cookies)

    def post(self, path: str, *fields: tuple[str, str], csrf: str | None = None) -> Answer:
        body = urlencode([("csrf", csrf if csrf is not None else tokens.csrf_of(self.session)), *fields])
        return self.service.ask("POST", path, body, headers={**self.cookies, "Content-Type": FORM})

    def page(self, path: str) -> str:
        answer = self.get(path)
        assert answer.status == 200, self.service.log.getvalue()[-3000:]
        return words(answer)

    def orders(self, service: str, fields: Fields) -> str:
        """Order, and return the path of the order's page."""
        answer = self.post(f"/partner/new/{service}", *fields, ("step", "send"), ("key", fresh_key()))
        assert answer.status == 303, words(answer)
        return answer.headers["location"]


@dataclass
class Village:
    """A service with a town, two pharmacies and a carrier's phone."""

    service: Service
    town: Town
    day: date
    phone: Caller
    partners: dict[str, Partner] = field(default_factory=dict)

    @property
    def pharmacy(self) -> Partner:
        return self.partners["pharmacy"]

    @property
    def address(self) -> str:
        point = self.town.rounds[0].stops[3].point
        return f"{point.number}{point.rep or ''} {point.street}, {point.postcode} {point.town}"

    def pouch(self, *more: tuple[str, str], name: str = "Mme Jeanne Essai") -> Fields:
        day = (self.day + timedelta(days=1)).isoformat()
        common = (("addressee", name), ("address", self.address), ("on", day), ("about_may_receive", "patient"))
        return (*common, *more)

    def carrier(self, name: str, **data: Any) -> None:
        (result,) = self.phone.send(field_event(name, data, time=ago()))
        assert result["status"] == "accepted", result


def words(answer: Answer) -> str:
    """Return what a reader reads: the text without its marks."""
    text = re.sub(r"<(style|script).*?</\1>|<[^>]*>", " ", answer.body.decode(), flags=re.DOTALL)
    return re.sub(r"[\s\u00a0]+", " ", html.unescape(text))


def fresh_key() -> str:
    return uuid4().hex


def own_id(page: str) -> str:
    found = re.search(r"\b[PV]-[0-9A-Z]{12}\b", page)
    assert found is not None, page
    return found[0]


@pytest.fixture(scope="module")
def village(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Village]:
    folder, town, url = tmp_path_factory.mktemp("partner"), Town(2, rounds=2, stops=40), new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, town, folder))
    yield service.call(_village(service, town))
    service.close()
    drop_database(postgres_url, url)


async def _village(service: Service, town: Town) -> Village:
    database, first = service.platform.database, town.carriers[0]
    device = await enrolment.enrol_device(
        database, service.url, carrier=first.name, site=first.site, round_id=first.round_id
    )
    phone = Caller(service, device["device_id"], device["token"])
    hours = "mon-sun 08:00-20:00"  # of the one desk that there is from the start
    await desks.save(database, desks.Desk("*", "duty", None, hours, spans_of(hours), "Europe/Paris"))
    made = Village(service, town, service.platform.runs.today(), phone)
    scopes = {"pharmacy": ("health", "order:medication", "order:home_visit"), "other": ("order:medication",)}
    for name, given in scopes.items():
        account = await accounts.create_subscriber(database, name, scopes=given)
        person = await accounts.create_person(
            database, service.url, "partner", email=f"{name}@x.invalid", parent=account["account_id"]
        )
        session = await accounts.sign_in(database, person["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        key = Caller(service, account["account_id"], account["api_key"])
        made.partners[name] = Partner(service, session, key)
    return made


def test_a_pouch_is_ordered_in_a_form_whose_answers_are_checked_first_and_sent_twice_it_is_one_order(
    village: Village,
) -> None:
    pharmacy = village.pharmacy
    assert "Qui peut recevoir la pochette ?" in pharmacy.page("/partner/new/medication")
    fields = village.pouch(("about_code", "481516"), ("key", fresh_key()), name="M. Une Seule-Fois")
    check = pharmacy.post("/partner/new/medication", *fields)
    assert (check.status, "Vérifiez vos réponses" in words(check)) == (200, True)
    assert village.address.split(",", maxsplit=1)[0] in words(check)
    place = html.unescape(re.search(r'name="place" value="([^"]*)"', check.body.decode())[1])  # type: ignore[index]
    send = (*fields, ("place", place), ("step", "send"))
    sent, again = (pharmacy.post("/partner/new/medication", *send) for _ in range(2))
    assert (sent.status, again.status) == (303, 303)
    assert sent.headers["location"] == again.headers["location"]
    assert pharmacy.page("/partner").count("M. Une Seule-Fois") == 1
    page = pharmacy.page(sent.headers["location"])
    assert "Prévue" in page
    assert "481516" not in page
    task = pharmacy.account.ask("GET", f"/v1/tasks/{sent.headers['location'].rsplit('/', 1)[1]}").json()
    assert task["placed"]
    assert task["requirements"] == ["seal", "label", "code"]
    assert task["details"]["may_receive"] == ["patient"]
    assert "code" not in task["details"]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (("addressee", ""), "Entrez le nom de la personne."),
        (("address", ""), "Entrez l'adresse."),
        (("on", "2020-01-01"), "Choisissez un jour entre aujourd'hui et dans six mois."),
        (("on", "31/02/2027"), "Entrez une date qui existe"),
        (("from", "10:00"), "Entrez les deux heures, ou aucune."),
        (("about_code", "12"), "Vérifiez cette réponse."),
        (("about_may_receive", "named_relative"), "Vérifiez cette réponse."),
        (("contact_name", "Paul"), "Entrez un numéro de téléphone"),
    ],
)
def test_what_is_wrong_is_said_at_its_field_and_what_was_answered_stays(
    village: Village, wrong: tuple[str, str], said: str
) -> None:
    answer = village.pharmacy.post("/partner/new/medication", *village.pouch(("notes", "Deuxième étage")), wrong)
    assert answer.status == 422
    assert said in words(answer)
    assert "<title>Erreur" in answer.body.decode()
    assert "Deuxième étage" in words(answer)


def test_a_time_when_nobody_would_answer_is_refused_in_words(village: Village) -> None:
    fields = village.pouch(("from", "03:00"), ("until", "04:00"), ("step", "send"), ("place", village.address))
    answer = village.pharmacy.post("/partner/new/medication", *fields, ("key", fresh_key()))
    assert (answer.status, "personne ne pourrait vous répondre" in words(answer)) == (422, True)
    by_day = (*village.pouch(("from", "10:00"), ("until", "12:30")), ("place", village.address))
    assert "de 10 h 00 à 12 h 30" in village.pharmacy.page(village.pharmacy.orders("medication", by_day))


def test_an_address_that_is_not_sure_is_asked_about_and_may_be_kept_as_it_was_written(village: Village) -> None:
    pharmacy, strange = village.pharmacy, ("address", "999 chemin des Inconnus, 00000 Nulle-Part")
    fields = (*village.pouch(name="M. Loin"), strange)
    assert "De quelle adresse s'agit-il ?" in words(pharmacy.post("/partner/new/medication", *fields))
    unsaid = pharmacy.post("/partner/new/medication", *fields, ("step", "place"))
    assert (unsaid.status, "Choisissez une réponse." in words(unsaid)) == (422, True)
    chosen = pharmacy.post("/partner/new/medication", *fields, ("step", "place"), ("place", "typed"))
    assert "Nous ne connaissons pas encore cette adresse" in words(chosen)
    path = pharmacy.orders("medication", (*fields, ("place", "typed")))
    assert "Nous vérifions encore quelle tournée passe" in pharmacy.page(path)


def test_the_chain_of_custody_is_told_in_words_and_both_sides_are_asked(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    pouch = own_id(pharmacy.page(path))
    assert "Où est l'envoi Chez vous" in pharmacy.page(path)
    said = pharmacy.post(f"{path}/say", ("event", "medication.released"))
    assert said.status == 303
    assert pharmacy.post(f"{path}/say", ("event", "medication.received_back")).status == 409
    assert pharmacy.post(f"{path}/say", ("event", "medication.delivered")).status == 409
    village.carrier("medication.picked_up", pouch_id=pouch, seal_intact=True)
    page = pharmacy.page(path)
    assert "Où est l'envoi Avec le facteur" in page
    assert page.count("Les deux côtés") == 1
    assert "Le scellé était intact. Avec le facteur. Les deux côtés ont confirmé cette remise." in page
    whom = {"handed_to": "patient", "label_matched": True, "identity": "document", "code_ok": True}
    village.carrier("medication.delivered", pouch_id=pouch, seal_intact=True, **whom)
    page = pharmacy.page(path)
    assert "Médicaments remis" in page
    assert "Remis à : la personne elle-même" in page
    assert "/ 100." in page
    assert "À faire maintenant" not in page


def test_a_pouch_that_comes_back_is_said_so_and_taken_back(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(name="Mme Absente"), ("place", village.address)))
    pouch = own_id(pharmacy.page(path))
    village.carrier("medication.picked_up", pouch_id=pouch, seal_intact=True)
    village.carrier("medication.returned", pouch_id=pouch, reason="absent")
    page = pharmacy.page(path)
    assert "il vous le rapporte" in page
    assert "Raison : personne n'a répondu" in page
    assert pharmacy.post(f"{path}/say", ("event", "medication.received_back")).status == 303
    page = pharmacy.page(path)
    assert "Retour reçu par la pharmacie" in page
    assert "il vous le rapporte" not in page
    assert pharmacy.post(f"{path}/say", ("event", "medication.received_back")).status == 409


def test_an_order_is_taken_back_until_the_carrier_has_it(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    assert pharmacy.post(f"{path}/cancel").status == 303
    assert "Annulée" in pharmacy.page(path)
    assert pharmacy.post(f"{path}/cancel").status == 303
    taken = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    village.carrier("medication.picked_up", pouch_id=own_id(pharmacy.page(taken)), seal_intact=True)
    refused = pharmacy.post(f"{taken}/cancel")
    assert (refused.status, "Il est trop tard pour annuler ici" in words(refused)) == (409, True)


def test_the_times_and_the_word_of_an_order_are_changed_until_the_carrier_has_it(village: Village) -> None:
    pharmacy = village.pharmacy
    times = (("from", "09:00"), ("until", "11:00"), ("notes", "Sonner"))
    path = pharmacy.orders("medication", (*village.pouch(*times), ("place", village.address)))
    number = own_id(pharmacy.page(path))
    form = pharmacy.get(f"{path}/change").body.decode()
    assert all(f'value="{clock}"' in form for clock in ("09:00", "11:00"))
    assert "Sonner" in form
    wrong = pharmacy.post(f"{path}/change", ("from", "15:00"), ("until", "14:00"))
    assert (wrong.status, "Erreur" in wrong.body.decode()) == (422, True)
    assert pharmacy.post(f"{path}/change", ("from", "14:00"), ("until", "16:00"), ("notes", "Au fond")).status == 303
    page = pharmacy.page(path)
    assert number in page
    assert "Mme Jeanne Essai" in page  # what was not asked is as it was
    assert "de 14 h" in page
    assert "Au fond" in pharmacy.get(f"{path}/change").body.decode()
    assert village.partners["other"].post(f"{path}/change").status == 404
    assert pharmacy.post(f"{path}/change", csrf="x").status == 403
    village.carrier("medication.picked_up", pouch_id=number, seal_intact=True)
    assert pharmacy.get(f"{path}/change").status == 404
    late = pharmacy.post(f"{path}/change", ("notes", "Trop tard"))
    assert (late.status, "Il est trop tard pour modifier ici" in words(late)) == (409, True)


def test_a_danger_to_an_order_stands_first_in_the_list(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(name="Mme Menacée"), ("place", village.address)))
    pouch = own_id(pharmacy.page(path))
    command = village.service.platform.commands.send("medication.at_risk", {"pouch_id": pouch, "reason": "delay"})
    village.service.call(command)
    page = pharmacy.page("/partner")
    assert "votre attention" in page
    assert "Remise de médicaments menacée" in page
    assert page.index("Mme Menacée") < page.index("Mme Jeanne Essai")
    assert "la tournée a du retard" in pharmacy.page(path)


def test_an_order_is_found_by_the_number_that_a_scanner_types(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    pouch = own_id(pharmacy.page(path))
    for typed in (pouch, pouch.lower(), f" {pouch} "):
        assert pharmacy.post("/partner/find", ("number", typed)).headers["location"] == path
    for unknown in ("P-AAAAAAAAAAAA", "' or 1=1", ""):
        answer = pharmacy.post("/partner/find", ("number", unknown))
        assert (answer.status, "À corriger" in words(answer)) == (422, True)
    assert village.partners["other"].post("/partner/find", ("number", pouch)).status == 422


def test_a_visit_says_what_she_agreed_to_let_her_family_know(village: Village) -> None:
    pharmacy, day = village.pharmacy, village.day.isoformat()
    common = village.pouch(("about_kind", "wellbeing"), ("about_questions", "feels_well"), ("about_told", "feels_well"))
    visit = [each for each in common if each[0] != "about_may_receive"]
    refused = pharmacy.post("/partner/new/home_visit", *visit)
    assert (refused.status, "Vérifiez cette réponse." in words(refused)) == (422, True)
    contact = (("contact_name", "Paul"), ("contact_phone", "06 39 98 00 00"))
    agreed = (*visit, ("about_consent_on", day), *contact, ("place", village.address))
    path = pharmacy.orders("home_visit", agreed)
    task = pharmacy.account.ask("GET", f"/v1/tasks/{path.rsplit('/', 1)[1]}").json()
    assert task["details"] == {"kind": "wellbeing", "consent": {"given_on": day, "answers": ["feels_well"]}}
    assert task["form"]["questions"] == {"feels_well": "boolean"}
    assert task["contacts"] == [{"name": "Paul", "phone": "06 39 98 00 00"}]
    assert pharmacy.get(f"{path}/label").status == 404


def test_an_order_is_nobody_elses_and_nothing_is_done_without_the_sessions_token(village: Village) -> None:
    pharmacy, other = village.pharmacy, village.partners["other"]
    path = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    assert [other.get(f"{path}{each}").status for each in ("", "/label", "/proof")] == [404] * 3
    assert [other.post(f"{path}{each}").status for each in ("/cancel", "/say")] == [404] * 2
    for where in (f"{path}/cancel", f"{path}/say", "/partner/find", "/partner/new/medication"):
        assert pharmacy.post(where, csrf="x" * 64).status == 403, where
    assert other.get("/partner/new/home_visit").status == 404
    assert other.post("/partner/new/home_visit", *village.pouch()).status == 404
    assert "Prévue" in pharmacy.page(path)


def test_who_received_a_pouch_is_told_to_an_account_with_the_scope_for_health_alone(village: Village) -> None:
    other = village.partners["other"]
    path = other.orders("medication", (*village.pouch(), ("place", village.address)))
    pouch = own_id(other.page(path))
    village.carrier("medication.picked_up", pouch_id=pouch, seal_intact=True)
    whom = {"handed_to": "patient", "label_matched": True, "identity": "document", "code_ok": True}
    village.carrier("medication.delivered", pouch_id=pouch, seal_intact=True, **whom)
    page = other.page(path)
    assert "Médicaments remis" in page
    assert "Remis à" not in page


def test_the_label_is_a_page_to_print_for_an_open_order_alone(village: Village) -> None:
    pharmacy = village.pharmacy
    path = pharmacy.orders("medication", (*village.pouch(), ("place", village.address)))
    answer = pharmacy.get(f"{path}/label")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/pdf")
    assert answer.body.startswith(b"%PDF-")
    assert pharmacy.post(f"{path}/cancel").status == 303
    assert pharmacy.get(f"{path}/label").status == 404


def test_what_a_partner_reads_is_noted_and_a_person_whose_data_is_erased_has_no_name_and_no_label(
    village: Village,
) -> None:
    pharmacy, database = village.pharmacy, village.service.platform.database
    path = pharmacy.orders("medication", (*village.pouch(name="Mme Effacée"), ("place", village.address)))
    task_id, pouch = path.rsplit("/", 1)[1], own_id(pharmacy.page(path))
    assert pharmacy.get(f"{path}/label").status == 200

    async def noted() -> list[str]:
        async with database.acquire() as connection:
            rows = await connection.fetch("select action from audit where subject = $1", f"task/{task_id}")
        return [row["action"] for row in rows]

    assert village.service.call(noted()) == ["task.seen", "task.seen"]
    village.service.call(village.service.platform.erasing.erase(f"pouch/{pouch}"))
    page = pharmacy.page(path)
    assert "Mme Effacée" not in page
    assert pharmacy.get(f"{path}/label").status == 404
