"""The pages of subscribers over HTTP: an account's people see and change its endpoints, and nobody else's."""

import html
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

import pytest

from fieldsvc.access import accounts, tokens
from fieldsvc.publishing.signing import verify
from fieldsvc.store import attempts
from fieldsvc.store.attempts import Attempt
from fieldsvc.web.pages.words import words_of
from fieldsvc.web.portal import REMEDIES
from fieldsvc.web.portal_snippets import SNIPPETS
from tests.acceptance.conftest import World, a_world
from tests.acceptance.service import Answer, field_event, fresh
from tests.web.pressing import form_of

FORM = "application/x-www-form-urlencoded"
PATH, KEY = re.compile(r"/integrations/endpoints/ep_[0-9a-f]{32}"), re.compile(r"whsec_[A-Za-z0-9+/]{43}=")
SUBSCRIBERS = Path(__file__).parents[2] / "docs" / "subscribers.md"


@dataclass
class Receiver:
    """A receiver that answers as it is told, and remembers what came."""

    status: int = 200
    came: list[tuple[dict[str, str], bytes]] = field(default_factory=list)

    def __post_init__(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.came.append(({name.lower(): value for name, value in self.headers.items()}, body))
                said = b"<b>answer</b>"
                self.send_response(receiver.status)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                return

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@dataclass
class Someone:
    """A person of an account at the pages."""

    world: World
    session: str

    def get(self, path: str, *, lang: str = "fr") -> Answer:
        headers = {"Cookie": f"fieldsvc_session={self.session}; fieldsvc_lang={lang}", "Accept": "text/html"}
        return self.world.service.ask("GET", path, headers=headers)

    def shows(self, path: str, *, lang: str = "fr") -> str:
        answer = self.get(path, lang=lang)
        assert answer.status == 200, (path, answer.status)
        return html.unescape(answer.body.decode())

    def post(self, path: str, *, token: str | None = None, **fields: Any) -> Answer:
        csrf = tokens.csrf_of(self.session) if token is None else token
        body = urlencode({"csrf": csrf, **fields}, doseq=True)
        headers = {"Cookie": f"fieldsvc_session={self.session}; fieldsvc_lang=fr", "Content-Type": FORM}
        return self.world.service.ask("POST", path, body.encode(), headers=headers)

    def press(self, page: str, button: str, **typed: str) -> Answer:
        """Press a button of a page as a browser without scripts does, after typing something over what stands there."""
        sheet = form_of(self.get(page).body.decode(), button)
        fields: dict[str, list[str]] = {}
        for name, value in sheet.fields:
            fields.setdefault(name, []).append(value)
        return self.post(sheet.action or page, token=fields.pop("csrf")[0], **{**fields, **typed})

    def make(self, url: str, **fields: Any) -> tuple[str, str]:
        """Make an endpoint by the form; its path and key."""
        made = self.post("/integrations/endpoints/new", **{**ALL, "url": url, **fields})
        assert made.status == 201, made.body.decode()
        page = html.unescape(made.body.decode())
        return PATH.findall(page)[0], KEY.findall(page)[0]


ALL: Mapping[str, Any] = {
    "which": "all",
    "format": "cloudevents",
    "mode": "subject",
    "on_exhausted": "dead_letter",
    "start": "now",
}


def sign_in(world: World, parent: str) -> Someone:
    async def run() -> str:
        database = world.service.platform.database
        email = f"{fresh('m').lower()}@demo.invalid"
        made = await accounts.create_person(database, world.service.url, "member", email=email, parent=parent)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        return session

    return Someone(world, world.service.call(run()))


@pytest.fixture(scope="module")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with a_world(postgres_url, tmp_path_factory.mktemp("portal")) as own:
        yield own


@pytest.fixture(scope="module")
def member(world: World) -> Someone:
    return sign_in(world, world.shop.name)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    made = Receiver()
    yield made
    made.close()


def until(found: Callable[[], Any]) -> Any:
    """Poll until something is there."""
    deadline = time.monotonic() + 30
    while not (there := found()):
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.05)
    return there


def once_of(someone: Someone, page: str) -> str:
    """The token with which a form is shown."""
    found = re.search(r'name="once" value="([0-9a-f]{32})"', someone.shows(page))
    assert found is not None, page
    return found[1]


