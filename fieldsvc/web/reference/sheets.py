"""The route of the sheet, for the table of routes: the whole, or what differs from the version that the phone has."""

from collections.abc import Mapping

from fieldsvc import errors as e
from fieldsvc.web.reference.bodies import ANY, DAY, INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import DEVICE, Answer, Operation, Table, one, parameter
from fieldsvc.web.reference.schemas import Schema, ref
from geo.rounds import MODES
from handlers.household import STANDING

_NOTE = record(
    {
        "kind": {
            "enum": ["hidden_box", "code", "dog", "order", "hours", "other", "names", "floor", *STANDING],
            "description": "A household tells names, hidden_box, floor, code and its standing instructions.",
        },
        "text": STRING,
        "by": {
            "enum": ["regular", "substitute", "household"],
            "description": "A substitute's note stands beside the regular carrier's until that one writes again; what a household tells is beside both.",
        },
        "on": DAY,
    }
)
_NOTEBOOK = {**array(_NOTE), "description": "The living notebook of the delivery point. For the carrier's eyes only."}
_TASK = record(
    {
        "task_id": STRING,
        "service": STRING,
        "subject": STRING,
        "addressee": {},
        "window": nullable(ref("Window")),
        "requirements": array(STRING),
        "known_to_you": {
            "anyOf": [{"type": "boolean"}, {"type": "null"}],
            "description": "Whether the addressee showed you a document here before; null for a substitute.",
        },
        "form": {**nullable(STRING), "description": "A key of `forms`."},
        "details": {
            **ANY,
            "description": (
                "`code`, if there is one, is `{algorithm, iterations, salt, hash, tries}`: what the addressee says at the door "
                "is checked offline, by PBKDF2-HMAC-SHA-256 over its UTF-8, at most `tries` times."
            ),
        },
    }
)
_TASK_WITHOUT_STOP = {"allOf": [_TASK, record({"delivery_point_id": nullable(STRING), "notebook": _NOTEBOOK})]}
_STOP = record(
    {
        "stop_id": STRING,
        "round_id": {"type": "string", "description": "Another one's for a stop that moved here for the day."},
        "sequence": nullable(INTEGER),
        "delivery_point_id": nullable(STRING),
        "address": nullable(STRING),
        "lat": NUMBER,
        "lon": NUMBER,
        "side": nullable(STRING),
        "box_at": {**nullable(array(NUMBER)), "description": "[lon, lat] of the letterbox where it is away from the door."},
        "tasks": array(_TASK),
        "notebook": _NOTEBOOK,
    }
)  # fmt: skip
_SAID = record({"kind": {"const": "supervisor"}, "stop_id": nullable(STRING), "text": STRING, "given_at": TIME})
_ACCESS = record(
    {
        "kind": {"const": "access"},
        "stop_id": nullable(STRING),
        "delivery_point_id": STRING,
        "state": {"enum": ["open", "decided"]},
        "reason": STRING,
        "decision": nullable(STRING),
        "mail_waits_at": nullable(STRING),
        "mail_waits_until": nullable(DAY),
        "until": nullable(DAY),
    }
)
_HAZARD = record(
    {
        "hazard_id": STRING,
        "kind": STRING,
        "lat": NUMBER,
        "lon": NUMBER,
        "radius_m": NUMBER,
        "distance_along_m": NUMBER,
        "note": nullable(STRING),
        "until": TIME,
    }
)
_MANDATE = record(
    {
        "task_id": {**nullable(STRING), "description": "Null for one that the customer gave by a delivery change."},
        "subject": STRING,
        "stop_id": nullable(STRING),
        "delivery_point_id": nullable(STRING),
        "mandate": {
            **ANY,
            "description": "As it was ordered, with `from` and `until`; in force on the day of the run.",
        },
    }
)
_MEMBERS: Mapping[str, Schema] = {
    "round_id": STRING,
    "site": STRING,
    "mode": {"enum": list(MODES)},
    "state": {"type": "string", "description": "planned, started, paused or ended."},
    "line": {**array(array(NUMBER)), "description": "The planned line as [lon, lat]."},
    "tasks_without_stop": array(_TASK_WITHOUT_STOP),
    "instructions": {
        **array({"anyOf": [_SAID, _ACCESS]}),
        "description": "Of supervisors, and of delivery points that cannot be served as planned.",
    },
    "hazards": {**array(_HAZARD), "description": "Confirmed, and crossing the line; in the order of the round."},
    "requests": array({}),
    "mandates": array(_MANDATE),
    "forms": {**ANY, "description": "`id@version` to the form, as ordered."},
}
_SHEET = record({"run_id": STRING, "version": INTEGER, **_MEMBERS, "stops": array(_STOP)})
_DELTA = {
    **record(
        {
            "delta": {"const": True},
            "run_id": STRING,
            "since": INTEGER,
            "version": INTEGER,
            "stops": {**array(_STOP), "description": "Changed and new ones, whole."},
            "removed": {**array(STRING), "description": "Stops that are gone."},
        },
        {**_MEMBERS, "order": {**array(STRING), "description": "Every stop, there when the order is another one."}},
    ),
    "description": (
        "The new sheet is made of the old one: take over the members that are here, put these stops in the place of the old "
        "ones by `stop_id`, leave out the removed ones, and bring them into `order` if it is here."
    ),
}

SHEETS: Table = {
    ("GET", "/v1/runs/{id}/sheet"): Operation(
        "runs",
        "Donne la feuille de la tournée de l'appareil : ce qui diffère de la version du téléphone, 304 si rien, sinon tout.",
        {
            **one(
                200,
                "The sheet; with `delta` true what differs from version `since`, where that is one of the last eight shown.",
                {"anyOf": [_SHEET, _DELTA]},
                ETag="The version.",
            ),
            304: Answer("The phone has this version.", headers={"ETag": "The version."}),
        },
        security=DEVICE,
        faults=(e.Unauthorized, e.Revoked, e.NotFound, e.Unavailable),
        parameters=(
            parameter("query", "since", "The version that the phone has: what differs from it is enough.", INTEGER),
            parameter(
                "header", "If-None-Match", "The version that the phone has: without `since` the answer is whole."
            ),
        ),
        path={"id": "The run: `run-<local date>-<round>`, of yesterday, today or tomorrow."},
    ),
}
