"""A new integrator's whole path, along docs/integrating.md: account, sandbox, key, endpoint, order, signed event, certificate."""

import html
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson
import pytest

from fieldsvc.access import accounts
from fieldsvc.certifying.sending import Pace
from fieldsvc.journal.timers import Timers
from fieldsvc.publishing.signing import new_secret
from fieldsvc.web import account_catalogue, account_certify
from fieldsvc.web.account_keys import CHOICES
from fieldsvc.web.auth import SESSION_COOKIE
from tests.acceptance.service import Answer, Caller, Service
from tests.databases import drop_database, new_database

DOCS = Path(__file__).parents[2] / "docs"
FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FORM = "application/x-www-form-urlencoded"
PATIENCE_S = 30.0


def fences(page: str, language: str) -> list[str]:
    """The snippets of a page in a language."""
    return [text for name, text in FENCE.findall((DOCS / page).read_text(encoding="utf-8")) if name == language]


def command(word: str) -> str:
    """The one command of the page that holds a word."""
    (found,) = [text for text in fences("integrating.md", "sh") if word in text and "curl" in text]
    return found


def csrf_in(page: str) -> str:
    """The token of the session in a page."""
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', page)
    assert found is not None
    return found[1]


@dataclass
class Browser:
    """Somebody who clicks: a session, and forms filled in as their page has them."""

    service: Service
    cookie: str = ""

    def get(self, path: str, status: int = 200) -> str:
        answer = self.service.ask("GET", path, headers={"Cookie": self.cookie, "Accept": "text/html"})
        assert answer.status == status, (path, answer.status, answer.body[:300])
        return html.unescape(answer.body.decode())

    def send(self, path: str, *, to: str = "", **fields: Any) -> Answer:
        """Send the form of a page to the page itself, or to a path below it; with its token against a second click."""
        page = self.get(path)
        once = re.findall(r'name="once" value="([0-9a-f]+)"', page)[:1]
        return self.post(path + to, csrf_in(page), once=once, **fields)

    def post(self, path: str, csrf: str, **fields: Any) -> Answer:
        body = urlencode({"csrf": csrf, **fields}, doseq=True)
        headers = {"Cookie": self.cookie, "Content-Type": FORM, "Accept": "text/html"}
        return self.service.ask("POST", path, body, headers=headers)

    def csrf(self, page: str) -> str:
        return csrf_in(self.get(page))

    def sign_in(self, path: str) -> "Browser":
        """Press the button of a sign-in link."""
        database, token = self.service.platform.database, path.rpartition("/")[2]
        session = self.service.call(accounts.sign_in(database, token, loopback=True))
        assert session is not None
        return Browser(self.service, f"{SESSION_COOKIE}={session}")


@dataclass
class Receiver:
    """The receiver of docs/subscribers.md, in a process of its own."""

    folder: Path
    port: int = 0
    process: "subprocess.Popen[bytes] | None" = field(default=None)

    def __post_init__(self) -> None:
        parts = [
            text for text in fences("subscribers.md", "python") if "import hmac" in text or "import sqlite3" in text
        ]
        (self.folder / "receiver.py").write_text("\n".join(parts))
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = int(free.getsockname()[1])

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/"

    def start(self, *secrets: str) -> None:
        """Start it with these keys, anew if it runs."""
        self.stop()
        books = str(self.folder / f"books-{len(secrets)}.db")
        environment = {**os.environ, "SECRETS": " ".join(secrets), "BOOKS": books, "PORT": str(self.port)}
        self.process = subprocess.Popen([sys.executable, "receiver.py"], cwd=self.folder, env=environment)
        until(self.listens)

    def listens(self) -> bool:
        with socket.socket() as trying:
            return trying.connect_ex(("127.0.0.1", self.port)) == 0

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(20)

    def ids(self) -> set[str]:
        """Read which events it holds from its own report."""
        asked = subprocess.run(["curl", "--silent", "--fail", self.url], capture_output=True, check=True, timeout=20)
        return {each["id"] for each in orjson.loads(asked.stdout)["applied"]}


def until(is_so: Callable[[], bool]) -> None:
    """Poll until something is so."""
    deadline = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.fixture(scope="module")
def service(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)
    running = Service(url, tmp_path_factory.mktemp("integrator"))
    running.app[account_certify.RUNS]._pace = Pace(drip_s=0.01, pause_s=0.1)
    yield running
    running.close()
    drop_database(postgres_url, url)


