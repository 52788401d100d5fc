"""The operator's screen of all sites: one line and one shape for each, with its counts."""

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.web.auth import caller
from fieldsvc.web.pages import render
from fieldsvc.web.supervision_page import map_config


async def national(request: web.Request) -> web.Response:
    """Show an operator every site that is theirs, as counts; rounds and places are on the page of a site."""
    return render(request, "supervision_national.html", person=caller(request, Person), config=map_config(request))


routes: list[web.RouteDef] = [web.get("/supervision/national", national, name="page.national")]
