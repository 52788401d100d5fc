"""How notices leave: as a mail with two parts, as a call, not in the quiet hours, and not to who declined them."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from email.message import EmailMessage
from functools import partial
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from fieldsvc.following.finding import links_of_mail
from fieldsvc.journal.sealed import Opener, Vault, open_vault, person_keys
from fieldsvc.notices.choices import KINDS, Choices
from fieldsvc.notices.looks import html_of, spoken, text_of
from fieldsvc.notices.sender import Notices
from fieldsvc.notices.templates import Words, templates
from fieldsvc.notices.ways import Mail, Message, Unsent
from fieldsvc.requests.links import link_key, open_link
from fieldsvc.settings import Settings, read_addresses, read_quiet
from fieldsvc.store import notice as store
from fieldsvc.store.database import Database

PARIS = ZoneInfo("Europe/Paris")
NOON, NIGHT = datetime(2026, 11, 23, 11, tzinfo=UTC), datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
GONE = {"endpoint": "ep_1", "host": "hook.example", "since": "2026-11-23 10:00 UTC"}
ALERT = {"alert_id": "a1", "kind": "sos", "level": "urgent", "raised_at": "10 h", "run_id": "run-1"}
DELIVERED = {"number": "LL1", "follows": "item/LL1", "to_fr": "chez un voisin", "to_en": "to a neighbour"}


class Taken:
    """A way that remembers."""

    def __init__(self) -> None:
        self.messages: list[Message] = []

    async def send(self, message: Message) -> None:
        self.messages.append(message)


class Silent:
    """Commands that nobody gives here."""

    async def send(self, *_args: Any, **_more: Any) -> None:
        raise AssertionError


class Office:
    """A sender over one database."""

    def __init__(self, database: Database, vault: Vault, **more: Any) -> None:
        self.database, self.vault = database, vault
        self.way = Taken()
        self.choices = Choices(database, vault, "https://post.example")
        ways = dict.fromkeys(("email", "mobile", "voice"), self.way)
        self.notices = Notices(
            database, Opener(database, vault), Silent(), ways=ways, zone=PARIS, choices=self.choices, **more
        )

    async def queue(self, template: str, way: str, params: Mapping[str, str], *, at: datetime = NOON) -> None:
        async with self.database.acquire() as connection:
            key = (await person_keys(connection, self.vault, ["account/acc_1"])).of("account/acc_1")
        to = "lina@example.org" if way == "email" else "+33612345678"
        sealed = key.seal_blob({"to": to, "params": dict(params)})
        await store.queue(
            self.database, f"{template} {way} {at}", template, way=way, lang="fr", due_at=at, sealed=sealed
        )

    async def states(self) -> list[tuple[str, str | None]]:
        return [(each.state, each.reason) for each in await store.counted(self.database)]


@pytest.fixture
async def vault(database: Database) -> Vault:
    async with database.acquire() as connection:
        return await open_vault(connection, bytes(range(32)))


def message(text: str, *, decline: str | None = None) -> Message:
    return Message("019a", "a@example.org", "fr", Words("Bonjour <vous>", text, "Court"), decline)


@pytest.mark.parametrize(
    "to",
    ["a@x.fr,root", "a@x.fr, b@y.fr", "Post<a@x.fr>", "a@x.fr\r\nBcc: b@y.fr", "a@b@x.fr", "group:a@x.fr;", "", "a"],
)
def test_a_mail_goes_to_the_one_address_that_it_is_for_or_nowhere(to: str) -> None:
    with pytest.raises(Unsent, match="bad_address"):
        Mail("smtp://x", "Post <post@example.org>")._mail(replace(message("Bonjour"), to=to))


def test_a_mail_has_a_plain_part_and_an_html_part_that_needs_nothing_from_anywhere() -> None:
    made = Mail("smtp://x", "Post <post@example.org>")._mail(
        message("Bonjour,\n\nVoir https://post.example/a?b=1&c=2.\nMerci <b>", decline="https://post.example/mail/t")
    )
    assert made.get_content_type() == "multipart/alternative"
    plain, page = (part for part in made.iter_parts() if isinstance(part, EmailMessage))
    assert plain.get_content_type() == "text/plain"
    assert "https://post.example/mail/t" in plain.get_content()
    written = page.get_content()
    assert '<a href="https://post.example/a?b=1&amp;c=2">' in written
    assert "Merci &lt;b&gt;" in written
    assert "Bonjour &lt;vous&gt;" in written
    assert not any(word in written for word in ("<img", "<script", "<link", "url("))
    assert made["List-Unsubscribe"] == "<https://post.example/mail/t>"
    assert made["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"


def test_a_mail_that_cannot_be_declined_does_not_offer_it() -> None:
    made = Mail("smtp://x", "Post <post@example.org>")._mail(message("Bonjour"))
    assert made["List-Unsubscribe"] is None
    assert "/mail/" not in html_of(message("Bonjour")) + text_of(message("Bonjour"))


def test_every_template_reads_well_as_a_page_in_both_languages() -> None:
    for name, template in templates().items():
        assert template.kind in {"", *KINDS}, name
        for lang, words in template.words.items():
            page = html_of(Message("1", "a@b.c", lang, words))
            assert page.count("<p ") >= 1, name
            assert f'<html lang="{lang}">' in page


def test_a_call_reads_codes_one_by_one_and_no_address_of_a_page() -> None:
    heard = spoken("Votre code : 482913. Arrêter : https://post.example/stop/x?y=1. Le 24 novembre 2026.")
    assert "4, 8, 2, 9, 1, 3" in heard
    assert "http" not in heard
    assert "2026" in heard


@pytest.mark.parametrize("way", ["mobile", "voice", "email"])
async def test_news_wait_for_the_morning_and_alarms_do_not(database: Database, vault: Vault, way: str) -> None:
    office = Office(database, vault)
    await office.queue("endpoint_gone", way, GONE, at=NIGHT)
    await office.queue("alert_desk", way, ALERT, at=NIGHT)
    await office.notices.send_due(NIGHT)
    assert [each.words.subject for each in office.way.messages] == ["Alerte sans réponse : sos"]
    await office.notices.send_due(datetime(2026, 11, 24, 5, 59, tzinfo=UTC))
    assert len(office.way.messages) == 1
    await office.notices.send_due(datetime(2026, 11, 24, 6, tzinfo=UTC))
    assert len(office.way.messages) == 2


async def test_a_mail_that_answers_somebody_leaves_at_night(database: Database, vault: Vault) -> None:
    office = Office(database, vault)
    warning = {"reference": "DC-1", "earliest": "lundi", "stop_url": "https://x.example/stop"}
    await office.queue("delivery_change_warning", "email", warning, at=NIGHT)
    await office.notices.send_due(NIGHT)
    assert len(office.way.messages) == 1


async def test_the_operator_chooses_the_quiet_hours_or_none(database: Database, vault: Vault) -> None:
    never = Office(database, vault, quiet=None)
    await never.queue("endpoint_gone", "mobile", GONE, at=NIGHT)
    await never.notices.send_due(NIGHT)
    assert len(never.way.messages) == 1
    siesta = Office(database, vault, quiet=(time(12), time(14)))
    await siesta.queue("endpoint_gone", "mobile", GONE, at=NOON + timedelta(minutes=1))
    await siesta.notices.send_due(NOON + timedelta(minutes=1))
    assert siesta.way.messages == []
    await siesta.notices.send_due(NOON + timedelta(hours=2))
    assert len(siesta.way.messages) == 1


async def test_who_declined_a_kind_of_mail_is_not_written_to_until_they_want_it_again(
    database: Database, vault: Vault
) -> None:
    office = Office(database, vault)
    await office.queue("endpoint_gone", "email", GONE)
    await office.notices.send_due(NOON)
    (sent,) = office.way.messages
    assert sent.decline is not None
    choice = office.choices.read(sent.decline.rpartition("/")[2])
    assert choice is not None
    await office.choices.decline(choice)
    await office.queue("endpoint_gone", "email", GONE, at=NOON + timedelta(seconds=1))
    await office.notices.send_due(NOON + timedelta(seconds=1))
    assert len(office.way.messages) == 1
    assert ("not_sent", "declined") in await office.states()
    await office.choices.want(choice)
    await office.queue("endpoint_gone", "email", GONE, at=NOON + timedelta(seconds=2))
    await office.notices.send_due(NOON + timedelta(seconds=2))
    assert len(office.way.messages) == 2


async def test_a_link_of_another_store_or_a_changed_one_declines_nothing(database: Database, vault: Vault) -> None:
    choices = Choices(database, vault, "https://post.example")
    token = choices.link("a@example.org", "endpoints").rpartition("/")[2]
    assert choices.read(token) is not None
    for wrong in ("", "x", "é", token[:-6] + "AAAAAA", "AAAAAA" + token[6:], "%00"):
        assert choices.read(wrong) is None, wrong
    assert choices.link("A@Example.org ", "endpoints").endswith(token)


def test_settings_refuse_hours_and_addresses_that_are_none() -> None:
    assert read_quiet("22:00-07:00") == (time(22), time(7))
    assert read_quiet(" ") is None
    assert read_addresses("192.0.2.7, 2001:db8::/48") == ("192.0.2.7/32", "2001:db8::/48")
    for wrong in ("22-22", "night"):
        with pytest.raises(ValueError, match="quiet_hours"):
            Settings(quiet_hours=wrong)
    with pytest.raises(ValueError, match="egress_addresses"):
        Settings(egress_addresses="here")


async def test_links_are_made_when_the_mail_is_sent_and_end_with_their_days(database: Database, vault: Vault) -> None:
    key = link_key(vault)
    office = Office(database, vault, links=partial(links_of_mail, key, "https://post.example/"))
    await office.queue("item_delivered", "email", DELIVERED)
    await office.notices.send_due(NOON)
    (sent,) = office.way.messages
    paths = re.findall(r"https://post\.example/suivi/([A-Za-z0-9_-]+)/(contester|satisfaction)", sent.words.text)
    assert [name for _, name in paths] == ["contester", "satisfaction"]
    for token, _ in paths:
        link = open_link(key, token)
        assert link is not None
        assert (link.subject, link.rights) == ("item/LL1", frozenset({"see"}))
        assert open_link(key, token, now=datetime.now(UTC) + timedelta(days=8)) is None
    assert "7 jours" in sent.words.text
    assert "suivi" not in sent.words.short


async def test_who_wants_no_mail_about_deliveries_gets_none(database: Database, vault: Vault) -> None:
    office = Office(database, vault, links=partial(links_of_mail, link_key(vault), "https://post.example"))
    choice = office.choices.read(office.choices.link("lina@example.org", "deliveries").rsplit("/", 1)[1])
    assert choice is not None
    await office.choices.decline(choice)
    await office.queue("item_delivered", "email", DELIVERED)
    await office.notices.send_due(NOON)
    assert (office.way.messages, await office.states()) == ([], [("not_sent", "declined")])
