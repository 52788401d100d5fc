"""A service with two sites, a phone on a run of today, somebody who orders, and the people who watch."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.journal.timers import Timers
from fieldsvc.platform import Platform
from fieldsvc.work import imports
from handlers.fields import format_time
from handlers.story import Actor
from tests.acceptance.conftest import CARRIER, SITE, example_round
from tests.acceptance.service import BATCH, Answer, Caller, Service, ago, field_event
from tests.databases import drop_database, new_database

Data = dict[str, Any]
ELSEWHERE = "site-loin"
PEOPLE = {
    "supervisor": ("supervisor", SITE), "colleague": ("supervisor", SITE), "stranger": ("supervisor", ELSEWHERE),
    "operator": ("operator", None), "adviser": ("adviser", None), "auditor": ("auditor", None),
}  # fmt: skip


@dataclass
class Room:
    """The room where people watch, with a phone outside."""

    service: Service
    day: date
    phone: Caller
    shop: Caller
    people: dict[str, dict[str, str]] = field(default_factory=dict)
    accounts: dict[str, str] = field(default_factory=dict)

    @property
    def run_id(self) -> str:
        return f"run-{self.day}-T07"

    @property
    def far_run(self) -> str:
        return f"run-{self.day}-T98"

    @property
    def past_run(self) -> str:
        return f"run-{self.day - timedelta(days=1)}-T07"

    def ask(self, path: str, who: str = "supervisor", **headers: str) -> Answer:
        return self.service.ask("GET", path, headers={**self.people.get(who, {}), **headers})

    def get(self, path: str, who: str = "supervisor") -> Any:
        answer = self.ask(path, who)
        assert answer.status == 200, answer.body
        return answer.json()

    def post(self, path: str, body: Data | None = None, who: str = "supervisor") -> Answer:
        return self.service.ask("POST", path, body or {}, headers=self.people[who], to_json=True)

    def say(self, name: str, data: Data, **more: Any) -> Data:
        """Have the phone say something; it must be taken."""
        (result,) = self.phone.send(field_event(name, data, **more))
        assert result["status"] == "accepted", result
        return result

    def enter(self, name: str, data: Data, **more: Any) -> Data:
        """Have the supervisor enter something; it must be taken."""
        body = orjson.dumps([field_event(name, data, **more)])
        headers = {**self.people["supervisor"], "Content-Type": BATCH}
        (result,) = self.service.ask("POST", "/v1/events", body, headers=headers).json()["results"]
        assert result["status"] == "accepted", result
        found: Data = result
        return found

    def tell(self, name: str, data: Data, *, run: str | None = None) -> None:
        """Have the server say something, as its jobs do."""
        send = self.service.platform.commands.send
        self.service.call(send(name, data, actor=Actor("server"), site=SITE, run=run))

    def order(self, service: str, subject: str, **more: Any) -> Data:
        body = {"service": service, "subject": subject, "on": self.day.isoformat(), "delivery_point": "dp-118", **more}
        answer = self.shop.ask("POST", "/v1/tasks", body)
        assert answer.status == 201, answer.body
        task: Data = answer.json()
        return task

    def window(self, minutes: int = 90) -> Data:
        return {"from": format_time(datetime.now(UTC) - timedelta(hours=1)), "until": ago(minutes=-minutes)}

    def fire(self, later_s: float = 0.0) -> None:
        """Fire what is due by then, and what that sets at once."""
        timers = Timers(self.service.platform.database, self.service.platform.commands)
        for _ in range(3):
            self.service.call(timers.fire(datetime.now(UTC) + timedelta(seconds=later_s)))

    def fetch(self, text: str, *args: Any) -> list[Data]:
        async def run() -> list[Data]:
            async with self.service.platform.database.acquire() as connection:
                return [dict(row) for row in await connection.fetch(text, *args)]

        return self.service.call(run())


def _rounds(folder: Path) -> Path:
    path = folder / "rounds.geojson"
    near, far = (
        orjson.loads(text) for text in (example_round(), example_round().replace("T07", "T98").replace("dp-", "far-"))
    )
    for each in far["features"]:
        each["properties"]["site"] = ELSEWHERE
    path.write_bytes(orjson.dumps({**near, "features": near["features"] + far["features"]}))
    return path


async def _load(platform: Platform, folder: Path) -> None:
    database, day = platform.database, platform.runs.today()
    await imports.import_rounds(database, _rounds(folder), zone=platform.settings.zone)
    rows = [f"{each},{name}\n" for each in (day - timedelta(days=1), day) for name in (f"T07,{CARRIER}", "T98,Loin")]
    await imports.import_roster(database, ["date,round_id,carrier\n", *rows])
    for each in (day - timedelta(days=1), day):
        await platform.runs.plan_day(each)


async def _person(room: Room, name: str, role: str, site: str | None) -> None:
    database = room.service.platform.database
    made = await accounts.create_person(database, room.service.url, role, email=f"{name}@demo.invalid", site=site)
    session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
    assert session is not None
    room.people[name] = {"Cookie": f"fieldsvc_session={session}", "X-CSRF-Token": tokens.csrf_of(session)}
    room.accounts[name] = made["account_id"]


@contextmanager
def a_room(postgres_url: str, folder: Path) -> Iterator[Room]:
    """Open a room with everything in it, and clear it away afterwards."""
    url = new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, folder))
    database = service.platform.database
    phone = service.call(enrolment.enrol_device(database, service.url, carrier=CARRIER, site=SITE, round_id="T07"))
    scopes = ("health", "order:item", "order:medication", "order:home_visit")
    shop = service.call(accounts.create_subscriber(database, "Boutique", scopes=scopes))
    callers = (
        Caller(service, phone["device_id"], phone["token"]),
        Caller(service, shop["account_id"], shop["api_key"]),
    )
    room = Room(service, service.platform.runs.today(), *callers)
    for name, (role, site) in PEOPLE.items():
        service.call(_person(room, name, role, site))
    yield room
    service.close()
    drop_database(postgres_url, url)
