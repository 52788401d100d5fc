"""Signing in with a provider or a code by mail: what the pages of customers and of staff share.

A sign-in that is on its way lives in one cookie of the browser that began it, sealed: nobody can begin one for somebody else, and
nothing of it is kept here until it ends. Its state is noted when the answer comes, so that no answer counts twice.
"""

import base64
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
from aiohttp import web
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from fieldsvc.access import accounts, oidc, tokens
from fieldsvc.access.accounts import SESSION_LIVES
from fieldsvc.access.customers import Customers
from fieldsvc.access.id_tokens import BadIdToken
from fieldsvc.access.mail_codes import MailCodes
from fieldsvc.access.oidc import Flow, Identity, Provider
from fieldsvc.access.staff_roles import Given, read_roles
from fieldsvc.journal.sealed import NONCE_BYTES, Vault
from fieldsvc.settings import Settings
from fieldsvc.store import sign_in_code
from fieldsvc.store.database import Database
from fieldsvc.web.auth import ACCESS, CSRF_COOKIE, SESSION_COOKIE, base_url
from fieldsvc.web.pages.page import HEADERS

FLOW_COOKIE, CODE_COOKIE = "fieldsvc_sign_in", "fieldsvc_code"
FLOW_LIVES = timedelta(minutes=10)
LONGEST_PATH, LONGEST_COOKIE = 1_500, 3_800
_HERE = "/suivi/compte"


@dataclass(frozen=True, slots=True)
class SignIn:
    """What signing in needs; `codes` is None where no mail can be sent."""

    vault: Vault
    key: bytes
    customers: Customers
    provider: Provider | None
    staff: Provider | None
    roles: tuple[Given, ...]
    codes: MailCodes | None


SIGN_IN = web.AppKey("SIGN_IN", SignIn)


class BadAnswer(Exception):
    """This answer signs nobody in; `fault` is a word for the log."""

    def __init__(self, fault: str) -> None:
        super().__init__(fault)
        self.fault = fault


def signing_of(settings: Settings, database: Database, vault: Vault) -> SignIn:
    """Make what the settings name. UserMistake for a provider that cannot be used."""
    customers = Customers(database, vault)
    return SignIn(
        vault,
        vault.derived_key("sign-in.flow"),
        customers,
        oidc.provider_of(settings),
        oidc.staff_provider_of(settings),
        read_roles(settings.staff_oidc_roles),
        MailCodes(database, vault, customers) if settings.smtp_url is not None else None,
    )


def own_path(text: str | None, otherwise: str = _HERE) -> str:
    """Return where somebody goes on: a path of this service, never another place."""
    if not text or len(text) > LONGEST_PATH or not text.startswith("/") or not text.isascii() or not text.isprintable():
        return otherwise
    try:
        parts = urlsplit(text)
    except ValueError:
        return otherwise
    odd = text.startswith(("//", "/\\")) or "\\" in text or parts.scheme or parts.netloc or " " in text
    return otherwise if odd else text


async def to_provider(request: web.Request, provider: Provider, flow: Flow) -> web.Response:
    """Lead a browser to the provider, with the sealed flow in its cookie. ProviderDown."""
    answer = web.Response(status=303, headers={**HEADERS, "Location": await provider.begin_url(flow)})
    keep(request, answer, FLOW_COOKIE, asdict(flow))
    return answer


async def identity_of(request: web.Request, provider: Provider, redirect_path: str) -> tuple[Flow, Identity]:
    """Read the answer that a browser brings back from the provider. BadAnswer, ProviderDown."""
    said = kept(request, FLOW_COOKIE)
    if said is None:
        raise BadAnswer("no_flow")
    flow = Flow(**{**said, "acr": tuple(said["acr"])})
    sent, now = request.query, datetime.now(UTC)
    if any(len(sent.getall(name)) > 1 for name in ("code", "state", "iss") if name in sent):
        raise BadAnswer("twice")
    if flow.redirect_uri != base_url(request) + redirect_path:
        raise BadAnswer("other_sign_in")
    state = sent.get("state", "")
    if not tokens.same(tokens.digest(state), tokens.digest(flow.state)):
        raise BadAnswer("state")
    if not now.timestamp() - FLOW_LIVES.total_seconds() < flow.began_at <= now.timestamp() + 1:
        raise BadAnswer("expired")
    database, until = request.app[ACCESS].database, now + timedelta(hours=1)
    if not await sign_in_code.take_answer(database, tokens.digest(flow.state), now=now, expires_at=until):
        raise BadAnswer("replayed")
    code = sent.get("code", "")
    if "error" in sent or not 0 < len(code) <= 2_000:
        raise BadAnswer("refused")
    try:
        return flow, await provider.identify(flow, code, issuer=sent.get("iss"))
    except BadIdToken as error:
        raise BadAnswer(error.fault) from None


async def signed_in_now(request: web.Request, session: str, *, then: str) -> web.Response:
    """Set the cookies of a new session, and go on."""
    access = request.app[ACCESS]
    person = await access.person(session)
    if before := request.cookies.get(SESSION_COOKIE):
        await accounts.sign_out(access.database, before)
        access.forget()
    answer = web.Response(status=303, headers={**HEADERS, "Location": then})
    secure, lives_s = is_https(request), int(SESSION_LIVES.total_seconds())
    answer.set_cookie(SESSION_COOKIE, session, max_age=lives_s, path="/", httponly=True, secure=secure, samesite="Lax")
    answer.set_cookie(CSRF_COOKIE, person.csrf, max_age=lives_s, path="/", secure=secure, samesite="Strict")
    answer.del_cookie(FLOW_COOKIE, path="/")
    answer.del_cookie(CODE_COOKIE, path="/")
    return answer


def is_https(request: web.Request) -> bool:
    """Tell whether people reach this service by TLS."""
    return base_url(request).startswith("https:")


def keep(request: web.Request, answer: web.Response, name: str, said: Mapping[str, Any]) -> None:
    """Keep something sealed in the browser for ten minutes."""
    nonce = os.urandom(NONCE_BYTES)
    sealed = AESGCM(request.app[SIGN_IN].key).encrypt(nonce, orjson.dumps(said), name.encode())
    value = base64.urlsafe_b64encode(nonce + sealed).decode().rstrip("=")
    answer.set_cookie(
        name,
        value,
        max_age=int(FLOW_LIVES.total_seconds()),
        path="/",
        httponly=True,
        secure=is_https(request),
        samesite="Lax",
    )


def kept(request: web.Request, name: str) -> dict[str, Any] | None:
    """Open what `keep` kept; None for anything else."""
    value = request.cookies.get(name, "")
    if not value or len(value) > LONGEST_COOKIE or not value.isascii():
        return None
    try:
        sealed = base64.urlsafe_b64decode(value + "=" * (-len(value) % 4))
        key = AESGCM(request.app[SIGN_IN].key)
        found: dict[str, Any] = orjson.loads(key.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], name.encode()))
    except (InvalidTag, ValueError):
        return None
    return found
