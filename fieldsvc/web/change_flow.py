"""The questions of a delivery change, one a page: which come for which kind, and how each answer is read.

Nothing here decides: whether a change is possible is decided when it is asked for.
"""

import re
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from typing import Any

from fieldsvc.requests.choices import REDIRECT
from fieldsvc.web.forms import Form, phone_number

WAYS = ("email", "mobile", "voice")
KIND, ADDRESS, CONTACT, CHECK = "kind", "old_address", "contact", "check"
ASKS: Mapping[str, tuple[str, ...]] = {
    "other_date": ("day",),
    "second_presentation": ("day",),
    "neighbour": ("neighbour",),
    "safe_place": ("place",),
    "pickup_point": (),
    "hold": ("until",),
    "proxy": ("proxy",),
    REDIRECT: ("names", "new_address", "when"),
}
ITEM_DAYS, REDIRECT_DAYS, MOST_NAMES = 15, 365, 20
_EMAIL = re.compile(r"[^@\s\x00-\x1f]+@[^@\s\x00-\x1f]+\.[^@\s\x00-\x1f]+")
_NUMBER = re.compile(r"\+[0-9]{6,15}")
Answers = dict[str, str]


def steps_of(answers: Mapping[str, str], first: str) -> tuple[str, ...]:
    """Name the questions in their order; after the first they follow from the kind. A request that is edited keeps kind and contact."""
    if answers.get("edits"):
        return (*ASKS[answers["kind"]], CHECK)
    return (first, *ASKS.get(answers.get("kind", ""), ()), CONTACT, CHECK)


def step_of(answers: Mapping[str, str], first: str, wished: str) -> str:
    """Return the question to ask: the one that is wished, unless one before it has no answer yet."""
    order = steps_of(answers, first)
    for step in order:
        if step in (wished, CHECK) or not is_answered(answers, step):
            return step
    return first


def is_answered(answers: Mapping[str, str], step: str) -> bool:
    """Tell whether a question was answered."""
    if step == CONTACT:
        return any(answers.get(way) for way in WAYS)
    return bool(answers.get("from" if step == "when" else step))


def read_answer(step: str, form: Form, today: date) -> Answers:
    """Read the answer to a question; what is wrong with it stands in the form's faults."""
    return _READ[step](form, today)


def answers_of(found: Mapping[str, Any]) -> Answers:
    """Read a request as the answers that it came of, for editing it."""
    details = found["details"]
    texts = {name: details[name] for name in ("neighbour", "place", "proxy") if details.get(name)}
    days = {"day": found["from"], "until": found["to"]}
    return {**texts, **{name: day for name, day in days.items() if day}}


def can_be_edited(found: Mapping[str, Any]) -> bool:
    """Tell whether there is anything to ask anew about a request: some kinds have no question of their own."""
    return bool(ASKS.get(found["kind"])) and "erased" not in found["details"]


def body_of(answers: Mapping[str, str], subject: Mapping[str, str], postcode: str | None, lang: str) -> dict[str, Any]:
    """Write the answers as the request that the desk takes."""
    kind = answers["kind"]
    if kind == REDIRECT:
        kind = "redirect_temporary" if answers.get("to") else "redirect_permanent"
    ways = {name: answers[name] for name in WAYS if answers.get(name)}
    details: dict[str, Any] = {"contact": {**ways, "lang": lang}}
    wanted = ASKS[answers["kind"]]
    details |= {name: answers[name] for name in ("neighbour", "place", "proxy", "new_address") if name in wanted}
    if "names" in wanted:
        details["names"] = answers["names"].split("\n")
    if kind == "pickup_point":
        details["pickup_point"] = answers["pickup_point"]
    if postcode is not None:
        details["postcode"] = postcode
    dates = {
        "from": answers.get("day") if "day" in wanted else None,
        "to": answers.get("until") if "until" in wanted else None,
    }
    if "when" in wanted:
        dates = {"from": answers["from"], "to": answers.get("to")}
    return {"kind": kind, **subject, **{name: day for name, day in dates.items() if day}, "details": details}


def _day(form: Form, today: date) -> Answers:
    return _one_day(form, "day", today + timedelta(days=1), today + timedelta(days=ITEM_DAYS), "change.day.range")


def _until(form: Form, today: date) -> Answers:
    return _one_day(form, "until", today + timedelta(days=1), today + timedelta(days=ITEM_DAYS), "change.until.range")


def _one_day(form: Form, name: str, first: date, last: date, fault: str) -> Answers:
    day = form.day(name, missing="change.day.missing")
    if day is not None and not first <= day <= last:
        form.faults[name] = fault
    return {name: day.isoformat()} if day else {}


def _when(form: Form, today: date) -> Answers:
    begins = form.day("from", missing="change.when.missing")
    ends = form.day("to")
    if begins is not None and not today < begins <= today + timedelta(days=REDIRECT_DAYS):
        form.faults["from"] = "change.when.range"
    if begins is not None and ends is not None and not begins < ends <= begins + timedelta(days=REDIRECT_DAYS):
        form.faults["to"] = "change.when.ends"
    return {"from": begins.isoformat() if begins else "", "to": ends.isoformat() if ends else ""}


def _names(form: Form, _today: date) -> Answers:
    text = form.text("names", most=600, missing="change.names.missing")
    names = [" ".join(line.split()) for line in text.splitlines() if line.strip()]
    if len(names) > MOST_NAMES or any(len(name) > 100 for name in names):
        form.faults["names"] = "change.names.too_many"
    return {"names": "\n".join(names)}


def _contact(form: Form, _today: date) -> Answers:
    email = form.text("email", most=254)
    typed = {way: form.text(way, most=30) for way in ("mobile", "voice")}
    if not (email or any(typed.values()) or form.faults):
        form.faults["email"] = "change.contact.missing"
    if email and not _EMAIL.fullmatch(email):
        form.faults["email"] = "change.contact.bad_email"
    numbers = {way: phone_number(text) for way, text in typed.items()}
    for way, number in numbers.items():
        if number and not _NUMBER.fullmatch(number):
            form.faults[way] = f"change.contact.bad_{way}"
    return {"email": email, **numbers}


def _text(name: str, missing: str, *, most: int = 200, least: int = 1) -> Callable[[Form, date], Answers]:
    def read(form: Form, _today: date) -> Answers:
        text = " ".join(form.text(name, most=most, missing=missing).split())
        if text and len(text) < least:
            form.faults[name] = missing
        return {name: text}

    return read


_READ: Mapping[str, Callable[[Form, date], Answers]] = {
    "day": _day,
    "until": _until,
    "neighbour": _text("neighbour", "change.neighbour.missing"),
    "place": _text("place", "change.place.missing"),
    "proxy": _text("proxy", "change.proxy.missing"),
    "names": _names,
    "new_address": _text("new_address", "change.new_address.missing", most=300, least=10),
    ADDRESS: _text(ADDRESS, "change.old_address.missing", most=300, least=10),
    "when": _when,
    CONTACT: _contact,
}
