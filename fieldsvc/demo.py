"""`make run`: a fictional town at work. Everything goes the way of a real installation; only the people are simulated."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from fieldsvc import logs
from fieldsvc.access import accounts, enrolment
from fieldsvc.app import Platform, create_app, open_platform
from fieldsvc.errors import FieldsvcError
from fieldsvc.serve import database_url, listening, stop_event
from fieldsvc.settings import Settings
from fieldsvc.simulate.layout import POSTCODE
from fieldsvc.simulate.ledger import Ledger
from fieldsvc.simulate.run import simulate
from fieldsvc.simulate.screen import CountLine, Screen
from fieldsvc.simulate.subscriber import Subscriber
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from handlers.story import Actor

TITLE = "fieldsvc demo: Villeneuve-sur-Arve (fictional data), {rounds} rounds, {points:,} delivery points"
ROLES_SHOWN = ("supervisor", "operator", "adviser", "auditor")
NEW_DAY_CHECK_S = 30.0


@dataclass(frozen=True, slots=True)
class Kept:
    """What the demo must remember between two runs: credentials are shown once, so they stay in a file of mode 0600."""

    devices: list[dict[str, Any]]
    subscriber: dict[str, str]
    pharmacy: dict[str, str]
    endpoint: dict[str, Any] | None = None

    @property
    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


async def run_demo(settings: Settings) -> None:
    """Run the demo until Ctrl-C. What it did is kept: a second run carries on."""
    logs.configure(level="error", form=settings.log_format)
    settings = settings.model_copy(update={"allow_loopback_endpoints": True, "log_level": "error"})
    stop = stop_event()
    town = Town()
    _say("Starting the database")
    async with database_url(settings) as url, open_platform(settings, url) as platform:
        await accounts.withdraw_reusable_links(platform.database)
        kept = await _prepared(platform, settings, town)
        async with listening(create_app(platform), settings) as address, _subscriber(kept, address, settings) as hook:
            await _run_on(platform, settings, town=town, kept=kept, address=address, hook=hook, stop=stop)
        await accounts.withdraw_reusable_links(platform.database)


async def _run_on(
    platform: Platform,
    settings: Settings,
    *,
    town: Town,
    kept: Kept,
    address: str,
    hook: Subscriber,
    stop: asyncio.Event,
) -> None:
    people = await _people(platform, address, town)
    _write(settings.var_dir / "demo.json", _demo_file(town, kept, address, people))
    ledger = Ledger()
    screen = Screen(sys.stdout, lambda: _counts(ledger, hook))
    hook.listen(screen.violation)
    screen.show(
        TITLE.format(rounds=len(town.rounds), points=sum(1 for _ in town.delivery_points())),
        _links(address, kept, settings),
        sign_ins=[(role, found["sign_in_url"]) for role, found in people.items()],
        notes=["Press Ctrl-C to stop; nothing is lost, and `make run` carries on."],
    )
    jobs = [
        asyncio.create_task(simulate(address, kept.devices, stop=stop, ledger=ledger)),
        asyncio.create_task(_new_days(platform, town, kept, stop)),
    ]
    try:
        await screen.run(stop)
    finally:
        await asyncio.gather(*jobs, return_exceptions=True)


async def _prepared(platform: Platform, settings: Settings, town: Town) -> Kept:
    """Load the town at the first run, its day at every run, and the credentials of the demo."""
    path = settings.var_dir / "demo-kept.json"
    if not path.exists():
        _say("Loading the town (once)")
        await _load_town(platform, settings, town)
        _write(path, (await _new_credentials(platform, settings, town)).as_json)
    kept = Kept(**orjson.loads(path.read_bytes()))
    await _load_day(platform, town, kept, day=platform.runs.today())
    return kept


async def _load_town(platform: Platform, settings: Settings, town: Town) -> None:
    await imports.import_addresses(platform.database, town.addresses_csv().splitlines(keepends=True))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rounds.geojson"
        path.write_text(town.rounds_geojson(), encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=settings.zone)
    platform.rounds.forget()


async def _load_day(platform: Platform, town: Town, kept: Kept, *, day: date) -> None:
    """Import the day's roster and tasks, plan its runs, and let the pharmacy release its pouches; twice changes nothing."""
    await imports.import_roster(platform.database, town.roster_csv(day).splitlines(keepends=True))
    lines = town.tasks_jsonl(day).splitlines(keepends=True)
    pharmacy = [line for line in lines if b'"medication"' in line.encode()]
    importer = TaskImport(
        platform.tasks, opener=platform.opener, registry=platform.registry, zone=platform.settings.zone
    )
    account = kept.pharmacy["account_id"]
    await importer.run([line for line in lines if line not in pharmacy])
    planned = await importer.run(pharmacy, account=account)
    if planned.planned:
        actor = Actor("subscriber", account=account, entered_by=account)
        for line in pharmacy:
            pouch = orjson.loads(line)["subject"].removeprefix("pouch/")
            await platform.commands.send("medication.released", {"pouch_id": pouch}, actor=actor)
    await platform.runs.plan_day(day)
    platform.rounds.forget()


