"""Figures of services by site and month, for those who watch over them; none of a carrier."""

import re
from dataclasses import replace
from datetime import UTC, date, datetime, tzinfo

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.access.rights import Thing, figures_of
from fieldsvc.errors import BadRequest
from fieldsvc.reports.cells import Cell
from fieldsvc.reports.tables import Asked, csv_text, document
from fieldsvc.store import report as store
from fieldsvc.store.database import Seen
from fieldsvc.web.auth import caller, seen, site_of
from fieldsvc.web.pages.page import language_of
from fieldsvc.web.problems import json_response

ZONE = web.AppKey("ZONE", tzinfo)
PARAMETERS = frozenset({"from", "until", "site", "service", "format", "lang"})
MOST_MONTHS, MOST_CELLS = 24, 20_000
_MONTH, _SERVICE = re.compile(r"2[0-9]{3}-(0[1-9]|1[0-2])"), re.compile(r"[a-z][a-z_]{0,63}")


async def kpis(request: web.Request) -> web.Response:
    """Give the figures of the months asked for, by service and site, as JSON or CSV; small cells are suppressed."""
    person = caller(request, Person)
    asked = replace(_asked(request), site=await site_of(request, Thing.FIGURES))
    account = figures_of(person)
    cells = await read_cells(seen(request), account, asked)
    if _wants_csv(request):
        return _csv(csv_text(cells, lang=language_of(request)), asked)
    return json_response(document(asked, cells), headers={"Cache-Control": "no-store"})


async def read_cells(source: Seen, account: str, asked: Asked) -> list[Cell]:
    """Read the cells asked for; BadRequest if they are too many for one answer."""
    months = asked.first, asked.last
    rows = await store.cells(source, account, months, site=asked.site, service=asked.service, limit=MOST_CELLS + 1)
    if len(rows) > MOST_CELLS:
        raise BadRequest("That is too much for one answer: ask for fewer months, a site or a service.")
    return [Cell(*row) for row in rows]


def _asked(request: web.Request) -> Asked:
    """Read the months, this one by default; BadRequest for what is none, for too many, and for any other parameter."""
    query = request.query
    if unknown := set(query) - PARAMETERS:
        raise BadRequest(
            f"The parameters are {', '.join(sorted(PARAMETERS))}; {len(unknown)} of these are none of them."
        )
    if any(len(query.getall(name)) > 1 for name in query):
        raise BadRequest("Each parameter is given once.")
    now = datetime.now(UTC).astimezone(request.app[ZONE]).date().replace(day=1)
    last = _read_month(query["until"]) if "until" in query else now
    first = _read_month(query["from"]) if "from" in query else last
    if not 0 <= (last.year - first.year) * 12 + last.month - first.month < MOST_MONTHS:
        raise BadRequest(f"From the first to the last month there are 1 to {MOST_MONTHS}.")
    service = query.get("service")
    if service is not None and _SERVICE.fullmatch(service) is None:
        raise BadRequest("A service is named by lower-case letters.")
    return Asked(first, last, service=service)


def _read_month(text: str) -> date:
    if _MONTH.fullmatch(text) is None:
        raise BadRequest("A month is written as 2026-11.")
    return date.fromisoformat(f"{text}-01")


def _wants_csv(request: web.Request) -> bool:
    asked = request.query.get("format")
    if asked not in (None, "csv", "json"):
        raise BadRequest("The format is json or csv.")
    return asked == "csv" or (asked is None and "text/csv" in request.headers.get("Accept", ""))


def _csv(text: str, asked: Asked) -> web.Response:
    name = f"kpis-{asked.first.isoformat()[:7]}-{asked.last.isoformat()[:7]}.csv"
    headers = {
        "Content-Type": "text/csv; charset=utf-8; header=present",
        "Content-Disposition": f'attachment; filename="{name}"',
        "Cache-Control": "no-store",
    }
    return web.Response(body=text.encode(), headers=headers)


routes: list[web.RouteDef] = [web.get("/v1/kpis", kpis)]
