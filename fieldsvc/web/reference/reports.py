"""The routes of figures, cases, ideas, and of following items as La Poste's Suivi does, for the table of routes."""

from fieldsvc import errors as e
from fieldsvc.access.errors import BadCsrf
from fieldsvc.journal.commands import Refusal
from fieldsvc.web.cases import CaseClosed, Closing
from fieldsvc.web.reference.bodies import INTEGER, NUMBER, STRING, TIME, array, nullable, record
from fieldsvc.web.reference.operation import (
    ACTING,
    CURSOR,
    DEVICE,
    JSON,
    PERSON,
    Answer,
    Operation,
    Security,
    Table,
    limit,
    one,
    parameter,
)
from fieldsvc.web.reference.schemas import ref

OKAPI: Security = ({"okapi_key": ()},)
_PERSON = (e.BadRequest, e.Unauthorized, e.NotFound)
_WORDS = record({"fr": STRING, "en": STRING})
_WHERE = {
    "month": {**STRING, "description": "2026-11"},
    "service": STRING,
    "site": STRING,
    "kpi": STRING,
    "value": {**nullable(NUMBER), "description": "Null where suppressed."},
    "answers": {**nullable(INTEGER), "description": "Of how many things; null where suppressed."},
}
_KPIS = record(
    {
        "from": STRING,
        "until": STRING,
        "thresholds": record({"answers": INTEGER, "carriers": INTEGER}),
        "kpis": array(
            record(
                {"kpi": STRING, "unit": {"enum": ["percent", "per_1000", "nps"]}, "title": _WORDS, "definition": _WORDS}
            )
        ),
        "cells": array(
            record(_WHERE, {"suppressed": {"type": "boolean", "description": "There, and true, without company."}})
        ),
        "totals": {
            **array(record({"service": STRING, "kpi": STRING, "value": NUMBER, "answers": INTEGER})),
            "description": "Of the shown cells of this answer, and of nothing else.",
        },
    }
)
_CASE = {
    "case_id": STRING,
    "kind": {"enum": ["dispute"]},
    "subject": STRING,
    "site": nullable(STRING),
    "state": {"enum": ["open", "closed"]},
    "opened_at": TIME,
    "answer_due_at": nullable(TIME),
    "closed_at": nullable(TIME),
}
_WHOLE_CASE = record(
    {
        **_CASE,
        "proof": nullable(record({"type": STRING, "time": TIME, "score": nullable(NUMBER), "words": nullable(_WORDS)})),
    },
    {
        "event_id": {**STRING, "description": "The event that is disputed."},
        "text": {**STRING, "description": "What is said to be wrong."},
        "outcome": {"enum": ["upheld", "rejected", "settled", "withdrawn"]},
        "reason": STRING,
        "erased": {"type": "boolean"},
    },
)
_IDEA = record(
    {
        "idea_id": STRING,
        "site": nullable(STRING),
        "status": {"enum": ["submitted", "considered", "accepted", "declined", "done"]},
        "votes": INTEGER,
        "text": nullable(STRING),
        "answer": nullable(STRING),
        "submitted_at": TIME,
        "decided_at": nullable(TIME),
    },
    {"mine": {"type": "boolean", "description": "For a phone: whether its own carrier had the idea."}},
)
_MORE = {"cursor": {"type": "string", "description": "There when more follow."}}
_STEP = record(
    {
        "id": INTEGER,
        "shortLabel": STRING,
        "longLabel": STRING,
        "status": {"type": "boolean", "description": "Whether the step was reached."},
        "type": {"enum": [1, 0, -1], "description": "1: well, 0: a setback, -1: a failure."},
        "date": nullable(TIME),
    }
)
_SHIPMENT = record(
    {
        "idShip": STRING,
        "holder": {"enum": [1, 2, 4], "description": "1: mail, 2: foreign mail, 4: parcel."},
        "product": STRING,
        "isFinal": {"type": "boolean"},
        "entryDate": nullable(TIME),
        "deliveryDate": nullable(TIME),
        "contextData": record(
            {
                "deliveryChoice": record({"deliveryChoice": INTEGER}),
                "removalPoint": nullable(record({"name": STRING, "type": STRING})),
                "originCountry": STRING,
                "arrivalCountry": STRING,
            }
        ),
        "timeline": {**array(_STEP), "minItems": 5, "maxItems": 5},
        "event": {**array(record({"date": TIME, "label": STRING, "code": STRING})), "description": "Newest first."},
        "url": STRING,
    }
)
SUIVI = record(
    {"lang": {"enum": ["fr_FR", "en_GB"]}, "scope": STRING, "returnCode": INTEGER},
    {"shipment": _SHIPMENT, "returnMessage": STRING, "idShip": nullable(STRING)},
)

