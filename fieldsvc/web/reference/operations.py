"""One entry for each route, keyed (method, path): what the docstring of its view does not say. A test holds it to the router."""

from collections.abc import Mapping

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCode, BadCsrf, TooManyTries
from fieldsvc.publishing.feed import BadCursor, BadPlace, CursorExpired
from fieldsvc.web.auth import CSRF_HEADER
from fieldsvc.web.reference.address_changes import ADDRESS_CHANGES
from fieldsvc.web.reference.bodies import ANY, INTEGER, STRING, array, record
from fieldsvc.web.reference.cover import COVER
from fieldsvc.web.reference.delivery_changes import DELIVERY_CHANGES
from fieldsvc.web.reference.delivery_points import DELIVERY_POINTS
from fieldsvc.web.reference.desks import DESKS
from fieldsvc.web.reference.discretion import DISCRETION
from fieldsvc.web.reference.endpoints import ENDPOINTS
from fieldsvc.web.reference.hazards import HAZARDS
from fieldsvc.web.reference.media import MEDIA
from fieldsvc.web.reference.mirror import MIRROR
from fieldsvc.web.reference.operation import (
    ACTING,
    BATCH,
    CURSOR,
    DEVICE,
    EVENT,
    HTML,
    JSON,
    KEY,
    PERSON,
    Answer,
    Fault,
    Operation,
    Table,
    limit,
    one,
    parameter,
)
from fieldsvc.web.reference.phones import ALERTS, APPS
from fieldsvc.web.reference.positions import FIXES, TAKEN
from fieldsvc.web.reference.relays import RELAYS
from fieldsvc.web.reference.replays import REPLAYS
from fieldsvc.web.reference.reports import REPORTS
from fieldsvc.web.reference.roster import ROSTER
from fieldsvc.web.reference.schemas import Schema, ref
from fieldsvc.web.reference.sheets import SHEETS
from fieldsvc.web.reference.supervision import SUPERVISION
from fieldsvc.web.reference.watching import WATCHING
from fieldsvc.web.tasks import KEY_HEADER
from fieldsvc.work import errors as w
from fieldsvc.work.booking import NoDeskOpen
from fieldsvc.work.pilots import ServiceNotEnabled
from fieldsvc.work.task_body import TaskBody

_AUTH: tuple[Fault, ...] = (e.Unauthorized, e.Revoked)
_TASK: tuple[Fault, ...] = (*_AUTH, e.NotFound)
_BODY: tuple[Fault, ...] = (e.BadRequest, e.TooLarge, e.UnsupportedMedia)
_TASK_BODY: tuple[Fault, ...] = (
    *(*_BODY, e.Invalid, BadCsrf, w.BadTask, w.UnknownService, w.SubjectRequired, w.PlaceRequired),
    *((409, "subject_taken"), NoDeskOpen, ServiceNotEnabled, e.Unavailable, e.TooMany),
)


_IDEMPOTENCY = parameter(
    "header",
    KEY_HEADER,
    "1 to 255 printable characters; the same key and body within 24 hours get the first answer again.",
)
_CSRF_NOTE = f"A session needs its token in the header {CSRF_HEADER}; credentials in the header Authorization do not."
_TASK_ID = {"id": "The task."}
_NO_BODY = {204: Answer("Done.")}

_EVENTS: Table = {
    ("POST", "/v1/events"): Operation(
        "field events",
        "Prend un CloudEvent ou un lot ; répond par un reçu et un résultat pour chacun, dans l'ordre envoyé.",
        one(200, "One result for each member; a faulty member never fails the others.", ref("EventResults")),
        security=(*DEVICE, *KEY, *ACTING),
        faults=(
            e.NotJson, e.BadRequest, (400, "bad_body"), *_AUTH, BadCsrf, e.TooLarge, e.UnsupportedMedia, e.TooMany,
            e.Unavailable,
        ),
        body={
            EVENT: ref("FieldEvent"),
            BATCH: ref("FieldEventBatch"),
            JSON: {"anyOf": [ref("FieldEvent"), ref("FieldEventBatch")]},
        },
        parameters=(
            parameter(
                "header",
                "Fieldsvc-Sent-At",
                "The phone's clock at this very attempt, RFC 3339: what it is off by corrects the events' times.",
                {"type": "string", "format": "date-time"},
            ),
            parameter("header", "Content-Encoding", "gzip or deflate.", {"enum": ["gzip", "deflate"]}),
        ),
        description=(
            "At most 500 events and 1 MiB decoded. 400 `not_json` only when no event can be told apart. "
            "After 429 and 503 send the whole request again: what was committed answers `duplicate`. " + _CSRF_NOTE
        ),
    ),
}  # fmt: skip

