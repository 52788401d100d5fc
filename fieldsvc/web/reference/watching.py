"""The routes of supervisors' screens beside the map: what happened, what is asked for, who is not back, and how it goes."""

from fieldsvc import errors as e
from fieldsvc.web.looks import ReasonRequired
from fieldsvc.web.reference.bodies import BOOLEAN, DAY, INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.mirror import REASON
from fieldsvc.web.reference.operation import CURSOR, PERSON, Operation, Table, limit, one, parameter
from fieldsvc.web.reference.schemas import ref

_SITE = parameter("query", "site", "A site; a supervisor has only their own, which is the default. Operators: all.")
_PERSON = (e.Unauthorized, e.NotFound)
_WORDS = ref("Title")
_ENTRY = record(
    {
        "event_id": {**STRING, "description": "Of the public event."},
        "at": {**TIME, "description": "When it happened."},
        "received_at": TIME,
        "late": {**BOOLEAN, "description": "Received more than two minutes after it happened."},
        "type": {**STRING, "description": "The public type; of discreet services `timed_task`."},
        "title": _WORDS,
        "service": STRING,
        "subject": {**nullable(STRING), "description": "Null for a timed task, as all that follows from it."},
        "stop_id": {**nullable(STRING), "description": "Where it was said, scanned, or at whose door it was."},
        "address": nullable(STRING),
        "by": {**STRING, "description": "device, supervisor, subscriber, server …"},
        "paper": {**BOOLEAN, "description": "Entered later, from paper."},
        "state": {
            "enum": ["said", "superseded", "corrected"],
            "description": "Superseded: a later entry says it anew. Corrected: somebody said that it was not so.",
        },
        "proof": nullable(record({"score": INTEGER, "words": _WORDS})),
        "pictures": {**array(STRING), "description": "The SHA-256 of those that are there: GET /v1/media/{sha256}."},
        "proof_url": nullable(STRING),
        "warnings": {**array(STRING), "description": "clock_suspect, proof_pending, chain_…"},
    },
    {
        "text": {
            **nullable(STRING),
            "description": "Of an instruction of today's run alone: its words as they stand; null where they were taken back or erased.",
        },
    },
)
_CUT_OFF = {
    **record({"until": {"enum": ["loaded", "near"]}}, {"stops": INTEGER}),
    "description": "Until it is taken out, or until the carrier is so many stops away; null once that is over.",
}
_REQUEST = record(
    {
        "request_id": STRING,
        "kind": STRING,
        "title": _WORDS,
        "state": STRING,
        "subject": STRING,
        "stop_id": nullable(STRING),
        "address": nullable(STRING),
        "what": {**_WORDS, "description": "What it asks of the carrier, without names and places."},
        "asked_at": TIME,
        "from": nullable(DAY),
        "to": nullable(DAY),
        "cut_off": nullable(_CUT_OFF),
        "can": {
            **array({"enum": ["cancel", "reverse", "stop"]}),
            "description": "What the caller may do: POST …/cancel for the first two, POST …/stop.",
        },
    }
)
_COUNTS = dict.fromkeys(("planned", "uncovered", "started", "paused", "ended", "not_served"), INTEGER)
_SEEN = dict.fromkeys(("on", "lost", "off", "vague", "paused"), INTEGER)
_SITE_COUNTS = record(
    {
        "site": STRING,
        "lon": {**nullable(NUMBER), "description": "The middle of its rounds; null where it has none."},
        "lat": nullable(NUMBER),
        "runs": {**record({"all": INTEGER, **_COUNTS}), "description": "Each run of today is counted once."},
        "live": {**record(_SEEN), "description": "Of those on duty; lost: no signal for 15 minutes."},
        "alerts": {
            **record({"open": INTEGER, "urgent": INTEGER}),
            "description": "Alarms and alerts nobody has taken.",
        },
        "tasks": record({"all": INTEGER, "done": INTEGER, "overdue": INTEGER}),
    }
)
_LEFT = record(
    {
        "task_id": STRING,
        "service": {**STRING, "description": "Of discreet services `timed_task`."},
        "stop_id": nullable(STRING),
        "address": nullable(STRING),
        "window": nullable(record({"from": nullable(TIME), "until": nullable(TIME)})),
        "overdue": BOOLEAN,
    }
)
_OUT = record(
    {
        "run_id": STRING,
        "round_id": STRING,
        "name": nullable(STRING),
        "carrier": nullable(STRING),
        "state": {"enum": ["started", "paused"]},
        "status": nullable(STRING),
        "seen_at": nullable(TIME),
        "expected_end_at": {**nullable(TIME), "description": "The median of a forecast of half a minute ago at most."},
        "expected_early_at": {**nullable(TIME), "description": "Before it once in ten."},
        "expected_late_at": {**nullable(TIME), "description": "Behind it once in ten."},
        "ends_at": {**nullable(TIME), "description": "The end of the hours of duty; null where there are none."},
        "stops_left": INTEGER,
        "tasks_left": array(_LEFT),
        "things_out": {**INTEGER, "description": "Registered items, pouches and keys in the carrier's hands."},
    }
)
_HEALTH = record(
    {
        "at": TIME,
        "ingest": record(
            {
                "last_event_at": nullable(TIME),
                "accepted_5_min": INTEGER,
                "late_5_min": {**INTEGER, "description": "Received more than two minutes after it happened."},
                "quarantined_today": INTEGER,
            }
        ),
        "sites": array(
            record(
                {
                    "site": STRING,
                    "on_duty": INTEGER,
                    "silent": {**INTEGER, "description": "Of those, without a signal for 15 minutes."},
                    "oldest_heard_at": {**nullable(TIME), "description": "Of those on duty and not paused."},
                    "late_today": INTEGER,
                    "longest_late_s": INTEGER,
                }
            )
        ),
    },
    {
        "endpoints": {
            **array(
                record(
                    {
                        "endpoint_id": STRING,
                        "account": STRING,
                        "state": {"enum": ["paused", "disabled", "open", "failing"]},
                        "since": nullable(TIME),
                        "why": nullable(STRING),
                        "backlog": INTEGER,
                    }
                )
            ),
            "description": "For operators of every site: those that somebody should look at, the longest first.",
        }
    },
)

