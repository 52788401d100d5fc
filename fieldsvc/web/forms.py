"""Forms of pages that work without a script: read once, from our own pages only, and shown again with what is wrong.

A view reads `form = await read_form(request)`, takes its fields, and where `form.faults` is not empty it renders the same
template again with `form`: `forms.html` keeps the values and says what to mend, first in a summary that has the focus.
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import date

from aiohttp import web

from fieldsvc.access.callers import Person
from fieldsvc.errors import BadRequest, Forbidden, UnsupportedMedia
from fieldsvc.web.auth import CALLER, check_csrf

MOST_FIELDS, LONGEST = 100, 2_000
_BETWEEN_DIGITS = re.compile(r"[\s.()-]")
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(slots=True)
class Form:
    """What somebody filled in; `faults` maps a field to the key of the words that say what is wrong with it."""

    values: Mapping[str, str] = field(default_factory=dict)
    several: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def get(self, name: str) -> str:
        """Return what stands in a field, for showing it again."""
        return self.values.get(name, "")

    def text(self, name: str, *, most: int = 200, missing: str | None = None, too_long: str = "form.too_long") -> str:
        """Take a line or a text; `missing` is the fault of an empty one, none if it may be empty."""
        value = self.get(name)
        if not value and missing:
            self.faults.setdefault(name, missing)
        if len(value) > most:
            self.faults.setdefault(name, too_long)
            return ""
        return value

    def choice(self, name: str, among: Collection[str], *, missing: str | None = "form.choose") -> str:
        """Take one of some values; anything else is the fault `missing`, or nothing chosen."""
        value = self.get(name)
        if value in among:
            return value
        if missing:
            self.faults.setdefault(name, missing)
        return ""

    def day(self, name: str, *, missing: str | None = None, bad: str = "form.bad_day") -> date | None:
        """Take a day, as a browser's field sends it (2026-11-23) or as it is typed (23/11/2026)."""
        value = self.get(name)
        if not value:
            if missing:
                self.faults.setdefault(name, missing)
            return None
        parts = value.replace(".", "/").replace(" ", "").split("/")
        try:
            return date.fromisoformat(
                "-".join(reversed([each.zfill(2) for each in parts])) if len(parts) == 3 else value
            )
        except ValueError:
            self.faults.setdefault(name, bad)
            return None


async def read_form(request: web.Request, *, most: int = MOST_FIELDS) -> Form:
    """Read the form of a page of ours; a signed-in person's carries their session's token in the field `csrf`.

    `most` is how many fields it may have. Forbidden for a form of another site, BadCsrf, UnsupportedMedia, BadRequest for what no
    browser sends.
    """
    if request.headers.get("Sec-Fetch-Site", "none") not in {"none", "same-origin"}:
        raise Forbidden
    if request.content_type not in _FORMS:
        raise UnsupportedMedia("A form is sent as application/x-www-form-urlencoded.")
    try:
        sent = await request.post()
    except (ValueError, LookupError) as error:
        raise BadRequest("The form cannot be read.") from error
    if len(sent) > most:
        raise BadRequest("The form has too many fields.")
    several: dict[str, list[str]] = {}
    for name, value in sent.items():
        if not isinstance(value, str) or len(value) > LONGEST or not _is_text(value):
            raise BadRequest("A field of the form is no text, or too long.")
        several.setdefault(name, []).append(value.strip())
    caller = request.get(CALLER)
    if isinstance(caller, Person):
        check_csrf(caller, sent.get("csrf"))
    return Form(
        {name: each[-1] for name, each in several.items()}, {name: tuple(each) for name, each in several.items()}
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return "\0" not in value


def phone_number(text: str) -> str:
    """Write a telephone number as it is dialled from anywhere: `06 12 34 56 78` is French, `0044…` is `+44…`."""
    number = _BETWEEN_DIGITS.sub("", text)
    if number.startswith("00"):
        return f"+{number[2:]}"
    return f"+33{number[1:]}" if number.startswith("0") else number
