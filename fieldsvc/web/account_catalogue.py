"""`/integrations/catalogue` and `/integrations/feed`: what there is to receive, and how it is pulled instead of pushed."""

import asyncio
import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from aiohttp import web

from fieldsvc.errors import NotFound
from fieldsvc.publishing.feed import CursorExpired, Feed, Positions
from fieldsvc.publishing.filters import TypeFilter
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.web.auth import ACCESS, base_url
from fieldsvc.web.catalogue import CATALOGUE
from fieldsvc.web.pages import render
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.portal import member
from fieldsvc.web.reference.type_changes import CHANGES
from handlers.fields import format_time
from handlers.registry import Registry

SHOWN = 25
AGO: Mapping[str, timedelta | None] = {
    "minutes": timedelta(minutes=5),
    "hour": timedelta(hours=1),
    "day": timedelta(days=1),
    "oldest": None,
}
Entry = dict[str, Any]
PULLED = web.AppKey("PULLED", Feed)
REGISTRY = web.AppKey("REGISTRY", Registry)


async def show_types(request: web.Request) -> web.Response:
    """List every type that a subscriber can receive, by service."""
    person, _ = member(request)
    known = await _types(request)
    wanted = request.query.get("q", "").strip().lower()[:60]
    found = [each for each in known.values() if wanted in f"{each['name']} {' '.join(each['title'].values())}".lower()]
    groups = _by_service(request, found)
    return render(
        request, "account_types.html", person=person, groups=groups, wanted=wanted, count=len(found), kept=_kept(wanted)
    )


async def show_type(request: web.Request) -> web.Response:
    """Show one type: its fields, an example, what changed and when. NotFound."""
    person, _ = member(request)
    entry = (await _types(request)).get(request.match_info["name"])
    if entry is None:
        raise NotFound
    return render(
        request,
        "account_type.html",
        person=person,
        entry=entry,
        fields=fields_of(entry["schema"]),
        example=_pretty(entry["example"]) if "example" in entry else "",
        schema=_pretty(entry["schema"]),
        mark=hashlib.sha256(orjson.dumps(entry["schema"], option=orjson.OPT_SORT_KEYS)).hexdigest()[:12],
        changes=CHANGES.get(entry["name"], ()),
    )


async def show_feed(request: web.Request) -> web.Response:
    """Explain the feed with a loop to copy, and read it page by page: from some time ago on, or behind a cursor."""
    person, account = member(request)
    feed, sought = request.app[PULLED], _sought(request)
    after = sought["after"]
    start = await (feed.resolve(after) if after else _beginning(feed, AGO[sought["ago"]], View(account)))
    page = await feed.page(start, View(account), types=TypeFilter(sought["types"].split()), limit=SHOWN)
    kept = {name: value for name, value in sought.items() if value and name in request.query}
    return render(
        request,
        "account_feed.html",
        person=person,
        events=[orjson.loads(item.body) for item in page.items],
        at_end=page.at_end,
        cursor=feed.cursors.write(page.after),
        sought=sought,
        choices=tuple(AGO),
        kept=kept,
        address=base_url(request),
        zone=request.app[ACCESS].settings.zone,
    )


def _sought(request: web.Request) -> dict[str, str]:
    """Read from when on the feed is wanted, of which types, or behind which cursor."""
    asked = {name: request.query.get(name, "").replace("\x00", "").strip()[:400] for name in ("ago", "types", "after")}
    ago = asked["ago"] if asked["ago"] in AGO else "hour"
    return {**asked, "ago": ago, "types": asked["types"].replace(",", " ")}


async def _beginning(feed: Feed, ago: timedelta | None, view: View) -> Positions:
    """Find the place of some time ago; the oldest that is kept where that is later."""
    if ago is not None:
        try:
            return await feed.seek(format_time(datetime.now(UTC) - ago), view)
        except CursorExpired:
            pass
    return await feed.resolve("")


def titles_of(request: web.Request) -> dict[str, str]:
    """Return what services are called in the reader's language."""
    lang = language_of(request)
    return {name: each.title[lang] for name, each in request.app[REGISTRY].handlers.items()}


async def _types(request: web.Request) -> dict[str, Entry]:
    return await asyncio.to_thread(lambda: request.app[CATALOGUE].by_name)


def _by_service(request: web.Request, found: list[Entry]) -> list[tuple[str, list[Entry]]]:
    """Group types by the title of their service; those of several services, and of none, stand at the end."""
    titles = titles_of(request)
    groups: dict[str, list[Entry]] = {}
    for each in found:
        services = each["services"]
        groups.setdefault(titles.get(services[0], "") if len(services) == 1 else "", []).append(each)
    return sorted(groups.items(), key=lambda group: (not group[0], group[0].casefold()))


def fields_of(schema: Entry) -> list[tuple[str, str, str, bool, str]]:
    """List the fields of a schema with those inside them: (path, type, class, whether it is always there, what it is)."""
    return [*_fields(schema, schema.get("$defs", {}), "")]


def _fields(part: Entry, known: Entry, before: str) -> list[tuple[str, str, str, bool, str]]:
    found = []
    for name, field in part.get("properties", {}).items():
        whole = _opened(field, known)
        found.append(
            (f"{before}{name}", _type_of(whole), whole.get("x-class", ""), name in part.get("required", ()),
             whole.get("description", ""))
        )  # fmt: skip
        if "properties" in whole and before.count(".") < 3:
            found += _fields(whole, known, f"{before}{name}.")
    return found


def _opened(field: Entry, known: Entry) -> Entry:
    """Follow references, and leave null out of what may be null."""
    choices = [each for each in field.get("anyOf", ()) if each.get("type") != "null"]
    if len(choices) == 1:
        field = {**field, **choices[0]}
    if "$ref" in field:
        field = {**known.get(field["$ref"].rpartition("/")[2], {}), **{k: v for k, v in field.items() if k != "$ref"}}
    return field


def _type_of(field: Entry) -> str:
    if "enum" in field:
        return " | ".join(str(each) for each in field["enum"])
    if "const" in field:
        return str(field["const"]).lower()
    if field.get("type") == "array":
        return f"{field.get('items', {}).get('type', 'object')}[]"
    return str(field.get("format") or field.get("type") or "object")


def _pretty(value: Any) -> str:
    return orjson.dumps(value, option=orjson.OPT_INDENT_2).decode()


def _kept(wanted: str) -> dict[str, str]:
    return {"q": wanted} if wanted else {}


routes: list[web.RouteDef] = [
    web.get("/integrations/catalogue", show_types, name="page.account_catalogue_show_types"),
    web.get("/integrations/catalogue/{name}", show_type, name="page.account_catalogue_show_type"),
    web.get("/integrations/feed", show_feed, name="page.account_catalogue_show_feed"),
]
