"""V09, V10, V12, V19: the page of who sees what is what is sent; health data go to scope health alone, thin events to nobody."""

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import orjson
import pytest

from fieldsvc.logs import ALLOWED
from fieldsvc.publishing.formats.cloudevents import View
from fieldsvc.web.discretion import Mirror
from fieldsvc.web.pages.words import words_of
from fieldsvc.web.reference import who_sees
from fieldsvc.web.reference.examples import ACCOUNT, public_examples
from fieldsvc.web.reference.who_sees import CANNOT, SCREENS, Reader
from fieldsvc.web.rights import TABLE
from handlers.fields import HEALTH, PERSONAL, SECRET, FieldClass, PublicData
from handlers.registry import Registry, discover
from handlers.story import PublicType, titled

NOT_OF_EVENTS = {
    # routes for reading that say nothing of what happened, each with what they are for
    "/healthz": "the process",
    "/readyz": "the process",
    "/metrics": "the process",
    "/v1/types": "documents",
    "/openapi.json": "documents",
    "/asyncapi.json": "documents",
    "/docs": "documents",
    "/discretion": "documents",
    "/discretion/carriers": "documents",
    "/v1/discretion": "documents",
    "/v1/proof-key": "a public key",
    "/v1/relay-key": "a public key",
    "/": "pages",
    "/favicon.ico": "pages",
    "/static/{name}": "pages",
    "/sign-in/{token}": "pages",
    "/signed-in": "pages",
    "/enrol": "pages",
    "/handheld": "pages",
    "/handheld/sw.js": "pages",
    "/handheld/shell.json": "pages",
    "/handheld/manifest.webmanifest": "pages",
    "/supervision": "pages",
    "/supervision/morning": "pages",
    "/supervision/alerts": "pages",
    "/supervision/replay": "pages",
    "/supervision/addresses": "pages",
    "/supervision/reports": "pages",
    "/supervision/health": "pages",
    "/supervision/national": "pages",
    "/supervision/phones": "pages",
    "/suivi/reexpedition": "a form",
    "/suivi/{token}/modifier": "a form, for who holds the link of an item",
    "/suivi/demandes": "a customer's own requests, in words",
    "/suivi/demandes/{ref}/{token}": "how one request stands, in words, for who holds its link",
    "/suivi/demandes/{ref}/{token}/modifier": "a form, for who holds the link of a request",
    "/suivi/stop/{ref}/{token}": "what one link stops, for who holds it",
    "/suivi/dossier/{ref}": "/v1/delivery-changes/{id}, as a page",
    "/counter": "a form",
    "/counter/items/{item_id}": "how one item stands, in words, for who hands it over",
    "/counter/returns": "which items go back",
    "/counter/waits": "figures of an office",
    "/suivi/{token}/ici": "a ticket, for who holds the link of an item",
    "/adviser": "a form",
    "/adviser/cases": "/v1/cases, as a page",
    "/adviser/cases/{id}": "/v1/cases/{id}, as a page",
    "/adviser/items/{item_id}": "how one item stands, in words, for who explains it",
    "/adviser/items/{item_id}/change": "a form",
    "/adviser/changes/{id}": "/v1/delivery-changes/{id}, as a page",
    "/suivi": "pages",
    "/suivi/aide": "pages",
    "/suivi/sign-in": "a form",
    "/suivi/sign-in/provider": "leads to the provider",
    "/suivi/sign-in/callback": "comes back from the provider",
    "/suivi/sign-in/code": "a form",
    "/suivi/compte": "a customer's own account",
    "/staff/sign-in": "leads to the provider",
    "/staff/sign-in/callback": "comes back from the provider",
    "/suivi/avis": "pages",
    "/suivi/accessibilite": "pages",
    "/suivi/confidentialite": "pages",
    "/suivi/visites": "visits, as far as the visited person lets them be known: tests/web/test_households.py",
    "/suivi/{token}/contester": "what became of one item, in words, for who holds its link",
    "/suivi/foyer/{id}/boite": "how the case of a household's own box stands",
    "/suivi/foyer": "what a household tells, for who proved to live there",
    "/suivi/foyer/adresse": "a form",
    "/suivi/foyer/{id}/consignes": "what a household tells, for who proved to live there",
    "/suivi/foyer/{id}/quitter": "a form",
    "/suivi/{token}/satisfaction": "a form",
    "/suivi/{token}/preuve": "pages",
    "/suivi/{token}/preuve.pdf": "the proof of one item, for who received it and typed the code",
    "/suivi/{token}": "how one item stands, in words, for who holds its link",
    "/partner": "how the account's own orders stand, in words, for who ordered them",
    "/partner/new/{service}": "a form",
    "/partner/orders/{id}": "how an order of the account stands, in words, for who ordered it",
    "/partner/orders/{id}/change": "a form, for who ordered it",
    "/partner/orders/{id}/label": "what was ordered, to print",
    "/partner/orders/{id}/proof": "/v1/items/{item_id}/proof, for who ordered it",
    "/basemap.geojson": "the ground",
    "/osmand/{token}": "takes positions",
    "/v1/services": "which services there are",
    "/v1/me/receipts": "ids and digests of what the phone itself sent",
    "/v1/desks": "the operator's own desks",
    "/v1/supervision/health": "how many events arrive, by site",
    "/v1/colleagues": "who watches over a site",
    "/v1/rounds": "the plan",
    "/v1/rounds/{id}": "the plan",
    "/v1/media/{sha256}": "pictures, as rights has it",
    "/v1/endpoints": "the account's own endpoints",
    "/v1/endpoints/{id}": "the account's own endpoints",
    "/v1/endpoints/{id}/attempts": "the account's own endpoints",
    "/v1/endpoints/{id}/parked": "the account's own endpoints",
    "/v1/endpoints/{id}/dead-letters": "the account's own endpoints",
    "/v1/endpoints/{id}/replays": "the account's own endpoints",
    "/v1/endpoints/{id}/replays/{rid}": "the account's own endpoints",
    "/integrations/keys": "the account's own keys",
    "/integrations/catalogue": "documents",
    "/integrations/catalogue/{name}": "documents",
    "/integrations/feed": "events themselves: the readers of each type",
    "/integrations/audit": "who changed what in the account",
    "/integrations/sandbox": "made-up events of a sandbox",
    "/integrations/certify": "the account's own certificates",
    "/integrations/certify/{id}": "the account's own certificates",
    "/mail/{token}": "a form",
    "/integrations": "the account's own endpoints",
    "/integrations/endpoints/new": "pages",
    "/integrations/endpoints/{id}": "the account's own endpoints",
    "/integrations/endpoints/{id}/edit": "the account's own endpoints",
    "/integrations/endpoints/{id}/secret": "the account's own endpoints",
    "/integrations/endpoints/{id}/events/{event_id}": "events themselves: the readers of each type",
    "/v1/feed": "events themselves: the readers of each type",
    "/v1/events/{id}": "events themselves: the readers of each type",
    "/v1/me/access": "who looked, for the carrier",
    "/v1/me/export": "the carrier's own download",
    "/v1/audit": "who looked, for the auditor",
}


