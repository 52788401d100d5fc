"""What there is: types, schemas, examples and routes, as documents for programs and one page for people. Open to everyone."""

import asyncio
from collections.abc import Callable, Iterator
from functools import cached_property
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.web.asyncapi import asyncapi_document
from fieldsvc.web.home import somebody
from fieldsvc.web.openapi import described_routes, key_of, openapi_document, summary_of
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.reference.events import examples_of_public, receivable, services_of
from fieldsvc.web.reference.operations import OPERATIONS
from fieldsvc.web.reference.schemas import schema_of
from fieldsvc.web.reference.webhooks import losses
from handlers.base import wire_type
from handlers.registry import Registry

_KEPT = {"Cache-Control": "public, max-age=60", "X-Content-Type-Options": "nosniff"}
Rows = list[tuple[str, str]]


class Catalogue:
    """The documents of one app, each made when it is first asked for."""

    def __init__(self, registry: Registry, app: Callable[[], web.Application]) -> None:
        self._registry = registry
        self._app = app
        self._listings: dict[str, dict[str, Rows]] = {}

    @classmethod
    def of(cls, registry: Registry, app: Callable[[], web.Application]) -> "Catalogue":
        """Describe these services and the routes of this app, which may still be added until the first request."""
        return cls(registry, app)

    @cached_property
    def types(self) -> bytes:
        """The types that subscribers can receive, as JSON."""
        return orjson.dumps({"types": types_document(self._registry)})

    @cached_property
    def by_name(self) -> dict[str, dict[str, Any]]:
        """The types that subscribers can receive, by their names."""
        return {entry["name"]: entry for entry in types_document(self._registry)}

    @cached_property
    def openapi(self) -> bytes:
        """The OpenAPI document."""
        return orjson.dumps(openapi_document(self._registry, self._app().router))

    @cached_property
    def asyncapi(self) -> bytes:
        """The AsyncAPI document."""
        return orjson.dumps(asyncapi_document(self._registry))

    def listing(self, language: str) -> dict[str, Rows]:
        """The routes, the types that subscribers receive and those that phones send, each with a line in that language."""
        if language not in self._listings:
            self._listings[language] = _listing(self._registry, self._app().router, language)
        return self._listings[language]


CATALOGUE = web.AppKey("CATALOGUE", Catalogue)


def types_document(registry: Registry) -> list[dict[str, Any]]:
    """Describe every type that a subscriber can receive: names, titles, services, schema of the data, formats, an example."""
    examples = examples_of_public(registry)
    return [
        {
            "name": said.name,
            "type": wire_type(said.name),
            "title": dict(said.title),
            "services": services_of(registry, said.name),
            "schema": schema_of(said.data),
            "formats": losses(said),
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
    listing = request.app[CATALOGUE].listing(language_of(request))
    return render(request, "docs.html", person=await somebody(request), listing=listing)


async def _document(request: web.Request, name: str) -> web.Response:
    """Answer one document, made in a thread when it is the first time: that takes a tenth of a second."""
    body: bytes = await asyncio.to_thread(getattr, request.app[CATALOGUE], name)
    return web.Response(body=body, content_type="application/json", headers=_KEPT)


def _listing(registry: Registry, router: web.UrlDispatcher, language: str) -> dict[str, Rows]:
    routes = [(f"{method} {path}", says) for method, path, says in _routes(router, language)]
    received = [(wire_type(said.name), said.title[language]) for said in receivable(registry)]
    sent = [(wire_type(name), kind.title[language]) for name, kind in registry.kinds.items()]
    by_path = sorted(routes, key=lambda row: row[0].partition(" ")[2])
    return {"routes": by_path, "received": sorted(received), "sent": sorted(sent)}


def _routes(router: web.UrlDispatcher, language: str) -> Iterator[tuple[str, str, str]]:
    for route in described_routes(router):
        entry = OPERATIONS.get(key_of(route))
        yield *key_of(route), entry.fr if entry and language == "fr" else summary_of(route)


routes: list[web.RouteDef] = [
    web.get("/v1/types", types),
    web.get("/openapi.json", openapi),
    web.get("/asyncapi.json", asyncapi),
    web.get("/docs", docs),
]
