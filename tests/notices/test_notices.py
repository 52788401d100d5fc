"""Notices: queued once, sent by mail, text message or letter, tried again, kept when nothing can send them."""

import asyncio
import resource
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from aiosmtpd.smtp import SMTP, Envelope, Session
from pydantic import SecretStr
from standardwebhooks.webhooks import Webhook

from fieldsvc.errors import Invalid, UserMistake
from fieldsvc.journal.sealed import Opener, Vault, open_vault, person_keys
from fieldsvc.notices import ways
from fieldsvc.notices.sender import KEPT, SCHEDULE_S, Notices
from fieldsvc.notices.templates import BadTemplate, render, templates
from fieldsvc.notices.ways import Gateway, Mail, Unsent, Way, ways_of
from fieldsvc.settings import Settings
from fieldsvc.store.database import Database
from handlers.notice import notice
from handlers.story import Fact, Sealed
from sql import query
from tests.publishing.test_webhooks import (  # its receivers
    Behaviour,
    Raw,
    drip_headers,
    garbage,
    hang,
    huge_header,
    raw,  # noqa: F401 - a fixture
    reset,
)

PARIS = ZoneInfo("Europe/Paris")
NOON, NIGHT = datetime(2026, 11, 23, 11, tzinfo=UTC), datetime(2026, 11, 23, 22, 30, tzinfo=UTC)
SECRET = "whsec_" + "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
WARNING = {"reference": "DC-1", "earliest": "lundi", "stop_url": "https://x.example/stop"}
FACT = Fact("2026-11-23T10:00:00.000Z", "019a8f3e-7c11-7d3a-9a51-0c5d8c1f2e44", "delivery_change.requested", {})


@dataclass
class Sent:
    """A way that remembers, and fails with what it is told to."""

    messages: list[Any] = field(default_factory=list)
    faults: list[Unsent] = field(default_factory=list)

    async def send(self, message: Any) -> None:
        if self.faults:
            raise self.faults.pop(0)
        self.messages.append(message)


@dataclass
class Orders:
    """Commands that remember."""

    sent: list[tuple[Mapping[str, Any], str | None]] = field(default_factory=list)
    fault: Exception | None = None

    async def send(self, type: str, data: Mapping[str, Any], *, handler: str | None = None) -> None:  # noqa: A002
        assert type == "task.planned"
        if self.fault is not None:
            raise self.fault
        self.sent.append((data, handler))


@dataclass
class Post:
    """A sender with its ways, on a database of its own."""

    database: Database
    vault: Vault
    email: Sent = field(default_factory=Sent)
    mobile: Sent = field(default_factory=Sent)
    postal: Sent = field(default_factory=Sent)
    orders: Orders = field(default_factory=Orders)

    def notices(self, *ways: str) -> Notices:
        made: dict[str, Way] = {name: getattr(self, name) for name in ways}
        opener = Opener(self.database, self.vault)
        return Notices(self.database, opener, self.orders, ways=made, zone=PARIS)

    async def queue(self, to: Mapping[str, Any], *, at: datetime = NOON, **more: Any) -> None:
        """Queue as the journal does: what is sealed, with the key of the subject's person."""
        write = notice(FACT, "delivery_change_warning", to, WARNING, due_at=at, **more)
        async with self.database.acquire() as connection:
            key = (await person_keys(connection, self.vault, ["item/RK1"])).of("item/RK1")
            args = [key.seal_blob(arg.value) if isinstance(arg, Sealed) else arg for arg in write.args]
            await connection.execute(query(write.query), *args)

    async def rows(self) -> list[tuple[Any, ...]]:
        async with self.database.acquire() as connection:
            found = await connection.fetch("select state, reason, attempts, sealed is null from notice order by key")
        return [tuple(row) for row in found]


@pytest.fixture
async def post(database: Database) -> Post:
    async with database.acquire() as connection:
        return Post(database, await open_vault(connection, bytes(range(32))))


async def test_a_notice_goes_once_by_the_first_way_and_its_address_is_forgotten_then(post: Post) -> None:
    for _ in range(2):
        await post.queue({"email": "a@example.org", "mobile": "+33612345678"})
    await post.queue({"email": "b@example.org"}, key="second", lang="en")
    sender = post.notices("email", "mobile", "postal")
    assert await sender.send_due(NOON) == 2
    assert await sender.send_due(NOON + timedelta(days=1)) == 0
    assert [message.to for message in post.email.messages] == ["a@example.org", "b@example.org"]
    french, english = (message.words for message in post.email.messages)
    assert "https://x.example/stop" in french.text
    assert french.subject.startswith("Une réexpédition")
    assert english.subject.startswith("A redirection")
    assert await post.rows() == [("sent", None, 1, True)] * 2
    assert post.mobile.messages == []


async def test_two_processes_at_once_send_each_notice_once(post: Post) -> None:
    for number in range(10):
        await post.queue({"email": f"{number}@example.org"}, key=str(number))
    counts = await asyncio.gather(*(post.notices("email").send_due(NOON) for _ in range(4)))
    assert sum(counts) == 10
    assert sorted(message.to for message in post.email.messages) == [f"{number}@example.org" for number in range(10)]


