"""`/suivi/foyer`: a signed-in customer proves an address by the code of a letter, and tells carriers what they should know there."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import NotFound, TooMany
from fieldsvc.requests.households import Home, Households, NotServed, Place
from fieldsvc.store.access_case import CaseRow
from fieldsvc.web.auth import ACCESS, caller
from fieldsvc.web.customers import SIGN_IN_PATH, customer_of
from fieldsvc.web.forms import Form, read_form
from fieldsvc.web.pages import render
from fieldsvc.web.pages.moments import day_words
from fieldsvc.web.pages.page import HEADERS, language_of
from handlers.access_case import DECISIONS, REASONS
from handlers.household import STANDING

HOUSEHOLDS = web.AppKey("HOUSEHOLDS", Households)
HOME = "/suivi/foyer"
_WITH_WORDS = ("neighbour", "safe_place")
_AGAINST = (("neighbour", "never_neighbour"), ("safe_place", "never_left"), ("neighbour", "never_left"))
_MOST_NAMES = 10


async def show_homes(request: web.Request) -> web.Response:
    """Show a customer their households, and what each tells."""
    person = await customer_of(request)
    return await _homes(request, person, Form()) if person else _sign_in()


async def show_address(request: web.Request) -> web.Response:
    """Ask for an address."""
    person = await customer_of(request)
    return _address(request, person, Form(), "search") if person else _sign_in()


async def take_address(request: web.Request) -> web.Response:
    """Find the address, ask for the names on the box, and once both were seen again send the letter."""
    person, form, households = caller(request, Person), await read_form(request), request.app[HOUSEHOLDS]
    typed, step = form.text("address", most=200, missing="house.fault.address"), form.get("step")
    found = await households.search(typed) if typed else []
    if typed and not found:
        form.faults["address"] = "house.fault.unknown"
    if form.faults:
        return _address(request, person, form, "search")
    place = next((each for each in found if each.id == form.get("place")), None)
    if place is None:
        if step != "search":
            form.faults["place"] = "house.fault.place"
        return _address(request, person, form, "place", found=found)
    names = _names(form) if step != "place" else []
    if step != "send" or form.faults:
        shown = "names" if step in ("place", "change") or form.faults else "check"
        return _address(request, person, form, shown, place=place, names=names)
    return await _asked(request, person, form, place, names)


async def _asked(request: web.Request, person: Person, form: Form, place: Place, names: list[str]) -> web.Response:
    lang = language_of(request)
    try:
        await request.app[HOUSEHOLDS].ask(person.account_id, place, names, lang=lang)
    except (NotServed, TooMany) as error:
        form.faults["address"] = "house.fault.not_served" if isinstance(error, NotServed) else "house.fault.too_many"
        return _address(request, person, form, "search")
    return _to(HOME)


async def take_code(request: web.Request) -> web.Response:
    """Take the code of the letter."""
    person, form, households = caller(request, Person), await read_form(request), request.app[HOUSEHOLDS]
    home = await households.home(person.account_id, request.match_info["id"])
    code = form.text("code", most=40, missing="house.fault.code_missing")
    if code:
        home = await households.prove(person.account_id, home.row.id, code, email=person.email)
        if home.row.state == "asked":
            form.faults["code"] = "house.fault.code"
    return await _homes(request, person, form) if form.faults else _to(HOME)


async def show_told(request: web.Request) -> web.Response:
    """Ask what carriers should know."""
    person = await customer_of(request)
    if person is None:
        return _sign_in()
    home = await _proved(request, person)
    told, standing = home.told, home.told.get("standing") or {}
    values = {name: told.get(name) or "" for name in ("box", "floor", "code")} | {"names": "\n".join(told["names"])}
    values |= {f"standing_{name}": "on" for name in standing} | {
        f"words_{name}": text for name, text in standing.items()
    }
    return _told(request, person, Form(values), home)


async def take_told(request: web.Request) -> web.Response:
    """Take what carriers should know; it is on their sheets at once."""
    person, form = caller(request, Person), await read_form(request)
    home, standing = await _proved(request, person), _standing(form)
    told: dict[str, Any] = {"names": _names(form), "standing": standing}
    told |= {name: text for name in ("box", "floor", "code") if (text := _line(form, name))}
    if form.faults:
        return _told(request, person, form, home)
    await request.app[HOUSEHOLDS].tell(person.account_id, home.row.id, told)
    return _to(HOME)


async def show_leave(request: web.Request) -> web.Response:
    """Ask whether everything is to be taken back."""
    person = await customer_of(request)
    if person is None:
        return _sign_in()
    home = await request.app[HOUSEHOLDS].home(person.account_id, request.match_info["id"])
    return render(request, "house_leave.html", person=person, home=home)


async def leave(request: web.Request) -> web.Response:
    """Take everything back that a household tells."""
    person, _ = caller(request, Person), await read_form(request)
    await request.app[HOUSEHOLDS].leave(person.account_id, request.match_info["id"])
    return _to(HOME)


async def show_box(request: web.Request) -> web.Response:
    """Ask what is wrong with a box that is no longer served, or say how its case stands."""
    person = await customer_of(request)
    if person is None:
        return _sign_in()
    return await _box(request, person, Form(), await _proved(request, person))


async def take_box(request: web.Request) -> web.Response:
    """Open a case: the box of this household is no longer served."""
    person, form = caller(request, Person), await read_form(request)
    home, note = await _proved(request, person), _line(form, "note")
    if form.faults:
        return await _box(request, person, form, home)
    contact = {"email": person.email, "lang": language_of(request)} if person.email else None
    await request.app[HOUSEHOLDS].unserved(person.account_id, home.row.id, note, contact)
    return _to(request.path)


async def _proved(request: web.Request, person: Person) -> Home:
    home = await request.app[HOUSEHOLDS].home(person.account_id, request.match_info["id"])
    if home.row.state != "proved":
        raise NotFound
    return home


async def _homes(request: web.Request, person: Person, form: Form) -> web.Response:
    homes = await request.app[HOUSEHOLDS].of(person.account_id)
    about = [
        {"home": each, "until": _day(request, each.code_until), "holds": _day(request, each.holds_until)}
        for each in homes
    ]
    at = request.match_info.get("id")
    status = 422 if form.faults else 200
    return render(request, "house_homes.html", status=status, person=person, homes=about, form=form, at=at)


def _address(
    request: web.Request,
    person: Person,
    form: Form,
    step: str,
    *,
    found: list[Place] | None = None,
    place: Place | None = None,
    names: list[str] | None = None,
) -> web.Response:
    more: dict[str, Any] = {"found": found or [], "place": place, "names": names or []}
    status = 422 if form.faults else 200
    return render(request, "house_address.html", status=status, person=person, form=form, step=step, **more)


def _told(request: web.Request, person: Person, form: Form, home: Home) -> web.Response:
    status = 422 if form.faults else 200
    values: dict[str, Any] = {"form": form, "home": home, "standing": STANDING, "with_words": _WITH_WORDS}
    return render(request, "house_told.html", status=status, person=person, **values)


async def _box(request: web.Request, person: Person, form: Form, home: Home) -> web.Response:
    row = await request.app[HOUSEHOLDS].case(person.account_id, home)
    case = await _case(request, row) if row else None
    status = 422 if form.faults else 200
    return render(request, "house_box.html", status=status, person=person, form=form, home=home, case=case)


async def _case(request: web.Request, row: CaseRow) -> Mapping[str, Any]:
    """Write a case in the words of the reader's language."""
    lang = language_of(request)
    return {
        "state": row.state,
        "reason": REASONS[row.reason][lang],
        "due": day_words(row.answer_due_at.astimezone(request.app[ACCESS].settings.zone).date(), lang),
        "office": row.mail_waits_at,
        "until": day_words(row.mail_waits_until, lang) if row.mail_waits_until else None,
        "decision": DECISIONS[row.decision][lang] if row.decision else None,
        "answer": await request.app[HOUSEHOLDS].answer(row),
    }


