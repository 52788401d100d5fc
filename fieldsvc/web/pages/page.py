"""Rendering: a template, the words of the reader's language, the look they chose, and the headers that guard a page."""

from collections.abc import Mapping
from functools import cache
from typing import Any
from urllib.parse import urlencode

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from fieldsvc.access.callers import Person
from fieldsvc.web.auth import SESSION_COOKIE
from fieldsvc.web.middlewares import View
from fieldsvc.web.pages.files import has_file, static_url
from fieldsvc.web.pages.words import LANGUAGES, choose_language, words_of
from fieldsvc.web.problems import PROBLEM_TYPE

LANGUAGE_COOKIE, THEME_COOKIE = "fieldsvc_lang", "fieldsvc_theme"
THEMES = ("light", "dark")
_A_YEAR_S = 31_536_000
_ONLY_FOR: Mapping[str, frozenset[str]] = {
    "/supervision": frozenset({"supervisor", "operator"}),
    "/supervision/morning": frozenset({"supervisor", "operator"}),
    "/supervision/alerts": frozenset({"supervisor", "operator"}),
    "/supervision/replay": frozenset({"supervisor", "operator"}),
    "/supervision/addresses": frozenset({"supervisor", "operator", "address_quality"}),
    "/supervision/reports": frozenset({"supervisor", "operator", "auditor"}),
    "/supervision/health": frozenset({"supervisor", "operator"}),
    "/supervision/phones": frozenset({"supervisor"}),
    "/supervision/national": frozenset({"operator"}),
    "/integrations": frozenset({"member"}),
    "/partner": frozenset({"partner"}),
    "/counter": frozenset({"counter"}),
    "/adviser": frozenset({"adviser"}),
}
_PROGRAMS = ("/v1/", "/owntracks", "/osmand/", "/suivi/v2/")
_KEPT_HEADERS = ("Retry-After", "Allow", "WWW-Authenticate")
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; worker-src 'self'; "
    "connect-src 'self'; manifest-src 'self'; font-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
HEADERS: Mapping[str, str] = {
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
    "Cache-Control": "no-store",
    "Vary": "Accept-Language, Cookie",
}


def render(
    request: web.Request,
    template: str,
    *,
    status: int = 200,
    person: Person | None = None,
    headers: Mapping[str, str] | None = None,
    kept: Mapping[str, str] | None = None,
    **values: Any,
) -> web.Response:
    """Render a page for this request; `person` is who is signed in, if the view knows.

    The address's query is not repeated, as anybody may have written it: `kept` is what of it the links to the same page keep.

    Templates know `t(key, **values)`, `words(prefix)` (for a script's JSON block, keys without the prefix), `lang`,
    `theme` (light, dark or none: as the device likes), `static_url(name)`, `has_file(name)`, `exists(path)` (is there
    such a page?), `offers(path)` (and may this person see it?), `here`, `switch(lang=…)` (this page otherwise), `person`, and
    `has_session`: somebody may be signed in although the view does not know who.
    """
    known = _known(request, person, kept or {})
    text = _environment().get_template(template).render(**values, **known)
    answer = web.Response(status=status, text=text, content_type="text/html", headers={**HEADERS, **(headers or {})})
    _keep(request, answer, "lang", LANGUAGE_COOKIE, LANGUAGES)
    _keep(request, answer, "theme", THEME_COOKIE, THEMES)
    return answer


def _known(request: web.Request, person: Person | None, kept: Mapping[str, str]) -> dict[str, object]:
    """Gather what every template knows."""
    language = language_of(request)
    phrases = words_of(language)

    def t(key: str, **parts: object) -> str:
        return phrases[key].format(**parts) if parts else phrases[key]

    def words(prefix: str) -> dict[str, str]:
        return {key.removeprefix(prefix): phrase for key, phrase in phrases.items() if key.startswith(prefix)}

    def exists(path: str) -> bool:
        return any(each.canonical == path for each in request.app.router.resources())

    def offers(path: str) -> bool:
        return exists(path) and (person is None or path not in _ONLY_FOR or person.role in _ONLY_FOR[path])

    def switch(**changed: str) -> str:
        return "?" + urlencode({**kept, **changed})

    wished = _wish(request, "theme", THEME_COOKIE, THEMES)
    told = {
        "lang": language,
        "theme": wished,
        "here": request.path,
        "person": person,
        "has_session": SESSION_COOKIE in request.cookies,
    }
    return {**told, "t": t, "words": words, "exists": exists, "offers": offers, "switch": switch}


def language_of(request: web.Request) -> str:
    """Return the language in which this request is answered."""
    return choose_language(
        asked=request.query.get("lang"),
        kept=request.cookies.get(LANGUAGE_COOKIE),
        accepted=request.headers.get("Accept-Language", ""),
    )


def error_page(request: web.Request, status: int) -> web.Response:
    """Say in words what is so and what to do, for a page that cannot be shown."""
    known = f"error.{status}.title" in words_of("fr")
    return render(request, "error.html", status=status, about=f"error.{status if known else 'other'}")


@web.middleware
async def for_people(request: web.Request, handler: View) -> web.StreamResponse:
    """Turn a problem into a page, where it is a browser that asked for a page."""
    answer = await handler(request)
    if answer.prepared or answer.content_type != PROBLEM_TYPE or not _wants_page(request):
        return answer
    page = error_page(request, answer.status)
    page.headers.update({name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers})
    return page


def _wants_page(request: web.Request) -> bool:
    return not request.path.startswith(_PROGRAMS) and "text/html" in request.headers.get("Accept", "")


def _wish(request: web.Request, name: str, cookie: str, known: tuple[str, ...]) -> str | None:
    """Return what the address or the cookie asks for; none for anything that is not known."""
    wish = request.query.get(name, request.cookies.get(cookie))
    return wish if wish in known else None


def _keep(request: web.Request, answer: web.Response, name: str, cookie: str, known: tuple[str, ...]) -> None:
    wish = request.query.get(name)
    if wish in known:
        answer.set_cookie(cookie, str(wish), max_age=_A_YEAR_S, path="/", samesite="Lax", secure=request.secure)
    elif wish == "auto":
        answer.del_cookie(cookie, path="/")


def _begun(text: str) -> str:
    """Begin a line with a capital; `capitalize` would also make small letters of the others."""
    return text[:1].upper() + text[1:]


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("fieldsvc.web.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals.update(static_url=static_url, has_file=has_file)
    made.filters["begun"] = _begun
    return made