def say(world: World, *names: str) -> str:
    """Order an item for the shop and let its phone tell of it; its id."""
    item = fresh("RK")
    world.order("shop", "item", f"item/{item}")
    for name in names:
        more = {"to": "mailbox", "stop_id": "st-118"} if name == "item.delivered" else {}
        (result,) = world.phone.send(field_event(name, {"item_id": item, **more}, runid=world.run_id))
        assert result["status"] == "accepted", result
    return item


def test_the_key_is_shown_once_and_the_endpoint_is_what_the_interface_says(
    world: World, member: Someone, receiver: Receiver
) -> None:
    path, secret = member.make(
        receiver.url, which="some", types=["item.*", "home_visit.alert"], patterns="*.alert", sites="site-pantin",
        postcodes="93, 75019", field0="to", op0="in", value0="mailbox, neighbour", rate_per_s="2,5", description="Dépôt",
        headers="X-Tenant: nord", bearer="a-token",
    )  # fmt: skip
    made = world.shop.ask("GET", f"/v1/endpoints/{path.rsplit('/', 1)[1]}").json()
    assert (made["types"], made["postcodes"]) == (["item.*", "home_visit.alert", "*.alert"], ["93", "75019"])
    assert made["filter"] == {"data": {"to": {"$in": ["mailbox", "neighbour"]}}}
    assert (made["rate_per_s"], made["headers"], made["bearer"], made["description"]) == (
        2.5,
        ["X-Tenant"],
        True,
        "Dépôt",
    )
    for page in ("", "/edit", "/secret"):
        shown = member.shows(path + page)
        assert secret not in shown
        assert "a-token" not in shown
    assert "Dépôt" in member.shows("/integrations")
    same = member.post(
        f"{path}/edit", **{**ALL, "url": receiver.url, "which": "some", "types": ["item.held"], "description": "Sud"}
    )
    assert (same.status, same.headers["location"]) == (303, f"{path}?done=changed")
    changed = world.shop.ask("GET", f"/v1/endpoints/{path.rsplit('/', 1)[1]}").json()
    assert (changed["types"], changed["filter"], changed["bearer"]) == (["item.held"], None, True)


def test_a_private_address_is_refused_in_words_and_what_was_filled_in_stays(member: Someone) -> None:
    answer = member.post(
        "/integrations/endpoints/new", **{**ALL, "url": "https://10.1.2.3/hook", "description": "Mine"}
    )
    page = html.unescape(answer.body.decode())
    assert answer.status == 422
    assert "Erreur\xa0:" in re.findall(r"<title>(.*?)</title>", page)[0]
    assert "Cette adresse est dans un réseau privé" in page
    assert 'value="https://10.1.2.3/hook"' in page
    assert 'value="Mine"' in page
    assert 'href="#url"' in page
    boxes = re.findall(r'name="types" value="([a-z_.]+)"', member.shows("/integrations/endpoints/new"))
    every = member.post(
        "/integrations/endpoints/new", **{**ALL, "url": "https://a.example/", "which": "some", "types": boxes}
    )
    assert (len(boxes) > 100, every.status) == (True, 422)  # more than an endpoint may name, said in words
    assert "50 au plus" in html.unescape(every.body.decode())


def test_attempts_are_listed_filtered_and_opened(world: World, member: Someone, receiver: Receiver) -> None:
    path, secret = member.make(receiver.url)
    item = say(world, "item.loaded", "item.delivered")
    page = until(lambda: found if "<code>item.delivered</code>" in (found := member.shows(path)) else None)
    assert page.count(f"item/{item}") >= 3  # planned, loaded, delivered
    assert "item.loaded" not in member.shows(f"{path}?type=item.delivered").partition('id="attempts"')[2]
    assert "Aucun envoi ne répond" in member.shows(f"{path}?status=failed")
    assert "Aucun envoi ne répond" in member.shows(f"{path}?status=404")
    assert f"item/{item}" in member.shows(
        f"{path}?status=ok&about=item/{item}&since=2026-01-01T00:00&until=2099-01-01T00:00"
    )
    assert "Entrez un jour" in member.shows(f"{path}?since=hier")
    event = next(h["webhook-id"] for h, body in receiver.came if b"item.delivered" in body)
    shown = member.shows(f"{path}/events/{event}")
    assert '"to": "mailbox"' in shown
    assert "<b>answer</b>" in shown
    assert "<b>answer" not in member.get(f"{path}/events/{event}").body.decode()  # text, never markup
    assert "curl -i" in shown
    headers = dict(re.findall(r"-H '(webhook-[a-z]+): ([^']+)'", shown))
    body = re.findall(r"--data-binary '(.*?)'</code>", shown, re.DOTALL)[0]
    assert verify([secret], headers, body.encode(), now=time.time()) == event
    again = member.post(f"{path}/resend", event_id=event)
    assert again.headers["location"].endswith("?done=resent")
    assert [h["webhook-id"] for h, _ in receiver.came].count(event) == 2


