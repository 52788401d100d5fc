"""A simulated day, and then the whole database as text: no place where a carrier was is in it.

The true places of the day are known here to the last digit. Searched is every value of every row that the day added or
changed: texts, and bytes as text and as numbers of eight bytes, and quarantine opened. What was there before (rounds, stops,
addresses) is on the same streets, so only what is new is looked at. Alarms and reported places are sealed, and only found
when opened; none of their bytes is readable here.
"""

import re
import struct
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import orjson
import pytest

from fieldsvc.access import enrolment
from fieldsvc.journal.quarantine import Quarantine
from fieldsvc.platform import Platform
from fieldsvc.simulate.town import Town
from fieldsvc.work import imports
from handlers.fields import format_time
from tests.acceptance.service import Service, field_event, fresh
from tests.databases import drop_database, new_database

Place = tuple[float, float]
_DECIMAL = re.compile(r"(?<![\d.])(?<!\d:)-?\d{1,3}\.\d{4,}")  # and no seconds of a time
_BYTES = re.compile(r"\\x((?:[0-9a-f]{2}){4,})")
DIGITS = 4
WITH_A_PLACE = {
    "alarm.raised": {"kind": "fall"},
    "address_change.reported": {
        "delivery_point_id": "dp-1",
        "change": "vacant",
        "old_address": "1 rue A",
        "confidence": "seen",
    },
}


@dataclass
class Day:
    """What the carriers did: every place where one of them was, on duty or not."""

    service: Service
    town: Town
    at: datetime
    true: list[Place] = field(default_factory=list)
    before: set[str] = field(default_factory=set)

    async def rows(self) -> set[str]:
        """Every row of every table, as text."""
        found: set[str] = set()
        async with self.service.platform.database.acquire() as connection:
            tables = await connection.fetch(
                "select c.relname as name from pg_class as c join pg_namespace as n on n.oid = c.relnamespace"
                " where n.nspname = 'public' and c.relkind in ('r', 'p') and not c.relispartition"
            )
            assert {"event", "sealed", "state", "progress", "run_state", "track", "quarantine"} <= {
                t["name"] for t in tables
            }
            for table in tables:
                name = table["name"]
                found |= {f"{name} {row[0]}" for row in await connection.fetch(f'select "{name}"::text from "{name}"')}
        return found

    async def quarantine(self) -> list[str]:
        kept = Quarantine(self.service.platform.database, self.service.platform.vault)
        entries = await kept.entries(settled_too=True, limit=1_000)
        return [(await kept.read(entry.id)).body.decode(errors="replace") for entry in entries]

    def found(self) -> set[str]:
        """Name the tables in which a place of the day is found, by one of its two coordinates."""
        wanted = Wanted(chain.from_iterable(self.true))
        new = self.service.call(self.rows()) - self.before
        texts = [*new, *(f"quarantine {body}" for body in self.service.call(self.quarantine()))]
        return {text.split(" ", 1)[0] for text in texts if wanted.is_in(text)}


class Wanted:
    """Coordinates to look for: in texts to four decimals, in bytes as sent or rounded to four digits or more."""

    def __init__(self, true: Iterable[float]) -> None:
        known = list(true)
        self.rounded = {round(each, DIGITS) for each in known}
        self.stored = {*known, *(round(each, digits) for each in known for digits in range(DIGITS, 9))}

    def is_in(self, text: str) -> bool:
        if any(round(each, DIGITS) in self.rounded for each in decimals_in(text)):
            return True
        return any(each in self.stored for each in floats_in(text))


def decimals_in(text: str) -> Iterator[float]:
    """Yield the decimals of a text, and of bytes in it that are a text."""
    yield from map(float, _DECIMAL.findall(text))
    for each in _BYTES.findall(text):
        yield from map(float, _DECIMAL.findall(bytes.fromhex(each).decode("utf-8", "replace")))


