"""The documents are valid under the standards' own validators, and say exactly what the code does: no more, no less."""

import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import jsonschema
import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from fhir.resources.R4B.bundle import Bundle
from fhir.resources.R4B.supplydelivery import SupplyDelivery
from openapi_spec_validator import OpenAPIV31SpecValidator

from fieldsvc import publishing
from fieldsvc.journal.submission import SHARDS
from fieldsvc.publishing import replay_run
from fieldsvc.publishing.formats.catalogue import CLOUDEVENTS, EPCIS, FHIR, FORMATS, SUIVI
from fieldsvc.publishing.signing import new_secret
from fieldsvc.publishing.streams import messages as stream
from fieldsvc.publishing.webhooks import Sender
from fieldsvc.web import documents
from fieldsvc.web.asyncapi import asyncapi_document
from fieldsvc.web.catalogue import types_document
from fieldsvc.web.openapi import openapi_document
from fieldsvc.web.reference.events import receivable
from fieldsvc.web.reference.examples import Example, public_rows
from fieldsvc.web.reference.markdown import events_markdown
from fieldsvc.web.reference.webhooks import HEADERS
from handlers.registry import Registry
from tests import schemas

Document = dict[str, Any]
SENDING = list(Path(publishing.__file__).parent.rglob("*.py"))


@pytest.fixture(scope="module")
def openapi(registry: Registry) -> Document:
    whole: Document = orjson.loads(orjson.dumps(openapi_document(registry, documents.every_router())))
    return whole


@pytest.fixture(scope="module")
def asyncapi(registry: Registry) -> Document:
    whole: Document = orjson.loads(orjson.dumps(asyncapi_document(registry)))
    return whole


@pytest.fixture(scope="module")
def rows(registry: Registry) -> Mapping[str, Example]:
    """Examples of all types, as rows."""
    return public_rows(registry)


def faults_within(document: Document) -> Callable[[Any, Document], list[str]]:
    """Check values against schemas of a document, formats asserted."""

    def faults(value: Any, schema: Document) -> list[str]:
        whole = {"components": document["components"], **schema}
        checker = jsonschema.Draft202012Validator.FORMAT_CHECKER
        found = jsonschema.Draft202012Validator(whole, format_checker=checker).iter_errors(value)
        return [fault.message[:200] for fault in found]

    return faults


def bodies(document: Document) -> Iterator[tuple[str, str, Document]]:
    for name, webhook in document["webhooks"].items():
        for media_type, body in webhook["post"]["requestBody"]["content"].items():
            yield name, media_type, body


# Valid


def test_the_openapi_document_is_valid_under_the_standard_validator(openapi: Document) -> None:
    assert list(OpenAPIV31SpecValidator(openapi).iter_errors()) == []


def test_the_standard_validator_refuses_a_document_with_a_mistake() -> None:
    about = {"openapi": "3.1.0", "info": {"title": "a", "version": "1"}}
    assert not list(OpenAPIV31SpecValidator({**about, "webhooks": {}, "paths": {}}).iter_errors())
    for wrong in (
        {"paths": {"/a/{id}": {"get": {"responses": {"200": {"description": "no parameter"}}}}}},
        {"paths": {"/a": {"get": {"responses": {"200": {}}}}}},
        {"webhooks": {"a": {"post": {"parameters": [{"name": "b", "in": "headers"}], "responses": {}}}}},
    ):
        assert list(OpenAPIV31SpecValidator(about | wrong).iter_errors())


def test_the_asyncapi_document_is_valid_under_the_standards_own_schema(asyncapi: Document) -> None:
    validator = jsonschema.Draft7Validator(schemas.schema(schemas.ASYNCAPI))
    assert list(validator.iter_errors(asyncapi)) == []
    few = {**asyncapi, "components": {"schemas": {}, "messages": {}}}
    assert validator.is_valid(few)
    for member, wrong in (
        ("operations", {"a": {**asyncapi["operations"]["send_to_webhook"], "action": "post"}}),
        ("channels", {"a": {"address": "a", "parameters": ["shard"]}}),
        ("info", {}),
        ("servers", {"a": {"host": "a"}}),
    ):
        assert not validator.is_valid(few | {member: wrong}), member