def test_a_receiver_that_is_gone_is_mended_and_gets_what_it_missed(
    world: World, member: Someone, receiver: Receiver
) -> None:
    receiver.status = 410
    path, _secret = member.make(receiver.url)
    first = say(world, "item.loaded")
    page = until(lambda: found if "désactivé par nos soins" in (found := member.shows(path)) else None)
    assert "il ne veut plus rien recevoir" in page
    assert "désactivé par nos soins" in member.shows("/integrations")
    receiver.status = 204
    assert member.post(f"{path}/test").headers["location"].endswith("?done=tested")
    assert "L'exemple est envoyé et accepté" in member.shows(f"{path}?done=tested")
    receiver.came.clear()
    assert member.post(path, do="resume").headers["location"].endswith("?done=resumed")
    until(lambda: any(f"item/{first}".encode() in body for _, body in receiver.came))
    count = len(receiver.came)
    sent = member.post(path, do="again", what="side", **{"from": "2026-01-01T00:00"})
    assert sent.headers["location"].endswith("?done=side"), sent.body.decode()
    until(lambda: len(receiver.came) > count)
    assert until(lambda: "terminé" in member.shows(path))


def test_t12_the_key_changes_and_both_signatures_are_valid_without_a_script(
    member: Someone, receiver: Receiver
) -> None:
    made = member.press("/integrations/endpoints/new", "Créer le point d'accès", url=receiver.url)
    (path, *_), (first,) = PATH.findall(made.body.decode()), set(KEY.findall(html.unescape(made.body.decode())))
    rotated = member.press(f"{path}/secret", "Créer une nouvelle clé")
    (second,) = set(KEY.findall(html.unescape(rotated.body.decode())))
    assert first != second
    assert member.press(path, "Envoyer un exemple").headers["location"].endswith("?done=tested")
    headers, body = receiver.came[-1]
    assert re.fullmatch(r"v1,\S+ v1,\S+", headers["webhook-signature"])
    for key in (first, second):
        assert verify([key], headers, body, now=time.time()) == headers["webhook-id"]
    same = member.press(f"{path}/edit", "Enregistrer")  # sent as it stands, it changes nothing
    assert same.headers["location"] == f"{path}?done=changed"
    assert member.press(path, "Mettre en pause").headers["location"].endswith("?done=paused")
    assert member.press(path, "Reprendre où il s'est arrêté").headers["location"].endswith("?done=resumed")


def test_each_deed_acts_and_is_noted(world: World, member: Someone, receiver: Receiver) -> None:
    path, _secret = member.make(receiver.url)
    endpoint = path.rsplit("/", 1)[1]
    assert member.post(path, do="pause").headers["location"].endswith("?done=paused")
    assert "en pause" in member.shows(path)
    assert member.post(path, do="resume", **{"from": "now"}).headers["location"].endswith("?done=skipped")
    assert member.post(f"{path}/secret", overlap="hour").status == 200
    member.post(f"{path}/test")
    assert member.post(f"{path}/secret", overlap="soon").status == 422
    assert member.post(path, do="nonsense").status == 400
    assert member.post(path, do="again", what="failed", **{"from": "hier"}).status == 422
    assert member.post(path, do="again", what="failed", **{"from": "2026-01-01T00:00"}).status == 303
    assert member.post(path, do="remove").status == 422
    assert member.post(path, do="remove", sure="yes").headers["location"] == "/integrations?done=removed"
    assert member.get(path).status == 404

    async def noted() -> list[str]:
        async with world.service.platform.database.acquire() as connection:
            rows = await connection.fetch(
                "select action, role from audit where subject = $1 and role = 'member' order by day, pos",
                f"endpoint/{endpoint}",
            )
        return [row["action"] for row in rows]

    again = member.post(path, do="again", what="rewind", **{"from": "2026-01-01T00:00"})
    assert again.status == 404
    deeds = [
        "endpoint.created",
        "endpoint.paused",
        "replay.skip",
        "endpoint.rotated",
        "endpoint.tested",
        "replay.recover",
    ]
    assert world.service.call(noted()) == [*deeds, "endpoint.removed"]
    history = member.shows("/integrations/audit")
    assert "<code>replay." not in history  # every deed has its words
    assert "<code>endpoint." not in history


