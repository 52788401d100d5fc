"""Who sees what, and what nobody can ask: two pages for people and one document for programs, made by the code. Open to all."""

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.web.home import somebody
from fieldsvc.web.looks import ALERTS_LISTED, HISTORY, LOOKS, REPLAYED
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.pages.words import LANGUAGES, words_of
from fieldsvc.web.reference import who_sees
from fieldsvc.web.reference.register_words import Said, in_words
from fieldsvc.web.reference.who_sees import CANNOT, Cannot, Reader, Screen, Sent, Shown
from handlers.base import wire_type
from handlers.fields import FieldClass
from handlers.registry import Registry

_KEPT = {"Cache-Control": "public, max-age=60", "X-Content-Type-Options": "nosniff"}
Row = Mapping[str, Any]
Nested = list[tuple[str, list[str]]]  # a name, and the names inside it


class Mirror:
    """What the pages show, worked out once for each process."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._services: dict[str, list[Row]] = {}
        self._written: dict[str, str] = {}

    @cached_property
    def public(self) -> Sequence[Shown]:
        """The public types."""
        return who_sees.public_types(self._registry)

    @cached_property
    def sent(self) -> Sequence[Sent]:
        """The types of field events."""
        return who_sees.field_types(self._registry)

    @cached_property
    def screens(self) -> Sequence[Screen]:
        """The routes on which events are read."""
        return who_sees.screens(self._registry)

    @cached_property
    def document(self) -> bytes:
        """Everything, as JSON."""
        return orjson.dumps(
            {
                "public_types": [_public(each) for each in self.public],
                "field_types": [_sent(each) for each in self.sent],
                "screens": [_screen(each) for each in self.screens],
                "purposes": _purposes(),
                "cannot": [_cannot(each) for each in CANNOT],
            }
        )

    def services(self, language: str) -> list[Row]:
        """List the services by their titles, with what is sent, published and read of each; last, what is of all."""
        if language not in self._services:
            named = [(each.title[language], each.name) for each in self._registry.handlers.values()]
            ordered = sorted(named, key=lambda row: row[0].casefold())
            self._services[language] = [self._service(name, title, language) for title, name in ordered]
            self._services[language].append(self._service("", "", language))
        return self._services[language]

    def once(self, language: str, caller: Callable[[], str]) -> str:
        """Write a part of the page the first time, and give it again: it takes a tenth of a second."""
        if language not in self._written:
            self._written[language] = caller()
        return self._written[language]

    def watched(self) -> list[Row]:
        """List the screens on which a carrier's name stands, with who may read them."""
        return [_screen(each) for each in self.screens if any(_is_name(field) for field in each.fields)]

    def screen_rows(self) -> list[Row]:
        """List every screen."""
        return [{**_screen(each), "nested": nested(each.fields)} for each in self.screens]

    def _service(self, name: str, title: str, language: str) -> Row:
        """Gather one service's types; those of several services, or of none, belong to no name."""
        public = [each for each in self.public if (list(each.services) == [name] if name else len(each.services) != 1)]
        return {
            "id": name or "every",
            "title": title,
            "public": [
                {**_public(each), "says": each.said.title[language], "rows": list(_rows(each))} for each in public
            ],
            "sent": [
                {**_sent(each), "says": each.kind.title[language], "rows": list(_by_class(each.fields))}
                for each in self.sent
                if (each.service or "") == name
            ],
            "screens": [_screen(each) for each in self.screens if name in each.services],
        }


MIRROR = web.AppKey("MIRROR", Mirror)


def nested(fields: Iterable[str]) -> Nested:
    """Put what stands inside an object under its name: `located.stop_id` -> (`located`, [`stop_id`])."""
    found: dict[str, list[str]] = {}
    for path in fields:
        name, _, inner = path.partition(".")
        found.setdefault(name, []).extend([inner] if inner else [])
    return list(found.items())


