"""Joining a phone: the supervisor's page that makes a code, and the phone's page that takes it."""

from aiohttp import web

from fieldsvc.web.auth import ACCESS, require_person
from fieldsvc.web.pages import render


async def phones(request: web.Request) -> web.Response:
    """Show the supervisor the form that makes a one-time code for a phone."""
    person = await require_person(request, ["supervisor"])
    return render(request, "phones.html", person=person)


async def enrol(request: web.Request) -> web.Response:
    """Show the phone where its code goes; the code itself is in the fragment and never comes here."""
    return render(request, "enrol.html", keep_days=request.app[ACCESS].settings.keep_tracks_days)


routes: list[web.RouteDef] = [
    web.get("/supervision/phones", phones, name="page.phones"),
    web.get("/enrol", enrol, name="page.enrol"),
]
