"""Joining a phone: the supervisor's page that makes a code, and the phone's page that takes it."""

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.pages import render


async def phones(request: web.Request) -> web.Response:
    """Show the supervisor the form that makes a one-time code for a phone."""
    return render(request, "phones.html", person=caller(request, Person))


async def enrol(request: web.Request) -> web.Response:
    """Show the phone where its code goes; the code itself is in the fragment and never comes here."""
    return render(request, "enrol.html", keep_days=request.app[ACCESS].settings.keep_tracks_days)


routes: list[web.RouteDef] = [
    web.get("/supervision/phones", phones, name="page.phones"),
    web.get("/enrol", enrol, name="page.enrol"),
]