@pytest.fixture(scope="module")
def member(service: Service) -> Browser:
    """Lina, of an account that the operator made."""
    database = service.platform.database
    made = service.call(accounts.create_subscriber(database, "Pharmacie du Moulin", scopes=("order:item",)))
    person = service.call(
        accounts.create_person(
            database, service.url, "member", email="lina@pharmacie.invalid", parent=made["account_id"]
        )
    )
    return Browser(service).sign_in(person["sign_in_url"].removeprefix(service.url))


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    made = Receiver(tmp_path)
    yield made
    made.stop()


def run(text: str, environment: Mapping[str, str]) -> Any:
    """Run a command of the page as a reader does."""
    ran = subprocess.run(
        ["/bin/sh", "-c", text], env={**os.environ, **environment}, capture_output=True, timeout=30, check=False
    )
    assert ran.returncode == 0, (text, ran.stdout, ran.stderr)
    return orjson.loads(ran.stdout)


def play(service: Service) -> None:
    """Let a minute of the sandbox pass at once."""
    timers = Timers(service.platform.database, service.platform.commands)
    for minute in (1, 2):
        service.call(timers.fire(datetime.now(UTC) + timedelta(minutes=minute)))


def get_it_wrong_and_mend_it(lina: Browser, page: str, receiver: Receiver, *, right: str) -> None:
    """Start the receiver with another key, see the endpoint suffer, start it with the right one and send again what failed."""
    receiver.start(new_secret())
    address = "3 rue du Moulin, 93500 Pantin"
    ordered = lina.send("/integrations/sandbox", to="/orders", order="item delivered", address=address)
    item = ordered.headers["location"].partition("made=")[2]
    until(lambda: "a-t-il la clé de ce point d'accès" in lina.get(page))
    (event,) = set(
        re.findall(rf"{page}/events/(evt_[0-9a-f-]+)", lina.get(f"{page}?about=item/{item}&type=task.planned"))
    )
    receiver.start(right)
    again = lina.send(page, do="again", what="failed", **{"from": "2026-01-01T00:00"})
    assert again.headers["location"].endswith("?done=recovered")
    until(lambda: event in receiver.ids())


def test_a_new_integrator_gets_from_nothing_to_certified(service: Service, member: Browser, receiver: Receiver) -> None:
    entered = member.post("/integrations/sandbox", member.csrf("/integrations/sandbox"))
    assert entered.status == 303
    lina = member.sign_in(entered.headers["location"])
    made = lina.send("/integrations/keys", name="Premier essai", scope="order:item")
    assert made.status == 201, made.body
    (key,) = set(re.findall(r"fsk_[A-Za-z0-9_-]+", made.body.decode()))

    environment = {"SERVICE": service.url, "FIELDSVC_API_KEY": key, "HOOK": receiver.url}
    endpoint = run(command("/v1/endpoints"), environment)
    receiver.start(endpoint["secret"])
    task = run(command("/v1/tasks"), environment)
    csrf = member.csrf("/integrations/sandbox")
    outside = member.post("/integrations/sandbox/orders", csrf, order="item delivered", address="2 rue A")
    assert outside.status == 404  # what is ordered in the real account is real
    ordered = lina.post(
        "/integrations/sandbox/orders",
        lina.csrf("/integrations/sandbox"),
        order="item delivery_attempted",
        address="2 rue du Moulin, 93500 Pantin",
    )
    assert ordered.status == 303, ordered.body
    play(service)
    events = Caller(service, "", key).feed("item.*")
    ends = {each["type"] for each in events if each["subject"] == task["subject"]}
    assert "fieldsvc.item.delivered.v1" in ends
    assert "fieldsvc.item.delivery_attempted.v1" in {each["type"] for each in events}
    until(lambda: {each["id"] for each in events} <= receiver.ids())
    assert {each["id"] for each in run(command("/v1/feed"), environment)["events"]} <= {each["id"] for each in events}
    assert task["subject"] in lina.get("/integrations/sandbox")
    assert "bac à sable : tout est inventé" in lina.get("/integrations").replace("\xa0", " ")
    get_it_wrong_and_mend_it(lina, f"/integrations/endpoints/{endpoint['id']}", receiver, right=endpoint["secret"])

    page = lina.get("/integrations/certify")
    keys = re.findall(r'name="(?:first|second)" value="(whsec_[^"]+)"', page)
    receiver.start(*keys)
    csrf = lina.csrf("/integrations/certify")
    begun = lina.post(
        "/integrations/certify",
        csrf,
        first=keys[0],
        second=keys[1],
        url=receiver.url,
        report=receiver.url,
        size="short",
    )
    assert begun.status == 303, begun.body
    day = begun.headers["location"]
    until(lambda: "data-running" not in lina.get(day))
    assert "<h1>Certifié</h1>" in lina.get(day), lina.get(day)
    history = lina.get("/integrations/audit")
    assert "clé créée" in history
    assert "certification lancée" in history
    assert "lina@pharmacie.invalid" in history


