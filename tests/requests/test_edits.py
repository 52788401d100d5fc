"""Editing a request that is still open: the questions filled in, what changes, and the same reference; seen anew by the carrier."""

import re
from datetime import timedelta
from html import unescape
from urllib.parse import urlsplit

from fieldsvc.requests.drafts import draft_key, seal_draft
from handlers.story import Actor
from tests.requests.conftest import ITEM, Counter
from tests.requests.test_change_pages import Answer, Visitor, asked
from tests.work.conftest import TODAY


async def opened(counter: Counter) -> tuple[str, str]:
    """Ask for a neighbour; return the request's reference and the path of its page."""
    page = await asked(counter)
    return str(await counter.office.value("select id from request")), urlsplit(page.path).path


async def shown(counter: Counter, run_id: str) -> None:
    """Let the phone show the newest sheet."""
    run = await counter.run()
    seen = {"run_id": run_id, "version": run.sheet_version}
    await counter.office.commands.send("sheet.seen", seen, actor=Actor("device"), handler="sheet")
    await counter.fire()


def check_again(page: Answer, name: str) -> str:
    """Return where an answer on the page of all answers is changed."""
    (found,) = re.findall(rf'href="([^"]*step={name}[^"]*back=1)"', page.text)
    return unescape(found)


async def test_the_questions_come_filled_in_and_what_changes_is_shown_before_it_is_sent(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    begin = await person.get(path)
    assert f'href="{path}/modifier"' in begin.text
    page = await person.get(f"{path}/modifier")
    assert (page.status, page.heading) == (200, "With which neighbour?")
    assert 'value="Mme Durand, 2e"' in page.text
    page = await person.post(page.action, neighbour="M. Petit, 1er")
    assert page.heading == "Check your answers"
    assert "M. Petit, 1er" in page.text
    assert "Before: Mme Durand, 2e" in page.text
    assert "Durand" not in page.path
    page = await person.get(check_again(page, "neighbour"))
    assert 'value="M. Petit, 1er"' in page.text
    page = await person.post(page.action, neighbour="M. Grand")
    done = await person.post(page.action)
    assert (done.status, done.heading) == (200, "Your request")
    assert "Your request is edited." in done.text
    assert all(said in done.text for said in (reference, "M. Grand", "Request edited", "m@example.org"))
    assert "Durand" not in done.text
    assert await counter.office.value("select count(*) from request") == 1
    names = await counter.published(f"item/{ITEM}")
    assert names == ["requested", "verified", "accepted", "on_sheet", "edited", "verified", "accepted", "on_sheet"]


async def test_who_saw_the_request_of_before_has_not_seen_the_edited_one_and_both_are_said(counter: Counter) -> None:
    run = await counter.run()
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    await shown(counter, run.run_id)
    assert (await counter.state(reference))[0] == "seen_by_carrier"
    page = await person.get(f"{path}/modifier")
    page = await person.post(page.action, neighbour="M. Petit")
    assert "They will have to see the edit" in page.text
    before = await counter.sheet(run)
    page = await person.post(page.action)
    assert (await counter.state(reference))[0] == "on_sheet"
    assert "had seen the old request at" in page.text
    assert "They have not seen the edit yet" in page.text
    sheet = await counter.sheet(run)
    assert sheet["version"] > before["version"]
    assert sheet["requests"][0]["what"]["en"] == "If nobody is there, hand to the neighbour: M. Petit."
    stale = {"run_id": run.run_id, "version": before["version"]}
    await counter.office.commands.send("sheet.seen", stale, actor=Actor("device"), handler="sheet")
    await counter.fire()
    assert (await counter.state(reference))[0] == "on_sheet"
    await shown(counter, run.run_id)
    assert (await counter.state(reference))[0] == "seen_by_carrier"
    assert "Seen by your carrier at" in (await person.get(path)).text


async def test_what_is_sent_twice_or_says_nothing_new_edits_nothing(counter: Counter) -> None:
    _, path = await opened(counter)
    person = Visitor(counter, {})
    page = await person.get(f"{path}/modifier")
    page = await person.post(page.action, neighbour="Mme Durand, 2e")
    answer = await person.post(page.action)
    assert (answer.status, "Nothing was changed." in answer.text) == (422, True)
    page = await person.post((await person.get(f"{path}/modifier")).action, neighbour="M. Petit")
    for _ in range(2):
        await person.post(page.action)
    assert (await counter.published(f"item/{ITEM}")).count("edited") == 1


async def test_after_the_cut_off_there_is_no_button_and_an_open_page_says_that_nothing_was_sent(
    counter: Counter,
) -> None:
    later = str(TODAY + timedelta(days=2))
    _, made = await counter.ask(counter.about_item("other_date", **{"from": later}))
    path = f"/suivi/demandes/{made['request_id']}/{made['token']}"
    person = Visitor(counter, {})
    page = await person.get(f"{path}/modifier")
    assert f'value="{later}"' in page.text
    page = await person.post(page.action, day=str(TODAY + timedelta(days=3)))
    assert page.heading == "Check your answers"
    await counter.office.fetch("update task set loaded_at = now()")
    assert "/modifier" not in (await person.get(path)).text
    back = await person.post(page.action)
    assert (back.status, urlsplit(back.path).path) == (200, path)
    assert str((await counter.office.fetch("select from_day from request"))[0]["from_day"]) == later


async def test_a_link_that_is_none_and_a_draft_of_elsewhere_open_nothing(counter: Counter) -> None:
    reference, path = await opened(counter)
    person = Visitor(counter, {})
    assert (await person.get(f"/suivi/demandes/{reference}/drt_x/modifier")).status == 404
    assert (await person.get(f"/suivi/demandes/DC-0/{path.rsplit('/', 1)[1]}/modifier")).status == 404
    stolen = {"kind": "proxy", "neighbour": "M. Voleur", "email": "thief@example.org"}
    elsewhere = seal_draft(draft_key(counter.vault), stolen, bound_to=f"item/{ITEM}")
    assert "Voleur" not in (await person.get(f"{path}/modifier?step=neighbour&a={elsewhere}")).text
    own = seal_draft(draft_key(counter.vault), stolen, bound_to=f"request/{reference}")
    page = await person.post(f"{path}/modifier?step=check&a={own}")
    assert page.status == 200
    (row,) = await counter.office.fetch("select kind, sealed from request")
    (told,) = await counter.office.opener.open_blobs([row["sealed"]])
    assert (row["kind"], told["details"]["contact"]["email"]) == ("neighbour", "m@example.org")


async def test_a_choice_without_a_question_of_its_own_has_no_button_and_says_what_to_do(counter: Counter) -> None:
    _, made = await counter.ask(counter.about_item("pickup_point", pickup_point="bureau"))
    path = f"/suivi/demandes/{made['request_id']}/{made['token']}"
    person = Visitor(counter, {})
    page = await person.get(path)
    assert "/modifier" not in page.text
    assert "cancel it and make another one" in page.text
    assert (await person.get(f"{path}/modifier")).status == 303
