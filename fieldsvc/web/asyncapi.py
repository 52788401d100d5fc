"""The AsyncAPI 3.1 document, from our perspective: we receive field events, and send public ones by webhook, feed and stream."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

import orjson

from fieldsvc.publishing.formats.catalogue import CLOUDEVENTS, FORMATS
from fieldsvc.publishing.runs import batch_id
from fieldsvc.publishing.signing import sign
from fieldsvc.publishing.streams import messages as stream
from fieldsvc.web.openapi import SECURITY, VERSION
from fieldsvc.web.reference.bodies import STRING, WRITTEN, record
from fieldsvc.web.reference.events import (
    ENVELOPES,
    add_field_events,
    add_public_events,
    examples_of_public,
    field_examples,
    receivable,
)
from fieldsvc.web.reference.examples import EVENT_ID, MORNING, Example, public_rows
from fieldsvc.web.reference.operation import EVENT, JSON
from fieldsvc.web.reference.operations import BATCHES
from fieldsvc.web.reference.schemas import Components, Schema, ref
from fieldsvc.web.reference.webhooks import BODIES, HEADERS, events_by_format, schema_in
from handlers.base import evt_id
from handlers.registry import Registry

_USED = ("FeedPage", "EventResults", "EventResult", "EventPlace", "AddressAnswer")
_FEED, _FIELD_RESULTS, _STREAM = "feed.page", "field.results", "stream.event"
_STREAM_HEADERS: Schema = {
    **record(
        {
            stream.MESSAGE_ID: {**STRING, "description": "The event's id: the same in every copy. Drop what you know."},
            stream.POSITION: {**STRING, "description": "Its place in the journal: grows within a shard."},
            "Content-Type": {"const": stream.MEDIA_TYPE},
        }
    ),
    "description": "Of a message in JetStream.",
}
_INFO: Mapping[str, Any] = {
    "title": "fieldsvc",
    "version": VERSION,
    "description": (
        "Every subscriber gets the events of a subject in order, at least once, always with the same id. The same "
        "id again is a repetition: drop it. `supersedes` names an event that the new one replaces or withdraws."
    ),
    "license": {"name": "Apache-2.0"},
}
_SERVERS: Mapping[str, Any] = {
    "service": {
        "host": "{host}",
        "protocol": "https",
        "variables": {"host": {"default": "127.0.0.1:8080", "description": "Host and port of the service."}},
    },
    "broker": {
        "host": "{host}",
        "protocol": "nats",
        "description": f"NATS JetStream, where there is one: the stream {stream.STREAM}.",
        "variables": {"host": {"default": "127.0.0.1:4222", "description": "Host and port of the broker."}},
    },
}
_PLACE_IN_STREAM: Mapping[str, Schema] = {
    "shard": {"description": "The shard: a subject's events are in one, in order.", "enum": ["0", "1", "2", "3"]},
    "account": {"description": "Whose order it is; `-` without one."},
    "type": {"description": "The type, with its dot: `item.delivered`."},
    "subject": {"description": "The first 16 hexadecimal digits of the SHA-256 of the event's subject."},
}
_EXAMPLE_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the Standard Webhooks test vectors
_A_BATCH = batch_id([evt_id(EVENT_ID.format(1), 0)])
_ACRONYMS = frozenset({"epcis", "fhir"})
_EPOCH = UUID("5d0f0b0e-0f5c-4d5e-9c5f-0d8f3a1c2b4e")
_SIGNATURE = {
    "type": "httpApiKey",
    "in": "header",
    "name": "webhook-signature",
    "description": (
        "Standard Webhooks 1.0.0: how the receiver knows that it was us. The examples are signed with the key "
        f"`{_EXAMPLE_KEY}` over their payload as compact JSON."
    ),
}


def asyncapi_document(registry: Registry) -> dict[str, Any]:
    """Describe the messages of both directions with their schemas and examples."""
    components = Components({**ENVELOPES, **BATCHES, **BODIES, **{name: WRITTEN[name] for name in _USED}})
    add_field_events(components, registry)
    add_public_events(components, registry)
    for name in ("FieldEvent", "PublicEvent"):
        del components.schemas[name]["discriminator"]  # AsyncAPI knows another one, of schema names
    components.schemas |= {"WebhookHeaders": HEADERS, "StreamHeaders": _STREAM_HEADERS}
    rows = public_rows(registry)
    examples = examples_of_public(registry, rows)
    fields, webhooks = _field_messages(registry), _webhook_messages(registry, examples)
    webhooks |= _format_messages(registry, list(examples.values())[:2], rows)
    messages = {**fields, **webhooks, **_pages(registry, list(examples.values())[:2]), **_stream_message(rows)}
    return {
        "asyncapi": "3.1.0",
        "info": _INFO,
        "defaultContentType": EVENT,
        "servers": _SERVERS,
        "channels": _channels(fields, webhooks),
        "operations": _operations(fields, webhooks),
        "components": {"schemas": components.schemas, "messages": messages, "securitySchemes": _security()},
    }


def _channels(fields: Mapping[str, Any], webhooks: Mapping[str, Any]) -> dict[str, Any]:
    service = [{"$ref": "#/servers/service"}]
    return {
        "field_events": {
            "address": "/v1/events",
            "description": "Where phones post one event, or up to 500 as a batch.",
            "servers": service,
            "messages": _pointers([*fields, _FIELD_RESULTS]),
        },
        "webhook": {
            "address": None,
            "description": "The URL of an endpoint, known when the subscriber makes it.",
            "messages": _pointers(webhooks),
        },
        "feed": {
            "address": "/v1/feed",
            "description": "The same events, pulled by cursor as pages, or as server-sent events.",
            "servers": service,
            "messages": _pointers([_FEED]),
        },
        "stream": {
            "address": "evt.{shard}.{account}.{type}.{subject}",
            "description": "The same events without what is sealed, in JetStream; optional, for systems that run a broker.",
            "servers": [{"$ref": "#/servers/broker"}],
            "parameters": dict(_PLACE_IN_STREAM),
            "messages": _pointers([_STREAM]),
        },
    }


def _operations(fields: Mapping[str, Any], webhooks: Mapping[str, Any]) -> dict[str, Any]:
    post = {"http": {"method": "POST", "bindingVersion": "0.3.0"}}
    return {
        "receive_field_events": {
            "action": "receive",
            "channel": {"$ref": "#/channels/field_events"},
            "summary": "Take field events and answer a receipt and a result for each.",
            "messages": _in_channel("field_events", fields),
            "reply": {
                "channel": {"$ref": "#/channels/field_events"},
                "messages": _in_channel("field_events", [_FIELD_RESULTS]),
            },
            "security": _secured("device", "device_basic", "api_key"),
            "bindings": post,
        },
        "send_to_webhook": {
            "action": "send",
            "channel": {"$ref": "#/channels/webhook"},
            "summary": "Post public events to the endpoints of subscribers, signed, in order per subject.",
            "messages": _in_channel("webhook", webhooks),
            "security": _secured("webhook_signature"),
            "bindings": post,
        },
        "send_to_feed": {
            "action": "send",
            "channel": {"$ref": "#/channels/feed"},
            "summary": "Answer public events behind a cursor.",
            "messages": _in_channel("feed", [_FEED]),
            "security": _secured("api_key"),
            "bindings": {"http": {"method": "GET", "bindingVersion": "0.3.0"}},
        },
        "send_to_stream": {
            "action": "send",
            "channel": {"$ref": "#/channels/stream"},
            "summary": "Publish public events to JetStream, in order per shard.",
            "messages": _in_channel("stream", [_STREAM]),
            "bindings": {"nats": {"bindingVersion": "0.1.0"}},
        },
    }


def _field_messages(registry: Registry) -> dict[str, Any]:
    examples = field_examples(registry)
    return {
        f"field.{name}": {
            "name": name,
            "title": kind.title["en"],
            "contentType": EVENT,
            "tags": [{"name": name.partition(".")[0]}],
            "payload": ref(f"field.{name}"),
            "examples": [{"payload": each} for each in examples[name]],
        }
        for name, kind in registry.kinds.items()
    }


def _webhook_messages(registry: Registry, examples: Mapping[str, Any]) -> dict[str, Any]:
    found = {}
    for said in receivable(registry):
        message: dict[str, Any] = {
            "name": said.name,
            "title": said.title["en"],
            "contentType": EVENT,
            "tags": [{"name": said.name.partition(".")[0]}],
            "correlationId": {"location": "$message.header#/webhook-id"},
            "headers": ref("WebhookHeaders"),
            "payload": ref(f"public.{said.name}"),
        }
        if example := examples.get(said.name):
            message["examples"] = [{"headers": _signed(example, example["id"]), "payload": example}]
        found[f"webhook.{said.name}"] = message
    return found


def _format_messages(registry: Registry, events: Sequence[Any], rows: Mapping[str, Example]) -> dict[str, Any]:
    """Describe what is posted in other formats, and batches; the id in the examples is that of a batch of one."""
    found = {
        "webhook.batch": _posted("Batch of events", CLOUDEVENTS.batch_media_type, ref("PublicEventBatch"), [events])
    }
    for name, examples in events_by_format(registry, rows).items():
        form = FORMATS[name]
        title = f"Events as {name.upper() if name in _ACRONYMS else name.title()}"
        found[f"webhook.{name}"] = _posted(title, form.media_type, schema_in(form), examples)
    return found


def _posted(title: str, media_type: str, payload: Schema, examples: Sequence[Any]) -> dict[str, Any]:
    return {
        "name": title,
        "title": title,
        "contentType": media_type,
        "correlationId": {"location": "$message.header#/webhook-id"},
        "headers": ref("WebhookHeaders"),
        "payload": payload,
        "examples": [{"headers": _signed(each, _A_BATCH), "payload": each} for each in examples],
    }


def _stream_message(rows: Mapping[str, Example]) -> dict[str, Any]:
    row = rows["item.delivered"].row
    message = stream.message_of(row, _EPOCH, most_bytes=1_000_000)
    return {
        _STREAM: {
            "name": _STREAM,
            "title": "Event in the stream",
            "contentType": stream.MEDIA_TYPE,
            "correlationId": {"location": f"$message.header#/{stream.MESSAGE_ID}"},
            "headers": ref("StreamHeaders"),
            "payload": ref("PublicEvent"),
            "examples": [{"headers": message.headers, "payload": orjson.loads(message.body)}],
        }
    }


def _signed(payload: Any, name: str) -> dict[str, str]:
    at = int(MORNING.timestamp())
    return {
        "webhook-id": name,
        "webhook-timestamp": str(at),
        "webhook-signature": sign([_EXAMPLE_KEY], name, timestamp=at, body=orjson.dumps(payload)),
    }


def _pages(registry: Registry, events: Sequence[Any]) -> dict[str, Any]:
    taken = next(iter(field_examples(registry).values()))[0]
    result = {"id": taken["id"], "status": "accepted", "warnings": []}
    return {
        _FEED: {
            "name": _FEED,
            "title": "Page of the feed",
            "contentType": JSON,
            "payload": ref("FeedPage"),
            "examples": [{"payload": {"events": events, "next": "AZqPPnwRfTqaUQxdjB8uRA"}}],
        },
        _FIELD_RESULTS: {
            "name": _FIELD_RESULTS,
            "title": "Results of an upload",
            "contentType": JSON,
            "payload": ref("EventResults"),
            "examples": [{"payload": {"receipt": None, "results": [result]}}],
        },
    }


def _security() -> dict[str, Schema]:
    return {
        "device": dict(SECURITY["device"]),
        "device_basic": dict(SECURITY["device_basic"]),
        "api_key": dict(SECURITY["api_key"]),
        "webhook_signature": _SIGNATURE,
    }


def _secured(*names: str) -> list[Schema]:
    return [{"$ref": f"#/components/securitySchemes/{name}"} for name in names]


def _pointers(names: Mapping[str, Any] | list[str]) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _in_channel(channel: str, names: Mapping[str, Any] | list[str]) -> list[Schema]:
    return [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names]
