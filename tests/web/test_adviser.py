"""`/adviser`: found for a reason, explained in words, disputed with a day by which it is answered, and changed for a caller."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest

from tests.web.desks import NAME, POSTCODE, Desks, open_desks

WHY = "?reason=complaint"


@pytest.fixture(scope="module")
def desks(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desks]:
    with open_desks(postgres_url, tmp_path_factory.mktemp("adviser")) as made:
        yield made


def looks(desks: Desks, action: str) -> list[Any]:
    rows = desks.fetch("select subject, reason, role from audit where action = $1 order by at", action)
    return [(row["subject"], row["reason"], row["role"]) for row in rows]


def test_an_item_is_found_by_its_number_for_a_reason_and_the_look_is_noted_with_it(desks: Desks) -> None:
    number = desks.waiting()
    assert desks.post("adviser", "/adviser", number=number).status == 422  # why is not said
    path = desks.led("adviser", "/adviser", number=number.lower(), reason="complaint")
    assert path == f"/adviser/items/{number}{WHY}"
    assert (f"item/{number}", "complaint", "adviser") not in looks(desks, "item.explained")
    assert desks.page("adviser", path).status == 200
    assert (f"item/{number}", "complaint", "adviser") in looks(desks, "item.explained")
    assert desks.page("adviser", f"/adviser/items/{number}").status == 303
    assert desks.post("adviser", "/adviser", number="nothing", reason="complaint").status == 422


def test_without_a_number_a_name_and_a_postcode_find_it_and_the_search_is_noted_without_the_name(desks: Desks) -> None:
    number = desks.order(addressee="M. Émile Zola")
    found = desks.post("adviser", "/adviser", name="zola emile", postcode=POSTCODE, reason="item_search")
    assert number in found.body.decode()
    assert looks(desks, "names.looked_up")[-1] == (f"postcode/{POSTCODE}", "item_search", "adviser")
    for name, postcode in (("Zola", "75001"), ("Zol", POSTCODE), ("Zola Paul", POSTCODE)):
        said = desks.post("adviser", "/adviser", name=name, postcode=postcode, reason="item_search").body.decode()
        assert number not in said
    assert desks.post("adviser", "/adviser", name="Zola", reason="item_search").status == 422


def test_what_happened_is_told_in_words_with_why_in_both_languages(desks: Desks) -> None:
    path = f"/adviser/items/{desks.waiting()}{WHY}"
    english, french = (desks.page("adviser", path, lang).body.decode() for lang in ("en", "fr"))
    assert NAME in english
    assert "Delivery attempted, it waits at the office" in english
    assert "Nobody was home" in english
    assert "Présenté, non distribué, il attend au bureau" in french
    assert "Destinataire absent" in french


def test_a_dispute_is_opened_with_a_day_by_which_it_is_answered_and_answered_here(desks: Desks) -> None:
    number = desks.order()
    desks.say("delivered", number, to="mailbox")
    path = f"/adviser/items/{number}"
    event = re.findall(r'name="event" value="([^"]+)"', desks.page("adviser", path + WHY).body.decode())[-1]
    missing = desks.post("adviser", f"{path}/cases", reason="complaint", event=event)
    assert missing.status == 422
    assert (
        desks.led("adviser", f"{path}/cases", reason="complaint", event=event, text="Nothing came", email="a@b.invalid")
        == path + WHY
    )
    assert desks.fetch("select 1 from notice where template = 'dispute_opened'")
    assert "answer due on" in desks.page("adviser", path + WHY).body.decode()
    listed = desks.page("adviser", "/adviser/cases").body.decode()
    assert number in listed
    case = re.findall(r'href="(/adviser/cases/[^"]+)">' + number, listed)[0]
    shown = desks.page("adviser", case).body.decode()
    assert "Nothing came" in shown
    assert desks.post("adviser", case, outcome="settled").status == 422
    assert desks.led("adviser", case, outcome="settled", text="Found at the neighbour's") == case
    assert "Found at the neighbour&#39;s" in desks.page("adviser", case).body.decode()
    assert number not in desks.page("adviser", "/adviser/cases").body.decode()
    assert desks.post("adviser", case, outcome="settled", text="again").status == 422


def test_a_change_is_asked_for_a_caller_with_what_was_checked_and_sent_twice_it_is_one(desks: Desks) -> None:
    number = desks.order()
    path = f"/adviser/items/{number}/change"
    form = desks.page("adviser", f"{path}{WHY}&kind=neighbour").body.decode()
    key = re.findall(r'name="key" value="([^"]+)"', form)[0]
    said = {"kind": "neighbour", "reason": "complaint", "key": key, "identity": "none", "neighbour": "Mme Durand, 3e"}
    said["mobile"] = "06 12 34 56 78"  # as the caller says it
    assert desks.post("adviser", path, **{**said, "neighbour": ""}).status == 422
    where = desks.led("adviser", path, **said)
    assert desks.led("adviser", path, **said) == where
    shown = desks.page("adviser", where).body.decode()
    assert where.rsplit("/", 1)[1] in shown
    assert "Request sent, not seen yet" in shown
    assert where in desks.page("adviser", f"/adviser/items/{number}{WHY}").body.decode()
    assert desks.led("adviser", where, act="cancel") == where
    assert "Request cancelled" in desks.page("adviser", where).body.decode()


def test_a_redirection_for_a_caller_waits_for_their_identity_then_a_code_goes_by_letter(desks: Desks) -> None:
    path = f"/adviser/items/{desks.order()}/change"
    said = {"kind": "redirect_permanent", "reason": "complaint", "key": "k1", "identity": "none"}
    day = desks.service.platform.runs.today() + timedelta(days=40)
    said |= {"from": day.isoformat(), "new_address": "1 place Neuve, 13001 Marseille", "names": "Martin\nDupré"}
    where = desks.led("adviser", path, **said)
    assert "identity still has to be checked" in desks.page("adviser", where).body.decode()
    desks.led("adviser", where, act="verify")
    assert "by letter to the old address" in desks.page("adviser", where).body.decode()


def test_a_registered_item_says_why_a_neighbour_cannot_take_it(desks: Desks) -> None:
    number = desks.order(requirements=["registered"])
    page = desks.page("adviser", f"/adviser/items/{number}{WHY}").body.decode()
    assert "only to its addressee" in page
    said = {"kind": "neighbour", "reason": "complaint", "key": "k2", "identity": "none", "neighbour": "X"}
    answer = desks.post("adviser", f"/adviser/items/{number}/change", **said)
    assert answer.status == 422
    assert b"only to its addressee" in answer.body.replace(b"\n", b" ")


def test_an_item_of_which_no_name_is_known_is_shown_all_the_same(desks: Desks) -> None:
    number = desks.order(addressee=None)
    assert desks.page("adviser", f"/adviser/items/{number}{WHY}").status == 200
    assert desks.page("adviser", f"/adviser/items/{number}/change{WHY}&kind=hold").status == 200
    assert desks.page("clerk", f"/counter/items/{number}").status == 200
