"""Every route of the service, and who may call it: nothing is open by accident. Each of them asked by each: test_rights_matrix."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

import pytest
from aiohttp import web

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.web.rights import RIGHTS, TABLE
from fieldsvc.web.rights_row import ACCOUNT, ANYONE, CUSTOMER, DEVICE, MACHINE, Credential
from fieldsvc.work.imports import create_site
from tests.acceptance.service import Answer, Service
from tests.databases import drop_database, new_database

SITE = "site-pantin"
Headers = dict[str, str]


class Who(StrEnum):
    """Who may call a route."""

    ANYONE = "anyone"
    LINK = "whoever holds a one-time code or link"
    DEVICE = "a device"
    ACCOUNT = "a subscriber's account"
    PERSON = "a signed-in person"
    STAFF = "a signed-in person, but for customers"
    PARTNER = "a partner"
    CUSTOMER = "a signed-in customer"
    ORDERER = "an account, an adviser or a supervisor"
    VIEWER = "a device, an account, a supervisor or the operator"
    PROVER = "an account, an adviser, a supervisor or the operator"
    SUPERVISOR = "a supervisor"
    WATCHER = "a supervisor or the operator"
    OPERATOR = "the operator"
    JUDGE = "address quality, a supervisor or the operator"
    REPORTED = "a supervisor, the operator, an auditor or a member"
    REPORTER = "a supervisor, the operator or an auditor"
    ANSWERER = "a supervisor, an adviser or the operator"
    AUDITOR = "an auditor"
    MEMBER = "a subscriber's person"
    CLERK = "somebody of the counter"
    ADVISER = "an adviser"
    COLLEAGUE = "a device, a supervisor or the operator"
    SENDER = "a device, an account, or a person with the CSRF token"


ROUTES: dict[tuple[str, str], Who] = {
    ("GET", "/healthz"): Who.ANYONE,
    ("GET", "/readyz"): Who.ANYONE,
    ("GET", "/metrics"): Who.ANYONE,  # of this machine: test_metrics_are_for_this_machine_and_for_the_operator
    ("GET", "/v1/types"): Who.ANYONE,
    ("GET", "/openapi.json"): Who.ANYONE,
    ("GET", "/asyncapi.json"): Who.ANYONE,
    ("GET", "/docs"): Who.ANYONE,
    ("GET", "/discretion"): Who.ANYONE,
    ("GET", "/suivi/sign-in"): Who.ANYONE,
    ("POST", "/suivi/sign-in"): Who.LINK,  # a page's form, and what the browser keeps: tests/acceptance/test_sign_in.py
    ("GET", "/suivi/sign-in/provider"): Who.LINK,
    ("GET", "/suivi/sign-in/callback"): Who.LINK,
    ("GET", "/suivi/sign-in/code"): Who.LINK,
    ("POST", "/suivi/sign-in/code"): Who.LINK,
    ("GET", "/suivi/compte"): Who.LINK,
    ("POST", "/suivi/compte/close"): Who.CUSTOMER,
    ("GET", "/staff/sign-in"): Who.ANYONE,
    ("GET", "/staff/sign-in/callback"): Who.LINK,
    ("GET", "/suivi"): Who.ANYONE,
    ("POST", "/suivi"): Who.LINK,
    ("GET", "/suivi/aide"): Who.ANYONE,
    ("GET", "/suivi/avis"): Who.ANYONE,
    ("POST", "/suivi/avis"): Who.LINK,
    ("GET", "/suivi/accessibilite"): Who.ANYONE,
    ("GET", "/suivi/confidentialite"): Who.ANYONE,
    ("GET", "/suivi/{token}"): Who.LINK,
    ("GET", "/suivi/{token}/preuve"): Who.LINK,
    ("POST", "/suivi/{token}/preuve"): Who.LINK,
    ("GET", "/suivi/{token}/preuve.pdf"): Who.LINK,
    ("GET", "/suivi/visites"): Who.LINK,
    ("GET", "/suivi/foyer"): Who.LINK,  # or who signs in first: tests/web/test_households.py
    ("GET", "/suivi/foyer/adresse"): Who.LINK,
    ("GET", "/suivi/foyer/{id}/consignes"): Who.LINK,
    ("GET", "/suivi/foyer/{id}/boite"): Who.LINK,
    ("GET", "/suivi/foyer/{id}/quitter"): Who.LINK,
    ("POST", "/suivi/foyer/adresse"): Who.CUSTOMER,
    ("POST", "/suivi/foyer/{id}/code"): Who.CUSTOMER,
    ("POST", "/suivi/foyer/{id}/consignes"): Who.CUSTOMER,
    ("POST", "/suivi/foyer/{id}/boite"): Who.CUSTOMER,
    ("POST", "/suivi/foyer/{id}/quitter"): Who.CUSTOMER,
    ("GET", "/suivi/{token}/contester"): Who.LINK,
    ("POST", "/suivi/{token}/contester"): Who.LINK,
    ("GET", "/suivi/{token}/satisfaction"): Who.LINK,
    ("POST", "/suivi/{token}/satisfaction"): Who.LINK,
    ("GET", "/discretion/carriers"): Who.ANYONE,
    ("GET", "/v1/discretion"): Who.ANYONE,
    ("POST", "/v1/devices/enrol"): Who.LINK,
    ("GET", "/sign-in/{token}"): Who.LINK,
    ("POST", "/sign-in/{token}"): Who.LINK,
    ("GET", "/signed-in"): Who.PERSON,
    ("POST", "/sign-out"): Who.PERSON,
    ("POST", "/v1/events"): Who.SENDER,
    ("POST", "/v1/positions"): Who.DEVICE,
    ("PUT", "/v1/media/{sha256}"): Who.DEVICE,
    ("GET", "/v1/media/{sha256}"): Who.VIEWER,
    ("GET", "/v1/items/{item_id}/proof"): Who.PROVER,
    ("GET", "/v1/proof-key"): Who.ANYONE,
    ("GET", "/v1/relay-key"): Who.ANYONE,
    ("POST", "/v1/relays"): Who.DEVICE,
    ("POST", "/owntracks"): Who.DEVICE,
    ("GET", "/osmand/{token}"): Who.LINK,  # the token of a device: test_the_token_of_a_path_is_a_devices
    ("POST", "/osmand/{token}"): Who.LINK,
    ("POST", "/v1/devices/codes"): Who.SUPERVISOR,
    ("GET", "/v1/alerts"): Who.WATCHER,
    ("POST", "/v1/alerts/{id}/ack"): Who.WATCHER,
    ("POST", "/v1/alerts/{id}/assign"): Who.WATCHER,
    ("GET", "/v1/colleagues"): Who.WATCHER,
    ("GET", "/v1/me/alarms"): Who.DEVICE,
    ("GET", "/v1/desks"): Who.WATCHER,
    ("PUT", "/v1/desks/{name}"): Who.WATCHER,
    ("DELETE", "/v1/desks/{name}"): Who.WATCHER,
    ("GET", "/v1/live"): Who.WATCHER,
    ("GET", "/v1/runs"): Who.WATCHER,
    ("GET", "/v1/rounds"): Who.JUDGE,
    ("GET", "/v1/rounds/{id}"): Who.JUDGE,
    ("GET", "/v1/runs/{id}/replay"): Who.WATCHER,
    ("GET", "/v1/delivery-points"): Who.WATCHER,
    ("GET", "/v1/hazards"): Who.WATCHER,
    ("GET", "/v1/access-cases"): Who.WATCHER,
    ("GET", "/v1/runs/{id}/stops"): Who.WATCHER,
    ("GET", "/v1/runs/not-back"): Who.WATCHER,
    ("GET", "/v1/overview"): Who.WATCHER,
    ("GET", "/v1/supervision/health"): Who.WATCHER,
    ("GET", "/v1/runs/{id}/timeline"): Who.WATCHER,
    ("GET", "/v1/runs/{id}/requests"): Who.WATCHER,
    ("GET", "/v1/kpis"): Who.REPORTED,
    ("GET", "/v1/cases"): Who.ANSWERER,
    ("GET", "/v1/cases/{id}"): Who.ANSWERER,
    ("POST", "/v1/cases/{id}/close"): Who.ANSWERER,
    ("GET", "/v1/ideas"): Who.COLLEAGUE,
    ("GET", "/suivi/v2/idships/{ids}"): Who.LINK,  # an account's key in X-Okapi-Key: tests/reports/test_service.py
    ("GET", "/v1/runs/current"): Who.DEVICE,
    ("GET", "/v1/runs/{id}/sheet"): Who.DEVICE,
    ("GET", "/v1/services"): Who.DEVICE,
    ("GET", "/v1/me/receipts"): Who.DEVICE,
    ("GET", "/v1/me/access"): Who.DEVICE,
    ("GET", "/v1/me/export"): Who.DEVICE,
    ("GET", "/v1/audit"): Who.AUDITOR,
    ("GET", "/v1/roster"): Who.WATCHER,
    ("PUT", "/v1/roster"): Who.WATCHER,
    ("GET", "/v1/address-changes"): Who.JUDGE,
    ("POST", "/v1/address-changes/{id}/confirm"): Who.JUDGE,
    ("POST", "/v1/address-changes/{id}/reject"): Who.JUDGE,
    ("POST", "/v1/cover/proposals"): Who.WATCHER,
    ("POST", "/v1/cover/proposals/{id}/confirm"): Who.WATCHER,
    ("POST", "/v1/runs/{id}/reassign"): Who.WATCHER,
    ("POST", "/v1/runs/{id}/split"): Who.WATCHER,
    ("POST", "/v1/runs/{id}/handover"): Who.WATCHER,
    ("GET", "/v1/tasks"): Who.ORDERER,
    ("POST", "/v1/tasks"): Who.ORDERER,
    ("GET", "/v1/tasks/{id}"): Who.ORDERER,
    ("PATCH", "/v1/tasks/{id}"): Who.ORDERER,
    ("DELETE", "/v1/tasks/{id}"): Who.ORDERER,
    ("GET", "/suivi/{token}/modifier"): Who.LINK,
    ("POST", "/suivi/{token}/modifier"): Who.LINK,
    ("GET", "/suivi/reexpedition"): Who.ANYONE,
    ("POST", "/suivi/reexpedition"): Who.LINK,  # a customer who is signed in: tests/requests/test_change_pages.py
    ("GET", "/suivi/demandes"): Who.ANYONE,
    ("GET", "/suivi/demandes/{ref}/{token}"): Who.LINK,
    ("POST", "/suivi/demandes/{ref}/{token}"): Who.LINK,
    ("GET", "/suivi/demandes/{ref}/{token}/modifier"): Who.LINK,
    ("POST", "/suivi/demandes/{ref}/{token}/modifier"): Who.LINK,
    ("GET", "/suivi/stop/{ref}/{token}"): Who.LINK,
    ("POST", "/suivi/stop/{ref}/{token}"): Who.LINK,
    ("GET", "/suivi/dossier/{ref}"): Who.ANSWERER,
    ("POST", "/v1/delivery-changes"): Who.LINK,  # or who knows an item and its postcode: tests/requests
    ("GET", "/v1/delivery-changes/{id}"): Who.LINK,
    ("POST", "/v1/delivery-changes/{id}/confirm"): Who.LINK,
    ("POST", "/v1/delivery-changes/{id}/cancel"): Who.LINK,
    ("POST", "/v1/delivery-changes/{id}/stop"): Who.LINK,
    ("POST", "/v1/endpoints"): Who.ACCOUNT,
    ("GET", "/v1/endpoints"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}"): Who.ACCOUNT,
    ("PATCH", "/v1/endpoints/{id}"): Who.ACCOUNT,
    ("DELETE", "/v1/endpoints/{id}"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/secret/rotate"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/pause"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/resume"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/test"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}/attempts"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}/parked"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}/dead-letters"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/replay"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/recover"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/resend"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}/replays"): Who.ACCOUNT,
    ("GET", "/v1/endpoints/{id}/replays/{rid}"): Who.ACCOUNT,
    ("DELETE", "/v1/endpoints/{id}/replays/{rid}"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/replays/{rid}/pause"): Who.ACCOUNT,
    ("POST", "/v1/endpoints/{id}/replays/{rid}/resume"): Who.ACCOUNT,
    ("GET", "/counter"): Who.CLERK,
    ("POST", "/counter"): Who.CLERK,
    ("GET", "/counter/items/{item_id}"): Who.CLERK,
    ("POST", "/counter/items/{item_id}"): Who.CLERK,
    ("GET", "/counter/returns"): Who.CLERK,
    ("GET", "/counter/waits"): Who.CLERK,
    ("GET", "/suivi/{token}/ici"): Who.LINK,
    ("POST", "/suivi/{token}/ici"): Who.LINK,
    ("GET", "/adviser"): Who.ADVISER,
    ("POST", "/adviser"): Who.ADVISER,
    ("GET", "/adviser/cases"): Who.ADVISER,
    ("GET", "/adviser/cases/{id}"): Who.ADVISER,
    ("POST", "/adviser/cases/{id}"): Who.ADVISER,
    ("GET", "/adviser/items/{item_id}"): Who.ADVISER,
    ("POST", "/adviser/items/{item_id}/cases"): Who.ADVISER,
    ("GET", "/adviser/items/{item_id}/change"): Who.ADVISER,
    ("POST", "/adviser/items/{item_id}/change"): Who.ADVISER,
    ("GET", "/adviser/changes/{id}"): Who.ADVISER,
    ("POST", "/adviser/changes/{id}"): Who.ADVISER,
    ("GET", "/integrations"): Who.MEMBER,
    ("GET", "/integrations/endpoints/new"): Who.MEMBER,
    ("POST", "/integrations/endpoints/new"): Who.MEMBER,
    ("GET", "/integrations/endpoints/{id}"): Who.MEMBER,
    ("POST", "/integrations/endpoints/{id}"): Who.MEMBER,
    ("GET", "/integrations/endpoints/{id}/edit"): Who.MEMBER,
    ("POST", "/integrations/endpoints/{id}/edit"): Who.MEMBER,
    ("GET", "/integrations/endpoints/{id}/secret"): Who.MEMBER,
    ("POST", "/integrations/endpoints/{id}/secret"): Who.MEMBER,
    ("POST", "/integrations/endpoints/{id}/test"): Who.MEMBER,
    ("POST", "/integrations/endpoints/{id}/resend"): Who.MEMBER,
    ("GET", "/integrations/endpoints/{id}/events/{event_id}"): Who.MEMBER,
    ("GET", "/integrations/keys"): Who.MEMBER,
    ("GET", "/integrations/catalogue"): Who.MEMBER,
    ("GET", "/integrations/catalogue/{name}"): Who.MEMBER,
    ("GET", "/integrations/feed"): Who.MEMBER,
    ("GET", "/integrations/audit"): Who.MEMBER,
    ("GET", "/integrations/sandbox"): Who.MEMBER,
    ("GET", "/integrations/certify"): Who.MEMBER,
    ("GET", "/integrations/certify/{id}"): Who.MEMBER,
    ("POST", "/integrations/keys"): Who.MEMBER,
    ("POST", "/integrations/keys/mail"): Who.MEMBER,
    ("POST", "/integrations/keys/{id}/revoke"): Who.MEMBER,
    ("POST", "/integrations/sandbox"): Who.MEMBER,
    ("POST", "/integrations/sandbox/orders"): Who.MEMBER,
    ("POST", "/integrations/certify"): Who.MEMBER,
    ("GET", "/mail/{token}"): Who.LINK,
    ("POST", "/mail/{token}"): Who.LINK,
    ("GET", "/v1/feed"): Who.ACCOUNT,
    ("GET", "/v1/events/{id}"): Who.ACCOUNT,
    ("GET", "/"): Who.ANYONE,
    ("GET", "/favicon.ico"): Who.ANYONE,
    ("GET", "/enrol"): Who.ANYONE,
    ("GET", "/handheld"): Who.ANYONE,
    ("GET", "/handheld/sw.js"): Who.ANYONE,
    ("GET", "/handheld/shell.json"): Who.ANYONE,
    ("GET", "/handheld/manifest.webmanifest"): Who.ANYONE,
    ("GET", "/static/{name}"): Who.LINK,  # to a file of the pages, whose name is in them
    ("GET", "/partner"): Who.PARTNER,
    ("POST", "/partner/find"): Who.PARTNER,
    ("GET", "/partner/new/{service}"): Who.PARTNER,
    ("POST", "/partner/new/{service}"): Who.PARTNER,
    ("GET", "/partner/orders/{id}"): Who.PARTNER,
    ("GET", "/partner/orders/{id}/label"): Who.PARTNER,
    ("GET", "/partner/orders/{id}/proof"): Who.PARTNER,
    ("GET", "/partner/orders/{id}/change"): Who.PARTNER,
    ("POST", "/partner/orders/{id}/change"): Who.PARTNER,
    ("POST", "/partner/orders/{id}/cancel"): Who.PARTNER,
    ("POST", "/partner/orders/{id}/say"): Who.PARTNER,
    ("GET", "/supervision/phones"): Who.SUPERVISOR,
    ("GET", "/supervision"): Who.WATCHER,
    ("GET", "/supervision/morning"): Who.WATCHER,
    ("GET", "/supervision/alerts"): Who.WATCHER,
    ("GET", "/supervision/replay"): Who.WATCHER,
    ("GET", "/supervision/addresses"): Who.JUDGE,
    ("GET", "/supervision/reports"): Who.REPORTER,
    ("GET", "/supervision/health"): Who.WATCHER,
    ("GET", "/supervision/national"): Who.OPERATOR,
    ("GET", "/basemap.geojson"): Who.STAFF,
}
CLOSED = [(method, path, who) for (method, path), who in ROUTES.items() if who not in (Who.ANYONE, Who.LINK)]
ROLES_OF = {
    Who.SENDER: set(accounts.STAFF),
    Who.STAFF: set(accounts.STAFF),
    Who.ORDERER: {"adviser", "supervisor"},
    Who.SUPERVISOR: {"supervisor"},
    Who.PROVER: {"adviser", "supervisor", "operator"},
    Who.WATCHER: {"supervisor", "operator"},
    Who.VIEWER: {"supervisor", "operator"},
    Who.JUDGE: {"address_quality", "supervisor", "operator"},
    Who.REPORTED: {"supervisor", "operator", "auditor", "member"},
    Who.REPORTER: {"supervisor", "operator", "auditor"},
    Who.ANSWERER: {"supervisor", "adviser", "operator"},
    Who.AUDITOR: {"auditor"},
    Who.MEMBER: {"member"},
    Who.CLERK: {"counter"},
    Who.ADVISER: {"adviser"},
    Who.PARTNER: {"partner"},
    Who.CUSTOMER: {"customer"},
    Who.OPERATOR: {"operator"},
    Who.COLLEAGUE: {"supervisor", "operator"},
}
DEVICES = {Who.DEVICE, Who.SENDER, Who.COLLEAGUE, Who.VIEWER}
ACCOUNTS = {Who.ACCOUNT, Who.ORDERER, Who.SENDER, Who.VIEWER, Who.PROVER}


@dataclass
class Callers:
    """The headers of callers, by their kind."""

    service: Service
    kinds: dict[str, Headers]

    def ask(self, method: str, path: str, *kinds: str, **headers: str) -> Answer:
        sent = {name: value for kind in kinds for name, value in self.kinds[kind].items()} | headers
        filled = re.sub(r"\{[^}]*\}", f"ep_{1:032x}" if "/endpoints/" in path else "run-2026-11-21-T07", path)
        has_body = method in ("POST", "PATCH", "PUT")
        return self.service.ask(method, filled, {} if has_body else None, to_json=has_body, headers=sent)


def bearer(secret: str) -> Headers:
    return {"Authorization": f"Bearer {secret}"}


async def _people(service: Service) -> dict[str, Headers]:
    """Sign a person of every role in."""
    database, found = service.platform.database, {}
    for name in (*accounts.ROLES, "revoked person"):
        role, site = (name, SITE) if name in accounts.ROLES else ("adviser", None)
        parent = None
        if role in ("partner", "member"):
            parent = (await accounts.create_subscriber(database, "Parent"))["account_id"]
        email = f"{name.replace(' ', '-')}@demo.invalid"
        made = await accounts.create_person(database, service.url, role, email=email, site=site, parent=parent)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        found[name] = {"Cookie": f"fieldsvc_session={session}"}
        found[f"{name} with token"] = {**found[name], "X-CSRF-Token": tokens.csrf_of(session)}
        if name == "revoked person":
            await accounts.revoke_account(database, made["account_id"])
    return found


async def _kinds(service: Service) -> dict[str, Headers]:
    database = service.platform.database
    await create_site(database, SITE)
    kinds = {"nobody": {}, **await _people(service)}
    for name in ("device", "revoked device"):
        device = await enrolment.enrol_device(database, service.url, carrier=name, site=SITE)
        kinds[name] = bearer(device["token"])
        if name == "revoked device":
            await enrolment.revoke_device(database, device["device_id"])
    for name in ("account", "revoked account"):
        account = await accounts.create_subscriber(database, name, scopes=("operator", "health", "order:item"))
        kinds[name] = bearer(account["api_key"])
        if name == "revoked account":
            await accounts.revoke_account(database, account["account_id"])
    return kinds


@pytest.fixture(scope="module")
def callers(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callers]:
    url = new_database(postgres_url)
    service = Service(url, tmp_path_factory.mktemp("routes"))
    yield Callers(service, service.call(_kinds(service)))
    service.close()
    drop_database(postgres_url, url)


def test_every_route_of_the_service_is_in_the_table_and_every_row_is_a_route(callers: Callers) -> None:
    found = {
        (route.method, route.resource.canonical)
        for route in callers.service.app.router.routes()
        if route.resource is not None
    }
    heads = {("HEAD", path) for method, path in found if method == "GET"}
    assert found - heads == set(ROUTES)
    assert not any(isinstance(each, web.StaticResource) for each in callers.service.app.router.resources())


def test_what_is_open_to_anyone_answers_without_credentials(callers: Callers) -> None:
    for (method, path), who in ROUTES.items():
        if who is Who.ANYONE:
            assert callers.ask(method, path, "nobody").status == 200, path


def test_a_link_or_code_that_is_wrong_opens_nothing(callers: Callers) -> None:
    assert callers.ask("GET", "/sign-in/{token}", "nobody").status == 410
    assert callers.ask("POST", "/sign-in/{token}", "nobody").status == 410
    assert callers.ask("GET", "/static/{name}", "nobody").status == 404
    enrol = callers.service.ask("POST", "/v1/devices/enrol", {"code": "AAAA-BBBB-CCCC-DDDD"}, to_json=True)
    assert (enrol.status, enrol.code) == (401, "bad_code")


def test_the_token_of_a_path_is_a_devices(callers: Callers) -> None:
    for kind, status in (("device", 200), ("revoked device", 403), ("account", 401), ("revoked account", 401)):
        token = callers.kinds[kind]["Authorization"].removeprefix("Bearer ")
        for method in ("GET", "HEAD", "POST"):
            assert callers.service.ask(method, f"/osmand/{token}").status == status, (kind, method)
    for method in ("GET", "POST"):
        assert callers.ask(method, "/osmand/{token}", "device").status == 401  # what counts is the path


def test_the_table_of_rights_says_the_same_as_this_list(callers: Callers) -> None:
    """Two lists, written twice: who opens a route by mistake in one of them is told by the other."""
    for key, who in ROUTES.items():
        row = TABLE[key]
        if who is Who.LINK:
            assert ANYONE in row.own or CUSTOMER in row.own or row.credential is not Credential.HEADER, key
        elif who is Who.ANYONE or key == ("GET", "/signed-in"):
            assert row.own.keys() & {ANYONE, MACHINE}, key
        else:
            kinds = ({DEVICE} if who in DEVICES else set()) | ({ACCOUNT} if who in ACCOUNTS else set())
            people = set() if who in (Who.DEVICE, Who.ACCOUNT) else ROLES_OF.get(who, set(accounts.ROLES))
            assert row.own.keys() == kinds | people, key
    bound = callers.service.app[RIGHTS]
    for route, row in bound.items():
        if route.method == "HEAD" and route.resource is not None and ("HEAD", route.resource.canonical) not in TABLE:
            assert row is TABLE["GET", route.resource.canonical]


def test_a_session_changes_nothing_without_its_token(callers: Callers) -> None:
    changing = [
        (method, path)
        for method, path, who in CLOSED
        if who in (Who.PERSON, Who.ORDERER, Who.SUPERVISOR, Who.WATCHER, Who.JUDGE, Who.ANSWERER, Who.SENDER)
    ]
    for method, path in changing:
        if method != "GET":
            answer = callers.ask(method, path, "supervisor")
            assert (answer.status, answer.code) == (403, "csrf"), path
            wrong = callers.ask(method, path, "supervisor", **{"X-CSRF-Token": "x" * 64})
            assert (wrong.status, wrong.code) == (403, "csrf"), path


def test_a_token_of_any_bytes_is_a_wrong_token(callers: Callers) -> None:
    for token in (b"\xff\xfe", "é".encode()):
        headers: dict[str, str | bytes] = {**callers.kinds["supervisor"], "X-CSRF-Token": token}
        answer = callers.service.ask("POST", "/v1/events", b"[]", headers=headers)
        assert (answer.status, answer.code) == (403, "csrf")


def test_a_session_does_not_help_a_request_that_speaks_as_something_else(callers: Callers) -> None:
    assert callers.ask("GET", "/v1/feed", "operator with token").status == 401
    assert callers.ask("POST", "/v1/events", "operator with token", Authorization="Bearer x").status == 401
