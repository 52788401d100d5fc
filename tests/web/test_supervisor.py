"""Runs, rounds and replays: who may see them, in which form, and how often they are written."""

import gzip
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import orjson
import pytest

from fieldsvc.access import accounts
from fieldsvc.simulate.town import Town
from fieldsvc.web.supervisor import GEOMETRY
from fieldsvc.work import imports
from geo.round_files import read_rounds_geojson
from handlers.fields import format_time
from tests.acceptance.service import Answer, Service
from tests.databases import drop_database, new_database

RUN = {
    "run_id", "round_id", "name", "site", "mode", "carrier", "state", "state_at", "length_m", "stops", "tasks",
    "distance_along_m", "status", "seen_at",
}  # fmt: skip
REPLAY = {"run_id", "round_id", "day", "carrier", "mode", "length_m", "points"}
POINT = {"at", "distance_along_m", "status", "lon", "lat", "received_at"}


@dataclass
class Site:
    """A service with a town of four rounds, and people who look."""

    service: Service
    town: Town
    day: date
    people: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, who: str, path: str, **headers: str) -> Answer:
        return self.service.ask("GET", path, headers={**self.people.get(who, {}), **headers})

    def write(self, text: str, *args: Any) -> None:
        async def run() -> None:
            async with self.service.platform.database.acquire() as connection:
                await connection.execute(text, *args)

        self.service.call(run())

    def run_id(self, number: int = 0) -> str:
        return f"run-{self.day}-{self.town.rounds[number].round_id}"


async def prepare(site: Site, folder: Path) -> None:
    platform, path = site.service.platform, folder / "rounds.geojson"
    path.write_text(site.town.rounds_geojson(), encoding="utf-8")
    await imports.import_rounds(platform.database, path, zone=platform.settings.zone)
    async with platform.database.acquire() as connection:
        await connection.execute("insert into site values ('site-a', now()), ('site-b', now()), ('empty', now())")
        await connection.execute(
            "update round set site = case when id = $1 then 'site-b' else 'site-a' end", site.town.rounds[3].round_id
        )
    rows = [f"{site.day},{each.round_id},Camille {n}\n" for n, each in enumerate(site.town.rounds)]
    await imports.import_roster(platform.database, ["date,round_id,carrier\n", *rows])
    await platform.runs.plan_day(site.day)
    for name, role, at in (
        ("a", "supervisor", "site-a"),
        ("b", "supervisor", "site-b"),
        ("operator", "operator", None),
    ):
        made = await accounts.create_person(
            platform.database, site.service.url, role, email=f"{name}@x.invalid", site=at
        )
        session = await accounts.sign_in(platform.database, made["sign_in_url"].rsplit("/", 1)[1], loopback=True)
        site.people[name] = {"Cookie": f"fieldsvc_session={session}"}


