"""The routes of planned days, for the table of routes: the roster, changes of the day, and the list of tasks."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.web.looks import ReasonRequired
from fieldsvc.web.reference.bodies import DAY, INTEGER, STRING, array, nullable, record
from fieldsvc.web.reference.mirror import REASON
from fieldsvc.web.reference.operation import (
    ACTING,
    CURSOR,
    JSON,
    KEY,
    PERSON,
    Fault,
    Operation,
    Table,
    limit,
    one,
    parameter,
)
from fieldsvc.web.reference.schemas import ref
from fieldsvc.work import errors as w
from fieldsvc.work.imports import ABSENCES
from fieldsvc.work.roster import RosterBody
from fieldsvc.work.run_changes import HandOver, Reassign, Split

_PERSON: tuple[Fault, ...] = (e.Unauthorized, e.NotFound)
_CHANGE: tuple[Fault, ...] = (
    *(e.BadRequest, e.TooLarge, *_PERSON, BadCsrf, e.UnsupportedMedia, e.Invalid, e.Unavailable, e.TooMany),
)
_MOVE: tuple[Fault, ...] = (*_CHANGE, w.BadMove, w.RunOver)
_SITE = parameter("query", "site", "A site; a supervisor has only their own, which is the default.")
_RUN = {"id": "The run: `run-<local date>-<round>`, of today or tomorrow."}
_ABSENCE = {"enum": list(ABSENCES)}
_CLOCK = {"type": "string", "description": "A local time: 07:30."}
_ROSTER = record(
    {
        "rows": array(
            record(
                {"day": DAY, "round_id": STRING, "carrier": nullable(STRING), "qualifications": array(STRING)},
                {
                    "starts_at": _CLOCK,
                    "absence": {**_ABSENCE, "description": "Why this carrier is away: nobody walks the round then."},
                },
            )
        )
    },
    {
        "cursor": {"type": "string", "description": "There when more follow."},
        "carriers": {
            **array(record({"site": STRING, "carrier": STRING, "qualifications": array(STRING)})),
            "description": "Whom the site knows; on the first page, as the two below.",
        },
        "absences": array(record({"site": STRING, "day": DAY, "carrier": STRING, "kind": _ABSENCE})),
        "usual_start": {**nullable(_CLOCK), "description": "Of the runs of the site, where a row says none."},
    },
)
_RUN_NOW = record({"run_id": STRING, "carrier": nullable(STRING), "state": STRING, "sheet_version": INTEGER})
_COUNTS = record({"items": INTEGER, "pouches": INTEGER, "keys": INTEGER})

ROSTER: Table = {
    ("GET", "/v1/roster"): Operation(
        "supervision",
        "Donne le tableau de service de quelques jours, page par page ; la première page dit aussi qui est absent et connu.",
        one(200, "A page of the roster.", _ROSTER),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, *_PERSON, w.BadRoster),
        parameters=(
            _SITE,
            parameter("query", "from", "The first local day; today by default.", DAY),
            parameter("query", "until", "The last local day; six days later by default, 92 at most.", DAY),
            REASON,
            CURSOR,
            limit(),
        ),
        description="A roster that begins before today is shown for a reason, which is noted.",
    ),
    ("PUT", "/v1/roster"): Operation(
        "supervision",
        "Change des lignes, absences, facteurs ou l'heure habituelle d'un établissement ; les tournées proches l'apprennent aussitôt.",
        one(200, "Taken over.", record({"rows": INTEGER, "told": INTEGER})),
        security=ACTING,
        faults=(*_CHANGE, w.BadRoster),
        body={JSON: RosterBody},
        parameters=(_SITE,),
        description="What is not named stays as it is. A row without `absence` says that its carrier is there.",
    ),
    ("POST", "/v1/runs/{id}/reassign"): Operation(
        "supervision",
        "Confie une tournée à un autre facteur de l'établissement ; son téléphone l'a à la requête suivante.",
        one(200, "The run.", _RUN_NOW),
        security=ACTING,
        faults=(*_MOVE, w.CarrierAway),
        body={JSON: Reassign},
        parameters=(_SITE,),
        path=_RUN,
    ),
    ("POST", "/v1/runs/{id}/split"): Operation(
        "supervision",
        "Donne une partie des points et leur travail, ou des missions choisies, à une autre tournée du même jour.",
        one(200, "Both runs, with the new versions of their sheets.", record({"giver": _RUN_NOW, "taker": _RUN_NOW})),
        security=ACTING,
        faults=(*_MOVE, w.NothingToMove),
        body={JSON: Split},
        parameters=(_SITE,),
        path=_RUN,
    ),
    ("POST", "/v1/runs/{id}/handover"): Operation(
        "supervision",
        "Note ce que celui qui remet un chargement a compté, et celui qui le reprend ; un écart est une alerte.",
        one(201, "Noted.", record({"given": _COUNTS, "taken": nullable(_COUNTS)})),
        security=ACTING,
        faults=(*_MOVE, w.CarrierAway),
        body={JSON: HandOver},
        parameters=(_SITE,),
        path=_RUN,
        description="The taker's phone may say its side itself: `run.taken_over`. A side that is not said within 30 minutes alerts.",
    ),
    ("GET", "/v1/tasks"): Operation(
        "tasks",
        "Liste les missions de l'appelant, le jour le plus récent d'abord, page par page.",
        one(200, "A page of tasks.", record({"tasks": array(ref("Task"))}, {"cursor": STRING})),
        security=(*KEY, *PERSON),
        faults=(e.BadRequest, e.Unauthorized, e.Revoked, e.NotFound),
        parameters=(
            parameter("query", "on", "Only tasks of this local day.", DAY),
            parameter("query", "state", "Only these.", {"enum": ["planned", "done", "cancelled", "expired"]}),
            parameter("query", "service", "Only of this service."),
            CURSOR,
            limit(),
        ),
    ),
}
