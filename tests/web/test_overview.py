"""Sites as counts: what of a run, a task and an alert is counted where, for whom, and how often it is worked out."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from fieldsvc.tracking.overview import KEPT_S, seen_by_site
from fieldsvc.tracking.sight import LiveRun, Place
from fieldsvc.web.overview import OVERVIEW
from tests.acceptance.conftest import EXAMPLE_LAT, EXAMPLE_LON, SITE
from tests.acceptance.service import fresh
from tests.web.supervising import ELSEWHERE, Room, a_room

COUNTS = {
    "runs": {"all", "planned", "uncovered", "started", "paused", "ended", "not_served"},
    "live": {"on", "lost", "off", "vague", "paused"},
    "alerts": {"open", "urgent"},
    "tasks": {"all", "done", "overdue"},
}
NOW = datetime(2026, 11, 22, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def room(postgres_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    with a_room(postgres_url, tmp_path_factory.mktemp("overview")) as made:
        yield made


def sites(room: Room, who: str = "supervisor", query: str = "") -> dict[str, Any]:
    """Ask anew, as if some seconds had passed."""
    room.service.app[OVERVIEW]._made_at = -KEPT_S
    found = room.get(f"/v1/overview{query}", who)
    assert found.keys() == {"t", "sites"}
    return {each["site"]: each for each in found["sites"]}


def test_a_site_is_counted_and_lies_in_the_middle_of_its_rounds(room: Room) -> None:
    (site,) = sites(room).values()
    assert site.keys() == {"site", "lon", "lat", *COUNTS}
    assert {name: set(site[name]) for name in COUNTS} == COUNTS
    assert (site["site"], site["runs"]["all"], site["runs"]["planned"]) == (SITE, 1, 1)
    assert abs(site["lon"] - EXAMPLE_LON) < 0.001
    assert abs(site["lat"] - EXAMPLE_LAT) < 0.001


def test_a_run_is_counted_once_by_what_became_of_it(room: Room) -> None:
    def counted() -> dict[str, int]:
        found: dict[str, int] = sites(room)[SITE]["runs"]
        assert found["all"] == sum(found[name] for name in COUNTS["runs"] - {"all"})
        return {name: number for name, number in found.items() if number and name != "all"}

    room.fetch("update run set risk = 'uncovered' where id = $1", room.run_id)
    assert counted() == {"uncovered": 1}
    room.fetch("update run set risk = 'run_not_served' where id = $1", room.run_id)
    assert counted() == {"not_served": 1}
    room.fetch("update run set risk = null where id = $1", room.run_id)
    room.say("run.started", {"run_id": room.run_id})
    assert counted() == {"started": 1}
    room.say("run.paused", {"run_id": room.run_id})
    assert counted() == {"paused": 1}


def test_open_alerts_and_the_days_tasks_are_counted(room: Room) -> None:
    before = sites(room)[SITE]
    room.say("alarm.raised", {"kind": "sos", "alarm_id": fresh("a")})
    item = fresh("RK")
    room.order("item", f"item/{item}")
    overdue = room.order("home_visit", f"visit/{fresh('V')}", window=room.window(minutes=30))
    room.fetch("update task set window_until = now() - interval '1 minute' where id = $1", overdue["task_id"])
    room.say("item.delivered", {"item_id": item, "to": "mailbox", "stop_id": "st-118"})
    after = sites(room)[SITE]
    grown = {
        f"{part}.{name}": after[part][name] - before[part][name]
        for part in ("alerts", "tasks")
        for name in COUNTS[part]
        if after[part][name] != before[part][name]
    }
    assert grown["alerts.open"] >= 1
    assert grown["alerts.urgent"] >= 1
    assert (grown["tasks.all"], grown["tasks.done"], grown["tasks.overdue"]) == (2, 1, 1)


def test_how_runs_are_seen_is_counted_from_the_live_board() -> None:
    def place(number: int, status: str, age_s: float | None) -> Place:
        run = LiveRun(f"run-{number}", NOW.date(), "T", "here" if number else "there", None)
        seen_at = None if age_s is None else NOW - timedelta(seconds=age_s)
        return Place(run=run, lon=2.0, lat=48.0, distance_along_m=1.0, status=status, seen_at=seen_at)

    seen = [
        place(0, "on_round", 10), place(1, "at_stop", 899), place(2, "on_round", 901), place(3, "off_round", 5),
        place(4, "unknown", 5), place(5, "paused", 5_000), place(6, "unknown", None),
    ]  # fmt: skip
    found = seen_by_site(seen, NOW)
    assert found["there"] == {"on": 1}
    assert found["here"] == {"on": 1, "lost": 2, "off": 1, "vague": 1, "paused": 1}


def test_it_is_worked_out_once_for_all_who_ask_within_seconds(room: Room) -> None:
    first = room.get("/v1/overview", "operator")
    for who in ("supervisor", "colleague", "stranger", "operator"):
        assert room.get("/v1/overview", who)["t"] == first["t"]


def test_everybody_gets_the_sites_that_are_theirs(room: Room) -> None:
    assert sites(room).keys() == {SITE}
    assert sites(room, "stranger").keys() == {ELSEWHERE}
    assert sites(room, "operator").keys() == {SITE, ELSEWHERE}
    assert sites(room, "operator", f"?site={ELSEWHERE}").keys() == {ELSEWHERE}
    assert room.ask(f"/v1/overview?site={ELSEWHERE}").status == 404
    assert room.ask("/v1/overview?site=nowhere", "operator").status == 404
    assert [room.ask("/v1/overview", who).status for who in ("adviser", "auditor")] == [404, 404]
    assert room.ask("/v1/overview", "nobody").status == 401


def test_the_shape_is_the_documented_one(room: Room) -> None:
    document = orjson.loads(room.service.ask("GET", "/openapi.json").body)
    answer = document["paths"]["/v1/overview"]["get"]["responses"]["200"]["content"]["application/json"]
    described = answer["schema"]["properties"]["sites"]["items"]["properties"]
    assert {name: set(described[name]["properties"]) for name in COUNTS} == COUNTS