@pytest.fixture(scope="module")
def site(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder, url = tmp_path_factory.mktemp("supervisor"), new_database(postgres_url)
    service = Service(url, folder)
    made = Site(service, Town(3, rounds=4, stops=30), service.platform.runs.today())
    service.call(prepare(made, folder))
    yield made
    service.close()
    drop_database(postgres_url, url)


def start(site: Site, number: int, duty: str = "on", state: str = "started") -> None:
    body = orjson.dumps(
        {"facts": [["2026-11-21T06:00:00.000Z", "1", "run.started", {"duty": duty}]], "now": {"duty": duty}}
    )
    site.write(
        "insert into state (handler, subject, body, version) values ('run', $1, $2, 1)"
        " on conflict (handler, subject) do update set body = excluded.body",
        f"run/{site.run_id(number)}",
        body,
    )
    site.write(
        "update run set state = $2, state_at = now(), changed_at = clock_timestamp() where id = $1",
        site.run_id(number),
        state,
    )


def move(site: Site, number: int, metres: float | None, status: str = "on_round") -> datetime:
    at = datetime.now(UTC).replace(microsecond=0)
    site.write(
        "insert into run_state (run, day, through_at, distance_along_m, status, updated_at)"
        " values ($1, $2, $3, $4, $5, clock_timestamp()) on conflict (run) do update set through_at = $3,"
        " distance_along_m = $4, status = $5, updated_at = excluded.updated_at",
        site.run_id(number), site.day, at, metres, status,
    )  # fmt: skip
    return at


def test_the_runs_of_the_day_come_with_their_work_and_where_they_are(site: Site) -> None:
    start(site, 0)
    at = move(site, 0, 123.456)
    found = site.ask("a", "/v1/runs").json()
    assert found.keys() == {"runs"}
    assert [each["run_id"] for each in found["runs"]] == [site.run_id(n) for n in range(3)]
    assert all(each.keys() == RUN for each in found["runs"])
    first, planned = site.town.rounds[0], read_rounds_geojson(site.town.rounds_geojson())[0]
    about = dict(found["runs"][0])
    assert datetime.fromisoformat(about.pop("state_at")).tzinfo
    assert about == {
        "run_id": site.run_id(0),
        "round_id": first.round_id,
        "name": planned.name,
        "site": "site-a",
        "mode": first.mode,
        "carrier": "Camille 0",
        "state": "started",
        "length_m": round(planned.length_m, 1),
        "stops": 30,
        "tasks": {"total": 0, "done": 0, "overdue": 0},
        "distance_along_m": 123.5,
        "status": "on_round",
        "seen_at": format_time(at),
    }
    other = found["runs"][1]
    assert (other["state"], other["status"], other["distance_along_m"], other["seen_at"]) == (
        "planned",
        None,
        None,
        None,
    )


def test_a_run_that_seems_to_be_on_another_round_says_so_in_the_list(site: Site) -> None:
    start(site, 0)
    mismatch = {"round_id": "T12", "since": "2026-11-21T08:12:30Z"}
    body = {"facts": [], "now": {"duty": "on", "mandate": False, "mismatch": mismatch}}
    site.write(
        "update state set body = $2 where handler = 'run' and subject = $1",
        f"run/{site.run_id(0)}", orjson.dumps(body),
    )  # fmt: skip
    found = site.ask("a", "/v1/runs").json()["runs"]
    assert [each.get("mismatch") for each in found] == [mismatch, None, None]
    start(site, 0)


def test_a_pause_is_said_an_end_keeps_how_far_it_came_and_a_mandate_hides_it(site: Site) -> None:
    for duty, state, expected in (
        ("paused", "paused", ("paused", 10.0)),
        ("off", "ended", (None, 10.0)),
        ("mandate", "started", (None, None)),
    ):
        start(site, 1, duty, state)
        move(site, 1, 10.0)
        about = site.ask("a", "/v1/runs").json()["runs"][1]
        assert (about["status"], about["distance_along_m"]) == expected
        assert (about["seen_at"] is None) == (expected[1] is None)


def test_pages_follow_each_other_without_a_gap_or_a_repetition(site: Site) -> None:
    seen, cursor, pages = [], "", 0
    while True:
        found = site.ask("operator", f"/v1/runs?limit=3&cursor={cursor}").json()
        seen += [each["run_id"] for each in found["runs"]]
        pages += 1
        if "cursor" not in found:
            break
        cursor = found["cursor"]
    assert (seen, pages) == ([site.run_id(n) for n in range(4)], 2)
    tomorrow = site.day + timedelta(days=1)
    assert site.ask("operator", f"/v1/runs?day={tomorrow}").json() == {"runs": []}
    assert len(site.ask("operator", f"/v1/runs?day={site.day}&site=site-b").json()["runs"]) == 1


@pytest.mark.parametrize(
    "query",
    [
        "day=today", "day=2026-13-01", "day=20261121", "day=2026-W47-6", "day=", "day=9999999-01-01", "day=%00", "cursor=x",
        "cursor=cnVuLQ", "cursor=cgA", "cursor=%C3%A9", "cursor=cnVuLQBh", "limit=0", "limit=1001", "limit=x", "limit=-1",
    ],
)  # fmt: skip
def test_a_day_a_cursor_or_a_limit_that_is_none_is_refused_without_an_echo(site: Site, query: str) -> None:
    answer = site.ask("a", f"/v1/runs?{query}")
    assert (answer.status, answer.code) == (400, "bad_request")


def test_other_sites_runs_and_rounds_do_not_exist(site: Site) -> None:
    theirs, ours = site.town.rounds[3].round_id, site.town.rounds[0].round_id
    for who, path in (
        ("a", "/v1/runs?site=site-b"),
        ("a", "/v1/rounds?site=site-b"),
        ("a", f"/v1/rounds/{theirs}"),
        ("b", f"/v1/rounds/{ours}"),
        ("a", f"/v1/runs/{site.run_id(3)}/replay"),
        ("b", f"/v1/runs/{site.run_id(0)}/replay"),
        ("operator", "/v1/runs?site=nowhere"),
        ("operator", "/v1/rounds/none"),
        ("operator", "/v1/runs/none/replay"),
        ("operator", "/v1/rounds/%00"),
    ):
        answer = site.ask(who, path)
        assert (answer.status, answer.code) == (404, "not_found"), path
    for path in (f"/v1/rounds/{theirs}", f"/v1/runs/{site.run_id(3)}/replay"):
        assert site.ask("b", path).status == site.ask("operator", path).status == 200
    assert [each["site"] for each in site.ask("b", "/v1/runs").json()["runs"]] == ["site-b"]


def test_rounds_are_the_geojson_that_people_bring(site: Site) -> None:
    lines = site.ask("a", "/v1/rounds")
    assert lines.headers["content-type"] == "application/geo+json"
    found = lines.json()
    assert found["type"] == "FeatureCollection"
    assert {each["geometry"]["type"] for each in found["features"]} == {"LineString"}
    assert {each["properties"]["round_id"] for each in found["features"]} == {r.round_id for r in site.town.rounds[:3]}
    assert all(each["properties"].keys() <= {"round_id", "site", "mode", "name"} for each in found["features"])
    assert len(site.ask("operator", "/v1/rounds").json()["features"]) == 4
    assert site.ask("operator", "/v1/rounds?site=empty").json() == {"type": "FeatureCollection", "features": []}
    one = site.ask("a", f"/v1/rounds/{site.town.rounds[0].round_id}")
    (again,) = read_rounds_geojson(one.body.decode())
    (brought, *_) = read_rounds_geojson(site.town.rounds_geojson())
    assert (again.line, again.stops) == (brought.line, brought.stops)


def test_a_version_of_the_rounds_is_written_and_packed_once(site: Site, tmp_path: Path) -> None:
    geometry, path = site.service.app[GEOMETRY], f"/v1/rounds/{site.town.rounds[0].round_id}"
    for each in ("/v1/rounds", path):
        plain = site.ask("a", each)
        written = geometry.written
        packed = site.ask("a", each, **{"Accept-Encoding": "gzip"})
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.body) == plain.body
        assert packed.headers["etag"] != plain.headers["etag"]
        for answer, more in ((plain, {}), (packed, {"Accept-Encoding": "gzip"})):
            same = site.ask("a", each, **{"If-None-Match": answer.headers["etag"], **more})
            assert (same.status, same.body) == (304, b"")
        assert geometry.written == written
    before = site.ask("a", "/v1/rounds").headers["etag"]
    site.write("update round set name = 'autrement', version = version + 1 where id = $1", site.town.rounds[0].round_id)
    for each in ("/v1/rounds", path):
        after = site.ask("a", each, **{"If-None-Match": before})
        assert after.status == 200
        assert b"autrement" in after.body
    assert site.ask("b", "/v1/rounds").json()["features"][0]["properties"].get("name") != "autrement"