async def page(request: web.Request) -> web.Response:
    """Show, for each event type, what each party sees."""
    mirror = request.app[MIRROR]
    services = await asyncio.to_thread(mirror.services, language_of(request))
    parties: dict[str, Any] = {"readers": list(Reader), "classes": list(FieldClass), "screens": mirror.screen_rows()}
    return render(
        request, "discretion.html", person=await somebody(request), mirror=mirror, services=services, **parties
    )


async def carriers(request: web.Request) -> web.Response:
    """Show what is kept of carriers' work, why, how long, who sees it, and what nobody can ask."""
    mirror = request.app[MIRROR]
    shown: dict[str, Any] = {"watched": mirror.watched(), "cannot": CANNOT, "register": in_words(language_of(request))}
    return render(request, "discretion_carriers.html", person=await somebody(request), **shown)


async def document(request: web.Request) -> web.Response:
    """Say for each event type, screen and purpose who sees which fields, and what no query can answer."""
    body = await asyncio.to_thread(getattr, request.app[MIRROR], "document")
    return web.Response(body=body, content_type="application/json", headers=_KEPT)


def _rows(shown: Shown) -> Iterator[Row]:
    """Yield what readers get, those who get the same together, and last those who get nothing."""
    groups: dict[tuple[str, ...], list[Reader]] = {}
    for reader, fields in shown.seen.items():
        groups.setdefault(tuple(fields), []).append(reader)
    for fields, readers in sorted(groups.items(), key=lambda row: not row[0]):
        yield {"readers": readers, "nested": nested(fields)}


def _by_class(fields: Mapping[str, FieldClass]) -> Iterator[Row]:
    for name in FieldClass:
        if found := [path for path, declared in fields.items() if declared is name]:
            yield {"class": name, "nested": nested(found)}


def _public(shown: Shown) -> dict[str, Any]:
    return {
        "type": wire_type(shown.said.name),
        "title": dict(shown.said.title),
        "services": list(shown.services),
        "fields": dict(shown.fields),
        "readers": {reader.value: list(fields) for reader, fields in shown.seen.items()},
        "alert": bool(shown.said.alert),
    }


def _sent(sent: Sent) -> dict[str, Any]:
    return {
        "type": wire_type(sent.kind.name),
        "title": dict(sent.kind.title),
        "service": sent.service,
        "by": sorted(sent.kind.by),
        "fields": dict(sent.fields),
        "keeps_position": sent.kind.keeps_fix,
    }


def _screen(screen: Screen) -> dict[str, Any]:
    return {
        "route": " ".join(screen.route),
        "path": screen.route[1],
        "id": "screen" + re.sub(r"\W+", "-", screen.route[1]),
        "readers": {kind: own.value for kind, own in screen.readers.items()},
        "fields": list(screen.fields),
        "services": list(screen.services),
        "noted": _noted(screen.route[1]),
    }


def _noted(path: str) -> str:
    """Say whether a look at a screen is noted: `look`, `past` (for a reason), `look_and_past`, `older`, or `not`."""
    look = LOOKS.get(path)
    if look is None:
        return "not"
    if look.action in HISTORY:
        return "look_and_past" if look.action == REPLAYED else "past"
    return "older" if look.action == ALERTS_LISTED else "look"


def _cannot(each: Cannot) -> dict[str, Any]:
    said = {language: words_of(language)[f"council.cannot.{each.question}"] for language in LANGUAGES}
    return {"question": each.question, "words": said, "tests": each.tests}


def _purposes() -> list[dict[str, Any]]:
    return [
        {
            "purpose": english.name,
            "of_carriers": english.of_carriers,
            "words": {"fr": _told(french), "en": _told(english)},
            "tables": dict(english.limits),
        }
        for french, english in zip(in_words("fr"), in_words("en"), strict=True)
    ]


def _told(said: Said) -> dict[str, str]:
    return {"name": said.name, "basis": said.basis, "data": said.data, "recipients": said.recipients}


def _is_name(field: str) -> bool:
    return field.rpartition(".")[2] == "carrier"


routes: list[web.RouteDef] = [
    web.get("/discretion", page, name="page.discretion"),
    web.get("/discretion/carriers", carriers, name="page.discretion_carriers"),
    web.get("/v1/discretion", document),
]
