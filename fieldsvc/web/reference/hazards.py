"""The routes of hazards and of boxes that cannot be served, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.web.reference.bodies import DAY, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import CURSOR, PERSON, Operation, Table, limit, one, parameter
from fieldsvc.web.reference.schemas import Schema

_CURSOR: dict[str, Schema] = {"cursor": {"type": "string", "description": "There when more follow."}}
_SITE = parameter("query", "site", "A site; a supervisor has only their own, which is the default. Operators: all.")
_FAULTS = (e.BadRequest, e.Unauthorized, e.NotFound)
_HAZARD = record(
    {
        "hazard_id": STRING,
        "kind": STRING,
        "state": {"enum": ["reported", "confirmed", "ended"]},
        "site": nullable(STRING),
        "point": record({"lat": NUMBER, "lon": NUMBER}),
        "radius_m": NUMBER,
        "note": nullable(STRING),
        "until": TIME,
        "reported_at": TIME,
    }
)
_CASE = record(
    {
        "delivery_point_id": STRING,
        "site": nullable(STRING),
        "state": {"enum": ["open", "decided"]},
        "reason": {"type": "string", "description": "The carrier's; `unserved` while only the customer has spoken."},
        "asked_by": {"type": "string", "description": "Who opened the case: device, customer, adviser, supervisor …"},
        "note": nullable(STRING),
        "opened_at": TIME,
        "answer_due_at": TIME,
        "mail_waits_at": nullable(STRING),
        "mail_waits_until": nullable(DAY),
        "decision": nullable({"enum": ["served_again", "box_to_move", "held_at_office", "not_served"]}),
        "answer": nullable(STRING),
        "decided_at": nullable(TIME),
        "until": nullable(DAY),
    }
)

HAZARDS: Table = {
    ("GET", "/v1/hazards"): Operation(
        "supervision",
        "Liste les dangers d'un établissement, du plus récent au plus ancien, page par page.",
        one(200, "A page of hazards.", record({"hazards": array(_HAZARD)}, _CURSOR)),
        security=PERSON,
        faults=_FAULTS,
        parameters=(
            _SITE,
            parameter("query", "state", "Without those that have ended, or all.", {"enum": ["live", "all"]}),
            CURSOR,
            limit(),
        ),
        description=(
            "A supervisor confirms with `hazard.confirmed` and ends with `hazard.ended`, through `POST /v1/events`. A confirmed "
            "one is on every sheet whose line crosses its circle, until its `until`."
        ),
    ),
    ("GET", "/v1/access-cases"): Operation(
        "supervision",
        "Liste les boîtes d'un établissement qui ne peuvent pas être desservies, page par page.",
        one(200, "A page of cases.", record({"access_cases": array(_CASE)}, _CURSOR)),
        security=PERSON,
        faults=_FAULTS,
        parameters=(
            _SITE,
            parameter("query", "state", "Only those that nobody has decided, or all.", {"enum": ["open", "all"]}),
            CURSOR,
            limit(),
        ),
        description=(
            "One case a delivery point. A person closes it with `access.decided`, through `POST /v1/events`; without one by "
            "`answer_due_at` an alert is raised."
        ),
    ),
}