async def test_what_nothing_can_send_is_kept_counted_and_sent_once_it_is_set_up(post: Post) -> None:
    await post.queue({"email": "a@example.org"})
    await post.queue({}, key="nobody")
    await post.notices().send_due(NOON)
    assert sorted(await post.rows()) == [("not_sent", "no_contact", 1, False), ("not_sent", "not_configured", 1, False)]
    later = post.notices("email")
    await later.keep_up(datetime.now(UTC))
    await later.send_due(datetime.now(UTC))
    assert [message.to for message in post.email.messages] == ["a@example.org"]
    await later.keep_up(datetime.now(UTC) + KEPT + timedelta(days=1))
    assert await post.rows() == []


async def test_a_failure_is_tried_again_on_the_schedule_and_given_up_at_its_end(post: Post) -> None:
    post.email.faults = [Unsent("smtp_451") for _ in range(len(SCHEDULE_S) + 1)]
    await post.queue({"email": "a@example.org"})
    sender, now = post.notices("email"), NOON
    for wait_s in SCHEDULE_S:
        assert await sender.send_due(now) == 1
        assert await sender.send_due(now + timedelta(seconds=wait_s - 1)) == 0
        now += timedelta(seconds=wait_s)
    assert await sender.send_due(now) == 1
    assert await post.rows() == [("failed", "smtp_451", len(SCHEDULE_S) + 1, False)]


async def test_what_is_refused_for_good_is_not_tried_again(post: Post) -> None:
    post.email.faults = [Unsent("recipient_refused", for_good=True)]
    await post.queue({"email": "nobody@example.org"})
    await post.notices("email").send_due(NOON)
    assert await post.rows() == [("failed", "recipient_refused", 1, False)]


async def test_no_text_message_goes_at_night_and_it_goes_in_the_morning(post: Post) -> None:
    await post.queue({"mobile": "+33612345678"}, at=NIGHT)
    await post.queue({"email": "a@example.org"}, at=NIGHT, key="mail")
    sender = post.notices("mobile", "email")
    await sender.send_due(NIGHT)
    assert (len(post.mobile.messages), len(post.email.messages)) == (0, 1)
    morning = datetime(2026, 11, 24, 6, 0, tzinfo=UTC)  # seven in Paris
    assert await sender.send_due(morning - timedelta(seconds=1)) == 0
    assert await sender.send_due(morning) == 1
    assert len(post.mobile.messages) == 1


async def test_a_letter_is_printed_and_given_to_the_carrier_of_the_next_working_day(post: Post) -> None:
    saturday = datetime(2026, 11, 21, 11, tzinfo=UTC)
    await post.queue({"postal": {"delivery_point_id": "dp-118", "addressee": "Mme Martin"}}, at=saturday)
    await post.notices("postal").send_due(saturday)
    (order, handler), (message,) = post.orders.sent[0], post.postal.messages
    assert handler == "letter_code"
    assert (order["on"], order["delivery_point"], order["addressee"]) == ("2026-11-23", "dp-118", "Mme Martin")
    assert message.to["addressee"] == "Mme Martin"
    assert "words" not in order


async def test_a_letter_that_no_carrier_can_take_is_not_printed(post: Post) -> None:
    post.orders.fault = Invalid("No service takes such tasks.")
    await post.queue({"postal": {"address": "1 rue A, 93140 Bondy"}})
    await post.queue({"postal": {"city": "Bondy"}}, key="nowhere")
    await post.notices("postal").send_due(NOON)
    assert sorted(row[:2] for row in await post.rows()) == [("failed", "bad_address"), ("failed", "letter_invalid")]
    assert post.postal.messages == []


async def test_a_notice_to_an_erased_person_is_not_sent(post: Post) -> None:
    await post.queue({"email": "a@example.org"})
    async with post.database.acquire() as connection:
        await connection.execute("update person_key set wrapped = null, destroyed_at = now()")
    await post.notices("email").send_due(NOON)
    assert await post.rows() == [("not_sent", "erased", 1, False)]


class Box:
    """A mail server that keeps what it gets and refuses one address."""

    def __init__(self) -> None:
        self.mails: list[Envelope] = []

    async def handle_RCPT(  # noqa: N802 - the library's name
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address.startswith("nobody"):
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        self.mails.append(envelope)
        return "250 OK"


@pytest.fixture
async def mailbox() -> AsyncIterator[tuple[Box, str]]:
    box = Box()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(box, hostname="mail.test"), "127.0.0.1", 0)
    async with server:
        yield box, f"smtp://127.0.0.1:{server.sockets[0].getsockname()[1]}"


def message(to: Any, **words: str) -> Any:
    from fieldsvc.notices.templates import Words
    from fieldsvc.notices.ways import Message

    return Message("019a", to, "fr", Words(**{"subject": "Été", "text": "Bonjour\n", "short": "Court", **words}))


