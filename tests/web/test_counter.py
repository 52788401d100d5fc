"""`/counter`: scanned, identity seen, signed, handed over; by keyboard alone, without a script, and nobody else's office."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs, urlsplit

import orjson
import pytest

from fieldsvc.reports.waits import Wait
from fieldsvc.web.counter_page import WAITS
from handlers import notice_code
from tests.acceptance.conftest import SITE
from tests.media.conftest import until
from tests.web.desks import NAME, Desks, open_desks

HANDING = {
    "act": "hand_over",
    "capacity": "addressee",
    "first_name": "Léa",
    "surname": "Martin",
    "document": "passport",
    "signing": "paper",
}
DRAWN = "1020ff80.2040f0c0"


@pytest.fixture(scope="module")
def desks(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    with open_desks(postgres_url, tmp_path_factory.mktemp("counter")) as made:
        yield made


def test_a_scanned_number_leads_to_the_shelf_and_the_item_is_handed_over_in_three_steps(desks: Desks) -> None:
    number = desks.waiting()
    path = desks.led("clerk", "/counter", code=f" {number.lower()} ")
    page = desks.page("clerk", path).body.decode()
    assert "B-12" in page
    assert NAME in page
    where = desks.led("clerk", path, arrived=parse_qs(urlsplit(path).query)["arrived"][0], **HANDING)
    assert "Collected" in desks.page("clerk", where).body.decode()
    assert desks.published(number)[-1] == "item.collected"
    assert desks.led("clerk", path, **HANDING).startswith(f"/counter/items/{number}")  # sent twice, it is one
    assert desks.published(number).count("item.collected") == 1


def test_a_signature_that_was_drawn_is_kept_as_a_picture_and_named_by_the_proof(desks: Desks) -> None:
    number = desks.waiting(requirements=["signature"])
    path = f"/counter/items/{number}"
    answer = desks.post("clerk", path, **{**HANDING, "signing": "screen"})
    assert answer.status == 422
    assert 'href="#signing"' in answer.body.decode()
    desks.led("clerk", path, **{**HANDING, "signing": "screen", "drawing": DRAWN})
    assert desks.fetch("select 1 from media where width > 0")
    (row,) = desks.fetch(
        "select public from event where kind = 'public' and subject = $1 and type = 'item.collected'", f"item/{number}"
    )
    assert orjson.loads(row["public"])["public"].get("chain") == "complete"


def test_what_is_missing_is_named_and_what_was_typed_is_kept(desks: Desks) -> None:
    path = f"/counter/items/{desks.waiting()}"
    answer = desks.post("clerk", path, act="hand_over", first_name="Léa")
    page = answer.body.decode()
    assert answer.status == 422
    for name in ("capacity", "surname", "document", "signing"):
        assert f'href="#{name}"' in page
    assert 'value="Léa"' in page
    assert "<title>Error: " in page


def test_the_code_of_a_paper_notice_leads_to_what_it_was_left_for(desks: Desks) -> None:
    letters = "7K2M9QX4"
    code = letters + notice_code.check_letter(letters)
    number = desks.order()
    desks.say("delivery_attempted", number, reason="absent", next="office_hold", notice_code=code)
    typed = f"{code[:3]}-{code[3:6]}-{code[6:]}".lower()
    assert desks.led("clerk", "/counter", code=typed).startswith(f"/counter/items/{number}?")
    assert desks.post("far", "/counter", code=typed).status == 422


def test_the_code_of_the_notice_or_of_the_phone_stands_for_the_signature(desks: Desks) -> None:
    letters = "9XQ2M7K4"
    code = letters + notice_code.check_letter(letters)
    given = {**HANDING, "signing": "code"}
    noticed, other = desks.waiting(), desks.waiting()
    desks.say("delivery_attempted", noticed, reason="absent", next="office_hold", notice_code=code)
    wrong = desks.post("clerk", f"/counter/items/{other}", **given, code=code)
    assert (wrong.status, b'href="#code"' in wrong.body) == (422, True)
    assert desks.post("clerk", f"/counter/items/{noticed}", **given).status == 422
    desks.led("clerk", f"/counter/items/{noticed}", **given, code=code.lower())
    assert "item.collected" in desks.published(noticed)
    link = desks.link(other)
    here = desks.led("nobody", f"{link}/ici")
    (digits,) = re.findall(r'<p class="code">(\d{3} \d{3})</p>', desks.page("nobody", here).body.decode())
    ticket = parse_qs(urlsplit(here).query)["ticket"][0]
    path = desks.led("clerk", "/counter", code=ticket)
    nearly = f"{(int(digits.replace(' ', '')) + 1) % 10**6:06}"
    assert desks.post("clerk", path, arrived=ticket, **given, code=nearly).status == 422
    assert desks.post("clerk", path, **given, code=digits).status == 422  # the ticket is not shown
    desks.led("clerk", path, arrived=ticket, **given, code=digits)
    assert "item.collected" in desks.published(other)


def test_registered_mail_is_signed_for_and_no_code_stands_for_it(desks: Desks) -> None:
    number = desks.waiting(requirements=["registered"])
    refused = desks.post("clerk", f"/counter/items/{number}", **{**HANDING, "signing": "code"}, code="123456")
    assert (refused.status, "Registered mail is signed for" in refused.body.decode()) == (422, True)
    link = desks.link(number)
    page = desks.page("nobody", desks.led("nobody", f"{link}/ici")).body.decode()
    assert not re.search(r'<p class="code">\d{3} \d{3}</p>', page)


def test_an_item_that_does_not_lie_here_is_not_handed_over(desks: Desks) -> None:
    number = desks.order()
    assert desks.post("clerk", f"/counter/items/{number}", **HANDING).status == 422
    assert "item.collected" not in desks.published(number)
    assert desks.led("clerk", f"/counter/items/{number}", act="shelve", shelf="c 7")
    assert "C-7" in desks.page("clerk", f"/counter/items/{number}").body.decode()


def test_another_office_and_unknown_numbers_look_the_same(desks: Desks) -> None:
    number = desks.waiting()
    answers = [desks.post("far", "/counter", code=each) for each in (number, "nothing-like-it")]
    assert [answer.status for answer in answers] == [422, 422]
    assert len({answer.body.replace(number.encode(), b"nothing-like-it") for answer in answers}) == 1
    assert desks.page("far", f"/counter/items/{number}").status == 404
    assert desks.post("far", f"/counter/items/{number}", **HANDING).status == 404


def test_who_says_that_they_are_here_shows_a_code_and_waits_since_then(desks: Desks) -> None:
    number = desks.waiting()
    link = desks.link(number)
    assert b"I am here" in desks.page("nobody", f"{link}/ici").body
    here = desks.led("nobody", f"{link}/ici")
    shown = desks.page("nobody", here).body.decode()
    assert "<svg" in shown
    assert number in shown
    ticket = parse_qs(urlsplit(here).query)["ticket"][0]
    path = desks.led("clerk", "/counter", code=ticket)
    assert "has waited since" in desks.page("clerk", path).body.decode()
    desks.led("clerk", path, arrived=ticket, **HANDING)
    text = "select kpi, denominator from report_waiting where service = 'counter' and subject = $1"
    (row,) = desks.fetch(text, f"item/{number}")
    assert row["denominator"] == 1
    assert row["kpi"].startswith("wait_")


def test_an_item_that_is_not_at_the_office_gives_no_code(desks: Desks) -> None:
    link = desks.link(desks.order())
    assert b"<svg class" not in desks.page("nobody", f"{link}/ici").body
    assert desks.led("nobody", f"{link}/ici") == f"{link}/ici"


def test_waits_are_shown_once_five_of_three_clerks_are_there_and_never_by_clerk(desks: Desks) -> None:
    waits, came = desks.service.app[WAITS], datetime.now(UTC)
    month = came.astimezone(desks.service.settings.zone).date().replace(day=1)

    def count(clerk: str, waited_s: int, n: int) -> None:
        desks.service.call(waits.count(Wait(f"item/w{n}", "site-w", came, waited_s, clerk)))

    def shown() -> list[tuple[float | None, int | None]]:
        hours = desks.service.call(waits.by_hour("site-w", month))
        return [(each.minutes, each.waits) for each in hours]

    for n in range(6):
        count("one" if n % 2 else "two", 60, n)
    assert shown() == [(None, None)]
    count("three", 480, 6)
    assert shown() == [(2.0, 7)]
    count("three", 3000, 7)
    assert shown() == [(2.0, 7)]  # nothing moves by one
    assert desks.fetch("select 1 from report_waiting where site = 'site-w' and mark is null") == []


def test_what_is_over_its_days_is_listed_until_it_is_sent_back(desks: Desks) -> None:
    number = desks.order()
    desks.say("delivery_attempted", number, ago=timedelta(days=16), reason="absent", next="office_hold")
    desks.say("held", number, ago=timedelta(days=15, hours=1), office=SITE, shelf="A-1")
    until(lambda: "item.returned_to_sender" in desks.published(number))
    page = desks.page("clerk", "/counter/returns").body.decode()
    assert number in page
    assert "over its days" in page
    assert number not in desks.page("far", "/counter/returns").body.decode()
    assert desks.post("clerk", f"/counter/items/{number}", **HANDING).status == 422
    desks.led("clerk", f"/counter/items/{number}", act="send_back")
    assert number not in desks.page("clerk", "/counter/returns").body.decode()
    assert desks.published(number).count("item.returned_to_sender") == 1


def test_the_form_of_another_site_and_one_without_the_token_change_nothing(desks: Desks) -> None:
    number = desks.waiting()
    assert desks.post("clerk", f"/counter/items/{number}", csrf="x", **HANDING).status == 403
    assert desks.post("supervisor", f"/counter/items/{number}", **HANDING).status == 404
    assert "item.collected" not in desks.published(number)
