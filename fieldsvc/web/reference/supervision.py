"""The routes of supervisors, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.web.looks import ReasonRequired
from fieldsvc.web.reference.bodies import ANY, DAY, INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.mirror import REASON
from fieldsvc.web.reference.operation import CURSOR, PERSON, Answer, Operation, Table, limit, one, parameter
from fieldsvc.web.reference.schemas import Schema

_STATUS = {
    "enum": ["on_round", "at_stop", "off_round", "unknown", "paused"],
    "description": "Off the round and unknown: the place is the last one on the line.",
}
_LIVE_RUN = record(
    {
        "run_id": STRING,
        "round_id": STRING,
        "carrier": nullable(STRING),
        "lon": NUMBER,
        "lat": NUMBER,
        "distance_along_m": {**nullable(NUMBER), "description": "Null before the first fix: the start of the line."},
        "status": _STATUS,
        "seen_at": {**nullable(TIME), "description": "The newest fix."},
    }
)
_ALERT = record(
    {
        "id": STRING,
        "kind": STRING,
        "run_id": nullable(STRING),
        "raised_at": TIME,
        "acknowledged_at": nullable(TIME),
    }
)
_SNAPSHOT = record({"t": TIME, "runs": array(_LIVE_RUN)})
_DELTA = record(
    {
        "t": TIME,
        "m": {**array(array({})), "description": "Moved: [run_id, lon, lat, distance_along_m, status]; seen at `t`."},
        "x": {**array(STRING), "description": "Gone: ended, off duty, or out of the box."},
        "a": {**array(_ALERT), "description": "Alarms that were raised or taken."},
    },
    {
        "n": {**array(_LIVE_RUN), "description": "New, or with another carrier: whole as in the snapshot."},
        "s": {**ANY, "description": "Of runs in `m` whose newest fix is older than 30 s at `t`: when it was, or null."},
    },
)
_RUNS = record(
    {
        "runs": array(
            record(
                {
                    "run_id": STRING,
                    "round_id": STRING,
                    "name": nullable(STRING),
                    "site": STRING,
                    "mode": nullable(STRING),
                    "carrier": nullable(STRING),
                    "state": STRING,
                    "state_at": nullable(TIME),
                    "length_m": nullable(NUMBER),
                    "stops": INTEGER,
                    "tasks": record({"total": INTEGER, "done": INTEGER, "overdue": INTEGER}),
                    "distance_along_m": nullable(NUMBER),
                    "status": nullable(_STATUS),
                    "seen_at": nullable(TIME),
                },
                {
                    "mismatch": {
                        **record({"round_id": STRING, "since": TIME}),
                        "description": "There when the run seems to be on another round than its own.",
                    },
                    "risk": {
                        "enum": ["uncovered", "late_start", "run_not_served"],
                        "description": "There while the work of the run is in danger, and why.",
                    },
                },
            )
        )
    },
    {"cursor": {"type": "string", "description": "There when more follow."}},
)
_REPLAY = record(
    {
        "run_id": STRING,
        "round_id": STRING,
        "day": DAY,
        "carrier": nullable(STRING),
        "mode": nullable(STRING),
        "length_m": nullable(NUMBER),
        "points": array(
            record(
                {
                    "at": TIME,
                    "distance_along_m": nullable(NUMBER),
                    "status": STRING,
                    "lon": nullable(NUMBER),
                    "lat": nullable(NUMBER),
                    "received_at": {**TIME, "description": "Later than `at` when the phone had no network."},
                }
            )
        ),
    }
)
_EXPECTED = {
    **nullable(TIME),
    "description": "The median; the truth is before `eta_early_at` or behind `eta_late_at` once in ten each.",
}
_STOPS = record(
    {
        "run_id": STRING,
        "round_id": STRING,
        "state": STRING,
        "at": {**TIME, "description": "The moment of the forecast."},
        "seen_at": nullable(TIME),
        "distance_along_m": nullable(NUMBER),
        "status": nullable(_STATUS),
        "end_eta_at": _EXPECTED,
        "end_early_at": nullable(TIME),
        "end_late_at": nullable(TIME),
        "skipped_candidates": {**INTEGER, "description": "Stops that may have been skipped; candidates, no facts."},
        "skipped_with_open_tasks": {**INTEGER, "description": "How many of them still have an open task."},
        "stops": array(
            record(
                {
                    "stop_id": STRING,
                    "sequence": INTEGER,
                    "address": nullable(STRING),
                    "state": {
                        "enum": ["served", "passed", "ahead", "not_reached"],
                        "description": "Served: a stay or an event; passed: walked past without either.",
                    },
                    "arrived_at": nullable(TIME),
                    "departed_at": nullable(TIME),
                    "passed_at": nullable(TIME),
                    "open_tasks": INTEGER,
                    "eta_at": _EXPECTED,
                    "eta_early_at": nullable(TIME),
                    "eta_late_at": nullable(TIME),
                },
                {
                    "stop_range": {**array(STRING), "description": "First and last stop that the stay may belong to."},
                    "out_of_order": {"type": "boolean"},
                    "skipped_candidate": {"type": "boolean"},
                    "window_until": {**TIME, "description": "The narrowest window of the stop's open tasks."},
                    "late": {**nullable(STRING), "description": "`likely` or `possible`: that window will be missed."},
                },
            )
        ),
    }
)


def _written(schema: Schema) -> str:
    """Name the members of an object with what is to be known of them."""
    described = ((name, each.get("description")) for name, each in schema["properties"].items())
    return ", ".join(f"`{name}`" + (f" ({words.rstrip('.')})" if words else "") for name, words in described)


_GEOJSON, _EVENTS = "application/geo+json", "text/event-stream"
_SITE = parameter("query", "site", "A site; a supervisor has only their own, which is the default. Operators: all.")
_PERSON = (e.Unauthorized, e.NotFound)
_TAGGED = {"ETag": "The version."}
_IF_NONE_MATCH = parameter("header", "If-None-Match", "The version that the caller has.")

SUPERVISION: Table = {
    ("GET", "/v1/live"): Operation(
        "supervision",
        "Diffuse où sont les tournées d'un établissement : un état complet, puis chaque seconde ce qui change.",
        {200: Answer("Server-sent events: `snapshot`, then `delta`.", {_EVENTS: STRING})},
        security=PERSON,
        faults=(e.BadRequest, *_PERSON, e.TooMany, e.Unavailable),
        parameters=(
            _SITE,
            parameter("query", "bbox", "Least longitude, least latitude, greatest longitude, greatest latitude."),
            parameter("query", "last_event_id", "As Last-Event-ID, for readers that cannot set a header."),
            parameter("header", "Last-Event-ID", "The id of the last event seen: resumes behind it without a gap."),
        ),
        description=(
            "An id is `epoch-seq`. One that this process cannot resume from gets a fresh snapshot, never a gap. Runs "
            "that are off duty, ended or in mandate are absent. Open alarms follow the snapshot as a delta. Data of a "
            "snapshot: " + _written(_SNAPSHOT) + "; of a delta: " + _written(_DELTA) + "."
        ),
    ),
    ("GET", "/v1/runs"): Operation(
        "supervision",
        "Liste les tournées d'un jour, leur travail et où elles en sont, page par page.",
        one(200, "A page of runs.", _RUNS),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, *_PERSON),
        parameters=(_SITE, parameter("query", "day", "A local day; today by default.", DAY), REASON, CURSOR, limit()),
    ),
    ("GET", "/v1/rounds"): Operation(
        "supervision",
        "Donne les lignes des tournées d'un établissement, en GeoJSON.",
        {200: Answer("LineStrings.", {_GEOJSON: ANY}, _TAGGED), 304: Answer("The caller has it.", headers=_TAGGED)},
        security=PERSON,
        faults=_PERSON,
        parameters=(_SITE, _IF_NONE_MATCH),
    ),
    ("GET", "/v1/rounds/{id}"): Operation(
        "supervision",
        "Donne la ligne et les points d'une tournée, en GeoJSON.",
        {
            200: Answer("A LineString and Points.", {_GEOJSON: ANY}, _TAGGED),
            304: Answer("The caller has it.", headers=_TAGGED),
        },
        security=PERSON,
        faults=_PERSON,
        parameters=(_IF_NONE_MATCH,),
        path={"id": "The round."},
    ),
    ("GET", "/v1/runs/{id}/replay"): Operation(
        "supervision",
        "Raconte une tournée le long de sa ligne, avec ce qui est arrivé tard et quand.",
        one(200, "The way of the run.", _REPLAY),
        security=PERSON,
        faults=(ReasonRequired, *_PERSON),
        parameters=(_SITE, REASON),
        path={"id": "The run."},
    ),
    ("GET", "/v1/runs/{id}/stops"): Operation(
        "supervision",
        "Dit quand une tournée est passée à chaque point, et quand elle est attendue aux autres.",
        one(200, "The stops in planned order.", _STOPS),
        security=PERSON,
        faults=(ReasonRequired, *_PERSON),
        parameters=(_SITE, REASON),
        path={"id": "The run."},
        description=(
            "Computed from the run's progress when asked, and kept nowhere. An estimate is given only on duty and before "
            "the start, as an interval that holds the truth eight times in ten."
        ),
    ),
}

LIVE = (_SNAPSHOT, _DELTA)  # what the stream of `/v1/live` carries
