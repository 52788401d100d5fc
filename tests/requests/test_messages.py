"""Messages on a request: who asked and the office write to each other on two pages, and nothing of the request changes."""

from datetime import UTC, datetime
from urllib.parse import urlsplit

from fieldsvc.notices.templates import render
from fieldsvc.requests.asker import Asker
from fieldsvc.web.delivery_changes import DESK
from tests.requests.conftest import CHANGES, ITEM, Counter
from tests.requests.test_change_pages import Visitor, asked
from tests.requests.test_redirects import MOVE, letter_of
from tests.work.conftest import BASE


async def opened(counter: Counter) -> tuple[str, str]:
    """Ask for a neighbour; return the request's reference and the path of its page."""
    page = await asked(counter)
    return str(await counter.office.value("select id from request")), urlsplit(page.path).path


async def adviser(counter: Counter) -> Visitor:
    headers = await counter.person("adviser")
    return Visitor(counter, {"Cookie": headers["Cookie"]}, headers["X-CSRF-Token"])


async def answered(counter: Counter, reference: str, text: str) -> None:
    """Answer as the office, below the page."""
    server = counter.client.server.app
    await server[DESK].messages.write(reference, text, Asker("adviser", "office", account="acc-1"))


async def test_who_holds_the_link_writes_the_adviser_answers_and_both_read_it_all(counter: Counter) -> None:
    reference, path = await opened(counter)
    before = await counter.state(reference)
    person, staff = Visitor(counter, {}), await adviser(counter)
    page = await person.post(path, do="message", message="The name on\r\nthe box changed")
    assert page.status == 200
    assert "<strong>You</strong>" in page.text
    assert "The name on the box changed" in page.text
    listed = await staff.get("/adviser/cases")
    assert f'href="/adviser/changes/{reference}"' in listed.text
    shown = await staff.get(f"/adviser/changes/{reference}")
    assert "The name on the box changed" in shown.text
    assert (await staff.post(f"/adviser/changes/{reference}", act="message", message=" ")).status == 422
    shown = await staff.post(f"/adviser/changes/{reference}", act="message", message="Thank you, we noted it")
    assert "<strong>The office</strong>" in shown.text
    assert reference not in (await staff.get("/adviser/cases")).text
    page = await person.get(path)
    assert "Thank you, we noted it" in page.text
    assert "adviser@x.fr" not in page.text
    assert await counter.state(reference) == before
    noted = await counter.office.fetch("select subject, role from audit where action = 'delivery_change.answered'")
    assert [tuple(row) for row in noted] == [(f"delivery_change/{reference}", "adviser")]


async def test_an_answer_is_mailed_to_who_asked_with_the_way_to_their_page_and_without_its_text(
    counter: Counter,
) -> None:
    reference, path = await opened(counter)
    await answered(counter, reference, "Secret words")
    (row,) = await counter.office.fetch("select sealed, way from notice where template = 'delivery_change_answer'")
    (told,) = await counter.office.opener.open_blobs([row["sealed"]])
    assert (row["way"], told["to"]) == ("email", "m@example.org")
    for lang in ("fr", "en"):
        words = render("delivery_change_answer", lang, told["params"])
        assert f"{BASE}{path}" in words.text
        assert path not in words.short  # a telephone number changes hands more easily than a mailbox
        assert "Secret words" not in words.text


async def test_what_is_written_lies_sealed_and_is_published_without_its_text(counter: Counter) -> None:
    reference, path = await opened(counter)
    await Visitor(counter, {}).post(path, do="message", message="Quite unmistakable")
    await answered(counter, reference, "Quite unmistakable too")
    names = await counter.published(f"item/{ITEM}")
    assert names.count("message_written") == 2
    for table in ("event", "request", "notice", "audit"):
        text = f"select count(*) from {table} where {table}::text like '%unmistakable%'"
        assert await counter.office.value(text) == 0, table