def _names(form: Form) -> list[str]:
    """Take the names on the box, one a line."""
    lines = [" ".join(each.split()) for each in form.get("names").splitlines()[:100]]
    names = [each for each in lines if each]
    if not names:
        form.faults["names"] = "house.fault.names"
    elif len(names) > _MOST_NAMES or any(len(each) > 80 for each in names):
        form.faults["names"] = "house.fault.names_long"
    return names


def _standing(form: Form) -> dict[str, str]:
    """Take the standing instructions; two that contradict each other are a fault."""
    chosen = {name: "" for name in STANDING if form.get(f"standing_{name}")}
    for name in _WITH_WORDS:
        if name in chosen:
            chosen[name] = _line(form, f"words_{name}") or ""
            if not chosen[name]:
                form.faults[f"words_{name}"] = f"house.fault.{name}"
    if any(one in chosen and other in chosen for one, other in _AGAINST):
        form.faults["standing"] = "house.fault.against"
    return chosen


def _line(form: Form, name: str) -> str:
    """Take a line of at most 200 letters, without what no keyboard types."""
    text = " ".join(form.text(name, most=200).split())
    return "".join(letter for letter in text if ord(letter) >= 32)


def _day(request: web.Request, at: Any) -> str:
    return day_words(at.astimezone(request.app[ACCESS].settings.zone).date(), language_of(request))


def _sign_in() -> web.Response:
    """Lead to the sign-in, and from there to the list: whose household an address names is nothing to repeat."""
    return _to(f"{SIGN_IN_PATH}?{urlencode({'next': HOME})}")


def _to(path: str) -> web.Response:
    return web.Response(status=303, headers={**HEADERS, "Location": path})


routes: list[web.RouteDef] = [
    web.get(HOME, show_homes, name="page.households_show_homes"),
    web.get(f"{HOME}/adresse", show_address, name="page.households_show_address"),
    web.post(f"{HOME}/adresse", take_address, name="page.households_show_address"),
    web.post(HOME + "/{id}/code", take_code, name="page.households_take_code"),
    web.get(HOME + "/{id}/consignes", show_told, name="page.households_show_told"),
    web.post(HOME + "/{id}/consignes", take_told, name="page.households_show_told"),
    web.get(HOME + "/{id}/boite", show_box, name="page.households_show_box"),
    web.post(HOME + "/{id}/boite", take_box, name="page.households_show_box"),
    web.get(HOME + "/{id}/quitter", show_leave, name="page.households_show_leave"),
    web.post(HOME + "/{id}/quitter", leave, name="page.households_show_leave"),
]
