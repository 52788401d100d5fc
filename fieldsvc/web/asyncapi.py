"""The AsyncAPI 3.1 document, from our perspective: we receive field events, and send public ones by webhook and feed."""

from collections.abc import Mapping
from typing import Any

import orjson

from fieldsvc.publishing.signing import sign
from fieldsvc.web.openapi import SECURITY, VERSION
from fieldsvc.web.reference.bodies import WEBHOOK_HEADERS, WRITTEN
from fieldsvc.web.reference.events import (
    ENVELOPES,
    add_field_events,
    add_public_events,
    examples_of_public,
    field_examples,
    receivable,
)
from fieldsvc.web.reference.examples import MORNING
from fieldsvc.web.reference.operation import EVENT, JSON
from fieldsvc.web.reference.operations import BATCHES
from fieldsvc.web.reference.schemas import Components, Schema, ref
from handlers.registry import Registry

_USED = ("FeedPage", "EventResults", "EventResult", "EventPlace", "AddressAnswer")
_FEED, _FIELD_RESULTS = "feed.page", "field.results"
_EXAMPLE_KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the Standard Webhooks test vectors
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
    components = Components({**ENVELOPES, **BATCHES, **{name: WRITTEN[name] for name in _USED}})
    add_field_events(components, registry)
    add_public_events(components, registry)
    for name in ("FieldEvent", "PublicEvent"):
        del components.schemas[name]["discriminator"]  # AsyncAPI knows another one, of schema names
    components.schemas["WebhookHeaders"] = WEBHOOK_HEADERS
    fields, webhooks = _field_messages(registry), _webhook_messages(registry)
    messages = {**fields, **webhooks, **_pages(registry)}
    return {
        "asyncapi": "3.1.0",
        "info": {
            "title": "fieldsvc",
            "version": VERSION,
            "description": (
                "Every subscriber gets the events of a subject in order, at least once, always with the same id. The same "
                "id again is a repetition: drop it. `supersedes` names an event that the new one replaces or withdraws."
            ),
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": EVENT,
        "servers": {
            "service": {
                "host": "{host}",
                "protocol": "https",
                "variables": {"host": {"default": "127.0.0.1:8080", "description": "Host and port of the service."}},
            }
        },
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


def _webhook_messages(registry: Registry) -> dict[str, Any]:
    examples = examples_of_public(registry)
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
            message["examples"] = [{"headers": _signed(example), "payload": example}]
        found[f"webhook.{said.name}"] = message
    return found


def _signed(event: Mapping[str, Any]) -> dict[str, str]:
    at = int(MORNING.timestamp())
    return {
        "webhook-id": event["id"],
        "webhook-timestamp": str(at),
        "webhook-signature": sign([_EXAMPLE_KEY], event["id"], timestamp=at, body=orjson.dumps(event)),
    }


def _pages(registry: Registry) -> dict[str, Any]:
    events = list(examples_of_public(registry).values())[:2]
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