REPORTS: Table = {
    ("GET", "/v1/kpis"): Operation(
        "supervision",
        "Donne les indicateurs des mois demandés, par service et établissement, en JSON ou en CSV ; jamais par facteur.",
        {200: Answer("The figures.", {JSON: _KPIS, "text/csv": STRING})},
        security=PERSON,
        faults=_PERSON,
        parameters=(
            parameter("query", "from", "The first month, 2026-11; the last one by default."),
            parameter("query", "until", "The last month; this one by default. At most 24 in all."),
            parameter("query", "site", "A site; a supervisor has only their own, which is the default."),
            parameter("query", "service", "A service."),
            parameter("query", "format", "json or csv; else the header Accept decides.", {"enum": ["json", "csv"]}),
            parameter("query", "lang", "Language of the titles in CSV: fr or en.", {"enum": ["fr", "en"]}),
        ),
        description=(
            "A cell is a service at a site in a month. It is shown from five things of three carriers on, and moves only by "
            "steps of as many, so that no two answers differ by one carrier's work. A member has the figures of the own "
            "account's orders. There is no figure of a carrier, and no parameter for one. CSV is RFC 4180, UTF-8 with a byte "
            "order mark; a text that a spreadsheet would run begins with an apostrophe."
        ),
    ),
    ("GET", "/v1/cases"): Operation(
        "supervision",
        "Liste les dossiers, du plus récent au plus ancien, page par page.",
        one(200, "A page of cases.", record({"cases": array(record(_CASE))}, _MORE)),
        security=PERSON,
        faults=_PERSON,
        parameters=(
            parameter("query", "state", "Only these.", {"enum": ["open", "closed"]}),
            parameter("query", "kind", "Only these.", {"enum": ["dispute"]}),
            parameter("query", "site", "A site; a supervisor has only their own, which is the default."),
            CURSOR,
            limit(),
        ),
    ),
    ("GET", "/v1/cases/{id}"): Operation(
        "supervision",
        "Donne un dossier : ce qui est contesté, et ce que la preuve dit en mots.",
        one(200, "The case.", _WHOLE_CASE),
        security=PERSON,
        faults=(e.Unauthorized, e.NotFound),
        path={"id": "The case."},
    ),
    ("POST", "/v1/cases/{id}/close"): Operation(
        "supervision",
        "Clôt un dossier par une issue et une raison, qui reviennent à qui l'a ouvert.",
        one(200, "The case.", _WHOLE_CASE),
        security=ACTING,
        faults=(
            *(
                *_PERSON,
                BadCsrf,
                CaseClosed,
                Refusal,
                e.Invalid,
                e.TooLarge,
                e.UnsupportedMedia,
                e.Unavailable,
                e.TooMany,
            ),
        ),
        body={JSON: Closing},
        path={"id": "The case."},
    ),
    ("GET", "/v1/ideas"): Operation(
        "field events",
        "Liste les idées, de la plus récente à la plus ancienne, avec leurs voix et leurs réponses.",
        one(200, "A page of ideas.", record({"ideas": array(_IDEA)}, _MORE)),
        security=(*DEVICE, *PERSON),
        faults=(*_PERSON, e.Revoked),
        parameters=(
            parameter("query", "status", "Only these."),
            parameter("query", "site", "Only those of a site."),
            CURSOR,
            limit(),
        ),
        description="Sent, voted for and decided by `POST /v1/events`: `idea.submitted`, `idea.voted`, `idea.decided`.",
    ),
    ("GET", "/suivi/v2/idships/{ids}"): Operation(
        "feed",
        "Suit un à dix objets dans la forme du Suivi v2 de La Poste.",
        {
            200: Answer("The item.", {JSON: ref("SuiviAnswer")}),
            207: Answer("Several were asked for: one answer each, in that order.", {JSON: array(ref("SuiviAnswer"))}),
            400: Answer("The number is not valid, or there are more than ten.", {JSON: ref("SuiviAnswer")}),
            404: Answer("The number is not known to this account.", {JSON: ref("SuiviAnswer")}),
        },
        security=OKAPI,
        faults=(e.Unauthorized, e.Revoked),
        parameters=(parameter("query", "lang", "fr_FR or en_GB; other languages are answered in English."),),
        path={"ids": "One to ten numbers, separated by commas."},
        description="The key of an account, which sees the items of its own orders; with scope `operator` all.",
    ),
}