_POSITIONS: Table = {
    ("POST", "/v1/positions"): Operation(
        "runs",
        "Prend jusqu'à 1 000 positions ; répond combien ont fini de quelle façon, une fois leur avancement validé.",
        one(200, "Each fix is counted once.", TAKEN),
        security=DEVICE,
        faults=(
            e.NotJson, e.BadRequest, (400, "bad_body"), *_AUTH, e.TooLarge, e.UnsupportedMedia, e.TooMany, e.Unavailable,
        ),
        body={JSON: FIXES},
        parameters=(
            parameter(
                "header",
                "Fieldsvc-Sent-At",
                "The phone's clock at this very attempt, RFC 3339: what it is off by corrects the fixes' times.",
                {"type": "string", "format": "date-time"},
            ),
            parameter("header", "Content-Encoding", "gzip or deflate.", {"enum": ["gzip", "deflate"]}),
        ),
        description="Asked for is one fix every 30 s in motion and every 5 minutes at rest; in any order, and any number of times. "
        "After 429 and 503 send the whole request again.",
    ),
}  # fmt: skip

_CARRIERS: Table = {
    ("POST", "/v1/devices/enrol"): Operation(
        "devices",
        "Change un code à usage unique en identifiants d'appareil, montrés cette seule fois.",
        one(201, "The credentials.", ref("DeviceCredentials")),
        faults=(*_BODY, e.Invalid, BadCode, TooManyTries),
        body={JSON: {**record({"code": STRING}), "additionalProperties": False}},
    ),
    ("GET", "/v1/runs/current"): Operation(
        "runs",
        "Nomme la tournée du jour.",
        one(200, "The run.", ref("Run")),
        security=DEVICE,
        faults=(*_AUTH, w.NoRunToday),
    ),
    ("GET", "/v1/services"): Operation(
        "runs",
        "Liste les services avec les schémas dont le téléphone tire ses formulaires.",
        one(200, "The services.", ref("Services")),
        security=DEVICE,
        faults=_AUTH,
    ),
    ("GET", "/v1/me/receipts"): Operation(
        "devices",
        "Parcourt les reçus signés de l'appareil, du plus ancien au plus récent.",
        one(200, "A page of receipts.", ref("Receipts")),
        security=DEVICE,
        faults=(e.BadRequest, *_AUTH),
        parameters=(CURSOR, limit()),
    ),
}

_TASKS: Table = {
    ("POST", "/v1/tasks"): Operation(
        "tasks",
        "Commande une mission ; avec une Idempotency-Key, une même requête a un seul effet et une seule réponse.",
        one(201, "The task.", ref("TaskChanged"), Location="The task."),
        security=(*KEY, *ACTING),
        faults=(*_AUTH, e.Forbidden, *_TASK_BODY, w.BadKey, w.KeyReused, w.KeyInUse),
        body={JSON: TaskBody},
        parameters=(_IDEMPOTENCY,),
        description="A key needs the scope `order:<service>`. " + _CSRF_NOTE,
    ),
    ("GET", "/v1/tasks/{id}"): Operation(
        "tasks",
        "Donne une mission de l'appelant.",
        one(200, "The task.", ref("Task")),
        security=(*KEY, *PERSON),
        faults=_TASK,
        path=_TASK_ID,
    ),
    ("PATCH", "/v1/tasks/{id}"): Operation(
        "tasks",
        "Modifie une mission que le facteur n'a pas vue.",
        one(200, "The task.", ref("TaskChanged")),
        security=(*KEY, *ACTING),
        faults=(*_TASK, *_TASK_BODY, w.TaskSeen, w.TaskClosed),
        body={JSON: ANY, "application/merge-patch+json": ANY},
        path=_TASK_ID,
        description="A merge patch of what was ordered: null removes; service, subject and person stay. " + _CSRF_NOTE,
    ),
    ("DELETE", "/v1/tasks/{id}"): Operation(
        "tasks",
        "Annule une mission que le facteur n'a pas vue.",
        _NO_BODY,
        security=(*KEY, *ACTING),
        faults=(*_TASK, BadCsrf, w.TaskSeen, w.TaskClosed, e.Unavailable, e.TooMany),
        path=_TASK_ID,
        description=_CSRF_NOTE,
    ),
}


_READING: Table = {
    ("GET", "/v1/feed"): Operation(
        "feed",
        "Lit les événements derrière un curseur : une page, au besoin en attendant, ou un flux.",
        {
            200: Answer(
                "A page, or a stream whose ids are cursors.", {JSON: ref("FeedPage"), "text/event-stream": STRING}
            )
        },
        security=KEY,
        faults=(e.BadRequest, BadCursor, BadPlace, *_AUTH, e.NotFound, CursorExpired),
        parameters=(
            parameter("query", "after", "The cursor; empty for the oldest event kept."),
            parameter(
                "query",
                "seek",
                "In the place of `after`: start at the first event recorded at or after this time (RFC 3339), or at this event "
                "(`evt_…`). A page then says as `from` the cursor just before it; a time to come is the end.",
            ),
            parameter("query", "types", "Type names, comma-separated, with `*` for a segment."),
            limit(),
            parameter(
                "query", "wait", "Seconds to wait for an event.", {**INTEGER, "minimum": 0, "maximum": 60, "default": 0}
            ),
            parameter("header", "Last-Event-ID", "The cursor, as a stream sends it again."),
        ),
        description="The same events, ids and order per subject as the webhooks. 410 names the `oldest` cursor there is.",
    ),
    ("GET", "/v1/events/{id}"): Operation(
        "feed",
        "Montre un événement public, réduit aux droits de l'appelant.",
        {200: Answer("The event.", {EVENT: ref("PublicEvent")})},
        security=KEY,
        faults=(*_AUTH, e.NotFound),
        path={"id": "The event's id: `evt_…`."},
    ),
}

