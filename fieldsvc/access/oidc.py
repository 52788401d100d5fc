"""Signing in with an OpenID Connect provider: the code flow with PKCE, `state` and `nonce`, by settings against any of them.

What the provider says is heard with the same care as a stranger's: whole within seconds, of bounded size, over TLS (but for this
machine's own loopback), without following it elsewhere. Its keys are kept for an hour, and fetched again once where a token names
one that is not among them, at most once a minute.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import orjson
from aiohttp import ClientError, ClientSession, ClientTimeout

from fieldsvc.access import id_tokens
from fieldsvc.access.id_tokens import BadIdToken, Expected, UnknownKey
from fieldsvc.errors import Unavailable, UserMistake
from fieldsvc.logs import get_logger
from fieldsvc.settings import Settings

log = get_logger()
TIMEOUT_S, MOST_BYTES = 8.0, 262_144
KEPT_S, KEYS_AGAIN_S = 3_600.0, 60.0
MOST_KEYS = 50
_LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


class ProviderDown(Unavailable):
    """The sign-in service does not answer as it should right now."""

    code = "provider_down"


@dataclass(frozen=True, slots=True)
class Client:
    """What a provider knows this service as, and what it is asked for. `acr`: values that are at least substantial."""

    issuer: str
    client_id: str
    secret: str | None
    scopes: str
    acr: Sequence[str] = ()
    loopback: bool = False


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider answers, from its discovery document."""

    authorization: str
    token: str
    keys: str
    userinfo: str | None
    end_session: str | None
    by_post: bool
    names_itself: bool


@dataclass(frozen=True, slots=True)
class Flow:
    """One sign-in on its way; it stays, sealed, in the browser that began it."""

    state: str
    nonce: str
    verifier: str
    redirect_uri: str
    began_at: float
    next: str
    acr: tuple[str, ...] = ()
    max_age_s: int | None = None


@dataclass(frozen=True, slots=True)
class Identity:
    """Who a provider says it was."""

    issuer: str
    subject: str
    email: str | None
    acr: str | None
    proved_at: datetime
    id_token: str
    claims: Mapping[str, Any]


