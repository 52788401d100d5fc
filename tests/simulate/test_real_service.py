"""The simulated phones against the service itself: what each app sends becomes progress along the round, and nothing else."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.demo import own_types
from fieldsvc.platform import Platform
from fieldsvc.simulate.handset import Pace
from fieldsvc.simulate.layout import POSTCODE
from fieldsvc.simulate.ledger import Counts, Ledger, read_ledger
from fieldsvc.simulate.office import Office
from fieldsvc.simulate.run import Stopped, simulate
from fieldsvc.simulate.town import Carrier, Town
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from handlers.story import Actor
from tests.acceptance.service import Service
from tests.databases import drop_database, new_database

APPS = ("cloudevents", "owntracks", "osmand", "traccar")
SPEED, SHIFT_S = 1000.0, 5 * 3600
PACE = Pace(patience_s=0.1, light_every_s=3600, collect_s=0.3, late_s=(60, 300), lost_rate=0.01)
DEADLINE_S = 120


def evening(now: datetime) -> str:
    """Name a zone in which it is evening now, so that a whole shift lies behind us on this day."""
    ahead = (20 - now.hour + 12) % 24 - 12
    return f"Etc/GMT{-ahead:+d}" if ahead else "Etc/GMT"


async def load(platform: Platform, town: Town, folder: Path) -> None:
    database, zone, day = platform.database, platform.settings.zone, platform.runs.today()
    path = folder / "town.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(database, path, zone=zone)
    importer = TaskImport(platform.tasks, opener=platform.opener, registry=platform.registry, zone=zone)
    await importer.run(town.tasks_jsonl(day).splitlines(keepends=True))
    for each in (day, day + timedelta(days=1)):
        await imports.import_roster(database, town.roster_csv(each).splitlines(keepends=True))
        await platform.runs.plan_day(each)
    platform.rounds.forget()


@dataclass
class Day:
    """A day as it was lived: who walked with which app, what the phones counted, and what the service knows."""

    service: Service
    town: Town
    day: date
    counts: dict[str, Counts]
    ledger: Path
    stopped: list[Stopped]

    def rows(self, statement: str, *arguments: object) -> list[tuple[object, ...]]:
        async def fetched() -> list[tuple[object, ...]]:
            async with self.service.platform.database.acquire() as connection:
                return [tuple(row) for row in await connection.fetch(statement, *arguments)]

        return self.service.call(fetched())

    def run_of(self, app: str) -> str:
        return f"run-{self.day}-{self.town.carriers[(*APPS, 'spare').index(app)].round_id}"

    def progress(self, app: str) -> list[tuple[datetime, float | None, str]]:
        asked = "select at, distance_along_m, status from progress where run = $1 order by at"
        return self.rows(asked, self.run_of(app))  # type: ignore[return-value]

    def length_m(self, app: str) -> float:
        round_id = self.run_of(app).rsplit("-", 1)[1]
        plan = self.service.call(self.service.platform.rounds.known_round(round_id))
        assert plan is not None
        return plan.stored.round.length_m


async def live(service: Service, town: Town, path: Path) -> tuple[dict[str, Counts], list[Stopped]]:
    """Let five carriers work: one with each app, and one whose phone dies and is swapped."""
    groups = {app: [enrolled(service, town.carriers[n])] for n, app in enumerate(APPS)}
    groups["spare"] = [enrolled(service, town.carriers[4]) for _ in range(2)]
    stop, start_at, stopped = asyncio.Event(), time.time() - SHIFT_S, []
    with Ledger(path, sync=False) as shared:
        ledgers = {name: shared if name == "spare" else Ledger() for name in groups}
        jobs = [
            asyncio.create_task(
                simulate(
                    service.url,
                    groups[name],
                    stop=stop,
                    app=name if name in APPS else "cloudevents",
                    speed=SPEED,
                    ledger=ledgers[name],
                    pace=PACE,
                    start_at=start_at,
                    on_stop=stopped.append,
                )
            )
            for name in groups
        ]
        deadline = time.monotonic() + DEADLINE_S
        async with office(service, town.carriers[0].site) as answering:
            while not all(is_over(ledger.counts()) for ledger in ledgers.values()) or await ended(service) < len(
                groups
            ):
                assert time.monotonic() < deadline, {name: ledger.counts() for name, ledger in ledgers.items()}
                assert not any(job.done() for job in (*jobs, answering))
                await asyncio.sleep(0.2)
            while silent := await asyncio.to_thread(silent_services, service):
                assert time.monotonic() < deadline, silent
                await asyncio.sleep(0.2)
        stop.set()
        return dict(zip(groups, await asyncio.gather(*jobs), strict=True)), stopped


HOUSEHOLD = {  # what a signed-in customer sets off with the first form of `/suivi/foyer`
    "household_id": "HH-7K2M9QX4AB",
    "delivery_point_id": "dp-of-nobody",
    "account": "acc_customer",
    "letter_id": "LT-7K2M9QX4",
    "names": ["Nobody"],
    "code_hmac": "0" * 64,
}


@asynccontextmanager
async def office(service: Service, site: str) -> AsyncIterator[asyncio.Task[None]]:
    """Let the people behind the counter answer what carriers say."""
    database = service.platform.database
    made = await asyncio.to_thread(service.call, accounts.create_subscriber(database, "Office", scopes=["operator"]))
    links = {}
    for role in ("operator", "adviser"):
        person = accounts.create_person(database, service.url, role, email=f"{role}@demo.invalid", reusable=True)
        links[role] = (await asyncio.to_thread(service.call, person))["sign_in_url"]
    await asyncio.to_thread(
        service.call, service.platform.commands.send("household.asked", HOUSEHOLD, actor=Actor("server"))
    )
    async with aiohttp.ClientSession(trust_env=False, cookie_jar=aiohttp.DummyCookieJar()) as session:
        tomorrow = (service.platform.runs.today() + timedelta(days=1)).isoformat()
        people = Office(session, service.url, made["api_key"], links, site, POSTCODE, tomorrow)
        answering = asyncio.create_task(people.run())
        try:
            yield answering
            assert people.refused == []
        finally:
            answering.cancel()
            await asyncio.gather(answering, return_exceptions=True)


def silent_services(service: Service) -> set[str]:
    """Name the services of which nothing public was said."""

    async def said() -> set[str]:
        async with service.platform.database.acquire() as connection:
            return {
                row["type"] for row in await connection.fetch("select distinct type from event where kind = 'public'")
            }

    types = service.call(said())
    return {name for name, own in own_types(service.platform.registry).items() if own.isdisjoint(types)}


def is_over(counts: Counts) -> bool:
    return counts.fixes > 40 and counts.fixes == counts.fixes_sent and counts.pending == 0


async def ended(service: Service) -> int:
    async def count() -> int:
        async with service.platform.database.acquire() as connection:
            return int(await connection.fetchval("select count(*) from run where state = 'ended'"))

    return await asyncio.to_thread(service.call, count())


def enrolled(service: Service, carrier: Carrier) -> dict[str, object]:
    found = service.call(
        enrolment.enrol_device(
            service.platform.database,
            service.url,
            carrier=carrier.name,
            site=carrier.site,
            round_id=carrier.round_id,
        )
    )
    return {**found, "carrier": carrier.name, "round": carrier.round_id}


@pytest.fixture(scope="module")
def lived(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    folder, town = tmp_path_factory.mktemp("simulated"), Town(11, rounds=5, stops=70)
    database_url = new_database(postgres_url)
    service = Service(
        database_url, folder, prepare=lambda platform: load(platform, town, folder), timezone=evening(datetime.now(UTC))
    )
    try:
        counts, stopped = asyncio.run(live(service, town, folder / "ledger.jsonl"))
        yield Day(service, town, service.platform.runs.today(), counts, folder / "ledger.jsonl", stopped)
    finally:
        service.close()
        drop_database(postgres_url, database_url)


@pytest.mark.parametrize("app", APPS)
def test_the_positions_of_each_app_become_progress_to_the_end_of_the_round(lived: Day, app: str):
    along = [distance for _, distance, _ in lived.progress(app) if distance is not None]
    assert len(along) > 30
    assert along[0] < 0.35 * lived.length_m(app)
    assert max(along) > 0.8 * lived.length_m(app)
    steps = list(itertools.pairwise(along))
    back = sum(after < before - 100 for before, after in steps)
    assert back / len(steps) < 0.15  # they take a street out of order, and go home at the end


@pytest.mark.parametrize("app", APPS)
def test_no_progress_is_kept_from_before_the_start_after_the_end_or_in_a_pause(lived: Day, app: str):
    asked = "select type, occurred_at from event where subject = $1 and kind = 'field' order by occurred_at"
    told = [(str(row[0]), row[1]) for row in lived.rows(asked, f"run/{lived.run_of(app)}")]
    duty = [(kind, at) for kind, at in told if kind in ("run.started", "run.paused", "run.resumed", "run.ended")]
    assert len(duty) in (4, 6)
    on = list(zip(duty[::2], duty[1::2], strict=True))
    assert all(begin in ("run.started", "run.resumed") for (begin, _), _ in on)
    for at, _, _ in lived.progress(app):
        assert any(begun <= at <= over for (_, begun), (_, over) in on)


def test_every_event_is_taken_in_and_every_fix_is_answered_whatever_the_app(lived: Day):
    for counts in lived.counts.values():
        assert counts.generated == counts.acked
        assert counts.quarantined == counts.conflict == counts.positions_given_up == 0
        assert counts.fixes == counts.fixes_sent
    assert lived.rows("select reason from quarantine") == []


def test_every_service_of_the_catalogue_occurs_on_the_day(lived: Day):
    assert silent_services(lived.service) == set()


def test_a_swapped_phone_loses_nothing_and_contradicts_nothing(lived: Day):
    book = read_ledger(lived.ledger)
    assert len({entry["device"] for entry in book.values()}) == 2
    assert {entry["status"] for entry in book.values()} <= {"accepted", "duplicate"}
    known = {str(row[0]) for row in lived.rows("select id from event where kind = 'field'")}
    assert set(book) <= known
    assert max(distance or 0 for _, distance, _ in lived.progress("spare")) > 0.8 * lived.length_m("spare")


def test_where_each_carrier_stopped_is_told_for_the_next_run(lived: Day):
    assert len(lived.stopped) == 5
    assert all(len(stopped.told_until) == 1 for stopped in lived.stopped)
