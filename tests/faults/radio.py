"""A day on which the service is down from before the shift until the evening, and the same day told live, to compare with.

The live store hears each event two seconds after it happened, on a clock of its own, and what is due rings in between. The other
one is stopped with the morning's work in it, and a process of its own starts on it in the evening.
"""

import time
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from datetime import time as hour
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from fieldsvc.access import accounts, enrolment, tokens
from fieldsvc.app import create_app
from fieldsvc.demo_town import AWAY, Kept, load_day
from fieldsvc.intake.accept import Caller, Intake, Upload, accept
from fieldsvc.journal import commands
from fieldsvc.journal.timers import Timers
from fieldsvc.platform import Platform, open_platform
from fieldsvc.process import database_url
from fieldsvc.serve import listening
from fieldsvc.settings import Settings
from fieldsvc.simulate.duties import light_work, timeline
from fieldsvc.simulate.run import Device
from fieldsvc.simulate.town import Town
from fieldsvc.simulate.walking import FieldEvent
from fieldsvc.store.device import by_tokens
from fieldsvc.web.events import INTAKE
from fieldsvc.work import imports
from handlers.story import Actor
from tests.acceptance.test_shuffled_day import TABLES, _rows, _states, of_any_store

AT_ONCE = timedelta(seconds=2)  # from a deed to the service, with a radio
RELATIVE = "proche@demo.invalid"
PAST_DANGERS = {
    "fieldsvc.home_visit.alert.v1",
    "fieldsvc.medication.at_risk.v1",
}  # over when they are known: nobody is told
Json = dict[str, Any]


@dataclass
class Clock:
    """The time of a store that is told its day faster than it passes."""

    at: datetime

    def now(self, zone: Any = UTC) -> datetime:
        return self.at.astimezone(zone)


@asynccontextmanager
async def on(platform: Platform, clock: Clock) -> AsyncIterator[None]:
    """Let what is decided, and the server's own words, bear the time of a clock."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(platform.writer, "_clock", clock.now)
        patch.setattr(commands, "datetime", clock)
        yield


@dataclass
class Morning:
    """What is there before anybody leaves: phones, their sheets, and an account that hears everything."""

    devices: list[Device] = field(default_factory=list)
    sheets: list[Json] = field(default_factory=list)
    api_keys: list[str] = field(default_factory=list)


class Families(Town):
    """The demo's town, whose visited persons let somebody close to them be told of a danger to the visit."""

    def tasks(self, day: date) -> Iterator[Json]:
        """Yield the work of a day."""
        consent = {"given_on": "2020-01-01", "answers": ["mood"], "relatives": [RELATIVE]}
        for each in super().tasks(day):
            yield {**each, **({"details": {"consent": consent}} if each["service"] == "home_visit" else {})}


async def morning(platform: Platform, town: Town, folder: Path) -> Morning:
    """Load the work of the day as the demo does, enrol the phones, and give each the sheet of its run."""
    database = platform.database
    path = folder / "town.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(database, path, zone=platform.settings.zone)
    pharmacy = await accounts.create_subscriber(database, "Pharmacy", scopes=["health", "order:medication"])
    await load_day(platform, town, Kept([], {}, pharmacy), day=platform.runs.today())
    await platform.runs.plan_day(platform.runs.today() + timedelta(days=1))
    found = Morning()
    for each in town.carriers:
        if each.round_id != AWAY:
            about: Json = {"carrier": each.name, "site": each.site, "round_id": each.round_id}
            found.devices.append(Device.from_json(await enrolment.enrol_device(database, "http://127.0.0.1", **about)))
            run = await platform.runs.current_run(await device_of(platform, found.devices[-1]))
            found.sheets.append(await platform.sheets.sheet(run, carrier=each.name))
    for scopes in (["operator", "health"], ["operator"]):
        account = await accounts.create_subscriber(database, f"Hears {len(scopes)}", scopes=scopes)
        found.api_keys.append(account["api_key"])
    return found


async def device_of(platform: Platform, device: Device) -> Any:
    """Find a phone as the service knows it."""
    return (await by_tokens(platform.database, [tokens.digest(device.token)]))[tokens.digest(device.token)]


def deeds(sheet: Json, device: str, *, seed: int, start_at: float) -> list[FieldEvent]:
    """Return all that a carrier does on this day: the shift, some fresh work, and what is asked for at a door."""
    found = [
        each
        for each in timeline(sheet, seed=seed, mode=sheet["mode"], start_at=start_at)
        if isinstance(each, FieldEvent)
    ]
    for number in range(1, 6):
        at = start_at + 3600.0 * number / 2
        found += light_work(sheet, seed=seed, device=device, number=number, at=at, near=sheet["stops"][:40])
    missed = [each for each in found if each.type == "item.delivery_attempted"]
    for each in missed[:2]:
        item = each.data["item_id"]
        asked = {"request_id": f"DC-{item}", "item_id": item, "kind": "second_presentation", "asked_by": "carrier"}
        found.append(
            FieldEvent(each.at + 30, "delivery_change.requested", f"item/{item}", asked, each.fix, each.stop_id)
        )
    return sorted(found, key=lambda each: each.at)


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Platform]:
    """Open a store, with nothing of the service at work on it but its writer."""
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        yield platform


