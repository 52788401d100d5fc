"""The OpenAPI 3.1 document: every route of a router, what it takes and answers, and the events that go out."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from aiohttp import web
from pydantic import BaseModel

from fieldsvc.web.auth import CSRF_HEADER, SESSION_COOKIE
from fieldsvc.web.reference.bodies import WRITTEN
from fieldsvc.web.reference.events import (
    ENVELOPES,
    add_field_events,
    add_public_events,
    examples_of_public,
    field_examples,
    receivable,
)
from fieldsvc.web.reference.examples import public_rows
from fieldsvc.web.reference.operation import EVENT, Answer, Content, Operation, grouped, phrase
from fieldsvc.web.reference.operations import BATCHES, OPERATIONS, TAGS
from fieldsvc.web.reference.schemas import Components, Schema, ref
from fieldsvc.web.reference.webhooks import BODIES, HEADERS, bodies_of
from fieldsvc.web.rights import TABLE
from handlers.registry import Registry

VERSION = "1.0.0"  # of the interface: what subscribers and phones rely on
PROBLEM = "application/problem+json"
SECURITY: Mapping[str, Schema] = {
    "device": {"type": "http", "scheme": "bearer", "description": "The token of an enrolled device."},
    "device_basic": {
        "type": "http",
        "scheme": "basic",
        "description": "The same for apps that know no tokens: user = device id, password = token.",
    },
    "api_key": {"type": "http", "scheme": "bearer", "description": "The key of a subscriber's account: `fsk_…`."},
    "okapi_key": {
        "type": "apiKey",
        "in": "header",
        "name": "X-Okapi-Key",
        "description": "The key of a subscriber's account, as systems that follow La Poste's Suivi send it.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "A person's session, from a one-time link.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "The session's token, for requests that change something.",
    },
}
_INFO = {
    "title": "fieldsvc",
    "version": VERSION,
    "summary": "Event platform for postal carriers.",
    "description": (
        "Field events in from phones, each located, committed once and published in order. Errors are problem+json with "
        "a stable `code`. Times are RFC 3339 UTC. Every answer carries `Fieldsvc-Store-Epoch`: a phone that sees another "
        "one than before sends its kept events again."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
_TAKEN = {
    "2XX": {"description": "Taken. Answer within 15 seconds."},
    "410": {"description": "Nothing more is wanted: the endpoint is disabled."},
    "default": {
        "description": (
            "Sent again later; the subject waits alone. `Retry-After` is honoured, `WebHook-Allowed-Rate` (requests a minute) is "
            "kept to, and a 4xx with `webhook-retry: false` is not sent again."
        )
    },
}
_GROUP = re.compile(r"\(\?P<(\w+)>(.*?)\)(?=/|$)")
_ANY_SEGMENT = "[^{}/]+"


def openapi_document(registry: Registry, router: web.UrlDispatcher) -> dict[str, Any]:
    """Describe every route of a router; one without an entry in the table appears with its docstring only."""
    components = Components({**ENVELOPES, **WRITTEN, **BATCHES, **BODIES})
    add_field_events(components, registry)
    add_public_events(components, registry)
    paths: dict[str, dict[str, Any]] = {}
    names: set[str] = set()
    for route in described_routes(router):
        operation = _operation(route, components)
        if operation["operationId"] in names:  # one view, several routes
            operation["operationId"] += f"_{route.method.lower()}_{len(names)}"
        names.add(operation["operationId"])
        paths.setdefault(_path(route), {})[route.method.lower()] = operation
    if body := paths.get("/v1/events", {}).get("post"):
        body["requestBody"]["content"][EVENT]["examples"] = {
            name: {"value": examples[0]} for name, examples in field_examples(registry).items()
        }
    return {
        "openapi": "3.1.0",
        "info": _INFO,
        "servers": [{"url": "/"}],
        "tags": [{"name": name, "description": words} for name, words in TAGS.items()],
        "paths": paths,
        "webhooks": _webhooks(registry),
        "components": {"schemas": components.schemas, "securitySchemes": dict(SECURITY)},
    }


def described_routes(router: web.UrlDispatcher) -> Iterator[web.AbstractRoute]:
    """Yield the routes of a router that programs may use; HEAD goes with GET, and names in `page.` are pages for people."""
    for route in router.routes():
        if route.resource is not None and route.method != "HEAD" and not (route.name or "").startswith("page."):
            yield route


def key_of(route: web.AbstractRoute) -> tuple[str, str]:
    """Name a route as the table does: (method, path)."""
    return route.method, _path(route)


def summary_of(route: web.AbstractRoute) -> str:
    """Return the first line of the view's docstring."""
    return (route.handler.__doc__ or "").strip().partition("\n")[0]