def test_a_form_that_is_sent_twice_makes_one_endpoint_and_shows_its_key_twice_for_a_while(
    world: World, member: Someone, receiver: Receiver
) -> None:
    new = "/integrations/endpoints/new"
    filled = {**ALL, "url": receiver.url, "description": fresh("twice"), "once": once_of(member, new)}
    with ThreadPoolExecutor(4) as pool:  # somebody who clicks and clicks
        answers = list(pool.map(lambda _: member.post(new, **filled), range(4)))
    assert [each.status for each in answers] == [201] * 4
    keys = {key for each in answers for key in KEY.findall(html.unescape(each.body.decode()))}
    assert len(keys) == 1
    paths = {path for each in answers for path in PATH.findall(each.body.decode())}
    (path,) = paths
    shown = member.shows("/integrations")
    assert shown.count(filled["description"]) == 1
    other = member.post(new, **{**filled, "description": "otherwise"})
    assert other.status == 201  # filled in otherwise it is another endpoint
    assert PATH.findall(other.body.decode())[0] != path
    rotation = {"overlap": "hour", "once": once_of(member, f"{path}/secret")}
    twice = [member.post(f"{path}/secret", **rotation) for _ in range(2)]
    assert len({key for each in twice for key in KEY.findall(html.unescape(each.body.decode()))}) == 1
    assert len(world.shop.ask("GET", f"/v1/endpoints/{path.rsplit('/', 1)[1]}").json()["secrets"]) == 2

    async def an_hour_passes() -> None:
        async with world.service.platform.database.acquire() as connection:
            await connection.execute("update endpoint_secret set created_at = created_at - interval '1 hour'")

    world.service.call(an_hour_passes())
    late = member.post(new, **filled)
    assert (late.status, late.headers["location"]) == (303, path)
    again = {"do": "again", "what": "side", "from": "2026-01-01T00:00", "once": once_of(member, path)}
    assert {member.post(path, **again).headers["location"] for _ in range(2)} == {f"{path}?done=side"}
    assert member.shows(path).count("tout, à côté</a>") == 1


def test_a_type_is_found_however_many_other_requests_came_after_it(
    world: World, member: Someone, receiver: Receiver
) -> None:
    path, _secret = member.make(receiver.url)
    item = say(world, "item.loaded")
    until(lambda: "<code>item.loaded</code>" in member.shows(path))
    endpoint, now = path.rsplit("/", 1)[1], datetime.now(UTC)
    others = [
        Attempt(endpoint, f"evt_{UUID(int=n)}", 1, now + timedelta(microseconds=n), 200, 1, None, b"", subject="x/1")
        for n in range(1, 901)
    ]
    world.service.call(attempts.add(world.service.platform.database, others))
    listed = member.shows(f"{path}?type=item.loaded").partition('id="attempts"')[2]
    assert f"item/{item}" in listed
    assert f"item/{item}" in member.shows(f"{path}?type=fieldsvc.item.loaded.v1,task.*")
    assert "Aucun envoi ne répond" in member.shows(f"{path}?type=item.held")


