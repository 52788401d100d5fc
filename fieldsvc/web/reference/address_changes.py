"""The routes of those who judge address changes, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.web.reference.bodies import ANY, BOOLEAN, DAY, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import ACTING, CURSOR, JSON, PERSON, Operation, Table, limit, one, parameter
from fieldsvc.work.address_reports import STATES, BadJudgement, DecidedMeanwhile, PlaceNeeded, ReportWithdrawn

_REPORT = record(
    {
        "report_id": STRING,
        "delivery_point_id": STRING,
        "reported_at": TIME,
        "state": {"enum": list(STATES)},
        "change": STRING,
        "class": nullable(STRING),
        "confidence": {"enum": ["seen", "told", "guessed"]},
        "effective_on": nullable(DAY),
        "decided_by": nullable(STRING),
        "decided_at": nullable(TIME),
        "before": record(
            {"address": {}, "planned_address": nullable(STRING), "round_id": nullable(STRING), "stop_id": nullable(STRING)}
        ),
        "after": record({"address": {}, "placement": nullable(ANY)}),
        "addressee": {},
        "evidence": {},
        "note": nullable(STRING),
        "consent": nullable(ANY),
    },
    {"placed": BOOLEAN, "erased": BOOLEAN},
)  # fmt: skip
_REASON = {**STRING, "maxLength": 280}
_SEEN_AS = {"enum": [each for each in STATES if each != "withdrawn"]}
_PLACE = record(
    {"round_id": STRING, "lat": NUMBER, "lon": NUMBER},
    {"after_stop_id": STRING, "before_stop_id": STRING, "normalised": STRING},
)
_BODY = (e.BadRequest, e.TooLarge, e.UnsupportedMedia, e.Invalid, BadJudgement)
_FAULTS = (*_BODY, e.Unauthorized, BadCsrf, e.NotFound, ReportWithdrawn, DecidedMeanwhile)

ADDRESS_CHANGES: Table = {
    ("GET", "/v1/address-changes"): Operation(
        "supervision",
        "Liste les changements d'adresse signalés, du plus ancien au plus récent, avec l'avant et l'après.",
        one(200, "A page of reports.", record({"address_changes": array(_REPORT)}, {"cursor": STRING})),
        security=PERSON,
        faults=(e.BadRequest, e.Unauthorized, e.NotFound),
        parameters=(
            parameter("query", "site", "A site; whoever belongs to one has only their own."),
            parameter("query", "state", "Only these; `review` waits for a person.", {"enum": list(STATES)}),
            CURSOR,
            limit(),
        ),
    ),
    ("POST", "/v1/address-changes/{id}/confirm"): Operation(
        "supervision",
        "Confirme un changement : le point de remise change de tournée dans la même validation.",
        one(200, "The report; `placed` says whether the point has a place on a round by it.", _REPORT),
        security=ACTING,
        faults=(*_FAULTS, PlaceNeeded),
        body={JSON: record({}, {"reason": _REASON, "place": _PLACE, "seen_as": _SEEN_AS})},
        path={"id": "The report."},
        description="With `seen_as` a report that somebody else decided on since is left as it is. Without `place` the server's own proposal counts. A change of a later day moves the point on that day.",
    ),
    ("POST", "/v1/address-changes/{id}/reject"): Operation(
        "supervision",
        "Rejette un changement : ce qu'il avait déplacé revient à sa place.",
        one(200, "The report.", _REPORT),
        security=ACTING,
        faults=_FAULTS,
        body={JSON: record({}, {"reason": _REASON, "seen_as": _SEEN_AS})},
        path={"id": "The report."},
    ),
}
