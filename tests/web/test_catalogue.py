"""The documents: nothing of the service is left out, everything they say fits together, and the examples are true."""

import pkgutil
import re
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

import fieldsvc.web
import handlers
from fieldsvc.access.enrolment import credentials
from fieldsvc.errors import NotFound
from fieldsvc.intake.reasons import REASONS, STATUSES, WARNINGS
from fieldsvc.publishing.endpoints import Shown
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.publishing.signing import verify
from fieldsvc.store.attempts import Attempt
from fieldsvc.store.endpoints import Endpoint
from fieldsvc.web import asyncapi, carrier, catalogue, documents, endpoints
from fieldsvc.web.catalogue import CATALOGUE, Catalogue, types_document
from fieldsvc.web.endpoint_bodies import EndpointChange, NewEndpoint
from fieldsvc.web.openapi import described_routes, key_of, openapi_document, summary_of
from fieldsvc.web.pages.page import POLICY
from fieldsvc.web.problems import from_error
from fieldsvc.web.reference.bodies import WRITTEN
from fieldsvc.web.reference.endpoint_examples import ANSWERS
from fieldsvc.web.reference.events import examples_of_public, field_examples, receivable
from fieldsvc.web.reference.examples import ACCOUNT, public_examples
from fieldsvc.web.reference.markdown import events_markdown
from fieldsvc.web.reference.operations import OPERATIONS
from fieldsvc.web.reference.schemas import schema_of
from handlers.base import wire_type
from handlers.fields import FieldClass
from handlers.registry import Registry, discover
from tests.web.json_schema import faults, references, resolve

ROOT = Path(__file__).parents[2]
EVENT = "application/cloudevents+json"


@pytest.fixture(scope="module")
def openapi(registry: Registry) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(orjson.dumps(openapi_document(registry, documents.every_router())))
    return document


@pytest.fixture(scope="module")
def messages(registry: Registry) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(orjson.dumps(asyncapi.asyncapi_document(registry)))
    return document


@pytest.fixture
async def client(registry: Registry) -> AsyncIterator[TestClient[web.Request, web.Application]]:
    app = web.Application()
    app[CATALOGUE] = Catalogue.of(registry, lambda: app)
    app.router.add_routes([*catalogue.routes, *carrier.routes])
    async with TestClient(TestServer(app)) as opened:
        yield opened


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield path, method, operation


# Routes


def test_every_route_has_an_entry_and_every_entry_has_a_route() -> None:
    assert {key_of(route) for route in described_routes(documents.every_router())} == OPERATIONS.keys()


def test_every_module_of_views_is_in_the_documents() -> None:
    routed = {key_of(route) for route in described_routes(documents.every_router())}
    for module in pkgutil.iter_modules(fieldsvc.web.__path__, "fieldsvc.web."):
        router = web.UrlDispatcher()
        router.add_routes(getattr(import_module(module.name), "routes", []))
        assert {key_of(route) for route in described_routes(router)} <= routed, module.name


def test_every_view_says_in_one_line_what_it_does() -> None:
    for route in described_routes(documents.every_router()):
        assert re.fullmatch(r"[A-Z].{5,}\.", summary_of(route)), key_of(route)
        assert OPERATIONS[key_of(route)].fr.endswith("."), key_of(route)


def test_a_route_that_nobody_described_appears_with_its_docstring(registry: Registry) -> None:
    async def look(_request: web.Request) -> web.Response:
        """Look at one thing."""
        return web.Response()

    router = web.UrlDispatcher()
    router.add_routes([web.get("/v1/things/{id}", look), web.get("/v1/other", look)])
    paths = openapi_document(registry, router)["paths"]
    assert paths["/v1/things/{id}"]["get"]["summary"] == "Look at one thing."
    assert [each["name"] for each in paths["/v1/things/{id}"]["get"]["parameters"]] == ["id"]
    assert paths["/v1/other"]["get"]["operationId"] != paths["/v1/things/{id}"]["get"]["operationId"]


# The OpenAPI document


def test_references_of_both_documents_lead_somewhere(openapi: dict[str, Any], messages: dict[str, Any]) -> None:
    for document in (openapi, messages):
        found = list(references(document))
        assert len(found) > 100
        for pointer in found:
            assert resolve(document, pointer) is not None


def test_every_component_is_used_and_well_named(openapi: dict[str, Any]) -> None:
    pointers = set(references(openapi))
    for name in openapi["components"]["schemas"]:
        assert re.fullmatch(r"[a-zA-Z0-9._-]+", name)
        assert f"#/components/schemas/{name}" in pointers, name


def test_parameters_of_paths_are_declared_once_and_exactly(openapi: dict[str, Any]) -> None:
    for path, method, operation in operations(openapi):
        declared = [each["name"] for each in operation.get("parameters", []) if each["in"] == "path"]
        assert sorted(declared) == sorted(re.findall(r"\{(\w+)\}", path)), (method, path)
        places = [(each["in"], each["name"]) for each in operation.get("parameters", [])]
        assert len(places) == len(set(places))


