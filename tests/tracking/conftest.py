"""A straight round of two kilometres, its carrier, and trackers on a database of the test's own."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from itertools import count
from typing import Any

import asyncpg
import orjson
import pytest

from fieldsvc.store.database import Database
from fieldsvc.store.device import Device
from fieldsvc.tracking.tracker import Taken, Tracker
from fieldsvc.work.rounds import RunPlan
from geo import Fix, Round, Stop
from handlers.fields import format_time

DAY = datetime.now(UTC).date()
RIGHT_TO_M = 15.0
EIGHT = datetime(DAY.year, DAY.month, DAY.day, 8, tzinfo=UTC)
NOON = EIGHT + timedelta(hours=4)
LAT, LON = 48.9378, 2.1609
METRE_LAT, METRE_LON = 1 / 111_200, 1 / 73_120  # degrees at this latitude
ROUND = Round(
    "T07",
    ((LON, LAT), (LON + 2_000 * METRE_LON, LAT)),
    tuple(Stop(f"s{n}", LAT, LON + n * 100 * METRE_LON) for n in range(21)),
    "pantin",
)
DEVICE = Device("d-1", "Camille", "pantin", "T07", None, EIGHT, None, None)
Interval = tuple[datetime, datetime | None]


def after(seconds: float) -> datetime:
    return EIGHT + timedelta(seconds=seconds)


def fix(seconds: float, along_m: float | None = None, *, beside_m: float = 0.0, accuracy_m: float = 5.0) -> Fix:
    """A fix so many seconds after eight, so far along the round: a metre a second unless told otherwise."""
    east = seconds if along_m is None else along_m
    return Fix(LAT + beside_m * METRE_LAT, LON + east * METRE_LON, after(seconds), accuracy_m)


@dataclass
class Rounds:
    """What the tracker asks of `RoundStore`: here every carrier walks the round of the run that the test is about."""

    runs: tuple[str, ...] = ()
    version: int = 1
    planned: Round = ROUND

    def day_of(self, at: datetime) -> date:
        return at.astimezone(UTC).date()

    async def runs_of(self, device: Device, day: date) -> tuple[str, ...]:
        return self.runs if day == DAY else ()

    async def bare_plan(self, run_id: str) -> RunPlan | None:
        stops = {stop.stop_id: stop for stop in self.planned.stops}
        return (
            RunPlan(run_id, "T07", "pantin", self.planned, self.version, stops, {}, {}) if run_id in self.runs else None
        )


@dataclass
class Street:
    """One run after the other on one database; `run` names the one that is walked now."""

    database: Database
    rounds: Rounds = field(default_factory=Rounds)
    numbers: Any = field(default_factory=count)

    @property
    def run(self) -> str:
        return self.rounds.runs[0]

    def tracker(self, *, keep_tracks_days: int = 0) -> Tracker:
        return Tracker(self.database, self.rounds, keep_tracks_days=keep_tracks_days)  # type: ignore[arg-type]

    async def walk(self, *duty: Interval) -> str:
        """Begin a new run, on duty from eight on unless told otherwise."""
        self.rounds.runs = (f"run-{DAY}-T07.{next(self.numbers)}",)
        await self.set_duty(*(duty or [(EIGHT, None)]))
        return self.run

    async def set_duty(self, *duty: Interval) -> None:
        told = [[format_time(first), format_time(until) if until else None] for first, until in duty]
        body = orjson.dumps({"facts": [], "published": {}, "now": {"duty": "on", "intervals": told}})
        await self.fetch(
            "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)"
            " on conflict (handler, subject) do update set body = excluded.body, version = state.version + 1",
            f"run/{self.run}", body,
        )  # fmt: skip

    async def take(self, *fixes: Fix, by: Tracker | None = None, device: Device = DEVICE) -> Taken:
        return await (by or self.tracker()).take(device, fixes, received_at=NOON)

    async def fetch(self, text: str, *args: Any) -> list[asyncpg.Record]:
        async with self.database.acquire() as connection:
            return await connection.fetch(text, *args)

    async def state(self) -> asyncpg.Record | None:
        found = await self.fetch("select * from run_state where run = $1", self.run)
        return found[0] if found else None

    async def progress(self) -> Sequence[asyncpg.Record]:
        return await self.fetch("select * from progress where run = $1 order by at", self.run)

    async def moments(self) -> list[float]:
        return [(row["at"] - EIGHT).total_seconds() for row in await self.progress()]

    async def places(self) -> list[tuple[float, Any, str]]:
        """Seconds after eight, metres (equal to what is near), and the status."""
        return [
            ((row["at"] - EIGHT).total_seconds(), _about(row["distance_along_m"]), row["status"])
            for row in await self.progress()
        ]


def _about(metres: float | None) -> Any:
    return None if metres is None else pytest.approx(metres, abs=RIGHT_TO_M)


@pytest.fixture
async def street(database: Database) -> Street:
    made = Street(database)
    await made.walk()
    return made