def test_a_batch_names_its_events_and_an_event_is_sent_again_from_the_list(
    world: World, member: Someone, receiver: Receiver
) -> None:
    path, _secret = member.make(receiver.url, batch="20")
    assert member.post(path, do="pause").status == 303
    items = [say(world, "item.loaded") for _ in range(3)]
    assert member.post(path, do="resume").status == 303
    name = until(lambda: next((h["webhook-id"] for h, _ in receiver.came if "_b" in h["webhook-id"]), None))
    page = until(lambda: found.body.decode() if (found := member.get(f"{path}/events/{name}")).status == 200 else None)
    inside = re.findall(rf"{path}/events/(evt_[0-9a-f-]+(?:_[0-9]+)?)\"", page)
    assert len(inside) == int(name.split("_b")[1].split("_")[0])
    assert "<code>task.planned</code>" in page
    assert f"item/{items[0]}" in member.shows(f"{path}/events/{inside[0]}") or len(items) > 1
    again = member.post(f"{path}/resend", event_id=inside[0], to="list", type="task.*")
    assert again.headers["location"] == f"{path}?type=task.%2A&done=resent"
    assert receiver.came[-1][0]["webhook-id"] == inside[0]


def test_who_suffers_reads_since_when_why_and_what_to_do(world: World, member: Someone, receiver: Receiver) -> None:
    receiver.status = 401
    # Items alone: of the endpoints of other tests, whose receivers are gone, the same account is told that they fail.
    path, _secret = member.make(receiver.url, schedule="0 600", which="some", types=["item.*"])
    say(world, "item.loaded", "item.delivered")
    page = until(lambda: found if "Dernier échec" in (found := member.shows(path)) else None)
    behind = r"<dt>En attente</dt><dd>([2-9]) <span[^>]*>· sujets à part : 1"
    until(lambda: re.search(behind, member.shows(path).replace("\xa0", " ")))  # the head, and what waits behind it
    assert "a-t-il la clé de ce point d'accès" in page
    assert '<span class="state state--alert">401</span>' in page
    assert "a-t-il la clé" in member.shows("/integrations")


def test_every_failure_that_has_a_remedy_has_its_words() -> None:
    known = {key for key in words_of("fr") if key.startswith("portal_remedy.")}
    assert {f"portal_remedy.{each}" for each in REMEDIES} == known


def test_another_accounts_endpoint_is_not_there_and_a_form_of_elsewhere_does_nothing(
    world: World, member: Someone, receiver: Receiver
) -> None:
    path, _secret = member.make(receiver.url)
    other = sign_in(world, world.nobody.name)
    for page in ("", "/edit", "/secret", "/events/evt_019a8f3e-7c11-7d3a-9a51-000000000005"):
        assert other.get(path + page).status == 404
    for page in ("", "/edit", "/secret", "/test", "/resend"):
        assert other.post(path + page, do="remove", sure="yes").status == 404
        refused = member.post(path + page, token="x" * 64, do="remove", sure="yes")
        assert (refused.status, refused.code) == (403, "csrf")
    assert "Aucun point d'accès" in other.shows("/integrations")
    assert "No endpoint yet" in other.shows("/integrations", lang="en")


def test_what_an_event_says_of_health_is_not_shown_to_people(world: World, receiver: Receiver) -> None:
    family = world.account(fresh("family"), "health", "order:home_visit")
    member = sign_in(world, family.name)
    path, _secret = member.make(receiver.url)
    consent = {"kind": "wellbeing", "consent": {"given_on": "2026-01-01", "answers": ["feels_well"]}}
    body = {"service": "home_visit", "on": world.day.isoformat(), "delivery_point": "dp-118", "details": consent}
    visit = family.ask("POST", "/v1/tasks", body).json()["subject"].partition("/")[2]
    fix = {"lat": 48.93781, "lon": 2.16091, "accuracy_m": 8.0, "fixed_at": field_event("x", {})["time"]}
    done = {"visit_id": visit, "met": "person", "fix": fix, "answers": {"feels_well": "CANARY"}, "presence": "location"}
    (result,) = world.phone.send(field_event("home_visit.completed", done, runid=world.run_id))
    assert result["status"] == "accepted", result
    until(lambda: any(b"CANARY" in body for _, body in receiver.came))
    event = next(headers["webhook-id"] for headers, body in receiver.came if b"CANARY" in body)
    shown = member.shows(f"{path}/events/{event}")
    assert visit in shown
    assert "CANARY" not in shown
    assert "curl -i" not in shown
    assert "Les données de santé ne sont pas montrées" in shown


def test_the_snippets_are_those_of_the_documentation() -> None:
    documented = re.findall(r"^```\w+\n(.*?)^```$", SUBSCRIBERS.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert [name for name, _title, text in SNIPPETS if text not in documented] == []