def _path(route: web.AbstractRoute) -> str:
    return route.resource.canonical if route.resource is not None else ""


def _operation(route: web.AbstractRoute, components: Components) -> dict[str, Any]:
    module = route.handler.__module__.rpartition(".")[2]
    entry = OPERATIONS.get(key_of(route))
    head = {"operationId": f"{module}_{route.handler.__name__}", "summary": summary_of(route)}
    if entry is None:
        parameters = _path_parameters(route, {})
        return {
            **head,
            "tags": [module],
            "parameters": parameters,
            "responses": {"default": _problem("Not described yet.")},
        }
    described: dict[str, Any] = {**head, "tags": [entry.tag]}
    if entry.description:
        described["description"] = entry.description
    if parameters := [*_path_parameters(route, entry.path), *entry.parameters]:
        described["parameters"] = parameters
    if entry.body is not None:
        described["requestBody"] = {"required": entry.body_required, "content": _content(entry.body, components)}
    described["responses"] = _responses(entry, components)
    if (row := TABLE.get(key_of(route))) is not None:
        described["x-callers"] = {kind: str(own) for kind, own in row.own.items()}
    described["security"] = [dict(each) for each in entry.security]
    return described


def _path_parameters(route: web.AbstractRoute, words: Mapping[str, str]) -> list[dict[str, Any]]:
    info = route.resource.get_info() if route.resource is not None else {}
    pattern = info["pattern"].pattern if "pattern" in info else ""
    found = []
    for name, expression in _GROUP.findall(pattern):
        schema = {"type": "string"} | ({} if expression == _ANY_SEGMENT else {"pattern": f"^{expression}$"})
        about = {"description": words[name]} if name in words else {}
        found.append({"name": name, "in": "path", "required": True, **about, "schema": schema})
    return found


def _responses(entry: Operation, components: Components) -> dict[str, Any]:
    responses = {str(status): _answer(answer, components) for status, answer in entry.answers.items()}
    for status, codes in grouped(entry.faults).items():
        responses[str(status)] = _problem(phrase(status), codes)
        if status in (429, 503):
            responses[str(status)]["headers"] = {
                "Retry-After": {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            }
    return {**dict(sorted(responses.items())), "default": _problem("Any other error.")}


def _answer(answer: Answer, components: Components) -> dict[str, Any]:
    described: dict[str, Any] = {"description": answer.says}
    if answer.content:
        described["content"] = _content(answer.content, components)
    if answer.headers:
        described["headers"] = {
            name: {"description": words, "schema": {"type": "string"}} for name, words in answer.headers.items()
        }
    return described


def _problem(words: str, codes: list[str] | None = None) -> dict[str, Any]:
    schema = ref("Problem")
    if codes:
        schema = {"allOf": [schema, {"type": "object", "properties": {"code": {"enum": codes}}}]}
    return {"description": words, "content": {PROBLEM: {"schema": schema}}}


def _content(content: Mapping[str, Content], components: Components) -> dict[str, Any]:
    return {media: {} if each is None else {"schema": _schema(each, components)} for media, each in content.items()}


def _schema(content: Schema | type[BaseModel], components: Components) -> Schema:
    return components.ref(content) if isinstance(content, type) else content


def _webhooks(registry: Registry) -> dict[str, Any]:
    """Describe what is posted to an endpoint, type by type, in every format that has the type."""
    rows = public_rows(registry)
    examples = examples_of_public(registry, rows)
    headers = [
        {"name": name, "in": "header", "required": name in HEADERS["required"], "schema": schema}
        for name, schema in HEADERS["properties"].items()
    ]
    found = {}
    for said in receivable(registry):
        event: dict[str, Any] = {"schema": ref(f"public.{said.name}")}
        if said.name in examples:
            event["example"] = examples[said.name]
        post = {
            "operationId": f"receive_{said.name.replace('.', '_')}",
            "summary": said.title["en"],
            "tags": ["endpoints"],
            "parameters": headers,
            "requestBody": {"required": True, "content": bodies_of(said, event, rows.get(said.name))},
            "responses": _TAKEN,
        }
        found[said.name] = {"post": post}
    return found
