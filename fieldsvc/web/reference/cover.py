"""The routes of cover, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.web.reference.bodies import BOOLEAN, DAY, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import ACTING, JSON, Operation, Table, one
from fieldsvc.work.cover import BadCover, NothingUncovered, ProposalConfirmed, ProposalStale

_WINDOW = nullable(record({"from": TIME, "until": TIME}))
_CRITICAL = record(
    {
        "task_id": STRING,
        "window": _WINDOW,
        "expected_at": {
            **nullable(TIME),
            "description": "Null where it is not expected within the window, or has none.",
        },
        "in_time": BOOLEAN,
    },
    {"carrier": {"enum": ["usual", "substitute"], "description": "Of visits: whom the visited person will see."}},
)
_PIECE = record(
    {
        "run_id": STRING,
        "from_stop": STRING,
        "to_stop": STRING,
        "stop_ids": {**array(STRING), "description": "Empty: only the tasks of that stop."},
        "to_run": STRING,
        "carrier": nullable(STRING),
        "before_stop": {**nullable(STRING), "description": "The own stop before which it comes; null: after the last."},
        "starts_at": TIME,
        "minutes": {**NUMBER, "description": "To walk there, serve, and come back."},
        "tasks": array(STRING),
        "critical": array(_CRITICAL),
        "known_face": BOOLEAN,
        "qualifications_ok": BOOLEAN,
    }
)
_UNDONE = record(
    {
        "run_id": STRING,
        "stops": array(STRING),
        "tasks": array(STRING),
        "windows": array(record({"task_id": STRING, "from": TIME, "until": TIME})),
        "reason": {
            "enum": ["no_time_left", "nobody_qualified", "window_missed", "no_stop"],
            "description": "`window_missed`: somebody comes, but not in time; `no_stop`: the task has no place on the round.",
        },
    }
)
_PROPOSAL = record(
    {
        "proposal_id": STRING,
        "site": STRING,
        "day": DAY,
        "pieces": array(_PIECE),
        "undone": array(_UNDONE),
        "minutes_by_run": {
            "type": "object",
            "additionalProperties": record({"own": NUMBER, "added": NUMBER, "overtime": NUMBER}),
        },
        "begun": {
            **array(STRING),
            "description": "Runs of absent carriers that are under way: for these nothing is proposed.",
        },
        "method": {"enum": ["optimal", "time_limit", "greedy"]},
        "solved_in_s": NUMBER,
    }
)
_CONFIRMED = record(
    {
        "proposal_id": STRING,
        "covered": {**array(STRING), "description": "Runs of which nothing is left."},
        "not_served": {**array(STRING), "description": "Runs of which something is left undone."},
        "pieces": {"type": "integer"},
        "undone": array(_UNDONE),
    }
)
_ASKED = record(
    {"day": DAY},
    {
        "site": {**STRING, "description": "Of an operator; a supervisor's own by itself."},
        "absent": {**array(STRING), "description": "Carriers who will be away beside those of the roster."},
        "working_time_h": {**NUMBER, "minimum": 1, "maximum": 12, "default": 8},
    },
)

COVER: Table = {
    ("POST", "/v1/cover/proposals"): Operation(
        "supervision",
        "Propose qui fait quoi des tournées à découvert d'un jour ; rien n'est dit avant la confirmation.",
        one(200, "Pieces of uncovered runs for other runs, and what stays undone.", _PROPOSAL),
        security=ACTING,
        faults=(
            *(e.BadRequest, e.TooLarge, e.UnsupportedMedia, e.Invalid, BadCover),
            *(e.Unauthorized, BadCsrf, e.NotFound, NothingUncovered),
        ),
        body={JSON: _ASKED},
        description=(
            "A mixed-integer program over blocks of stops, from a greedy plan on, within five seconds. Minutes are about runs;"
            " nothing is kept about carriers."
        ),
    ),
    ("POST", "/v1/cover/proposals/{id}/confirm"): Operation(
        "supervision",
        "Confirme une proposition : les arrêts changent de feuille, les tournées sont couvertes, le reste est annoncé.",
        one(200, "What was told.", _CONFIRMED),
        security=ACTING,
        faults=(e.Unauthorized, BadCsrf, e.NotFound, ProposalStale, ProposalConfirmed),
        path={"id": "The proposal."},
        description="409 `proposal_stale` says in `changed` what is different of which run since the proposal.",
    ),
}
