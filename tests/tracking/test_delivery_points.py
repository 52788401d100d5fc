"""What proofs teach the service about delivery points: from the phone's upload to the supervisor's list.

Learning is called as the service's own job calls it, which runs beside: whoever comes first, an event counts once.
"""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts, enrolment
from fieldsvc.platform import Platform
from fieldsvc.tracking.memory import PointLearner
from fieldsvc.work import imports
from fieldsvc.work.rounds import memory_of
from geo.positions import Plane, distance_m
from handlers.fields import format_time
from tests.acceptance.service import Answer, Service, field_event, fresh
from tests.databases import drop_database, new_database
from tests.tracking.test_dump import simulated, walk

SITE, ELSEWHERE, ROUND_ID = "site-learns", "site-elsewhere", "L01"
PLANE = Plane(48.95, 2.3)
STOPS = 14
BOX_OF = 3  # the stop whose box is planned 60 m south of the door


@dataclass
class Office:
    """The service, a phone, and people who look."""

    service: Service
    phone: dict[str, str] = field(default_factory=dict)
    people: dict[str, dict[str, str]] = field(default_factory=dict)

    @property
    def today(self) -> date:
        return self.service.platform.runs.today()

    def learner(self) -> PointLearner:
        platform = self.service.platform
        return PointLearner(
            platform.database, platform.tail, platform.opener, rounds=platform.rounds, registry=platform.registry
        )

    def learn(self) -> int:
        return self.service.call(self.learner().take())

    def send(self, *events: dict[str, Any]) -> list[dict[str, Any]]:
        headers = {**self.phone, "Content-Type": "application/cloudevents-batch+json"}
        answer = self.service.ask("POST", "/v1/events", orjson.dumps(events), headers=headers)
        assert answer.status == 200, answer.body
        results: list[dict[str, Any]] = answer.json()["results"]
        return results

    def points(self, who: str = "supervisor", query: str = "") -> Answer:
        return self.service.ask("GET", f"/v1/delivery-points?{query}", headers=self.people[who])

    def point(self, stop: int) -> dict[str, Any]:
        found = self.points(query="limit=1000").json()["delivery_points"]
        return next(each for each in found if each["delivery_point_id"] == f"lp-{stop:02d}")

    def rows(self, text: str, *args: Any) -> list[Any]:
        async def fetch() -> list[Any]:
            async with self.service.platform.database.acquire() as connection:
                return await connection.fetch(text, *args)

        return self.service.call(fetch())

    def remembered(self, stop: int) -> Any:
        (row,) = self.rows("select * from delivery_point_memory where delivery_point_id = $1", f"lp-{stop:02d}")
        return row


def at(stop: int, east: float = 0.0, north: float = 0.0) -> tuple[float, float]:
    return PLANE.latlon(stop * 40.0 + east, north)


def delivered(
    stop: int, days: float, *, east: float = 0.0, north: float = 0.0, to: str = "addressee", **more: Any
) -> dict[str, Any]:
    """Deliver at a stop some days ago, with a fix so many metres from the planned door."""
    time = datetime.now(UTC) - timedelta(days=days)
    lat, lon = at(stop, east, north)
    fix = {"lat": lat, "lon": lon, "accuracy_m": 6.0, "fixed_at": format_time(time), **more.pop("fix", {})}
    data = {"item_id": fresh("RK"), "to": to, "stop_id": f"ls-{stop:02d}", "fix": fix, **more}
    run_id = f"run-{time.date()}-{ROUND_ID}"
    return field_event("item.delivered", data, time=format_time(time), runid=run_id)


def _rounds() -> str:
    features: list[dict[str, Any]] = []
    for round_id, site, first, count in ((ROUND_ID, SITE, 1, STOPS), ("E01", ELSEWHERE, 50, 2)):
        places = {n: at(n)[::-1] for n in range(first, first + count)}
        line = {"type": "LineString", "coordinates": list(places.values())}
        features.append(
            {"type": "Feature", "geometry": line, "properties": {"round_id": round_id, "site": site, "mode": "foot"}}
        )
        for n, place in places.items():
            told: dict[str, Any] = {
                "round_id": round_id,
                "stop_id": f"ls-{n:02d}",
                "sequence": n,
                "delivery_point_id": f"lp-{n:02d}",
            }
            told |= {"box_at": at(n, 0, -60)[::-1]} if n == BOX_OF else {}
            features.append(
                {"type": "Feature", "geometry": {"type": "Point", "coordinates": place}, "properties": told}
            )
    return orjson.dumps({"type": "FeatureCollection", "features": features}).decode()


