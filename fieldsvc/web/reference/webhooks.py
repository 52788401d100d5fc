"""What is posted to an endpoint: headers, and the bodies of every format with their schemas and examples.

Our schemas of other people's formats say what we write of them; the standards' own are broader. Examples are written by the
formats themselves from the stories of the services.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from fieldsvc.publishing.formats.catalogue import CLOUDEVENTS, FORMATS, Format
from fieldsvc.publishing.formats.telling import Origin, Told
from fieldsvc.publishing.replay_run import HEADER as REPLAY_HEADER
from fieldsvc.web.reference.bodies import STRING, TIME, array, record
from fieldsvc.web.reference.examples import OWNER, Example
from fieldsvc.web.reference.reports import SUIVI
from fieldsvc.web.reference.schemas import Schema, ref
from handlers.registry import Registry
from handlers.story import PublicType

URI: Schema = {"type": "string", "format": "uri"}
MOST_IN_A_BATCH = 100
HERE = Origin(address="https://fieldsvc.example")
HEADERS: Schema = {
    **record(
        {
            "webhook-id": {
                "type": "string",
                "description": (
                    "The event's id; of a batch its first event's, `_b`, how many, `_` and a hash of their ids. The same in every"
                    " retry, and never that of other events: drop what you know."
                ),
            },
            "webhook-timestamp": {
                "type": "string",
                "pattern": "^[0-9]+$",
                "description": "Unix seconds of this attempt. Refuse what is five minutes off.",
            },
            "webhook-signature": {
                "type": "string",
                "description": "`v1,` and base64 of HMAC-SHA256 over `id.timestamp.body`; several with a space between while keys overlap.",
            },
        },
        {
            REPLAY_HEADER.lower(): {
                "type": "string",
                "description": "The side replay that this belongs to: events of the past, beside the live order.",
            },
            "fieldsvc-test": {"const": "1", "description": "A test that was asked for: its event never happened."},
        },
    ),
    "description": "Standard Webhooks 1.0.0.",
}  # fmt: skip
_EPCIS_EVENT = record(
    {
        "type": {"const": "ObjectEvent"},
        "eventID": {"type": "string", "pattern": "^urn:uuid:"},
        "eventTime": TIME,
        "eventTimeZoneOffset": {"type": "string", "pattern": "^[+-][01][0-9]:[0-5][0-9]$"},
        "recordTime": TIME,
        "epcList": {**array(URI), "minItems": 1, "maxItems": 1},
        "action": {"const": "OBSERVE"},
        "fieldsvc:type": STRING,
        "fieldsvc:sequence": {"type": "string", "pattern": "^[0-9]{20}$"},
    },
    {
        "bizStep": STRING,
        "disposition": STRING,
        "readPoint": record({"id": URI}),
        "bizLocation": record({"id": URI}),
        "destinationList": array(record({"type": {"const": "possessing_party"}, "destination": URI})),
        "sensorElementList": array({"type": "object"}),
        "errorDeclaration": record(
            {"declarationTime": TIME, "reason": {"enum": ["did_not_occur", "incorrect_data"]}},
            {"correctiveEventIDs": array(STRING)},
        ),
        "fieldsvc:supersedes": {"type": "string", "pattern": "^urn:uuid:"},
        "fieldsvc:dataref": {"type": "string", "format": "uri-reference"},
        "fieldsvc:erased": {"const": True},
        "fieldsvc:lost": {**array(STRING), "description": "What of this event's data has no place in the format."},
    },
)
_SUPPLY_DELIVERY = record(
    {
        "resourceType": {"const": "SupplyDelivery"},
        "id": STRING,
        "extension": array(record({"url": URI}, {"valueString": STRING, "valueBoolean": {"type": "boolean"}})),
        "identifier": array(record({"system": URI, "value": STRING})),
        "status": {"enum": ["in-progress", "completed", "abandoned", "entered-in-error"]},
        "suppliedItem": {"type": "object"},
        "occurrenceDateTime": TIME,
    },
    {"type": {"type": "object"}, "destination": {"type": "object"}},
)
BODIES: Mapping[str, Schema] = {
    "PublicEventBatch": {**array(ref("PublicEvent")), "minItems": 1, "maxItems": MOST_IN_A_BATCH},
    "EpcisDocument": {
        **record(
            {
                "@context": {"type": "array"},
                "type": {"const": "EPCISDocument"},
                "schemaVersion": {"const": "2.0"},
                "creationDate": TIME,
                "epcisBody": record({"eventList": array(_EPCIS_EVENT)}),
            }
        ),
        "description": (
            "GS1 EPCIS 2.0. An event that replaces another comes behind that one, said again with an `errorDeclaration`; "
            "of what was withdrawn only that is said. A batch is one document."
        ),
    },
    "SupplyDelivery": {**_SUPPLY_DELIVERY, "description": "HL7 FHIR R4. Nobody's name and no medicine is in it."},
    "SupplyDeliveries": {
        **record(
            {"resourceType": {"const": "Bundle"}, "type": {"const": "collection"}},
            {"entry": array(record({"resource": ref("SupplyDelivery")}))},
        ),
        "description": "A batch; or an event and, `entered-in-error`, the one that it replaces or withdraws.",
    },
    "SuiviAnswer": {
        **SUIVI,
        "description": "La Poste's Suivi v2: the item's shipment, up to this event.",
    },
}
_ONE: Mapping[str, Schema] = {
    "epcis": ref("EpcisDocument"),
    "fhir": {"anyOf": [ref("SupplyDelivery"), ref("SupplyDeliveries")]},
    "suivi": {"anyOf": [ref("SuiviAnswer"), array(ref("SuiviAnswer"))]},
}


def other_formats(name: str) -> Sequence[Format]:
    """List the formats beside CloudEvents that have a type."""
    return [form for form in FORMATS.values() if form is not CLOUDEVENTS and form.covers(name)]


def schema_in(form: Format) -> Schema:
    """Describe what is posted in a format beside CloudEvents, one event or a batch."""
    return _ONE[form.name]


def losses(said: PublicType) -> dict[str, Any]:
    """Name the formats that have a type, each with the fields of its data that have no place there."""
    return {form.name: {"lost": list(form.lost(said.name))} for form in FORMATS.values() if form.covers(said.name)}


def example_in(form: Format, example: Example) -> Any:
    """Write an example in a format, as its own account receives it; None where the format does not want it."""
    if not form.wants(example.row):
        return None
    return orjson.loads(form.write(Told(example.row, example.parts, OWNER, HERE, example.earlier)))


def bodies_of(said: PublicType, event: Schema, example: Example | None) -> dict[str, Any]:
    """Describe the bodies of a type by media type: `event` is that of CloudEvents."""
    content = {
        CLOUDEVENTS.media_type: event,
        CLOUDEVENTS.batch_media_type: {"schema": ref("PublicEventBatch")},
    }
    for form in other_formats(said.name):
        shown = example_in(form, example) if example else None
        content[form.media_type] = {"schema": schema_in(form), **({"example": shown} if shown else {})}
    return content


def events_by_format(registry: Registry, rows: Mapping[str, Example]) -> dict[str, list[Any]]:
    """Write the examples of all types in the formats beside CloudEvents."""
    return {
        form.name: [
            shown for name, each in rows.items() if name in registry.public and (shown := example_in(form, each))
        ]
        for form in FORMATS.values()
        if form is not CLOUDEVENTS
    }