async def test_five_messages_wait_for_an_answer_at_most_and_one_that_is_sent_twice_is_one(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    for number in range(5):
        for _ in range(2):
            assert (await person.post(path, do="message", message=f"Word {number}")).status == 200
    page = await person.post(path, do="message", message="One more")
    assert (page.status, "Five messages wait" in page.text) == (409, True)
    assert page.text.count("<strong>You</strong>") == 5
    await answered(counter, reference, "We read them")
    assert (await person.post(path, do="message", message="One more")).status == 200


async def test_messages_from_one_place_are_slowed_down(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    for number in range(10):
        if number == 5:
            await answered(counter, reference, "We read them")
        assert (await person.post(path, do="message", message=f"Word {number}")).status == 200
    await answered(counter, reference, "And these")
    assert (await person.post(path, do="message", message="Too fast")).status == 429


async def test_nothing_too_much_and_a_wrong_link_are_refused(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    for text in ("", " \r\n ", "x" * 281):
        page = await person.post(path, do="message", message=text)
        assert page.status == 422
        assert 'href="#message"' in page.text
    stops = counter.codes.stop_token(reference)
    assert (await person.post(f"/suivi/demandes/{reference}/{stops}", do="message", message="x")).status == 404
    assert await counter.office.value("select message_at from request") is None


async def test_a_month_after_it_was_closed_nobody_writes_and_everybody_reads(counter: Counter) -> None:
    reference, path = await opened(counter)
    person, staff = Visitor(counter, {}), await adviser(counter)
    await person.post(path, do="message", message="Before")
    await person.post(path, do="cancel")
    await counter.office.fetch("update request set closed_at = now() - interval '29 days'")
    assert (await person.post(path, do="message", message="In time")).status == 200
    await counter.office.fetch("update request set closed_at = now() - interval '31 days'")
    page = await person.post(path, do="message", message="Too late")
    assert page.status == 409
    assert "In time" in page.text
    assert "more than 30 days ago" in page.text
    assert (await staff.post(f"/adviser/changes/{reference}", act="message", message="x")).status == 422
    assert reference not in (await staff.get("/adviser/cases")).text


async def test_an_adviser_types_the_code_of_the_letter_for_a_caller(counter: Counter) -> None:
    headers = await counter.person("counter")
    body = {**MOVE, "delivery_point_id": counter.point, "identity": "counter"}
    _, made = await counter.call("POST", CHANGES, body, **headers)
    reference = made["request_id"]
    await counter.requests.work(datetime.now(UTC))
    code = (await letter_of(counter, reference))["params"]["code"]
    staff, path = await adviser(counter), f"/adviser/changes/{reference}"
    assert "Code of the letter" in (await staff.get(path)).text
    for wrong in ("", "AAA-AAA-AAA", "1"):
        page = await staff.post(path, act="code", code=wrong)
        assert page.status == 422
        assert 'href="#code"' in page.text
    assert (await staff.post(path, act="code", code=code.lower())).status == 200
    assert (await counter.state(reference))[0] == "verified"


async def test_after_the_last_wrong_code_the_fault_still_stands_on_the_page_that_it_links_to(counter: Counter) -> None:
    headers = await counter.person("counter")
    body = {**MOVE, "delivery_point_id": counter.point, "identity": "counter"}
    _, made = await counter.call("POST", CHANGES, body, **headers)
    reference = made["request_id"]
    await counter.requests.work(datetime.now(UTC))
    staff, path = await adviser(counter), f"/adviser/changes/{reference}"
    for _ in range(5):
        page = await staff.post(path, act="code", code="AAA-AAA-AAA")
        assert (page.status, page.text.count('href="#code"'), page.text.count('id="code"')) == (422, 1, 1)
    assert (await counter.state(reference))[:2] == ("expired", "too_many_tries")
    assert 'name="code"' not in page.text


async def test_messages_of_two_requests_on_one_address_do_not_mix(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    await person.post(path, do="message", message="Of the first")
    await person.post(path, do="cancel")
    page = await asked(counter)
    assert "Of the first" not in page.text
    assert reference not in page.text
    await answered(counter, reference, "Only there")
    assert "Only there" not in (await person.get(urlsplit(page.path).path)).text
