"""The ways to a person: mail over SMTP, and a gateway that takes text messages, calls and letters to print as signed JSON."""

import base64
import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import EmailMessage
from http import HTTPStatus
from typing import Any, Protocol
from urllib.parse import unquote, urlsplit

import aiosmtplib
import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from fieldsvc.errors import UserMistake
from fieldsvc.notices.looks import html_of, spoken, text_of
from fieldsvc.notices.templates import Words
from fieldsvc.settings import Settings

TIMEOUT_S = 15.0
_PORTS = {"smtp": 25, "smtps": 465, "submission": 587}
_LATER = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})


class Unsent(Exception):
    """It could not be sent. `for_good`: trying again will not help."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.reason = reason
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Message:
    """One message, ready to go. `id` is the same at every attempt; `decline` is where its reader stops mails of its kind."""

    id: str
    to: Any
    lang: str
    words: Words
    decline: str | None = None


class Way(Protocol):
    """A way to a person."""

    async def send(self, message: Message) -> None:
        """Send one message; Unsent with the reason."""
        ...


@dataclass(frozen=True, slots=True)
class Mail:
    """Mail over SMTP: `smtp://` (TLS where the server offers it), `submission://` (port 587, TLS a must), `smtps://`."""

    url: str
    sender: str

    async def send(self, message: Message) -> None:
        """Send one mail."""
        parts = urlsplit(self.url)
        try:
            await aiosmtplib.send(
                self._mail(message),
                hostname=parts.hostname,
                port=parts.port or _PORTS[parts.scheme],
                username=unquote(parts.username) if parts.username else None,
                password=unquote(parts.password) if parts.password else None,
                use_tls=parts.scheme == "smtps",
                start_tls=True if parts.scheme == "submission" else None if parts.scheme == "smtp" else False,
                timeout=TIMEOUT_S,
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            code = next((refused.code for refused in error.recipients), 0)
            raise Unsent("recipient_refused", for_good=code >= 500) from None
        except aiosmtplib.SMTPResponseException as error:
            raise Unsent(f"smtp_{error.code}", for_good=error.code >= 550) from None
        except (aiosmtplib.SMTPException, OSError):
            raise Unsent("smtp_unreachable") from None

    def _mail(self, message: Message) -> EmailMessage:
        mail = EmailMessage()
        try:
            mail["From"], mail["To"], mail["Subject"] = self.sender, message.to, message.words.subject
            found = [each.addr_spec for each in mail["To"].addresses]
        except (ValueError, TypeError, AttributeError):
            raise Unsent("bad_address", for_good=True) from None
        if found != [message.to] or "@" not in message.to:  # somebody typed it: it is one address, and nothing else
            raise Unsent("bad_address", for_good=True)
        mail["Message-ID"] = f"<{message.id}@{self.sender.rpartition('@')[2].strip('> ') or 'localhost'}>"
        mail["Content-Language"], mail["Auto-Submitted"] = message.lang, "auto-generated"
        if message.decline is not None:  # RFC 8058: one click of the reader's own mail program, without a page
            mail["List-Unsubscribe"] = f"<{message.decline}>"
            mail["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
        mail.set_content(text_of(message))
        mail.add_alternative(html_of(message), subtype="html")
        return mail


@dataclass(frozen=True, slots=True)
class Gateway:
    """A gateway of the operator's own: takes `{id, way, to, lang, subject, text}`, signed as Standard Webhooks 1.0.0 says."""

    way: str
    url: str
    secret: str

    async def send(self, message: Message) -> None:
        """Post one message; any 2xx means that the gateway has it, and it knows an id that it has had before."""
        text = message.words.text if self.way == "postal" else message.words.short
        if self.way == "voice":
            text = spoken(text, lang=message.lang)
        body = orjson.dumps(
            {
                "id": message.id,
                "way": self.way,
                "to": message.to,
                "lang": message.lang,
                "subject": message.words.subject,
                "text": text,
            }
        )
        headers = {"Content-Type": "application/json", **signed(self.secret, message.id, int(time.time()), body)}
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=TIMEOUT_S)) as session,
                session.post(self.url, data=body, headers=headers, allow_redirects=False) as answer,
            ):
                status = answer.status
        except (ClientError, OSError, TimeoutError):
            raise Unsent("gateway_unreachable") from None
        if not 200 <= status < 300:
            raise Unsent(f"gateway_{status}", for_good=400 <= status < 500 and status not in _LATER)


def signed(secret: str, message_id: str, timestamp: int, body: bytes) -> dict[str, str]:
    """Sign a body (Standard Webhooks 1.0.0, `v1`); `secret` is `whsec_` and base64."""
    key = base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    digest = hmac.digest(key, f"{message_id}.{timestamp}.".encode() + body, hashlib.sha256)
    return {
        "webhook-id": message_id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": "v1," + base64.b64encode(digest).decode(),
    }


def ways_of(settings: Settings) -> dict[str, Way]:
    """Make the ways that the settings name. UserMistake for one that cannot be used."""
    found: dict[str, Way] = {}
    if settings.smtp_url is not None:
        url = settings.smtp_url.get_secret_value()
        if urlsplit(url).scheme not in _PORTS or not urlsplit(url).hostname or not settings.mail_from:
            raise UserMistake("FIELDSVC_SMTP_URL is smtp://, submission:// or smtps://, and needs FIELDSVC_MAIL_FROM.")
        found["email"] = Mail(url, settings.mail_from)
    if settings.notice_gateway_url is not None:
        url, secret = settings.notice_gateway_url, settings.notice_gateway_secret
        if secret is None or not _may_be_called(url, loopback=settings.allow_loopback_endpoints):
            raise UserMistake(
                "FIELDSVC_NOTICE_GATEWAY_URL is https, and needs FIELDSVC_NOTICE_GATEWAY_SECRET (whsec_…)."
            )
        found |= {way: Gateway(way, url, _checked(secret.get_secret_value())) for way in ("mobile", "voice", "postal")}
    return found


def _may_be_called(url: str, *, loopback: bool) -> bool:
    parts = urlsplit(url)
    return parts.scheme == "https" or (loopback and parts.scheme == "http" and parts.hostname in ("127.0.0.1", "::1"))


def _checked(secret: str) -> str:
    try:
        signed(secret, "", 0, b"")
    except ValueError:
        raise UserMistake("FIELDSVC_NOTICE_GATEWAY_SECRET is whsec_ and base64.") from None
    return secret


def letter_to(to: Any) -> Mapping[str, Any]:
    """Read where a letter goes; Unsent without a delivery point or an address."""
    if not isinstance(to, Mapping) or not (to.get("delivery_point_id") or to.get("address")):
        raise Unsent("bad_address", for_good=True)
    return to