def test_every_example_of_a_webhook_fits_its_schema_with_formats_asserted(openapi: Document) -> None:
    faults, counted = faults_within(openapi), 0
    for name, media_type, body in bodies(openapi):
        if "example" in body:
            assert faults(body["example"], body["schema"]) == [], (name, media_type)
            counted += 1
    assert counted > len(openapi["webhooks"])
    event = openapi["webhooks"]["item.held"]["post"]["requestBody"]["content"]
    for form, member in ((EPCIS, "epcisBody"), (FHIR, "status"), (SUIVI, "returnCode"), (CLOUDEVENTS, "id")):
        body = event[form.media_type]
        wrong = {key: value for key, value in body["example"].items() if key != member}
        assert faults(wrong, body["schema"]), form.name


def test_every_example_of_a_message_fits_its_schema_with_formats_asserted(asyncapi: Document) -> None:
    faults = faults_within(asyncapi)
    for name, message in asyncapi["components"]["messages"].items():
        for example in message["examples"]:
            assert faults(example["payload"], message["payload"]) == [], name
            if "headers" in message:
                assert faults(example["headers"], message["headers"]) == [], name


def test_examples_of_other_formats_are_valid_for_those_who_made_them(openapi: Document) -> None:
    checker = jsonschema.Draft7Validator.FORMAT_CHECKER
    epcis = jsonschema.Draft7Validator(schemas.schema(schemas.EPCIS), format_checker=checker)
    counted = {form.name: 0 for form in FORMATS.values()}
    for name, media_type, body in bodies(openapi):
        if "example" in body and media_type == EPCIS.media_type:
            assert list(epcis.iter_errors(body["example"])) == [], name
            counted["epcis"] += 1
        elif "example" in body and media_type == FHIR.media_type:
            model = Bundle if body["example"]["resourceType"] == "Bundle" else SupplyDelivery
            model.model_validate_json(orjson.dumps(body["example"]))
            counted["fhir"] += 1
    assert counted["epcis"] >= 13
    assert counted["fhir"] >= 12


# No more and no less than the code does


def test_a_type_is_described_in_every_format_that_has_it_and_in_no_other(
    openapi: Document, asyncapi: Document, registry: Registry
) -> None:
    described: dict[str, set[str]] = {}
    for name, media_type, _ in bodies(openapi):
        described.setdefault(name, set()).add(media_type)
    forms = {said.name: [form for form in FORMATS.values() if form.covers(said.name)] for said in receivable(registry)}
    assert described == {
        name: {CLOUDEVENTS.batch_media_type, *(form.media_type for form in some)} for name, some in forms.items()
    }
    messages = [asyncapi["components"]["messages"][name] for name in asyncapi["channels"]["webhook"]["messages"]]
    every = {media for form in FORMATS.values() for media in (form.media_type, form.batch_media_type)}
    assert {message["contentType"] for message in messages} == every


def test_an_example_is_shown_in_every_format_that_wants_the_event(
    openapi: Document, rows: Mapping[str, Example]
) -> None:
    wanted = {
        (name, form.media_type) for name, each in rows.items() for form in FORMATS.values() if form.wants(each.row)
    }
    shown = {(name, media_type) for name, media_type, body in bodies(openapi) if "example" in body}
    assert wanted <= shown
    assert shown - wanted == {("endpoint.tested", CLOUDEVENTS.media_type)}


def test_endpoints_take_the_formats_that_there_are(openapi: Document) -> None:
    assert openapi["components"]["schemas"]["Endpoint"]["properties"]["format"]["enum"] == list(FORMATS)


