"""A service with a town for the pages beside the live one: rounds to cover, alerts, a day that was walked, reports and figures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

from fieldsvc.platform import Platform
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from fieldsvc.work.task_import import TaskImport
from tests.acceptance.service import field_event
from tests.pages.supervised import Supervised, open_town

LATE_S = 10_800.0  # from the start
WALKED = 40  # points of a run of yesterday


@dataclass(repr=False)
class Boarded(Supervised):
    """The supervised town, with what the pages beside the live one show."""

    @property
    def tomorrow(self) -> date:
        return self.day + timedelta(days=1)

    @property
    def yesterday(self) -> date:
        return self.day - timedelta(days=1)

    def carrier_of(self, round_id: str) -> str:
        return next(each.name for each in self.town.carriers if each.round_id == round_id)

    def phone(self, round_id: str) -> Any:
        """Return the phone of a round's carrier."""
        if round_id not in self.callers:
            self.device(round_id, self.carrier_of(round_id), self.place, round_id)
        return self.callers[round_id]

    def fetch(self, text: str, *args: Any) -> list[dict[str, Any]]:
        """Read from the database."""

        async def run() -> list[dict[str, Any]]:
            async with self.service.platform.database.acquire() as connection:
                return [dict(row) for row in await connection.fetch(text, *args)]

        return self.service.call(run())

    def call(self, method: str, path: str, body: Any = None, *, role: str = "supervisor") -> Any:
        """Ask as a signed-in person and return what is answered."""
        answer = self.service.ask(method, path, body, headers=self.headers(role), to_json=body is not None)
        assert answer.status < 300, (path, answer.body)
        return answer.json()

    def tell(self, name: str, round_id: str, data: dict[str, Any], *, ago_s: float = 0.0) -> str:
        """Send an event from a round's phone; return its id."""
        at = (datetime.now(UTC) - timedelta(seconds=ago_s)).isoformat(timespec="milliseconds").replace("+00:00", "Z")
        event = field_event(name, data, runid=self.run_of(round_id), time=at)
        (result,) = self.phone(round_id).send(event)
        assert result["status"] == "accepted", result
        return str(event["id"])

    def report(self, round_id: str, stop: int, **more: Any) -> str:
        """Let a carrier report an address change that waits for a person; return the report's id."""
        planned = next(each for each in self.town.rounds if each.round_id == round_id).stops[stop]
        data = {
            "delivery_point_id": planned.point.id,
            "stop_id": planned.stop_id,
            "change": "moved",
            "old_address": planned.point.address,
            "confidence": "told",
            **more,
        }
        return self.tell("address_change.reported", round_id, data)


async def load(platform: Platform, town: Town, folder: Path) -> None:
    """Load the town's addresses and rounds, today's work, and the roster of today and tomorrow."""
    database, zone, today = platform.database, platform.settings.zone, platform.runs.today()
    await imports.import_addresses(database, town.addresses_csv().splitlines(keepends=True))
    path = folder / "town.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(database, path, zone=zone)
    for day in (today, today + timedelta(days=1)):
        await imports.import_roster(database, town.roster_csv(day).splitlines(keepends=True))
    importer = TaskImport(platform.tasks, opener=platform.opener, registry=platform.registry, zone=zone)
    await importer.run(town.tasks_jsonl(today).splitlines(keepends=True))
    for day in (today, today + timedelta(days=1)):
        await platform.runs.plan_day(day)
    platform.rounds.forget()


async def walk_yesterday(site: Boarded, rounds: Sequence[str], *, late: str) -> None:
    """Let rounds be walked yesterday from eight o'clock on; of `late` the second half came three hours after that."""
    platform, day = site.service.platform, site.yesterday
    rows = [f"{day},{each.round_id},{site.carrier_of(each.round_id)}\n" for each in site.town.rounds]
    await imports.import_roster(platform.database, ["date,round_id,carrier\n", *rows])
    await platform.runs.plan_day(day)
    at = datetime.combine(day, datetime.min.time(), platform.settings.zone) + timedelta(hours=8)
    async with platform.database.acquire() as connection:
        for number, round_id in enumerate(rounds):
            back = at + timedelta(seconds=LATE_S) if round_id == late else None
            await connection.execute(
                "insert into progress select $1, $2, at, n * $4::float8, 'on_round', case when n > $5 / 2 then"
                " coalesce($6, at + interval '2 s') else at + interval '2 s' end from (select n, $3::timestamptz + n * interval '90 s' + case when n > 30 then"
                " interval '20 min' else interval '0 s' end as at from generate_series(1, $5::int) as n) as steps",
                *(day, f"run-{day}-{round_id}", at + timedelta(minutes=7 * number), 30.0 + 4 * number, WALKED, back),
            )
        await connection.execute("update run set state = 'ended', state_at = now() where day = $1", day)


async def count_figures(platform: Platform, site: str, month: date) -> None:
    """Put figures of a month into the database: one of them of too few."""
    cells = [
        ("item", "first_presentation", 412, 486, 60),
        ("home_visit", "visits_done", 61, 66, 12),
        ("home_visit", "on_time", 3, 4, 0),
    ]
    async with platform.database.acquire() as connection:
        for service, kpi, numerator, denominator, strength in cells:
            await connection.execute(
                "insert into report_cell (month, service, site, account, kpi, numerator, denominator, strength)"
                " values ($1, $2, $3, '', $4, $5, $6, $7)",
                *(month, service, site, kpi, numerator, denominator, strength),
            )


def open_boarded(
    postgres_url: str, folder: Path, *, rounds: int = 12, stops: int = 40
) -> tuple[Boarded, Callable[[], None]]:
    """Start the service; what ends it. Tomorrow is planned as today is, with work at hours on the first round."""
    town = Town(2, rounds=rounds, stops=stops)
    service, close = open_town(postgres_url, folder, town, load)
    return Boarded(service, town, service.platform.runs.today()), close


def order_visits(site: Boarded, round_id: str, stops: Sequence[int]) -> None:
    """Order visits on a round of tomorrow, each within three hours of the morning."""
    planned = next(each for each in site.town.rounds if each.round_id == round_id)
    for stop in stops:
        body = {
            "service": "home_visit",
            "delivery_point": planned.stops[stop].point.id,
            "on": site.tomorrow.isoformat(),
            "addressee": "Mme Martin",
            "window": {"from": f"{site.tomorrow}T07:30:00Z", "until": f"{site.tomorrow}T10:30:00Z"},
        }
        site.call("POST", "/v1/tasks", body)
