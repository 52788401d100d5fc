"""The fields of an order's form, drawn from the model of its service: a new service has its form by itself."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from fieldsvc.web.forms import Form
from handlers.base import Handler
from handlers.order_forms import Order

PREFIX = "about_"
FAULT = "partner.fault.field"


@dataclass(frozen=True, slots=True)
class Drawn:
    """One field. `kind`: one, some, yes, day, number or text; `choices` are (value, words, hint, why not) as `radios` takes them."""

    name: str
    kind: str
    label: str
    hint: str | None
    choices: Sequence[tuple[str, str, None, None]]
    default: Any = None


def drawn(handler: Handler, lang: str) -> list[Drawn]:
    """Draw the fields of a service's own form; none for a service without a model."""
    if handler.order is None:
        return []
    properties = handler.order.model_json_schema()["properties"]
    return [_drawn(name, spec, lang) for name, spec in properties.items()]


def _drawn(name: str, spec: Mapping[str, Any], lang: str) -> Drawn:
    inner = next((each for each in spec.get("anyOf", ()) if each.get("type") != "null"), spec)
    values = inner.get("enum") or inner.get("items", {}).get("enum") or ()
    words, humanised = spec.get("words", {}), name.replace("_", " ").capitalize()
    choices = [(value, words.get(value, {}).get(lang) or value.replace("_", " "), None, None) for value in values]
    label, hint = spec.get("titles", {}).get(lang) or humanised, spec.get("hints", {}).get(lang)
    return Drawn(PREFIX + name, _kind(inner), label, hint, choices, spec.get("default"))


def _kind(inner: Mapping[str, Any]) -> str:
    if inner.get("type") == "array":
        return "some"
    if inner.get("enum"):
        return "one"
    if "\\d{4}-\\d\\d-\\d\\d" in inner.get("pattern", ""):
        return "day"
    return {"boolean": "yes", "integer": "number", "number": "number"}.get(inner.get("type", ""), "text")


def defaults(fields: Sequence[Drawn]) -> dict[str, tuple[str, ...]]:
    """Return what stands in a form that nobody has filled in yet."""
    found: dict[str, tuple[str, ...]] = {}
    for each in fields:
        if each.kind == "some":
            found[each.name] = tuple(each.default or ())
        elif each.kind == "one" and each.default:
            found[each.name] = (each.default,)
    return found


def taken(handler: Handler, fields: Sequence[Drawn], form: Form) -> Order | None:
    """Take a service's own fields; faults are noted in the form, and then there is none, as for a service without a model."""
    if handler.order is None:
        return None
    data: dict[str, Any] = {}
    for each in fields:
        name, value = each.name.removeprefix(PREFIX), form.get(each.name)
        if each.kind == "some":
            data[name] = [chosen for chosen in form.several.get(each.name, ()) if chosen]
        elif each.kind == "yes":
            data[name] = value == "yes"
        elif each.kind == "day":
            day = form.day(each.name)
            data |= {name: day.isoformat()} if day else {}
        elif value:
            data[name] = value
    try:
        return handler.order.model_validate(data)
    except ValidationError as error:
        for fault in error.errors(include_input=False, include_context=False, include_url=False):
            named = PREFIX + str(fault["loc"][0]) if fault["loc"] else "form"
            form.faults.setdefault(named, FAULT)
        return None


def answered(each: Drawn, form: Form) -> str:
    """Say what was answered, for checking; a code is not shown again in full view."""
    if each.kind == "some":
        words = {value: said for value, said, _, _ in each.choices}
        return ", ".join(words[value] for value in form.several.get(each.name, ()) if value in words)
    if each.kind == "one":
        return next((said for value, said, _, _ in each.choices if value == form.get(each.name)), "")
    return form.get(each.name)
