"""The routes of replays, for the table of routes."""

from collections.abc import Mapping
from typing import Any

from fieldsvc import errors as e
from fieldsvc.publishing.feed import BadCursor, BadPlace, CursorExpired
from fieldsvc.publishing.replaying import EmptyWindow, NoSuchForm, Settled
from fieldsvc.web.reference.bodies import BOOLEAN, INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import CURSOR, JSON, KEY, Answer, Fault, Operation, Table, limit, one
from fieldsvc.web.reference.schemas import Schema, ref
from fieldsvc.web.replays import NewReplay, Recovery, Resending

_AUTH: tuple[Fault, ...] = (e.Unauthorized, e.Revoked)
_BODY: tuple[Fault, ...] = (e.BadRequest, e.TooLarge, e.UnsupportedMedia)
_PLACES: tuple[Fault, ...] = (BadCursor, BadPlace, CursorExpired)
_REPLAY_FIELDS: dict[str, Schema] = {
    "id": STRING,
    "mode": {"enum": ["rewind", "side", "recover", "skip"], "description": "`skip`: a resumption from now on."},
    "state": {"enum": ["running", "paused", "cancelled", "done"]},
    "waits_for": {
        **nullable(STRING),
        "description": (
            "What one that runs waits for: `endpoint_paused`, `endpoint_disabled`, `endpoint_open` (its breaker), "
            "`endpoint_held` (its Retry-After), `turn` (five of the account are at work at once), `list` (what failed is being listed)."
        ),
    },
    "from": {**nullable(STRING), "description": "As it was asked."},
    "to": {**nullable(STRING), "description": "As it was asked."},
    "types": array(STRING),
    "only_failed": BOOLEAN,
    "rate_per_s": nullable(NUMBER),
    "sent": INTEGER,
    "failed": {**INTEGER, "description": "Events that were tried three times, in the log of attempts by this replay."},
    "skipped": {
        **INTEGER,
        "description": (
            "What retention took before it was read: events of a list (`only_failed`, `recover`), else at most so many. Of a "
            "`skip`, how many events it passed."
        ),
    },
    "created_at": TIME,
    "ended_at": nullable(TIME),
}
_REPLAY = record(_REPLAY_FIELDS)
_RECOVERED = record(
    {
        **_REPLAY_FIELDS,
        "dead_letters": {**INTEGER, "description": "How many of them this replay sends again."},
        "parked": {**INTEGER, "description": "How many parked subjects are tried at once, by the live lane."},
    }
)


def _operation(fr: str, answers: Mapping[int, Answer], *, rid: bool = False, **more: Any) -> Operation:
    faults = (*more.pop("faults", ()), *_AUTH, e.NotFound)
    path = {"id": "The endpoint.", **({"rid": "The replay: `rpl_…`."} if rid else {})}
    return Operation("endpoints", fr, answers, security=KEY, faults=faults, path=path, **more)


REPLAYS: Table = {
    ("POST", "/v1/endpoints/{id}/replay"): _operation(
        "Envoie de nouveau : recule le curseur, ou commence un rejeu à côté de lui.",
        one(201, "The replay.", _REPLAY, Location="The replay."),
        faults=(*_BODY, *_PLACES, EmptyWindow, e.Conflict),
        body={JSON: NewReplay},
        description=(
            "`rewind` moves the live cursor back, never on: everything behind it is sent again, in order per subject, within ten "
            "seconds; subjects parked behind it are freed, dead letters behind it are tried again. `side` is a second cursor: it "
            "sends the events from `from` up to `to` with the endpoint's filters, in order per subject, each with the header "
            "`Fieldsvc-Replay` and its own id, and the live lane neither waits for it nor leaves out what it sent. It goes on after "
            "a crash with at most 500 events again. An event that fails is tried three times on the endpoint's schedule. "
            "Any number of events; ten replays that have not ended, of which five of an account are at work at once. What failed "
            "(`only_failed`) is listed before the first is sent. A place before the oldest kept event answers 410 with `oldest`."
        ),
    ),
    ("POST", "/v1/endpoints/{id}/recover"): _operation(
        "Renvoie les événements abandonnés depuis un instant, et essaie aussitôt les sujets mis de côté depuis.",
        one(201, "What is recovered.", _RECOVERED, Location="The replay."),
        faults=(*_BODY, e.Conflict),
        body={JSON: Recovery},
        description=(
            "The dead letters that were recorded from then until now are sent by a side replay, in order per subject; each leaves the list of "
            "dead letters when it is taken. Subjects that were parked since then are due at once; their events follow in order."
        ),
    ),
    ("POST", "/v1/endpoints/{id}/resend"): _operation(
        "Envoie une fois, maintenant, un événement, et dit ce qu'il en est advenu.",
        one(200, "The attempt.", ref("Attempt")),
        faults=(*_BODY, NoSuchForm),
        body={JSON: Resending},
        description=(
            "With its own id and the header `Fieldsvc-Replay: resend`, beside the order, also to an endpoint that is stopped or would "
            "filter it out. The answer's `body` is null where the event holds sealed data."
        ),
    ),
    ("GET", "/v1/endpoints/{id}/replays"): _operation(
        "Liste les rejeux, le plus récent d'abord.",
        one(200, "A page of replays.", record({"replays": array(_REPLAY), "next": nullable(STRING)})),
        faults=(e.BadRequest,),
        parameters=(CURSOR, limit()),
        description="Also rewinds and skips. Kept for 30 days after their end.",
    ),
    ("GET", "/v1/endpoints/{id}/replays/{rid}"): _operation(
        "Montre un rejeu et où il en est.", one(200, "The replay.", _REPLAY), rid=True
    ),
    ("DELETE", "/v1/endpoints/{id}/replays/{rid}"): _operation(
        "Termine un rejeu là où il en est ; ce qui est envoyé le reste.",
        {204: Answer("Done.")},
        rid=True,
        faults=(Settled,),
    ),
    ("POST", "/v1/endpoints/{id}/replays/{rid}/pause"): _operation(
        "Suspend un rejeu.", one(200, "The replay.", _REPLAY), rid=True, faults=(Settled,)
    ),
    ("POST", "/v1/endpoints/{id}/replays/{rid}/resume"): _operation(
        "Reprend un rejeu là où il en était.", one(200, "The replay.", _REPLAY), rid=True, faults=(Settled,)
    ),
}