def test_a_replay_tells_the_way_along_the_line_and_when_each_moment_was_received(site: Site) -> None:
    start(site, 2)
    run_id, planned = site.run_id(2), read_rounds_geojson(site.town.rounds_geojson())[2]
    base = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=10)
    moments = [(0, 0.0, "on_round"), (30, 40.0, "at_stop"), (60, None, "off_round"), (90, 90.0, "on_round")]
    for seconds, metres, status in reversed(moments):
        site.write(
            "insert into progress (day, run, at, distance_along_m, status, received_at) values ($1, $2, $3, $4, $5, $6)",
            site.day, run_id, base + timedelta(seconds=seconds), metres, status, base + timedelta(minutes=5),
        )  # fmt: skip
    found = site.ask("a", f"/v1/runs/{run_id}/replay").json()
    assert found.keys() == REPLAY
    assert {name: found[name] for name in REPLAY - {"points"}} == {
        "run_id": run_id,
        "round_id": planned.round_id,
        "day": site.day.isoformat(),
        "carrier": "Camille 2",
        "mode": planned.mode,
        "length_m": round(planned.length_m, 1),
    }
    assert all(each.keys() == POINT for each in found["points"])
    assert [(each["distance_along_m"], each["status"]) for each in found["points"]] == [each[1:] for each in moments]
    assert [each["at"] for each in found["points"]] == [
        format_time(base + timedelta(seconds=each[0])) for each in moments
    ]
    assert {each["received_at"] for each in found["points"]} == {format_time(base + timedelta(minutes=5))}
    for each in found["points"]:
        if each["distance_along_m"] is None:
            assert (each["lon"], each["lat"]) == (None, None)
        else:
            lat, lon = planned.point_at(each["distance_along_m"])
            assert (each["lon"], each["lat"]) == pytest.approx((lon, lat), abs=1e-6)
    assert site.ask("a", f"/v1/runs/{site.run_id(1)}/replay").json()["points"] == []
