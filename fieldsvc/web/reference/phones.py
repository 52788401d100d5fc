"""The routes of phone apps, of codes for phones, and of alarms, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.web.alerts import AlertSettled, Assigning, Taking
from fieldsvc.web.carrier import NewCode
from fieldsvc.web.looks import ReasonRequired
from fieldsvc.web.reference.bodies import ANY, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.mirror import REASON
from fieldsvc.web.reference.operation import (
    ACTING,
    CURSOR,
    DEVICE,
    JSON,
    PERSON,
    Answer,
    Fault,
    Operation,
    Table,
    limit,
    one,
    parameter,
)
from fieldsvc.web.reference.schemas import ref

_APP_FAULTS: tuple[Fault, ...] = (e.Unauthorized, e.Revoked, e.TooMany, e.Unavailable)
_TOKEN = {"token": "The device's token: these apps know no other credentials."}
_ALWAYS = (
    "With good credentials the answer is always 200: such an app keeps a queue and sends its head again on anything else. "
    "What cannot be taken is kept in quarantine by its shape, without its values; off duty nothing is stored. "
)
_OSMAND_FIELDS = (
    "`lat` and `lon` or `location=lat,lon`; `timestamp` in seconds, milliseconds, ISO 8601 or `yyyy-MM-dd HH:mm:ss`; `speed` "
    "in knots (`speed_mps`: m/s), `bearing`, `accuracy` in metres, `valid`, `mock`, `alarm`. `id` is ignored. An `alarm` "
    "becomes `alarm.raised`, on duty or not: sos, accident, assault, fall; a name that nobody knows is an sos, and a device's "
    "own trouble (a low battery, a speed) is none."
)
APPS: Table = {
    ("POST", "/owntracks"): Operation(
        "phone apps",
        "Prend ce qu'envoie OwnTracks, chiffré ou non ; répond par une liste vide.",
        {200: Answer("Taken: an empty list, also to an encrypted message.", {JSON: {**array(ANY), "maxItems": 0}})},
        security=DEVICE,
        faults=_APP_FAULTS,
        body={JSON: ANY},
        body_required=False,
        description=_ALWAYS + "One message or a list of up to 1,000. Only a `location` counts.",
    ),
    ("GET", "/osmand/{token}"): Operation(
        "phone apps",
        "Prend ce qu'envoie OsmAnd, Traccar Client ou un traceur du même genre ; ne répond rien.",
        {200: Answer("Taken.")},
        faults=_APP_FAULTS,
        path=_TOKEN,
        description=_ALWAYS + _OSMAND_FIELDS,
    ),
    ("POST", "/osmand/{token}"): Operation(
        "phone apps",
        "Prend ce qu'envoie OsmAnd, Traccar Client ou un traceur du même genre ; ne répond rien.",
        {200: Answer("Taken.")},
        faults=_APP_FAULTS,
        body={"application/x-www-form-urlencoded": ANY, JSON: ANY},
        body_required=False,
        path=_TOKEN,
        description=_ALWAYS + _OSMAND_FIELDS + " In JSON, `location` as Traccar Client from version 9 writes it.",
    ),
    ("POST", "/v1/devices/codes"): Operation(
        "devices",
        "Fait un code à usage unique pour le téléphone d'un facteur, en texte, en lien et en image à scanner.",
        one(
            201,
            "The code, once; the link carries it behind its `#`.",
            record({"code": STRING, "url": STRING, "qr_svg": STRING, "expires_at": TIME}),
        ),
        security=ACTING,
        faults=(e.BadRequest, e.TooLarge, e.Unauthorized, BadCsrf, e.NotFound, e.UnsupportedMedia, e.Invalid),
        body={JSON: NewCode},
    ),
}
_OWN_ALARM = record(
    {
        "id": STRING,
        "kind": STRING,
        "raised_at": TIME,
        "told": {**nullable(STRING), "description": "desk: nobody took it within a minute, so the duty desk was told."},
        "taken": nullable(record({"by": nullable(STRING), "role": nullable(STRING), "at": TIME})),
    }
)
_PERSON = record({"account_id": STRING, "name": STRING, "role": STRING, "site": nullable(STRING)})
_DESK = record({"to": STRING, "name": STRING, "site": {**STRING, "description": "`*`: all."}, "hours": STRING})
ALERTS: Table = {
    ("GET", "/v1/me/alarms"): Operation(
        "alerts",
        "Liste les dernières alarmes du facteur lui-même, avec qui les a prises.",
        one(200, "The newest alarms.", record({"alarms": array(_OWN_ALARM)})),
        security=DEVICE,
        faults=(e.Unauthorized, e.Revoked),
    ),
    ("GET", "/v1/alerts"): Operation(
        "alerts",
        "Liste les alarmes et les alertes, la plus récente d'abord ; les alarmes avec leur lieu.",
        one(200, "A page of alarms and alerts.", record({"alerts": array(ref("Alert"))}, {"cursor": STRING})),
        security=PERSON,
        faults=(e.BadRequest, ReasonRequired, e.Unauthorized, e.NotFound),
        parameters=(
            parameter("query", "site", "A site; a supervisor has only their own."),
            parameter(
                "query",
                "state",
                "open: nobody has it yet.",
                {"enum": ["open", "acknowledged", "settled", "all"], "default": "all"},
            ),
            parameter("query", "kind", "As the list shows it."),
            parameter("query", "level", "attention or urgent."),
            parameter("query", "run", "A run."),
            REASON,
            CURSOR,
            limit(),
        ),
        description="A page that shows something raised before today is noted with the reason that is given, without one once a "
        "person and day: open ones wait whatever their day. Those of a run of an earlier day need a reason, unless only open "
        "ones are asked for.",
    ),
    ("POST", "/v1/alerts/{id}/ack"): Operation(
        "alerts",
        "Prend une alarme ou une alerte en charge : le premier l'a.",
        one(200, "The alarm or alert, with who has it.", ref("Alert")),
        security=ACTING,
        faults=(
            *(e.BadRequest, e.TooLarge, e.Unauthorized, BadCsrf, e.NotFound, e.UnsupportedMedia, e.Invalid),
            *(e.Unavailable, e.TooMany),
        ),
        path={"id": "The alarm or alert."},
        body={JSON: Taking},
        body_required=False,
    ),
    ("POST", "/v1/alerts/{id}/assign"): Operation(
        "alerts",
        "Confie une alarme ou une alerte à un collègue ou à une permanence : elle reste ouverte, et on le leur dit.",
        one(200, "The alarm or alert, with who is to take it.", ref("Alert")),
        security=ACTING,
        faults=(
            *(
                e.BadRequest,
                e.TooLarge,
                e.Unauthorized,
                BadCsrf,
                e.NotFound,
                e.UnsupportedMedia,
                e.Invalid,
                AlertSettled,
            ),
            *(e.Unavailable, e.TooMany),
        ),
        path={"id": "The alarm or alert."},
        body={JSON: Assigning},
        description=(
            "Assigning acknowledges nothing: its ladder goes on until somebody takes it. Of several assignments the newest "
            "holds. Whoever is given it has a notice by the mail of their account, a desk by its contact."
        ),
    ),
    ("GET", "/v1/colleagues"): Operation(
        "alerts",
        "Liste les personnes et les permanences à qui une alerte d'un établissement peut être confiée.",
        one(200, "People and desks.", record({"people": array(_PERSON), "desks": array(_DESK)})),
        security=PERSON,
        faults=(e.Unauthorized, e.NotFound),
        parameters=(parameter("query", "site", "A site; a supervisor has only their own."),),
    ),
}
