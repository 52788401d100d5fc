"""`/suivi`: people without an account find an item and follow it, without a script and without anybody's position."""

import asyncio
import time
from collections.abc import Mapping
from typing import Any

from aiohttp import web

from fieldsvc.errors import Gone, TooMany
from fieldsvc.following.desk import Followed, Following
from fieldsvc.following.finding import Finder
from fieldsvc.following.telling import Step
from fieldsvc.requests.links import Link, open_link
from fieldsvc.web.auth import client_source
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.home import somebody
from fieldsvc.web.middlewares import REFUSES_AFTER_S
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words, hour_words, moment_words
from fieldsvc.web.pages.page import language_of
from handlers.fields import parse_time
from handlers.item_codes import PRINTED

FINDER = web.AppKey("FINDER", Finder)
FOLLOWING = web.AppKey("FOLLOWING", Following)
LINK_KEY = web.AppKey("LINK_KEY", bytes)
HELP_PHONE = web.AppKey("HELP_PHONE", str)
_SEE_OTHER = 303


class LinkGone(Gone):
    """This link does not work any more."""

    code = "link_gone"


def link_of(request: web.Request) -> Link:
    """Open the link of the path's `{token}`. LinkGone for one that is over, and for what never was one."""
    link = open_link(request.app[LINK_KEY], request.match_info["token"])
    if link is None:
        raise LinkGone
    return link


async def find(request: web.Request) -> web.Response:
    """Ask for a number and a postcode; `?code=` brings the number along, as other systems link here."""
    form = Form({"number": request.query.get("code", "")[:64]})
    return await _find_page(request, form)


async def found(request: web.Request) -> web.Response:
    """Lead to the item, by an address that says nothing; what is unknown or wrong takes the same time and looks the same."""
    began, form = time.perf_counter(), await read_form(request)
    number = form.text("number", most=64, missing="follow.find.number_missing", too_long="follow.find.wrong")
    postcode = form.text("postcode", most=12, missing="follow.find.postcode_missing", too_long="follow.find.wrong")
    if form.faults:
        return await _find_page(request, form, status=422)
    try:
        token = await request.app[FINDER].by_number(number, postcode, client_source(request))
    except TooMany as error:
        form.faults["number"] = "follow.find.too_many"
        headers = {"Retry-After": str(error.extra["retry_after_s"])}
        return await _find_page(request, form, status=error.status, headers=headers)
    if token is None:
        form.faults["number"] = "follow.find.wrong"
        await asyncio.sleep(began + request.app.get(REFUSES_AFTER_S, 0.0) - time.perf_counter())
        return await _find_page(request, form, status=422)
    return see_other(f"/suivi/{token}")


async def notice(request: web.Request) -> web.Response:
    """Ask for the code on a paper notice."""
    return await _find_page(request, Form(), template="follow_notice.html")


async def noticed(request: web.Request) -> web.Response:
    """Lead to what the notice is about."""
    began, form = time.perf_counter(), await read_form(request)
    code = form.text("code", most=20, missing="follow.code.missing", too_long="follow.code.wrong")
    if form.faults:
        return await _find_page(request, form, status=422, template="follow_notice.html")
    try:
        token = await request.app[FINDER].by_code(code, client_source(request))
    except TooMany as error:
        form.faults["code"] = "follow.find.too_many"
        headers = {"Retry-After": str(error.extra["retry_after_s"])}
        return await _find_page(request, form, status=error.status, headers=headers, template="follow_notice.html")
    if token is None:
        form.faults["code"] = "follow.code.wrong"
        await asyncio.sleep(began + request.app.get(REFUSES_AFTER_S, 0.0) - time.perf_counter())
        return await _find_page(request, form, status=422, template="follow_notice.html")
    return see_other(f"/suivi/{token}")


