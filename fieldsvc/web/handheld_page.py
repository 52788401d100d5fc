"""The carrier's page: one page for the whole day, the service worker that keeps it, and its manifest.

The page is open to all: it holds nothing of anybody. What a phone shows comes from the API, with the phone's own token.
All scripts and words come in one answer, packed together: a first visit over a slow network is a few requests, not a hundred.
"""

import gzip
import hashlib
import json
import re
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType

from aiohttp import web

from fieldsvc.web.pages import render
from fieldsvc.web.pages.files import ASK_AGAIN, FAVICON, FOR_EVER, every_file, static_url, takes_gzip
from fieldsvc.web.pages.page import HEADERS, language_of
from fieldsvc.web.pages.words import LANGUAGES, words_of

PAGE, WORKER = "/handheld", "handheld/sw.js"
_SHARED = ("base.js", "dom.js", "joining.js", "style.css", "dark.css", "sun.css", FAVICON)
_VENDOR = ("vendor/lean-qr.mjs",)
_SCRIPTS = (".js", ".mjs")
_WORDS = ("enrol.js.", "js.", "handheld.js.")
_ALLOWED: Mapping[str, str] = MappingProxyType(
    {"Permissions-Policy": "camera=(self), geolocation=(self), microphone=(), payment=(), usb=()"}
)
_REMARKS = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*.*?\*/[ \t]*)\n", re.MULTILINE | re.DOTALL)
_ASIDES = re.compile(r"(?<=[;,{}()\]]) +// [^\n\"'`/]*$", re.MULTILINE)  # at the end of a line of code, and in no text
_INDENTS = re.compile(r"^ +", re.MULTILINE)


async def handheld(request: web.Request) -> web.Response:
    """Show the carrier's page, whoever asks."""
    return _packed(_page(request))


async def worker(request: web.Request) -> web.Response:
    """Give the service worker with what it keeps; any change of that is a new version."""
    pages = {language: _page(_in(request, language)).text for language in LANGUAGES}
    files = {static_url(name): every_file()[name].tag for name in _shell() if not name.endswith(_SCRIPTS)}
    script, bundle = every_file()[WORKER].body.decode(), _bundle()
    version = hashlib.sha256(json.dumps([pages, files, script, bundle[0]]).encode()).hexdigest()[:16]
    told = {
        "version": version,
        "bundle": f"{PAGE}/shell.json?v={bundle[0]}",
        "pages": {language: f"{PAGE}?lang={language}" for language in pages},
        "files": files,
        "scripts": [f"/static/{name}" for name in _shell() if name.endswith(_SCRIPTS)],
    }
    headers = {**HEADERS, "Cache-Control": "no-cache", "Service-Worker-Allowed": PAGE, "ETag": f'"{version}"'}
    text = f"const SHELL = {json.dumps(told)};\n{script}"
    return _packed(web.Response(text=text, content_type="text/javascript", headers=headers))


async def shell(request: web.Request) -> web.Response:
    """Give every script of the page by its address, and every phrase by its language."""
    tag, packed = _bundle()
    kept = FOR_EVER if request.query.get("v") == tag else ASK_AGAIN
    headers = {"Cache-Control": kept, "ETag": f'"{tag}"', "Vary": "Accept-Encoding"}
    if not takes_gzip(request):
        return web.Response(body=gzip.decompress(packed), content_type="application/json", headers=headers)
    return web.Response(body=packed, content_type="application/json", headers={**headers, "Content-Encoding": "gzip"})


async def manifest(request: web.Request) -> web.Response:
    """Say how the page is put among a phone's apps."""
    language = language_of(request)
    words = words_of(language)
    about = {
        "id": PAGE,
        "lang": language,
        "name": words["handheld.app_name"],
        "short_name": words["handheld.app_short"],
        "description": words["handheld.app_what"],
        "start_url": PAGE,
        "scope": PAGE,
        "display": "standalone",
        "orientation": "portrait",
        "background_color": "#fbfaf6",
        "theme_color": "#fbfaf6",
        "icons": [{"src": static_url(FAVICON), "sizes": "any", "type": "image/svg+xml", "purpose": "any"}],
    }
    return web.json_response(about, content_type="application/manifest+json", headers=HEADERS)


def _page(request: web.Request) -> web.Response:
    return render(request, "handheld.html", headers=_ALLOWED)


def _packed(answer: web.Response) -> web.Response:
    answer.enable_compression()  # nothing in it is secret
    return answer


def _in(request: web.Request, language: str) -> web.Request:
    """Return the request for the page as a phone without cookies asks for it."""
    return request.clone(rel_url=f"{PAGE}?lang={language}", headers={})


def _bundle() -> tuple[str, bytes]:
    """Return the tag and the packed text of all scripts and words."""
    return _made(tuple((name, every_file()[name].tag) for name in _shell()))


@lru_cache(maxsize=2)
def _made(tags: tuple[tuple[str, str], ...]) -> tuple[str, bytes]:
    del tags  # of the files that are read here: another one is another piece
    every = [_words(language) for language in LANGUAGES]
    words = {key: [each[key] for each in every] for key in every[0]}  # side by side they pack smaller
    whole = {"languages": LANGUAGES, "words": words, "scripts": _scripts()}
    text = json.dumps(whole, ensure_ascii=False).encode()
    return hashlib.sha256(text).hexdigest()[:16], gzip.compress(text, mtime=0)


def _words(language: str) -> Mapping[str, str]:
    """Return the phrases of the page's scripts; the page's own come last."""
    phrases = words_of(language).items()
    return {key.removeprefix(each): phrase for each in _WORDS for key, phrase in phrases if key.startswith(each)}


def _scripts() -> dict[str, str]:
    """Return the scripts by their addresses, without their remarks and indents; no text of theirs goes over a line's end."""
    names = [name for name in _shell() if name.endswith(_SCRIPTS)]
    texts = {name: every_file()[name].body.decode() for name in names}
    return {
        f"/static/{name}": _INDENTS.sub("", _ASIDES.sub("", _REMARKS.sub("", text))) for name, text in texts.items()
    }


def _shell() -> list[str]:
    """List the files that the page is made of; of those under `vendor/` what was fetched."""
    own = [name for name in every_file() if name.startswith("handheld/") and name != WORKER]
    return [*_SHARED, *own, *(name for name in _VENDOR if name in every_file())]


routes: list[web.RouteDef] = [
    web.get(PAGE, handheld, name="page.handheld"),
    web.get("/handheld/sw.js", worker, name="page.handheld_worker"),
    web.get("/handheld/shell.json", shell, name="page.handheld_shell"),
    web.get("/handheld/manifest.webmanifest", manifest, name="page.handheld_manifest"),
]
