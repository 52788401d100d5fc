"""The routes that say who looked, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.web.looks import REASONS, ReasonRequired
from fieldsvc.web.reference.bodies import DAY, INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import CURSOR, DEVICE, PERSON, Operation, Table, limit, one, parameter

REASON = parameter(
    "query",
    "reason",
    "Why: needed for what is older than today, and noted.",
    {"enum": list(REASONS)},
)
_OWN = (e.Unauthorized, e.Revoked)
_LOOK = record(
    {
        "at": TIME,
        "role": STRING,
        "office": {**nullable(STRING), "description": "The site of whoever looked."},
        "action": STRING,
        "about": STRING,
        "reason": nullable(STRING),
    }
)
_ENTRY = record(
    {
        "day": DAY,
        "no": INTEGER,
        "at": TIME,
        "actor": STRING,
        "role": STRING,
        "action": STRING,
        "subject": STRING,
        "reason": nullable(STRING),
        "site": nullable(STRING),
    }
)
_PROGRESS = record({"at": TIME, "distance_along_m": nullable(NUMBER), "status": STRING, "received_at": TIME})
_TRACK = record({"at": TIME, "lat": NUMBER, "lon": NUMBER, "accuracy_m": nullable(NUMBER)})
_MINE = record(
    {
        "made_at": TIME,
        "about": record({"fr": STRING, "en": STRING}),
        "carrier": STRING,
        "site": STRING,
        "phones": array(
            record({"id": STRING, "enrolled_at": TIME, "revoked_at": nullable(TIME), "lost_at": nullable(TIME)})
        ),
        "runs": array(
            record(
                {
                    "run_id": STRING,
                    "day": DAY,
                    "state": STRING,
                    "geolocation": {
                        **array(record({"from": TIME, "until": nullable(TIME)})),
                        "description": "When positions counted: between the start and the end, without the pauses.",
                    },
                    "progress": array(_PROGRESS),
                    "tracks": array(_TRACK),
                }
            )
        ),
        "events": array(
            record(
                {
                    "id": STRING,
                    "type": STRING,
                    "subject": STRING,
                    "run": nullable(STRING),
                    "occurred_at": TIME,
                    "received_at": TIME,
                }
            )
        ),
        "looks": array(_LOOK),
    }
)

MIRROR: Table = {
    ("GET", "/v1/me/access"): Operation(
        "devices",
        "Dit au facteur qui a regardé son travail, quand et pourquoi, du plus récent au plus ancien.",
        one(200, "A page of looks.", record({"looks": array(_LOOK)}, {"cursor": STRING})),
        security=DEVICE,
        faults=(e.BadRequest, *_OWN),
        parameters=(CURSOR, limit()),
        description="With each code and phone that was made for him. From the day of the phone's enrolment on, as the export.",
    ),
    ("GET", "/v1/me/export"): Operation(
        "devices",
        "Donne au facteur tout ce qui est gardé de lui, en un seul téléchargement.",
        one(200, "Everything.", _MINE, Content_Disposition="A name for the file."),
        security=DEVICE,
        faults=_OWN,
        description="His own progress, when he could be seen, what his phones sent (without what is about others), and who looked. "
        "A phone that came by a code reads from the day of its enrolment on; one that the operator enrolled reads everything.",
    ),
    ("GET", "/v1/audit"): Operation(
        "operator",
        "Parcourt le journal d'audit, du plus récent au plus ancien.",
        one(200, "A page of entries.", record({"entries": array(_ENTRY)}, {"cursor": STRING})),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, e.Unauthorized, e.NotFound),
        parameters=(
            *(
                parameter("query", name, f"Only this {name}.")
                for name in ("actor", "role", "action", "subject", "site")
            ),
            parameter("query", "from", "The first day, UTC.", DAY),
            parameter("query", "until", "The last day, UTC.", DAY),
            REASON,
            CURSOR,
            limit(),
        ),
        description="For auditors: of their site if they were given one. What was seen is not in it, nor whose work it was. "
        "A reason is noted where one is given.",
    ),
}