def test_operations_have_names_tags_and_security_that_exist(openapi: dict[str, Any]) -> None:
    names = [operation["operationId"] for _, _, operation in operations(openapi)]
    names += [methods["post"]["operationId"] for methods in openapi["webhooks"].values()]
    assert len(names) == len(set(names))
    tags, schemes = {tag["name"] for tag in openapi["tags"]}, openapi["components"]["securitySchemes"].keys()
    for path, _, operation in operations(openapi):
        assert set(operation["tags"]) <= tags, path
        assert all(each.keys() <= schemes for each in operation["security"]), path
        assert all(answer["description"] for answer in operation["responses"].values()), path


def test_only_the_catalogue_signing_in_and_health_are_open_to_everyone(openapi: dict[str, Any]) -> None:
    opened = {f"{method} {path}" for path, method, operation in operations(openapi) if not operation["security"]}
    catalogued = {"get /v1/types", "get /openapi.json", "get /asyncapi.json", "get /docs", "get /v1/proof-key"}
    catalogued |= {"get /v1/discretion", "get /v1/relay-key"}
    signing = {"post /v1/devices/enrol", "get /sign-in/{token}", "post /sign-in/{token}"}
    by_their_path = {"get /osmand/{token}", "post /osmand/{token}"}  # OpenAPI has no scheme for credentials in a path
    assert opened == catalogued | signing | by_their_path | {"get /healthz", "get /readyz", "get /metrics"}


def test_every_error_is_a_problem_with_its_codes(openapi: dict[str, Any]) -> None:
    for path, method, operation in operations(openapi):
        table = OPERATIONS[(method.upper(), path)]
        for status, answer in operation["responses"].items():
            if status == "default" or (int(status) >= 400 and int(status) not in table.answers):
                schema = answer["content"]["application/problem+json"]["schema"]
                assert "#/components/schemas/Problem" in references(schema), (method, path, status)
    posting = openapi["paths"]["/v1/events"]["post"]["responses"]
    codes = {status: _codes(answer) for status, answer in posting.items() if status not in ("200", "default")}
    assert codes == {
        "400": ["not_json", "bad_request", "bad_body"],
        "401": ["unauthorized"],
        "403": ["revoked", "csrf"],
        "413": ["too_large"],
        "415": ["unsupported_media_type"],
        "429": ["too_many_requests"],
        "503": ["unavailable"],
    }
    assert "Retry-After" in posting["429"]["headers"]
    assert "Retry-After" in posting["503"]["headers"]


def _codes(answer: dict[str, Any]) -> list[str]:
    codes: list[str] = answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["code"]["enum"]
    return codes


def test_statuses_reasons_and_warnings_are_closed_lists(openapi: dict[str, Any]) -> None:
    result = openapi["components"]["schemas"]["EventResult"]["properties"]
    assert result["status"]["enum"] == list(STATUSES)
    assert result["reason"]["enum"] == list(REASONS)
    assert result["warnings"]["items"]["enum"] == list(WARNINGS)


# Schemas and examples


