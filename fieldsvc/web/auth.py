"""Who calls: a device, an account by its API key, or a person by their session, as the route's row of rights says."""

import base64
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

from aiohttp import web
from aiohttp.web_urldispatcher import MatchInfoError

from fieldsvc.access.callers import Access, Account, Device, Person
from fieldsvc.access.errors import BadCsrf
from fieldsvc.access.rights import Caller, Customer, Thing, sites_of
from fieldsvc.access.tokens import API_KEY_PREFIX
from fieldsvc.access.viewers import viewer_of
from fieldsvc.errors import BadRequest, Forbidden, NotFound, Revoked, Unauthorized
from fieldsvc.sites import Sites
from fieldsvc.store import site as sites
from fieldsvc.store.database import Seen
from fieldsvc.web import forwarded
from fieldsvc.web.connections import source_of, within
from fieldsvc.web.rights import RIGHTS
from fieldsvc.web.rights_row import ACCOUNT, ANYONE, CUSTOMER, DEVICE, MACHINE, Credential, Row

View = Callable[[web.Request], Awaitable[web.StreamResponse]]
A = TypeVar("A")
B = TypeVar("B")
C = TypeVar("C")
ACCESS = web.AppKey("ACCESS", Access)
SESSION_COOKIE = "fieldsvc_session"
CSRF_COOKIE = "fieldsvc_csrf"
CSRF_HEADER = "X-CSRF-Token"
OKAPI_HEADER = "X-Okapi-Key"
CALLER = web.RequestKey("CALLER", object)
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


@web.middleware
async def admitted(request: web.Request, handler: View) -> web.StreamResponse:
    """Find who calls, by the row of the route, before its view runs; refuse whoever the row does not name."""
    row = request.app[RIGHTS].get(request.match_info.route)
    if row is None:
        if not isinstance(request.match_info, MatchInfoError):  # 404 and 405 are the router's own answers
            raise NotFound
    elif ANYONE not in row.own:
        request[CALLER] = await admit(request, row)
    return await handler(request)


async def admit(request: web.Request, row: Row) -> Caller | None:
    """Find who calls; None for this machine. Unauthorized, Revoked, NotFound for another role, Forbidden, BadCsrf."""
    if row.credential is not Credential.HEADER:
        return await _by_token(request, row)
    if MACHINE in row.own and is_loopback(request):
        return None
    authorization = request.headers.get("Authorization")
    by_key = ACCOUNT in row.own or DEVICE in row.own
    if by_key and (authorization is not None or not row.roles):
        return await _by_header(request, row, authorization or "")
    if CUSTOMER in row.own and SESSION_COOKIE not in request.cookies:
        return Customer()
    return await _by_session(request, row)


async def _by_header(request: web.Request, row: Row, authorization: str) -> Caller:
    """Find the device or the account of a header: Bearer, or Basic as OwnTracks does (user = device, password = token)."""
    scheme, _, value = authorization.partition(" ")
    token, user = value.strip(), None
    if scheme.lower() == "basic" and DEVICE in row.own:
        user, token = _basic(token)
    elif scheme.lower() != "bearer" or not token:
        raise Unauthorized
    if ACCOUNT in row.own and (DEVICE not in row.own or token.startswith(API_KEY_PREFIX)):
        return _with_scope(await request.app[ACCESS].account(token), row)
    device = await _device(request, row, token)
    if user is not None and user != device.id:
        raise Unauthorized
    return device


async def _by_token(request: web.Request, row: Row) -> Caller:
    """Find the device of the token in the path, or the account of the key in a header of its own."""
    if row.credential is Credential.PATH:
        token = request.match_info["token"]
        if not token.isascii():
            raise Unauthorized
        return await _device(request, row, token)
    key = request.headers.get(OKAPI_HEADER, "").strip()
    if not key:
        raise Unauthorized(f"An account's key stands in the header {OKAPI_HEADER}.")
    return _with_scope(await request.app[ACCESS].account(key), row)


async def _by_session(request: web.Request, row: Row) -> Person:
    """Find the person of the session. Someone of another role learns nothing: NotFound.

    A request that changes something needs the session's CSRF token in the header X-CSRF-Token.
    """
    person = await signed_in(request)
    if person.role not in row.own:
        raise NotFound
    if request.method not in _SAFE and not row.csrf_in_form:
        check_csrf(person, request.headers.get(CSRF_HEADER))
    return person


