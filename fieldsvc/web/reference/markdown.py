"""`docs/events.md`: every event type for people who read rather than parse, made from the same models and examples."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import orjson

from fieldsvc.intake.reasons import REASONS, STATUSES, WARNINGS
from fieldsvc.web.reference.events import examples_of_public, field_examples, receivable, services_of
from fieldsvc.web.reference.schemas import Schema, schema_of
from fieldsvc.web.reference.webhooks import other_formats
from handlers import corrections
from handlers.base import Handler, wire_type
from handlers.fields import FieldClass
from handlers.registry import Registry
from handlers.story import EventType, PublicType

_HEAD = """\
<!-- Generated from the services: do not edit. `python -m fieldsvc.web.documents > docs/events.md` writes it anew,
and a test fails when it is out of date. -->

# Events

Field events come in, from phones and from people; public events go out, to subscribers. Both are CloudEvents 1.0 JSON.
The same is served by every running service as `/v1/types`, `/openapi.json`, `/asyncapi.json` and, to read, `/docs`.

A field says who it may reach:
"""
_CLASSES: Mapping[FieldClass, str] = {
    FieldClass.PUBLIC: "every subscriber entitled to the event",
    FieldClass.OPERATIONAL: "the operator's own readers (scope `operator`)",
    FieldClass.PERSONAL: "sealed; the account whose order it is",
    FieldClass.HEALTH: "sealed; the account whose order it is, with scope `health`",
    FieldClass.SECRET: "sealed; nobody outside",
}


def events_markdown(registry: Registry) -> str:
    """Write the whole page."""
    return "\n".join(_page(registry)) + "\n"


def words_of(schema: Schema) -> str:
    """Say a JSON Schema in a few words: `text or null`, `one of a, b`."""
    if "enum" in schema:
        return "one of " + ", ".join(str(each) for each in schema["enum"])
    if "const" in schema:
        return orjson.dumps(schema["const"]).decode()
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "anyOf" in schema:
        return " or ".join(words_of(arm) for arm in schema["anyOf"] if arm != {"type": "null"})
    kind = schema.get("type")
    if kind == "array":
        return f"list of {words_of(schema.get('items', {}))}"
    if kind == "string":
        return {"date-time": "time", "date": "day"}.get(schema.get("format", ""), "text")
    return str(kind or "any")


def _page(registry: Registry) -> Iterator[str]:
    yield _HEAD
    for name, words in _CLASSES.items():
        yield f"- `{name.value}`: {words}"
    yield "\nA field that says nothing is personal. A thin event has no data; `dataref` says where a reader with more rights finds it."
    inside, outside = field_examples(registry), examples_of_public(registry)
    yield "\nA field event, whole; below only its `data` is shown, and every type may carry the `fix`:\n"
    yield from _example(inside["item.delivered"][0])
    yield "A public event that follows from such a one, as its own account receives it; below only its `data` is shown:\n"
    yield from _example(outside["item.delivered"])
    shown: set[str] = set()
    for handler in registry.handlers.values():
        yield from _service(handler, inside, outside, shown)
    rest = [each for each in receivable(registry) if each.name not in shown]
    yield "\n## Of every service\n"
    yield from _field(corrections.EVENT, inside[corrections.NAME])
    for said in rest:
        yield from _public(said, outside, services_of(registry, said.name))
    yield from _answers()


def _service(
    handler: Handler, inside: Mapping[str, list[Any]], outside: Mapping[str, Any], shown: set[str]
) -> Iterator[str]:
    yield f"\n## {handler.title['en']} (`{handler.name}`)\n"
    takes = " It takes tasks." if handler.takes_tasks else ""
    yield f"{handler.title['fr']}. Ordered by `{handler.subject}`.{takes}\n"
    own = {each.name: each for each in handler.publishes if each.name.partition(".")[0] == handler.name}
    for kind in handler.events:
        yield from _field(kind, inside[kind.name])
        if said := own.pop(kind.name, None):
            shown.add(said.name)
            yield from _public(said, outside)
    for said in own.values():
        shown.add(said.name)
        yield from _public(said, outside)


def _field(kind: EventType, examples: Iterable[Any]) -> Iterator[str]:
    yield f"### `{kind.name}`: {kind.title['en']}\n"
    yield f"{kind.title['fr']}. In as `{wire_type(kind.name)}`, from: {', '.join(sorted(kind.by))}.\n"
    yield from _fields(schema_of(kind.payload))
    for example in examples:
        yield from _example({name: value for name, value in example["data"].items() if name != "fix"})


def _public(said: PublicType, examples: Mapping[str, Any], services: Iterable[str] | None = None) -> Iterator[str]:
    if services is None:
        yield f"Out as `{wire_type(said.name)}`:\n"
    else:
        said_by = ", ".join(services) or "the platform"
        yield f"### `{said.name}`: {said.title['en']}\n"
        yield f"{said.title['fr']}. Out as `{wire_type(said.name)}`, from: {said_by}.\n"
    yield from _fields(schema_of(said.data))
    for form in other_formats(said.name):
        lost = ", ".join(f"`{path}`" for path in form.lost(said.name))
        yield f"Also as `{form.name}`; lost there: {lost or 'nothing'}.\n"
    if said.name in examples:
        yield from _example(examples[said.name]["data"])


def _fields(schema: Schema) -> Iterator[str]:
    required = schema.get("required", ())
    yield "| field | is | class | required |\n|---|---|---|---|"
    for name, field in schema.get("properties", {}).items():
        told = field.get("x-class", "as its parts say")
        yield f"| `{name}` | {words_of(field)} | {told} | {'yes' if name in required else ''} |"
    yield ""
    for name, part in schema.get("$defs", {}).items():
        held = ", ".join(f"`{key}` {words_of(each)}" for key, each in part.get("properties", {}).items())
        yield f"{name}: {held}.\n"


def _example(event: Any) -> Iterator[str]:
    yield f"```json\n{orjson.dumps(event, option=orjson.OPT_INDENT_2).decode()}\n```\n"


def _answers() -> Iterator[str]:
    yield "\n## What `POST /v1/events` answers"
    for title, words in (("Statuses", STATUSES), ("Reasons", REASONS), ("Warnings", WARNINGS)):
        yield f"\n### {title}\n"
        yield from (f"- `{word}`: {sentence}" for word, sentence in words.items())