@pytest.fixture(scope="module")
def mirror() -> Mirror:
    return Mirror(discover())


def leaves(data: Mapping[str, Any], known: Mapping[str, FieldClass], prefix: str = "") -> set[str]:
    """Name what an event says, down to the fields that the page knows."""
    found: set[str] = set()
    for name, value in data.items():
        path = prefix + name
        nested = isinstance(value, dict) and path not in known
        found |= leaves(value, known, f"{path}.") if nested else {path}
    return found


@pytest.mark.parametrize(
    ("reader", "view"),
    [
        (Reader.FULL, View(ACCOUNT)),
        (Reader.HEALTH, View(ACCOUNT, health=True)),
        (Reader.THIN, View(ACCOUNT, thin=True)),
        (Reader.OPERATOR, View("the operator", operator=True)),
    ],
)
def test_what_the_page_says_of_a_type_is_what_its_readers_are_sent(
    registry: Registry, mirror: Mirror, reader: Reader, view: View
) -> None:
    told = {each.said.name: each for each in mirror.public}
    sent = public_examples(registry, view)
    assert len(sent) > 70
    for name, event in sent.items():
        assert leaves(event["data"], told[name].fields) <= set(told[name].seen[reader]), name
    assert told.keys() == {*registry.public, "endpoint.tested"}


def test_the_page_is_made_of_every_field_of_every_model(registry: Registry, mirror: Mirror) -> None:
    for each in mirror.public:
        assert {path.partition(".")[0] for path in each.fields} == set(_names(each.said.data))
        assert set(each.seen) == set(Reader)
    assert {each.kind.name for each in mirror.sent} == registry.kinds.keys()
    for sent in mirror.sent:
        assert {path.partition(".")[0] for path in sent.fields} == set(_names(sent.kind.payload))


def _names(model: Any) -> list[str]:
    return [field.alias or name for name, field in model.model_fields.items()]