async def ring(platform: Platform, until: datetime, told: Callable[[datetime], object] = lambda _at: None) -> None:
    """Let everything ring that is due until then, each at its moment."""
    timers = Timers(platform.database, platform.commands)
    while True:
        async with platform.database.acquire() as connection:
            due = await connection.fetchval("select min(due_at) from timer")
        if due is None or due > until:
            return
        told(due)
        await timers.fire(due)


async def live(platform: Platform, clock: Clock, said: Sequence[tuple[Device, bytes]], until: datetime) -> list[Json]:
    """Tell the day as it happens; return the answers."""
    intake, callers, answers = create_app(platform)[INTAKE], dict[str, Caller](), list[Json]()

    def passes(moment: datetime) -> None:
        clock.at = max(clock.at, moment)

    for device, body in sorted(said, key=lambda each: (orjson.loads(each[1])["time"], each[1])):
        at = datetime.fromisoformat(orjson.loads(body)["time"]) + AT_ONCE
        await ring(platform, at, passes)
        passes(at)
        if device.device_id not in callers:
            row = await device_of(platform, device)
            callers[device.device_id] = Caller(Actor("device"), device=row, site=row.site)
        answers += await upload(intake, callers[device.device_id], body, at)
    await ring(platform, until, passes)
    passes(until)
    return answers


async def upload(intake: Intake, caller: Caller, body: bytes, at: datetime) -> list[Json]:
    """Send one event as a phone does, at a moment; return its result."""
    answer = await accept(intake, Upload(body, "application/cloudevents+json", None, caller, at, at))
    results: list[Json] = answer["results"]
    return results


@dataclass
class Known:
    """What a store holds to be true in the end: states, rows and public events, without what every store names itself.

    What may differ is left out: when the server itself noticed something, how good a proof is that is reported late, and
    a place that was found by a fix alone.
    """

    states: Mapping[str, Any]
    rows: Mapping[str, list[Any]]
    public: list[Json]
    notices: list[Json]


async def known(platform: Platform, api_key: str, said: Collection[str]) -> Known:
    """Read it; `said` are the ids of what phones said, whose moments must be the same."""
    states = of_any_store({name: each for name, each in (await _states(platform)).items() if name[:9] != "endpoint "})
    rows = {table: await _table(platform, table) for table in TABLES}
    notices = await _rows(platform, "select template, way, state, reason from notice order by template, queued_at")
    return Known(states, rows, await _feed(platform, api_key, said), notices)


async def _table(platform: Platform, table: str) -> list[Any]:
    standing = " where settled_at is null" if table == "alert" else ""
    found = await _rows(platform, f"select {TABLES[table]} from {table}{standing}")
    unlike = {"alert": {"raised_at": None}, "alarm": {"stop_id": None}}.get(table, {})
    return sorted((of_any_store(row | unlike) for row in found), key=repr)


async def _feed(platform: Platform, api_key: str, said: Collection[str]) -> list[Json]:
    """Fold what a subscriber of everything gets into what still holds."""
    holding: dict[str, Json] = {}
    headers, after = {"Authorization": f"Bearer {api_key}"}, ""
    async with listening(create_app(platform), platform.settings) as url, aiohttp.ClientSession() as session:
        while True:
            async with session.get(f"{url}/v1/feed?limit=1000&after={after}", headers=headers) as response:
                page = await response.json()
            if not page["events"]:
                return sorted((of_any_store(each) for each in holding.values()), key=repr)
            after = page["next"]
            for event in page["events"]:
                holding.pop(event.get("supersedes", ""), None)
                if event["type"] != "fieldsvc.event.corrected.v1" and not event["subject"].startswith("endpoint/"):
                    by_phone = event["id"].removeprefix("evt_")[:36] in said
                    sure = (event["data"].get("located") or {}).get("method") in ("scan", "stop")
                    unlike = {"proof"} if sure else {"proof", "located", "stop_id"}
                    data = {name: value for name, value in event["data"].items() if name not in unlike}
                    about = {"type": event["type"], "subject": event["subject"], "data": data}
                    holding[event["id"]] = about | ({"time": event["time"]} if by_phone else {})


def began(settings: Settings) -> float:
    """Return when the shifts begin: this morning at half past seven, where it is evening now."""
    day = datetime.now(UTC).astimezone(settings.zone).date()
    return datetime.combine(day, hour(7, 30), settings.zone).timestamp()


def wall() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)