async def _device(request: web.Request, row: Row, token: str) -> Device:
    device = await request.app[ACCESS].device(token)
    if device.lost_at is not None and not row.lost_too:
        raise Revoked
    return device


def _with_scope(account: Account, row: Row) -> Account:
    if row.scope is not None and row.scope not in account.scopes:
        raise Forbidden(f"This key has no scope {row.scope}.", scope=row.scope)
    return account


@overload
def caller(request: web.Request, kind: type[A], /) -> A: ...
@overload
def caller(request: web.Request, kind: type[A], other: type[B], /) -> A | B: ...
@overload
def caller(request: web.Request, kind: type[A], other: type[B], third: type[C], /) -> A | B | C: ...
def caller(request: web.Request, *kinds: type[object]) -> object:
    """Return who calls, found before the view; of another kind than the view takes, they find nothing: NotFound."""
    found = request.get(CALLER)
    if not isinstance(found, kinds):
        raise NotFound
    return found


async def caller_now(request: web.Request) -> Caller | None:
    """Return who calls by what holds now, for answers that last: credentials may be revoked meanwhile. As `admit`."""
    return await admit(request, request.app[RIGHTS][request.match_info.route])


def seen(request: web.Request) -> Seen:
    """Return the database as the caller may see it: what outsiders are shown is read from there."""
    return request.app[ACCESS].database.seen_by(viewer_of(request.get(CALLER)))


def sites_for(request: web.Request, thing: Thing) -> Sites:
    """Return the sites whose things of a kind the caller sees."""
    return sites_of(request.get(CALLER), thing)


async def site_of(request: web.Request, thing: Thing) -> str | None:
    """Return the site of `?site=` if the caller sees it, else all that they see: their own, or None for every site.

    NotFound for another one, and for one that does not exist.
    """
    asked, whose = request.query.get("site"), sites_for(request, thing)
    if whose.every and asked is not None and not await _is_site(request, asked):
        raise NotFound
    return whose.narrowed(asked)


async def _is_site(request: web.Request, name: str) -> bool:
    return name.isprintable() and await sites.exists(request.app[ACCESS].database, name)


async def signed_in(request: web.Request) -> Person:
    """Return the person of the session cookie, whatever their role."""
    return await request.app[ACCESS].person(request.cookies.get(SESSION_COOKIE, ""))


def check_csrf(person: Person, sent: object) -> None:
    """Refuse a request of a session that does not carry its token."""
    if not isinstance(sent, str) or not hmac.compare_digest(
        sent.encode("utf-8", "surrogateescape"), person.csrf.encode()
    ):
        raise BadCsrf


def is_loopback(request: web.Request) -> bool:
    """Tell whether the caller is on this machine, and no proxy stands between."""
    if forwarded.by_a_proxy(request.headers):
        return False
    try:
        return ipaddress.ip_address(request.remote or "").is_loopback
    except ValueError:
        return False


def client_address(request: web.Request) -> str:
    """Return the address that a request came from: the peer's, or what trusted proxies say of it, read from the right.

    Two headers that differ say nothing: one of them is the caller's own invention, and the proxy's address stands.
    """
    peer, trusted = request.remote or "", request.app[ACCESS].settings.trusted_proxies
    if not within(peer, trusted):
        return peer
    said = {forwarded.client_of(peer, hops, trusted) for hops in forwarded.chains(request.headers) if hops}
    return said.pop() if len(said) == 1 else peer


def client_source(request: web.Request) -> str:
    """Return under which name an address is counted: an IPv6 customer has 2^64 of them."""
    return source_of(client_address(request))


def base_url(request: web.Request) -> str:
    """Return the address under which people and phones reach the service. BadRequest for a `Host` that is no host."""
    try:
        return request.app[ACCESS].settings.public_url or str(request.url.origin())
    except ValueError:
        raise BadRequest("The header Host names no host.") from None


def _basic(value: str) -> tuple[str, str]:
    try:
        user, colon, password = base64.b64decode(value, validate=True).decode().partition(":")
    except ValueError:
        raise Unauthorized from None
    if not colon:
        raise Unauthorized
    return user, password
