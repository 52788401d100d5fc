"""V11: with FIELDSVC_HEALTH_MODULE=0 there are no services, no tables and no data of health; where there are data it is refused."""

import base64
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.errors import UserMistake
from fieldsvc.platform import Platform, open_platform
from fieldsvc.settings import Settings
from fieldsvc.work import imports
from handlers.registry import Registry, discover, has_health
from handlers.story import Actor
from tests.acceptance.service import Caller, Service, field_event
from tests.databases import drop_database, new_database

TABLES = "select relname from pg_class where relname ~ 'health' and relkind in ('r', 'p')"


@pytest.fixture(scope="module")
def without(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    url = new_database(postgres_url)

    async def prepare(platform: Platform) -> None:
        await imports.create_site(platform.database, "pantin")

    service = Service(url, tmp_path_factory.mktemp("without"), prepare=prepare, health_module=False)
    yield service
    service.close()
    drop_database(postgres_url, url)


def rows(service: Service, text: str) -> list[Any]:
    async def fetch() -> list[Any]:
        async with service.platform.database.acquire() as connection:
            return await connection.fetch(text)

    return service.call(fetch())


def test_the_services_with_health_fields_are_those_that_go(registry: Registry) -> None:
    gone = registry.handlers.keys() - discover(health=False).handlers.keys()
    assert gone == {name for name, handler in registry.handlers.items() if has_health(handler)}
    assert gone == {"home_visit", "medication"}


def test_there_is_no_table_for_health_data(without: Service) -> None:
    assert rows(without, TABLES) == []
    assert rows(without, "select relname from pg_class where relname ~ '^sealed_personal_' and relkind = 'r'")


def test_their_events_are_unknown_and_quarantined_and_others_are_taken(without: Service) -> None:
    database = without.platform.database
    made = without.call(enrolment.enrol_device(database, without.url, carrier="Camille", site="pantin"))
    phone = Caller(without, made["device_id"], made["token"])
    visit = {"visit_id": "V-1", "met": "person", "answers": {}, "presence": "tag"}
    pouch = {"pouch_id": "P-1", "seal_intact": True}
    results = phone.send(
        field_event("home_visit.completed", visit),
        field_event("medication.picked_up", pouch),
        field_event("item.delivered", {"item_id": "RK123456785FR", "to": "mailbox"}),
    )
    assert [(each["status"], each.get("reason")) for each in results] == [
        ("quarantined", "unknown_type"),
        ("quarantined", "unknown_type"),
        ("accepted", None),
    ]
    services = phone.ask("GET", "/v1/services").body
    assert b"home_visit" not in services
    assert b"item" in services


def test_their_tasks_are_refused_and_their_types_are_not_offered(without: Service) -> None:
    database = without.platform.database
    made = without.call(accounts.create_subscriber(database, "pharmacy", scopes=("health", "order:medication")))
    account = Caller(without, made["account_id"], made["api_key"])
    body = {"service": "medication", "subject": "pouch/P-1", "on": "2026-11-23", "delivery_point": "dp-1"}
    answer = account.ask("POST", "/v1/tasks", body)
    assert (answer.status, answer.code) == (422, "unknown_service")
    for path in ("/v1/types", "/openapi.json", "/v1/discretion"):
        text = without.ask("GET", path).body
        assert b"medication.delivered" not in text, path
        assert b"item.delivered" in text


def options(url: str, folder: Path, key: str, *, health: bool) -> Settings:
    return Settings(database_url=url, master_key=key, var_dir=folder, health_module=health)


async def test_tables_go_and_come_with_the_module_and_stay_where_they_hold_anything(
    database_url: str, tmp_path: Path
) -> None:
    key = base64.b64encode(os.urandom(32)).decode()

    async def tables() -> int:
        connection = await asyncpg.connect(database_url)
        try:
            return len(await connection.fetch(TABLES))
        finally:
            await connection.close()

    before = await tables()
    assert before >= 3
    async with open_platform(options(database_url, tmp_path, key, health=False), database_url):
        assert await tables() == 0
    async with open_platform(options(database_url, tmp_path, key, health=True), database_url) as platform:
        assert await tables() == before
        said = {"visit_id": "V-1", "met": "person", "answers": {"eats": True}, "presence": "tag"}
        await platform.commands.send("home_visit.completed", said, actor=Actor("supervisor"), site="pantin")
    with pytest.raises(UserMistake, match="holds health data"):
        async with open_platform(options(database_url, tmp_path, key, health=False), database_url):
            pytest.fail("it must not start")
    assert await tables() == before
