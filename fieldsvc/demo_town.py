"""What the demo loads and remembers: its town, the work of a day, phones, accounts and people."""

import asyncio
import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from fieldsvc.settings import Settings
from fieldsvc.simulate.basemap import basemap
from fieldsvc.simulate.town import Carrier, Town
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from handlers.story import Actor

ROLES_SHOWN = ("supervisor", "operator", "adviser", "counter", "auditor")
SUPERVISED = "villeneuve-centre"
SPARES = ("T18", "R02")  # the rounds whose carriers have a second phone, because the first one dies on the way
AWAY = "T33"  # nobody's round: its carrier is ill today


@dataclass(frozen=True, slots=True)
class Kept:
    """What the demo must remember between two runs: credentials are shown once, so they stay in a file of mode 0600."""

    devices: list[dict[str, Any]]
    subscriber: dict[str, str]
    pharmacy: dict[str, str]
    endpoint: dict[str, Any] | None = None
    rounds: list[str] = field(default_factory=list)
    stopped: dict[str, Any] | None = None

    @property
    def as_json(self) -> dict[str, Any]:
        """The file's content."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


async def prepared(platform: Platform, settings: Settings, town: Town) -> Kept:
    """Load the town at the first run, its day at every run, and the credentials of the demo.

    What an earlier version of the demo left out is made up for.
    """
    path, ground = settings.var_dir / "demo-kept.json", settings.var_dir / "basemap.geojson"
    rounds = [plan.round_id for plan in town.rounds]
    kept = Kept(**orjson.loads(path.read_bytes())) if path.exists() else None
    if kept is None or kept.rounds != rounds or not ground.exists():
        say("Loading the town (once)")
        write(ground, await asyncio.to_thread(basemap, town))
        await _load_town(platform, settings, town)
        kept = kept or await _new_credentials(platform)
        kept = keep(settings, kept, devices=await _all_devices(platform, settings, town, kept), rounds=rounds)
    await load_day(platform, town, kept, day=platform.runs.today())
    return kept


async def _load_town(platform: Platform, settings: Settings, town: Town) -> None:
    await imports.import_addresses(platform.database, town.addresses_csv().splitlines(keepends=True))
    with TemporaryDirectory() as folder:
        path = Path(folder) / "rounds.geojson"
        path.write_text(town.rounds_geojson(), encoding="utf-8")
        await imports.import_rounds(platform.database, path, zone=settings.zone)
    platform.rounds.forget()


async def load_day(platform: Platform, town: Town, kept: Kept, *, day: date) -> None:
    """Import the day's roster and tasks, plan its runs, and let the pharmacy release its pouches; twice changes nothing."""
    for each in (day, day + timedelta(days=1)):
        await imports.import_roster(platform.database, town.roster_csv(each).splitlines(keepends=True))
    if AWAY in {plan.round_id for plan in town.rounds}:
        await imports.import_roster(platform.database, _ill(town, day))
    lines = town.tasks_jsonl(day).splitlines(keepends=True)
    pouches = [line for line in lines if '"medication"' in line]
    importer = TaskImport(
        platform.tasks, opener=platform.opener, registry=platform.registry, zone=platform.settings.zone
    )
    await importer.run([line for line in lines if line not in pouches])
    of_country = {stop.point.id for plan in town.country for stop in plan.stops}
    for country in (False, True):
        chosen = [line for line in pouches if (orjson.loads(line)["delivery_point"] in of_country) == country]
        await _release(platform, importer, chosen, account=kept.pharmacy["account_id"])
    await platform.runs.plan_day(day)
    platform.rounds.forget()


def _ill(town: Town, day: date) -> list[str]:
    """Write the roster's line of the carrier who is away today."""
    away = [f"{day},{AWAY},{each.name},sick\n" for each in town.carriers if each.round_id == AWAY]
    return ["date,round_id,carrier,absence\n", *away]


async def _release(platform: Platform, importer: TaskImport, pouches: list[str], *, account: str) -> None:
    """Order pouches, and let the pharmacy release them if they are new."""
    if not pouches or not (await importer.run(pouches, account=account)).planned:
        return
    actor = Actor("subscriber", account=account, entered_by=account)
    for line in pouches:
        pouch = orjson.loads(line)["subject"].removeprefix("pouch/")
        await platform.commands.send("medication.released", {"pouch_id": pouch}, actor=actor)


async def _new_credentials(platform: Platform) -> Kept:
    scopes = ["operator", "health", "order:item", "order:home_visit", "order:medication", "order:address_change"]
    subscriber = await accounts.create_subscriber(platform.database, "Demo subscriber", scopes=scopes)
    pharmacy = await accounts.create_subscriber(
        platform.database, "Pharmacie de la Place", scopes=["health", "order:medication"]
    )
    return Kept([], subscriber, pharmacy)


async def _all_devices(platform: Platform, settings: Settings, town: Town, kept: Kept) -> list[dict[str, Any]]:
    """Enrol the phones that are missing: one for each carrier, and then the spares."""
    there = Counter(device["round"] for device in kept.devices)
    spares = [carrier for carrier in town.carriers if carrier.round_id in SPARES]
    wanted = [carrier for carrier in town.carriers if not there[carrier.round_id]]
    wanted += [carrier for carrier in spares if there[carrier.round_id] < 2]
    return [*kept.devices, *[await _enrolled(platform, settings, carrier) for carrier in wanted]]


async def _enrolled(platform: Platform, settings: Settings, carrier: Carrier) -> dict[str, Any]:
    base = f"http://{settings.host}:{settings.port}"
    found = await enrolment.enrol_device(
        platform.database, base, carrier=carrier.name, site=carrier.site, round_id=carrier.round_id
    )
    return {**found, "carrier": carrier.name, "site": carrier.site, "round": carrier.round_id}


async def new_people(platform: Platform, address: str, *, pharmacy: str, subscriber: str) -> dict[str, dict[str, str]]:
    """Make somebody of each role, with a link to sign in that this run of the demo may use again and again."""
    found = {}
    found["partner"] = await accounts.create_person(
        platform.database, address, "partner", email="partner@demo.invalid", parent=pharmacy, reusable=True
    )
    found["member"] = await accounts.create_person(
        platform.database, address, "member", email="member@demo.invalid", parent=subscriber, reusable=True
    )
    for role in ROLES_SHOWN:
        found[role] = await accounts.create_person(
            platform.database,
            address,
            role,
            email=f"{role}@demo.invalid",
            site=SUPERVISED if role in ("supervisor", "counter") else None,
            reusable=True,
        )
    return found


def keep(settings: Settings, kept: Kept | None = None, **changes: Any) -> Kept:
    """Change some of what the demo remembers; the rest stays as `kept`, or as the file has it."""
    path = settings.var_dir / "demo-kept.json"
    before = kept.as_json if kept else orjson.loads(path.read_bytes())
    found = Kept(**{**before, **changes})
    write(path, orjson.dumps(found.as_json, option=orjson.OPT_INDENT_2))
    return found


def write(path: Path, content: bytes) -> None:
    """Write a file of mode 0600, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "wb") as file:
        file.write(content)
    draft.replace(path)


def say(sentence: str) -> None:
    """Print a line at once."""
    print(sentence, flush=True)  # noqa: T201 - the screen
