"""Changing a delivery on pages without a script: one question each, all answers, a reference; and the link that stops."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from html import unescape
from urllib.parse import parse_qs, urlsplit

from fieldsvc.requests.drafts import draft_key, open_draft, seal_draft
from fieldsvc.requests.links import Link, link_key, seal_link
from fieldsvc.work.imports import create_site
from tests.requests.conftest import CHANGES, ITEM, Counter
from tests.requests.test_redirects import letter_of
from tests.work.conftest import BASE, TODAY

REGISTERED = "RK123456785FR"


@dataclass
class Answer:
    """A page that came back."""

    status: int
    path: str
    text: str
    location: str

    @property
    def action(self) -> str:
        """Where its first form goes."""
        found = re.search(r'<form method="post"(?: action="([^"]*)")?', self.text)
        assert found, self.text
        return unescape(found[1] or self.path)

    @property
    def heading(self) -> str:
        (found,) = re.findall(r"<h1[^>]*>(.*?)</h1>", self.text, re.DOTALL)
        return unescape(found)


@dataclass
class Visitor:
    """Somebody at these pages, by a link that they were given, or signed in."""

    counter: Counter
    headers: dict[str, str]
    csrf: str = ""

    async def get(self, path: str) -> Answer:
        return await self._ask("GET", path, None)

    async def post(self, path: str, **fields: str) -> Answer:
        """Send a form, and follow where it leads."""
        answer = await self._ask("POST", path, {**fields, **({"csrf": self.csrf} if self.csrf else {})})
        return await self.get(answer.location) if answer.status == 303 else answer

    async def _ask(self, method: str, path: str, form: dict[str, str] | None) -> Answer:
        sent = {"Accept-Language": "en", **self.headers}
        answer = await self.counter.client.request(method, path, data=form, headers=sent, allow_redirects=False)
        return Answer(answer.status, path, await answer.text(), answer.headers.get("Location", ""))


def visitor(counter: Counter, item: str = ITEM) -> tuple[Visitor, str]:
    """Give somebody the link of an item; return them with the path where it is changed."""
    soon = datetime.now(UTC) + timedelta(hours=1)
    link = Link(f"item/{item}", soon, frozenset({"see", "change"}), counter.postcode)
    return Visitor(counter, {}), f"/suivi/{seal_link(link_key(counter.vault), link)}/modifier"


async def customer(counter: Counter, name: str = "claire", acr: str | None = None) -> Visitor:
    """Sign a customer in; with an `acr` they proved a minute ago who they are."""
    headers = await counter.person("customer", name=name)
    if acr is not None:
        await counter.office.fetch("update session set acr = $1, proved_at = now()", acr)
        counter.access.forget()
    return Visitor(counter, {"Cookie": headers["Cookie"]}, headers["X-CSRF-Token"])


async def asked(counter: Counter) -> Answer:
    """Ask for a neighbour, question by question; return the page of the request."""
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="neighbour")
    page = await person.post(page.action, neighbour="Mme Durand, 2e")
    page = await person.post(page.action, email="m@example.org", mobile="")
    return await person.post(page.action)


async def test_one_question_a_page_then_all_answers_then_a_reference(counter: Counter) -> None:
    person, path = visitor(counter)
    page = await person.get(path)
    assert (page.status, page.heading) == (200, "What do you want to change?")
    assert "Possible until the carrier is 5 stops away." in page.text  # the cut-off is said before
    page = await person.post(page.action, kind="neighbour")
    assert page.heading == "With which neighbour?"
    page = await person.post(page.action, neighbour="Mme Durand, 2e")
    assert page.heading == "How shall we tell you?"
    page = await person.post(page.action, email="", mobile="06 12 34 56 78")
    assert page.heading == "Check your answers"
    assert all(said in page.text for said in ("Mme Durand, 2e", "+33612345678", "With a neighbour"))
    assert "Durand" not in page.path
    assert await counter.office.value("select count(*) from request") == 0  # nothing is kept before it is sent
    first, second = await person.post(page.action), await person.post(page.action)
    assert (first.status, first.heading) == (200, "Your request")
    assert urlsplit(first.path).path == urlsplit(second.path).path
    assert await counter.office.value("select count(*) from request") == 1  # sent twice, it is one
    reference = str(await counter.office.value("select id from request"))
    assert reference in first.text
    assert "We have your request." in first.text
    assert (await counter.state(reference))[0] == "on_sheet"


async def test_an_answer_can_be_changed_from_the_list_of_all(counter: Counter) -> None:
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="neighbour")
    page = await person.post(page.action, neighbour="Mme Durand")
    page = await person.post(page.action, email="m@example.org")
    (change,) = re.findall(r'href="([^"]*step=neighbour[^"]*back=1)"', page.text)
    page = await person.get(unescape(change))
    assert 'value="Mme Durand"' in page.text
    page = await person.post(page.action, neighbour="M. Petit")
    assert page.heading == "Check your answers"
    assert "M. Petit" in page.text
    (change,) = re.findall(r'href="([^"]*step=kind[^"]*back=1)"', page.text)
    page = await person.post((await person.get(unescape(change))).action, kind="safe_place")
    page = await person.post(page.action, place="Abri")
    assert (await person.post(page.action)).status == 200
    (row,) = await counter.office.fetch("select kind, sealed from request")
    (opened,) = await counter.office.opener.open_blobs([row["sealed"]])
    assert (row["kind"], set(opened["details"])) == (
        "safe_place",
        {"place", "contact"},
    )  # what was answered before is gone


async def test_a_day_that_is_none_is_said_at_the_top_and_at_its_field_and_kept(counter: Counter) -> None:
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="other_date")
    for wrong in ("32/13/2026", str(TODAY), str(TODAY + timedelta(days=40)), ""):
        answer = await person.post(page.action, day=wrong)
        assert answer.status == 422
        assert "<title>Error: " in answer.text
        assert 'href="#day"' in answer.text
        assert 'aria-describedby="day-hint day-fault"' in answer.text
        assert f'value="{wrong}"' in answer.text
    answer = await person.post(page.action, day=(TODAY + timedelta(days=3)).strftime("%d/%m/%Y"))
    assert answer.heading == "How shall we tell you?"
    assert (await person.post(answer.action, email="", mobile="")).status == 422
    assert (await person.post(answer.action, email="nobody", mobile="12")).status == 422


async def test_what_is_not_possible_says_why_and_cannot_be_sent(counter: Counter) -> None:
    await counter.order(REGISTERED, requirements=["registered"])
    person, path = visitor(counter, REGISTERED)
    page = await person.get(path)
    assert re.search(r'value="neighbour" disabled', page.text)
    assert "handed only to its addressee" in unescape(page.text)
    answer = await person.post(page.action, kind="neighbour")
    assert (answer.status, answer.heading) == (422, "What do you want to change?")
    await counter.office.fetch("update task set loaded_at = now()")
    page = await visitor(counter)[0].get(visitor(counter)[1])
    assert re.search(r'value="other_date" disabled', page.text)
    assert "already left with the carrier" in page.text


async def test_a_second_wish_against_the_first_is_not_offered(counter: Counter) -> None:
    await asked(counter)
    person, path = visitor(counter)
    page = await person.get(path)
    assert re.search(r'value="safe_place" disabled', page.text)
    assert "Another request is already under way." in page.text


async def test_who_has_neither_mail_nor_mobile_is_called_back(counter: Counter) -> None:
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="neighbour")
    page = await person.post(page.action, neighbour="Mme Durand")
    wrong = await person.post(page.action, voice="01 23")
    assert (wrong.status, 'href="#voice"' in wrong.text) == (422, True)
    page = await person.post(page.action, voice="01 23 45 67 89")
    assert "+33123456789" in page.text
    page = await person.post(page.action)
    assert "+33123456789" in page.text
    (row,) = await counter.office.fetch("select way, sealed, lang from notice where template = 'delivery_change_news'")
    (told,) = await counter.office.opener.open_blobs([row["sealed"]])
    assert (row["way"], told["to"]) == ("voice", "+33123456789")
    assert await counter.office.value("select count(*) from request where request::text like '%23456789%'") == 0


async def test_answers_open_only_under_the_link_that_they_were_begun_with(counter: Counter) -> None:
    await counter.order("LL000000099FR")
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="neighbour")
    other = visitor(counter, "LL000000099FR")[1]
    assert (await person.get(f"{other}?{urlsplit(page.path).query}")).heading == "What do you want to change?"
    key = draft_key(counter.vault)
    sealed = seal_draft(key, {"kind": "neighbour"}, bound_to="x")
    assert open_draft(key, sealed, bound_to="x") == {"kind": "neighbour"}
    late = datetime.now(UTC) + timedelta(hours=3)
    assert open_draft(key, sealed, bound_to="x", now=late) is None
    assert all(open_draft(key, wrong, bound_to="x") is None for wrong in ("", "é", sealed[:-4], "A" * 9_000))


async def test_a_link_that_is_none_opens_nothing(counter: Counter) -> None:
    person = Visitor(counter, {})
    assert (await person.get("/suivi/nonsense/modifier")).status == 410
    assert (await person.post("/suivi/nonsense/modifier", kind="hold")).status == 410
    assert (await person.get("/suivi/demandes/DC-0/drt_x")).status == 404
    assert (await person.get("/suivi/stop/DC-0/drs_x")).status == 404
    assert (await person.post("/suivi/stop/DC-0/drs_x")).status == 404


async def test_a_request_says_when_the_carrier_saw_it_and_is_cancelled_until_then(counter: Counter) -> None:
    page = await asked(counter)
    person = Visitor(counter, {})
    path = urlsplit(page.path).path
    assert "not shown it yet" in page.text
    (news,) = await counter.office.fetch("select sealed from notice where template = 'delivery_change_news'")
    (opened,) = await counter.office.opener.open_blobs([news["sealed"]])
    assert f"Follow or cancel your request: {BASE}{path}" in opened["params"]["more_en"]  # the way back is in the mail
    done = await person.post(path, do="cancel")
    assert "Request cancelled" in done.text
    again = await asked(counter)
    reference = str(await counter.office.value("select id from request where state = 'on_sheet'"))
    run = await counter.run()
    await counter.office.sheets.sheet(run)
    about = {"run_id": run.run_id, "version": 1_000}
    await counter.office.commands.send("sheet.seen", about, handler="sheet")
    await counter.fire()
    assert (await counter.state(reference))[0] == "seen_by_carrier"
    page = await person.get(urlsplit(again.path).path)
    assert re.search(r"Seen by your carrier at \d\d:\d\d", page.text)
    refused = await person.post(urlsplit(again.path).path, do="cancel")
    assert refused.status == 409
    assert "can no longer be cancelled" in refused.text


async def test_a_notice_stops_by_a_button_and_never_by_being_looked_at(counter: Counter) -> None:
    """Mail scanners open every link: a look changes nothing, whatever its method."""
    page = await asked(counter)
    reference = str(await counter.office.value("select id from request"))
    assert reference in page.text
    path = f"/suivi/stop/{reference}/{counter.codes.stop_token(reference)}"
    person = Visitor(counter, {})
    for _ in range(3):
        assert (await person.get(path)).status == 200
        assert (await counter.client.head(path)).status == 200
    assert (await counter.state(reference))[0] == "on_sheet"
    for _ in range(2):
        stopped = await person.post(path)
        assert stopped.heading == "It is stopped"
    assert (await counter.state(reference))[:2] == ("cancelled", "not_me")
    assert (await person.get(f"/suivi/demandes/{reference}/{counter.codes.stop_token(reference)}")).status == 404
    elsewhere = {"Sec-Fetch-Site": "cross-site"}
    assert (await Visitor(counter, elsewhere).post(path)).status == 403


async def mover(counter: Counter, person: Visitor, page: Answer) -> Answer:
    """Answer the questions of a redirection, and send them."""
    page = await person.post(page.action, names="Mme Martin\nM. Martin")
    page = await person.post(page.action, new_address="2 rue B, 69001 Lyon")
    page = await person.post(page.action, **{"from": str(TODAY + timedelta(days=20)), "to": ""})
    page = await person.post(page.action, email="new@example.org")
    assert "five working days after the code" in page.text
    return await person.post(page.action)


async def test_a_mover_asks_online_is_seen_at_the_counter_and_gives_the_code_of_the_letter(counter: Counter) -> None:
    person, path = visitor(counter)
    page = await person.post((await person.get(path)).action, kind="redirect")
    page = await mover(counter, person, page)
    assert "Come to a counter" in page.text
    reference = str(await counter.office.value("select id from request"))
    staff = await counter.person("counter")
    await counter.call("POST", f"{CHANGES}/{reference}/confirm", {"identity": "counter"}, **staff)
    await counter.requests.work(datetime.now(UTC))
    code = (await letter_of(counter, reference))["params"]["code"]
    path = urlsplit(page.path).path
    page = await person.get(path)
    assert "The code of the letter" in page.text
    wrong = await person.post(path, do="code", code="AAA-AAA-AAA")
    assert (wrong.status, "This is not the code" in wrong.text) == (409, True)
    assert (await person.post(path, do="code", code="")).status == 422
    page = await person.post(path, do="code", code=code.lower())
    assert "begins on" in page.text
    assert (await counter.state(reference))[0] == "verified"


async def test_a_customer_who_proved_who_they_are_names_the_door_and_gets_a_letter_there(counter: Counter) -> None:
    person = await customer(counter, acr="eidas2")
    page = await person.get("/suivi/reexpedition?step=old_address")
    page = await person.post(page.action, old_address=counter.address)
    page = await mover(counter, person, page)
    assert (page.status, page.heading) == (200, "Your request")
    assert await counter.office.value("select identity from request") == "substantial"
    assert await counter.office.value("select subject from request") == f"delivery_point/{counter.point}"
    await counter.requests.work(datetime.now(UTC))
    assert await counter.office.value("select count(*) from notice where template = 'delivery_change_code'") == 1
    mine = await person.get("/suivi/demandes")
    assert "DC-" in mine.text
    other = await customer(counter, "hugo")
    assert "DC-" not in (await other.get("/suivi/demandes")).text
    assert (
        "open the address of your request&#39;s page again" in (await Visitor(counter, {}).get("/suivi/demandes")).text
    )


async def leads_to_a_proof(counter: Counter, person: Visitor, page: Answer) -> None:
    """Answer everything; what is asked then is a proof, and the answers come back with it."""
    page = await person.post(page.action, names="Mme Martin")
    page = await person.post(page.action, new_address="2 rue B, 69001 Lyon")
    page = await person.post(page.action, **{"from": str(TODAY + timedelta(days=20)), "to": ""})
    page = await person.post(page.action, email="new@example.org")
    form = {"csrf": person.csrf}
    sent = await counter.client.post(page.action, data=form, headers=person.headers, allow_redirects=False)
    assert sent.status == 303
    where = urlsplit(sent.headers["Location"])
    assert (where.hostname, parse_qs(where.query)["acr_values"]) == ("id.example", ["eidas2 eidas3"])
    assert (await person.get(parse_qs(where.query)["next"][0])).heading == "Check your answers"


async def test_attack_a_stolen_session_without_a_fresh_proof_asks_for_nothing(counter: Counter) -> None:
    person = await customer(counter)
    page = await person.get("/suivi/reexpedition?step=old_address")
    page = await person.post(page.action, old_address=counter.address)
    await leads_to_a_proof(counter, person, page)
    old = await customer(counter, "hugo", acr="eidas2")
    await counter.office.fetch("update session set proved_at = now() - interval '6 minutes'")
    counter.access.forget()
    page = await old.post((await old.get("/suivi/reexpedition?step=old_address")).action, old_address=counter.address)
    await leads_to_a_proof(counter, old, page)
    old.csrf = "x" * 64
    assert (await old.post("/suivi/reexpedition?step=old_address", old_address="x")).status == 403
    nobody = Visitor(counter, {})
    assert "Sign in" not in (await nobody.get("/suivi/reexpedition?step=names")).heading
    sent = await counter.client.post("/suivi/reexpedition", data={"x": "y"}, allow_redirects=False)
    assert sent.headers["Location"].startswith("/suivi/sign-in?next=")
    assert await counter.office.value("select count(*) from request") == 0


async def test_staff_of_the_site_open_the_file_of_a_redirection_and_nobody_else(counter: Counter) -> None:
    await asked(counter)
    reference = str(await counter.office.value("select id from request"))
    for role, status in (("adviser", 200), ("operator", 200), ("supervisor", 200), ("counter", 404), ("customer", 404)):
        headers = await counter.person(role)
        answer = await Visitor(counter, {"Cookie": headers["Cookie"]}).get(f"/suivi/dossier/{reference}")
        assert answer.status == status, role
    await create_site(counter.office.database, "site-far")
    far = await counter.person("supervisor", site="site-far", name="far")
    assert (await Visitor(counter, {"Cookie": far["Cookie"]}).get(f"/suivi/dossier/{reference}")).status == 404
    assert (await Visitor(counter, {}).get(f"/suivi/dossier/{reference}")).status == 401


async def test_every_kind_that_is_offered_can_be_asked_for_to_its_end(counter: Counter) -> None:
    soon = str(TODAY + timedelta(days=4))
    ways = {
        "second_presentation": {"day": soon},
        "proxy": {"proxy": "Paul Martin"},
        "pickup_point": {},
        "hold": {"until": soon},
    }
    for number, (kind, fields) in enumerate(ways.items()):
        item = f"LL00000002{number}FR"
        await counter.order(item)
        person, path = visitor(counter, item)
        page = await person.post((await person.get(path)).action, kind=kind)
        page = await person.post(page.action, **fields) if fields else page
        assert page.heading == "How shall we tell you?", (kind, page.text)
        page = await person.post((await person.post(page.action, email="m@example.org")).action)
        assert (page.status, page.heading) == (200, "Your request"), kind
    found = await counter.office.fetch("select kind, state from request")
    assert {row["kind"]: row["state"] for row in found} == dict.fromkeys(ways, "on_sheet")
