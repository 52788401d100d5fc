"""Signing in and out. A link shows one button (mail scanners open links), the button signs in."""

import base64
import hashlib
from collections.abc import Mapping
from html import escape

from aiohttp import web

from fieldsvc.access import accounts
from fieldsvc.access.accounts import SESSION_LIVES
from fieldsvc.access.callers import Person
from fieldsvc.errors import Forbidden, Unauthorized
from fieldsvc.web.auth import (
    ACCESS,
    CSRF_COOKIE,
    SESSION_COOKIE,
    base_url,
    check_csrf,
    is_loopback,
    signed_in,
)

_STYLE = "body{font:1.1rem/1.5 system-ui,sans-serif;max-width:32rem;margin:3rem auto;padding:0 1rem}button{font:inherit;padding:.6rem 1.2rem}"
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_HEADERS = {
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "fr": {
        "title": "Connexion",
        "hello": "Se connecter comme",
        "button": "Se connecter",
        "gone": "Ce lien ne peut plus servir. Demandez-en un nouveau.",
        "you": "Vous êtes connecté comme",
        "out": "Se déconnecter",
        "nobody": "Vous n'êtes pas connecté.",
        "supervisor": "encadrant",
        "adviser": "conseiller",
        "counter": "guichet",
        "address_quality": "qualité de l'adresse",
        "operator": "exploitant",
        "auditor": "auditeur",
        "partner": "partenaire",
        "member": "abonné",
    },
    "en": {
        "title": "Sign in",
        "hello": "Sign in as",
        "button": "Sign in",
        "gone": "This link can no longer be used. Ask for a new one.",
        "you": "You are signed in as",
        "out": "Sign out",
        "nobody": "You are not signed in.",
        "supervisor": "supervisor",
        "adviser": "adviser",
        "counter": "counter",
        "address_quality": "address quality",
        "operator": "operator",
        "auditor": "auditor",
        "partner": "partner",
        "member": "subscriber",
    },
}


async def show_link(request: web.Request) -> web.Response:
    """Show the button of a sign-in link, without using the link up."""
    found = await accounts.whose_link(
        request.app[ACCESS].database, request.match_info["token"], loopback=is_loopback(request)
    )
    language = _language(request)
    words = _WORDS[language]
    if found is None:
        return _page(language, f"<p>{words['gone']}</p>", status=410)
    who = f"{escape(found.email or found.name)} ({words.get(found.kind, found.kind)})"
    return _page(
        language, f"<p>{words['hello']} <b>{who}</b></p><form method=post><button>{words['button']}</button></form>"
    )


async def use_link(request: web.Request) -> web.Response:
    """Sign in: use the link up and set the session's cookies."""
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise Forbidden
    access = request.app[ACCESS]
    session = await accounts.sign_in(access.database, request.match_info["token"], loopback=is_loopback(request))
    if session is None:
        language = _language(request)
        return _page(language, f"<p>{_WORDS[language]['gone']}</p>", status=410)
    person = await access.person(session)
    answer = web.Response(status=303, headers={**_HEADERS, "Location": "/signed-in"})
    secure, lives_s = base_url(request).startswith("https:"), int(SESSION_LIVES.total_seconds())
    answer.set_cookie(SESSION_COOKIE, session, max_age=lives_s, path="/", httponly=True, secure=secure, samesite="Lax")
    answer.set_cookie(CSRF_COOKIE, person.csrf, max_age=lives_s, path="/", secure=secure, samesite="Strict")
    return answer


async def show_person(request: web.Request) -> web.Response:
    """Say who is signed in."""
    language = _language(request)
    try:
        person = await signed_in(request)
    except Unauthorized:
        return _page(language, f"<p>{_WORDS[language]['nobody']}</p>", status=401)
    return _page(language, _about(person, language))


async def sign_out(request: web.Request) -> web.Response:
    """End the session; the form carries its CSRF token."""
    person = await signed_in(request)
    check_csrf(person, (await request.post()).get("csrf"))
    access = request.app[ACCESS]
    await accounts.sign_out(access.database, request.cookies[SESSION_COOKIE])
    access.forget()
    answer = web.Response(status=303, headers={**_HEADERS, "Location": "/signed-in"})
    answer.del_cookie(SESSION_COOKIE, path="/")
    answer.del_cookie(CSRF_COOKIE, path="/")
    return answer


def _about(person: Person, language: str) -> str:
    words = _WORDS[language]
    place = f", {escape(person.site)}" if person.site else ""
    who = f"{escape(person.email or person.name)} ({words.get(person.role, person.role)}{place})"
    form = f'<form method=post action="/sign-out"><input type=hidden name=csrf value="{person.csrf}"><button>{words["out"]}</button></form>'
    return f"<p>{words['you']} <b>{who}</b></p>{form}"


def _language(request: web.Request) -> str:
    """Choose between French and English by Accept-Language; French when it says neither."""
    for part in request.headers.get("Accept-Language", "").lower().split(","):
        tag = part.split(";")[0].strip()[:2]
        if tag in _WORDS:
            return tag
    return "fr"


def _page(language: str, body: str, *, status: int = 200) -> web.Response:
    title = _WORDS[language]["title"]
    html = (
        f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style><main><h1>{title}</h1>{body}</main></html>"
    )
    return web.Response(status=status, text=html, content_type="text/html", headers=_HEADERS)


routes: list[web.RouteDef] = [
    web.get("/sign-in/{token}", show_link),
    web.post("/sign-in/{token}", use_link),
    web.get("/signed-in", show_person),
    web.post("/sign-out", sign_out),
]