def new_flow(redirect_uri: str, next_path: str, *, acr: Sequence[str] = (), max_age_s: int | None = None) -> Flow:
    """Begin a sign-in."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    return Flow(state, nonce, verifier, redirect_uri, time.time(), next_path, tuple(acr), max_age_s)


class Provider:
    """One provider, as one client of it."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self._metadata: tuple[float, Metadata] | None = None
        self._keys: tuple[float, tuple[Mapping[str, Any], ...]] | None = None
        self._keys_again_at = 0.0
        self._lock = asyncio.Lock()

    async def begin_url(self, flow: Flow) -> str:
        """Return where a browser goes to sign in. ProviderDown."""
        known = await self._known()
        challenge = base64.urlsafe_b64encode(hashlib.sha256(flow.verifier.encode()).digest()).decode().rstrip("=")
        asked = {
            "response_type": "code",
            "client_id": self.client.client_id,
            "redirect_uri": flow.redirect_uri,
            "scope": self.client.scopes,
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        if flow.acr:
            asked["acr_values"] = " ".join(flow.acr)
        if flow.max_age_s is not None:
            asked["max_age"] = str(flow.max_age_s)
        return _with_query(known.authorization, asked)

    async def end_url(self, hint: str, back_to: str) -> str | None:
        """Return where the provider's own session ends; None if it offers no such thing, or does not answer."""
        try:
            known = await self._known()
        except ProviderDown:
            return None
        if known.end_session is None:
            return None
        said = {"id_token_hint": hint, "post_logout_redirect_uri": back_to, "client_id": self.client.client_id}
        return _with_query(known.end_session, said)

    async def identify(self, flow: Flow, code: str, *, issuer: str | None) -> Identity:
        """Exchange a code for who it was; `issuer` is what the answer names (RFC 9207). BadIdToken, ProviderDown."""
        known = await self._known()
        if (issuer is None and known.names_itself) or issuer not in (None, self.client.issuer):
            raise BadIdToken("answer_iss")
        answer = await self._exchange(known, flow, code)
        token, access_token = answer.get("id_token"), answer.get("access_token")
        if not isinstance(token, str) or not isinstance(access_token, str | None):
            raise BadIdToken("no_id_token")
        expected = Expected(self.client.issuer, self.client.client_id, flow.nonce, flow.acr, flow.max_age_s)
        now = datetime.now(UTC)
        claims = await self._checked(known, partial(id_tokens.check, token, access_token=access_token), expected, now)
        if known.userinfo is not None and access_token and "email" not in claims:
            claims = {**await self._userinfo(known, access_token, str(claims["sub"]), expected), **claims}
        acr = claims.get("acr")
        return Identity(
            self.client.issuer,
            str(claims["sub"]),
            _email(claims),
            acr if isinstance(acr, str) and len(acr) <= 100 else None,
            id_tokens.proved_at(claims, now),
            token,
            claims,
        )

    async def _exchange(self, known: Metadata, flow: Flow, code: str) -> Mapping[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": flow.redirect_uri,
            "code_verifier": flow.verifier,
        }
        auth = None
        if self.client.secret is None or known.by_post:
            form["client_id"] = self.client.client_id
        if self.client.secret is not None and known.by_post:
            form["client_secret"] = self.client.secret
        elif self.client.secret is not None:
            pair = f"{quote(self.client.client_id, safe='')}:{quote(self.client.secret, safe='')}"
            auth = f"Basic {base64.b64encode(pair.encode()).decode()}"
        status, answer = await self._ask("POST", known.token, form=form, authorization=auth)
        if status >= 500:
            raise ProviderDown
        if status != 200:
            raise BadIdToken("code")
        return answer

    async def _checked(
        self, known: Metadata, check: Callable[..., dict[str, Any]], expected: Expected, now: datetime
    ) -> dict[str, Any]:
        """Check what the provider signed; once more with its newest keys where it names one that is not known."""
        try:
            return check(await self._key_set(known), expected, now=now)
        except UnknownKey:
            return check(await self._key_set(known, again=True), expected, now=now)

    async def _userinfo(
        self, known: Metadata, access_token: str, subject: str, expected: Expected
    ) -> Mapping[str, Any]:
        """Ask what else the provider says of somebody; in JSON, or signed, as it was told when we were registered there."""
        accept = "application/json, application/jwt"
        status, kind, body = await self._fetch(
            "GET", known.userinfo or "", authorization=f"Bearer {access_token}", accept=accept
        )
        if status != 200:
            return {}
        answer: Mapping[str, Any] = {}
        if kind == "application/jwt":
            check = partial(id_tokens.check_userinfo, body.decode("ascii", "replace").strip())
            answer = await self._checked(known, check, expected, datetime.now(UTC))
        else:
            answer = _json(body)
        if answer.get("sub") != subject:
            raise BadIdToken("userinfo_sub")
        return {name: answer[name] for name in ("email", "email_verified", "groups") if name in answer}

    async def _known(self) -> Metadata:
        async with self._lock:
            if self._metadata is None or time.monotonic() - self._metadata[0] > KEPT_S:
                url = f"{self.client.issuer.rstrip('/')}/.well-known/openid-configuration"
                status, found = await self._ask("GET", url)
                if status != 200:
                    raise ProviderDown
                self._metadata = time.monotonic(), _metadata(found, self.client)
            return self._metadata[1]

    async def _key_set(self, known: Metadata, *, again: bool = False) -> tuple[Mapping[str, Any], ...]:
        """Return the provider's keys; `again` fetches them anew, unless that was done within a minute."""
        async with self._lock:
            now = time.monotonic()
            fresh = self._keys is not None and now - self._keys[0] < KEPT_S
            if self._keys is not None and fresh and (not again or now < self._keys_again_at):
                return self._keys[1]
            if again:
                self._keys_again_at = now + KEYS_AGAIN_S
            status, found = await self._ask("GET", known.keys)
            listed = found.get("keys")
            if status != 200 or not isinstance(listed, list):
                raise ProviderDown
            self._keys = now, tuple(each for each in listed[:MOST_KEYS] if isinstance(each, dict))
            return self._keys[1]

    async def _ask(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        authorization: str | None = None,
    ) -> tuple[int, Mapping[str, Any]]:
        """Ask the provider for a JSON object. ProviderDown for whatever else comes, or for nothing in time."""
        status, _, body = await self._fetch(method, url, form=form, authorization=authorization)
        return status, _json(body)

    async def _fetch(
        self,
        method: str,
        url: str,
        *,
        form: Mapping[str, str] | None = None,
        authorization: str | None = None,
        accept: str = "application/json",
    ) -> tuple[int, str, bytes]:
        """Ask the provider; return the status, the media type and the body. ProviderDown for nothing in time, or too much."""
        headers = {"Accept": accept, **({"Authorization": authorization} if authorization else {})}
        try:
            async with (
                ClientSession(timeout=ClientTimeout(total=TIMEOUT_S), auto_decompress=False) as session,
                session.request(method, url, data=form, headers=headers, allow_redirects=False) as answer,
            ):
                return answer.status, answer.content_type, await _read(answer.content)
        except (ClientError, OSError, TimeoutError, ValueError) as error:
            log.warning("provider.failed", error=type(error).__name__)
            raise ProviderDown from None


def provider_of(settings: Settings) -> Provider | None:
    """Make the provider of customers, if the settings name one. UserMistake for one that cannot be used."""
    secret = settings.oidc_client_secret
    return _provider(
        "FIELDSVC_OIDC", settings, settings.oidc_issuer, settings.oidc_client_id,
        secret.get_secret_value() if secret else None, settings.oidc_scopes, tuple(settings.oidc_acr),
    )  # fmt: skip


def staff_provider_of(settings: Settings) -> Provider | None:
    """Make the provider of staff, if the settings name one. UserMistake for one that cannot be used."""
    secret = settings.staff_oidc_client_secret
    return _provider(
        "FIELDSVC_STAFF_OIDC", settings, settings.staff_oidc_issuer, settings.staff_oidc_client_id,
        secret.get_secret_value() if secret else None, settings.staff_oidc_scopes, (),
    )  # fmt: skip


def _provider(
    name: str,
    settings: Settings,
    issuer: str | None,
    client_id: str,
    secret: str | None,
    scopes: str,
    acr: tuple[str, ...],
) -> Provider | None:
    if issuer is None:
        return None
    loopback = settings.allow_loopback_endpoints
    if not _may_be_asked(issuer, loopback=loopback) or urlsplit(issuer).query or not client_id:
        raise UserMistake(f"{name}_ISSUER is an https URL, and needs {name}_CLIENT_ID.")
    if "openid" not in scopes.split():
        raise UserMistake(f"{name}_SCOPES needs openid.")
    return Provider(Client(issuer, client_id, secret, scopes, acr, loopback))


def _metadata(found: Mapping[str, Any], client: Client) -> Metadata:
    """Read a discovery document; ProviderDown if it is another issuer's, or leads where no secret may go."""
    if not isinstance(found.get("issuer"), str) or not hmac.compare_digest(
        found["issuer"].encode(), client.issuer.encode()
    ):
        log.warning("provider.failed", error="issuer")
        raise ProviderDown
    urls = {
        name: found.get(name)
        for name in (
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
        )
    }
    good = {
        name: url for name, url in urls.items() if isinstance(url, str) and _may_be_asked(url, loopback=client.loopback)
    }
    if not {"authorization_endpoint", "token_endpoint", "jwks_uri"} <= good.keys():
        log.warning("provider.failed", error="endpoints")
        raise ProviderDown
    ways = found.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
    return Metadata(
        good["authorization_endpoint"],
        good["token_endpoint"],
        good["jwks_uri"],
        good.get("userinfo_endpoint"),
        good.get("end_session_endpoint"),
        by_post="client_secret_basic" not in ways,
        names_itself=found.get("authorization_response_iss_parameter_supported") is True,
    )


def _json(body: bytes) -> Mapping[str, Any]:
    """Read a JSON object, nothing as an empty one. ProviderDown for anything else."""
    try:
        found = orjson.loads(body) if body else {}
    except orjson.JSONDecodeError as error:
        log.warning("provider.failed", error=type(error).__name__)
        raise ProviderDown from None
    if not isinstance(found, dict):
        raise ProviderDown
    return found


async def _read(content: Any) -> bytes:
    body = bytearray()
    async for part in content.iter_chunked(16_384):
        body += part
        if len(body) > MOST_BYTES:
            raise ValueError("too large")
    return bytes(body)


def _may_be_asked(url: str, *, loopback: bool) -> bool:
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return False
    safe = parts.scheme == "https" or (loopback and parts.scheme == "http" and host in _LOOPBACK)
    return bool(safe and host and parts.username is None and not parts.fragment and url.isascii() and url.isprintable())


def _email(claims: Mapping[str, Any]) -> str | None:
    """Return the address if the provider says that it has verified it."""
    email = claims.get("email")
    good = isinstance(email, str) and 3 <= len(email) <= 254 and email.count("@") == 1 and email.isprintable()
    return email if good and claims.get("email_verified") in (True, "true") else None


def _with_query(url: str, said: Mapping[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(said)}"