async def test_mail_reaches_a_mail_server_as_it_was_written(mailbox: tuple[Box, str]) -> None:
    box, url = mailbox
    mail = Mail(url, "Poste <post@example.org>")
    await mail.send(message("a@example.org"))
    (got,) = box.mails
    text = got.content.decode() if isinstance(got.content, bytes) else str(got.content)
    assert (got.mail_from, got.rcpt_tos) == ("post@example.org", ["a@example.org"])
    assert "Message-ID: <019a@example.org>" in text
    assert "Bonjour" in text
    with pytest.raises(Unsent) as refused:
        await mail.send(message("nobody@example.org"))
    assert refused.value.for_good
    with pytest.raises(Unsent, match="bad_address"):
        await mail.send(message("a@example.org\nBcc: all@example.org"))
    with pytest.raises(Unsent, match="smtp_unreachable"):
        await Mail("smtp://127.0.0.1:9", "post@example.org").send(message("a@example.org"))


async def test_a_gateway_gets_signed_json_and_its_answer_decides() -> None:
    got: list[tuple[Mapping[str, str], bytes]] = []
    statuses = [202, 500, 400]

    async def take(request: web.Request) -> web.Response:
        got.append((dict(request.headers), await request.read()))
        return web.Response(status=statuses[len(got) - 1])

    app = web.Application()
    app.router.add_post("/", take)
    async with TestServer(app) as server:
        gateway = Gateway("mobile", str(server.make_url("/")), SECRET)
        await gateway.send(message("+33612345678"))
        with pytest.raises(Unsent) as later:
            await gateway.send(message("+33612345678"))
        with pytest.raises(Unsent) as never:
            await gateway.send(message("+33612345678"))
    assert (later.value.reason, later.value.for_good) == ("gateway_500", False)
    assert (never.value.reason, never.value.for_good) == ("gateway_400", True)
    headers, body = got[0]
    told = Webhook(SECRET).verify(body, {name.lower(): value for name, value in headers.items()})
    assert (told["way"], told["to"], told["text"], told["id"]) == ("mobile", "+33612345678", "Court", "019a")
    with pytest.raises(Unsent, match="gateway_unreachable"):
        await gateway.send(message("+33612345678"))


async def redirect(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 307 Go\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n")
    await writer.drain()


async def endless(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
    for _ in range(10_000):
        writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
        await writer.drain()


HOSTILE = [(hang, "gateway_unreachable"), (drip_headers, "gateway_unreachable"), (reset, "gateway_unreachable"),
    (garbage, "gateway_unreachable"), (huge_header, "gateway_unreachable"), (redirect, "gateway_307"), (endless, None)]  # fmt: skip


@pytest.mark.parametrize(("behaviour", "reason"), HOSTILE, ids=[each.__name__ for each, _ in HOSTILE])
async def test_a_hostile_gateway_costs_bounded_time_and_memory(
    raw: Raw,  # noqa: F811
    behaviour: Behaviour,
    reason: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(ways, "TIMEOUT_S", 0.5)
    raw.behaviour = behaviour
    began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    sending = Gateway("mobile", raw.url, SECRET).send(message("+33612345678"))
    if reason is None:  # it has the message: what it says beside that is not read
        await sending
    else:
        with pytest.raises(Unsent, match=reason) as unsent:
            await sending
        assert not unsent.value.for_good
    assert time.monotonic() - began < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 30_000  # KiB
    assert len(raw.requests) == 1


def test_settings_name_the_ways_and_a_wrong_one_refuses_to_start() -> None:
    assert ways_of(Settings()) == {}
    https = Settings(
        notice_gateway_url="https://gateway.example", notice_gateway_secret=SecretStr(SECRET),
        smtp_url=SecretStr("smtps://u:p@mail.example"), mail_from="post@example.org",
    )  # fmt: skip
    assert sorted(ways_of(https)) == ["email", "mobile", "postal", "voice"]
    for wrong in (
        Settings(smtp_url=SecretStr("http://mail.example"), mail_from="post@example.org"),
        Settings(smtp_url=SecretStr("smtp://mail.example")),
        Settings(notice_gateway_url="https://gateway.example"),
        Settings(notice_gateway_url="http://gateway.example", notice_gateway_secret=SecretStr(SECRET)),
        Settings(notice_gateway_url="https://gateway.example", notice_gateway_secret=SecretStr("whsec_no base64")),
    ):
        with pytest.raises(UserMistake):
            ways_of(wrong)


def test_every_template_is_there_in_both_languages_and_says_what_is_missing() -> None:
    assert all(set(each.words) == {"fr", "en"} for each in templates().values())
    with pytest.raises(BadTemplate, match="missing_word"):
        render("delivery_change_warning", "fr", {"reference": "DC-1"})
    with pytest.raises(BadTemplate, match="unknown_template"):
        render("no_such_template", "fr", {})
    assert "\n" not in render("delivery_change_warning", "fr", {**WARNING, "reference": "a\nb"}).subject


def test_mail_is_a_mail() -> None:
    assert isinstance(Mail("smtp://x", "post@example.org")._mail(message("a@example.org")), EmailMessage)
