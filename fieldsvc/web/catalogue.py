"""What there is: types, schemas, examples and routes, as documents for programs and one page for people. Open to everyone."""

import asyncio
import base64
import hashlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from html import escape
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.web.asyncapi import asyncapi_document
from fieldsvc.web.openapi import described_routes, key_of, openapi_document, summary_of
from fieldsvc.web.reference.events import examples_of_public, receivable, services_of
from fieldsvc.web.reference.operations import OPERATIONS
from fieldsvc.web.reference.schemas import schema_of
from handlers.base import wire_type
from handlers.registry import Registry

_STYLE = (
    "body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;width:100%}th,td{text-align:left;vertical-align:top;padding:.25rem .75rem .25rem 0;"
    "border-bottom:1px solid #888}code{overflow-wrap:anywhere}:root{color-scheme:light dark}"
)
_STYLE_HASH = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_KEPT = {"Cache-Control": "public, max-age=60", "X-Content-Type-Options": "nosniff"}
_PAGE_HEADERS = {
    **_KEPT,
    "Content-Security-Policy": (
        f"default-src 'none'; style-src 'sha256-{_STYLE_HASH}'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Vary": "Accept-Language",
}
_WORDS: Mapping[str, Mapping[str, str]] = {
    "fr": {
        "title": "Interface de fieldsvc",
        "documents": "Documents pour les programmes",
        "openapi": "routes, corps et réponses",
        "asyncapi": "messages, dans les deux sens",
        "types": "types d'événements, schémas et exemples",
        "routes": "Routes",
        "route": "Route",
        "does": "Ce qu'elle fait",
        "received": "Événements publics, que reçoivent les abonnés",
        "sent": "Événements de terrain, qu'envoient les téléphones",
        "type": "Type",
        "name": "Titre",
    },
    "en": {
        "title": "Interface of fieldsvc",
        "documents": "Documents for programs",
        "openapi": "routes, bodies and answers",
        "asyncapi": "messages, both ways",
        "types": "event types, schemas and examples",
        "routes": "Routes",
        "route": "Route",
        "does": "What it does",
        "received": "Public events, which subscribers receive",
        "sent": "Field events, which phones send",
        "type": "Type",
        "name": "Title",
    },
}


class Catalogue:
    """The documents of one app, each made when it is first asked for."""

    def __init__(self, registry: Registry, app: Callable[[], web.Application]) -> None:
        self._registry = registry
        self._app = app
        self._pages: dict[str, str] = {}

    @classmethod
    def of(cls, registry: Registry, app: Callable[[], web.Application]) -> "Catalogue":
        """Describe these services and the routes of this app, which may still be added until the first request."""
        return cls(registry, app)

    @cached_property
    def types(self) -> bytes:
        """The types that subscribers can receive, as JSON."""
        return orjson.dumps({"types": types_document(self._registry)})

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI document."""
        return orjson.dumps(openapi_document(self._registry, self._app().router))

    @cached_property
    def asyncapi(self) -> bytes:
        """The AsyncAPI document."""
        return orjson.dumps(asyncapi_document(self._registry))

    def page(self, language: str) -> str:
        """The page for people, in French or English."""
        if language not in self._pages:
            self._pages[language] = "".join(_page(self._registry, self._app().router, language))
        return self._pages[language]


CATALOGUE = web.AppKey("CATALOGUE", Catalogue)


def types_document(registry: Registry) -> list[dict[str, Any]]:
    """Describe every type that a subscriber can receive: names, titles, services, schema of the data, an example."""
    examples = examples_of_public(registry)
    return [
        {
            "name": said.name,
            "type": wire_type(said.name),
            "title": dict(said.title),
            "services": services_of(registry, said.name),
            "schema": schema_of(said.data),
            **({"example": examples[said.name]} if said.name in examples else {}),
        }
        for said in receivable(registry)
    ]


async def types(request: web.Request) -> web.Response:
    """List the types that a subscriber can receive, with schemas and examples."""
    return await _document(request, "types")


async def openapi(request: web.Request) -> web.Response:
    """Give the OpenAPI document."""
    return await _document(request, "openapi")


async def asyncapi(request: web.Request) -> web.Response:
    """Give the AsyncAPI document."""
    return await _document(request, "asyncapi")


async def docs(request: web.Request) -> web.Response:
    """Show the routes and event types on a page."""
    text = request.app[CATALOGUE].page(_language(request))
    return web.Response(text=text, content_type="text/html", headers=_PAGE_HEADERS)


async def _document(request: web.Request, name: str) -> web.Response:
    """Answer one document, made in a thread when it is the first time: that takes a tenth of a second."""
    body: bytes = await asyncio.to_thread(getattr, request.app[CATALOGUE], name)
    return web.Response(body=body, content_type="application/json", headers=_KEPT)


def _language(request: web.Request) -> str:
    """Choose the first of French and English that Accept-Language names; French when it names neither."""
    for part in request.headers.get("Accept-Language", "").lower().split(","):
        tag = part.split(";")[0].strip().split("-")[0]
        if tag in _WORDS:
            return tag
    return "fr"


def _page(registry: Registry, router: web.UrlDispatcher, language: str) -> Iterator[str]:
    words = _WORDS[language]
    yield f'<!doctype html><html lang="{language}"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    yield f"<title>{words['title']}</title><style>{_STYLE}</style><main><h1>{words['title']}</h1>"
    yield f"<h2>{words['documents']}</h2><ul>"
    for path, name in (("/openapi.json", "openapi"), ("/asyncapi.json", "asyncapi"), ("/v1/types", "types")):
        yield f'<li><a href="{path}"><code>{path}</code></a>: {words[name]}</li>'
    yield f"</ul><h2>{words['routes']}</h2>"
    routes = [(f"{method} {path}", says) for method, path, says in _routes(router, language)]
    yield from _table(routes, words["route"], words["does"])
    received = [(said.name, said.title[language]) for said in receivable(registry)]
    sent = [(name, kind.title[language]) for name, (_, kind) in registry.by_type.items()]
    for title, rows in ((words["received"], received), (words["sent"], sent)):
        yield f"<h2>{title}</h2>"
        yield from _table([(wire_type(name), says) for name, says in rows], words["type"], words["name"])
    yield "</main></html>"


def _routes(router: web.UrlDispatcher, language: str) -> Iterator[tuple[str, str, str]]:
    for route in described_routes(router):
        entry = OPERATIONS.get(key_of(route))
        yield *key_of(route), entry.fr if entry and language == "fr" else summary_of(route)


def _table(rows: list[tuple[str, str]], left: str, right: str) -> Iterator[str]:
    yield f"<table><thead><tr><th scope=col>{left}</th><th scope=col>{right}</th></tr></thead><tbody>"
    for name, says in sorted(rows, key=lambda row: row[0].partition(" ")[2] or row[0]):
        yield f"<tr><td><code>{escape(name)}</code></td><td>{escape(says)}</td></tr>"
    yield "</tbody></table>"


routes: list[web.RouteDef] = [
    web.get("/v1/types", types),
    web.get("/openapi.json", openapi),
    web.get("/asyncapi.json", asyncapi),
    web.get("/docs", docs),
]