def test_examples_of_field_events_fit_their_schemas(registry: Registry, openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    for name, events in field_examples(registry).items():
        for event in events:
            assert faults(event, schemas[f"field.{name}"], openapi) == []
            assert faults(event, schemas["FieldEvent"], openapi) == []
    shown = openapi["paths"]["/v1/events"]["post"]["requestBody"]["content"][EVENT]["examples"]
    assert shown.keys() == registry.kinds.keys()


def test_schemas_refuse_a_field_event_with_a_wrong_member(registry: Registry, openapi: dict[str, Any]) -> None:
    event = field_examples(registry)["item.delivered"][0]
    schema = openapi["components"]["schemas"]["FieldEvent"]
    for wrong in (
        {**event, "specversion": "0.3"},
        {**event, "type": "fieldsvc.item.unknown.v1"},
        {**event, "data": {**event["data"], "to": "dog"}},
        {**event, "data": {**event["data"], "fix": {"lat": 91, "lon": 0}}},
        {key: value for key, value in event.items() if key != "id"},
    ):
        assert faults(wrong, schema, openapi)


@pytest.mark.parametrize(
    "view",
    [
        View(ACCOUNT, health=True),
        View(ACCOUNT),
        View(ACCOUNT, operator=True, health=True),
        View("acc-of-operator", operator=True),
        View(ACCOUNT, thin=True),
    ],
    ids=["owner with health", "owner", "owner and operator", "operator", "thin"],
)
def test_public_events_fit_their_schemas_whoever_looks(view: View, registry: Registry, openapi: dict[str, Any]) -> None:
    schemas = openapi["components"]["schemas"]
    for name, event in public_examples(registry, view).items():
        assert faults(event, schemas[f"public.{name}"], openapi) == []
        assert faults(event, schemas["PublicEvent"], openapi) == []


def test_every_receivable_type_has_an_example_and_a_webhook(registry: Registry, openapi: dict[str, Any]) -> None:
    names = {said.name for said in receivable(registry)}
    assert examples_of_public(registry).keys() == names
    assert openapi["webhooks"].keys() == names
    for name, methods in openapi["webhooks"].items():
        example = methods["post"]["requestBody"]["content"][EVENT]["example"]
        assert example["type"] == wire_type(name)
        assert faults(example, openapi["components"]["schemas"][f"public.{name}"], openapi) == []


def test_an_event_with_an_erased_part_fits_its_schema(registry: Registry, openapi: dict[str, Any]) -> None:
    event = public_examples(registry)["home_visit.completed"]
    erased = {key: value for key, value in event["data"].items() if key != "facts"} | {"erased": True}
    assert (
        faults({**event, "data": erased}, openapi["components"]["schemas"]["public.home_visit.completed"], openapi)
        == []
    )


def test_every_field_of_public_data_says_its_class_or_is_made_of_fields_that_do(registry: Registry) -> None:
    classes = {each.value for each in FieldClass}
    for said in receivable(registry):
        whole = schema_of(said.data)
        for part in (whole, *whole.get("$defs", {}).values()):
            for name, field in part["properties"].items():
                assert field.get("x-class") in classes or list(references(field)), (said.name, name)


def test_schemas_require_nothing_that_a_reader_may_not_get(registry: Registry) -> None:
    for said in receivable(registry):
        schema = schema_of(said.data)
        for name in schema.get("required", ()):
            assert schema["properties"][name].get("x-class", "public") == "public", (said.name, name)
    delivered = schema_of(registry.public["medication.delivered"].data)
    assert delivered["properties"]["handed_to"]["x-class"] == "health"
    assert delivered["required"] == ["pouch_id", "proof"]


def test_what_views_answer_fits_what_is_written_about_it(registry: Registry) -> None:
    now = datetime(2026, 11, 21, 9, 42, tzinfo=UTC)
    endpoint = Endpoint("ep_1", "acc-1", "https://a.example/", ["item.*"], False, "active", None, 1, now)
    shown = endpoints.endpoint_json(endpoint, Shown(["X-Tenant"], bearer=True))
    attempt = endpoints.tried_json(Attempt("ep_1", "evt_1", 1, now, 200, 12, None, b"ok"))
    device = {**credentials("http://a", "d-1", token="t", passphrase="p"), "carrier": "c", "site": "s", "round": None}
    problem = from_error(NotFound()).body
    assert isinstance(problem, bytes)
    answers: dict[str, Any] = {
        "Endpoint": shown,
        "EndpointMade": {**shown, "secret": "whsec_a"},
        "Endpoints": {"endpoints": [shown], "next": None},
        "Attempts": {"attempts": [attempt], "next": "c"},
        "DeviceCredentials": device,
        "Problem": orjson.loads(problem),
        "Services": orjson.loads(carrier.services_document(registry)),
        "Types": {"types": types_document(registry)},
    }
    document = {"components": {"schemas": WRITTEN}}
    for name, answer in answers.items():
        assert faults(answer, WRITTEN[name], document) == []
        assert faults({key: answer[key] for key in list(answer)[1:]}, WRITTEN[name], document)


def test_the_examples_of_endpoints_are_what_is_taken_and_answered(openapi: dict[str, Any]) -> None:
    for model in (NewEndpoint, EndpointChange):
        (asked,) = openapi["components"]["schemas"][f"endpoint_bodies.{model.__name__}"]["examples"]
        assert len(model.model_validate_json(orjson.dumps(asked)).asked) == len(asked)
    shown = 0
    for path, operations in openapi["paths"].items():
        for method, said in operations.items():
            for answer in said["responses"].values() if path.startswith("/v1/endpoints") else ():
                schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
                for example in schema.get("examples", ()):
                    assert faults(example, {"$ref": schema["$ref"]}, openapi) == [], (method, path)
                    shown += 1
    assert shown >= len(ANSWERS)


def test_a_service_in_a_new_file_is_in_every_document(tmp_path: Path) -> None:
    source = (Path(handlers.__file__).parent / "object.py").read_text(encoding="utf-8")
    renamed = source.replace("object.signalled", "bench.signalled").replace('name = "object"', 'name = "bench"')
    (tmp_path / "bench_object.py").write_text(renamed, encoding="utf-8")
    registry = discover(tmp_path)
    described = openapi_document(registry, documents.every_router())
    assert {"field.bench.signalled", "public.bench.signalled"} <= described["components"]["schemas"].keys()
    assert "webhook.bench.signalled" in asyncapi.asyncapi_document(registry)["components"]["messages"]
    assert "bench.signalled" in {each["name"] for each in types_document(registry)}
    assert "### `bench.signalled`" in events_markdown(registry)


# The AsyncAPI document


def test_asyncapi_receives_every_field_event_and_sends_every_public_one(
    registry: Registry, messages: dict[str, Any]
) -> None:
    assert messages["asyncapi"] == "3.1.0"
    actions = {name: operation["action"] for name, operation in messages["operations"].items()}
    assert actions.pop("receive_field_events") == "receive"
    assert actions == dict.fromkeys(("send_to_webhook", "send_to_feed", "send_to_stream"), "send")
    taken = {
        pointer["$ref"].rpartition("/")[2] for pointer in messages["operations"]["receive_field_events"]["messages"]
    }
    assert taken == {f"field.{name}" for name in registry.kinds}
    sent = {pointer["$ref"].rpartition("/")[2] for pointer in messages["operations"]["send_to_webhook"]["messages"]}
    others = {"webhook.batch", "webhook.epcis", "webhook.fhir", "webhook.suivi"}
    assert sent == {f"webhook.{said.name}" for said in receivable(registry)} | others
    assert messages["channels"]["webhook"]["address"] is None


def test_messages_of_an_operation_belong_to_its_channel(messages: dict[str, Any]) -> None:
    for operation in messages["operations"].values():
        channel = operation["channel"]["$ref"]
        for pointer in [*operation["messages"], *operation.get("reply", {}).get("messages", [])]:
            assert pointer["$ref"].startswith(f"{channel}/messages/")


def test_examples_of_messages_fit_their_schemas_and_their_signatures_verify(messages: dict[str, Any]) -> None:
    key = re.search(r"whsec_\w+", messages["components"]["securitySchemes"]["webhook_signature"]["description"])
    assert key is not None
    for name, message in messages["components"]["messages"].items():
        assert message["examples"], name
        for example in message["examples"]:
            assert faults(example["payload"], message["payload"], messages) == []
            if "headers" in message:
                assert faults(example["headers"], message["headers"], messages) == []
            if name.startswith("webhook."):
                now, body = float(example["headers"]["webhook-timestamp"]), orjson.dumps(example["payload"])
                assert verify([key[0]], example["headers"], body, now=now) == example["headers"]["webhook-id"]


# What is served


async def test_documents_are_served_to_everyone_and_are_those_of_this_app(
    client: TestClient[web.Request, web.Application], registry: Registry
) -> None:
    for path in ("/v1/types", "/openapi.json", "/asyncapi.json"):
        answer = await client.get(path)
        assert (answer.status, answer.content_type) == (200, "application/json")
        assert orjson.loads(await answer.read())
    described = orjson.loads(await (await client.get("/openapi.json")).read())
    assert "/v1/runs/current" in described["paths"]
    assert "/v1/tasks" not in described["paths"], "this app has no such route"
    types = orjson.loads(await (await client.get("/v1/types")).read())["types"]
    assert [each["name"] for each in types] == [said.name for said in receivable(registry)]


async def test_documents_are_made_once(client: TestClient[web.Request, web.Application]) -> None:
    assert client.app is not None
    made = client.app[CATALOGUE]
    await client.get("/openapi.json")
    first = made.openapi
    await client.get("/openapi.json")
    assert made.openapi is first


async def test_the_page_speaks_the_language_asked_for_and_names_every_route_and_type(
    client: TestClient[web.Request, web.Application], registry: Registry
) -> None:
    pages = {}
    for asked, language in (("en-GB,fr;q=0.5", "en"), ("fr", "fr"), ("de", "fr"), ("", "fr")):
        answer = await client.get("/docs", headers={"Accept-Language": asked})
        pages[language] = await answer.text()
        assert f'<html lang="{language}">' in pages[language]
        assert "Accept-Language" in answer.headers["Vary"]
    for language, page in pages.items():
        assert {"/openapi.json", "/asyncapi.json"} <= set(re.findall(r'href="([^"]+)"', page))
        for said in receivable(registry):
            assert wire_type(said.name) in page
        assert "GET /v1/runs/current" in page
        assert ("Nomme la tournée du jour." if language == "fr" else "Name the run of the day.") in page


async def test_the_page_runs_nothing(client: TestClient[web.Request, web.Application]) -> None:
    answer = await client.get("/docs")
    page = await answer.text()
    assert answer.headers["Content-Security-Policy"] == POLICY
    assert "<script" not in page
    assert "style=" not in page


def test_the_page_of_events_is_up_to_date(registry: Registry) -> None:
    kept = (ROOT / "docs/events.md").read_text(encoding="utf-8")
    assert kept == events_markdown(registry), "python -m fieldsvc.web.documents > docs/events.md"