_CATALOGUE: Table = {
    ("GET", "/v1/types"): Operation(
        "catalogue",
        "Liste les types qu'un abonné peut recevoir, avec schémas et exemples.",
        one(200, "The types.", ref("Types")),
    ),
    ("GET", "/openapi.json"): Operation("catalogue", "Donne le document OpenAPI.", one(200, "The document.", ANY)),
    ("GET", "/asyncapi.json"): Operation("catalogue", "Donne le document AsyncAPI.", one(200, "The document.", ANY)),
    ("GET", "/docs"): Operation(
        "catalogue",
        "Montre les routes et les types d'événements sur une page.",
        {200: Answer("The page.", {HTML: STRING})},
        parameters=(parameter("header", "Accept-Language", "French or English."),),
    ),
}

_OPERATOR: Table = {
    ("GET", "/healthz"): Operation("operator", "Répond tant que le processus vit.", one(200, "Alive.", ref("Health"))),
    ("GET", "/readyz"): Operation(
        "operator",
        "Répond 200 quand tout ce qu'il faut au travail est là, sinon 503 avec ce qui manque.",
        {**one(200, "Ready.", ref("Health")), **one(503, "Not ready.", ref("Health"))},
    ),
    ("GET", "/metrics"): Operation(
        "operator",
        "Montre les mesures de ce processus.",
        {200: Answer("OpenMetrics text.", {"application/openmetrics-text": STRING})},
    ),
}

_PAGE = {HTML: STRING}
_LINK = {"token": "The token of the link."}
_SIGNED_OUT = {303: Answer("Done; go on to `/signed-in`.", headers={"Location": "/signed-in"})}
_PEOPLE: Table = {
    ("GET", "/sign-in/{token}"): Operation(
        "people",
        "Montre le bouton d'un lien de connexion, sans l'user.",
        {200: Answer("The button.", _PAGE), 410: Answer("The link can no longer be used.", _PAGE)},
        path=_LINK,
    ),
    ("POST", "/sign-in/{token}"): Operation(
        "people",
        "Connecte : use le lien et pose les cookies de la session.",
        {**_SIGNED_OUT, 410: Answer("The link can no longer be used.", _PAGE)},
        faults=(e.Forbidden,),
        path=_LINK,
    ),
    ("GET", "/signed-in"): Operation(
        "people",
        "Dit qui est connecté.",
        {
            200: Answer("Who.", _PAGE),
            303: Answer("A customer has a page of their own.", headers={"Location": "/suivi/compte"}),
            401: Answer("Nobody.", _PAGE),
        },
        security=PERSON,
    ),
    ("POST", "/sign-out"): Operation(
        "people",
        "Termine la session ; le formulaire porte son jeton CSRF.",
        {**_SIGNED_OUT, 200: Answer("Done; a link ends the provider's session too.", _PAGE)},
        security=PERSON,
        faults=(e.Unauthorized, BadCsrf),
        body={"application/x-www-form-urlencoded": record({"csrf": STRING})},
    ),
}

TAGS: Mapping[str, str] = {
    "field events": "What phones send.",
    "phone apps": "OwnTracks, OsmAnd, Traccar Client.",
    "devices": "Phones: enrolment and receipts.",
    "alerts": "Who asks for help, and who has it.",
    "supervision": "Where runs are, how far their work is, and how they went.",
    "runs": "The run of the day, its sheet, and the services.",
    "tasks": "Planned work.",
    "delivery changes": "What customers ask for, until when, and what came of it.",
    "endpoints": "Webhooks of subscribers.",
    "feed": "The same events, pulled.",
    "catalogue": "What there is.",
    "operator": "Is it alive, what does it count.",
    "people": "Signing in and out.",
}
OPERATIONS: Table = {
    **_EVENTS,
    **RELAYS,
    **MEDIA,
    **_POSITIONS,
    **APPS,
    **_CARRIERS,
    **ALERTS,
    **DESKS,
    **SUPERVISION,
    **WATCHING,
    **REPORTS,
    **ADDRESS_CHANGES,
    **COVER,
    **DELIVERY_CHANGES,
    **DELIVERY_POINTS,
    **HAZARDS,
    **SHEETS,
    **ROSTER,
    **MIRROR,
    **_TASKS,
    **ENDPOINTS,
    **REPLAYS,
    **_READING,
    **_CATALOGUE,
    **DISCRETION,
    **_OPERATOR,
    **_PEOPLE,
}
BATCHES: Mapping[str, Schema] = {"FieldEventBatch": {**array(ref("FieldEvent")), "maxItems": 500}}