async def status(request: web.Request) -> web.Response:
    """Say how the item or pouch of a link stands."""
    link = link_of(request)
    seen = await request.app[FOLLOWING].of(link.subject)
    words = _Words(language_of(request), request.app[FOLLOWING])
    return render(
        request,
        "follow_status.html",
        person=await somebody(request),
        may_change=link.may("change"),
        token=request.match_info["token"],
        phone=request.app[HELP_PHONE],
        thing=seen.status,
        also=_also(request, link),
        stops_before=seen.approach.stops_before if seen.approach else None,
        **words.of(seen),
    )


async def help_page(request: web.Request) -> web.Response:
    """Say how the same is done without a screen."""
    return await _words_page(request, "follow_help.html")


async def accessibility(request: web.Request) -> web.Response:
    """Say how these pages can be used, and what to do where they cannot."""
    return await _words_page(request, "follow_accessibility.html")


async def privacy(request: web.Request) -> web.Response:
    """Say what is kept of who follows an item, and for how long."""
    return await _words_page(request, "follow_privacy.html")


def see_other(path: str) -> web.Response:
    """Lead on after a form, to a page that can be loaded again."""
    return web.Response(status=_SEE_OTHER, headers={"Location": path, "Cache-Control": "no-store"})


async def _find_page(
    request: web.Request,
    form: Form,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
    template: str = "follow_find.html",
) -> web.Response:
    phone, person = request.app[HELP_PHONE], await somebody(request)
    return render(request, template, status=status, person=person, headers=headers, form=form, phone=phone)


async def _words_page(request: web.Request, template: str) -> web.Response:
    return render(request, template, person=await somebody(request), phone=request.app[HELP_PHONE])


def _also(request: web.Request, link: Link) -> list[tuple[str, str]]:
    """Name what else is on the same paper notice, each with the token of its own link."""
    subjects, finder = link.notes.get("also", "").split(), request.app[FINDER]
    return [(each.partition("/")[2], finder.link_to(each)) for each in subjects]


class _Words:
    """Days and times of one answer, in its language."""

    def __init__(self, lang: str, following: Following) -> None:
        self._lang, self._zone = lang, following.zone

    def of(self, seen: Followed) -> dict[str, Any]:
        """Write what the page of a status says of days and times."""
        status, near = seen.status, seen.approach
        return {
            "steps": [self._step(each) for each in status.steps],
            "newest": self._step(status.newest) if status.newest else None,
            "day": day_words(status.day, self._lang) if status.day else None,
            "half_day": seen.half_day,
            "window": [hour_words(at, self._zone, self._lang) for at in status.window] if status.window else None,
            "between": [hour_words(at, self._zone, self._lang) for at in (near.early_at, near.late_at)]
            if near
            else None,
        }

    def _step(self, step: Step) -> dict[str, str | None]:
        reason, until, on = PRINTED.get(step.data.get("reason", "")), step.data.get("until"), step.data.get("on")
        return {
            "state": step.state,
            "at": moment_words(step.at, self._zone, self._lang),
            "iso": step.at.isoformat(timespec="seconds"),
            "to": step.data.get("to"),
            "next": step.data.get("next"),
            "reason": reason[self._lang] if reason else None,
            "office": _place(step.data.get("office")),
            "until": self._day(until) if until else None,
            "on": self._day(on) if on else None,
        }

    def _day(self, text: str) -> str:
        day = parse_time(text if "T" in text else f"{text}T12:00:00Z").astimezone(self._zone).date()
        return day_words(day, self._lang)


def _place(office: str | None) -> str | None:
    """Write an office's name as people do: one that is known by its short name alone is `Villeneuve-Centre`."""
    return office.title() if office and office.islower() and " " not in office else office


routes: list[web.RouteDef] = [
    web.get("/suivi", find, name="page.suivi"),
    web.post("/suivi", found, name="page.suivi"),
    web.get("/suivi/avis", notice, name="page.suivi_notice"),
    web.post("/suivi/avis", noticed, name="page.suivi_notice"),
    web.get("/suivi/aide", help_page, name="page.suivi_help"),
    web.get("/suivi/accessibilite", accessibility, name="page.suivi_accessibility"),
    web.get("/suivi/confidentialite", privacy, name="page.suivi_privacy"),
    web.get("/suivi/{token}", status, name="page.suivi_status"),
]