WATCHING: Table = {
    ("GET", "/v1/runs/{id}/timeline"): Operation(
        "supervision",
        "Raconte ce qui s'est passé pendant une tournée, du plus ancien au plus récent, page par page.",
        one(
            200,
            "A page of what happened.",
            record(
                {"run_id": STRING, "entries": array(_ENTRY)},
                {"cursor": {**STRING, "description": "There when more follow."}},
            ),
        ),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, *_PERSON),
        parameters=(_SITE, REASON, CURSOR, limit()),
        path={"id": "The run."},
        description=(
            "What was received up to thirty days after the day of the run. What is superseded or corrected stays in the "
            "list, marked. Nothing of anybody's own is in it but the words of today's instructions. Of a run of an earlier day the look needs a reason, and is noted."
        ),
    ),
    ("GET", "/v1/runs/{id}/requests"): Operation(
        "supervision",
        "Liste les demandes en cours sur la feuille d'une tournée, ou sur ses portes et ses objets.",
        one(200, "The requests, oldest first.", record({"requests": array(_REQUEST)})),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, *_PERSON),
        parameters=(_SITE, REASON),
        path={"id": "The run."},
        description="Whether one is accepted follows by rule from who asked: a supervisor ends or stops it. Of a run of an earlier "
        "day the look needs a reason, and is noted.",
    ),
    ("GET", "/v1/runs/not-back"): Operation(
        "supervision",
        "Liste les tournées du jour commencées et non terminées, avec ce qu'il en reste.",
        one(
            200,
            "Who is not back, in the order of the runs' ids.",
            record(
                {"at": TIME, "runs": array(_OUT)},
                {"cursor": {**STRING, "description": "There when more follow."}},
            ),
        ),
        security=PERSON,
        faults=(e.BadRequest, *_PERSON),
        parameters=(_SITE, CURSOR, limit()),
        description="A page has 100 runs at most. Nobody's return is forecast off duty.",
    ),
    ("GET", "/v1/overview"): Operation(
        "supervision",
        "Dit de chaque établissement combien de tournées sont dehors, vues, faites ou en difficulté.",
        one(200, "The sites.", record({"t": TIME, "sites": array(_SITE_COUNTS)})),
        security=PERSON,
        faults=_PERSON,
        parameters=(_SITE,),
        description="Five seconds old at most.",
    ),
    ("GET", "/v1/supervision/health"): Operation(
        "supervision",
        "Dit comment les événements arrivent, par établissement ; à l'exploitant, quels abonnés ne répondent pas.",
        one(200, "How it goes.", _HEALTH),
        security=PERSON,
        faults=_PERSON,
        parameters=(_SITE,),
        description="Of the sites that are the caller's. Counted by site alone; ten seconds old at most. After a start of the "
        "service what came before it today is counted within minutes.",
    ),
}
