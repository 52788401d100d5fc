"""Pages behind a customer's link: "something is wrong with this item", and how likely they are to recommend us."""

from typing import Any

from aiohttp import web

from fieldsvc.errors import NotFound
from fieldsvc.requests.links import Link, seal_link
from fieldsvc.requests.voices import Fate, Voices
from fieldsvc.store.case_file import CaseRow
from fieldsvc.web.auth import ACCESS
from fieldsvc.web.following import LINK_KEY, link_of
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words
from fieldsvc.web.pages.page import HEADERS, language_of
from handlers.trust import OUTCOMES

VOICES = web.AppKey("VOICES", Voices)
WRONGS = {
    "not_received": "Je n'ai rien reçu",
    "elsewhere": "Remis au mauvais endroit ou à une autre personne",
    "signature": "La signature n'est pas la mienne",
    "damaged": "Reçu abîmé ou ouvert",
    "nobody_came": "Personne n'est passé",
    "other": "Autre problème",
}
SCORES = tuple(str(score) for score in range(11))
_OPENED = "case"  # the note of a link whose holder opened the case: its answer is theirs to read


async def show_dispute(request: web.Request) -> web.Response:
    """Ask what is wrong with an item, or say how its case stands. NotFound for what has not arrived anywhere yet."""
    link, fate = await _fate(request)
    found = await request.app[VOICES].case(request.app[VOICES].case_id(fate))
    return _asked(request, fate, Form()) if found is None else await _case(request, link, found)


async def take_dispute(request: web.Request) -> web.Response:
    """Take what is wrong; shown once more before a case is opened, which happens once for what was last said of the item."""
    link, fate = await _fate(request)
    form, voices = await read_form(request), request.app[VOICES]
    wrong = form.choice("wrong", WRONGS, missing="house_dispute.fault.wrong")
    text = _plain(form.text("text", most=1_000, missing="house_dispute.fault.text" if wrong == "other" else None))
    email = form.text("email", most=254)
    if email and not _is_mail(email):
        form.faults["email"] = "house_dispute.fault.email"
    if form.faults or form.get("step") != "send":
        return _asked(request, fate, form, checking=not form.faults and form.get("step") == "check")
    if await voices.case(voices.case_id(fate)) is not None:
        return _to(request.path)  # somebody was first: this page tells how that case stands
    said = ". ".join(filter(None, (WRONGS[wrong], text)))
    contact = {"email": email, "lang": language_of(request)} if email else None
    own = {**link.notes, _OPENED: await voices.dispute(fate, said, contact)}
    token = seal_link(request.app[LINK_KEY], Link(link.subject, link.expires_at, link.rights, link.postcode, own))
    return _to(f"/suivi/{token}/contester")


async def show_rating(request: web.Request) -> web.Response:
    """Ask for a rating of an item that was handed over, or thank for it."""
    _, fate = await _rated(request)
    return _rating(request, Form(), done=await request.app[VOICES].is_rated(fate.subject))


async def take_rating(request: web.Request) -> web.Response:
    """Take a rating, once for each item."""
    _, fate = await _rated(request)
    form = await read_form(request)
    score = form.choice("score", SCORES, missing="house_rating.fault.score")
    comment = _plain(form.text("comment", most=280))
    if form.faults:
        return _rating(request, form, done=False)
    await request.app[VOICES].rate(fate, int(score), comment)
    return _to(request.path)


async def _fate(request: web.Request) -> tuple[Link, Fate]:
    link = link_of(request)
    fate = await request.app[VOICES].fate(link.subject)
    if fate is None or not fate.can_be_disputed:
        raise NotFound
    return link, fate


async def _rated(request: web.Request) -> tuple[Link, Fate]:
    link, fate = await _fate(request)
    if not fate.can_be_rated:
        raise NotFound
    return link, fate


def _asked(request: web.Request, fate: Fate, form: Form, *, checking: bool = False) -> web.Response:
    status = 422 if form.faults else 200
    about: dict[str, Any] = {
        "item_id": fate.subject.partition("/")[2],
        "fate": fate.type.partition(".")[2],
        "wrongs": tuple(WRONGS),
    }
    on = _day(request, fate)
    return render(request, "house_dispute.html", status=status, form=form, checking=checking, on=on, case=None, **about)


async def _case(request: web.Request, link: Link, row: CaseRow) -> web.Response:
    zone, lang = request.app[ACCESS].settings.zone, language_of(request)
    answer = await request.app[VOICES].answer(row) if link.notes.get(_OPENED) == row.id else {}
    outcome = OUTCOMES[answer["outcome"]][lang] if answer else None
    told = {
        "case_id": row.id,
        "state": row.state,
        "due": day_words(row.due_at.astimezone(zone).date(), lang) if row.due_at else None,
        "outcome": outcome,
        "reason": answer.get("reason"),
    }
    return render(request, "house_dispute.html", form=Form(), checking=False, case=told)


def _rating(request: web.Request, form: Form, *, done: bool) -> web.Response:
    status = 422 if form.faults else 200
    return render(request, "house_rating.html", status=status, form=form, done=done, scores=SCORES)


def _day(request: web.Request, fate: Fate) -> str:
    return day_words(fate.at.astimezone(request.app[ACCESS].settings.zone).date(), language_of(request))


def _plain(text: str) -> str:
    """Leave out what no keyboard types."""
    return "".join(letter for letter in text if ord(letter) >= 32 or letter == "\n")


def _is_mail(text: str) -> bool:
    name, at, host = text.partition("@")
    return bool(name and at and "." in host) and not any(letter.isspace() or letter in "<>,;" for letter in text)


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={**HEADERS, "Location": path})


routes: list[web.RouteDef] = [
    web.get("/suivi/{token}/contester", show_dispute, name="page.voices_show_dispute"),
    web.post("/suivi/{token}/contester", take_dispute, name="page.voices_show_dispute"),
    web.get("/suivi/{token}/satisfaction", show_rating, name="page.voices_show_rating"),
    web.post("/suivi/{token}/satisfaction", take_rating, name="page.voices_show_rating"),
]