async def _new_credentials(platform: Platform, settings: Settings, town: Town) -> Kept:
    base = f"http://{settings.host}:{settings.port}"
    devices = []
    for carrier in town.carriers:
        found = await enrolment.enrol_device(
            platform.database, base, carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
        )
        devices.append({**found, "carrier": carrier.name, "site": carrier.site, "round": carrier.round_id})
    scopes = ["operator", "health", "order:item", "order:home_visit", "order:medication", "order:address_change"]
    subscriber = await accounts.create_subscriber(platform.database, "Demo subscriber", scopes=scopes)
    pharmacy = await accounts.create_subscriber(
        platform.database, "Pharmacie de la Place", scopes=["health", "order:medication"]
    )
    return Kept(devices, subscriber, pharmacy)


@asynccontextmanager
async def _subscriber(kept: Kept, address: str, settings: Settings) -> AsyncIterator[Subscriber]:
    """Listen as a subscriber: with the endpoint of the last run if its port is free, else with a new one."""
    hook = await _listening_again(kept)
    if hook is None:
        hook = Subscriber()
        url = await hook.start()
        created = await hook.register(address, kept.subscriber["api_key"], url=url)
        port = int(url.rsplit(":", 1)[1].split("/")[0])
        endpoint = {"id": created, "secret": hook.secret, "port": port}
        _write(settings.var_dir / "demo-kept.json", {**kept.as_json, "endpoint": endpoint})
    try:
        yield hook
    finally:
        await hook.close()


async def _listening_again(kept: Kept) -> Subscriber | None:
    if kept.endpoint is None:
        return None
    hook = Subscriber(secrets=[kept.endpoint["secret"]])
    try:
        await hook.start(kept.endpoint["port"])
    except OSError:
        await hook.close()
        return None
    return hook


async def _people(platform: Platform, address: str, town: Town) -> dict[str, dict[str, str]]:
    found = {}
    for role in ROLES_SHOWN:
        found[role] = await accounts.create_person(
            platform.database,
            address,
            role,
            email=f"{role}@demo.invalid",
            site=town.sites[0] if role == "supervisor" else None,
            reusable=True,
        )
    return found


async def _new_days(platform: Platform, town: Town, kept: Kept, stop: asyncio.Event) -> None:
    """Load the next day's work when midnight has passed."""
    day = platform.runs.today()
    while not stop.is_set():
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), NEW_DAY_CHECK_S)
        if platform.runs.today() != day:
            with contextlib.suppress(FieldsvcError):
                await _load_day(platform, town, kept, day=platform.runs.today())
                day = platform.runs.today()


def _counts(ledger: Ledger, hook: Subscriber) -> CountLine:
    received = hook.counts()
    sent = ledger.counts()
    return CountLine(sent.taken_in, sent.located, received.delivered, received.violations)


def _links(address: str, kept: Kept, settings: Settings) -> list[tuple[str, str]]:
    return [
        ("API", f"{address}/docs"),
        ("Event feed", f"curl -H 'Authorization: Bearer {kept.subscriber['api_key']}' {address}/v1/feed"),
        ("Ready?", f"{address}/readyz"),
        ("Metrics", f"{address}/metrics"),
        ("Credentials", str(settings.var_dir / "demo.json")),
    ]


def _demo_file(town: Town, kept: Kept, address: str, people: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    item = next(each for each in town.tasks(date.today()) if each["service"] == "item")  # noqa: DTZ011 - any day will do
    return {
        "url": address,
        "devices": kept.devices,
        "subscriber": {"api_key": kept.subscriber["api_key"]},
        "people": {
            role: {"email": f"{role}@demo.invalid", "sign_in_url": found["sign_in_url"]}
            for role, found in people.items()
        },
        "customer": {"item_id": item["subject"].removeprefix("item/"), "postcode": POSTCODE},
    }


def _write(path: Path, value: object) -> None:
    """Write a file of mode 0600, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(orjson.dumps(value, option=orjson.OPT_INDENT_2))
    draft.replace(path)


def _say(sentence: str) -> None:
    print(sentence, flush=True)  # noqa: T201 - the screen