def test_a_key_is_shown_once_has_its_own_scopes_and_is_refused_once_revoked(service: Service, member: Browser) -> None:
    made = member.send("/integrations/keys", name="Lecture")
    (key,) = set(re.findall(r"fsk_[A-Za-z0-9_-]+", made.body.decode()))
    caller = Caller(service, "", key)
    assert caller.ask("GET", "/v1/feed").status == 200
    refused = caller.ask("POST", "/v1/tasks", {"service": "item", "address": "12 rue du Moulin, 93500 Pantin"})
    assert (refused.status, refused.code) == (403, "forbidden")  # the account may, this key may not
    page = member.get("/integrations/keys")
    assert key not in page
    assert datetime.now(UTC).strftime("%d/%m/") in page
    key_id = re.findall(r"/integrations/keys/(key_[0-9a-f]{16})/revoke", page)[0]
    csrf = member.csrf("/integrations/keys")
    assert member.post(f"/integrations/keys/{key_id}/revoke", csrf).status == 303
    assert caller.ask("GET", "/v1/feed").status == 403
    assert member.post(f"/integrations/keys/{key_id}/revoke", csrf).status == 404


def test_a_key_of_another_account_is_no_key_and_a_scope_that_the_account_lacks_is_refused(
    service: Service, member: Browser
) -> None:
    database = service.platform.database
    other = service.call(accounts.create_subscriber(database, "Autre"))
    person = service.call(
        accounts.create_person(database, service.url, "member", email="x@autre.invalid", parent=other["account_id"])
    )
    stranger = Browser(service).sign_in(person["sign_in_url"].removeprefix(service.url))
    made = member.send("/integrations/keys", name="À nous")
    key_id = re.findall(r"/integrations/keys/(key_[0-9a-f]{16})/revoke", made.body.decode())[0]
    csrf = stranger.csrf("/integrations/keys")
    assert stranger.post(f"/integrations/keys/{key_id}/revoke", csrf).status == 404
    assert stranger.post("/integrations/keys", csrf, name="x", scope="operator").status == 422
    assert stranger.post("/integrations/keys", csrf, name="").status == 422
    assert stranger.post("/integrations/keys", "0" * 64, name="x").status == 403
    assert stranger.post("/integrations/keys/first/revoke", csrf).status == 303  # theirs, and only theirs
    assert Caller(service, "", other["api_key"]).ask("GET", "/v1/feed").status == 401


@pytest.mark.parametrize("whole", [True, False])
def test_who_is_revoked_is_out_of_the_sandbox_too(service: Service, *, whole: bool) -> None:
    database = service.platform.database
    made = service.call(accounts.create_subscriber(database, "Sortie"))
    email, other = f"a@{made['account_id']}.invalid", f"b@{made['account_id']}.invalid"
    people = [
        service.call(accounts.create_person(database, service.url, "member", email=each, parent=made["account_id"]))
        for each in (email, other)
    ]
    inside = []
    for person in people:
        real = Browser(service).sign_in(person["sign_in_url"].removeprefix(service.url))
        entered = real.post("/integrations/sandbox", real.csrf("/integrations/sandbox"))
        inside.append(real.sign_in(entered.headers["location"]))
        inside[-1].get("/integrations/keys")
    service.call(accounts.revoke_account(database, made["account_id"] if whole else people[0]["account_id"]))
    service.platform.access.forget()
    inside[0].get("/integrations/keys", 401)
    inside[1].get("/integrations/keys", 401 if whole else 200)


def test_every_type_of_the_catalogue_has_its_page_with_fields_and_an_example(member: Browser) -> None:
    listed = member.get("/integrations/catalogue")
    names = re.findall(r'href="/integrations/catalogue/([a-z_.]+)"', listed)
    assert len(names) > 80
    for name in names[::7]:
        page = member.get(f"/integrations/catalogue/{name}?lang=en")
        assert f"fieldsvc.{name}.v1" in page
        assert '"specversion": "1.0"' in page
    found = member.get("/integrations/catalogue?q=delivered")
    assert "item.delivered" in found
    assert "home_visit.completed" not in found
    member.get("/integrations/catalogue/no.such", 404)


def test_the_feed_page_shows_what_went_by_and_a_cursor_that_the_feed_takes(service: Service, member: Browser) -> None:
    page = member.get("/integrations/feed?lang=en")
    cursor = re.search(r'id="cursor"[^>]*><code>([A-Za-z0-9_-]+)<', page)
    assert cursor is not None
    made = member.send("/integrations/keys", name="Curseur")
    (key,) = set(re.findall(r"fsk_[A-Za-z0-9_-]+", made.body.decode()))
    assert Caller(service, "", key).ask("GET", f"/v1/feed?after={cursor[1]}").json()["events"] == []


