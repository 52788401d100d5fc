"""The route of what delivery points are remembered by, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.web.reference.bodies import DAY, INTEGER, NUMBER, STRING, array, nullable, record
from fieldsvc.web.reference.operation import CURSOR, PERSON, Operation, Table, limit, one, parameter

_PLACE = record({"lat": NUMBER, "lon": NUMBER})
_LEARNED = record(
    {
        "lat": NUMBER,
        "lon": NUMBER,
        "radius_m": {**NUMBER, "description": "Nine times in ten the true place is within."},
        "proofs": {**INTEGER, "description": "Those that agree."},
        "sure": {"type": "boolean", "description": "Whether it is used instead of the plan."},
        "moved_on": {
            **nullable(DAY),
            "description": "The first day at another place than before; null once the plan says so.",
        },
    }
)
_POINTS = record(
    {
        "delivery_points": array(
            record(
                {
                    "delivery_point_id": STRING,
                    "round_id": STRING,
                    "stop_id": STRING,
                    "address": nullable(STRING),
                    "planned": record({"door": _PLACE, "box": nullable(_PLACE)}),
                    "learned": record({"door": nullable(_LEARNED), "box": nullable(_LEARNED)}),
                    "last_served_on": DAY,
                    "flags": array({"enum": ["moved", "unserved"]}),
                    "access_case": {
                        **nullable({"enum": ["open", "decided"]}),
                        "description": "Whether somebody said that it cannot be served; `GET /v1/access-cases` tells more.",
                    },
                }
            )
        )
    },
    {"cursor": {"type": "string", "description": "There when more may follow."}},
)

DELIVERY_POINTS: Table = {
    ("GET", "/v1/delivery-points"): Operation(
        "supervision",
        "Liste ce que les preuves ont appris des points de remise, page par page.",
        one(200, "A page of delivery points; with a flag it may be short, and more may follow all the same.", _POINTS),
        security=PERSON,
        faults=(e.BadRequest, e.Unauthorized, e.NotFound),
        parameters=(
            parameter(
                "query", "site", "A site; a supervisor has only their own, which is the default. Operators: all."
            ),
            parameter("query", "flag", "Only these.", {"enum": ["moved", "unserved"]}),
            CURSOR,
            limit(),
        ),
        description="Learned from scans and named stops with a good fix, by day, and from nothing that names a carrier.",
    ),
}
