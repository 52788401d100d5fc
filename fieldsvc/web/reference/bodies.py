"""Schemas of requests and answers that no model describes; they are the words of the views, written down."""

from collections.abc import Mapping

from fieldsvc.intake.reasons import REASONS, STATUSES, WARNINGS
from fieldsvc.web.reference.schemas import Schema, ref

STRING: Schema = {"type": "string"}
INTEGER: Schema = {"type": "integer"}
NUMBER: Schema = {"type": "number"}
BOOLEAN: Schema = {"type": "boolean"}
TIME: Schema = {"type": "string", "format": "date-time"}
DAY: Schema = {"type": "string", "format": "date"}
ANY: Schema = {"type": "object"}


def array(items: Schema) -> Schema:
    """Describe a list."""
    return {"type": "array", "items": items}


def nullable(schema: Schema) -> Schema:
    """Let it be null as well."""
    return {"anyOf": [schema, {"type": "null"}]}


def closed(words: Mapping[str, str]) -> Schema:
    """Describe a closed list of words, each with its sentence."""
    lines = "\n".join(f"- `{word}`: {sentence}" for word, sentence in words.items())
    return {"type": "string", "enum": list(words), "description": lines}


def record(required: Mapping[str, Schema], optional: Mapping[str, Schema] | None = None) -> Schema:
    """Describe an object by what it always has and what it may have."""
    return {"type": "object", "required": list(required), "properties": {**required, **(optional or {})}}


_PLACEMENT = record(
    {
        "normalised": nullable(STRING),
        "lat": nullable(NUMBER),
        "lon": nullable(NUMBER),
        "score": NUMBER,
        "round_id": nullable(STRING),
        "after_stop_id": nullable(STRING),
        "before_stop_id": nullable(STRING),
        "cost_m": {**nullable(NUMBER), "description": "Metres that the new stop adds to the round."},
        "ambiguous": BOOLEAN,
        "confidence": NUMBER,
    }
)
_ENDPOINT: dict[str, Schema] = {
    "id": STRING,
    "url": {"type": "string", "format": "uri"},
    "types": array(STRING),
    "thin": BOOLEAN,
    "mode": {"enum": ["subject", "parallel"]},
    "batch": INTEGER,
    "format": {"enum": ["cloudevents", "epcis", "fhir", "suivi"]},
    "filter": nullable(ANY),
    "sites": array(STRING),
    "postcodes": array(STRING),
    "headers": {**array(STRING), "description": "The names; values are not shown."},
    "bearer": {"type": "boolean", "description": "Whether there is one."},
    "rate_per_s": nullable(NUMBER),
    "in_flight": nullable(INTEGER),
    "on_exhausted": {"enum": ["dead_letter", "block"]},
    "schedule": nullable(array(NUMBER)),
    "description": STRING,
    "state": {"enum": ["active", "paused", "disabled"]},
    "since": {**TIME, "description": "Since when it is in this state."},
    "reason": {**nullable(STRING), "description": "Why it is not active."},
    "created_at": TIME,
}
_SECRET: Schema = {"type": "string", "pattern": "^whsec_", "description": "The signing key, shown this once."}
_HEALTH: dict[str, Schema] = {
    "breaker": {"enum": ["closed", "open"]},
    "next_probe_at": nullable(TIME),
    "held_until": nullable(TIME),
    "failing_since": {**nullable(TIME), "description": "Since when nothing was acknowledged, while attempts fail."},
    "last_failure_at": nullable(TIME),
    "last_success_at": {**nullable(TIME), "description": "Among the newest thousand attempts."},
    "backlog": {
        "type": "integer",
        "description": "Events behind its cursors; those of parked subjects are not among them.",
    },
    "backlog_is_exact": {"type": "boolean", "description": "False: an estimate from the first 500 rows of each shard."},
    "lag_s": {"type": "number", "description": "Age of the oldest event that is not acknowledged, parked ones too."},
    "parked": {"type": "integer", "description": "Subjects that wait alone for their retry."},
    "dead_letters": {"type": "integer", "description": "Events whose schedule is exhausted."},
}
_RUN_STATE: Schema = {"type": "string", "description": "planned, started, paused or ended."}
_COUNTED = ("taken", "delivered", "held", "brought_back", "missing")

