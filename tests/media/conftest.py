"""A service with two phones, two shops and people, for pictures and proofs over HTTP."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.platform import Platform
from fieldsvc.work import imports
from tests.acceptance.conftest import example_round
from tests.acceptance.service import PATIENCE_S, Answer, Caller, Service, field_event
from tests.databases import drop_database, new_database
from tests.media.pictures import name_of

SITE, MOST = "site-pantin", 300_000
PNG = "image/png"


@dataclass
class Desk:
    """A service, two phones of it, a shop and people."""

    service: Service
    phone: Caller
    colleague: Caller
    shop: Caller
    other: Caller
    people: dict[str, dict[str, str]]

    def put(self, data: bytes, *, name: str | None = None, by: Caller | None = None, **headers: str) -> Answer:
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        sent = {**(by or self.phone).headers, "Content-Type": PNG, **named}
        return self.service.ask("PUT", f"/v1/media/{name or name_of(data)}", data, headers=sent)

    def head(self, name: str) -> Answer:
        return self.phone.ask("HEAD", f"/v1/media/{name}")

    def get(self, name: str, headers: dict[str, str]) -> Answer:
        return self.service.ask("GET", f"/v1/media/{name}", headers=headers)

    def rows(self, statement: str, *args: Any) -> list[Any]:
        async def read() -> list[Any]:
            async with self.service.platform.database.acquire() as connection:
                return list(await connection.fetch(statement, *args))

        return self.service.call(read())

    def order(self, item: str, requirements: Sequence[str] = ("signature",), *, point: str = "dp-118") -> None:
        subject = f"item/{item}"
        body = {"service": "item", "subject": subject, "delivery_point": point, "requirements": list(requirements)}
        assert self.shop.ask("POST", "/v1/tasks", body).status == 201

    def deliver(self, *items: str, **proof: Any) -> dict[str, Any]:
        to = proof.pop("to", "addressee")
        data = {"item_ids": list(items), "to": to, "proof": proof}
        (result,) = self.phone.send(field_event("item.delivered", data))
        assert result["status"] == "accepted", result
        return result

    def states(self, item: str) -> list[tuple[str | None, bool]]:
        """What was published of an item's delivery: the state of its proof, and whether it replaced another."""
        found = [event for event in self.shop.feed("item.delivered") if event["subject"] == f"item/{item}"]
        return [(event["data"].get("proof_state"), "supersedes" in event) for event in found]


def until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.05)


async def _people(platform: Platform, url: str) -> dict[str, dict[str, str]]:
    found = {}
    for name, role, site in (
        ("own", "supervisor", SITE),
        ("far", "supervisor", "site-bondy"),
        ("boss", "operator", None),
    ):
        made = await accounts.create_person(platform.database, url, role, email=f"{name}@demo.invalid", site=site)
        session = await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        assert session is not None
        found[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
    return found


async def _prepare(platform: Platform, folder: Path) -> None:
    for site in (SITE, "site-bondy"):
        await imports.create_site(platform.database, site)
    path = folder / "round.geojson"
    path.write_text(example_round(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)


@pytest.fixture(scope="session")
def desk(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    url, folder = new_database(postgres_url), tmp_path_factory.mktemp("media")
    service = Service(url, folder, prepare=lambda platform: _prepare(platform, folder), max_media_bytes=MOST)
    database = service.platform.database
    devices = [
        service.call(enrolment.enrol_device(database, service.url, carrier=name, site=SITE, round_id=round_id))
        for name, round_id in (("A", "T07"), ("B", None))
    ]
    shops = [service.call(accounts.create_subscriber(database, n, scopes=["order:item"])) for n in ("shop", "other")]
    callers = [Caller(service, each["device_id"], each["token"]) for each in devices]
    callers += [Caller(service, each["account_id"], each["api_key"]) for each in shops]
    yield Desk(service, *callers, service.call(_people(service.platform, service.url)))
    service.close()
    drop_database(postgres_url, url)


@pytest.fixture(autouse=True)
def _nothing_crashed(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test that uses the service leaves a crash in its log."""
    if "desk" not in request.fixturenames:
        yield
        return
    desk: Desk = request.getfixturevalue("desk")
    start = desk.service.log.tell()
    yield
    said = desk.service.log.getvalue()[start:]
    for fault in ("request.crashed", "handler.failed", "journal.failed", "journal.bisected", "job.failed", "Traceback"):
        assert fault not in said, said[-3000:]
