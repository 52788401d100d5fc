"""`/suivi`: finding an item without an account, the link to it, and what its page says and does not say."""

import contextlib
import random
import re
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from fieldsvc.errors import TooMany
from fieldsvc.following.finding import MOST
from fieldsvc.requests.links import Link, link_key, open_link, seal_link
from fieldsvc.web.following import FINDER, FOLLOWING, LINK_KEY
from handlers import notice_code
from handlers.fields import format_time
from tests.acceptance.service import Answer, Service, field_event, fresh
from tests.databases import drop_database, new_database
from tests.hostile import everybody

POSTCODE, ADDRESS = "93500", "12 rue du Moulin, 93500 Pantin"
FORM = "application/x-www-form-urlencoded"
PHONE = "03 20 00 00 00"
FLOOR_S = 0.03


class Counter:
    """The service with the example round, an account that orders, and its carrier's phone."""

    def __init__(self, service: Service, callers: dict[str, everybody.Headers]) -> None:
        self.service, self.who = service, callers
        self.day = service.platform.runs.today()
        self.run = f"run-{self.day}-T07"

    def order(self, service: str = "item", number: str | None = None, **more: Any) -> str:
        """Order something for stop st-118 today, and return its number."""
        number = number or fresh("RK")
        subject = f"{'pouch' if service == 'medication' else service}/{number}"
        body = {"service": service, "subject": subject, "on": self.day.isoformat(), "delivery_point": "dp-118"}
        body |= {"address": ADDRESS, "addressee": "Mme Canari", **more}
        made = self.service.ask("POST", "/v1/tasks", body, headers=self.who["account"], to_json=True)
        assert made.status == 201, made.body
        return number

    def say(self, name: str, ago_s: float = 2, **data: Any) -> None:
        at = format_time(datetime.now(UTC) - timedelta(seconds=ago_s))
        body = orjson.dumps([field_event(name, data, time=at, runid=self.run)])
        kind = {"Content-Type": "application/cloudevents-batch+json"}
        answer = self.service.ask("POST", "/v1/events", body, headers={**self.who["device"], **kind})
        (result,) = answer.json()["results"]
        assert result["status"] == "accepted", result

    def find(self, number: str, postcode: str = POSTCODE, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        body = urlencode({"number": number, "postcode": postcode})
        return self.service.ask("POST", "/suivi", body, headers={"Content-Type": FORM, **named})

    def notice(self, code: str) -> Answer:
        return self.service.ask("POST", "/suivi/avis", urlencode({"code": code}), headers={"Content-Type": FORM})

    def send(self, path: str, **fields: str) -> Answer:
        return self.service.ask("POST", path, urlencode(fields), headers={"Content-Type": FORM})

    def codes(self) -> list[str]:
        """Read the codes of the notices that wait, oldest first."""

        async def fetch() -> list[Any]:
            async with self.service.platform.database.acquire() as connection:
                rows = await connection.fetch("select sealed from notice where template = 'proof_code' order by id")
            return await self.service.platform.opener.open_blobs([row["sealed"] for row in rows if row["sealed"]])

        return [each["params"]["code"].replace(" ", "") for each in self.service.call(fetch())]

    def rows(self, text: str) -> list[Any]:
        async def fetch() -> list[Any]:
            async with self.service.platform.database.acquire() as connection:
                return await connection.fetch(text)

        return self.service.call(fetch())

    def link(self, number: str) -> str:
        """Find it, and return the address of its page."""
        answer = self.find(number)
        assert answer.status == 303, answer.body
        return answer.headers["location"]

    def page(self, path: str, lang: str = "fr") -> str:
        answer = self.service.ask("GET", f"{path}?lang={lang}", headers={"Accept": "text/html"})
        assert answer.status == 200, answer.body
        return answer.body.decode().replace("\u00a0", " ").replace("&#39;", "'")


@pytest.fixture(scope="module")
def counter(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    url, folder = new_database(postgres_url), tmp_path_factory.mktemp("following")
    service = Service(
        url,
        folder,
        prepare=lambda platform: everybody.load(platform, folder),
        help_phone=PHONE,
        refuses_after_s=FLOOR_S,
    )
    yield Counter(service, service.call(everybody.callers(service.platform, service.url)))
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture(autouse=True)
def _no_tries(counter: Counter) -> None:
    """Every test begins with nobody having tried anything."""

    async def forget() -> None:
        async with counter.service.platform.database.acquire() as connection:
            await connection.execute("delete from tried")

    counter.service.call(forget())


def test_whoever_knows_the_number_and_the_postcode_gets_a_link_that_says_nothing(counter: Counter) -> None:
    number = counter.order()
    path = counter.link(f" {number[:6].lower()} {number[6:]} ")
    assert re.fullmatch(r"/suivi/[A-Za-z0-9_-]{100,}", path)
    assert number not in path
    assert counter.link(number) != path
    for lang, said in (("fr", "Votre envoi arrive bientôt"), ("en", "Your item is coming soon")):
        page = counter.page(path, lang)
        assert f"<h1>{said}</h1>" in page
        assert number in page
        assert PHONE in page
        assert not re.search("Canari|rue du Moulin|93500|st-118|dp-118|Camille", page)


def test_unknown_and_wrong_look_the_same(counter: Counter) -> None:
    number, nowhere = counter.order(), counter.order(address="Lieu-dit sans code")
    tries = [(number, "75001"), (fresh("RK"), POSTCODE), (nowhere, "75001"), ("?" * 20, POSTCODE)]
    answers = [counter.find(*each) for each in tries]
    assert {answer.status for answer in answers} == {422}
    bodies = [answer.body.decode() for answer in answers]
    assert all("Nous ne trouvons pas" in body and "<title>Erreur" in body for body in bodies)
    bodies = [re.sub(r'value="[^"]*"', "", body) for body in bodies]  # what was typed is kept in its field
    assert len(set(bodies)) == 1


def test_unknown_and_wrong_take_the_same_time(counter: Counter, note: Callable[[str], None]) -> None:
    number, spent = counter.order(), dict[str, list[float]]()
    for _ in range(4):
        for name, typed, place in (("unknown", fresh("RK"), POSTCODE), ("wrong", number, "75001")):
            began = time.perf_counter()
            assert counter.find(typed, place).status == 422
            spent.setdefault(name, []).append(time.perf_counter() - began)
    told = ", ".join(f"{name} {1_000 * min(times):.1f} to {1_000 * max(times):.1f} ms" for name, times in spent.items())
    note(f"refusals at /suivi with a floor of {1_000 * FLOOR_S:.0f} ms: {told}")
    assert min(min(times) for times in spent.values()) >= FLOOR_S


def test_what_is_missing_is_said_at_its_field_and_nothing_is_looked_up(counter: Counter) -> None:
    before = counter.service.app[FINDER].looked_up
    answer = counter.find("", "")
    assert answer.status == 422
    assert b'href="#number"' in answer.body
    assert b'href="#postcode"' in answer.body
    assert counter.service.app[FINDER].looked_up == before


def test_ten_wrong_tries_from_one_place_are_enough(counter: Counter) -> None:
    number = counter.order()
    for _ in range(MOST["source"]):
        assert counter.find(fresh("RK")).status == 422
    refused = counter.find(number)
    assert (refused.status, refused.headers["retry-after"]) == (429, "600")
    assert b"Trop d" in refused.body


async def test_a_thousand_guesses_of_five_hundred_places_look_up_ten(
    counter: Counter, note: Callable[[str], None]
) -> None:
    number, finder = counter.order(), counter.service.app[FINDER]

    async def guesses() -> tuple[int, int, int]:
        before, found, refused = finder.looked_up, 0, 0
        for guess in range(1_000):
            try:
                token = await finder.by_number(number, f"{guess:05d}", f"10.0.{guess % 500 // 250}.{guess % 250}")
            except TooMany:
                refused += 1
            else:
                found += token is not None
        return finder.looked_up - before, found, refused

    looked, found, refused = counter.service.call(guesses())
    note(
        f"1,000 guesses of one item's postcode from 500 addresses: {looked} looked up, {found} found, {refused} refused"
    )
    assert (looked, found, refused) == (MOST["number"], 0, 1_000 - MOST["number"])


async def test_walking_a_series_ends_after_thirty(counter: Counter, note: Callable[[str], None]) -> None:
    finder = counter.service.app[FINDER]

    async def walk() -> int:
        before = finder.looked_up
        for guess in range(100):
            with contextlib.suppress(TooMany):
                await finder.by_number(f"RK424242{guess:02d}5FR", POSTCODE, f"10.1.0.{guess}")
        return finder.looked_up - before

    looked = counter.service.call(walk())
    note(f"100 neighbours in a series of numbers from 100 addresses: {looked} looked up")
    assert looked == MOST["series"]


def test_a_link_that_was_changed_or_is_over_opens_nothing(counter: Counter) -> None:
    key, path = counter.service.app[LINK_KEY], counter.link(counter.order())
    over = seal_link(key, Link("item/RK1", datetime.now(UTC) - timedelta(seconds=1)))
    token = path.rpartition("/")[2]
    other = token[:40] + ("A" if token[40] != "A" else "B") + token[41:]
    for wrong in (over, other, token[:-1], token + "A", "x", "%C3%A9", "A" * 2_000):
        answer = counter.service.ask("GET", f"/suivi/{wrong}")
        assert (answer.status, answer.code) == (410, "link_gone"), wrong
        page = counter.service.ask("GET", f"/suivi/{wrong}", headers={"Accept": "text/html"})
        assert page.status == 410
        assert b'href="/suivi"' in page.body


def test_a_token_opens_with_its_own_key_alone_and_keeps_what_it_was_made_with(counter: Counter) -> None:
    vault = counter.service.platform.vault
    link = Link("item/RK1", datetime.fromtimestamp(4_000_000_000, UTC), frozenset({"see"}), "93500", {"via": "notice"})
    token = seal_link(link_key(vault), link)
    assert open_link(link_key(vault), token) == link
    assert open_link(vault.derived_key("another"), token) is None
    assert open_link(link_key(vault), token, now=link.expires_at) is None


def test_the_page_tells_each_step_in_words_and_where_the_item_waits(counter: Counter) -> None:
    number = counter.order()
    path, until = counter.link(number), (counter.day + timedelta(days=15)).isoformat()
    counter.say("item.loaded", 300, item_id=number)
    assert "<h1>Votre envoi est en cours de distribution</h1>" in counter.page(path)
    counter.say("item.delivery_attempted", 200, item_id=number, reason="dog", next="office_hold", stop_id="st-118")
    page = counter.page(path)
    assert "<p>Accès impossible.</p>" in page
    assert "Il part au bureau" in page
    assert "dog" not in page
    counter.say("item.held", 100, item_id=number, office="Pantin centre", shelf="B-12", until=until)
    for lang, said in (("fr", "Il vous attend à : Pantin centre."), ("en", "It waits for you at: Pantin centre.")):
        page = counter.page(path, lang)
        assert said in page
        assert "B-12" not in page
    counter.say("item.collected", 10, item_id=number)
    page = counter.page(path, "en")
    assert "<h1>Your item was collected</h1>" in page
    assert page.index("Collected</strong>") < page.index("Held for collection") < page.index("With the carrier")
    assert page.count("<time ") == 4


def test_who_took_it_is_said_in_a_word_and_never_by_name(counter: Counter) -> None:
    number = counter.order()
    proof = {"acceptor": {"surname": "Voisin", "first_name": "Paul", "capacity": "addressee"}, "signature": "x"}
    counter.say("item.delivered", item_id=number, to="neighbour", stop_id="st-118", proof=proof)
    page = counter.page(counter.link(number))
    assert "Remis à un voisin." in page
    assert "Paul" not in page


def test_of_a_pouch_no_word_says_what_it_is(counter: Counter) -> None:
    number = fresh("P")
    until = format_time(datetime.now(UTC) + timedelta(hours=3))
    window = {"from": format_time(datetime.now(UTC)), "until": until}
    counter.order("medication", number, window=window, person="patient-1")
    counter.say("medication.picked_up", pouch_id=number, seal_intact=True)
    for lang, said in (("fr", "Votre pli est en chemin"), ("en", "Your packet is on its way")):
        page = counter.page(counter.link(number), lang)
        assert f"<h1>{said}</h1>" in page
        assert not re.search(
            "(?i)m[ée]dic|pharmac|health|santé|seal|scell", page.partition("<main")[2].partition("</main")[0]
        )


def test_the_interval_and_the_stops_are_told_only_on_duty_and_in_the_bag(counter: Counter) -> None:
    number, left = counter.order(), counter.order()
    path, other = counter.link(number), counter.link(left)
    assert "arrêts" not in counter.page(path)
    counter.say("run.started", 600, run_id=counter.run)
    assert "Passage prévu entre" not in counter.page(path)
    counter.say("item.loaded", 500, item_id=number)
    counter.service.app[FOLLOWING].approaches._told.clear()
    page = counter.page(path)
    near = re.search(r"Passage prévu entre (\d+) h (\d\d) et (\d+) h (\d\d)", page)
    assert near
    assert {near[2], near[4]} <= {"00", "15", "30", "45"}
    assert "Passage prévu entre" not in counter.page(other)
    fix = {"fixed_at": format_time(datetime.now(UTC)), "lat": 48.93784, "lon": 2.15801, "accuracy_m": 5.0}
    sent = counter.service.ask("POST", "/v1/positions", {"fixes": [fix]}, headers=counter.who["device"], to_json=True)
    assert sent.status == 200
    _until(lambda: "3 adresses au plus avant la vôtre" in counter.page(path))
    counter.say("run.ended", 0, run_id=counter.run)
    counter.service.app[FOLLOWING].approaches._told.clear()
    assert "arrêts" not in counter.page(path)


def test_the_code_of_a_paper_notice_opens_what_it_is_about_and_nothing_more(counter: Counter) -> None:
    first, second = counter.order(), counter.order()
    letters = "".join(random.choices(notice_code.ALPHABET, k=8))
    code = letters + notice_code.check_letter(letters)
    about = {"item_ids": [first, second], "reason": "absent", "next": "office_hold", "stop_id": "st-118"}
    assert counter.notice(code).status == 422
    counter.say("item.delivery_attempted", **about, notice_code=code)
    found = counter.notice(f" {code[:3].lower()}-{code[3:6]} {code[6:]}")
    assert found.status == 303
    page = counter.page(found.headers["location"])
    assert first in page
    assert second in page
    (other,) = re.findall(rf'<a href="(/suivi/[^"]+)">(?:{first}|{second})</a>', page)
    assert "pas pu vous remettre votre envoi" in counter.page(other)
    wrong = counter.notice(letters + ("2" if code[-1] != "2" else "3"))
    assert wrong.status == 422
    assert b"Nous ne trouvons pas d" in wrong.body
    rows = counter.rows("select code_hmac, subject from notice_code")
    assert {f"item/{first}", f"item/{second}"} <= {row["subject"] for row in rows}
    assert not any(code.encode() in bytes(row["code_hmac"]) for row in rows)


def test_the_proof_is_shown_to_who_typed_the_code_that_went_to_their_own_contact(counter: Counter) -> None:
    contacts = [{"name": "Mme Canari", "email": "claire@example.org", "phone": "+33612345678"}]
    number, other = counter.order(contacts=contacts), counter.order()
    for each in (number, other):
        counter.say("item.delivered", item_id=each, to="addressee", stop_id="st-118", proof={"signature": "x"})
    path = counter.link(number)
    assert "Preuve de remise" in counter.page(path)
    assert counter.service.ask("GET", f"{path}/preuve.pdf").status == 404
    page = counter.page(f"{path}/preuve")
    assert "c•••@e•••.org" in page
    assert "•••• 78" in page
    assert "claire@" not in page
    assert counter.send(f"{path}/preuve", way="9").status == 422
    asked = counter.send(f"{path}/preuve", way="0")
    (code,) = counter.codes()
    typing = asked.headers["location"]
    assert counter.service.ask("GET", f"{typing}.pdf").status == 404
    assert counter.send(typing, code="000000" if code != "000000" else "000001").status == 422
    shown = counter.send(typing, code=f"{code[:3]} {code[3:]}")
    assert shown.status == 303
    found = counter.service.ask("GET", f"{shown.headers['location']}.pdf?lang=en")
    assert (found.status, found.headers["content-type"], found.body[:5]) == (200, "application/pdf", b"%PDF-")
    assert "ni adresse e-mail ni mobile" in counter.page(f"{counter.link(other)}/preuve")


def test_a_code_for_the_proof_is_not_guessed(counter: Counter) -> None:
    number = counter.order(contacts=[{"email": "guess@example.org"}])
    counter.say("item.delivered", item_id=number, to="mailbox", stop_id="st-118")
    path = f"{counter.link(number)}/preuve"
    typing = counter.send(path, way="0").headers["location"]
    code = counter.codes()[-1]
    wrong = [f"{(int(code) + each) % 10**6:06}" for each in range(1, 6)]
    assert [counter.send(typing, code=each).status for each in wrong] == [422] * 5
    assert counter.send(typing, code=code).status == 429
    assert [counter.send(path, way="0").status for _ in range(3)] == [303, 303, 429]


def test_words_alone_are_there_in_both_languages(counter: Counter) -> None:
    for path in ("/suivi", "/suivi/avis", "/suivi/aide", "/suivi/accessibilite", "/suivi/confidentialite"):
        pages = [counter.page(path, lang) for lang in ("fr", "en")]
        assert pages[0] != pages[1]
        assert all(page.count("<h1>") == 1 for page in pages)
    linked = counter.service.ask("GET", "/suivi?code=RK123456785FR").body  # as Suivi v2 writes it
    assert b'value="RK123456785FR"' in linked


def test_everybody_finds_where_to_sign_in(counter: Counter) -> None:
    assert 'href="/suivi/sign-in"' in counter.page("/suivi")
    for path in ("/", "/suivi/sign-in"):
        assert 'href="/staff/sign-in"' in counter.page(path)


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.05)