WRITTEN: Mapping[str, Schema] = {
    "Problem": {
        **record(
            {
                "type": STRING,
                "title": STRING,
                "status": INTEGER,
                "code": {"type": "string", "description": "Stable: decide by this, not by the words."},
                "detail": STRING,
            }
        ),
        "description": "An error, RFC 9457. It repeats no value of the request.",
    },
    "EventResults": record(
        {
            "receipt": {
                **nullable(STRING),
                "description": "A compact JWS (EdDSA) over what was accepted or duplicate; null unless a device sent it.",
            },
            "results": {**array(ref("EventResult")), "description": "One for each member, in the order sent."},
        }
    ),
    "EventResult": record(
        {
            "id": {**nullable(STRING), "description": "As it was sent; null when it could not be read."},
            "status": closed(STATUSES),
            "warnings": array(closed(WARNINGS)),
        },
        {
            "reason": closed(REASONS),
            "located": ref("EventPlace"),
            "answer": {"anyOf": [ref("AddressAnswer"), ANY], "description": "The service's own."},
        },
    ),
    "EventPlace": record(
        {"stop_id": nullable(STRING), "confidence": NUMBER, "method": STRING, "status": STRING},
        {
            "door_distance_m": nullable(NUMBER),
            "round_id": STRING,
            "run_id": STRING,
            "delivery_point_id": nullable(STRING),
            "distance_along_m": nullable(NUMBER),
            "offset_m": nullable(NUMBER),
            "nearest_stop_id": {
                "type": "string",
                "description": "With `wrong_door`: the stop that the position is at.",
            },
        },
    ),
    "AddressAnswer": {
        **_PLACEMENT,
        "required": ["decision"],
        "properties": {**_PLACEMENT["properties"], "decision": {"enum": ["accepted", "review"]}},
        "description": "Where a new address falls. Without a new address only the decision.",
    },
    "DeviceCredentials": record(
        {
            "device_id": STRING,
            "token": STRING,
            "owntracks": record({"url": STRING, "user": STRING, "password": STRING, "passphrase": STRING}),
            "osmand": record({"url": STRING}),
            "carrier": STRING,
            "site": STRING,
            "round": nullable(STRING),
        },
        {
            "apps": {
                **record(
                    {
                        "owntracks": record({"link": STRING, "qr_text": STRING}),
                        "traccar": record(
                            {
                                "link": STRING,
                                "qr_text": STRING,
                                "start_link": STRING,
                                "url": STRING,
                                "device_id": STRING,
                            }
                        ),
                        "osmand": record({"url": STRING, "qr_text": STRING}),
                    }
                ),
                "description": "For the apps of the same phone: links to tap or to draw as a code, and addresses to paste.",
            },
        },
    ),
    "Alert": record(
        {
            "id": STRING,
            "kind": {
                "type": "string",
                "description": "sos, accident, assault or fall; else what raised it: run.uncovered, timed_task.at_risk …",
            },
            "level": {"enum": ["attention", "urgent"]},
            "state": {"enum": ["open", "acknowledged", "settled"]},
            "subject": {**STRING, "description": "What it is about; of discreet services: timed task."},
            "run_id": nullable(STRING),
            "site": nullable(STRING),
            "carrier": nullable(STRING),
            "raised_at": TIME,
            "rung": {**INTEGER, "description": "Steps of its ladder that were taken because nobody had it."},
            "told": {**nullable(STRING), "description": "Who stands on that rung: desk, contact_1, pharmacy."},
            "acknowledged_at": nullable(TIME),
            "acknowledged_by": nullable(STRING),
            "assigned_to": {
                **nullable(STRING),
                "description": "Who is to take it: an account, or `desk:` and a desk's name.",
            },
            "assigned_at": nullable(TIME),
            "comment": {**nullable(STRING), "description": "What was said last on taking or assigning it."},
            "settled_at": nullable(TIME),
            "stop_id": nullable(STRING),
            "address": {**nullable(STRING), "description": "Of the stop."},
            "note": nullable(STRING),
            "place": nullable(
                record({"lat": NUMBER, "lon": NUMBER, "accuracy_m": nullable(NUMBER), "fixed_at": nullable(TIME)})
            ),
        }
    ),
    "Run": record(
        {"run_id": STRING, "round_id": STRING, "state": _RUN_STATE, "sheet_version": INTEGER},
        {
            "position_heard_at": {**TIME, "description": "Of the newest position on duty; without it none came."},
            "reconciled": {
                **record({"at": TIME, **dict.fromkeys(_COUNTED, INTEGER)}),
                "description": "What became of the registered items, pouches and keys, once the run was reconciled.",
            },
        },
    ),
    "Services": record(
        {
            "services": array(
                record(
                    {
                        "service": STRING,
                        "title": ref("Title"),
                        "subject": STRING,
                        "takes_tasks": BOOLEAN,
                        "events": array(
                            record(
                                {
                                    "type": STRING,
                                    "title": ref("Title"),
                                    "by": array(STRING),
                                    "keeps_position": {
                                        **BOOLEAN,
                                        "description": "A proof, an alarm or a reported place: of others no position is kept.",
                                    },
                                    "closes_task": {**BOOLEAN, "description": "It ends what was ordered."},
                                    "schema": ANY,
                                    "examples": array(ANY),
                                }
                            )
                        ),
                    }
                )
            )
        }
    ),
    "Receipts": record(
        {"receipts": array(record({"no": INTEGER, "at": TIME, "receipt": STRING}))},
        {"cursor": {"type": "string", "description": "There when more follow."}},
    ),
    "Title": record({"fr": STRING, "en": STRING}),
    "Window": record({"from": TIME, "until": TIME}),
    "Task": {
        **record(
            {
                "task_id": STRING,
                "service": STRING,
                "subject": STRING,
                "on": DAY,
                "delivery_point": nullable(STRING),
                "window": nullable(ref("Window")),
                "requirements": array(STRING),
                "order_ref": nullable(STRING),
                "state": {"type": "string", "description": "planned, done, cancelled or expired."},
                "seen": {
                    "type": "boolean",
                    "description": "Whether the carrier has seen it: then it can no longer be changed.",
                },
                "placed": {"type": "boolean", "description": "Whether it lies on a round."},
                "at_risk": {
                    **nullable(STRING),
                    "description": "Why its run is in danger: uncovered, late_start, run_not_served.",
                },
            },
            {"run_id": {**nullable(STRING), "description": "For the operator's people only."}},
        ),
        "description": "A task. Who reads it again also gets what was ordered of address, addressee, notes and the like.",
    },
    "TaskChanged": {
        "allOf": [
            ref("Task"),
            record({"warnings": {**array(STRING), "description": "`unknown_delivery_point`, `address_not_placed`."}}),
        ]
    },
    "Endpoint": record(_ENDPOINT),
    "EndpointMade": record({**_ENDPOINT, "secret": _SECRET}),
    "EndpointHealth": record(
        {
            **_ENDPOINT,
            "health": record(_HEALTH),
            "secrets": array(record({"created_at": TIME, "expires_at": nullable(TIME)})),
        }
    ),
    "EndpointResumed": record(
        {
            **_ENDPOINT,
            "skipped": {
                **nullable(INTEGER),
                "description": "How many events were skipped; null where it goes on as it stood.",
            },
            "warnings": {
                **array(STRING),
                "description": "`retention_passed_cursor`: events that it had not read are no longer kept.",
            },
        },
        {"oldest": {"type": "string", "description": "With that warning: the oldest cursor of the feed."}},
    ),
    "Endpoints": record({"endpoints": array(ref("Endpoint")), "next": nullable(STRING)}),
    "SecretRotated": record({"id": STRING, "secret": _SECRET, "overlap_s": NUMBER}),
    "Attempt": record(
        {
            "event_id": {"type": "string", "description": "Of a batch: its `webhook-id`."},
            "subject": nullable(STRING),
            "events": {"type": "integer", "description": "How many events the request carried."},
            "attempt": {"type": "integer", "description": "From 1; 0 for a probe and for a test."},
            "at": TIME,
            "status": nullable(INTEGER),
            "ms": INTEGER,
            "error": {**nullable(STRING), "description": "Without a status: dns, connect, tls, timeout, …"},
            "repeats": {
                "type": "integer",
                "description": "Equal failures of an event beyond the tenth are logged one in ten; this one stands for so many.",
            },
            "replay": {**nullable(STRING), "description": "The side replay that it belonged to."},
            "body": {
                **nullable(STRING),
                "description": (
                    "The first 4 KiB of the answer; null where what was sent held sealed data, which an answer may repeat: "
                    "that one is not kept."
                ),
            },
        }
    ),
    "Attempts": record({"attempts": array(ref("Attempt")), "next": nullable(STRING)}),
    "ParkedSubjects": record(
        {
            "parked": array(
                record(
                    {
                        "subject": STRING,
                        "since": TIME,
                        "attempts": INTEGER,
                        "reason": STRING,
                        "next_at": TIME,
                        "behind": {
                            "type": "integer",
                            "description": "Events behind its head; 1000 for as many or more.",
                        },
                    }
                )
            ),
            "next": nullable(STRING),
        }
    ),
    "DeadLetters": record(
        {
            "dead_letters": array(
                record({"event_id": STRING, "subject": STRING, "at": TIME, "reason": STRING, "attempts": INTEGER})
            ),
            "next": nullable(STRING),
        }
    ),
    "FeedPage": record(
        {
            "events": array(ref("PublicEvent")),
            "next": {"type": "string", "description": "The cursor to go on from, also when there are no events."},
        },
        {"from": {"type": "string", "description": "After `seek`: the cursor just before what was sought."}},
    ),
    "Types": record(
        {
            "types": array(
                record(
                    {
                        "name": {"type": "string", "description": "What filters match: item.delivered."},
                        "type": {"type": "string", "description": "What events carry: fieldsvc.item.delivered.v1."},
                        "title": ref("Title"),
                        "services": array(STRING),
                        "schema": {**ANY, "description": "JSON Schema of `data`; `x-class` is the class of a field."},
                        "formats": {
                            **ANY,
                            "description": "The formats that have the type, each with the fields that it loses: `{epcis: {lost: [...]}}`.",
                        },
                    },
                    {"example": ANY},
                )
            )
        }
    ),
    "Health": record({"status": STRING}, {"missing": array(STRING)}),
}
