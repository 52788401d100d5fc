"""Schemas of the two kinds of events: field events as phones send them, public events as subscribers receive them."""

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

from fieldsvc.web.reference.examples import (
    EVENT_ID,
    MORNING,
    OWNER,
    Example,
    field_example,
    public_rows,
    shown_to,
    subject_of,
)
from fieldsvc.web.reference.schemas import Components, Schema, ref
from handlers import corrections
from handlers.base import evt_id, wire_type
from handlers.fields import PUBLIC, Fix, PublicData, format_time
from handlers.registry import Registry
from handlers.story import PublicType, titled

_TEXT: Schema = {"type": "string", "maxLength": 200}
_TIME: Schema = {"type": "string", "format": "date-time"}
_EVT_ID = "^evt_[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}(_[1-9][0-9]*)?$"


class Tested(PublicData):
    """What a subscriber asked for, to try an endpoint."""

    endpoint: Annotated[str, PUBLIC]


TESTED = PublicType("endpoint.tested", Tested, titled("Envoi d'essai", "Test event"))
_ENDPOINT = "ep_019a8f3e7c117d3a9a510c5d8c1f2e44"

ENVELOPES: Mapping[str, Schema] = {
    "FieldEnvelope": {
        "type": "object",
        "description": "A CloudEvent 1.0. Further attributes are kept with the event and not used.",
        "required": ["specversion", "id", "type", "data"],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "format": "uuid",
                "description": "Made on the phone, once: the same id again is a duplicate. Any UUID is taken, UUIDv7 is asked for.",
            },
            "source": {**_TEXT, "description": "The device: `/devices/<id>`."},
            "type": {"type": "string"},
            "subject": {
                **_TEXT,
                "description": "What it is about. The service names the subject from the data; one that differs is kept as `claimedsubject`.",
            },
            "time": {
                **_TIME,
                "description": "When it happened, by the phone's clock. Without it: when it arrived.",
            },
            "runid": {"type": "string", "pattern": "^[A-Za-z0-9][A-Za-z0-9._:-]{0,79}$"},
            "data": {"type": "object"},
        },
    },
    "LocatedData": {
        "type": "object",
        "properties": {
            "fix": {
                "anyOf": [ref("fields.Fix"), {"type": "null"}],
                "description": "Where the phone was. Kept, sealed, only by types that are a proof, an alarm or a reported place.",
            }
        },
    },
    "PublicEnvelope": {
        "type": "object",
        "description": "A CloudEvent 1.0 that is a Standard Webhooks payload as well.",
        "required": [
            "specversion", "id", "source", "type", "subject", "time", "timestamp", "recordedtime", "partitionkey",
            "sequence", "data",
        ],
        "properties": {
            "specversion": {"const": "1.0"},
            "id": {
                "type": "string",
                "pattern": _EVT_ID,
                "description": "`evt_` and the field event's UUID, `_n` for a derived one. The same in every retry, replay and channel.",
            },
            "source": {"type": "string", "description": "`/fieldsvc/<site>`."},
            "type": {"type": "string"},
            "subject": {"type": "string"},
            "time": {**_TIME, "description": "When it happened."},
            "timestamp": {**_TIME, "description": "Equal to `time`."},
            "recordedtime": {**_TIME, "description": "When it arrived here."},
            "partitionkey": {"type": "string", "description": "Equal to `subject`: events of one subject come in order."},
            "sequence": {
                "type": "string",
                "pattern": "^[0-9]{20}$",
                "description": "Counts the public events of the subject from 1 over all types, without gaps; a filtered reader sees it grow.",
            },
            "supersedes": {"type": "string", "pattern": _EVT_ID, "description": "The event that this one replaces or withdraws."},
            "dataref": {
                "type": "string",
                "format": "uri-reference",
                "description": "There when a part of the data was left out: where a reader with more rights finds it.",
            },
            "data": {"type": "object"},
        },
    },
    "Thin": {"type": "object", "maxProperties": 0, "description": "The data of a thin event: nothing; `dataref` leads to it."},
}  # fmt: skip


def receivable(registry: Registry) -> Sequence[PublicType]:
    """List every type that a subscriber can receive."""
    return [*registry.public.values(), TESTED]


def services_of(registry: Registry, name: str) -> list[str]:
    """Name the services that publish a type; all that take tasks, for `task.*`; none for the platform's own types."""
    return [
        handler.name
        for handler in registry.handlers.values()
        if any(each.name == name for each in handler.publishes) or (handler.takes_tasks and name.startswith("task."))
    ]


def add_field_events(components: Components, registry: Registry) -> dict[str, str]:
    """Add one component for each field-event type and `FieldEvent` over them all; return wire type -> component."""
    components.ref(Fix)
    names: dict[str, str] = {}
    for name, kind in registry.kinds.items():
        data = {"allOf": [components.ref(kind.payload), ref("LocatedData")]}
        names[wire_type(name)] = f"field.{name}"
        components.schemas[f"field.{name}"] = _typed("FieldEnvelope", name, kind.title, data)
    components.schemas["FieldEvent"] = one_of(names)
    return names


def add_public_events(components: Components, registry: Registry) -> dict[str, str]:
    """Add one component for each receivable type and `PublicEvent` over them all; return wire type -> component."""
    names: dict[str, str] = {}
    for said in receivable(registry):
        data = {"anyOf": [components.ref(said.data), ref("Thin")]}
        names[wire_type(said.name)] = f"public.{said.name}"
        components.schemas[f"public.{said.name}"] = _typed("PublicEnvelope", said.name, said.title, data)
    components.schemas["PublicEvent"] = one_of(names)
    return names


def one_of(names: Mapping[str, str]) -> Schema:
    """Choose among components by the wire type."""
    refs = {wire: ref(name) for wire, name in names.items()}
    mapping = {wire: each["$ref"] for wire, each in refs.items()}
    return {"oneOf": list(refs.values()), "discriminator": {"propertyName": "type", "mapping": mapping}}


def field_examples(registry: Registry) -> dict[str, list[dict[str, Any]]]:
    """Return the examples of each field-event type as whole events."""
    examples = {
        name: [field_example(name, subject_of(handler, name, data), data) for data in kind.examples]
        for name, (handler, kind) in registry.by_type.items()
    }
    name, subject = corrections.NAME, "item/RK123456785FR"
    return examples | {name: [field_example(name, subject, data) for data in corrections.EXAMPLES]}


def examples_of_public(registry: Registry, rows: Mapping[str, Example] | None = None) -> dict[str, dict[str, Any]]:
    """Return an example of each type that the services' stories reach, and of the test event. `rows`: if they are known."""
    subject, time = f"endpoint/{_ENDPOINT}", format_time(MORNING)
    tested = {
        "specversion": "1.0",
        "id": evt_id(EVENT_ID.format(1), 0),
        "source": "/fieldsvc/server",
        "type": wire_type(TESTED.name),
        "subject": subject,
        "time": time,
        "timestamp": time,
        "recordedtime": time,
        "partitionkey": subject,
        "sequence": f"{0:020d}",
        "data": {"endpoint": _ENDPOINT},
    }
    return {**shown_to(OWNER, rows or public_rows(registry)), TESTED.name: tested}


def _typed(envelope: str, name: str, title: Mapping[str, str], data: Schema) -> Schema:
    own = {"type": "object", "properties": {"type": {"const": wire_type(name)}, "data": data}}
    return {"title": title["en"], "allOf": [ref(envelope), own]}
