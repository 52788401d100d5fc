"""`/integrations/audit`: who changed what in this account, from the log that nobody can change unseen."""

from datetime import date

from aiohttp import web

from fieldsvc.store import account as accounts
from fieldsvc.store import audit as store
from fieldsvc.store.audit import NEWEST, Place
from fieldsvc.web.asking import opened, sealed
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.pages import render
from fieldsvc.web.portal import member

A_PAGE = 50


async def show_history(request: web.Request) -> web.Response:
    """Show a page of who changed what, newest first."""
    person, account = member(request)
    database, before = request.app[ACCESS].database, _place(request)
    rows = await store.of_account(database, account, before=before, limit=A_PAGE)
    following = sealed([rows[-1].day.isoformat(), rows[-1].pos]) if len(rows) == A_PAGE else None
    return render(
        request,
        "account_history.html",
        person=person,
        rows=rows,
        names=await accounts.names(database, {row.actor for row in rows}),
        following=following,
        kept={"cursor": request.query["cursor"]} if before != NEWEST else {},
        zone=request.app[ACCESS].settings.zone,
    )


def _place(request: web.Request) -> Place:
    """Read where the page begins; the newest row for anything that is no cursor of ours."""
    place = opened(request.query.get("cursor", ""))
    if not place or len(place) != 2 or not isinstance(place[1], int):
        return NEWEST
    try:
        return date.fromisoformat(str(place[0])), place[1]
    except ValueError:
        return NEWEST


routes: list[web.RouteDef] = [web.get("/integrations/audit", show_history, name="page.account_history_show_history")]
