"""Phones with the apps of others on them, and a service of their own to speak to."""

import base64
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from fieldsvc.access import enrolment
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.platform import Platform
from fieldsvc.work import imports
from tests.acceptance.conftest import EXAMPLE_LAT, EXAMPLE_LON, SITE, example_round
from tests.acceptance.service import Answer, Service, field_event, statuses
from tests.databases import drop_database, new_database

CANARY = "cAnArY5523"
C = CANARY.encode()
JSON, FORM = "application/json", "application/x-www-form-urlencoded"
ROUNDS = [f"P{n:02d}" for n in range(24)]


@dataclass
class Phone:
    """A phone with an app on it."""

    service: Service
    made: Mapping[str, Any]
    round_id: str

    @property
    def run_id(self) -> str:
        return f"run-{self.service.platform.runs.today()}-{self.round_id}"

    @property
    def basic(self) -> dict[str, str]:
        pair = f"{self.made['device_id']}:{self.made['token']}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}

    def owntracks(self, body: Any, *, media_type: str = f"{JSON}; charset=utf-8", **headers: str) -> Answer:
        sent = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        more = {**self.basic, "Content-Type": media_type, "X-Limit-U": "somebody", "X-Limit-D": "else", **named}
        return self.service.ask("POST", "/owntracks", sent, headers=more)

    def osmand(self, query: str = "", body: bytes | None = None, *, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/osmand/{self.made['token']}" + (f"?{query}" if query else "")
        return self.service.ask(method, path, body, headers=named)

    def client9(self, value: Any) -> Answer:
        return self.osmand(body=orjson.dumps(value), method="POST", Content_Type=JSON)

    def start(self) -> None:
        """Start the run as the phone page does, under the same device."""
        began = (datetime.now(UTC) - timedelta(seconds=90)).isoformat(timespec="seconds").replace("+00:00", "Z")
        event = field_event("run.started", {"run_id": self.run_id}, time=began, runid=self.run_id)
        more = {"Authorization": f"Bearer {self.made['token']}", "Content-Type": "application/cloudevents+json"}
        answer = self.service.ask("POST", "/v1/events", orjson.dumps(event), headers=more)
        assert statuses(answer.json()["results"]) == ["accepted"]

    def rows(self, statement: str, *args: Any) -> list[dict[str, Any]]:
        async def read() -> list[dict[str, Any]]:
            async with self.service.platform.database.acquire() as connection:
                return [dict(row) for row in await connection.fetch(statement, *args)]

        return self.service.call(read())

    @property
    def progress(self) -> list[dict[str, Any]]:
        return self.rows("select at, distance_along_m, status from progress where run = $1 order by at", self.run_id)

    @property
    def kept(self) -> list[tuple[str, dict[str, Any]]]:
        """What of this phone is in quarantine: reasons and bodies, oldest first."""

        async def read() -> list[tuple[str, dict[str, Any]]]:
            shelf = Quarantine(self.service.platform.database, self.service.platform.vault)
            mine = [each for each in await shelf.entries(limit=10_000) if each.device == self.made["device_id"]]
            return [(each.reason, orjson.loads((await shelf.read(each.id)).body)) for each in reversed(mine)]

        return self.service.call(read())


@dataclass
class Desk:
    """The service, and phones as they come: each with a round of its own."""

    service: Service
    left: list[str] = field(default_factory=lambda: list(ROUNDS))

    def phone(self) -> Phone:
        round_id = self.left.pop()
        database = self.service.platform.database
        carrier = f"Camille {round_id} {CANARY}"
        made = self.service.call(
            enrolment.enrol_device(database, self.service.url, carrier=carrier, site=SITE, round_id=round_id)
        )
        return Phone(self.service, made, round_id)

    def counted(self, outcome: str) -> float:
        return self.service.counted(f'fieldsvc_fixes_total{{outcome="{outcome}"}}')


@contextmanager
def open_desk(postgres_url: str, folder: Path) -> Iterator[Desk]:
    """Start a service of its own, with rounds for its phones."""
    url = new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, folder))
    try:
        yield Desk(service)
    finally:
        service.close()
        drop_database(postgres_url, url)


