"""An endpoint as a form and back: what is filled in becomes what the interface for programs takes, and its faults become words. Pure.

What was set through the interface and is too long or too rich for a field is shown and kept, never cut.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from fieldsvc.errors import BadRequest
from fieldsvc.faults import faults_of
from fieldsvc.publishing.addresses import UrlRefused
from fieldsvc.store.endpoints import Endpoint
from fieldsvc.web.endpoint_bodies import EndpointChange, NewEndpoint
from fieldsvc.web.forms import LONGEST, Form
from handlers.registry import Registry

CONDITIONS = 3
OPERATORS = ("eq", "neq", "in", "startsWith", "contains", "gt", "lt")
FORMATS, MODES, EXHAUSTED = ("cloudevents", "epcis", "fhir", "suivi"), ("subject", "parallel"), ("dead_letter", "block")
FIRST = ("item", "medication", "home_visit", "task", "delivery_change", "address_change")
_NUMBERS = {"gt", "lt"}
_ROOM = LONGEST - 100  # of a field, in which browsers may write line ends with two characters
_LISTS = ("patterns", "sites", "postcodes", "schedule", "filter")
_FIELD_OF = {"types": "patterns", "bearer": "bearer", "thin": "format"}


@dataclass(frozen=True, slots=True)
class Group:
    """The types that begin with the same word: `titles` are those of the services that say them, if it has one."""

    name: str
    title: str
    types: Sequence[tuple[str, str]]


def groups_of(types: Sequence[tuple[str, str]], titles: Mapping[str, str]) -> list[Group]:
    """Sort types (name, title) into groups by their first word, the services that most want first."""
    found: dict[str, list[tuple[str, str]]] = {}
    for name, title in types:
        found.setdefault(name.partition(".")[0], []).append((name, title))
    order = sorted(found, key=lambda name: (FIRST.index(name) if name in FIRST else len(FIRST), name))
    return [Group(name, titles.get(name, ""), found[name]) for name in order]


def titles_of(registry: Registry, language: str) -> dict[str, str]:
    """Name the services, by the word with which their types begin."""
    return {name: each.title[language] for name, each in registry.handlers.items()}


def blank() -> Form:
    """Write the form of an endpoint that is not yet."""
    return Form(
        {"which": "all", "format": "cloudevents", "mode": "subject", "on_exhausted": "dead_letter", "start": "now"}
    )


def values_of(endpoint: Endpoint, known: Collection[str]) -> tuple[Form, frozenset[str]]:
    """Write an endpoint as a form; the names of the fields that cannot hold what it has, and stay as they are."""
    ticked = [
        name
        for name in endpoint.types
        if name in known or name.removesuffix(".*") in {k.partition(".")[0] for k in known}
    ]
    rows = _rows(endpoint.filter)
    values = {
        "url": endpoint.url,
        "description": endpoint.description,
        "which": "some" if endpoint.types else "all",
        "patterns": " ".join(name for name in endpoint.types if name not in ticked),
        "sites": ", ".join(endpoint.sites),
        "postcodes": ", ".join(endpoint.postcodes),
        "filter": "" if rows is not None else orjson.dumps(endpoint.filter, option=orjson.OPT_INDENT_2).decode(),
        "format": endpoint.format,
        "thin": "yes" if endpoint.thin else "",
        "mode": endpoint.mode,
        "batch": str(endpoint.batch) if endpoint.batch > 1 else "",
        "rate_per_s": "" if endpoint.rate_per_s is None else f"{endpoint.rate_per_s:g}",
        "in_flight": "" if endpoint.in_flight is None else str(endpoint.in_flight),
        "on_exhausted": endpoint.on_exhausted,
        "schedule": " ".join(f"{each:g}" for each in endpoint.schedule or ()),
    }
    for number, row in enumerate(rows or ()):
        values |= {f"field{number}": row[0], f"op{number}": row[1], f"value{number}": row[2]}
    fixed = {
        name
        for name in _LISTS
        if len(values[name]) > _ROOM or any("," in site for site in endpoint.sites if name == "sites")
    }
    return Form({**values, **dict.fromkeys(fixed, "")}, {"types": tuple(ticked)}), frozenset(fixed)


def asked_of(
    form: Form, known: Collection[str], *, fixed: Collection[str] = (), change: bool = False
) -> dict[str, Any]:
    """Read what is asked for; where `form.faults` is not empty afterwards, it is not to be used.

    What a field cannot say is left out, and so are headers and a bearer that nobody filled in.
    """
    asked: dict[str, Any] = {
        "url": form.text("url", most=LONGEST, missing="portal_fault.url"),
        "description": form.text("description", most=500),
        "types": _types(form, known),
        "sites": _words(form, "sites"),
        "postcodes": [each.replace(" ", "") for each in _words(form, "postcodes")],
        "filter": _filter(form),
        "format": form.choice("format", FORMATS),
        "thin": form.get("thin") == "yes",
        "mode": form.choice("mode", MODES),
        "batch": _number(form, "batch"),
        "rate_per_s": _number(form, "rate_per_s", whole=False),
        "in_flight": _number(form, "in_flight"),
        "on_exhausted": form.choice("on_exhausted", EXHAUSTED),
        "schedule": _schedule(form),
    }
    left_out = {{"patterns": "types"}.get(name, name) for name in fixed}
    asked = {name: value for name, value in asked.items() if name not in left_out}
    asked |= _sealed(form)
    if not change and form.choice("start", ("now", "oldest")) == "oldest":
        asked["from"] = "oldest"
    if not form.faults:
        _check(form, asked, change=change)
    return {"start" if name == "from" else name: value for name, value in asked.items()}


def blame(form: Form, error: BadRequest) -> None:
    """Say at its field what the service refused."""
    if isinstance(error, UrlRefused):
        form.faults["url"] = f"portal_fault.url_{error.why}"
        return
    errors = error.extra.get("errors")
    named = (
        [str(each.get("field", "")) for each in errors if isinstance(each, dict)] if isinstance(errors, list) else []
    )
    for member in named or ["types"]:
        _fault(form, member)


def _check(form: Form, asked: Mapping[str, Any], *, change: bool) -> None:
    model = EndpointChange if change else NewEndpoint
    try:
        model.model_validate(dict(asked))
    except ValidationError as error:
        for fault in faults_of(model, error):
            _fault(form, fault.member.partition(".")[0])


def _fault(form: Form, member: str) -> None:
    field = _FIELD_OF.get(member, member)
    form.faults.setdefault(field, f"portal_fault.{field}" if field in _SAID else "portal_fault.other")


def _types(form: Form, known: Collection[str]) -> list[str]:
    if form.get("which") != "some":
        return []
    groups = {f"{name.partition('.')[0]}.*" for name in known}
    ticked = [name for name in form.several.get("types", ()) if name in known or name in groups]
    whole = {name for name in ticked if name in groups}
    found = [name for name in ticked if name in whole or f"{name.partition('.')[0]}.*" not in whole]
    found += form.get("patterns").replace(",", " ").split()
    if not found:
        form.faults["which"] = "portal_fault.which"
    return found


def _words(form: Form, name: str) -> list[str]:
    return [each.strip() for each in form.get(name).replace("\n", ",").replace(";", ",").split(",") if each.strip()]


def _number(form: Form, name: str, *, whole: bool = True) -> int | float | None:
    text = form.get(name).replace(",", ".")
    if not text:
        return None
    try:
        return int(text) if whole else float(text)
    except ValueError:
        form.faults[name] = f"portal_fault.{name}"
        return None


def _schedule(form: Form) -> list[float] | None:
    try:
        return [float(each) for each in form.get("schedule").replace(",", " ").split()] or None
    except ValueError:
        form.faults["schedule"] = "portal_fault.schedule"
        return None


def _sealed(form: Form) -> dict[str, Any]:
    """Read headers and bearer: what is not filled in stays as it is, unless it is to be dropped."""
    asked: dict[str, Any] = {}
    lines = [line for line in form.get("headers").splitlines() if line.strip()]
    pairs = [(name.strip(), value.strip()) for name, _, value in (line.partition(":") for line in lines)]
    if any(not name or not value for name, value in pairs):
        form.faults["headers"] = "portal_fault.headers"
    if pairs or form.get("drop_headers") == "yes":
        asked["headers"] = dict(pairs)
    if form.get("bearer") or form.get("drop_bearer") == "yes":
        asked["bearer"] = form.get("bearer") or None
    return asked


def _filter(form: Form) -> dict[str, Any] | None:
    """Read the rows of conditions, all of which must hold, and the condition that somebody wrote."""
    parts: list[dict[str, Any]] = []
    for number in range(CONDITIONS):
        field, value = form.get(f"field{number}"), form.get(f"value{number}")
        if field and (found := _value(form, number, value)) is not None:
            parts.append(_nested(["data", *field.split(".")], {f"${form.get(f'op{number}') or 'eq'}": found}))
        elif field or value:
            form.faults[f"field{number}"] = "portal_fault.condition"
    if text := form.get("filter"):
        try:
            written = orjson.loads(text)
        except ValueError:
            written = None
        if isinstance(written, dict):
            parts.append(written)
        else:
            form.faults["filter"] = "portal_fault.filter"
    return {"$and": parts} if len(parts) > 1 else parts[0] if parts else None


def _value(form: Form, number: int, text: str) -> Any:
    operator = form.get(f"op{number}") or "eq"
    if not text or operator not in OPERATORS:
        return None
    if operator == "in":
        return [_said(each.strip()) for each in text.split(",") if each.strip()] or None
    found = text if operator in ("startsWith", "contains") else _said(text)
    return None if operator in _NUMBERS and (isinstance(found, bool | str)) else found


def _said(text: str) -> str | float | int | bool:
    """Take numbers and yes or no as JSON has them; in quotes anything is a text."""
    try:
        found = orjson.loads(text)
    except ValueError:
        return text
    return found if isinstance(found, str | int | float) else text


def _nested(path: Sequence[str], last: dict[str, Any]) -> dict[str, Any]:
    for part in reversed(path):
        last = {part: last}
    return last


def _rows(condition: Mapping[str, Any] | None) -> list[tuple[str, str, str]] | None:
    """Write a condition as rows; None for one that the rows cannot say."""
    if condition is None:
        return []
    parts = condition["$and"] if list(condition) == ["$and"] else [condition]
    if not isinstance(parts, list) or len(parts) > CONDITIONS:
        return None
    rows = [_row(part) for part in parts]
    return [row for row in rows if row] if all(rows) else None


def _row(part: Any) -> tuple[str, str, str] | None:
    path: list[str] = []
    while isinstance(part, dict) and len(part) == 1:
        ((name, part),) = part.items()
        if name.startswith("$"):
            value = _written(name.removeprefix("$"), part)
            ours = value is not None and len(path) > 1 and path[0] == "data" and not any("." in each for each in path)
            return (".".join(path[1:]), name.removeprefix("$"), value) if ours and value is not None else None
        path.append(name)
    return None


def _written(operator: str, value: Any) -> str | None:
    """Write a value so that it is read as the same again; None if it cannot be."""
    if operator not in OPERATORS or (operator in _NUMBERS and isinstance(value, bool | str)):
        return None
    if (operator == "in") != isinstance(value, list):
        return None
    many = value if isinstance(value, list) else [value]
    texts = [_text(each, plain=operator in ("startsWith", "contains")) for each in many]
    if any(text is None or (operator == "in" and "," in text) or text != text.strip() for text in texts):
        return None
    return ", ".join(text for text in texts if text) or None


def _text(value: Any, *, plain: bool) -> str | None:
    if isinstance(value, str):
        return value if plain or _said(value) == value else orjson.dumps(value).decode()
    return orjson.dumps(value).decode() if isinstance(value, bool | int | float) and not plain else None


_SAID = frozenset(
    "url description patterns sites postcodes filter headers bearer rate_per_s in_flight batch schedule format".split()
)