def test_the_feed_page_leads_through_every_event_once_and_keeps_what_was_asked(
    service: Service, member: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(account_catalogue, "SHOWN", 3)
    entered = member.post("/integrations/sandbox", member.csrf("/integrations/sandbox"))
    lina = member.sign_in(entered.headers["location"])
    for _ in range(4):
        assert lina.send("/integrations/sandbox", to="/orders", order="item delivered", address="2 rue A").status == 303
    key = re.findall(r"fsk_[A-Za-z0-9_-]+", lina.send("/integrations/keys", name="Pages").body.decode())[0]
    known = [each["id"] for each in Caller(service, "", key).feed("task.*")]
    assert len(known) >= 4
    seen, page = list[str](), lina.get("/integrations/feed?ago=oldest&types=task.*&lang=en")
    while "More follow." in page:
        seen += re.findall(r">(evt_[0-9a-f_-]+)<", page)
        (following,) = re.findall(r'href="(/integrations/feed\?[^"]+)">Next page', page)
        assert "types=task.%2A" in following
        page = lina.get(f"{following}&lang=en")
    seen += re.findall(r">(evt_[0-9a-f_-]+)<", page)
    assert seen == known
    assert "That is all for now." in page or "No event" in page
    lina.get("/integrations/feed?after=garbage", 400)
    assert "evt_" in lina.get("/integrations/feed?ago=day")  # a store younger than a day begins at its oldest event


def test_a_key_whose_form_is_sent_twice_is_one_key_and_shown_twice_for_a_while(
    service: Service, member: Browser
) -> None:
    page = member.get("/integrations/keys")
    once = re.findall(r'name="once" value="([0-9a-f]+)"', page)[0]
    made = [member.post("/integrations/keys", csrf_in(page), name="Deux fois", once=once) for _ in range(2)]
    keys = [re.findall(r"fsk_[A-Za-z0-9_-]+", each.body.decode())[0] for each in made]
    assert keys[0] == keys[1]
    assert Caller(service, "", keys[0]).ask("GET", "/v1/feed").status == 200
    assert len(re.findall(r'<th scope="row">Deux fois</th>', member.get("/integrations/keys"))) == 1
    key_id = re.findall(r"/integrations/keys/(key_[0-9a-f]{16})/revoke", member.get("/integrations/keys"))[0]
    member.post(f"/integrations/keys/{key_id}/revoke", csrf_in(page))
    late = member.post("/integrations/keys", csrf_in(page), name="Deux fois", once=once)
    assert (late.status, late.headers["location"]) == (303, "/integrations/keys")
    other = member.post("/integrations/keys", csrf_in(page), name="Autre", once=once)
    assert keys[0] not in other.body.decode()


def test_a_certification_goes_nowhere_that_webhooks_may_not_go(member: Browser) -> None:
    page = member.get("/integrations/certify")
    keys = re.findall(r'name="(?:first|second)" value="(whsec_[^"]+)"', page)
    csrf = member.csrf("/integrations/certify")
    for url in ("https://10.0.0.1/hook", "http://example.org/hook", "https://localhost.internal/", "ftp://x", ""):
        asked = member.post("/integrations/certify", csrf, first=keys[0], second=keys[1], url=url)
        assert asked.status == 422, url
        assert "<title>Erreur" in html.unescape(asked.body.decode())
    assert member.post("/integrations/certify", csrf, first="x", second="y", url="https://a.example/").status == 400


def test_somebody_declines_a_kind_of_mail_by_its_link_without_signing_in(service: Service) -> None:
    link = service.app[CHOICES].link("lina@pharmacie.invalid", "endpoints")
    path = "/mail/" + link.rpartition("/")[2]
    seen = Browser(service).get(path)
    assert "lina" not in seen
    choice = service.app[CHOICES].of("Lina@Pharmacie.invalid", "endpoints")
    assert not service.call(service.app[CHOICES].is_declined(choice))  # looking changes nothing
    one_click = service.ask("POST", path, b"List-Unsubscribe=One-Click", headers={"Content-Type": FORM})
    assert one_click.status == 200
    assert service.call(service.app[CHOICES].is_declined(choice))
    assert service.ask("POST", path, b"again=yes", headers={"Content-Type": FORM}).status == 200
    assert not service.call(service.app[CHOICES].is_declined(choice))
    assert service.ask("GET", path[:-6] + "AAAAAA").status == 410
