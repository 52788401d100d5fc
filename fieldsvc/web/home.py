"""The first page: what this is, and what there is."""

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import Unauthorized
from fieldsvc.web.auth import SESSION_COOKIE, signed_in
from fieldsvc.web.pages import render


async def home(request: web.Request) -> web.Response:
    """Say what this is and lead to what there is."""
    return render(request, "home.html", person=await somebody(request))


async def somebody(request: web.Request) -> Person | None:
    """Return who is signed in, or none; without a cookie nothing is looked up."""
    if SESSION_COOKIE not in request.cookies:
        return None
    try:
        return await signed_in(request)
    except Unauthorized:
        return None


routes: list[web.RouteDef] = [web.get("/", home, name="page.home")]