def test_types_name_their_formats_and_what_is_lost_in_each(registry: Registry) -> None:
    types = types_document(registry)
    for said, shown in zip(receivable(registry), types, strict=True):
        expected = {
            form.name: {"lost": list(form.lost(said.name))} for form in FORMATS.values() if form.covers(said.name)
        }
        assert shown["formats"] == expected
        for form in expected.values():
            assert {path.partition(".")[0] for path in form["lost"]} <= shown["schema"]["properties"].keys()
    delivered = next(each for each in types if each["name"] == "item.delivered")
    assert "proof.score" in delivered["formats"]["epcis"]["lost"]


async def test_the_headers_of_a_request_are_those_of_the_documents(openapi: Document, asyncapi: Document) -> None:
    heard: dict[str, str] = {}
    said = {
        name for file in SENDING for name in re.findall(r'"(Fieldsvc-[A-Za-z-]+)"', file.read_text(encoding="utf-8"))
    }
    ours = dict.fromkeys(said - {stream.POSITION}, "1")
    assert replay_run.HEADER in ours

    async def take(request: web.Request) -> web.Response:
        heard.update({name.lower(): value for name, value in request.headers.items()})
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/hook", take)
    async with TestServer(app) as server, Sender(allow_loopback=True) as sender:
        outcome = await sender.send(
            str(server.make_url("/hook")), "evt_1", body=b"{}", keys=[new_secret()], media_type=EPCIS.media_type,
            headers=ours,
        )  # fmt: skip
    assert outcome.ok
    assert heard["content-type"].partition(";")[0] == EPCIS.media_type
    of_http = {"host", "user-agent", "accept", "accept-encoding", "content-type", "content-length", "connection"}
    assert heard.keys() - of_http == HEADERS["properties"].keys()
    for webhook in openapi["webhooks"].values():
        named = {each["name"]: each["required"] for each in webhook["post"]["parameters"]}
        assert named == {name: name.startswith("webhook-") for name in HEADERS["properties"]}
    assert asyncapi["components"]["schemas"]["WebhookHeaders"] == orjson.loads(orjson.dumps(HEADERS))


def test_messages_of_the_stream_lie_where_the_document_says_with_its_headers(
    asyncapi: Document, rows: Mapping[str, Example]
) -> None:
    channel = asyncapi["channels"]["stream"]
    one, some = r"[^.]+", r"[^.]+\.[^.]+"
    address = (
        re.escape(channel["address"])
        .replace(r"\{", "{")
        .replace(r"\}", "}")
        .format(**{name: f"(?P<{name}>{some if name == 'type' else one})" for name in channel["parameters"]})
    )
    assert channel["parameters"].keys() == set(re.findall(r"\{(\w+)\}", channel["address"]))
    assert channel["parameters"]["shard"]["enum"] == [str(shard) for shard in range(SHARDS)]
    headers = asyncapi["components"]["schemas"]["StreamHeaders"]
    epoch = UUID(int=1)
    for name, each in rows.items():
        message = stream.message_of(each.row, epoch, most_bytes=1_000_000)
        found = re.fullmatch(address, message.subject)
        assert found is not None, name
        assert (found["shard"], found["account"], found["type"]) == (str(each.row.shard), each.row.account, name)
        assert message.headers.keys() == headers["properties"].keys() == set(headers["required"])
    assert asyncapi["servers"]["broker"]["protocol"] == "nats"
    assert stream.STREAM in asyncapi["servers"]["broker"]["description"]


def test_the_page_of_events_says_what_other_formats_lose(registry: Registry) -> None:
    page = events_markdown(registry)
    part = page[page.index("### `item.held`") : page.index("### `item.collected`")]
    for form in (EPCIS, FHIR, SUIVI):
        assert f"Also as `{form.name}`; lost there: " in part
        assert all(f"`{path}`" in part for path in form.lost("item.held"))
    assert "Also as" not in page[page.index("### `run.started`") : page.index("### `run.paused`")]
