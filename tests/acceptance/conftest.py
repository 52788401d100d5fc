"""One service for all of these tests, with a small town, the round of the contract's example, and subscribers who listen."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from tests.acceptance.service import Caller, Ear, Service
from tests.databases import drop_database, new_database

EXAMPLE_LAT, EXAMPLE_LON = 48.93781, 2.16091  # of the contract's example event
SITE, CARRIER = "site-pantin", "Camille Essai"


@dataclass(repr=False)
class World:
    """The service, who may call it, and who listens."""

    service: Service
    town: Town
    day: date
    callers: dict[str, Caller] = field(default_factory=dict)
    ears: dict[str, Ear] = field(default_factory=dict)

    def __getattr__(self, name: str) -> Caller:
        try:
            return self.callers[name]
        except KeyError:
            raise AttributeError(name) from None

    @property
    def run_id(self) -> str:
        return f"run-{self.day}-T07"

    def listen(self, name: str, *, account: str, **more: Any) -> Ear:
        """Make an endpoint for an account, with a subscriber behind it."""
        ear = self.ears[name] = Ear()
        url = self.service.call(ear.start())
        made = self.callers[account].ask("POST", "/v1/endpoints", {"url": url, "types": ["*"], **more})
        assert made.status == 201, made.body
        ear.secret = made.json()["secret"]
        ear.trust(ear.secret)
        return ear

    def order(self, account: str, service: str, subject: str, **more: Any) -> dict[str, Any]:
        """Order a task at stop st-118 as an account does."""
        body = {"service": service, "subject": subject, "on": self.day.isoformat(), "delivery_point": "dp-118", **more}
        made = self.callers[account].ask("POST", "/v1/tasks", body)
        assert made.status == 201, made.body
        task: dict[str, Any] = made.json()
        return task

    def account(self, name: str, *scopes: str) -> Caller:
        database = self.service.platform.database
        made = self.service.call(accounts.create_subscriber(database, name, scopes=scopes))
        self.callers[name] = Caller(self.service, made["account_id"], made["api_key"])
        return self.callers[name]

    def device(self, name: str, carrier: str, site: str, round_id: str | None) -> Caller:
        made = self.service.call(
            enrolment.enrol_device(
                self.service.platform.database, self.service.url, carrier=carrier, site=site, round_id=round_id
            )
        )
        self.callers[name] = Caller(self.service, made["device_id"], made["token"])
        return self.callers[name]


def example_round() -> str:
    """Write the round T07: stops st-115 to st-121 some 73 m apart; st-118 is 8 m from the example's fix."""
    places = {n: [EXAMPLE_LON + 0.0001 + (n - 118) * 0.001, EXAMPLE_LAT + 0.00003] for n in range(115, 122)}
    about = {"round_id": "T07", "site": SITE, "mode": "foot", "name": "Sept"}
    line = {"type": "Feature", "geometry": {"type": "LineString", "coordinates": list(places.values())}}
    stops = [
        {
            "type": "Feature",
            "geometry": {"type": "Point", "coordinates": place},
            "properties": {
                "round_id": "T07",
                "stop_id": f"st-{n}",
                "sequence": n,
                "delivery_point_id": f"dp-{n}",
                "address": f"{n} rue de l'Exemple",
            },
        }
        for n, place in places.items()
    ]
    return orjson.dumps({"type": "FeatureCollection", "features": [{**line, "properties": about}, *stops]}).decode()


async def _load(platform: Platform, town: Town, folder: Path) -> None:
    database, zone, day = platform.database, platform.settings.zone, platform.runs.today()
    await imports.import_addresses(database, town.addresses_csv().splitlines(keepends=True))
    for name, text in (("town", town.rounds_geojson()), ("example", example_round())):
        path = folder / f"{name}.geojson"
        path.write_text(text, encoding="utf-8")
        await imports.import_rounds(database, path, zone=zone)
    roster = town.roster_csv(day) + f"{day},T07,{CARRIER},visits pouches\n"
    await imports.import_roster(database, roster.splitlines(keepends=True))
    importer = TaskImport(platform.tasks, opener=platform.opener, registry=platform.registry, zone=zone)
    await importer.run(town.tasks_jsonl(day).splitlines(keepends=True))
    await platform.runs.plan_day(day)
    platform.rounds.forget()


@contextmanager
def a_world(postgres_url: str, folder: Path) -> Iterator[World]:
    """Start a service with its town, callers and subscribers."""
    town = Town(2, rounds=2, stops=40)
    database_url = new_database(postgres_url)
    service = Service(database_url, folder, prepare=lambda platform: _load(platform, town, folder))
    made = World(service, town, service.platform.runs.today())
    made.device("phone", CARRIER, SITE, "T07")
    made.device("colleague", "Dominique Essai", SITE, None)
    first = made.town.carriers[0]
    made.device("stranger", first.name, first.site, first.round_id)
    made.account("pharmacy", "health", "order:medication")
    made.account("dispensary", "order:medication")
    made.account("shop", "order:item")
    made.account("nobody")
    made.account("operator", "operator")
    for name in ("pharmacy", "dispensary", "shop", "operator"):
        made.listen(name, account=name)
    made.listen("thin", account="pharmacy", thin=True)
    yield made
    service.call(service.stop())
    for ear in made.ears.values():
        service.call(ear.close())
    service.close()
    drop_database(postgres_url, database_url)


@pytest.fixture(scope="session")
def world(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The one that most of these tests share: each names things of its own in it."""
    with a_world(postgres_url, tmp_path_factory.mktemp("acceptance")) as made:
        yield made


@pytest.fixture(autouse=True)
def _nothing_crashed(world: World) -> Iterator[None]:
    """No test leaves a crash in the log, nor a violation at a subscriber."""
    start = world.service.log.tell()
    yield
    said = world.service.log.getvalue()[start:]
    for fault in ("request.crashed", "handler.failed", "journal.failed", "journal.bisected", "Traceback"):
        assert fault not in said, said[-3000:]
    assert {name: list(ear.violations) for name, ear in world.ears.items() if ear.violations} == {}


@pytest.fixture(scope="module")
def phone_elsewhere(world: World, postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Caller]:
    """A phone of another store, whose service writes into the same log: for what would leave too much behind."""
    url = new_database(postgres_url)

    async def prepare(platform: Platform) -> None:
        await imports.create_site(platform.database, SITE)

    service = Service(url, tmp_path_factory.mktemp("elsewhere"), prepare=prepare, log=world.service.log)
    database = service.platform.database
    made = service.call(enrolment.enrol_device(database, service.url, carrier=CARRIER, site=SITE))
    yield Caller(service, made["device_id"], made["token"])
    service.close()
    drop_database(postgres_url, url)
