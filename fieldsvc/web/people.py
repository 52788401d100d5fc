"""Signing in and out. A link shows one button (mail scanners open links), the button signs in."""

from aiohttp import web

from fieldsvc.access import accounts
from fieldsvc.access.callers import Person
from fieldsvc.access.customers import ROLE, hint_of
from fieldsvc.access.errors import BadCsrf
from fieldsvc.errors import Forbidden, Unauthorized, UnsupportedMedia
from fieldsvc.web.auth import (
    ACCESS,
    CSRF_COOKIE,
    SESSION_COOKIE,
    base_url,
    caller,
    is_loopback,
    signed_in,
)
from fieldsvc.web.customers import SIGN_IN_PATH
from fieldsvc.web.forms import read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import HEADERS
from fieldsvc.web.sign_in import SIGN_IN, signed_in_now


async def show_link(request: web.Request) -> web.Response:
    """Show the button of a sign-in link, without using the link up."""
    found = await accounts.whose_link(
        request.app[ACCESS].database, request.match_info["token"], loopback=is_loopback(request)
    )
    if found is None:
        return _gone(request)
    return render(request, "sign_in.html", who=found.email or found.name, role=found.kind)


async def use_link(request: web.Request) -> web.Response:
    """Sign in: use the link up and set the session's cookies."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise Forbidden
    access = request.app[ACCESS]
    session = await accounts.sign_in(access.database, request.match_info["token"], loopback=is_loopback(request))
    if session is None:
        return _gone(request)
    return await signed_in_now(request, session, then="/signed-in")


async def show_person(request: web.Request) -> web.Response:
    """Say who is signed in."""
    try:
        person = await signed_in(request)
        if person.role == ROLE:
            return web.Response(status=303, headers={**HEADERS, "Location": "/suivi/compte"})
        return render(request, "signed_in.html", person=person)
    except Unauthorized:
        return render(request, "signed_in.html", status=401)


async def sign_out(request: web.Request) -> web.Response:
    """End the session; the form carries its CSRF token. The provider's own session is another: a link of the page ends that."""
    person = caller(request, Person)
    try:
        await read_form(request)
    except UnsupportedMedia:
        raise BadCsrf from None  # what is no form has no token
    access, session = request.app[ACCESS], request.cookies[SESSION_COOKIE]
    end_url = await _end_url(request, person, session)
    await accounts.sign_out(access.database, session)
    access.forget()
    if person.role == ROLE or end_url:
        answer = render(request, "signed_out.html", end_url=end_url, closed=False, for_customers=person.role == ROLE)
    else:
        answer = web.Response(status=303, headers={**HEADERS, "Location": "/signed-in"})
    answer.del_cookie(SESSION_COOKIE, path="/")
    answer.del_cookie(CSRF_COOKIE, path="/")
    return answer


async def _end_url(request: web.Request, person: Person, session: str) -> str | None:
    """Return where the provider's own session ends; None for a session that did not begin there."""
    signing = request.app.get(SIGN_IN)
    provider = None if signing is None else signing.provider if person.role == ROLE else signing.staff
    if signing is None or provider is None or person.proved_at is None:
        return None
    hint = await hint_of(request.app[ACCESS].database, signing.vault, session)
    back_to = base_url(request) + (SIGN_IN_PATH if person.role == ROLE else "/signed-in")
    return await provider.end_url(hint, back_to) if hint else None


def _gone(request: web.Request) -> web.Response:
    return render(request, "sign_in.html", status=410, who=None)


routes: list[web.RouteDef] = [
    web.get("/sign-in/{token}", show_link),
    web.post("/sign-in/{token}", use_link),
    web.get("/signed-in", show_person),
    web.post("/sign-out", sign_out),
]
