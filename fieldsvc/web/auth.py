"""Credentials of a request: a device, an account's API key, or a person's session. Every view asks one of these first."""

import base64
import hmac
import ipaddress
from collections.abc import Iterable

from aiohttp import web

from fieldsvc.access.callers import Access, Account, Device, Person
from fieldsvc.access.errors import BadCsrf
from fieldsvc.errors import Forbidden, NotFound, Revoked, Unauthorized

ACCESS = web.AppKey("ACCESS", Access)
SESSION_COOKIE = "fieldsvc_session"
CSRF_COOKIE = "fieldsvc_csrf"
CSRF_HEADER = "X-CSRF-Token"
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


async def require_device(request: web.Request, *, lost_too: bool = False) -> Device:
    """Return the device that sends this: by Bearer token, or by Basic as OwnTracks does (user = device, password = token).

    Unauthorized without good credentials, Revoked for a revoked device; for a lost one too, unless the view takes what
    was captured before the loss.
    """
    access = request.app[ACCESS]
    user, token = _basic(request)
    device = await access.device(token if token is not None else _bearer(request))
    if user is not None and user != device.device_id:
        raise Unauthorized
    if device.lost_at is not None and not lost_too:
        raise Revoked
    return device


async def require_account(request: web.Request, scope: str | None = None) -> Account:
    """Return the account of the API key; Forbidden without the scope."""
    account = await request.app[ACCESS].account(_bearer(request))
    if scope is not None and scope not in account.scopes:
        raise Forbidden(f"This key has no scope {scope}.", scope=scope)
    return account


async def require_person(request: web.Request, roles: Iterable[str]) -> Person:
    """Return the person of the session, who must have one of the roles.

    A request that changes something needs the session's CSRF token in the header X-CSRF-Token. Someone of another role
    learns nothing: NotFound.
    """
    person = await signed_in(request)
    if person.role not in frozenset(roles):
        raise NotFound
    if request.method not in _SAFE:
        check_csrf(person, request.headers.get(CSRF_HEADER))
    return person


async def signed_in(request: web.Request) -> Person:
    """Return the person of the session cookie, whatever their role."""
    return await request.app[ACCESS].person(request.cookies.get(SESSION_COOKIE, ""))


def has_api_key(request: web.Request) -> bool:
    """Tell whether the caller speaks as an account rather than as a person."""
    return "Authorization" in request.headers


def check_csrf(person: Person, sent: object) -> None:
    """Refuse a request of a session that does not carry its token."""
    if not isinstance(sent, str) or not hmac.compare_digest(
        sent.encode("utf-8", "surrogateescape"), person.csrf.encode()
    ):
        raise BadCsrf


def is_loopback(request: web.Request) -> bool:
    """Tell whether the caller is on this machine, and no proxy stands between."""
    if "X-Forwarded-For" in request.headers or "Forwarded" in request.headers:
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def base_url(request: web.Request) -> str:
    """Return the address under which people and phones reach the service."""
    return request.app[ACCESS].settings.public_url or str(request.url.origin())


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise Unauthorized
    return token.strip()


def _basic(request: web.Request) -> tuple[str | None, str | None]:
    scheme, _, value = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None, None
    try:
        user, colon, password = base64.b64decode(value.strip(), validate=True).decode().partition(":")
    except ValueError:
        raise Unauthorized from None
    if not colon:
        raise Unauthorized
    return user, password
