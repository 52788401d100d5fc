"""The document of who sees what, for the table of routes."""

from fieldsvc.web.reference.bodies import ANY, BOOLEAN, STRING, array, nullable, record
from fieldsvc.web.reference.operation import Operation, Table, one
from fieldsvc.web.reference.schemas import Schema
from handlers.fields import FieldClass

_CLASSES: Schema = {"type": "object", "additionalProperties": {"enum": [each.value for each in FieldClass]}}
_TITLE = record({"fr": STRING, "en": STRING})
_MIRROR = record(
    {
        "public_types": array(
            record(
                {
                    "type": STRING,
                    "title": _TITLE,
                    "services": array(STRING),
                    "fields": {**_CLASSES, "description": "Every field by its path, with its class."},
                    "readers": {
                        "type": "object",
                        "additionalProperties": array(STRING),
                        "description": "What each kind of reader gets; nothing: an empty list.",
                    },
                    "alert": BOOLEAN,
                }
            )
        ),
        "field_types": array(
            record(
                {
                    "type": STRING,
                    "title": _TITLE,
                    "service": nullable(STRING),
                    "by": array(STRING),
                    "fields": _CLASSES,
                    "keeps_position": BOOLEAN,
                }
            )
        ),
        "screens": array(
            record(
                {
                    "route": STRING,
                    "readers": {
                        "type": "object",
                        "additionalProperties": STRING,
                        "description": "Each kind of caller, with what is theirs.",
                    },
                    "fields": array(STRING),
                    "services": array(STRING),
                    "noted": {"enum": ["look", "past", "look_and_past", "older", "not"]},
                }
            )
        ),
        "purposes": array(
            record(
                {
                    "purpose": STRING,
                    "of_carriers": BOOLEAN,
                    "words": ANY,
                    "tables": {"type": "object", "additionalProperties": STRING},
                }
            )
        ),
        "cannot": array(record({"question": STRING, "words": _TITLE, "tests": array(STRING)})),
    }
)

DISCRETION: Table = {
    ("GET", "/v1/discretion"): Operation(
        "catalogue",
        "Dit pour chaque type d'événement, chaque écran et chaque finalité qui voit quels champs, et ce qu'aucune requête ne peut dire.",
        one(200, "What the pages `/discretion` and `/discretion/carriers` show.", _MIRROR),
    ),
}