async def _load(platform: Platform, folder: Path) -> None:
    for round_id in ROUNDS:
        path = folder / f"{round_id}.geojson"
        path.write_text(example_round().replace('"T07"', f'"{round_id}"'), encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=platform.settings.zone)


@contextmanager
def nothing_told(desk: Desk) -> Iterator[None]:
    """Nothing crashes meanwhile, and nothing of what a phone sent is in the log, nor a token."""
    start = desk.service.log.tell()
    yield
    said = desk.service.log.getvalue()[start:]
    for fault in ("request.crashed", "handler.failed", "intake.failed", "journal.failed", "Traceback", CANARY):
        assert fault not in said, said[-3000:]
    lines = [line for line in said.splitlines() if "audit.head_signed" not in line]  # a signature may have such a part
    assert not [word for word in re.split(r"[^A-Za-z0-9_-]", "\n".join(lines)) if len(word) == 43]


def location(seconds_ago: float = 10, **changed: Any) -> dict[str, Any]:
    """Write a location as OwnTracks on Android does, with everything private that it may hold."""
    tst = int((datetime.now(UTC) - timedelta(seconds=seconds_ago)).timestamp())
    body = {
        "_type": "location", "tid": "JJ", "lat": EXAMPLE_LAT, "lon": EXAMPLE_LON, "tst": tst, "acc": 10, "alt": 35, "vac": 3,
        "vel": 5, "cog": 90, "batt": 30, "bs": 1, "t": "u", "conn": "m", "m": 1, "created_at": tst + 3, "_id": CANARY,
        "inregions": [CANARY], "inrids": [CANARY], "SSID": CANARY, "BSSID": CANARY, "topic": f"owntracks/{CANARY}/phone",
        "poi": CANARY, "image": CANARY, "imagename": CANARY, "tag": CANARY, "motionactivities": [CANARY],
    }  # fmt: skip
    return {**body, **changed}


def query(seconds_ago: float = 10, **changed: Any) -> str:
    """Write a query as Traccar Client 8 does."""
    moment = int((datetime.now(UTC) - timedelta(seconds=seconds_ago)).timestamp())
    values = {
        "id": CANARY, "timestamp": moment, "lat": EXAMPLE_LAT, "lon": EXAMPLE_LON, "speed": 2.5, "bearing": 90.0,
        "altitude": 0.0, "accuracy": 0.0, "batt": 87.0, "wifi": f"{CANARY},-60", "driverUniqueId": CANARY,
    }  # fmt: skip
    return urlencode({key: value for key, value in {**values, **changed}.items() if value is not None})


def client9(seconds_ago: float = 10, **changed: Any) -> dict[str, Any]:
    """Write JSON as Traccar Client 9 does."""
    moment = (datetime.now(UTC) - timedelta(seconds=seconds_ago)).isoformat(timespec="milliseconds")
    place = {
        "timestamp": moment.replace("+00:00", "Z"),
        "coords": {"latitude": EXAMPLE_LAT, "longitude": EXAMPLE_LON, "accuracy": 5, "speed": 1.2, "heading": -1, "altitude": 5},
        "is_moving": False, "odometer": 0, "event": "motionchange", "battery": {"level": 1, "is_charging": False},
        "activity": {"type": CANARY}, "extras": {"heartbeat": True, "x": CANARY}, "_": f"&id={CANARY}&",
    }  # fmt: skip
    return {"location": {**place, **changed}, "device_id": CANARY}


def taken(answer: Answer, body: bytes = b"[]") -> None:
    assert (answer.status, answer.body) == (200, body), answer
    if body:
        assert answer.headers["content-type"].startswith(JSON)
