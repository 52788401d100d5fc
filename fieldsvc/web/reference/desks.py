"""The routes of duty desks, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.web.desks import DeskBody
from fieldsvc.web.reference.bodies import STRING, array, nullable, record
from fieldsvc.web.reference.operation import ACTING, JSON, PERSON, Answer, Operation, Table, one, parameter
from fieldsvc.work.desks import BadHours

_DESK = record(
    {
        "site": {**STRING, "description": "* = of all sites."},
        "name": STRING,
        "contact": nullable(record({}, {"email": STRING, "mobile": STRING})),
        "hours": {**STRING, "description": "mon-fri 08:00-18:00, sat 08:00-12:00; or always."},
        "zone": STRING,
    }
)
_SITE = parameter("query", "site", "A site; a supervisor has only their own. Operators: without it, of all sites.")
_NAME = {"name": "The desk."}

DESKS: Table = {
    ("GET", "/v1/desks"): Operation(
        "alerts",
        "Liste les permanences d'un établissement, avec celles de tous.",
        one(200, "The desks.", record({"desks": array(_DESK)})),
        security=PERSON,
        faults=(e.Unauthorized, e.NotFound),
        parameters=(_SITE,),
        description="The last rung of every ladder. Timed work is booked only where a desk is open at its hour.",
    ),
    ("PUT", "/v1/desks/{name}"): Operation(
        "alerts",
        "Définit une permanence d'un établissement, ou de tous.",
        one(200, "The desk.", _DESK),
        security=ACTING,
        faults=(
            *(e.BadRequest, e.TooLarge, e.Unauthorized, BadCsrf, e.NotFound, e.UnsupportedMedia, e.Invalid),
            BadHours,
        ),
        body={JSON: DeskBody},
        parameters=(_SITE,),
        path=_NAME,
    ),
    ("DELETE", "/v1/desks/{name}"): Operation(
        "alerts",
        "Supprime une permanence.",
        {204: Answer("Done.")},
        security=ACTING,
        faults=(e.Unauthorized, BadCsrf, e.NotFound),
        parameters=(_SITE,),
        path=_NAME,
    ),
}