def test_a_new_field_or_another_class_changes_the_page() -> None:
    class Told(PublicData):
        quiet: str
        loud: Annotated[str, HEALTH]

    said = PublicType("x.told", Told, titled("x", "x"))
    assert who_sees.classes_of(Told) == {"quiet": PERSONAL, "loud": HEALTH}
    assert who_sees.read_by(said, View(who_sees._OWNER)) == ["quiet"]
    assert who_sees.read_by(said, View(who_sees._OWNER, health=True)) == ["quiet", "loud"]


def test_no_health_field_of_any_published_model_reaches_anybody_without_scope_health(mirror: Mirror) -> None:
    health = [(each, path) for each in mirror.public for path, name in each.fields.items() if name is HEALTH]
    assert len(health) >= 7
    for each, path in health:
        assert [reader for reader, seen in each.seen.items() if path in seen] == [Reader.HEALTH], (each.said.name, path)


def test_nothing_secret_is_published_at_all(mirror: Mirror) -> None:
    assert [each.said.name for each in mirror.public if any(SECRET is name for name in each.fields.values())] == []


def test_no_screen_has_a_field_of_health(mirror: Mirror) -> None:
    names = {path for each in mirror.public for path, name in each.fields.items() if name is HEALTH}
    names |= {path for each in mirror.sent for path, name in each.fields.items() if name is HEALTH}
    assert {"handed_to", "label_matched", "needs", "note"} <= names
    others = {
        "note": "of a hazard, a case, an address",
        "needs": "of a delivery change: identity or code",
        "urgent": "how many alerts of a site are",
        "answers": "how many a figure is made of",
    }
    found = {path.rpartition(".")[2] for screen in mirror.screens for path in screen.fields} & names
    assert found <= others.keys()


def test_a_thin_event_and_another_account_get_nothing_of_any_type(mirror: Mirror) -> None:
    for each in mirror.public:
        for reader in (Reader.THIN, Reader.OTHER, Reader.LOGS):
            assert not each.seen[reader], (each.said.name, reader)


def test_logs_know_ids_and_no_name_of_anything_personal(mirror: Mirror) -> None:
    telling = {
        "addressee",
        "carrier",
        "name",
        "address",
        "note",
        "text",
        "answers",
        "lat",
        "lon",
        "fix",
        "phone",
        "email",
    }
    assert not telling & ALLOWED


def test_every_route_on_which_events_are_read_is_on_the_page() -> None:
    reading = {path for method, path in TABLE if method == "GET"}
    shown = {path for _, path in SCREENS}
    assert sorted(reading - shown - NOT_OF_EVENTS.keys()) == [], "is it a screen? Add it to who_sees.SCREENS"
    assert shown <= reading
    assert not shown & NOT_OF_EVENTS.keys()


def test_every_screen_names_its_fields_and_belongs_to_a_service(mirror: Mirror) -> None:
    for screen in mirror.screens:
        assert screen.fields, screen.route
        assert screen.services, screen.route


def test_each_cannot_has_its_words_and_tests_that_exist() -> None:
    assert len({each.question for each in CANNOT}) == len(CANNOT) >= 8
    for each in CANNOT:
        assert each.tests
        for language in ("fr", "en"):
            assert words_of(language)[f"council.cannot.{each.question}"]
        assert [name for name in each.tests if not exists(name)] == []


def exists(name: str) -> bool:
    """Tell whether a test of that name stands in that file."""
    path, _, test = name.partition("::")
    file = Path(__file__).parents[2] / path
    if not file.is_file():
        return False
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_the_document_for_programs_says_what_the_page_says(mirror: Mirror) -> None:
    found = orjson.loads(mirror.document)
    shown = {each["type"]: each for service in mirror.services("en") for each in service["public"]}
    assert {each["type"] for each in found["public_types"]} == shown.keys()
    for each in found["public_types"]:
        assert each["readers"] == shown[each["type"]]["readers"]
        rows = {reader: row["nested"] for row in shown[each["type"]]["rows"] for reader in row["readers"]}
        for reader, fields in each["readers"].items():
            assert [f"{name}.{each}" for name, inner in rows[Reader(reader)] for each in inner] == [
                path for path in fields if "." in path
            ]
            assert [name for name, inner in rows[Reader(reader)] if not inner] == [
                path for path in fields if "." not in path
            ]
    sent = {each["type"] for service in mirror.services("fr") for each in service["sent"]}
    assert sent == {each["type"] for each in found["field_types"]}
    assert {each["route"] for each in found["screens"]} == {" ".join(each.route) for each in mirror.screens}