def floats_in(text: str) -> Iterator[float]:
    """Yield every eight bytes, in both orders, that are a number which can be a coordinate."""
    for each in _BYTES.findall(text):
        data = bytes.fromhex(each)
        for order in ("<f8", ">f8"):
            for first in range(min(8, max(len(data) - 7, 0))):
                values = np.frombuffer(data, order, count=(len(data) - first) // 8, offset=first)
                yield from values[np.isfinite(values) & (np.abs(values) < 180) & (np.abs(values) > 0.1)].tolist()


async def _prepare(platform: Platform, town: Town, folder: Path) -> None:
    path = folder / "rounds.geojson"
    path.write_text(town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    roster = town.roster_csv(platform.runs.today()).splitlines(keepends=True)
    await imports.import_roster(platform.database, roster)
    await platform.runs.plan_day(platform.runs.today())
    platform.rounds.forget()


@contextmanager
def simulated(postgres_url: str, folder: Path, **settings: Any) -> Iterator[Day]:
    """Run the service on a database of its own for a day of its carriers; it is early afternoon where they are."""
    town, now, url = Town(7, rounds=3, stops=40), datetime.now(UTC), new_database(postgres_url)
    zone = f"Etc/GMT{(now.hour - 14):+d}"
    service = Service(url, folder, prepare=lambda platform: _prepare(platform, town, folder), timezone=zone, **settings)
    try:
        yield Day(service, town, now)
    finally:
        service.close()
        drop_database(postgres_url, url)


def walk(day: Day) -> dict[str, int]:
    """Let every carrier of the town work for an hour and a half, with a pause, and go home."""
    rng, counts = Random(3), dict[str, int]()
    database, service = day.service.platform.database, day.service
    phones = [
        service.call(
            enrolment.enrol_device(database, service.url, carrier=each.name, site=each.site, round_id=each.round_id)
        )
        for each in day.town.carriers
    ]
    day.before = service.call(day.rows())
    for carrier, plan, phone in zip(day.town.carriers, day.town.rounds, phones, strict=True):
        run_id = f"run-{day.service.platform.runs.today()}-{carrier.round_id}"
        headers = {"Authorization": f"Bearer {phone['token']}"}
        fixes = [_fix(day, minute, plan, rng) for minute in np.arange(-110, -1, 0.5)]
        events = [
            field_event(f"run.{name}", {"run_id": run_id}, time=_at(day, minute), runid=run_id)
            for name, minute in (("started", -100.0), ("paused", -60.0), ("resumed", -50.0), ("ended", -10.0))
        ]
        for minute in range(-95, -12, 6):
            fix = _fix(day, minute, plan, rng)
            data = {"item_id": fresh("RK"), "to": "mailbox", "fix": fix}
            data |= {"stop_id": rng.choice(plan.stops).stop_id} if rng.random() < 0.5 else {}
            events.append(field_event("item.delivered", data, time=fix["fixed_at"], runid=run_id))
        events += [field_event(name, {**data, "fix": fixes[120]}, runid=run_id) for name, data in WITH_A_PLACE.items()]
        unfit = [{**fixes[0], "accuracy_m": "near"}, {"lat": fixes[1]["lat"], "lon": fixes[1]["lon"]}]
        sent = _send(service, "/v1/events", events, headers | {"Content-Type": "application/cloudevents-batch+json"})
        assert {result["status"] for result in sent["results"]} == {"accepted"}, sent
        for part in (fixes[:90], [*fixes[50:], *unfit]):
            answer = _send(service, "/v1/positions", {"fixes": part}, headers | {"Content-Type": "application/json"})
            counts = {name: counts.get(name, 0) + count for name, count in answer.items()}
    return counts


def _fix(day: Day, minute: float, plan: Any, rng: Random) -> dict[str, Any]:
    """Be somewhere near the line, some metres beside it, or for some minutes in a yard; before and after it: at home."""
    lon, lat = plan.line[int((minute + 110) / 110 * (len(plan.line) - 1))]
    away = 0.02 if not -100 <= minute < -10 else 0.004 if -40 <= minute < -36 else 0.00008
    lat, lon = lat + rng.uniform(-away, away), lon + rng.uniform(-away, away)
    day.true.append((lat, lon))
    return {"fixed_at": _at(day, minute), "lat": lat, "lon": lon, "accuracy_m": 6.0}


def _at(day: Day, minute: float) -> str:
    return format_time(day.at + timedelta(minutes=float(minute)))


def _send(service: Service, path: str, body: Any, headers: dict[str, str]) -> Any:
    answer = service.ask("POST", path, orjson.dumps(body), headers=headers)
    assert answer.status == 200, answer.body
    return answer.json()


def test_after_a_day_no_place_of_a_carrier_is_in_the_database(postgres_url: str, tmp_path: Path) -> None:
    with simulated(postgres_url, tmp_path) as day:
        counts = walk(day)
        assert counts["taken"] + counts["late"] > 3 * 80  # scans of the same day may be known already
        assert counts["off_duty_discarded"] > 3 * 50
        assert counts["duplicate"] > 100
        assert counts["quarantined"] == 6
        statuses = day.service.call(_statuses(day))
        assert statuses >= {"on_round", "at_stop", "off_round"}
        assert len(day.true) > 600
        assert day.found() == set()


def test_the_same_search_finds_the_places_where_the_operator_keeps_tracks(postgres_url: str, tmp_path: Path) -> None:
    with simulated(postgres_url, tmp_path, keep_tracks_days=1) as day:
        walk(day)
        assert day.found() == {"track"}


async def _statuses(day: Day) -> set[str]:
    async with day.service.platform.database.acquire() as connection:
        return {row["status"] for row in await connection.fetch("select distinct status from progress")}


@pytest.mark.parametrize("lat", [48.93781, 48.937812345, -0.51234])
def test_the_search_sees_a_coordinate_in_a_text_in_json_and_in_bytes(lat: float) -> None:
    hidden = [
        f"(1,{lat},x)",
        f"(1,{lat:.4f},x)",
        f'event ({{"lat":{lat}}})',
        "state (\\x" + orjson.dumps({"lat": lat}).hex() + ")",
        *(
            f"row (\\x00aa{struct.pack(order, stored).hex()}ff)"
            for order in ("<d", ">d")
            for stored in (lat, round(lat, 5))
        ),
    ]
    assert all(Wanted([lat]).is_in(text) for text in hidden)
    assert not any(Wanted([lat + 0.001]).is_in(text) for text in hidden)
    assert not list(decimals_in("2026-11-21 09:42:48.937812+00 (2.3,s48.9)"))
