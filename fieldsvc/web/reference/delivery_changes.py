"""The routes of delivery changes, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.requests import body as b
from fieldsvc.requests import errors as d
from fieldsvc.web.delivery_changes import TOKEN_HEADER
from fieldsvc.web.reference.bodies import DAY, INTEGER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import (
    ACTING,
    JSON,
    PERSON,
    Answer,
    Fault,
    Operation,
    Security,
    Table,
    one,
    parameter,
)
from fieldsvc.web.reference.schemas import Schema
from fieldsvc.web.tasks import KEY_HEADER
from fieldsvc.work import errors as w
from handlers.change_states import STATES
from handlers.products import KINDS

_WORDS = record({"fr": STRING, "en": STRING})
_STATE = {"enum": list(STATES), "description": "on_sheet: sent to the carrier, whose phone has not answered yet."}
_MEMBERS: dict[str, Schema] = {
    "request_id": {**STRING, "description": "The reference, which can be read aloud."},
    "kind": {"enum": list(KINDS)},
    "subject": STRING,
    "state": _STATE,
    "words": {**_WORDS, "description": "The state, and why, as a sentence."},
    "reason": {**nullable(STRING), "description": "Of a refusal, the rule."},
    "instead": {**nullable(STRING), "description": "What became of the item instead, as delivered:mailbox."},
    "conflicts_with": {**nullable(STRING), "description": "The reference of the request that is in the way."},
    "needs": {**nullable({"enum": ["identity", "code"]}), "description": "What it waits for from the customer."},
    "cutoff": {
        **record({"until": {"enum": ["loaded", "near"]}}, {"stops": INTEGER}),
        "description": "Until the item is taken out, or until the carrier is so many stops away.",
    },
    "from": nullable(DAY),
    "to": nullable(DAY),
    "asked_by": nullable(STRING),
    "asked_at": TIME,
    "state_at": TIME,
    "earliest_at": {**nullable(TIME), "description": "When the cooling-off of a redirection ends."},
    "history": array(record({"state": STRING, "at": TIME}, {"reason": STRING})),
}
_DIVERTED = array(record({"item_id": STRING, "on": DAY, "state": STRING, "state_at": nullable(TIME)}))
_MORE: dict[str, Schema] = {
    "diverted": {**_DIVERTED, "description": "For staff: the address's items while its mail was redirected."},
    "diverted_from": STRING,
}
_ASKED = record({**_MEMBERS, "token": {**STRING, "description": f"Unguessable; for the header {TOKEN_HEADER}."}})
_CHANGE = record(_MEMBERS, {**_MORE, "details": {"type": "object"}})
_ID = {"id": "The request's reference."}
_TOKEN = parameter(
    "header", TOKEN_HEADER, "The token that the answer to the request had; a session or a device needs none."
)
_DOOR = {"device": ()}
_ASKING: Security = ({}, _DOOR, *ACTING)  # {}: a customer, by what they know and by their token
_READING: Security = ({}, _DOOR, *PERSON)
_WHO: tuple[Fault, ...] = (e.Unauthorized, e.Revoked, BadCsrf, e.NotFound, e.TooMany)
_BODY: tuple[Fault, ...] = (e.BadRequest, e.TooLarge, e.UnsupportedMedia, e.Invalid, b.BadChange)
_COMMIT: tuple[Fault, ...] = (e.Unavailable,)

DELIVERY_CHANGES: Table = {
    ("POST", "/v1/delivery-changes"): Operation(
        "delivery changes",
        "Demande un changement de distribution ; la réponse dit ce qu'il devient, jusqu'à quand il se pouvait, et comment y revenir.",
        {201: Answer("The request.", {JSON: _ASKED}, {"Location": "Where it is read."})},
        security=_ASKING,
        faults=(*_WHO, *_BODY, d.NotPossible, d.TooLate, w.BadKey, w.KeyReused, w.KeyInUse, *_COMMIT),
        body={JSON: b.ChangeBody},
        parameters=(
            parameter("header", KEY_HEADER, "1 to 255 printable characters; the same request twice is one."),
            _TOKEN,
        ),
        description=(
            "Without credentials: a customer, who names an item and, in `details.postcode`, where it goes; anything else looks "
            "like an item that does not exist. A redirection then concerns the item's address. With a session: an adviser, the "
            "counter, a supervisor; with a device: the carrier at the door. A request that a rule, a rival or the clock "
            "refuses is kept: the problem has its members."
        ),
    ),
    ("GET", "/v1/delivery-changes/{id}"): Operation(
        "delivery changes",
        "Dit où en est un changement de distribution.",
        one(200, "The request.", _CHANGE),
        security=_READING,
        faults=_WHO,
        parameters=(_TOKEN,),
        path=_ID,
    ),
    ("POST", "/v1/delivery-changes/{id}/confirm"): Operation(
        "delivery changes",
        "Confirme un changement de distribution : par le code du courrier, la personne vue au guichet, ou la réponse à la porte.",
        one(200, "The request.", _CHANGE),
        security=_ASKING,
        faults=(*_WHO, *_BODY, e.Forbidden, d.WrongCode, d.NotWaiting, d.RequestClosed, *_COMMIT),
        body={JSON: b.ConfirmBody},
        parameters=(_TOKEN,),
        path=_ID,
    ),
    ("POST", "/v1/delivery-changes/{id}/cancel"): Operation(
        "delivery changes",
        "Annule un changement de distribution ; une réexpédition en cours est défaite.",
        one(200, "The request.", _CHANGE),
        security=_ASKING,
        faults=(*_WHO, *_BODY, d.RequestClosed, d.RequestSeen, *_COMMIT),
        body={JSON: b.EndBody},
        parameters=(_TOKEN,),
        path=_ID,
    ),
    ("POST", "/v1/delivery-changes/{id}/stop"): Operation(
        "delivery changes",
        "Arrête un changement de distribution qui n'était pas le vôtre : le lien d'un avis suffit, sans s'identifier.",
        one(200, "How it stands.", record({"request_id": STRING, "state": _STATE, "words": _WORDS})),
        security=_ASKING,
        faults=(*_WHO, *_BODY, *_COMMIT),
        body={JSON: b.EndBody},
        parameters=(_TOKEN,),
        path=_ID,
        description="`token`: the part behind the `#` of the link on a notice. A second time changes nothing.",
    ),
}
