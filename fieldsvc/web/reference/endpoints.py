"""The routes of endpoints, for the table of routes."""

from collections.abc import Mapping
from typing import Any

from fieldsvc import errors as e
from fieldsvc.publishing.conditions import BadFilter
from fieldsvc.publishing.feed import BadCursor, CursorExpired
from fieldsvc.publishing.options import BadOption
from fieldsvc.web.endpoint_bodies import EndpointChange, NewEndpoint, Resumption, Rotation
from fieldsvc.web.reference.endpoint_examples import ANSWERS
from fieldsvc.web.reference.operation import CURSOR, JSON, KEY, Answer, Fault, Operation, Table, limit, one, parameter
from fieldsvc.web.reference.schemas import Schema, ref

_AUTH: tuple[Fault, ...] = (e.Unauthorized, e.Revoked)
_BODY: tuple[Fault, ...] = (e.BadRequest, e.TooLarge, e.UnsupportedMedia)
_OPTIONS: tuple[Fault, ...] = (*_BODY, BadOption, BadFilter)
_TIME: Schema = {"type": "string", "format": "date-time"}


def _told(name: str) -> Schema:
    return {**ref(name), "examples": [ANSWERS[name]]} if name in ANSWERS else ref(name)


_ENDPOINT = one(200, "The endpoint.", _told("Endpoint"))
_TOGETHER = (
    "Only CloudEvents have a thin form, and a filter of a thin endpoint looks at no data. The answer to what does not go together "
    "names the member."
)


def _of_endpoint(fr: str, answers: Mapping[int, Answer], **more: Any) -> Operation:
    faults = (*more.pop("faults", ()), *_AUTH, e.NotFound)
    return Operation("endpoints", fr, answers, security=KEY, faults=faults, path={"id": "The endpoint."}, **more)


ENDPOINTS: Table = {
    ("POST", "/v1/endpoints"): Operation(
        "endpoints",
        "Crée un point de réception ; sa clé de signature n'est montrée qu'ici.",
        one(201, "The endpoint with its key.", _told("EndpointMade"), Location="The endpoint."),
        security=KEY,
        faults=(*_OPTIONS, *_AUTH, BadCursor, e.Conflict, CursorExpired),
        body={JSON: NewEndpoint},
        description=f"It starts at its creation, or from `oldest`, or behind a cursor of the feed. {_TOGETHER}",
    ),
    ("GET", "/v1/endpoints"): Operation(
        "endpoints",
        "Liste les points de réception du compte.",
        one(200, "A page of endpoints.", _told("Endpoints")),
        security=KEY,
        faults=(e.BadRequest, *_AUTH),
        parameters=(CURSOR, limit()),
    ),
    ("GET", "/v1/endpoints/{id}"): _of_endpoint(
        "Montre un point de réception et comment il va.", one(200, "The endpoint.", _told("EndpointHealth"))
    ),
    ("PATCH", "/v1/endpoints/{id}"): _of_endpoint(
        "Modifie ce qui est donné ; prend effet en une seconde, et rien n'est perdu.",
        _ENDPOINT,
        faults=(*_OPTIONS, e.Conflict),
        body={JSON: EndpointChange},
        description=(
            "What is not given stays; null puts a member back to its default. Its events go on from where they were, by the new "
            f"words. `headers` replaces all headers but the bearer. A `url` of another scheme, host or port drops both, unless the same "
            f"request gives new ones. {_TOGETHER}"
        ),
    ),
    ("DELETE", "/v1/endpoints/{id}"): _of_endpoint(
        "Supprime un point de réception et ce qui l'attend.", {204: Answer("Done.")}
    ),
    ("POST", "/v1/endpoints/{id}/secret/rotate"): _of_endpoint(
        "Fait une nouvelle clé de signature ; les anciennes signent encore un jour, ou le temps demandé.",
        one(200, "The new key.", _told("SecretRotated")),
        faults=_BODY,
        body={JSON: Rotation},
        body_required=False,
    ),
    ("POST", "/v1/endpoints/{id}/pause"): _of_endpoint("Arrête l'envoi ; rien n'est perdu.", _ENDPOINT),
    ("POST", "/v1/endpoints/{id}/resume"): _of_endpoint(
        "Reprend là où l'envoi s'est arrêté, ou à partir de maintenant.",
        one(200, "The endpoint.", _told("EndpointResumed")),
        faults=(*_BODY, e.Conflict),
        body={JSON: Resumption},
        body_required=False,
        description="From now on only after it was paused or disabled: 409 for an active one.",
    ),
    ("POST", "/v1/endpoints/{id}/test"): _of_endpoint(
        "Envoie maintenant un événement d'essai et dit ce qu'il en est advenu.",
        one(200, "The attempt.", _told("Attempt")),
        description=(
            "The event is a signed `endpoint.tested`, beside the order of the real ones, with the headers and in the format of the "
            "endpoint: where that cannot say it, an item `TEST` that was delivered. The header `Fieldsvc-Test: 1` marks it."
        ),
    ),
    ("GET", "/v1/endpoints/{id}/attempts"): _of_endpoint(
        "Liste les tentatives, la plus récente d'abord : d'un événement, d'un sujet, d'un rejeu, d'un statut, d'une période.",
        one(200, "A page of attempts.", _told("Attempts")),
        faults=(e.BadRequest,),
        parameters=(
            CURSOR,
            limit(),
            parameter("query", "event_id", "Only attempts of this event, alone or in a batch."),
            parameter("query", "subject", "Only attempts on events of this subject, that were not in a batch."),
            parameter("query", "status", "`ok` (2xx), `failed` (all others), or one status such as `503`."),
            parameter("query", "since", "Not before this time.", _TIME),
            parameter("query", "until", "Not after this time.", _TIME),
            parameter("query", "replay", "Only attempts of this side replay."),
        ),
        description="Kept for 30 days. Of equal failures of an event beyond the tenth, one in ten is kept.",
    ),
    ("GET", "/v1/endpoints/{id}/parked"): _of_endpoint(
        "Liste les sujets mis de côté, qui attendent seuls leur prochaine tentative.",
        one(200, "A page of subjects, by name.", _told("ParkedSubjects")),
        faults=(e.BadRequest,),
        parameters=(CURSOR, limit()),
        description="`attempts` counts the failures of the event at which the subject stands; 0 for one that was slow.",
    ),
    ("GET", "/v1/endpoints/{id}/dead-letters"): _of_endpoint(
        "Liste les événements abandonnés, le plus récent d'abord.",
        one(200, "A page of dead letters.", _told("DeadLetters")),
        faults=(e.BadRequest,),
        parameters=(CURSOR, limit()),
        description=(
            "`reason` is the last answer, where their schedule was used up; `retention` where they were no longer kept when their "
            "turn came; `changed` where by then the account might no longer see them, or the format could not say them."
        ),
    ),
}