async def _load(platform: Platform, folder: Path) -> None:
    path = folder / "rounds.geojson"
    path.write_text(_rounds(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    platform.rounds.forget()


async def _people(office: Office) -> None:
    database, url = office.service.platform.database, office.service.url
    device = await enrolment.enrol_device(database, url, carrier="Camille Essai", site=SITE, round_id=ROUND_ID)
    office.phone = {"Authorization": f"Bearer {device['token']}"}
    for name, role, site in (
        ("supervisor", "supervisor", SITE),
        ("stranger", "supervisor", ELSEWHERE),
        ("operator", "operator", None),
    ):
        made = await accounts.create_person(database, url, role, email=f"{name}@learn.invalid", site=site)
        session = await accounts.sign_in(database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        office.people[name] = {"Cookie": f"fieldsvc_session={session}"}


@pytest.fixture(scope="module")
def office(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    folder, url = tmp_path_factory.mktemp("points"), new_database(postgres_url)
    service = Service(url, folder, prepare=lambda platform: _load(platform, folder), timezone="UTC")
    made = Office(service)
    service.call(_people(made))
    yield made
    service.close()
    drop_database(postgres_url, url)


def test_proofs_of_some_days_teach_where_the_door_is_and_distances_are_from_there(office: Office) -> None:
    far = office.send(delivered(1, 0.001, east=70.0))[0]
    assert far["warnings"][:1] == ["wrong_door"]
    office.send(*(delivered(1, days, east=70.0 + days, north=2.0) for days in range(1, 7)))
    office.learn()
    found = office.point(1)
    assert distance_m(*at(1, 73.5, 2.0), found["learned"]["door"]["lat"], found["learned"]["door"]["lon"]) < 3
    assert (found["learned"]["door"]["sure"], found["learned"]["box"]) == (True, None)
    assert found["planned"] == {"door": {"lat": round(at(1)[0], 6), "lon": round(at(1)[1], 6)}, "box": None}
    assert found["last_served_on"] == office.today.isoformat()
    office.service.platform.rounds.forget()
    near = office.send(delivered(1, 0.001, east=70.0))[0]
    assert "wrong_door" not in near["warnings"]
    assert near["located"]["door_distance_m"] < 8


def test_an_event_counts_once_however_often_it_comes_and_whoever_learns(office: Office) -> None:
    events = [delivered(2, days, east=5.0) for days in (1, 2, 3)]
    office.send(*events)
    office.learn()
    office.send(*events)

    async def both() -> None:
        await asyncio.gather(office.learner().take(), office.learner().take())

    office.service.call(both())
    row = office.remembered(2)
    memory = memory_of(row["door"])
    assert memory is not None
    assert len(memory.proofs) == len(row["served_on"]) == 3
    assert office.learn() == 0


def test_box_and_door_are_learned_apart_and_each_from_its_own_plan(office: Office) -> None:
    office.send(*(delivered(BOX_OF, days, north=-55.0, to="mailbox") for days in range(1, 6)))
    office.send(*(delivered(BOX_OF, days, north=4.0) for days in range(1, 6)))
    office.learn()
    learned = office.point(BOX_OF)["learned"]
    assert distance_m(learned["box"]["lat"], learned["box"]["lon"], *at(BOX_OF, 0, -55)) < 1.5
    assert distance_m(learned["door"]["lat"], learned["door"]["lon"], *at(BOX_OF, 0, 4)) < 1.5
    office.service.platform.rounds.forget()
    at_the_door = office.send(delivered(BOX_OF, 0.001, north=4.0, to="mailbox"))[0]
    assert at_the_door["located"]["door_distance_m"] == pytest.approx(59, abs=2)
    at_the_gate = office.send(delivered(BOX_OF, 0.001, north=-55.0))[0]
    assert at_the_gate["located"]["door_distance_m"] < 2


def test_only_good_proofs_at_the_place_itself_teach_where_it_is(office: Office) -> None:
    old = format_time(datetime.now(UTC) - timedelta(days=3))
    weak = [
        delivered(4, 2, to="neighbour"),
        delivered(4, 2, to="safe_place"),
        delivered(4, 2, fix={"accuracy_m": 60.0}),
        delivered(4, 2, fix={"accuracy_m": None}),
        delivered(4, 2, fix={"fixed_at": old}),
        delivered(4, 2, east=400.0),
        delivered(4, 2, fix={"lat": 2.3, "lon": 48.95}),
    ]
    assert {each["status"] for each in office.send(*weak)} == {"accepted"}
    office.learn()
    row = office.remembered(4)
    assert (row["door"], row["box"], len(row["served_on"])) == (None, None, 1)
    unnamed = delivered(5, 2)
    del unnamed["data"]["stop_id"]
    office.send(unnamed)
    office.learn()
    assert office.rows("select 1 from delivery_point_memory where delivery_point_id = 'lp-05'") == []


def test_a_box_that_moved_is_on_the_list_until_the_plan_says_so(office: Office) -> None:
    office.send(*(delivered(6, days, north=1.0) for days in range(28, 16, -1)))
    office.send(*(delivered(6, days, east=14.0, north=-45.0) for days in range(8, 1, -1)))
    office.learn()
    listed = office.points(query="flag=moved").json()["delivery_points"]
    assert [each["delivery_point_id"] for each in listed] == ["lp-06"]
    assert listed[0]["flags"] == ["moved"]
    assert listed[0]["learned"]["door"]["moved_on"] == (office.today - timedelta(days=8)).isoformat()
    lat, lon = at(6, 14, -45)
    office.rows("update stop set lat = $1, lon = $2 where stop_id = 'ls-06' returning 1", lat, lon)
    assert office.points(query="flag=moved").json()["delivery_points"] == []


def test_a_point_that_nobody_serves_while_its_neighbours_are_served_is_on_the_list(office: Office) -> None:
    served, last = [office.today - timedelta(days=n) for n in (55, 50, 45)], office.today - timedelta(days=45)
    office.rows(
        "insert into delivery_point_memory values ('lp-12', null, null, null, $1, $2) returning 1", served, last
    )
    assert office.points(query="flag=unserved").json()["delivery_points"] == []
    office.send(*(delivered(stop, days) for stop in (11, 13) for days in (1, 2, 3)))
    office.learn()
    listed = office.points(query="flag=unserved").json()["delivery_points"]
    assert [(each["delivery_point_id"], each["flags"]) for each in listed] == [("lp-12", ["unserved"])]
    assert listed[0]["last_served_on"] == last.isoformat()
    office.send(delivered(12, 0.001))
    office.learn()
    assert office.points(query="flag=unserved").json()["delivery_points"] == []


def test_supervisors_see_their_site_page_by_page_and_operators_any(office: Office) -> None:
    office.send(*(delivered(stop, 1) for stop in range(7, 11)))
    office.learn()
    whole = [each["delivery_point_id"] for each in office.points(query="limit=1000").json()["delivery_points"]]
    assert len(whole) >= 4
    paged, cursor = [], ""
    for _ in range(len(whole) + 2):
        page = office.points(query=f"limit=2&cursor={cursor}").json()
        paged += [each["delivery_point_id"] for each in page["delivery_points"]]
        cursor = page.get("cursor", "")
        if not cursor:
            break
    assert paged == whole == sorted(whole)
    assert office.points("operator", f"site={SITE}&limit=1000").json()["delivery_points"]
    assert office.points("operator").status == 200
    assert office.points("stranger").json() == {"delivery_points": []}
    assert office.points("stranger", f"site={SITE}").code == "not_found"
    for query in ("flag=lost", "cursor=%00", "cursor=AA", "limit=0", "limit=x"):
        assert office.points(query=query).code == "bad_request", query


def test_no_carrier_no_run_and_no_hour_is_in_what_is_remembered(office: Office) -> None:
    columns = "select table_name, column_name, data_type from information_schema.columns where table_name like 'delivery_point_%'"
    found = {(row["table_name"], row["column_name"]): row["data_type"] for row in office.rows(columns)}
    assert {name for _, name in found} == {
        "delivery_point_id", "door", "box", "moved_on", "served_on", "last_served_on", "shard", "day", "pos",
    }  # fmt: skip
    assert not {"timestamp with time zone", "timestamp without time zone"} & set(found.values())
    body = office.points(query="limit=1000").body
    assert b"Camille" not in body
    assert b"run-" not in body
    assert max(len(row["door"] or b"") for row in office.rows("select door from delivery_point_memory")) <= 248


def test_after_a_day_no_place_of_a_carrier_is_in_what_was_learned(postgres_url: str, tmp_path: Path) -> None:
    with simulated(postgres_url, tmp_path) as day:
        walk(day)
        platform = day.service.platform
        learner = PointLearner(
            platform.database, platform.tail, platform.opener, rounds=platform.rounds, registry=platform.registry
        )
        day.service.call(learner.take())
        assert day.found() == set()
        rows = day.service.call(_memories(platform))
        assert len(rows) > 5
        memories = [memory for data in rows if (memory := memory_of(data)) is not None]
        assert memories
        planned = day.service.call(_planned(platform))
        assert all(min(distance_m(*memory.planned, *place) for place in planned) < 0.2 for memory in memories)


async def _planned(platform: Platform) -> set[tuple[float, float]]:
    async with platform.database.acquire() as connection:
        rows = await connection.fetch("select lat, lon, coalesce(box_lat, lat), coalesce(box_lon, lon) from stop")
    return {tuple(place) for row in rows for place in (row[:2], row[2:])}


async def _memories(platform: Platform) -> list[bytes | None]:
    async with platform.database.acquire() as connection:
        rows = await connection.fetch("select door, box from delivery_point_memory")
    return [data for row in rows for data in (row["door"], row["box"])]
